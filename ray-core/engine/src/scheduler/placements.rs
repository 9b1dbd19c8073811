//! What a node keeps of its dealings with the control role: which requests came from there, and what it
//! said of itself last.
//!
//! A node that has not become a [`super::NodeScheduler::join`]ed member decides by these simpler rules: it
//! keeps what it can run and has a short queue for, and passes everything else on. What has waited here for a
//! while it tells, and gives away when the control role knows of room elsewhere.

use std::{collections::BTreeSet, time::Duration};

use super::{Arrival, NodeScheduler};
use crate::{
    ids::{JobId, ProcessId, RequestId},
    planted::{Bug, is_planted},
    resources::Resources,
    spec::{Demand, NodeReport, Placement},
    time::Time,
};

/// Who asked, which question, and whether it is for an actor: the directory counts its questions
/// apart from those of the process that it lives in.
type Placed = (ProcessId, RequestId, bool);

/// The state machine.
#[derive(Clone, Debug, Default)]
pub struct Placements {
    /// The process that speaks for the node.
    process: ProcessId,
    /// Whether there are other nodes to which this one can pass what it cannot run.
    spills: bool,
    /// Requests that the control role handed to this node and that are not answered.
    placed: BTreeSet<Placed>,
    /// How many reports were made, which is the version of the last one.
    reports: u64,
    /// What the last report was made of.
    seen: View,
    /// When it was last looked whether there is something to report.
    looked: Time,
    /// Whether the control role has taken something off its view that was never taken here.
    is_guessed: bool,
}

/// What changes of a node concern the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct View {
    version: u64,
    workers: usize,
    overdue: usize,
}

/// A request that a node gives away for another to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shared {
    /// Asked here first: the control role finds it a place.
    Own {
        /// Who asked.
        requester: ProcessId,
        /// Its question.
        request: RequestId,
        /// What is asked.
        demand: Box<Demand>,
    },
    /// The control role had handed it to this node, which gives it back.
    Placed {
        /// Who asked.
        requester: ProcessId,
        /// Its question.
        request: RequestId,
    },
}

impl Placements {
    /// Returns the dealings of a node that has had none; without others nothing `spills`.
    pub fn new(process: ProcessId, spills: bool) -> Placements {
        Placements {
            process,
            spills,
            ..Placements::default()
        }
    }

    /// A process of this node asks for a worker; returns whether the control role is to find one instead.
    pub fn on_request(
        &mut self,
        scheduler: &mut NodeScheduler,
        (requester, request): (ProcessId, RequestId),
        job: JobId,
        shape: &Resources,
        placement: &Placement,
        now: Time,
    ) -> bool {
        let is_local = placement.is_default()
            && (!self.spills
                || (scheduler.total().covers(shape)
                    && (scheduler.waiting_requests() < LOCAL_QUEUE_MAX
                        || scheduler.available().covers(shape))));
        if is_local {
            let demand = Demand {
                job,
                env: placement.env.clone(),
                runs_once: placement.runs_once,
                ..Demand::task(shape.clone())
            };
            scheduler.request(requester, request, demand, Arrival::Local, now);
        }
        !is_local
    }

    /// A process of this node takes its question back; returns whether the control role may know of it.
    pub fn on_cancel(
        &mut self,
        scheduler: &mut NodeScheduler,
        (requester, request): (ProcessId, RequestId),
        was_placed: bool,
        now: Time,
    ) -> bool {
        scheduler.cancel_request(requester, request, now);
        self.spills || was_placed
    }

    /// The control role hands a request to this node; returns false when it must go elsewhere.
    pub fn on_placed(
        &mut self,
        scheduler: &mut NodeScheduler,
        (requester, request): (ProcessId, RequestId),
        demand: Demand,
        is_bound: bool,
        now: Time,
    ) -> bool {
        // The control role has taken it off its view, and this node may never do so.
        self.is_guessed = true;
        let is_own = requester.node_process() == self.process && requester != self.process;
        if is_own && !scheduler.has_worker(requester) {
            // It died while its question was on its way back here; nobody would say so again.
            return true;
        }
        let has_room = match demand.bundle {
            // It may have been given up while the request was on its way.
            Some(bundle) => {
                let held = scheduler.held_bundles();
                held.iter().any(|(group, _)| *group == bundle.group)
            }
            None => is_bound || scheduler.available().covers(&demand.shape),
        };
        if has_room {
            self.placed
                .insert((requester, request, demand.actor.is_some()));
            scheduler.request(requester, request, demand, Arrival::Bound, now);
        }
        has_room
    }

    /// The control role takes a request back that it handed to this node.
    pub fn on_placed_cancelled(
        &mut self,
        scheduler: &mut NodeScheduler,
        (requester, request): (ProcessId, RequestId),
        now: Time,
    ) {
        self.is_guessed = true;
        if self.placed.remove(&(requester, request, true)) {
            scheduler.cancel_placement(requester, request, now);
        } else if self.placed.remove(&(requester, request, false)) {
            scheduler.cancel_request(requester, request, now);
        }
    }

    /// A request is granted or refused; returns whether the control role had handed it to this node.
    pub fn on_answered(
        &mut self,
        requester: ProcessId,
        request: RequestId,
        is_actor: bool,
    ) -> bool {
        self.placed.remove(&(requester, request, is_actor))
    }

    /// A process is gone: nobody waits for what it asked.
    pub fn on_process_gone(&mut self, process: ProcessId) {
        let before = self.placed.len();
        self.placed.retain(|(requester, ..)| *requester != process);
        self.is_guessed |= self.placed.len() != before;
    }

    /// The control role was started anew: it knows nothing of this node and has asked for nothing. Who asked
    /// the one before asks again.
    pub fn on_new_control(&mut self, scheduler: &mut NodeScheduler, now: Time) {
        for (requester, request, is_actor) in std::mem::take(&mut self.placed) {
            if is_actor {
                scheduler.cancel_placement(requester, request, now);
            } else {
                scheduler.cancel_request(requester, request, now);
            }
        }
        self.is_guessed = true;
    }

    /// The control role says something about bundles: it takes them off its view before it asks for them,
    /// and the whole node when it is refused.
    pub fn on_bundles(&mut self) {
        self.is_guessed = true;
    }

    /// Gives away what waits here for a while, does not fit here and fits in `room` elsewhere, the oldest first.
    pub fn share(
        &mut self,
        scheduler: &mut NodeScheduler,
        room: &Resources,
        now: Time,
    ) -> Vec<Shared> {
        let taken = scheduler.take_overdue(room, now, OVERDUE_AFTER);
        let shared = taken.into_iter().map(|(requester, request, demand)| {
            let is_actor = demand.actor.is_some();
            match self.placed.remove(&(requester, request, is_actor)) {
                true => Shared::Placed { requester, request },
                false => Shared::Own {
                    requester,
                    request,
                    demand: Box::new(Demand {
                        origin: Some(self.process.node()),
                        ..demand
                    }),
                },
            }
        });
        let shared = shared.collect::<Vec<_>>();
        // The control role counts this node as full when something is given back.
        self.is_guessed |= !shared.is_empty();
        shared
    }

    /// Returns when the next request will have waited for a while.
    pub fn poll_timeout(&self, scheduler: &NodeScheduler) -> Option<Time> {
        let next = scheduler.shareable().map(|since| since + OVERDUE_AFTER);
        next.filter(|due| *due > self.looked && self.spills).min()
    }

    /// Returns what the control role should hear when that has changed, or when it has guessed.
    pub fn poll_report(
        &mut self,
        scheduler: &NodeScheduler,
        workers: usize,
        now: Time,
    ) -> Option<NodeReport> {
        self.looked = now;
        let is_overdue = |since: &Time| *since + OVERDUE_AFTER <= now;
        let overdue = match self.spills {
            true => scheduler.shareable().filter(is_overdue).count(),
            false => 0,
        };
        let view = View {
            version: scheduler.version(),
            workers,
            overdue,
        };
        let is_guessed = std::mem::take(&mut self.is_guessed) && !is_planted(Bug::GuessesKept);
        if view == self.seen && !is_guessed {
            return None;
        }
        self.seen = view;
        self.reports += 1;
        Some(NodeReport {
            version: self.reports,
            available: scheduler.available(),
            queue_len: u32::try_from(scheduler.waiting_requests()).unwrap_or(u32::MAX),
            overdue: u32::try_from(overdue).unwrap_or(u32::MAX),
        })
    }
}

/// What waits at a node for longer, and for which another has room, goes there.
const OVERDUE_AFTER: Duration = Duration::from_millis(20);
/// Requests that wait at a node before it passes further ones on.
const LOCAL_QUEUE_MAX: usize = 8;
