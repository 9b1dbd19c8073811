//! Nodes that join and end, and networks that fall apart.

use std::collections::BTreeSet;

use ray_engine::{
    ids::{JobId, NodeId, ProcessId},
    time::Time,
};

use super::{Event, HEAD, World};
use crate::{
    node::Node,
    process::Process,
    scenario::{ClusterPlan, NodePlan},
    wire::Message,
};

impl World {
    /// Starts a node, whose process runs a program when there is a job of its own.
    pub(super) fn join(&mut self, plan: &NodePlan, job: Option<JobId>, is_driver: bool) {
        let at = NodeId(self.next_node).process();
        self.next_node += 1;
        let NodePlan { total, labels, .. } = plan.clone();
        let spills = self.profile.cluster.is_some();
        let config = self.profile.scheduler;
        let mut node = Node::new(
            at,
            (total.clone(), labels.clone()),
            config,
            spills,
            plan.clock,
        );
        job.into_iter().for_each(|job| node.know_job(job));
        self.nodes.insert(at, node);
        let mut process = Process::new(at, job.unwrap_or_default(), self.now, None, 1);
        process.know(HEAD);
        self.processes.insert(at, process);
        self.trace.note(self.now, at, 10, u64::from(is_driver), || {
            format!("{at} joins with {total}")
        });
        let message = Message::NodeUp {
            total,
            labels,
            is_driver,
        };
        self.send(at, HEAD, message);
        if let Some(job) = job {
            self.send(at, HEAD, Message::JobUp(job));
            self.begin_program(at);
        }
    }

    fn cluster(&self) -> &ClusterPlan {
        let cluster = self.profile.cluster.as_ref();
        cluster.expect("only worlds of several nodes have such events")
    }

    pub(super) fn on_join(&mut self, index: usize) {
        let plan = self.cluster().nodes[index].clone();
        self.join(&plan, None, false);
    }

    /// Ends a node at once, or cuts it off so that it ends when it notices.
    pub(super) fn crash_a_node(&mut self) {
        let ClusterPlan {
            crash_nanos,
            isolated_percent,
            ..
        } = *self.cluster();
        let main = self.drivers[0];
        let mut others = self.nodes.keys().copied().collect::<Vec<_>>();
        others.retain(|id| *id != HEAD && *id != main && !self.network.is_isolated(*id));
        if let Some(position) = self.chance.position(others.len())
            && self.faults_go_on()
        {
            let node = others[position];
            if self.chance.percent(isolated_percent) {
                self.isolate(node);
            } else {
                self.kill_node(node);
            }
        }
        self.next_fault(Event::Crash, crash_nanos);
    }

    fn isolate(&mut self, node: ProcessId) {
        self.trace
            .note(self.now, node, 11, 0, || format!("{node} is cut off"));
        for id in self.of_node(node) {
            self.invariants.references.on_crash(id);
        }
        self.network.isolate(node.node(), &mut self.chance);
        let delay = self.chance.below(60_000_000) + 1;
        self.schedule(Time(self.now.0 + delay), Event::Severed(node));
        self.notice_node(node);
    }

    /// Returns the processes of a node that live.
    fn of_node(&self, node: ProcessId) -> Vec<ProcessId> {
        let range = self.processes.range(node..node.started(1 << 27));
        range.map(|(id, _)| *id).collect()
    }

    /// Ends a node with all its processes.
    pub(super) fn kill_node(&mut self, node: ProcessId) {
        if self.nodes.remove(&node).is_none() {
            return;
        }
        self.trace
            .note(self.now, node, 12, 0, || format!("{node} ends"));
        for id in self.of_node(node) {
            self.invariants.references.on_crash(id);
            self.network.lose_output_of(id, &mut self.chance);
            self.invariants.references.on_end(id, self.now);
            self.processes.remove(&id);
        }
        self.starting.retain(|id| id.node_process() != node);
        self.notice_node(node);
        if self.roots_left.remove(&node).is_some() {
            self.let_go_at_the_end();
        }
    }

    /// The head hears a node out, then notices that it is gone.
    fn notice_node(&mut self, node: ProcessId) {
        let heard = self.network.last_arrival_of_node(node, HEAD).max(self.now);
        let delay = self.chance.below(self.profile.notice_nanos) + 1;
        let event = Event::Closed {
            at: HEAD,
            peer: node,
            is_goodbye: false,
        };
        self.schedule(Time(heard.0 + delay), event);
    }

    /// Keeps some nodes and the others apart for a while; no connection is lost by that.
    pub(super) fn partition(&mut self) {
        let interval = self.cluster().partition_nanos;
        if self.faults_go_on() {
            let nodes = self.nodes.keys().map(|id| id.node()).collect::<Vec<_>>();
            let apart = nodes
                .into_iter()
                .filter(|_| self.chance.percent(40))
                .collect::<BTreeSet<_>>();
            let nanos = if self.chance.percent(80) {
                self.chance.between(1_000_000, 60_000_000)
            } else {
                self.chance.between(4_000_000_000, 14_000_000_000)
            };
            let until = Time(self.now.0 + nanos);
            self.trace.note(self.now, HEAD, 13, nanos, || {
                format!("{apart:?} are apart until {}", until.0)
            });
            self.network.part(apart, until);
        }
        self.next_fault(Event::Partition, interval);
    }

    /// A connection to a process that is gone is given up when nothing has been heard for long.
    pub(super) fn give_up_in_time(&mut self, at: ProcessId, peer: ProcessId) {
        if self.given_up.insert((at, peer)) {
            let event = Event::Closed {
                at,
                peer,
                is_goodbye: false,
            };
            self.schedule(Time(self.now.0 + IDLE_NANOS), event);
        }
    }
}

/// After so long without a packet the transport gives a connection up.
const IDLE_NANOS: u64 = 30_000_000_000;
