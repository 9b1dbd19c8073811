//! The whole life of a worker process, from its node's first message to its exit.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use ray_net::tls::Identity;
use rkyv::rancor;

use super::{
    machine::start_log,
    parts::{Parts, start_net},
    system,
};
use crate::{
    Error, Result,
    config::LOCAL_SILENCE,
    node::process,
    runtime::{CURRENT, Runtime, clock, inbound::Inbound},
    store::AlignedBytes,
    wire::{ArchivedWorkerBootstrap, Hello, Message, WorkerBootstrap},
    worker::{execute::Executor, panics},
};

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
    let mut blob = AlignedBytes::new();
    blob.extend_from_slice(&bootstrap.blob);
    let given: WorkerBootstrap = rkyv::access::<ArchivedWorkerBootstrap, rancor::Error>(&blob)
        .and_then(rkyv::deserialize::<WorkerBootstrap, rancor::Error>)
        .map_err(|error| system("the node's first message")(&error))?;
    start_log(Path::new(&given.run_dir), "worker", &given.log_filter);
    panics::install();
    let identity = Identity::from_bytes(&given.identity)
        .ok_or_else(|| Error::System("the node gave no usable certificate".into()))?;
    let arena = bootstrap
        .arena
        .map(given.process)
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
        env: given.env,
        packs_into: given.packs_into.map(Into::into),
    }));
    runtime.with_core(|core, _| core.owner.set_oom_retries(given.oom_retries));
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
