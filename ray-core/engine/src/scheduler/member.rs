//! A node as one of many: what it takes itself, what it spills, what it says about itself.
//!
//! Work is asked of the local node first. What it cannot run at all, or not soon, it spills to the
//! control process, which forwards it to a node that can (Moritz et al. 2018, section 4.2.2). What was
//! forwarded is never spilled again: a node without room rejects it, unless it was sent here for good.
//! Without a control process a node keeps everything to itself.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use super::{
    Arrival, Command, LeaseKind, MemberConfig, NodeScheduler, Notice, Request, SpillReason,
    actor_of, bundles::Found, report::Reports, terms::Terms,
};
use crate::{
    failure::Failure,
    ids::{ProcessId, RequestId},
    resources::Resources,
    spec::{Demand, Strategy},
    time::Time,
};

/// The node's place among the others.
pub(super) struct Member {
    pub(super) config: MemberConfig,
    is_reachable: bool,
    is_draining: bool,
    /// Whether there is anybody to take what this node cannot take soon.
    has_peers: bool,
    /// A running mean of how long a lease is held; nanoseconds, 0 before the first.
    held_nanos: u64,
    pub(super) reports: Reports,
}

enum Verdict {
    Queue,
    Refuse(Failure),
    Elsewhere(SpillReason),
}

impl NodeScheduler {
    /// The node has joined, or found the control process again.
    pub fn join(&mut self, config: MemberConfig, now: Time) {
        let member = match self.member.take() {
            Some(before) => Member {
                config,
                is_reachable: true,
                reports: before.reports.again(),
                ..before
            },
            None => Member {
                config,
                is_reachable: true,
                is_draining: false,
                has_peers: true,
                held_nanos: 0,
                reports: Reports::default(),
            },
        };
        self.member = Some(member);
        self.readmit(|terms| terms.arrival == Arrival::Local, now);
        self.schedule(now);
    }

    /// The control process cannot be reached: what would be spilled waits.
    pub fn on_control_lost(&mut self, _now: Time) {
        if let Some(member) = &mut self.member {
            member.is_reachable = false;
        }
    }

    /// The cluster has so many nodes; alone, a node keeps what it can run however long that waits.
    pub fn on_cluster_size(&mut self, nodes: usize, _now: Time) {
        if let Some(member) = &mut self.member {
            member.has_peers = nodes > 1;
        }
    }

    /// The node takes no new work from now on; what waits is sent elsewhere.
    pub fn drain(&mut self, now: Time) {
        if let Some(member) = &mut self.member {
            member.is_draining = true;
            self.readmit(|_| true, now);
        }
    }

    /// Returns whether nothing runs, waits or is set aside here.
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty() && self.requests.is_empty() && self.bundles.is_empty()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.member
            .as_ref()
            .is_some_and(|member| member.is_draining)
    }

    /// A process, or the control process for one, asks for a worker on terms of its own.
    pub fn request(
        &mut self,
        requester: ProcessId,
        request: RequestId,
        demand: Demand,
        arrival: Arrival,
        now: Time,
    ) {
        if arrival != Arrival::Local {
            self.note_guess();
        }
        let kind = match demand.actor {
            None => LeaseKind::Task,
            Some((actor, running)) => LeaseKind::Actor { actor, running },
        };
        let terms = Terms {
            arrival,
            since: now,
            bundle: demand.bundle,
            strategy: demand.strategy,
            locality: demand.locality,
            env: demand.env,
            runs_once: demand.runs_once,
        };
        let request = Request {
            requester,
            request,
            job: demand.job,
            shape: demand.shape,
            kind,
            terms,
        };
        self.admit(request, now);
    }

    /// Queues a request here, sends it elsewhere, or refuses it.
    pub(super) fn admit(&mut self, request: Request, now: Time) {
        self.sort_out(request);
        self.schedule(now);
    }

    /// Looks again at waiting requests that `is_meant`.
    pub(super) fn readmit(&mut self, is_meant: impl Fn(&Terms) -> bool, _now: Time) {
        let requests = std::mem::take(&mut self.requests);
        let (again, rest): (VecDeque<_>, VecDeque<_>) = requests
            .into_iter()
            .partition(|request| is_meant(&request.terms));
        self.requests = rest;
        for request in again {
            self.sort_out(request);
        }
    }

    fn sort_out(&mut self, request: Request) {
        match self.verdict(&request) {
            Verdict::Queue => self.requests.push_back(request),
            Verdict::Refuse(failure) => self.refuse(request, failure),
            Verdict::Elsewhere(reason) => self.send_elsewhere(request, reason),
        }
    }

    fn verdict(&self, request: &Request) -> Verdict {
        let Request { shape, terms, .. } = request;
        if let Err(failure) = shape.check_devices() {
            return Verdict::Refuse(failure);
        }
        let verdict = match &self.member {
            None => return self.verdict_alone(request),
            Some(member) => self.verdict_among_many(member, request),
        };
        match verdict {
            // Nobody could be told: it waits until somebody can.
            Verdict::Elsewhere(_)
                if terms.arrival == Arrival::Local
                    && self
                        .member
                        .as_ref()
                        .is_some_and(|member| !member.is_reachable) =>
            {
                Verdict::Queue
            }
            verdict => verdict,
        }
    }

    fn verdict_alone(&self, request: &Request) -> Verdict {
        let Request { shape, terms, .. } = request;
        match terms
            .bundle
            .map(|bundle| (bundle.group, self.find_bundle(bundle, shape)))
        {
            Some((_, Found::Here)) => Verdict::Queue,
            Some((_, Found::TooSmall)) => Verdict::Refuse(too_small(shape)),
            Some((group, Found::Absent)) => Verdict::Refuse(Failure::PlacementGroupRemoved(group)),
            None if self.pool.total().covers(shape) => Verdict::Queue,
            None => Verdict::Refuse(Failure::Unschedulable {
                demand: shape.to_string(),
                reason: format!("the only node has {} in all", self.pool.total()),
            }),
        }
    }

    fn verdict_among_many(&self, member: &Member, request: &Request) -> Verdict {
        let Request { shape, terms, .. } = request;
        if let Some(bundle) = terms.bundle {
            return match (self.find_bundle(bundle, shape), bundle.index) {
                (Found::Here, _) => Verdict::Queue,
                (Found::TooSmall, Some(_)) => Verdict::Refuse(too_small(shape)),
                (Found::TooSmall, None) | (Found::Absent, _) => {
                    Verdict::Elsewhere(SpillReason::Bundle)
                }
            };
        }
        if member.is_draining {
            return Verdict::Elsewhere(SpillReason::Draining);
        }
        if !self.pool.total().covers(shape) {
            return Verdict::Elsewhere(SpillReason::Infeasible);
        }
        let has_room = self.pool.fits(shape);
        let is_late =
            !has_room && member.has_peers && self.expected_wait(member) > member.config.spill_after;
        let reason = match terms.arrival {
            Arrival::Bound => None,
            Arrival::Forwarded => (!has_room).then_some(SpillReason::Overloaded),
            Arrival::Local => match &terms.strategy {
                Strategy::NodeAffinity { node, .. } => {
                    (*node != member.config.node).then_some(SpillReason::Strategy)
                }
                Strategy::Labels { hard, soft, .. } => {
                    let labels = &member.config.labels;
                    let is_meant = hard.matches(labels) && soft.matches(labels) && has_room;
                    (!is_meant).then_some(SpillReason::Strategy)
                }
                Strategy::Spread => Some(SpillReason::Strategy),
                Strategy::Default if is_elsewhere(&member.config, request) => {
                    Some(SpillReason::Locality)
                }
                Strategy::Default => is_late.then_some(SpillReason::Overloaded),
            },
        };
        reason.map_or(Verdict::Queue, Verdict::Elsewhere)
    }

    /// Estimates how long one more request would wait behind those that do already.
    fn expected_wait(&self, member: &Member) -> Duration {
        let turns = (self.requests.len() + 1).div_ceil(self.leases.len().max(1));
        Duration::from_nanos(member.held_nanos.saturating_mul(turns as u64))
    }

    /// Notes how long a lease was held.
    pub(super) fn note_held(&mut self, since: Time, now: Time) {
        if let Some(member) = &mut self.member {
            let held = u64::try_from(now.since(since).as_nanos()).unwrap_or(u64::MAX);
            member.held_nanos = match member.held_nanos {
                0 => held,
                mean => mean - mean / 8 + held / 8,
            };
        }
    }

    fn send_elsewhere(&mut self, waiting: Request, reason: SpillReason) {
        let (requester, request) = (waiting.requester, waiting.request);
        let notice = if waiting.terms.arrival == Arrival::Local {
            let actor = match waiting.kind {
                LeaseKind::Task => None,
                LeaseKind::Actor { actor, running } => Some((actor, running)),
            };
            let demand = Demand {
                job: waiting.job,
                shape: waiting.shape,
                strategy: waiting.terms.strategy,
                locality: waiting.terms.locality,
                actor,
                bundle: waiting.terms.bundle,
                origin: self.member.as_ref().map(|member| member.config.node),
                env: waiting.terms.env,
                runs_once: waiting.terms.runs_once,
            };
            Notice::Spill {
                requester,
                request,
                demand: Box::new(demand),
                reason,
            }
        } else {
            self.force_report();
            Notice::Reject { requester, request }
        };
        self.commands.push_back(Command::Tell(notice));
    }

    pub(super) fn refuse(&mut self, refused: Request, failure: Failure) {
        self.commands.push_back(Command::Refuse {
            requester: refused.requester,
            request: refused.request,
            failure,
            actor: actor_of(&refused.kind),
            arrival: refused.terms.arrival,
        });
    }

    /// Passes a cancel on that will find nothing here.
    pub(super) fn note_cancel(&mut self, requester: ProcessId, request: RequestId) {
        let found = self
            .requests
            .iter()
            .find(|waiting| (waiting.requester, waiting.request) == (requester, request));
        match found {
            Some(waiting) if waiting.terms.arrival != Arrival::Local => self.force_report(),
            Some(_) => {}
            None if self.member.is_some() => {
                let cancel = Notice::CancelElsewhere { requester, request };
                self.commands.push_back(Command::Tell(cancel));
            }
            None => {}
        }
    }

    /// Sends elsewhere what has waited too long; gives up bundles and lets caps give way.
    pub(super) fn on_member_timeout(&mut self, now: Time) {
        let mut did_free = self.expire_bundles(now);
        did_free |= self.relax_caps(now);
        if did_free {
            self.schedule(now);
        }
        let late = self
            .waiting_in_vain()
            .filter(|(_, due)| *due <= now)
            .map(|(position, _)| position)
            .collect::<BTreeSet<_>>();
        let requests = std::mem::take(&mut self.requests);
        for (position, request) in requests.into_iter().enumerate() {
            if late.contains(&position) {
                self.send_elsewhere(request, SpillReason::Overloaded);
            } else {
                self.requests.push_back(request);
            }
        }
    }

    /// Returns which requests would be better off elsewhere, and when they are sent there.
    ///
    /// Those that only wait for a worker process to start stay.
    fn waiting_in_vain(&self) -> impl Iterator<Item = (usize, Time)> {
        let member = self
            .member
            .as_ref()
            .filter(|member| member.is_reachable && member.has_peers);
        let mut pool = member.map(|_| self.pool.clone());
        let requests = self.requests.iter().enumerate();
        requests.filter_map(move |(position, request)| {
            let (member, pool) = (member?, pool.as_mut()?);
            if !request.terms.may_leave(member.config.node) {
                return None;
            }
            if pool.fits(&request.shape) {
                pool.take(&request.shape);
                return None;
            }
            Some((position, request.terms.since + member.config.spill_after))
        })
    }

    /// Sends a request elsewhere that nobody here will ever run, or refuses it.
    pub(super) fn give_up_on(&mut self, request: Request, failure: Failure) {
        let can_leave = self.member.as_ref().is_some_and(|member| {
            let may_leave = request.terms.may_leave(member.config.node);
            member.is_reachable && member.has_peers && may_leave
        });
        if can_leave {
            self.send_elsewhere(request, SpillReason::Overloaded);
        } else {
            self.refuse(request, failure);
        }
    }

    /// Returns when [`NodeScheduler::on_timeout`] has something to do for the cluster's sake.
    pub(super) fn next_member_timeout(&self) -> Option<Time> {
        let timeouts = [
            self.next_bundle_expiry(),
            self.next_relaxation(),
            self.waiting_in_vain().map(|(_, due)| due).min(),
            self.next_report(),
        ];
        timeouts.into_iter().flatten().min()
    }
}

/// Returns whether much more of a task's arguments lies on another node than here.
fn is_elsewhere(config: &MemberConfig, request: &Request) -> bool {
    let here = request
        .terms
        .locality
        .iter()
        .filter(|(node, _)| *node == config.node)
        .map(|(_, bytes)| *bytes)
        .sum::<u64>();
    let most = request.terms.locality.iter().map(|(_, bytes)| *bytes).max();
    request.kind == LeaseKind::Task
        && most.is_some_and(|most| most > here && most >= config.locality_bytes_min)
}

fn too_small(shape: &Resources) -> Failure {
    Failure::InvalidOption {
        option: "placement_group".into(),
        reason: format!("{shape} is more than the bundle reserves"),
    }
}
