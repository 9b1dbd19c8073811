//! Starting worker processes and passing on what they print.

use std::{
    io::{self, Write as _},
    sync::{Arc, Weak},
};

use ray_engine::{
    failure::{Failure, WorkerExit},
    ids::ProcessId,
};
use ray_net::tls::ClusterCa;
use rkyv::rancor;

use super::{
    NodeRole,
    commands::Spawn,
    process::{self, ProcessEvent, ProcessHost},
};
use crate::{
    runtime::Runtime,
    wire::{Message, WorkerBootstrap},
};

/// What every worker of this node is given.
pub(crate) struct WorkerStart {
    pub(crate) ca: ClusterCa,
    pub(crate) host: ProcessHost,
    pub(crate) run_dir: String,
}

impl WorkerStart {
    /// Ends a worker at once.
    pub(crate) fn kill(&self, pid: u32) {
        if pid != 0 {
            process::kill(pid);
        }
    }
}

impl NodeRole {
    /// Starts the process that is to be `process`.
    pub(super) fn spawn_worker(&self, runtime: &Arc<Runtime>, spawn: Spawn) -> io::Result<()> {
        let process = spawn.process;
        let identity = self.start.ca.issue(process.0).map_err(io::Error::other)?;
        let bootstrap = WorkerBootstrap {
            process,
            node_addr: runtime.public_addr(),
            control_process: runtime.control_process(),
            control_addr: runtime.control_addr(),
            job: spawn.job,
            namespace: spawn.namespace,
            identity: identity.to_bytes(),
            run_dir: self.start.run_dir.clone(),
            log_filter: spawn.log_filter,
            env: spawn.env.clone(),
            packs_into: runtime
                .packs_into
                .as_ref()
                .map(|path| path.display().to_string()),
            oom_retries: spawn.oom_retries,
        };
        let blob = rkyv::to_bytes::<rancor::Error>(&bootstrap).map_err(io::Error::other)?;
        self.start.host.spawn(process::Spawn {
            process,
            executable: spawn.executable,
            args: spawn.args,
            variables: spawn.variables.0,
            env: spawn.env,
            folder: spawn.folder,
            blob: blob.to_vec(),
            arena: spawn.arena,
            gpus: spawn.gpus,
        });
        Ok(())
    }
}

impl NodeRole {
    /// The environment that a worker was to be started with cannot be had here.
    fn on_env_failed(&self, runtime: &Arc<Runtime>, process: ProcessId, reason: String) {
        self.with_state(runtime, |state, _| {
            let (node, name) = (runtime.node(), &state.settings.name);
            let text = format!("{reason} on node {node} ({name})");
            state.workers.remove(&process);
            state.failed_start = Some(text.clone());
            let failure = Failure::RuntimeEnv(text);
            state
                .scheduler
                .on_env_failed(process, failure, runtime.now());
        });
        runtime.note_worker_ready();
    }
}

/// Acts on what happens to worker processes.
pub(crate) fn on_event(runtime: &Weak<Runtime>, event: ProcessEvent) {
    let event = match event {
        ProcessEvent::Line {
            pid,
            name,
            is_error,
            text,
        } => {
            let listener = runtime.upgrade().and_then(|runtime| {
                let to = runtime.node_role.as_ref()?.listener_of(pid)?;
                Some((runtime, to))
            });
            return match listener {
                None => print_line(pid, &name, is_error, &text),
                Some((runtime, to)) => runtime.send(
                    to,
                    Message::Printed {
                        pid,
                        name,
                        is_error,
                        text,
                    },
                ),
            };
        }
        other => other,
    };
    let Some(runtime) = runtime.upgrade() else {
        return;
    };
    let Some(node) = &runtime.node_role else {
        return;
    };
    match event {
        ProcessEvent::Started { process, pid } => node.on_worker_started(process, pid),
        ProcessEvent::EnvFailed { process, reason } => {
            node.on_env_failed(&runtime, process, reason);
        }
        ProcessEvent::StartFailed { process, error } => {
            tracing::error!(%error, "a worker process could not be started");
            node.on_worker_start_failed(&runtime, process);
        }
        ProcessEvent::Exited {
            process,
            pid,
            code,
            signal,
            last_stderr,
        } => {
            let exit = WorkerExit {
                worker: process,
                pid,
                code,
                signal,
                last_stderr,
                ..WorkerExit::default()
            };
            tracing::debug!(%process, pid, ?code, ?signal, "worker ended");
            // What it said last is in the socket: it counts before the death.
            runtime.net().drain();
            node.on_worker_exit(&runtime, process, exit);
        }
        ProcessEvent::Line { .. } => {}
    }
}

/// Shows a line of a worker on the driver's terminal.
pub(crate) fn print_line(pid: u32, name: &str, is_error: bool, text: &str) {
    let name = if name.is_empty() { "worker" } else { name };
    let line = format!("({name} pid={pid}) {text}\n");
    // A terminal that is gone is nothing that the runtime could tell anybody.
    let _closed = if is_error {
        io::stderr().lock().write_all(line.as_bytes())
    } else {
        io::stdout().lock().write_all(line.as_bytes())
    };
}
