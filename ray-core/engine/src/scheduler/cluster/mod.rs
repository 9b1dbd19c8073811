//! The scheduler of the control process: sends requests that their node spilled to another node.
//!
//! It decides on views that are a moment old. A node that cannot take a request after all says so and
//! the request is placed again; a node that dies loses nothing, since a request is remembered until its
//! node has settled it: its answer comes back through the control process, which notes it with
//! [`ClusterScheduler::on_settled`] and passes it on.

mod decide;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use super::policy::hybrid;
use crate::{
    draws::Draws,
    failure::Failure,
    ids::{ActorId, GroupId, NodeId, ProcessId, RequestId},
    planted::{Bug, is_planted},
    resources::{Amount, Resources},
    spec::{BundleRef, Demand, Labels, NodeReport, PlacedBundle},
    time::Time,
    view::ClusterView,
};

/// Numbers of the global scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// The default policy's.
    pub hybrid: hybrid::HybridConfig,
    /// How long what no node can run waits for one that can; `None` for ever, zero not at all.
    pub infeasible_grace: Option<Duration>,
    /// Bytes of arguments that make their node preferred, at least. Default 100 KiB.
    pub locality_bytes_min: u64,
    /// Requests that may wait. Default 1,000,000.
    pub waiting_max: usize,
    /// Requests that stand in line at each full node; further ones wait here, where nothing is recalled for them.
    /// Default 8.
    pub line_max: usize,
    /// Removed placement groups that are remembered, so that late requests fail. Default 10,000.
    pub removed_groups_max: usize,
}

impl Default for ClusterConfig {
    fn default() -> ClusterConfig {
        ClusterConfig {
            hybrid: hybrid::HybridConfig::default(),
            infeasible_grace: None,
            locality_bytes_min: 100 << 10,
            waiting_max: 1_000_000,
            line_max: 8,
            removed_groups_max: 10_000,
        }
    }
}

/// What the global scheduler wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Hand a request to a node, which grants or rejects it.
    Forward {
        /// To whom.
        node: NodeId,
        /// Who asked.
        requester: ProcessId,
        /// Its question.
        request: RequestId,
        /// What is asked.
        demand: Demand,
        /// Whether the node must queue it when it is full.
        is_bound: bool,
    },
    /// Tell a node that a forwarded request is not wanted any more.
    CancelForwarded {
        /// Whom.
        node: NodeId,
        /// Who asked.
        requester: ProcessId,
        /// Its question.
        request: RequestId,
    },
    /// Ask a node to give away what has waited there and fits elsewhere.
    Share {
        /// Whom.
        node: NodeId,
        /// What is free elsewhere.
        room: Resources,
    },
    /// Tell the requester that it will never have a worker.
    Refuse {
        /// Who asked.
        requester: ProcessId,
        /// Its question.
        request: RequestId,
        /// Why.
        failure: Failure,
        /// The actor it was for, if it was for one.
        actor: Option<ActorId>,
    },
}

/// Why a request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// Nodes that could run it are full.
    Busy,
    /// No node could ever run it.
    Infeasible,
    /// Its placement group, or its bundle, has no place yet.
    GroupNotPlaced(GroupId),
}

/// A request that waits, as `ray status` and an autoscaler see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Who asked.
    pub requester: ProcessId,
    /// Its question.
    pub request: RequestId,
    /// What is asked.
    pub demand: Demand,
    /// Since when.
    pub since: Time,
    /// Why it waits.
    pub reason: WaitReason,
}

type Key = (ProcessId, RequestId);

struct Forwarded {
    node: NodeId,
    pending: Pending,
    /// Whether it is to wait there, since no node has room.
    is_queued: bool,
}

/// What is to become of a request.
enum Verdict {
    Send {
        node: NodeId,
        is_bound: bool,
    },
    /// Every node that could run it is full: it waits at this one, where it has its turn.
    Line(NodeId),
    Wait(WaitReason),
    Refuse(Failure),
}

/// The state machine.
pub struct ClusterScheduler {
    config: ClusterConfig,
    view: ClusterView,
    draws: Draws,
    /// Requests without a node, in the order of arrival.
    waiting: BTreeMap<u64, Pending>,
    /// Since when what waits as infeasible does so.
    infeasible: BTreeMap<u64, Time>,
    next_ticket: u64,
    tickets: BTreeMap<Key, u64>,
    /// Requests at a node that has not settled them.
    forwarded: BTreeMap<Key, Forwarded>,
    groups: BTreeMap<GroupId, Vec<PlacedBundle>>,
    removed_groups: BTreeSet<GroupId>,
    /// The node that spread work went to last.
    last_spread: Option<NodeId>,
    commands: VecDeque<Command>,
}

impl ClusterScheduler {
    /// Returns the scheduler of a cluster without nodes; ties are broken by `seed`.
    pub fn new(config: ClusterConfig, seed: u64) -> ClusterScheduler {
        ClusterScheduler {
            config,
            view: ClusterView::new(),
            draws: Draws::new(seed),
            waiting: BTreeMap::new(),
            infeasible: BTreeMap::new(),
            next_ticket: 0,
            tickets: BTreeMap::new(),
            forwarded: BTreeMap::new(),
            groups: BTreeMap::new(),
            removed_groups: BTreeSet::new(),
            last_spread: None,
            commands: VecDeque::new(),
        }
    }

    /// Returns the next wish.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Returns when [`ClusterScheduler::on_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        let grace = self.config.infeasible_grace?;
        self.infeasible.values().min().map(|since| *since + grace)
    }

    /// Returns what waits and why, what stands in line at a node first.
    pub fn demand(&self) -> impl Iterator<Item = &Pending> {
        let queued = self.forwarded.values().filter(|sent| sent.is_queued);
        let queued = queued.map(|sent| &sent.pending);
        queued.chain(self.waiting.values())
    }

    /// Returns how many requests are at nodes that have not settled them.
    pub fn unsettled(&self) -> usize {
        self.forwarded.len()
    }

    /// Returns the requests that are at nodes, which have not settled them.
    pub fn forwarded(&self) -> impl Iterator<Item = (NodeId, ProcessId, RequestId)> {
        let forwarded = self.forwarded.iter();
        forwarded.map(|((requester, request), sent)| (sent.node, *requester, *request))
    }

    /// Returns the nodes as they were last heard of.
    pub fn view(&self) -> &ClusterView {
        &self.view
    }

    /// A node takes part from now on.
    pub fn on_node_joined(&mut self, node: NodeId, total: Resources, labels: Labels, now: Time) {
        self.view.join(node, total, labels);
        self.retry(now);
        self.share();
    }

    /// A node reports; stale reports change nothing.
    pub fn on_node_view(&mut self, node: NodeId, report: NodeReport, now: Time) {
        if self.view.update(node, report) {
            self.retry(now);
            self.share();
        }
    }

    /// A node takes no new work.
    pub fn on_node_draining(&mut self, node: NodeId, now: Time) {
        self.view.drain(node);
        self.retry(now);
    }

    /// A node was not heard of for a while: it gets no new work, and what only it can run waits.
    pub fn on_node_doubted(&mut self, node: NodeId, _now: Time) {
        self.view.doubt(node, true);
    }

    /// A node is heard of again.
    pub fn on_node_trusted(&mut self, node: NodeId, now: Time) {
        self.view.doubt(node, false);
        self.retry(now);
    }

    /// A node is gone: what its processes asked for is not wanted any more, and what others asked for and
    /// it had not settled is placed again.
    pub fn on_node_left(&mut self, node: NodeId, now: Time) {
        // A driver's own node is in no view, and its processes ask all the same.
        if !self.view.leave(node) {
            return self.forget_requests_of(node, now);
        }
        for bundle in self.groups.values_mut().flatten() {
            if bundle.node == Some(node) {
                bundle.node = None;
            }
        }
        self.forget_requests_of(node, now);
        let lost = self
            .forwarded
            .iter()
            .filter(|(_, sent)| sent.node == node)
            .map(|(key, _)| *key)
            .collect::<Vec<_>>();
        for key in lost {
            if let Some(sent) = self.forwarded.remove(&key)
                && !is_planted(Bug::ForwardedLostOnNodeDeath)
            {
                let Pending { demand, since, .. } = sent.pending;
                self.enqueue(key, demand, since, now);
            }
        }
        self.retry(now);
    }

    /// A placement group has these bundles at these places from now on.
    pub fn on_group_placed(&mut self, group: GroupId, bundles: Vec<PlacedBundle>, now: Time) {
        if !self.removed_groups.contains(&group) {
            self.groups.insert(group, bundles);
            self.retry(now);
        }
    }

    /// A placement group is removed: what waits for it fails.
    pub fn on_group_removed(&mut self, group: GroupId, now: Time) {
        self.groups.remove(&group);
        self.removed_groups.insert(group);
        if self.removed_groups.len() > self.config.removed_groups_max {
            self.removed_groups.pop_first();
        }
        self.retry(now);
    }

    /// A node could not serve a request itself, or the control process asks for one.
    ///
    /// A question that is known already changes nothing.
    pub fn place(&mut self, requester: ProcessId, request: RequestId, demand: Demand, now: Time) {
        let key = (requester, request);
        if self.tickets.contains_key(&key) || self.forwarded.contains_key(&key) {
            return;
        }
        if let Err(failure) = demand.shape.check_devices() {
            return self.refuse(key, &demand, failure);
        }
        if self.waiting.len() >= self.config.waiting_max {
            let limit = self.config.waiting_max;
            let failure = Failure::System(format!("{limit} requests wait for a node already"));
            return self.refuse(key, &demand, failure);
        }
        self.enqueue(key, demand, now, now);
    }

    /// A requester does not need the worker any more.
    pub fn cancel(&mut self, requester: ProcessId, request: RequestId, _now: Time) {
        let key = (requester, request);
        if let Some(ticket) = self.tickets.get(&key).copied() {
            self.forget(ticket);
        }
        if let Some(sent) = self.forwarded.remove(&key) {
            self.commands.push_back(Command::CancelForwarded {
                node: sent.node,
                requester,
                request,
            });
        }
    }

    /// A process is gone: nothing that it asked for is wanted any more.
    pub fn on_process_died(&mut self, process: ProcessId, now: Time) {
        self.take_back(|requester| requester == process, now);
    }

    fn forget_requests_of(&mut self, node: NodeId, now: Time) {
        if !is_planted(Bug::RequestsOfDeadNodeKept) {
            self.take_back(|requester| requester.node() == node, now);
        }
    }

    fn take_back(&mut self, is_gone: impl Fn(ProcessId) -> bool, now: Time) {
        let keys = self.tickets.keys().chain(self.forwarded.keys());
        let asked = keys
            .filter(|(requester, _)| is_gone(*requester))
            .copied()
            .collect::<Vec<_>>();
        for (requester, request) in asked {
            self.cancel(requester, request, now);
        }
    }

    /// A node's grant or refusal of a forwarded request has reached its requester, or is about to.
    ///
    /// Returns whether the request was at that node.
    pub fn on_settled(&mut self, node: NodeId, requester: ProcessId, request: RequestId) -> bool {
        let key = (requester, request);
        let is_there = self
            .forwarded
            .get(&key)
            .is_some_and(|sent| sent.node == node);
        if is_there {
            self.forwarded.remove(&key);
        }
        is_there
    }

    /// A node could not take a forwarded request after all: it counts as full until it reports.
    pub fn on_rejected(
        &mut self,
        node: NodeId,
        requester: ProcessId,
        request: RequestId,
        now: Time,
    ) {
        let key = (requester, request);
        if self
            .forwarded
            .get(&key)
            .is_none_or(|sent| sent.node != node)
        {
            return;
        }
        let sent = self.forwarded.remove(&key).expect("it was found above");
        let Pending { demand, since, .. } = sent.pending;
        match &demand.bundle {
            // The bundle is not there (any more): the group's machine will say where it is.
            Some(bundle) => self.unplace(*bundle, node),
            None => self.view.exhaust(node),
        }
        self.enqueue(key, demand, since, now);
    }

    /// Refuses what has been infeasible for longer than the grace.
    pub fn on_timeout(&mut self, now: Time) {
        let Some(grace) = self.config.infeasible_grace else {
            return;
        };
        let due = self
            .infeasible
            .iter()
            .filter(|(_, since)| **since + grace <= now)
            .map(|(ticket, _)| *ticket)
            .collect::<Vec<_>>();
        for ticket in due {
            if let Some(pending) = self.forget(ticket) {
                let failure = self.unschedulable(&pending.demand);
                self.refuse(
                    (pending.requester, pending.request),
                    &pending.demand,
                    failure,
                );
            }
        }
    }

    fn unplace(&mut self, bundle: BundleRef, node: NodeId) {
        let Some(bundles) = self.groups.get_mut(&bundle.group) else {
            return;
        };
        for (index, placed) in bundles.iter_mut().enumerate() {
            let is_meant = bundle.index.is_none_or(|meant| meant as usize == index);
            if is_meant && placed.node == Some(node) {
                placed.node = None;
            }
        }
    }

    fn enqueue(&mut self, key: Key, demand: Demand, since: Time, now: Time) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.tickets.insert(key, ticket);
        let (requester, request) = key;
        self.waiting.insert(
            ticket,
            Pending {
                requester,
                request,
                demand,
                since,
                reason: WaitReason::Busy,
            },
        );
        self.attempt(ticket, now);
    }

    fn forget(&mut self, ticket: u64) -> Option<Pending> {
        let pending = self.waiting.remove(&ticket)?;
        self.infeasible.remove(&ticket);
        self.tickets.remove(&(pending.requester, pending.request));
        Some(pending)
    }

    /// Tries everything that waits, oldest first; of one's equal demands those behind one that waits wait too.
    fn retry(&mut self, now: Time) {
        let mut stuck: Vec<(ProcessId, Demand, WaitReason)> = Vec::new();
        for ticket in self.waiting.keys().copied().collect::<Vec<_>>() {
            let Some(pending) = self.waiting.get(&ticket) else {
                continue;
            };
            let known = stuck
                .iter()
                .find(|(asker, demand, _)| *asker == pending.requester && *demand == pending.demand)
                .map(|(.., reason)| *reason);
            if let Some(reason) = known {
                self.wait(ticket, reason, now);
                continue;
            }
            self.attempt(ticket, now);
            if let Some(pending) = self.waiting.get(&ticket)
                && stuck.len() < STUCK_KEPT
            {
                stuck.push((pending.requester, pending.demand.clone(), pending.reason));
            }
        }
    }

    fn attempt(&mut self, ticket: u64, now: Time) {
        let Some(pending) = self.waiting.get(&ticket) else {
            return;
        };
        let (requester, demand) = (pending.requester, pending.demand.clone());
        match self.decide(requester, &demand) {
            Verdict::Send { node, is_bound } => {
                let pending = self.forget(ticket).expect("it was found above");
                self.send(pending, node, is_bound, false);
            }
            Verdict::Line(node) => {
                let pending = self.forget(ticket).expect("it was found above");
                self.send(pending, node, true, true);
            }
            Verdict::Refuse(failure) => {
                let pending = self.forget(ticket).expect("it was found above");
                self.refuse((pending.requester, pending.request), &demand, failure);
            }
            Verdict::Wait(reason) => self.wait(ticket, reason, now),
        }
    }

    fn wait(&mut self, ticket: u64, reason: WaitReason, now: Time) {
        if reason == WaitReason::Infeasible {
            self.infeasible.entry(ticket).or_insert(now);
        } else {
            self.infeasible.remove(&ticket);
        }
        if let Some(pending) = self.waiting.get_mut(&ticket) {
            pending.reason = reason;
        }
    }

    fn send(&mut self, pending: Pending, node: NodeId, is_bound: bool, is_queued: bool) {
        let Pending {
            requester,
            request,
            ref demand,
            ..
        } = pending;
        if demand.bundle.is_none() {
            self.view.debit(node, &demand.shape);
        }
        self.commands.push_back(Command::Forward {
            node,
            requester,
            request,
            demand: demand.clone(),
            is_bound,
        });
        let sent = Forwarded {
            node,
            pending,
            is_queued,
        };
        self.forwarded.insert((requester, request), sent);
    }

    /// Has nodes where work has waited give some to nodes that have room.
    fn share(&mut self) {
        let mut idle = self
            .view
            .usable()
            .filter(|(_, view)| view.queue_len == 0 && !view.is_exhausted)
            .map(|(node, view)| (node, view.available.clone()))
            .filter(|(_, free)| free.amount(Resources::CPU) > Amount(0))
            .collect::<Vec<_>>();
        let busy = self.view.all().filter(|(_, view)| view.overdue > 0);
        let busy = busy.map(|(node, _)| node).collect::<Vec<_>>();
        for node in busy {
            let Some(at) = idle.iter().position(|(other, _)| *other != node) else {
                return;
            };
            let (_, room) = idle.remove(at);
            self.view.asked_to_share(node);
            self.commands.push_back(Command::Share { node, room });
        }
    }

    fn refuse(&mut self, (requester, request): Key, demand: &Demand, failure: Failure) {
        self.commands.push_back(Command::Refuse {
            requester,
            request,
            failure,
            actor: demand.actor.as_ref().map(|(actor, _)| *actor),
        });
    }
}

/// Different demands that wait and are remembered in one pass; more are tried again instead.
const STUCK_KEPT: usize = 64;
