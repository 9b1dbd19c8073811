//! Which request gets which worker, who is started for the rest and what is recalled for it.
//!
//! A worker sees the same GPUs for its whole life, since a running process cannot be told of others. So a
//! worker fits a request when it has the job's code, was started with the environment that is asked for, and sees
//! just the GPUs that the request would hold.

use std::collections::{BTreeMap, VecDeque};

use super::{
    Command, Lease, LeaseKind, NodeScheduler, Request, Source, WorkerState, bundles::BundleKey,
    pool::Pool,
};
use crate::{
    env::RuntimeEnv,
    ids::{JobId, LeaseId, ProcessId},
    resources::{Amount, Resources},
    spec::DeviceShare,
    time::Time,
};

impl NodeScheduler {
    /// Grants what fits, starts workers for what fits without one, recalls leases for what does not.
    pub(super) fn schedule(&mut self, now: Time) {
        // The one that went idle last is the warmest.
        let mut idle = self.idle_workers();
        let mut waiting = VecDeque::new();
        // Which of those that wait lack nothing but a worker.
        let mut lacks_worker = Vec::new();
        let mut room = self.room_for_tasks();
        let mut refused_shapes = Vec::new();
        // What is left when those before have what they need and only lack a worker, which is being started:
        // who has one at hand may not take that from them each time.
        let mut left: Option<Pool> = None;
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
                lacks_worker.push(false);
                continue;
            }
            let is_plain = request.terms.bundle.is_none();
            if is_plain && left.as_ref().is_some_and(|left| !left.fits(&request.shape)) {
                waiting.push_back(request);
                lacks_worker.push(false);
                continue;
            }
            let suitable = self.suitable(&request, &idle);
            let Some((position, devices)) = suitable.filter(|_| !is_task || room > 0) else {
                if is_plain && self.is_worker_coming(&request) {
                    let left = left.get_or_insert_with(|| self.pool.clone());
                    left.take(&request.shape);
                }
                waiting.push_back(request);
                lacks_worker.push(true);
                continue;
            };
            if let Some(left) = left.as_mut().filter(|_| is_plain) {
                left.take(&request.shape);
            }
            room -= usize::from(is_task);
            let (_, worker) = idle.remove(position);
            self.grant(request, worker, devices, now);
        }
        waiting.append(&mut self.requests);
        self.requests = waiting;
        self.spawn_for(&lacks_worker, now);
        self.recall();
    }

    /// Returns whether a worker for a request is on its way, or may be started.
    fn is_worker_coming(&self, request: &Request) -> bool {
        let is_alike =
            |job: JobId, env: &RuntimeEnv| job == request.job && *env == request.terms.env;
        let is_starting = |worker: &super::Worker| {
            worker.state == WorkerState::Starting && is_alike(worker.job, &worker.env)
        };
        self.room_for_workers(0) > 0
            || self.workers.values().any(is_starting)
            || self
                .spawning
                .iter()
                .any(|(job, _, env)| is_alike(*job, env))
    }

    /// Returns the pool that a request draws from now.
    fn source_of(&self, request: &Request) -> Option<&Pool> {
        match request.terms.bundle {
            Some(bundle) => {
                let key = self.open_bundle(bundle, &request.shape)?;
                Some(&self.bundles.get(&key)?.pool)
            }
            None => Some(&self.pool),
        }
    }

    /// Returns which idle worker is to run a request that fits, and on which devices.
    fn suitable(
        &self,
        request: &Request,
        idle: &[(Time, ProcessId)],
    ) -> Option<(usize, Vec<DeviceShare>)> {
        let pool = self.source_of(request)?;
        // A process has no connection to itself, so nobody runs what it submitted itself.
        let find = |is_meant: &dyn Fn(&[u32]) -> bool| {
            idle.iter().rposition(|(_, process)| {
                let worker = self.workers.get(process);
                worker.is_some_and(|worker| {
                    worker.job == request.job
                        && worker.env == request.terms.env
                        && is_meant(&worker.gpus)
                }) && !request.is_from(*process)
            })
        };
        let devices = pool.devices_for(&request.shape)?;
        if let Some(position) = find(&|gpus| is_just(gpus, &devices)) {
            return Some((position, devices));
        }
        // Whole devices are as good as others; a fraction elsewhere would leave two parts in use.
        if request.shape.amount(Resources::GPU) < Amount::ONE {
            return None;
        }
        let on = |gpus: &[u32]| pool.shares_on(&request.shape, gpus);
        let position = find(&|gpus| on(gpus).is_some())?;
        let worker = self.workers.get(&idle[position].1)?;
        Some((position, on(&worker.gpus)?))
    }

    fn grant(&mut self, request: Request, worker: ProcessId, devices: Vec<DeviceShare>, now: Time) {
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
        self.pool_of(bundle).take_on(&shape, &devices);
        let source = Source {
            bundle,
            devices: devices.clone(),
            since: now,
            runs_once: terms.runs_once,
        };
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

    /// Starts workers for those that wait for nothing else.
    fn spawn_for(&mut self, lacks_worker: &[bool], now: Time) {
        // Only as many as the free resources can really run at once.
        let mut pools = BTreeMap::new();
        let mut wanted = BTreeMap::<(JobId, Vec<u32>, RuntimeEnv), Wanted>::new();
        for (request, _) in self
            .requests
            .iter()
            .zip(lacks_worker)
            .filter(|(_, it)| **it)
        {
            let sources: Vec<(Option<BundleKey>, &Pool)> = match request.terms.bundle {
                Some(bundle) => self
                    .committed(bundle)
                    .map(|(key, bundle)| (Some(key), &bundle.pool))
                    .collect(),
                None => vec![(None, &self.pool)],
            };
            let devices = sources.into_iter().find_map(|(key, pool)| {
                let left = pools.entry(key).or_insert_with(|| pool.clone());
                left.fits(&request.shape).then(|| left.take(&request.shape))
            });
            if let Some(devices) = devices {
                let gpus = devices.iter().map(|share| share.index).collect();
                let kind = (request.job, gpus, request.terms.env.clone());
                let wanted = wanted.entry(kind).or_default();
                match request.kind {
                    LeaseKind::Task => wanted.tasks += 1,
                    LeaseKind::Actor { .. } => wanted.actors += 1,
                }
            }
        }
        self.is_short = false;
        let actors = wanted.values().map(|wanted| wanted.actors).sum();
        for ((job, gpus, env), wanted) in wanted {
            let is_alike = |of: JobId, sees: &[u32], has: &RuntimeEnv| {
                of == job && *sees == *gpus && *has == env
            };
            let is_starting = |worker: &&super::Worker| worker.state == WorkerState::Starting;
            let starting = self.workers.values().filter(is_starting);
            let starting = starting
                .filter(|worker| is_alike(worker.job, &worker.gpus, &worker.env))
                .count()
                + self
                    .spawning
                    .iter()
                    .filter(|(of, sees, has)| is_alike(*of, sees, has))
                    .count();
            let room = self.room_for_workers(actors);
            let lacking = (wanted.tasks + wanted.actors).saturating_sub(starting);
            for _ in 0..lacking.min(room) {
                self.spawn(job, gpus.clone(), env.clone());
            }
            self.is_short |= room < lacking;
        }
        if self.is_short {
            self.on_no_room(now);
        } else {
            self.on_room();
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

/// How many wait for a worker of one kind.
#[derive(Default)]
struct Wanted {
    tasks: usize,
    actors: usize,
}

/// Returns whether a worker that sees `gpus` sees these devices and no other.
fn is_just(gpus: &[u32], devices: &[DeviceShare]) -> bool {
    gpus.iter().eq(devices.iter().map(|share| &share.index))
}
