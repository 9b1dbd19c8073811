//! The node's scheduler: logical resources, worker processes, leases.
//!
//! A lease is the right to use one worker for one shape. Requests are answered in the order of arrival
//! among those that fit. A worker that blocks in `get` gives its CPU back and does not count, so nested
//! tasks never wait for their own parents. When it wakes it takes the CPU again at once: for a moment
//! more may be held than there is, as in Ray.

mod bundles;
mod cap;
pub mod cluster;
mod command;
mod limit;
mod member;
mod memory;
mod placements;
pub mod policy;
mod pool;
mod report;
mod retired;
mod schedule;
mod sharing;
mod terms;
mod workers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bundles::{Bundle, BundleKey};
use cap::Relaxations;
use limit::Relief;
use member::Member;
use pool::Pool;
use terms::{Source, Terms};

pub use bundles::BundleRefusal;
pub use cap::WorkerCap;
pub use command::{Command, LeaseKind, SchedulerConfig};
pub use placements::{Placements, Shared};
pub use terms::{Arrival, MemberConfig, Notice, SpillReason};

use crate::{
    env::RuntimeEnv,
    ids::{ActorId, GroupId, JobId, LeaseId, ProcessId, RequestId},
    planted::{Bug, is_planted},
    resources::Resources,
    time::Time,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WorkerState {
    Starting,
    Idle(Time),
    Leased(LeaseId),
    Stopping,
    /// It runs nothing more and ends once nobody needs what it owns.
    Retired,
}

struct Worker {
    /// Whose code it has; it runs for nobody else.
    job: JobId,
    /// The GPUs that it sees; it runs only what is granted just these.
    gpus: Vec<u32>,
    /// What it was started with; it runs only what asks for just this.
    env: RuntimeEnv,
    state: WorkerState,
    /// How many of its calls block.
    blocked: u32,
}

struct Lease {
    requester: ProcessId,
    worker: ProcessId,
    shape: Resources,
    held: Resources,
    actor: Option<(ActorId, Resources)>,
    is_recalled: bool,
    /// Whether its CPU was given back for the time of a block.
    is_lent: bool,
    source: Source,
}

struct Request {
    requester: ProcessId,
    request: RequestId,
    job: JobId,
    shape: Resources,
    kind: LeaseKind,
    terms: Terms,
}

impl Request {
    /// Returns whether the process would send calls to the worker that is asked for.
    fn is_from(&self, process: ProcessId) -> bool {
        self.requester == process
            || actor_of(&self.kind).is_some_and(|actor| actor.owner == process)
    }
}

/// The state machine of one node.
pub struct NodeScheduler {
    /// What no lease holds and no bundle set aside.
    pool: Pool,
    config: SchedulerConfig,
    workers: BTreeMap<ProcessId, Worker>,
    leases: BTreeMap<LeaseId, Lease>,
    requests: VecDeque<Request>,
    next_lease: u64,
    /// Workers asked for and not yet named, in the order in which they were.
    spawning: VecDeque<(JobId, Vec<u32>, RuntimeEnv)>,
    failed_starts: u32,
    /// Jobs that are over and have actors here that live on.
    ended_jobs: BTreeSet<JobId>,
    bundles: BTreeMap<BundleKey, Bundle>,
    /// The newest attempt of each group that was returned.
    fences: BTreeMap<GroupId, u64>,
    /// Shapes at their cap.
    relaxations: Relaxations,
    /// How far the limit on processes has given way.
    relief: Relief,
    /// Whether tasks wait for processes, and no more may be started.
    is_short: bool,
    /// The node's place among others, when there are any.
    member: Option<Member>,
    commands: VecDeque<Command>,
}

impl NodeScheduler {
    /// Returns the scheduler of a node with these resources and no worker.
    pub fn new(total: Resources, config: SchedulerConfig) -> NodeScheduler {
        NodeScheduler {
            pool: Pool::of_node(total),
            config,
            workers: BTreeMap::new(),
            leases: BTreeMap::new(),
            requests: VecDeque::new(),
            next_lease: 1,
            spawning: VecDeque::new(),
            failed_starts: 0,
            ended_jobs: BTreeSet::new(),
            bundles: BTreeMap::new(),
            fences: BTreeMap::new(),
            relaxations: Relaxations::new(),
            relief: Relief::default(),
            is_short: false,
            member: None,
            commands: VecDeque::new(),
        }
    }

    /// Counts leases from `first` on, so that those of different nodes differ.
    pub fn with_first_lease(mut self, first: u64) -> NodeScheduler {
        self.next_lease = first;
        self
    }

    /// Returns who has leases or waits for some.
    pub fn requesters(&self) -> BTreeSet<ProcessId> {
        let waiting = self.requests.iter().map(|request| request.requester);
        let holding = self.leases.values().map(|lease| lease.requester);
        waiting.chain(holding).collect()
    }

    /// Returns the next wish.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Returns when [`NodeScheduler::on_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        let surplus = self.surplus().map(|(due, _)| due);
        let timeouts = [surplus, self.next_relief(), self.next_member_timeout()];
        timeouts.into_iter().flatten().min()
    }

    /// Returns what no lease holds and no bundle set aside.
    pub fn available(&self) -> Resources {
        self.pool.available()
    }

    /// Returns a number that changes with what [`NodeScheduler::available`] returns.
    pub fn version(&self) -> u64 {
        self.pool.version()
    }

    /// Returns whether everything that is held and free adds up to the total, in every bundle too.
    pub fn adds_up(&self) -> bool {
        let adds_up = |pool: &Pool, key: Option<BundleKey>, set_aside: &dyn Fn(&str) -> u64| {
            pool.total().0.iter().all(|(name, total)| {
                let held = self
                    .leases
                    .values()
                    .filter(|lease| lease.source.bundle == key)
                    .map(|lease| lease.held.amount(name).0)
                    .sum::<u64>();
                pool.free(name) + (held + set_aside(name)) as i64 == total.0 as i64
            })
        };
        let in_bundles = |name: &str| {
            let totals = self.bundles.values().map(|bundle| bundle.pool.total());
            totals.map(|total| total.amount(name).0).sum::<u64>()
        };
        adds_up(&self.pool, None, &in_bundles)
            && self
                .bundles
                .iter()
                .all(|(key, bundle)| adds_up(&bundle.pool, Some(*key), &|_| 0))
    }

    /// Returns how many requests wait.
    pub fn waiting_requests(&self) -> usize {
        self.requests.len()
    }

    /// Returns how many leases are granted.
    pub fn leases(&self) -> usize {
        self.leases.len()
    }

    /// Returns a line a lease, a worker and a request: who has what and who waits for what.
    pub fn describe(&self) -> Vec<String> {
        let leases = self.leases.iter().map(|(id, lease)| {
            let (requester, worker) = (lease.requester, lease.worker);
            format!("{id}: {worker} for {requester}, holds {}", lease.held)
        });
        let workers = self.workers.iter().map(|(id, worker)| {
            format!("{id}: {:?}, blocked {} times", worker.state, worker.blocked)
        });
        let requests = self.requests.iter().map(|request| {
            let Request {
                requester,
                request,
                shape,
                ..
            } = request;
            format!("{request} of {requester}: waits for {shape}")
        });
        leases.chain(workers).chain(requests).collect()
    }

    fn fits(&self, request: &Request) -> bool {
        match request.terms.bundle {
            Some(bundle) => self.open_bundle(bundle, &request.shape).is_some(),
            None => self.pool.fits(&request.shape),
        }
    }

    fn pool_of(&mut self, bundle: Option<BundleKey>) -> &mut Pool {
        match bundle {
            Some(key) => {
                let bundle = self.bundles.get_mut(&key);
                &mut bundle.expect("leases of a bundle leave it first").pool
            }
            None => &mut self.pool,
        }
    }

    /// Puts everything back that a lease held.
    fn release(&mut self, ended: &Lease, now: Time) {
        let source = &ended.source;
        self.pool_of(source.bundle)
            .give(&ended.held, &source.devices);
        self.note_held(source.since, now);
    }

    /// A process asks for a worker.
    pub fn request_lease(
        &mut self,
        requester: ProcessId,
        request: RequestId,
        job: JobId,
        shape: Resources,
        kind: LeaseKind,
        now: Time,
    ) {
        let request = Request {
            requester,
            request,
            job,
            shape,
            kind,
            terms: Terms::local(now),
        };
        self.admit(request, now);
    }

    /// A process does not need the worker any more that it asked for its tasks.
    pub fn cancel_request(&mut self, requester: ProcessId, request: RequestId, _now: Time) {
        self.note_cancel(requester, request);
        self.requests.retain(|waiting| {
            (waiting.requester, waiting.request) != (requester, request)
                || waiting.kind != LeaseKind::Task
        });
    }

    /// The directory does not need the worker any more that it asked for an actor.
    ///
    /// The directory counts its questions apart from those of the process that it lives in.
    pub fn cancel_placement(&mut self, requester: ProcessId, request: RequestId, _now: Time) {
        self.note_cancel(requester, request);
        self.requests.retain(|waiting| {
            (waiting.requester, waiting.request) != (requester, request)
                || waiting.kind == LeaseKind::Task
        });
    }

    /// A holder gives a lease back; the worker is free for others.
    pub fn return_lease(&mut self, lease: LeaseId, now: Time) {
        let Some(ended) = self.leases.remove(&lease) else {
            return;
        };
        self.release(&ended, now);
        if let Some(worker) = self.workers.get_mut(&ended.worker)
            && worker.state == WorkerState::Leased(lease)
        {
            worker.state = WorkerState::Idle(now);
            worker.blocked = 0;
            if self.ended_jobs.contains(&worker.job) {
                // It stayed for an actor; its job has no work for it any more.
                worker.state = WorkerState::Stopping;
                let process = ended.worker;
                self.commands.push_back(Command::KillWorker { process });
            }
        }
        self.schedule(now);
    }

    /// A requester is gone: its requests vanish, the workers that ran for it end.
    pub fn on_process_died(&mut self, process: ProcessId, now: Time) {
        self.requests.retain(|waiting| waiting.requester != process);
        let orphans = self
            .leases
            .values()
            .filter(|lease| lease.requester == process && lease.actor.is_none())
            .map(|lease| lease.worker)
            .collect::<Vec<_>>();
        for worker in orphans {
            if is_planted(Bug::WorkOfDeadKept) {
                continue;
            }
            self.commands
                .push_back(Command::KillWorker { process: worker });
        }
        self.schedule(now);
    }

    /// An actor runs: it holds its running shape instead of what it took to place it.
    pub fn on_actor_started(&mut self, lease: LeaseId, now: Time) {
        let Some(held) = self.leases.get_mut(&lease) else {
            return;
        };
        let Some((_, running)) = held.actor.clone() else {
            return;
        };
        let before = std::mem::replace(&mut held.held, running.clone());
        held.shape = running.clone();
        let bundle = held.source.bundle;
        // Devices that it still has GPUs on are those that it was told of.
        let devices = match running.amount(Resources::GPU).0 {
            0 => std::mem::take(&mut held.source.devices),
            _ => Vec::new(),
        };
        let pool = self.pool_of(bundle);
        pool.give(&before, &devices);
        pool.take_amounts(&running);
        self.schedule(now);
    }

    /// A job is over: its requests vanish and its workers end.
    ///
    /// An actor ends when the directory says so, and so does the wait for its worker: a detached one lives on,
    /// and so does what it asked for.
    pub fn on_job_ended(&mut self, job: JobId, now: Time) {
        let of_job = self.workers.iter().filter(|(_, worker)| worker.job == job);
        let (staying, ending) = of_job
            .map(|(process, _)| *process)
            .partition::<BTreeSet<_>, _>(|process| self.hosts_actor(*process));
        self.requests.retain(|waiting| {
            let is_for_actor = waiting.kind != LeaseKind::Task;
            waiting.job != job || is_for_actor || staying.contains(&waiting.requester)
        });
        for process in ending {
            self.commands.push_back(Command::KillWorker { process });
        }
        if !staying.is_empty() {
            self.ended_jobs.insert(job);
        }
        self.schedule(now);
    }

    /// Returns the node's resources.
    pub fn total(&self) -> &Resources {
        self.pool.total()
    }

    /// Stops workers that have been idle for long beyond those that are kept.
    pub fn on_timeout(&mut self, now: Time) {
        self.stop_surplus(now);
        self.relieve(now);
        self.on_member_timeout(now);
    }
}

fn actor_of(kind: &LeaseKind) -> Option<ActorId> {
    match kind {
        LeaseKind::Task => None,
        LeaseKind::Actor { actor, .. } => Some(*actor),
    }
}
