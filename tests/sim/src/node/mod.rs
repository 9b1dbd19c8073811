//! The node role: leases, worker processes, its share of placement groups.
//!
//! It follows `ray-core/src/node/mod.rs` and `node/commands.rs`.

use std::collections::{BTreeMap, BTreeSet};

use ray_engine::{
    failure::WorkerExit,
    ids::{GroupId, JobId, ProcessId, RequestId},
    resources::Resources,
    scheduler::{Command, NodeScheduler, Placements, SchedulerConfig, Shared},
    spec::{Demand, Labels, Placement},
    time::Time,
};

use crate::{
    wire::{Location, Message},
    world::{HEAD, World},
};

/// What a node knows and decides.
pub struct Node {
    /// Its resources, workers and leases.
    pub scheduler: NodeScheduler,
    /// What it has to do with the control role.
    pub placements: Placements,
    /// Worker processes from their start on.
    pub workers: BTreeMap<ProcessId, Worker>,
    /// What it has in all.
    pub total: Resources,
    /// What it says of itself.
    pub labels: Labels,
    jobs: BTreeSet<JobId>,
    clock: Clock,
    tick_at: Option<Time>,
    next_process: u64,
}

/// A worker process from its start on.
pub struct Worker {
    /// Whose code it has.
    pub job: JobId,
    /// Whether it is connected.
    pub is_ready: bool,
    /// The removed placement group that it is ended for.
    evicted_from: Option<GroupId>,
}

/// A clock that is off, and runs too fast or too slow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// How far ahead it began; nanoseconds.
    pub ahead_nanos: u64,
    /// How much faster it runs; millionths.
    pub drift_ppm: u64,
}

impl Clock {
    fn read(self, at: Time) -> Time {
        Time(at.0 + self.ahead_nanos + self.drifted(at.0))
    }

    fn drifted(self, nanos: u64) -> u64 {
        nanos / 1_000_000 * self.drift_ppm
    }

    /// Returns when the clock shows at least `due`.
    fn when(self, due: Time, now: Time) -> Time {
        let left = due.since(self.read(now)).as_nanos() as u64;
        Time(now.0 + left + u64::from(left > 0) * 1_000)
    }
}

impl Node {
    /// Returns a node without workers.
    pub fn new(
        process: ProcessId,
        (total, labels): (Resources, Labels),
        config: SchedulerConfig,
        spills: bool,
        clock: Clock,
    ) -> Node {
        Node {
            scheduler: NodeScheduler::new(total.clone(), config).with_first_lease(process.0 + 1),
            placements: Placements::new(process, spills),
            workers: BTreeMap::new(),
            total,
            labels,
            jobs: BTreeSet::new(),
            clock,
            tick_at: None,
            next_process: 1,
        }
    }

    /// Returns whether a worker of this node is connected.
    pub fn is_ready(&self, worker: ProcessId) -> bool {
        self.workers
            .get(&worker)
            .is_some_and(|worker| worker.is_ready)
    }

    /// Says that a job may run here.
    pub fn know_job(&mut self, job: JobId) {
        self.jobs.insert(job);
    }

    fn ready_workers(&self) -> Vec<ProcessId> {
        self.workers
            .iter()
            .filter(|(_, worker)| worker.is_ready)
            .map(|(id, _)| *id)
            .collect()
    }
}

impl World {
    pub(crate) fn node(&mut self, at: ProcessId) -> &mut Node {
        self.nodes
            .get_mut(&at)
            .expect("the caller knows that it is alive")
    }

    fn node_now(&mut self, at: ProcessId) -> Time {
        let now = self.now;
        self.node(at).clock.read(now)
    }

    /// Handles a message for a node.
    pub(crate) fn on_node_message(&mut self, at: ProcessId, from: ProcessId, message: Message) {
        let now = self.node_now(at);
        let node = self.node(at);
        let Node {
            scheduler,
            placements,
            ..
        } = node;
        match message {
            Message::RequestLease(request, job, shape, placement) => {
                let job = node.workers.get(&from).map_or(job, |worker| worker.job);
                self.on_request(at, (from, request), job, shape, placement);
            }
            Message::CancelLeaseRequest(request, was_placed) => {
                if placements.on_cancel(scheduler, (from, request), was_placed, now) {
                    self.send(at, HEAD, Message::CancelSpilled(from, request));
                }
            }
            Message::PlaceLease {
                requester,
                request,
                demand,
                is_bound,
            } => {
                let asked = (requester, request);
                if !placements.on_placed(scheduler, asked, demand, is_bound, now) {
                    self.send(at, from, Message::LeaseRejected(requester, request));
                }
            }
            Message::ShareWaiting(room) => {
                let shared = placements.share(scheduler, &room, now);
                for shared in shared {
                    let message = match shared {
                        Shared::Own {
                            requester,
                            request,
                            demand,
                        } => Message::SpillLease(requester, request, *demand),
                        Shared::Placed { requester, request } => {
                            Message::LeaseRejected(requester, request)
                        }
                    };
                    self.send(at, from, message);
                }
            }
            Message::CancelPlaced(requester, request) => {
                placements.on_placed_cancelled(scheduler, (requester, request), now);
            }
            Message::ReturnLease(lease) => scheduler.return_lease(lease, now),
            Message::PrepareBundles(group, attempt, bundles) => {
                placements.on_bundles();
                let answer = match scheduler.prepare_bundles(group, attempt, &bundles, now) {
                    Ok(()) => Message::BundlesPrepared(group, attempt),
                    Err(_) => Message::BundlesRefused(group, attempt),
                };
                self.send(at, from, answer);
            }
            Message::MakeRoom(bundles) => scheduler.make_room(&bundles, now),
            Message::CommitBundles(group, attempt) => {
                placements.on_bundles();
                let answer = match scheduler.commit_bundles(group, attempt, now) {
                    Ok(()) => Message::BundlesCommitted(group, attempt),
                    Err(_) => Message::BundlesRefused(group, attempt),
                };
                self.send(at, from, answer);
            }
            Message::ReturnBundles(group, attempt) => {
                scheduler.return_bundles(group, attempt, now);
            }
            Message::WorkerReady => {
                if let Some(worker) = node.workers.get_mut(&from) {
                    worker.is_ready = true;
                    scheduler.on_worker_ready(from, now);
                }
                self.hears_of_deaths(from);
            }
            Message::Blocked => scheduler.on_worker_blocked(from, now),
            Message::Unblocked => scheduler.on_worker_unblocked(from, now),
            Message::StayedBusy => scheduler.on_worker_stayed(from, now),
            Message::KillWorker(worker) => {
                if node.workers.contains_key(&worker) {
                    self.kill(worker);
                }
            }
            Message::ActorRunning(lease) => scheduler.on_actor_started(lease, now),
            Message::StopWorkersActor(worker, actor) => {
                self.send(at, worker, Message::StopActor(actor));
            }
            said @ (Message::ActorStarted(..)
            | Message::ActorStartFailed(..)
            | Message::ActorExit(..)) => {
                self.send(at, HEAD, Message::OfWorker(from, Box::new(said)));
            }
            Message::JobAnnounced(job) => node.know_job(job),
            Message::JobEnded(job) => {
                scheduler.on_job_ended(job, now);
                node.jobs.remove(&job);
            }
            other => {
                let text = format!("the node {at} got {other:?} from {from}");
                self.fail("no lost result", text);
            }
        }
        self.settle_node(at);
    }

    /// From now on the node tells a worker who has died.
    fn hears_of_deaths(&mut self, worker: ProcessId) {
        let now = self.now;
        if let Some(process) = self.processes.get_mut(&worker) {
            process.began = now;
        }
    }

    fn on_request(
        &mut self,
        at: ProcessId,
        asked: (ProcessId, RequestId),
        job: JobId,
        shape: Resources,
        placement: Placement,
    ) {
        let now = self.node_now(at);
        let Node {
            scheduler,
            placements,
            ..
        } = self.node(at);
        if !placements.on_request(scheduler, asked, job, &shape, &placement, now) {
            return;
        }
        let demand = Demand {
            job,
            strategy: placement.strategy,
            bundle: placement.bundle,
            origin: Some(at.node()),
            ..Demand::task(shape)
        };
        let (requester, request) = asked;
        self.send(at, HEAD, Message::SpillLease(requester, request, demand));
    }

    /// Returns where a process of this node is.
    pub(crate) fn locate_at_node(&self, at: ProcessId, process: ProcessId) -> Location {
        match self.nodes.get(&at) {
            Some(node) if node.is_ready(process) => Location::At,
            _ => Location::Gone,
        }
    }

    /// Lets a node act on time.
    pub(crate) fn on_node_tick(&mut self, at: ProcessId) {
        if !self.nodes.contains_key(&at) {
            return;
        }
        let now = self.node_now(at);
        let node = self.node(at);
        node.tick_at = None;
        node.scheduler.on_timeout(now);
        self.settle_node(at);
    }

    /// Carries out what a node's scheduler wishes, until it is still, and tells the control role.
    pub(crate) fn settle_node(&mut self, at: ProcessId) {
        while let Some(command) = self
            .nodes
            .get_mut(&at)
            .and_then(|node| node.scheduler.poll_command())
        {
            self.run_scheduler_command(at, command);
        }
        let now = self.now;
        let Some(node) = self.nodes.get_mut(&at) else {
            return;
        };
        let verdict = self.invariants.resources.check(at, &node.scheduler);
        let report =
            node.placements
                .poll_report(&node.scheduler, node.workers.len(), node.clock.read(now));
        let overdue = node.placements.poll_timeout(&node.scheduler);
        let due = [node.scheduler.poll_timeout(), overdue];
        if let Some(due) = due.into_iter().flatten().min() {
            let due = node.clock.when(due, now);
            if node.tick_at.is_none_or(|armed| due < armed) {
                node.tick_at = Some(due);
                self.wake_node(at, due);
            }
        }
        self.judge("resources add up", verdict);
        if let Some(report) = report {
            self.send(at, HEAD, Message::NodeView(report));
        }
    }

    fn run_scheduler_command(&mut self, at: ProcessId, command: Command) {
        let now = self.node_now(at);
        let node = self.node(at);
        match command {
            Command::Grant {
                requester,
                request,
                lease,
                worker,
                actor,
                ..
            } => {
                if !node.is_ready(worker) {
                    return node.scheduler.return_lease(lease, now);
                }
                let was_placed = node
                    .placements
                    .on_answered(requester, request, actor.is_some());
                let granted = match actor {
                    Some(_) => Message::ActorPlaced {
                        request,
                        lease,
                        worker,
                    },
                    None => Message::LeaseGranted {
                        request,
                        lease,
                        worker,
                        was_placed,
                    },
                };
                self.send(at, requester, granted);
            }
            Command::Refuse {
                requester,
                request,
                failure,
                actor,
                ..
            } => {
                let was_placed = node
                    .placements
                    .on_answered(requester, request, actor.is_some());
                let refused = match actor {
                    Some(_) => Message::ActorPlaceRefused(request, failure),
                    None => Message::LeaseRefused(request, failure, was_placed),
                };
                self.send(at, requester, refused);
            }
            Command::SpawnWorker { job, .. } => {
                let process = at.started(node.next_process);
                node.next_process += 1;
                node.scheduler.on_spawn_started(process, job, now);
                if node.jobs.contains(&job) {
                    let worker = Worker {
                        job,
                        is_ready: false,
                        evicted_from: None,
                    };
                    node.workers.insert(process, worker);
                    self.spawn(process);
                } else {
                    node.scheduler.on_spawn_failed(process, now);
                    self.invariants.reads.on_failed_start();
                }
            }
            Command::RecallLease { requester, lease } => {
                self.send(at, requester, Message::RecallLease(lease));
            }
            Command::StopWorker { process } => self.send(at, process, Message::StopIdle),
            Command::KillWorker { process } => {
                if node.workers.contains_key(&process) {
                    self.kill(process);
                }
            }
            Command::EvictWorker { process, group } => {
                if let Some(worker) = node.workers.get_mut(&process) {
                    worker.evicted_from = Some(group);
                    self.kill(process);
                }
            }
            Command::Tell(notice) => {
                unreachable!("a node that has not joined tells nobody: {notice:?}")
            }
        }
    }

    /// The node notices that a worker process has ended.
    pub(crate) fn on_worker_exit(&mut self, process: ProcessId) {
        let at = process.node_process();
        if !self.nodes.contains_key(&at) {
            return;
        }
        let now = self.node_now(at);
        let node = self.node(at);
        let Some(worker) = node.workers.remove(&process) else {
            return;
        };
        let exit = WorkerExit {
            worker: process,
            evicted_from: worker.evicted_from,
            ..WorkerExit::default()
        };
        node.scheduler.on_worker_died(process, now);
        self.on_process_gone(at, process);
        self.tell_workers(at, &Message::ProcessDied(process, exit.evicted_from));
        self.settle_node(at);
        self.on_process_died(at, process, exit.evicted_from);
        self.send(at, HEAD, Message::WorkerDied(process, exit.evicted_from));
    }

    /// A process is gone that may have asked this node for workers.
    fn on_process_gone(&mut self, at: ProcessId, process: ProcessId) {
        let now = self.node_now(at);
        let node = self.node(at);
        node.scheduler.on_process_died(process, now);
        node.placements.on_process_gone(process);
    }

    /// A process of another node is gone.
    pub(crate) fn on_remote_process_died(
        &mut self,
        at: ProcessId,
        process: ProcessId,
        evicted_from: Option<GroupId>,
    ) {
        self.on_process_gone(at, process);
        self.tell_workers(at, &Message::ProcessDied(process, evicted_from));
        self.settle_node(at);
    }

    /// Another node is gone, with all its processes.
    pub(crate) fn on_remote_node_died(&mut self, at: ProcessId, node: ProcessId) {
        for process in self.node(at).scheduler.requesters() {
            if process.node_process() == node {
                self.on_process_gone(at, process);
            }
        }
        self.tell_workers(at, &Message::NodeDied(node));
        self.settle_node(at);
    }

    fn tell_workers(&mut self, at: ProcessId, message: &Message) {
        for worker in self.node(at).ready_workers() {
            self.send(at, worker, message.clone());
        }
    }

    /// A worker process could not be started at all.
    pub(crate) fn on_spawn_failed(&mut self, process: ProcessId) {
        let at = process.node_process();
        if !self.nodes.contains_key(&at) {
            return;
        }
        let now = self.node_now(at);
        let node = self.node(at);
        node.workers.remove(&process);
        node.scheduler.on_spawn_failed(process, now);
        self.settle_node(at);
    }
}
