//! Which request gets which worker, who is started for the rest and what is recalled for it.

use std::collections::{BTreeMap, VecDeque};

use super::{Command, Lease, LeaseKind, NodeScheduler, Request, Source, WorkerState};
use crate::{
    failure::Failure,
    ids::{JobId, LeaseId, ProcessId},
    time::Time,
};

impl NodeScheduler {
    /// Grants what fits, starts workers for what fits without one, recalls leases for what does not.
    pub(super) fn schedule(&mut self, now: Time) {
        // The one that went idle last is the warmest.
        let mut idle = self.idle_workers();
        let mut waiting = VecDeque::new();
        let mut without_worker = BTreeMap::<JobId, usize>::new();
        let mut refused_shapes = Vec::new();
        while let Some(request) = self.requests.pop_front() {
            let shape = (request.shape.clone(), request.terms.bundle);
            let is_task = request.kind == LeaseKind::Task;
            if refused_shapes.contains(&shape)
                || !self.fits(&request)
                || (is_task && !self.is_under_cap(&request.shape, now))
            {
                // Later requests of the same shape wait behind this one.
                if !refused_shapes.contains(&shape) {
                    refused_shapes.push(shape);
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
            self.grant(request, worker, now);
        }
        waiting.append(&mut self.requests);
        self.requests = waiting;
        for (job, count) in without_worker {
            self.spawn_for(job, count);
        }
        self.recall();
    }

    fn grant(&mut self, request: Request, worker: ProcessId, now: Time) {
        let lease = LeaseId(self.next_lease);
        self.next_lease += 1;
        let Request {
            requester,
            request,
            shape,
            kind,
            terms,
            ..
        } = request;
        let bundle = terms
            .bundle
            .and_then(|bundle| self.open_bundle(bundle, &shape));
        let source = Source {
            bundle,
            devices: self.pool_of(bundle).take(&shape),
            since: now,
        };
        let devices = source.devices.clone();
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
                source,
            },
        );
        self.commands.push_back(Command::Grant {
            requester,
            request,
            lease,
            worker,
            actor: for_actor,
            devices,
            arrival: terms.arrival,
        });
    }

    fn spawn_for(&mut self, job: JobId, without_worker: usize) {
        // Only as many as the free resources can really run at once.
        let mut pool = self.pool.clone();
        let mut startable = 0;
        for request in self.requests.iter().filter(|request| request.job == job) {
            let has_room = match request.terms.bundle {
                Some(_) => self.fits(request),
                None => pool.fits(&request.shape),
            };
            if has_room {
                if request.terms.bundle.is_none() {
                    pool.take(&request.shape);
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
        for request in std::mem::take(&mut self.requests) {
            let failure = Failure::WouldDeadlock(format!(
                "all {count} worker processes wait for results of others, and no more may be started"
            ));
            self.give_up_on(request, failure);
        }
    }

    /// Asks holders of task leases to make room for what waits.
    fn recall(&mut self) {
        let mut wanted = 0_usize;
        let mut asking = Vec::new();
        for request in &self.requests {
            if !self.fits(request) {
                wanted += 1;
                let group = request.terms.bundle.map(|bundle| bundle.group);
                asking.push((request.requester, request.shape.clone(), group));
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
            let drawn = lease.source.bundle.map(|(group, _)| group);
            let helps = asking.iter().any(|(requester, shape, group)| {
                let is_other = *requester != lease.requester || *shape != lease.shape;
                is_other && *group == drawn
            });
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
