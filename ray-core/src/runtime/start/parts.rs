//! What a runtime is made of, whatever kind of process it is in.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use ray_engine::{
    env::RuntimeEnv,
    ids::{JobId, ProcessId},
};
use ray_net::{Net, NetConfig, Waiter, tls::Identity};
use ray_shm::{Arena, Writer};

use crate::{
    Error, Result,
    collective::Collectives,
    control::ControlRole,
    node::NodeRole,
    runtime::{
        Runtime, clock::Clock, inbound::Inbound, lanes, requests::Requests, revoked::Revoked,
    },
    wire::kind,
    worker::{execute::Executor, submit::Core},
};

/// Everything that differs between a driver and a worker.
pub(super) struct Parts {
    pub(super) process: ProcessId,
    pub(super) job: JobId,
    pub(super) control_process: ProcessId,
    pub(super) control_addr: Option<SocketAddr>,
    pub(super) advertise: Option<IpAddr>,
    pub(super) patience: Option<Duration>,
    pub(super) namespace: String,
    pub(super) net: Net,
    pub(super) arena: Arena,
    pub(super) executor: Option<Arc<Executor>>,
    pub(super) is_daemon: bool,
    /// Indexes of processes up to this one were given by earlier lives of this node.
    pub(super) first_index: u64,
    pub(super) role: Option<NodeRole>,
    pub(super) control: Option<ControlRole>,
    /// What processes are started with that run what this one submits.
    pub(super) env: RuntimeEnv,
    /// Where its node keeps what it sends to others; `None` when there are none.
    pub(super) packs_into: Option<PathBuf>,
}

impl Runtime {
    pub(super) fn new(parts: Parts) -> Runtime {
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
            env,
            packs_into,
        } = parts;
        Runtime {
            process,
            job,
            node_process: process.node_process(),
            control_process,
            control_addr,
            advertise,
            namespace,
            env: env.clone(),
            packs_into,
            started: Instant::now(),
            core: Mutex::new(Core::new(
                process,
                job,
                control_process,
                net.clone(),
                arena.clone(),
                env,
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
            revoked: Revoked::default(),
            collectives: Collectives::default(),
            clock: Clock::default(),
            closed: AtomicBool::new(false),
            writers: Mutex::default(),
            quiesced: Mutex::default(),
            awaited: Mutex::default(),
            dropped_copies: Mutex::default(),
            doomed: Mutex::default(),
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
}

pub(super) fn start_net(
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
    config.lanes = lanes::lanes();
    Net::start(config, inbound.clone()).map_err(|error| Error::System(error.to_string()))
}
