//! A process that is a node: a driver, a head, or one that joined a cluster.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use ray_engine::{env::RuntimeEnv, ids::JobId, scheduler::SchedulerConfig};
use ray_shm::ArenaOwner;

use super::{
    parts::{Parts, start_net},
    system,
};
use crate::{
    Error, Result,
    config::{CLUSTER_SILENCE, LOCAL_SILENCE, WORKERS_MAX, available_cpus},
    control::{ControlRole, health},
    node::{
        NodeRole, NodeSettings, WorkerStart, arena_files::ArenaFiles, jobs::JobOnNode, process,
        workers,
    },
    runtime::{Runtime, clock, inbound::Inbound, membership::Membership},
    wire::{Hello, JobSpec},
};

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
    /// What processes are started with that run what this one submits.
    pub(crate) env: RuntimeEnv,
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
        env,
    } = plan;
    let first_index = (life % NODE_LIVES) << NODE_LIFE_BITS;
    let Membership {
        process,
        ca,
        control: head,
        job: _,
    } = membership;
    let store = system("could not make the object store");
    let (job, namespace) = own_job
        .as_ref()
        .map_or((JobId(0), String::new()), |(spec, _)| {
            (spec.job, spec.namespace.clone())
        });
    let is_daemon = own_job.is_none();
    let (own_job, arena) = match own_job {
        Some((spec, executable)) => ArenaOwner::create(settings.store_bytes)
            .and_then(|owner| {
                JobOnNode::new(spec, Some(executable), owner, process, &settings.spill_dir)
            })
            .and_then(|job| {
                let arena = job.arena_files.try_clone()?.map(process)?;
                Ok((Some(job), arena))
            }),
        // What a daemon says of itself is small.
        None => ArenaOwner::create(crate::config::MIN_STORE_BYTES)
            .and_then(|owner| ArenaFiles::of(&owner)?.map(process))
            .map(|arena| (None, arena)),
    }
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
    let packs_into = settings.packs_into();
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
            env,
            packs_into,
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

pub(crate) fn scheduler_config(workers: Option<usize>) -> SchedulerConfig {
    SchedulerConfig {
        workers_kept: workers.unwrap_or_else(available_cpus),
        workers_max: WORKERS_MAX,
        idle_nanos: 1_000_000_000,
        failed_starts_max: 3,
    }
}
