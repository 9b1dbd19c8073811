//! Worker processes: their start, their blocks, their end.

use std::collections::VecDeque;

use super::{Command, NodeScheduler, Request, Worker, WorkerState};
use crate::{
    env::RuntimeEnv,
    failure::Failure,
    ids::{JobId, ProcessId},
    resources::Resources,
    time::Time,
};

impl NodeScheduler {
    pub(super) fn idle_workers(&self) -> Vec<(Time, ProcessId)> {
        let mut idle = self
            .workers
            .iter()
            .filter_map(|(process, worker)| match worker.state {
                WorkerState::Idle(since) => Some((since, *process)),
                _ => None,
            })
            .collect::<Vec<_>>();
        idle.sort_unstable();
        idle
    }

    /// Returns whether a process is one of the workers here, from its start to its end.
    pub fn has_worker(&self, process: ProcessId) -> bool {
        self.workers.contains_key(&process)
    }

    /// Starts workers before anybody asks.
    pub fn prestart(&mut self, job: JobId, env: &RuntimeEnv, count: usize, _now: Time) {
        for _ in 0..count {
            self.spawn(job, Vec::new(), env.clone());
        }
    }

    pub(super) fn spawn(&mut self, job: JobId, gpus: Vec<u32>, env: RuntimeEnv) {
        self.spawning.push_back((job, gpus.clone(), env.clone()));
        self.commands
            .push_back(Command::SpawnWorker { job, gpus, env });
    }

    /// The process that the oldest spawn command of the job led to.
    pub fn on_spawn_started(&mut self, process: ProcessId, job: JobId, _now: Time) {
        let asked = self.spawning.iter().position(|(other, ..)| *other == job);
        let asked = asked.and_then(|position| self.spawning.remove(position));
        let (_, gpus, env) = asked.unwrap_or_default();
        self.workers.insert(
            process,
            Worker {
                job,
                gpus,
                env,
                state: WorkerState::Starting,
                blocked: 0,
            },
        );
    }

    /// A worker process could not be started at all.
    pub fn on_spawn_failed(&mut self, process: ProcessId, now: Time) {
        self.workers.remove(&process);
        self.on_failed_start(now);
    }

    fn on_failed_start(&mut self, now: Time) {
        self.failed_starts += 1;
        if self.failed_starts < self.config.failed_starts_max {
            self.schedule(now);
            return;
        }
        for request in std::mem::take(&mut self.requests) {
            let text = "worker processes end before they are ready: is `init()` the first statement of `main`? \
                        The worker logs in the run directory say more";
            self.refuse(request, Failure::System(text.into()));
        }
    }

    /// The environment that a worker was to be started with cannot be had on this node: who waits for one like
    /// it is refused.
    pub fn on_env_failed(&mut self, process: ProcessId, failure: Failure, now: Time) {
        let Some(worker) = self.workers.remove(&process) else {
            return;
        };
        let is_meant =
            |waiting: &Request| waiting.job == worker.job && waiting.terms.env == worker.env;
        let (refused, rest): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.requests)
            .into_iter()
            .partition(is_meant);
        self.requests = rest;
        for request in refused {
            self.refuse(request, failure.clone());
        }
        self.schedule(now);
    }

    /// A worker is connected and idle.
    pub fn on_worker_ready(&mut self, process: ProcessId, now: Time) {
        self.failed_starts = 0;
        if let Some(worker) = self.workers.get_mut(&process)
            && worker.state == WorkerState::Starting
        {
            worker.state = WorkerState::Idle(now);
        }
        self.schedule(now);
    }

    /// A worker that was to stop for being idle stays, since others need what it owns.
    pub fn on_worker_stayed(&mut self, process: ProcessId, now: Time) {
        if let Some(worker) = self.workers.get_mut(&process)
            && worker.state == WorkerState::Stopping
        {
            worker.state = WorkerState::Idle(now);
            self.schedule(now);
        }
    }

    /// A worker process ended; its lease ends with it.
    pub fn on_worker_died(&mut self, process: ProcessId, now: Time) {
        let Some(worker) = self.workers.remove(&process) else {
            return;
        };
        if self.workers.values().all(|other| other.job != worker.job) {
            self.ended_jobs.remove(&worker.job);
        }
        // What it asked for itself must not be granted in between.
        self.requests.retain(|waiting| waiting.requester != process);
        match worker.state {
            WorkerState::Leased(lease) => {
                if let Some(ended) = self.leases.remove(&lease) {
                    self.release(&ended, now);
                }
            }
            WorkerState::Starting => return self.on_failed_start(now),
            WorkerState::Idle(_) | WorkerState::Stopping | WorkerState::Retired => {}
        }
        self.schedule(now);
    }

    /// A worker's call blocks: its CPU is for others meanwhile.
    pub fn on_worker_blocked(&mut self, process: ProcessId, now: Time) {
        let Some(worker) = self.workers.get_mut(&process) else {
            return;
        };
        worker.blocked += 1;
        if let WorkerState::Leased(id) = worker.state
            && let Some(lease) = self.leases.get_mut(&id)
            && !lease.is_lent
        {
            lease.is_lent = true;
            let cpu = Resources::new().with(Resources::CPU, lease.held.amount(Resources::CPU));
            lease.held.set(Resources::CPU, crate::resources::Amount(0));
            let bundle = lease.source.bundle;
            self.pool_of(bundle).give(&cpu, &[]);
            self.schedule(now);
        }
    }

    /// A worker's call goes on and has its CPU again.
    pub fn on_worker_unblocked(&mut self, process: ProcessId, _now: Time) {
        let Some(worker) = self.workers.get_mut(&process) else {
            return;
        };
        worker.blocked = worker.blocked.saturating_sub(1);
        if worker.blocked == 0
            && let WorkerState::Leased(id) = worker.state
            && let Some(lease) = self.leases.get_mut(&id)
            && lease.is_lent
        {
            lease.is_lent = false;
            let amount = lease.shape.amount(Resources::CPU);
            lease.held.set(Resources::CPU, amount);
            let cpu = Resources::new().with(Resources::CPU, amount);
            let bundle = lease.source.bundle;
            self.pool_of(bundle).take_amounts(&cpu);
        }
    }

    pub(super) fn hosts_actor(&self, process: ProcessId) -> bool {
        let lease = match self.workers.get(&process).map(|worker| worker.state) {
            Some(WorkerState::Leased(lease)) => self.leases.get(&lease),
            _ => None,
        };
        lease.is_some_and(|lease| lease.actor.is_some())
    }
}
