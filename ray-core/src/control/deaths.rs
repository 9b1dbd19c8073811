//! What the control role gives up when a process or a node is gone.

use std::collections::BTreeSet;

use ray_engine::{failure::WorkerExit, ids::ProcessId, time::Time};

use super::{
    jobs::Wish,
    role::{ControlState, Outbox},
};
use crate::wire::Message;

impl ControlState {
    /// A process is gone: as the home of an actor, and as an owner of actors.
    pub(super) fn on_process_died(&mut self, process: ProcessId, exit: &WorkerExit, now: Time) {
        self.hosts.remove(&process);
        self.lookups.on_process_gone(process);
        self.names.on_process_gone(process);
        self.wanted
            .retain(|(requester, _), _| *requester != process);
        self.scheduler.on_process_died(process, now);
        self.rendezvous.on_process_died(process, &exit.describe());
        self.directory.on_worker_died(process, exit.clone(), now);
        self.directory.on_owner_died(process, now);
    }

    /// A node is gone, and with it everything that ran on it.
    pub(super) fn on_node_lost(&mut self, process: ProcessId, now: Time, out: &mut Outbox) {
        if self.admitted.get(&process) == Some(&true) {
            // A driver that is gone does not come back.
            self.admitted.remove(&process);
            self.wish(Wish::ForgetNode(process));
        }
        if !self.nodes.on_lost(process) {
            return;
        }
        tracing::warn!(node = %process.node(), "a node is gone");
        self.scheduler.on_node_left(process.node(), now);
        self.wanted
            .retain(|(requester, _), _| requester.node_process() != process);
        self.groups.on_node_died(process.node(), now);
        self.rendezvous.on_node_died(process);
        let hosts = self
            .hosts
            .keys()
            .filter(|worker| worker.node_process() == process);
        let owners = self
            .actors
            .keys()
            .map(|actor| actor.owner)
            .filter(|owner| owner.node_process() == process);
        let gone: BTreeSet<ProcessId> = hosts.copied().chain(owners).chain([process]).collect();
        for process in gone {
            let exit = WorkerExit {
                worker: process,
                last_stderr: "its node is gone".into(),
                ..WorkerExit::default()
            };
            self.on_process_died(process, &exit, now);
        }
        self.nodes
            .tell_others(process, out, &|| Message::NodeDied { process });
        self.jobs.on_node_died(process.node(), now);
    }
}
