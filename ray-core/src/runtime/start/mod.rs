//! `init`, and the end of a runtime.

mod machine;
mod node;
mod parts;
mod worker;

use std::{
    hash::{BuildHasher as _, Hasher as _},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use ray_engine::{ids::JobId, resources::Resources, spec::Labels};

pub(crate) use self::{
    machine::{host_name, local_address_towards, log_filter, run_dir, start_log},
    node::{NodePlan, scheduler_config, start_node},
    worker::run_worker,
};
use super::{CURRENT, Runtime, executables::Executables, membership::Membership};
use crate::{
    Config, Error, Result,
    config::{SHUTDOWN_GRACE, available_cpus},
    control::{ControlRole, Role},
    node::{NodeSettings, gpus::VisibleGpus, jobs, process},
    wire::{Content, JobSpec, Message, Variables},
    working_dir,
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
        if let Some(runtime) = CURRENT.load_full() {
            runtime.end();
        }
        Ok(())
    }
}

impl Drop for Ray {
    fn drop(&mut self) {
        if let Some(runtime) = CURRENT.load_full() {
            crate::__private::test::look_for_leaks(&runtime);
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
    let (runtime, folder) = start_driver(&config)?;
    CURRENT.store(Some(runtime.clone()));
    let ray = Ray(());
    let node = runtime.node_role.as_ref().expect("a driver embeds a node");
    node.join(&runtime);
    if runtime.control_role.is_none() {
        // Its answer shows that the head knows this driver.
        crate::nodes()?;
        if let Some(archive) = folder {
            working_dir::offer(&runtime, &archive)?;
        }
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

/// Starts the driver; returns the archive of its working directory too, which it is to offer.
fn start_driver(config: &Config) -> Result<(Arc<Runtime>, Option<Content>)> {
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
    let cache = run_dir.join("executables");
    let (env, folder) = config.env(is_joined.then_some(&*cache))?;
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
            Content::default()
        },
        args: std::env::args_os()
            .skip(1)
            .map(std::os::unix::ffi::OsStringExt::into_vec)
            .collect(),
        log_filter: filter,
        // What a submitter gave, the head knows and adds.
        env: Variables::default(),
        oom_retries: config.oom_retries()?,
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
        cache: Executables::new(cache, config.cache_limit),
        spill_dir: config.spill_folder(&run_dir)?,
        memory: config.memory_watch()?,
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
        env,
    })?;
    runtime.with_core(|core, _| core.owner.set_oom_retries(spec.oom_retries));
    if is_joined {
        runtime.send_to_control(Message::JobUp { job: spec });
    }
    Ok((runtime, folder))
}

/// Makes this the runtime of the process.
pub(crate) fn make_current(runtime: &Arc<Runtime>) {
    CURRENT.store(Some(runtime.clone()));
}

impl Runtime {
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
