//! Processes that start and end, connections that break, and chance that makes them.

use ray_engine::{ids::ProcessId, time::Time};

use super::{Event, HEAD, World};
use crate::{executor::Executor, process::Process, wire::Message};

impl World {
    /// Starts a worker process; whether that works shows later.
    pub(crate) fn spawn(&mut self, process: ProcessId) {
        self.starting.insert(process);
        let delay = self.chance.between(300_000, 20_000_000);
        self.schedule(Time(self.now.0 + delay), Event::Spawned(process));
    }

    pub(super) fn on_spawned(&mut self, id: ProcessId) {
        if !self.starting.remove(&id) {
            // Its node ended meanwhile.
            return;
        }
        let node = id.node_process();
        let Some(job) = self
            .nodes
            .get(&node)
            .and_then(|node| node.workers.get(&id))
            .map(|worker| worker.job)
        else {
            return;
        };
        if self.faults_go_on() && self.chance.percent(self.profile.spawn_failure_percent) {
            self.trace
                .note(self.now, id, 3, 0, || format!("{id} cannot be started"));
            self.invariants.reads.on_failed_start();
            // Either it never existed, or it ends before it is ready.
            if self.chance.percent(50) {
                return self.on_spawn_failed(id);
            }
            return self.schedule(Time(self.now.0 + 1_000_000), Event::Exited(id));
        }
        let slowness = if self.chance.percent(self.profile.slow_percent) {
            self.chance.between(2, 20)
        } else {
            1
        };
        let mut process = Process::new(id, job, self.now, Some(Executor::default()), slowness);
        process.peers.insert(node);
        process.know(HEAD);
        self.processes.insert(id, process);
        if self.network.is_isolated(node) {
            self.invariants.references.on_crash(id);
        }
        self.send(id, node, Message::WorkerReady);
    }

    /// Ends a process at once; part of what it said is lost.
    pub(crate) fn kill(&mut self, id: ProcessId) {
        if self.processes.remove(&id).is_none() {
            return;
        }
        self.trace
            .note(self.now, id, 4, 0, || format!("{id} is killed"));
        self.invariants.references.on_crash(id);
        self.invariants.references.on_end(id, self.now);
        let node = self.nodes.get(&id.node_process());
        if node.is_some_and(|node| !node.is_ready(id)) {
            self.invariants.reads.on_failed_start();
        }
        self.network.lose_output_of(id, &mut self.chance);
        self.notice_exit(id);
    }

    /// Ends a process that has said everything it had to say.
    pub(crate) fn exit(&mut self, id: ProcessId) {
        let Some(process) = self.processes.remove(&id) else {
            return;
        };
        self.trace
            .note(self.now, id, 5, 0, || format!("{id} exits"));
        self.invariants.references.on_end(id, self.now);
        for peer in process.peers {
            let heard = self.network.last_arrival(id, peer).max(self.now);
            let event = Event::Closed {
                at: peer,
                peer: id,
                is_goodbye: true,
            };
            self.schedule(Time(heard.0 + 1), event);
        }
        self.notice_exit(id);
    }

    /// The node hears a process out, then notices that it is gone.
    pub(super) fn notice_exit(&mut self, id: ProcessId) {
        let heard = self
            .network
            .last_arrival(id, id.node_process())
            .max(self.now);
        let delay = self.chance.below(self.profile.notice_nanos) + 1;
        self.schedule(Time(heard.0 + delay), Event::Exited(id));
    }

    pub(super) fn on_closed(&mut self, at: ProcessId, peer: ProcessId, is_goodbye: bool) {
        if !self.processes.contains_key(&at) {
            return;
        }
        self.trace
            .note(self.now, at, 6, peer.0, || format!("{at} lost {peer}"));
        let is_node = self.nodes.contains_key(&at);
        if !is_node && peer == at.node_process() {
            // A worker without its node is of no use.
            return self.kill(at);
        }
        if is_node && peer == HEAD {
            // Neither is a node without the head.
            return self.kill_node(at);
        }
        if at == HEAD && peer == peer.node_process() {
            self.on_node_lost(peer);
        }
        if is_node && peer.node_process() == at {
            // How a process ends that said goodbye tells its exit.
            if !is_goodbye {
                self.kill(peer);
            }
            return;
        }
        if !is_goodbye && peer != peer.node_process() {
            // Its node decides who is dead; one that cannot be reached must be.
            self.send(at, peer.node_process(), Message::KillWorker(peer));
        }
        self.on_process_died(at, peer, None);
    }

    /// Returns whether the driver's program has not ended.
    pub(crate) fn driver_goes_on(&self) -> bool {
        self.roots_left.values().any(|left| *left > 0)
    }

    pub(super) fn faults_go_on(&self) -> bool {
        self.driver_goes_on() && self.now < FAULTS_END
    }

    pub(super) fn next_fault(&mut self, event: Event, mean_nanos: u64) {
        if mean_nanos > 0 && self.faults_go_on() {
            let delay = self.chance.below(mean_nanos * 2) + 1;
            self.schedule(Time(self.now.0 + delay), event);
        }
    }

    pub(super) fn kill_somebody(&mut self) {
        let workers = self.processes.keys().copied().collect::<Vec<_>>();
        let Some(position) = self.chance.position(workers.len()) else {
            return;
        };
        let victim = workers[position];
        if victim != victim.node_process() && self.faults_go_on() {
            self.kill(victim);
        }
    }

    pub(super) fn cut_something(&mut self) {
        let connections = self.network.connections();
        let Some(position) = self.chance.position(connections.len()) else {
            return;
        };
        let (one, other) = connections[position];
        let both_live = [one, other]
            .iter()
            .all(|id| self.processes.contains_key(id));
        let are_nodes = [one, other].iter().all(|id| *id == id.node_process());
        if !both_live || are_nodes || !self.faults_go_on() {
            return;
        }
        self.trace.note(self.now, one, 7, other.0, || {
            format!("{one} and {other} are cut")
        });
        self.network.cut(one, other, &mut self.chance);
        // Whoever cannot be reached is as good as crashed: it is going to be killed.
        for id in [one, other] {
            if id != id.node_process() {
                self.invariants.references.on_crash(id);
            }
        }
        for (at, peer) in [(one, other), (other, one)] {
            let delay = self.chance.below(10_000_000) + 1;
            let event = Event::Closed {
                at,
                peer,
                is_goodbye: false,
            };
            self.schedule(Time(self.now.0 + delay), event);
        }
    }
}

/// No fault happens after this.
const FAULTS_END: Time = Time(2_000_000_000);
