//! Nodes that introduce themselves: new ones, and those of a head before.

use std::sync::Arc;

use ray_engine::{ids::ProcessId, time::Time};

use super::role::{ControlState, Outbox};
use crate::{
    runtime::Runtime,
    wire::{Message, NodeRow},
};

impl ControlState {
    /// A node introduces itself: it hears what every node knows, and may be given work.
    pub(super) fn on_node_up(
        &mut self,
        runtime: &Arc<Runtime>,
        from: ProcessId,
        row: NodeRow,
        now: Time,
        out: &mut Outbox,
    ) {
        // Of those that nobody let in only this process itself comes so far.
        let only_drives = self.admitted.get(&from) == Some(&true);
        let is_allowed = row.node.process() == from && (row.is_driver || !only_drives);
        let is_own = from == runtime.process();
        if !is_allowed || !(is_own || self.on_health_joined(&row, now)) {
            return;
        }
        let (node, total) = (row.node, row.resources.clone());
        let labels = row.labels.clone();
        let processes = runtime.revoked.all();
        if !processes.is_empty() {
            out.push((from, Message::Revoked { processes }));
        }
        for job in self.specs.values() {
            out.push((from, Message::JobAnnounced { job: job.clone() }));
        }
        let runs_work = !row.is_driver;
        if self.returning.remove(&from) {
            // What it has created, or its workers may have, it says next.
            self.lookups.await_claims(&[from]);
        }
        self.nodes.on_up(row);
        if !is_own {
            for job in self.outlived_jobs(runtime.process()) {
                self.keep_outlived(&job, runtime.process(), out);
            }
        }
        if runs_work {
            self.scheduler
                .on_node_joined(node, total.clone(), labels.clone(), now);
            self.groups.on_node_joined(node, total, labels, now);
        }
    }
}
