//! Processes and connections that are gone.

use std::sync::atomic::Ordering;

use ray_engine::{
    failure::{ExitKind, WorkerExit},
    ids::ProcessId,
};
use ray_net::CloseReason;

use crate::{runtime::Runtime, store::WriterLive, wire::Message};

impl Runtime {
    /// A process is gone.
    pub(crate) fn on_process_died(&self, process: ProcessId, exit: WorkerExit) {
        if let Some(executor) = &self.executor {
            executor.on_caller_gone(process);
        }
        self.collectives
            .on_process_gone(self, process, "its process ended");
        self.with_core(|core, now| core.on_process_died(process, exit, now));
        if self
            .writers
            .lock()
            .entry(process)
            .or_insert_with(|| WriterLive::new(process))
            .on_death()
        {
            self.send_to_node(Message::Quiesced { dead: process });
        }
    }

    pub(super) fn on_closed(&self, process: ProcessId, reason: &CloseReason) {
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        if self.node_role.is_none() && process == self.node_process() {
            tracing::info!(%reason, "the node is gone; this worker ends");
            std::process::exit(1);
        }
        tracing::debug!(%process, %reason, "a connection closed");
        if process == self.control_process() {
            return self.on_control_closed(reason);
        }
        if let Some(control) = &self.control_role
            && let Ok(this) = crate::runtime::current()
        {
            let said_goodbye = matches!(reason, CloseReason::Closed(_));
            control.on_connection_lost(&this, process, said_goodbye);
        }
        if let Some(node) = &self.node_role
            && process.node_process() == self.process
        {
            node.on_connection_lost(process, reason);
        } else {
            if let Some(executor) = &self.executor {
                executor.on_caller_gone(process);
            }
            if !matches!(reason, CloseReason::Closed(_)) {
                // Its node decides who is dead: whoever cannot be reached must not live on.
                let node = process.node_process();
                if process != node {
                    let end = Message::EndWorker {
                        worker: process,
                        kind: ExitKind::SystemError,
                        detail: format!("{} could not reach it: {reason}", self.process()),
                    };
                    self.send(node, end);
                }
            }
            self.collectives.on_process_gone(
                self,
                process,
                &format!("the connection to it is gone: {reason}"),
            );
            self.with_core(|core, now| {
                core.on_process_died(
                    process,
                    WorkerExit {
                        worker: process,
                        ..WorkerExit::default()
                    },
                    now,
                );
            });
        }
    }
}
