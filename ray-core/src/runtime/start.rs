//! `init`, the worker's main, and the end of both.

use std::{
    fs,
    hash::{BuildHasher as _, Hasher as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use ray_engine::{
    ids::{JobId, ProcessId},
    resources::Resources,
    scheduler::SchedulerConfig,
    spec::Labels,
};
use ray_net::{Net, NetConfig, Waiter, tls::Identity};
use ray_shm::{Arena, ArenaOwner, Writer};
use rkyv::rancor;

use super::{
    CURRENT, Runtime, clock, executables::Executables, inbound::Inbound, membership::Membership,
    old_runs, requests::Requests,
};
use crate::{
    Config, Error, Result,
    config::{CLUSTER_SILENCE, LOCAL_SILENCE, SHUTDOWN_GRACE, WORKERS_MAX, available_cpus},
    control::{
        ControlRole, Role,
        current::{private_folder, temporary_folder},
        health,
    },
    node::{
        NodeRole, NodeSettings, WorkerStart,
        gpus::VisibleGpus,
        jobs::{self, JobOnNode},
        process, workers,
    },
    wire::{
        ArchivedWorkerBootstrap, Executable, Hello, JobSpec, Message, Variables, WorkerBootstrap,
        kind,
    },
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
    let runtime = start_driver(&config)?;
    CURRENT.store(Some(runtime.clone()));
    let ray = Ray(());
    let node = runtime.node_role.as_ref().expect("a driver embeds a node");
    node.join(&runtime);
    if runtime.control_role.is_none() {
        // Its answer shows that the head knows this driver.
        crate::nodes()?;
        return Ok(ray);
    }
    let count = config.workers.unwrap_or_else(available_cpus);
    node.prestart(&runtime, count);
    runtime.wait_for_workers(count)?;
    start_fault_ahead(&runtime)?;
    Ok(ray)
}

pub(crate) fn system(what: &str) -> impl Fn(&dyn std::fmt::Display) -> Error + '_ {
    move |error| Error::System(format!("{what}: {error}"))
}

pub(crate) fn random_u64() -> u64 {
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

fn start_driver(config: &Config) -> Result<Arc<Runtime>> {
    let total = config.total_resources()?;
    let store_bytes = config.store_bytes()?;
    let filter = log_filter(config.log_level.as_deref());
    let run_dir = run_dir(config.run_dir.as_deref())?;
    start_log(&run_dir, "driver", &filter);
    let address = config
        .address
        .clone()
        .or_else(|| std::env::var("RAY_ADDRESS").ok());
    let membership = match &address {
        None => Membership::found()?,
        Some(address) => {
            let token = config
                .token
                .clone()
                .or_else(|| std::env::var("RAY_TOKEN").ok());
            Membership::join(address, token.as_deref(), Role::Driver, &host_name())?
        }
    };
    let head = membership.control;
    let is_joined = head.is_some();
    let process = membership.process;
    let job = membership.job.unwrap_or_else(|| JobId(random_u64() >> 32));
    let executable = std::env::current_exe()
        .map_err(|error| system("the executable of this process")(&error))?;
    let spec = JobSpec {
        job,
        driver: process,
        namespace: config
            .namespace
            .clone()
            .unwrap_or_else(|| format!("job-{:x}", job.0)),
        executable: if is_joined {
            jobs::describe(&executable)
                .map_err(|error| system("the executable of this process")(&error))?
        } else {
            Executable::default()
        },
        args: std::env::args_os()
            .skip(1)
            .map(std::os::unix::ffi::OsStringExt::into_vec)
            .collect(),
        log_filter: filter,
        // What a submitter gave, the head knows and adds.
        env: Variables::default(),
    };
    let settings = NodeSettings {
        gpus: VisibleGpus::of_this_process(),
        name: host_name(),
        // A driver among other nodes only submits.
        total: if is_joined { Resources::new() } else { total },
        labels: Labels::new(),
        scheduler: scheduler_config(config.workers),
        store_bytes,
        is_drivers: is_joined,
        spills: is_joined,
        cache: Executables::new(run_dir.join("executables"), config.cache_limit),
        spill_dir: config.spill_folder(&run_dir)?,
    };
    let runtime = start_node(NodePlan {
        membership,
        settings,
        own_job: Some((spec.clone(), executable)),
        // Others must reach the driver at the address from which it reaches the head.
        bind: config
            .bind
            .or_else(|| head.and_then(|(_, addr)| local_address_towards(addr))),
        advertise: None,
        run_dir,
        patience: is_joined.then_some(config.reconnect_within),
        port: 0,
        life: 0,
        control: (!is_joined).then(|| ControlRole::new(Some(Duration::ZERO), random_u64(), 0)),
    })?;
    if is_joined {
        runtime.send_to_control(Message::JobUp { job: spec });
    }
    Ok(runtime)
}

/// Everything that differs between the nodes of drivers, heads and others.
pub(crate) struct NodePlan {
    pub(crate) membership: Membership,
    pub(crate) settings: NodeSettings,
    /// The job of this process and where its executable is.
    pub(crate) own_job: Option<(JobSpec, PathBuf)>,
    pub(crate) bind: Option<IpAddr>,
    /// The address that others reach it at, when it is not the one it listens on.
    pub(crate) advertise: Option<IpAddr>,
    pub(crate) run_dir: PathBuf,
    pub(crate) control: Option<ControlRole>,
    /// How long a driver waits for a head that is away.
    pub(crate) patience: Option<Duration>,
    /// Where others expect its data connections; another is taken when this one is not free, and 0 is any.
    pub(crate) port: u16,
    /// Which life of this node it is; ids of processes and leases of different lives differ.
    pub(crate) life: u64,
}

/// Bits of a process's index that count within one life of its node.
const NODE_LIFE_BITS: u32 = 20;
/// Lives of a node after which indexes begin anew.
const NODE_LIVES: u64 = 1 << (ray_net::tls::PROCESS_INDEX_BITS - NODE_LIFE_BITS);

/// Starts a process that is a node.
pub(crate) fn start_node(plan: NodePlan) -> Result<Arc<Runtime>> {
    let NodePlan {
        membership,
        settings,
        own_job,
        bind,
        advertise,
        run_dir,
        control,
        patience,
        port,
        life,
    } = plan;
    let first_index = (life % NODE_LIVES) << NODE_LIFE_BITS;
    let Membership {
        process,
        ca,
        control: head,
        job: _,
    } = membership;
    let store = system("could not make the object store");
    let arena_owner = match &own_job {
        Some(_) => ArenaOwner::create(settings.store_bytes),
        None => ArenaOwner::create(crate::config::MIN_STORE_BYTES),
    }
    .map_err(|error| store(&error))?;
    let arena = arena_owner
        .fd()
        .try_clone_to_owned()
        .and_then(|fd| Arena::map(fd, process.0))
        .map_err(|error| store(&error))?;
    let (job, namespace) = own_job
        .as_ref()
        .map_or((JobId(0), String::new()), |(spec, _)| {
            (spec.job, spec.namespace.clone())
        });
    let is_daemon = own_job.is_none();
    let own_job = own_job
        .map(|(spec, executable)| JobOnNode::new(spec, Some(executable), arena_owner, process))
        .transpose()
        .map_err(|error| store(&error))?;
    let identity = ca
        .issue(process.0)
        .map_err(|error| system("could not make keys")(&error))?;
    let hello = if is_daemon {
        Hello::of_a_daemon()
    } else {
        Hello::of_this_process(job)?
    };
    let inbound = Inbound::new(hello);
    let silence = if is_daemon || head.is_some() {
        CLUSTER_SILENCE
    } else {
        LOCAL_SILENCE
    };
    let bind = bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let listen = |port, identity| {
        let bind = SocketAddr::new(bind, port);
        start_net(
            process,
            identity,
            bind,
            silence,
            ca.reset_secret(),
            &inbound,
        )
    };
    let net = match listen(port, identity) {
        Err(error) if port != 0 => {
            tracing::warn!(%error, port, "nodes of the head before will not find this one");
            let identity = ca.issue(process.0);
            let identity = identity.map_err(|error| system("could not make keys")(&error))?;
            listen(0, identity)?
        }
        listening => listening?,
    };
    let runtime = Arc::new_cyclic(|weak: &Weak<Runtime>| {
        let events = weak.clone();
        let host = process::ProcessHost::start(move |event| workers::on_event(&events, event));
        let role = host.map(|host| {
            let start = WorkerStart {
                ca,
                host,
                run_dir: run_dir.display().to_string(),
            };
            NodeRole::new(settings, process, first_index, own_job, start)
        });
        Runtime::new(Parts {
            process,
            job,
            control_process: head.map_or(process, |(control, _)| control),
            control_addr: head.map(|(_, addr)| addr),
            advertise,
            patience,
            namespace,
            net,
            arena,
            executor: None,
            is_daemon,
            first_index,
            role: role.ok(),
            control,
        })
    });
    if runtime.node_role.is_none() {
        return Err(Error::System(
            "the thread that starts worker processes could not be started".into(),
        ));
    }
    inbound.attach(&runtime);
    clock::start(&runtime).map_err(|error| system("could not start a thread")(&error))?;
    if let Some((control, addr)) = head {
        runtime.with_core(|core, _| core.know(control, addr));
        health::watch_head(&runtime).map_err(|error| system("could not start a thread")(&error))?;
    }
    Ok(runtime)
}

/// Makes this the runtime of the process.
pub(crate) fn make_current(runtime: &Arc<Runtime>) {
    CURRENT.store(Some(runtime.clone()));
}

pub(crate) fn scheduler_config(workers: Option<usize>) -> SchedulerConfig {
    SchedulerConfig {
        workers_kept: workers.unwrap_or_else(available_cpus),
        workers_max: WORKERS_MAX,
        idle_nanos: 1_000_000_000,
        failed_starts_max: 3,
    }
}

/// Returns the address of this machine from which another is reached.
pub(crate) fn local_address_towards(other: SocketAddr) -> Option<IpAddr> {
    let any = match other {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    // Connecting a UDP socket sends nothing; the system picks the route.
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(other).ok()?;
    socket.local_addr().ok().map(|addr| addr.ip())
}

pub(crate) fn log_filter(level: Option<&str>) -> String {
    std::env::var("RAY_LOG")
        .ok()
        .or_else(|| level.map(str::to_owned))
        .unwrap_or_else(|| "info".into())
}

/// Returns the name of this machine.
pub(crate) fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn start_net(
    process: ProcessId,
    identity: Identity,
    bind: SocketAddr,
    silence: Duration,
    reset_secret: Option<[u8; 32]>,
    inbound: &Arc<Inbound>,
) -> Result<Net> {
    let mut config = NetConfig::new(process.0, identity, kind::limit);
    config.bind = bind;
    config.hello = inbound.hello_bytes();
    config.idle_timeout = silence;
    config.reset_secret = reset_secret;
    config.keep_alive = silence / 6;
    config.lanes = super::lanes::lanes();
    Net::start(config, inbound.clone()).map_err(|error| Error::System(error.to_string()))
}

pub(crate) fn run_dir(wanted: Option<&Path>) -> Result<PathBuf> {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let ours = temporary_folder();
    let path = wanted
        .map(Path::to_owned)
        .unwrap_or_else(|| ours.join(format!("run-{seconds}-{}", std::process::id())));
    let make = || {
        if wanted.is_none() {
            // Anybody can make a folder of this name in a shared one, and would own what is in it.
            private_folder(&ours)?;
        }
        fs::create_dir_all(path.join("logs"))
    };
    make().map_err(|error| Error::InvalidOption {
        option: "run_dir".into(),
        reason: format!("{} cannot be made: {error}", path.display()),
    })?;
    if wanted.is_none() {
        let is_alive = |process: u32| Path::new("/proc").join(process.to_string()).exists();
        let prune = move || {
            if let Err(error) = old_runs::prune(&ours, is_alive) {
                tracing::debug!(%error, "old runs stay");
            }
        };
        // Nobody waits for it, and a system without another thread goes on as well.
        let _detached = std::thread::Builder::new()
            .name("ray-prune".into())
            .spawn(prune);
    }
    Ok(path)
}

/// Writes the log of this process into the run's folder, unless the program has a log of its own.
pub(crate) fn start_log(run_dir: &Path, name: &str, filter: &str) {
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
    advertise: Option<IpAddr>,
    patience: Option<Duration>,
    namespace: String,
    net: Net,
    arena: Arena,
    executor: Option<Arc<Executor>>,
    is_daemon: bool,
    /// Indexes of processes up to this one were given by earlier lives of this node.
    first_index: u64,
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
            advertise,
            patience,
            namespace,
            net,
            arena,
            executor,
            is_daemon,
            first_index,
            role,
            control,
        } = parts;
        Runtime {
            process,
            job,
            node_process: process.node_process(),
            control_process,
            control_addr,
            advertise,
            namespace,
            started: Instant::now(),
            core: Mutex::new(Core::new(
                process,
                job,
                control_process,
                net.clone(),
                arena.clone(),
            )),
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
            revoked: super::revoked::Revoked::default(),
            collectives: crate::collective::Collectives::default(),
            clock: clock::Clock::default(),
            closed: AtomicBool::new(false),
            writers: Mutex::default(),
            quiesced: Mutex::default(),
            awaited: Mutex::default(),
            dropped_copies: Mutex::default(),
            segments_wanted: AtomicBool::new(false),
            next_process: AtomicU64::new(first_index),
            is_daemon,
            certificate_due: AtomicU64::new(0),
            next_heartbeat: AtomicU64::new(0),
            head_lost_since: Mutex::default(),
            patience,
            head_is_given_up: AtomicBool::new(false),
            head_meetings: AtomicU64::new(0),
            last_of_head: Mutex::default(),
            stop_wanted: AtomicBool::new(false),
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
    pub(crate) fn end(self: &Arc<Self>) {
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
            node.end_bulk();
        }
        self.net.shutdown(Duration::from_millis(100));
        self.clock.stop();
        self.with_core(|core, _| core.close());
        CURRENT.store(None);
    }
}

/// Backs the arena with pages a little ahead of its use, on a thread of its own.
fn start_fault_ahead(runtime: &Arc<Runtime>) -> Result<()> {
    let weak = Arc::downgrade(runtime);
    std::thread::Builder::new()
        .name("ray-pages".into())
        .spawn(move || {
            let mut done = 0;
            loop {
                let cold = {
                    let Some(runtime) = weak.upgrade() else {
                        return;
                    };
                    let Some(node) = &runtime.node_role else {
                        return;
                    };
                    if !node.wait_for_page_demand(done) {
                        return;
                    }
                    node.next_cold()
                };
                let Some(cold) = cold else { return };
                if let Err(error) = cold.populate() {
                    tracing::debug!(%error, "pages are made when they are first used");
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
    start_log(Path::new(&given.run_dir), "worker", &given.log_filter);
    panics::install();
    let identity = Identity::from_bytes(&given.identity)
        .ok_or_else(|| Error::System("the node gave no usable certificate".into()))?;
    let arena = Arena::map(bootstrap.arena, given.process.0)
        .map_err(|error| system("could not map the object store")(&error))?;
    let inbound = Inbound::new(Hello::of_this_process(given.job)?);
    let bind = given.node_addr.ip();
    let bind = SocketAddr::new(bind, 0);
    let net = start_net(given.process, identity, bind, LOCAL_SILENCE, None, &inbound)?;
    let runtime = Arc::new(Runtime::new(Parts {
        process: given.process,
        job: given.job,
        control_process: given.control_process,
        control_addr: Some(given.control_addr),
        advertise: None,
        patience: None,
        namespace: given.namespace,
        net,
        arena,
        executor: Some(Arc::new(Executor::new())),
        is_daemon: false,
        first_index: 0,
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
