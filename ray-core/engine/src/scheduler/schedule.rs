//! Which request gets which worker, who is started for the rest and what is recalled for it.

use std::collections::{BTreeMap, VecDeque};

use super::{Command, Lease, LeaseKind, NodeScheduler, Request, WorkerState, actor_of};
use crate::{
    failure::Failure,
    ids::{JobId, LeaseId, ProcessId},
    resources::Resources,
    time::Time,
};

impl NodeScheduler {
    /// Grants what fits, starts workers for what fits without one, recalls leases for what does not.
    pub(super) fn schedule(&mut self, _now: Time) {
        // The one that went idle last is the warmest.
        let mut idle = self.idle_workers();
        let mut waiting = VecDeque::new();
        let mut without_worker = BTreeMap::<JobId, usize>::new();
        let mut refused_shapes: Vec<Resources> = Vec::new();
        while let Some(request) = self.requests.pop_front() {
            if refused_shapes.contains(&request.shape) || !self.fits(&request.shape) {
                // Later requests of the same shape wait behind this one.
                if !refused_shapes.contains(&request.shape) {
                    refused_shapes.push(request.shape.clone());
                }
                waiting.push_back(request);
                continue;
            }
            // A process has no connection to itself, so nobody runs what it submitted itself.
            let suitable = idle.iter().rposition(|(_, process)| {
                let has_its_code =
                    self.workers.get(process).map(|worker| worker.job) == Some(request.job);
                has_its_code && !request.is_from(*process)
            });
            let Some((_, worker)) = suitable.map(|position| idle.remove(position)) else {
                *without_worker.entry(request.job).or_default() += 1;
                waiting.push_back(request);
                continue;
            };
            self.grant(request, worker);
        }
        waiting.append(&mut self.requests);
        self.requests = waiting;
        for (job, count) in without_worker {
            self.spawn_for(job, count);
        }
        self.recall();
    }

    fn grant(&mut self, request: Request, worker: ProcessId) {
        let lease = LeaseId(self.next_lease);
        self.next_lease += 1;
        let Request {
            requester,
            request,
            shape,
            kind,
            ..
        } = request;
        self.take(&shape);
        let actor = match kind {
            LeaseKind::Task => None,
            LeaseKind::Actor { actor, running } => Some((actor, running)),
        };
        let for_actor = actor.as_ref().map(|(actor, _)| *actor);
        if let Some(found) = self.workers.get_mut(&worker) {
            found.state = WorkerState::Leased(lease);
            found.blocked = 0;
        }
        self.leases.insert(
            lease,
            Lease {
                requester,
                worker,
                held: shape.clone(),
                shape,
                actor,
                is_recalled: false,
                is_lent: false,
            },
        );
        self.commands.push_back(Command::Grant {
            requester,
            request,
            lease,
            worker,
            actor: for_actor,
        });
    }

    fn spawn_for(&mut self, job: JobId, without_worker: usize) {
        // Only as many as the free resources can really run at once.
        let mut free = self.free.clone();
        let mut startable = 0;
        for request in self.requests.iter().filter(|request| request.job == job) {
            let fits = request
                .shape
                .0
                .iter()
                .all(|(name, amount)| free.get(name).copied().unwrap_or(0) >= amount.0 as i64);
            if fits {
                for (name, amount) in &request.shape.0 {
                    *free.entry(name.clone()).or_default() -= amount.0 as i64;
                }
                startable += 1;
            }
        }
        let starting = self
            .workers
            .values()
            .filter(|worker| worker.job == job && worker.state == WorkerState::Starting)
            .count()
            + self.spawning.iter().filter(|other| **other == job).count();
        let room = self
            .config
            .workers_max
            .saturating_sub(self.workers.len() + self.spawning.len());
        let wanted = startable.min(without_worker).saturating_sub(starting);
        for _ in 0..wanted.min(room) {
            self.spawn(job);
        }
        if room == 0 && starting == 0 {
            self.refuse_deadlocked();
        }
    }

    /// With every worker process blocked and none allowed any more, nobody would ever run the rest.
    fn refuse_deadlocked(&mut self) {
        let all_blocked = self.workers.values().all(|worker| worker.blocked > 0);
        if !all_blocked {
            return;
        }
        let count = self.workers.len();
        for Request {
            requester,
            request,
            kind,
            ..
        } in std::mem::take(&mut self.requests)
        {
            let failure = Failure::WouldDeadlock(format!(
                "all {count} worker processes wait for results of others, and no more may be started"
            ));
            let actor = actor_of(&kind);
            self.commands.push_back(Command::Refuse {
                requester,
                request,
                failure,
                actor,
            });
        }
    }

    /// Asks holders of task leases to make room for what waits.
    fn recall(&mut self) {
        let mut wanted = 0_usize;
        let mut asking: Vec<(ProcessId, Resources)> = Vec::new();
        for request in &self.requests {
            if !self.fits(&request.shape) {
                wanted += 1;
                asking.push((request.requester, request.shape.clone()));
            }
        }
        let recalled = self
            .leases
            .values()
            .filter(|lease| lease.is_recalled)
            .count();
        let mut left = wanted.saturating_sub(recalled);
        for (id, lease) in &mut self.leases {
            if left == 0 {
                return;
            }
            let helps = asking
                .iter()
                .any(|(requester, shape)| *requester != lease.requester || *shape != lease.shape);
            if lease.actor.is_some() || lease.is_recalled || !helps || lease.held.is_empty() {
                continue;
            }
            lease.is_recalled = true;
            left -= 1;
            self.commands.push_back(Command::RecallLease {
                requester: lease.requester,
                lease: *id,
            });
        }
    }
}
