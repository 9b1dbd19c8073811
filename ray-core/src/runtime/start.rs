//! `init`, the worker's main, and the end of both.

use std::{
    fs,
    hash::{BuildHasher as _, Hasher as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use ray_engine::{
    ids::{JobId, ProcessId},
    scheduler::SchedulerConfig,
};
use ray_net::{
    Net, NetConfig, Waiter,
    tls::{ClusterCa, Identity},
};
use ray_shm::{Arena, ArenaOwner, Writer};
use rkyv::rancor;

use super::{CURRENT, Runtime, clock, inbound::Inbound, requests::Requests};
use crate::{
    Config, Error, Result,
    config::{FAULT_AHEAD_BYTES, SHUTDOWN_GRACE, WORKERS_MAX, available_cpus},
    control::ControlRole,
    node::{NodeRole, WorkerStart, process, workers},
    wire::{ArchivedWorkerBootstrap, Hello, Message, WorkerBootstrap, kind},
    worker::{execute::Executor, panics, submit::Core},
};

/// The running runtime; dropping it ends what it started.
#[must_use = "dropping this ends the runtime: bind it to a name and keep it until the end of `main`"]
#[derive(Debug)]
pub struct Ray(());

impl Ray {
    /// Ends the runtime and its worker processes.
    ///
    /// # Errors
    /// Nothing at present; the type leaves room for what may fail on the way out.
    pub fn shutdown(self) -> Result<()> {
        drop(self);
        Ok(())
    }
}

impl Drop for Ray {
    fn drop(&mut self) {
        if let Some(runtime) = CURRENT.load_full() {
            runtime.end();
        }
    }
}

/// One start at a time; the runtime is one per process.
static STARTING: Mutex<()> = Mutex::new(());

pub(crate) fn init(config: Config) -> Result<Ray> {
    if process::is_worker() {
        run_worker();
    }
    let _starting = STARTING.lock();
    if CURRENT.load().is_some() {
        return Err(Error::System(
            "`init` was called twice in this process; keep what the first call returned".into(),
        ));
    }
    if let Some(address) = config
        .address
        .clone()
        .or_else(|| std::env::var("RAY_ADDRESS").ok())
    {
        return Err(Error::InvalidOption {
            option: "address".into(),
            reason: format!(
                "joining a cluster (`{address}`) is not supported yet; unset it to start a node here"
            ),
        });
    }
    let _ = config.token;
    let runtime = start_driver(&config)?;
    CURRENT.store(Some(runtime.clone()));
    let ray = Ray(());
    let node = runtime.node_role.as_ref().expect("a driver embeds a node");
    node.join(&runtime);
    let count = config.workers.unwrap_or_else(available_cpus);
    node.prestart(&runtime, count);
    runtime.wait_for_workers(count)?;
    start_fault_ahead(&runtime)?;
    Ok(ray)
}

fn system(what: &str) -> impl Fn(&dyn std::fmt::Display) -> Error + '_ {
    move |error| Error::System(format!("{what}: {error}"))
}

fn random_u64() -> u64 {
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

fn start_driver(config: &Config) -> Result<Arc<Runtime>> {
    let total = config.total_resources()?;
    let store_bytes = config.store_bytes()?;
    let filter = std::env::var("RAY_LOG")
        .ok()
        .or_else(|| config.log_level.clone())
        .unwrap_or_else(|| "info".into());
    let run_dir = run_dir(config)?;
    start_log(&run_dir, "driver", &filter);
    let arena_owner = ArenaOwner::create(store_bytes)
        .map_err(|error| system("could not make the object store")(&error))?;
    let arena_fd = arena_owner
        .fd()
        .try_clone_to_owned()
        .map_err(|error| system("the object store")(&error))?;
    let arena = Arena::map(
        arena_fd
            .try_clone()
            .map_err(|error| system("the object store")(&error))?,
    )
    .map_err(|error| system("could not map the object store")(&error))?;
    let ca =
        ClusterCa::generate(random_u64()).map_err(|error| system("could not make keys")(&error))?;
    let process = ProcessId(random_u64()).node_process();
    let identity = ca
        .issue(process.0)
        .map_err(|error| system("could not make keys")(&error))?;
    let job = JobId(random_u64() >> 32);
    let inbound = Inbound::new(Hello::of_this_process(job)?);
    let net = start_net(
        process,
        identity,
        config.bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        &inbound,
    )?;
    let scheduler = SchedulerConfig {
        workers_kept: config.workers.unwrap_or_else(available_cpus),
        workers_max: WORKERS_MAX,
        idle_nanos: 1_000_000_000,
        failed_starts_max: 3,
    };
    let namespace = config
        .namespace
        .clone()
        .unwrap_or_else(|| format!("job-{:x}", job.0));
    let runtime = Arc::new_cyclic(|weak: &Weak<Runtime>| {
        let events = weak.clone();
        let host = process::ProcessHost::start(move |event| workers::on_event(&events, event));
        let start = host.map(|host| WorkerStart {
            ca,
            arena: arena_fd,
            host,
            run_dir: run_dir.display().to_string(),
            log_filter: filter,
        });
        let role = start.map(|start| NodeRole::new(total, scheduler, arena_owner, start));
        Runtime::new(Parts {
            process,
            job,
            control_process: process,
            control_addr: None,
            namespace,
            net,
            arena,
            executor: None,
            role: role.ok(),
            control: Some(ControlRole::default()),
        })
    });
    if runtime.node_role.is_none() {
        return Err(Error::System(
            "the thread that starts worker processes could not be started".into(),
        ));
    }
    inbound.attach(&runtime);
    clock::start(&runtime).map_err(|error| system("could not start a thread")(&error))?;
    Ok(runtime)
}

fn start_net(
    process: ProcessId,
    identity: Identity,
    bind: IpAddr,
    inbound: &Arc<Inbound>,
) -> Result<Net> {
    let mut config = NetConfig::new(process.0, identity, kind::limit);
    config.bind = SocketAddr::new(bind, 0);
    config.hello = inbound.hello_bytes();
    Net::start(config, inbound.clone()).map_err(|error| Error::System(error.to_string()))
}

fn run_dir(config: &Config) -> Result<PathBuf> {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let path = config.run_dir.clone().unwrap_or_else(|| {
        std::env::temp_dir()
            .join("ray-rs")
            .join(format!("run-{seconds}-{}", std::process::id()))
    });
    fs::create_dir_all(path.join("logs")).map_err(|error| Error::InvalidOption {
        option: "run_dir".into(),
        reason: format!("{} cannot be made: {error}", path.display()),
    })?;
    Ok(path)
}

/// Writes the log of this process into the run's folder, unless the program has a log of its own.
fn start_log(run_dir: &std::path::Path, name: &str, filter: &str) {
    let path = run_dir
        .join("logs")
        .join(format!("{name}-{}.log", std::process::id()));
    let Ok(file) = fs::File::create(path) else {
        return;
    };
    let filter = tracing_subscriber::EnvFilter::try_new(filter).unwrap_or_else(|_| "info".into());
    // A program with its own subscriber keeps it.
    let _kept = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::sync::Mutex::new(file))
        .try_init();
}

/// Everything that differs between a driver and a worker.
struct Parts {
    process: ProcessId,
    job: JobId,
    control_process: ProcessId,
    control_addr: Option<SocketAddr>,
    namespace: String,
    net: Net,
    arena: Arena,
    executor: Option<Arc<Executor>>,
    role: Option<NodeRole>,
    control: Option<ControlRole>,
}

impl Runtime {
    fn new(parts: Parts) -> Runtime {
        let Parts {
            process,
            job,
            control_process,
            control_addr,
            namespace,
            net,
            arena,
            executor,
            role,
            control,
        } = parts;
        Runtime {
            process,
            job,
            node_process: process.node_process(),
            control_process,
            control_addr,
            namespace,
            started: Instant::now(),
            core: Mutex::new(Core::new(process, control_process, net.clone())),
            dropped: Mutex::default(),
            mail: Mutex::default(),
            mail_is_carried: AtomicBool::new(false),
            net,
            writer: Writer::new(arena.clone()),
            arena,
            executor,
            node_role: role,
            control_role: control,
            requests: Requests::default(),
            clock: clock::Clock::default(),
            closed: AtomicBool::new(false),
            writers: Mutex::default(),
            quiesced: Mutex::default(),
            segments_wanted: AtomicBool::new(false),
            next_process: AtomicU64::new(0),
            worker_ready: Waiter::new(),
        }
    }

    /// Waits until `count` workers are connected.
    fn wait_for_workers(self: &Arc<Self>, count: usize) -> Result<()> {
        let node = self.node_role.as_ref().expect("a driver embeds a node");
        let deadline = Instant::now() + crate::node::FIRST_WORKERS_TIMEOUT;
        while node.ready_workers() < count {
            self.worker_ready.reset();
            if node.ready_workers() >= count {
                break;
            }
            if let Some(reason) = node.failed_start() {
                return Err(Error::System(format!(
                    "worker processes end before they are ready: {reason}; \
                     `init()` must be the first statement of `main`"
                )));
            }
            if Instant::now() >= deadline {
                return Err(Error::System(format!(
                    "{count} workers were not ready within {:?}; their logs are in the run directory",
                    crate::node::FIRST_WORKERS_TIMEOUT
                )));
            }
            self.net.wait(
                &self.worker_ready,
                Some(deadline.min(Instant::now() + Duration::from_millis(100))),
            );
        }
        Ok(())
    }

    pub(crate) fn note_worker_ready(&self) {
        self.worker_ready.notify();
    }

    /// Ends the workers, then the threads of this process.
    fn end(self: &Arc<Self>) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.with_core(|core, _| core.wake_all());
        if let Some(node) = &self.node_role {
            let workers = node.begin_shutdown();
            for (process, _) in &workers {
                self.with_core(|core, _| core.send_if_connected(*process, Message::Shutdown));
            }
            let deadline = Instant::now() + SHUTDOWN_GRACE;
            while node.workers_left() > 0 && Instant::now() < deadline {
                self.worker_ready.reset();
                if node.workers_left() > 0 {
                    self.net.wait(
                        &self.worker_ready,
                        Some(deadline.min(Instant::now() + Duration::from_millis(20))),
                    );
                }
            }
            node.start.host.stop();
        }
        self.net.shutdown(Duration::from_millis(100));
        self.clock.stop();
        self.with_core(|core, _| core.close());
        CURRENT.store(None);
    }
}

/// Backs part of the arena with pages while the program starts its own work.
fn start_fault_ahead(runtime: &Arc<Runtime>) -> Result<()> {
    let weak = Arc::downgrade(runtime);
    std::thread::Builder::new()
        .name("ray-pages".into())
        .spawn(move || {
            let mut done = 0;
            while done < FAULT_AHEAD_BYTES {
                let Some(runtime) = weak.upgrade() else {
                    return;
                };
                let Some(cold) = runtime.node_role.as_ref().and_then(NodeRole::next_cold) else {
                    return;
                };
                drop(runtime);
                if cold.populate().is_err() {
                    return;
                }
                done += ray_shm::SEGMENT_BYTES;
            }
        })
        .map_err(|error| system("could not start a thread")(&error))?;
    Ok(())
}

/// The whole life of a worker process.
pub(crate) fn run_worker() -> ! {
    panics::begin_output();
    match start_worker() {
        Ok(runtime) => {
            let executor = runtime.executor.clone().expect("a worker executes");
            executor.lead(&runtime);
            runtime.closed.store(true, Ordering::Release);
            runtime.linger();
            std::process::exit(0)
        }
        Err(error) => {
            eprintln!("a worker could not start: {error}");
            std::process::exit(70)
        }
    }
}

fn start_worker() -> Result<Arc<Runtime>> {
    let bootstrap =
        process::take_bootstrap().map_err(|error| system("the node's first message")(&error))?;
    let mut blob = crate::store::AlignedBytes::new();
    blob.extend_from_slice(&bootstrap.blob);
    let given: WorkerBootstrap = rkyv::access::<ArchivedWorkerBootstrap, rancor::Error>(&blob)
        .and_then(rkyv::deserialize::<WorkerBootstrap, rancor::Error>)
        .map_err(|error| system("the node's first message")(&error))?;
    start_log(
        std::path::Path::new(&given.run_dir),
        "worker",
        &given.log_filter,
    );
    panics::install();
    let identity = Identity::from_bytes(&given.identity)
        .ok_or_else(|| Error::System("the node gave no usable certificate".into()))?;
    let arena = Arena::map(bootstrap.arena)
        .map_err(|error| system("could not map the object store")(&error))?;
    let inbound = Inbound::new(Hello::of_this_process(given.job)?);
    let net = start_net(given.process, identity, given.node_addr.ip(), &inbound)?;
    let runtime = Arc::new(Runtime::new(Parts {
        process: given.process,
        job: given.job,
        control_process: given.control_process,
        control_addr: Some(given.control_addr),
        namespace: given.namespace,
        net,
        arena,
        executor: Some(Arc::new(Executor::new())),
        role: None,
        control: None,
    }));
    inbound.attach(&runtime);
    CURRENT.store(Some(runtime.clone()));
    clock::start(&runtime).map_err(|error| system("could not start a thread")(&error))?;
    let addr = runtime.net.local_addr();
    runtime.with_core(|core, _| {
        let node = given.process.node_process();
        core.on_address(node, given.node_addr);
        core.know(given.control_process, given.control_addr);
        core.send(
            node,
            Message::WorkerReady {
                pid: std::process::id(),
                addr,
            },
        );
    });
    Ok(runtime)
}
