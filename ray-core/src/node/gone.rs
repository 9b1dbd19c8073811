//! Processes and nodes that are gone, and what goes with them.

use std::sync::Arc;

use ray_engine::{
    failure::{ExitKind, WorkerExit},
    ids::ProcessId,
    time::Time,
};
use ray_net::CloseReason;

use super::{NodeRole, NodeState, segments::Asker};
use crate::{runtime::Runtime, wire::Message};

impl NodeRole {
    /// A worker process ended.
    pub(crate) fn on_worker_exit(
        &self,
        runtime: &Arc<Runtime>,
        process: ProcessId,
        mut exit: WorkerExit,
    ) {
        let now = runtime.now();
        let known = self.with_state(runtime, |state, out| {
            let Some(worker) = state.workers.remove(&process) else {
                return false;
            };
            exit.evicted_from = worker.evicted_from;
            exit.out_of_memory = worker.out_of_memory;
            match worker.ending {
                Some((kind, detail)) => (exit.kind, exit.detail) = (kind, detail),
                None => exit.judge(),
            }
            if !worker.ready {
                state.failed_start = Some(describe(&exit));
            }
            if state.shutting_down {
                return true;
            }
            state.scheduler.on_worker_died(process, now);
            state.on_process_gone(process, now);
            state.tell_workers(out, &|| Message::ProcessDied {
                process,
                exit: exit.clone(),
            });
            state.on_reader_gone(process, now, out);
            state.on_owner_gone(process, now, out);
            state.on_mourner_gone(process, runtime.process(), now, out);
            state.on_mover_gone(process, out);
            state.orphan(process, worker.job, runtime.process());
            state.forget_ended_jobs(now);
            true
        });
        if known {
            runtime.on_process_died(process, exit.clone());
            runtime.send_to_control(Message::WorkerDied { process, exit });
        }
        runtime.note_worker_ready();
    }

    /// A process of another node is gone.
    pub(crate) fn on_remote_process_died(
        &self,
        runtime: &Arc<Runtime>,
        process: ProcessId,
        exit: &WorkerExit,
    ) {
        self.with_state(runtime, |state, out| {
            state.on_process_gone(process, runtime.now());
            state.on_owner_gone(process, runtime.now(), out);
            state.mourn(process, runtime.process());
            state.tell_workers(out, &|| Message::ProcessDied {
                process,
                exit: exit.clone(),
            });
        });
    }

    /// Another node is gone, with all its processes.
    pub(crate) fn on_remote_node_died(&self, runtime: &Arc<Runtime>, node: ProcessId) {
        self.with_state(runtime, |state, out| {
            let now = runtime.now();
            for process in state.scheduler.requesters() {
                if process.node_process() == node {
                    state.on_process_gone(process, now);
                }
            }
            state.on_code_source_gone(node, now, out);
            state.on_folder_source_gone(node, now, out);
            state.on_holder_gone(node, now, out);
            state.on_mourner_gone(node, runtime.process(), now, out);
            state.on_mover_gone(node, out);
            state.tell_workers(out, &|| Message::NodeDied { process: node });
        });
    }

    /// A connection was lost; a process that lives without one is of no use.
    pub(crate) fn on_connection_lost(&self, process: ProcessId, reason: &CloseReason) {
        if matches!(reason, CloseReason::Closed(_)) {
            // It said goodbye and is on its way out; how it ends tells its exit status.
            return;
        }
        let mut state = self.state.lock();
        let is_ending = state.shutting_down;
        if let Some(worker) = state.workers.get_mut(&process)
            && !is_ending
        {
            tracing::debug!(%process, %reason, "the connection to a worker is lost");
            let detail = format!("the connection to it was lost: {reason}");
            worker.ends(ExitKind::SystemError, detail);
            self.start.kill(worker.pid);
        }
    }
}

impl NodeState {
    /// A process is gone that may have asked for workers or segments.
    pub(super) fn on_process_gone(&mut self, process: ProcessId, now: Time) {
        self.scheduler.on_process_died(process, now);
        self.placements.on_process_gone(process);
        let is_its = |asker| matches!(asker, Asker::Process(asker, _) if asker == process);
        self.unqueue_segments(is_its, now);
    }
}

/// Says how a worker ended that was never ready.
fn describe(exit: &WorkerExit) -> String {
    let how = match (exit.signal, exit.code) {
        (Some(signal), _) => format!("one was ended by signal {signal}"),
        (None, Some(code)) => format!("one exited with code {code}"),
        (None, None) => "one ended".to_owned(),
    };
    if exit.last_stderr.is_empty() {
        how
    } else {
        format!("{how} after printing: {}", exit.last_stderr)
    }
}
