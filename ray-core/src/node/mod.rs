//! The node role: grants leases, keeps worker processes, hosts the arenas.
//!
//! Embedded in the driver it is called under no lock of the owner's; its answers to this process go
//! through the runtime's mail box, its answers to others over their connections.

mod asks;
mod bulk;
mod commands;
mod copies;
pub(crate) mod gpus;
pub(crate) mod jobs;
mod leave;
mod messages;
pub(crate) mod process;
mod pulls;
mod segments;
mod serve;
mod spill;
mod spill_io;
pub(crate) mod workers;

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use ray_engine::{
    failure::WorkerExit,
    ids::{ActorId, GroupId, JobId, LeaseId, ProcessId, RequestId},
    resources::Resources,
    scheduler::{NodeScheduler, Placements, SchedulerConfig, Shared},
    spec::{Demand, Labels, Placement},
    time::Time,
};
use ray_net::CloseReason;
use ray_shm::ArenaOwner;

pub(crate) use workers::WorkerStart;

use self::{
    bulk::Bulk,
    commands::Wishes,
    copies::Copies,
    gpus::VisibleGpus,
    jobs::{Code, JobOnNode, Progress},
    leave::{Drain, Leaving},
    segments::{Asker, Quiescing},
    spill_io::SpillIo,
};
use crate::{
    config::{FAULT_AHEAD_BYTES_MAX, FAULT_AHEAD_BYTES_MIN},
    runtime::{Runtime, courier::Courier, executables::Executables},
    wire::{HostedActor, JobSpec, Location, Message, NodeRow, StoreRow},
};

/// What the node knows and decides.
pub(crate) struct NodeRole {
    state: Mutex<NodeState>,
    courier: Courier,
    pages: PageDemand,
    bulk: Bulk,
    spill_io: SpillIo,
    pub(crate) start: WorkerStart,
}

/// What distinguishes one node from another.
pub(crate) struct NodeSettings {
    pub(crate) name: String,
    pub(crate) total: Resources,
    pub(crate) labels: Labels,
    pub(crate) gpus: VisibleGpus,
    pub(crate) scheduler: SchedulerConfig,
    /// The size of each job's arena; bytes.
    pub(crate) store_bytes: u64,
    /// Whether it is a driver's own node in a cluster of others.
    pub(crate) is_drivers: bool,
    /// Whether there are other nodes to which it can pass what it cannot run.
    pub(crate) spills: bool,
    /// Where executables of jobs are kept.
    pub(crate) cache: Arc<Executables>,
    /// Where objects go that memory has no room for.
    pub(crate) spill_dir: PathBuf,
}

/// How much of this process's own arena was lent so far, for the thread that makes pages ahead of it.
#[derive(Default)]
struct PageDemand {
    lent: Mutex<Option<u64>>,
    changed: Condvar,
}

struct NodeState {
    settings: NodeSettings,
    scheduler: NodeScheduler,
    jobs: BTreeMap<JobId, JobOnNode>,
    /// The job of this process itself.
    own_job: JobId,
    workers: BTreeMap<ProcessId, Worker>,
    placements: Placements,
    /// Processes that asked for segments when there were none.
    segment_queue: VecDeque<segments::SegmentRequest>,
    /// Dead writers whose values may still be read.
    quiescing: BTreeMap<ProcessId, Quiescing>,
    copies: Copies,
    /// What is to be written or read once the lock is given back.
    spill_jobs: Vec<spill_io::Job>,
    /// Whether segments were lent since the page thread was told.
    has_lent: bool,
    /// How a worker ended before it was ready.
    failed_start: Option<String>,
    drain: Drain,
    leaving: Leaving,
    shutting_down: bool,
}

/// A worker process from its start on.
struct Worker {
    job: JobId,
    /// The GPUs that it sees.
    gpus: Vec<u32>,
    pid: u32,
    addr: Option<SocketAddr>,
    ready: bool,
    /// The removed placement group that it is ended for.
    evicted_from: Option<GroupId>,
    /// The actor that it was leased for.
    hosting: Option<Hosting>,
}

/// An actor on its way into a worker, or there.
struct Hosting {
    actor: ActorId,
    lease: LeaseId,
    devices: Vec<u32>,
    /// Which life runs; `None` until its constructor has ended.
    incarnation: Option<u64>,
}

/// What to send where, once the node's lock is given back.
type Outbox = Vec<(ProcessId, Message)>;

impl NodeRole {
    pub(crate) fn new(
        settings: NodeSettings,
        process: ProcessId,
        first_lease: u64,
        own_job: Option<JobOnNode>,
        start: WorkerStart,
    ) -> NodeRole {
        // Leases of different nodes meet in one owner.
        let scheduler = NodeScheduler::new(settings.total.clone(), settings.scheduler)
            .with_first_lease(process.0 + first_lease + 1);
        NodeRole {
            state: Mutex::new(NodeState {
                placements: Placements::new(process, settings.spills),
                settings,
                scheduler,
                own_job: own_job.as_ref().map_or(JobId(0), |job| job.spec.job),
                jobs: own_job.into_iter().map(|job| (job.spec.job, job)).collect(),
                workers: BTreeMap::new(),
                segment_queue: VecDeque::new(),
                quiescing: BTreeMap::new(),
                copies: Copies::new(process.node()),
                spill_jobs: Vec::new(),
                has_lent: false,
                failed_start: None,
                drain: Drain::No,
                leaving: Leaving::default(),
                shutting_down: false,
            }),
            courier: Courier::default(),
            pages: PageDemand {
                lent: Mutex::new(Some(0)),
                changed: Condvar::new(),
            },
            bulk: Bulk::default(),
            spill_io: SpillIo::default(),
            start,
        }
    }

    /// Waits until more than `done` bytes of pages are worth making; false when the node ends.
    pub(crate) fn wait_for_page_demand(&self, done: u64) -> bool {
        let mut lent = self.pages.lent.lock();
        loop {
            let Some(bytes) = *lent else { return false };
            let ahead = bytes.clamp(FAULT_AHEAD_BYTES_MIN, FAULT_AHEAD_BYTES_MAX);
            if done < bytes + ahead {
                return true;
            }
            self.pages.changed.wait(&mut lent);
        }
    }

    /// Runs `f` on the state, carries out what the machines wish, then sends.
    fn with_state<R>(
        &self,
        runtime: &Arc<Runtime>,
        f: impl FnOnce(&mut NodeState, &mut Outbox) -> R,
    ) -> R {
        let mut wishes = Wishes::default();
        let (result, timeout, jobs) = {
            let mut state = self.state.lock();
            let result = f(&mut state, &mut wishes.out);
            state.run_commands(runtime, &mut wishes);
            state.begin_to_leave(runtime.control_process(), &mut wishes.out);
            state.end_leaving(runtime.control_process(), &mut wishes.out);
            state.begin_admitted(runtime.process(), runtime.now(), &mut wishes.out);
            state.run_pulls(runtime.now(), &mut wishes.out);
            state.tell_control(runtime, &mut wishes.out);
            let pulls = state.copies.pulls.poll_timeout();
            let pressure = state.pressure_timeout(runtime.now());
            let lingering = state.lingering_timeout();
            let timeout = state.scheduler.poll_timeout();
            let overdue = state.placements.poll_timeout(&state.scheduler);
            let timeout = [timeout, overdue, pulls, pressure, lingering]
                .into_iter()
                .flatten()
                .min();
            self.note_lent(&mut state);
            self.courier.queue(std::mem::take(&mut wishes.out));
            (result, timeout, state.take_spill_jobs())
        };
        for pid in wishes.kill {
            self.start.kill(pid);
        }
        for spawn in wishes.spawn {
            let process = spawn.process;
            if let Err(error) = self.spawn_worker(runtime, spawn) {
                tracing::error!(%error, "a worker process could not be started");
                self.on_worker_start_failed(runtime, process);
            }
        }
        for job in jobs {
            if let Err((job, error)) = self.spill_io.submit(runtime, job) {
                tracing::error!(%error, "nothing can be spilled or read back");
                let (job, outcome) = job.failed(error);
                self.on_spill_io(runtime, job, outcome);
            }
        }
        self.courier.carry(runtime);
        if let Some(at) = timeout {
            runtime.clock.arm(at);
        }
        result
    }

    /// Tells the page thread when more of the own arena is in use than ever before.
    fn note_lent(&self, state: &mut NodeState) {
        if std::mem::take(&mut state.has_lent) {
            let job = state.own_job;
            let in_use = state.jobs.get(&job).map_or(0, |job| job.arena.lent_bytes());
            let mut lent = self.pages.lent.lock();
            if let Some(most) = &mut *lent
                && *most < in_use
            {
                *most = in_use;
                self.pages.changed.notify_one();
            }
        }
    }

    /// Lets the machines act on time.
    pub(crate) fn on_tick(&self, runtime: &Arc<Runtime>) {
        self.with_state(runtime, |state, out| {
            let now = runtime.now();
            state.scheduler.on_timeout(now);
            state.on_pressure_timeout(runtime.process(), now, out);
            state.end_lingering(now, out);
            if state
                .copies
                .pulls
                .poll_timeout()
                .is_some_and(|at| at <= now)
            {
                state.copies.pulls.on_timeout(now);
            }
        });
    }

    /// Introduces the node to the control role.
    pub(crate) fn join(&self, runtime: &Arc<Runtime>) {
        let row = {
            let state = self.state.lock();
            NodeRow {
                node: runtime.node(),
                name: state.settings.name.clone(),
                addr: runtime.public_addr(),
                alive: true,
                is_driver: state.settings.is_drivers,
                resources: state.settings.total.clone(),
                labels: state.settings.labels.clone(),
                workers: 0,
            }
        };
        runtime.send_to_control(Message::NodeUp { row });
    }

    /// Starts the first workers, so that the first task finds one.
    pub(crate) fn prestart(&self, runtime: &Arc<Runtime>, count: usize) {
        self.with_state(runtime, |state, _| {
            let job = state.own_job;
            state.scheduler.prestart(job, count, runtime.now())
        });
    }

    /// Returns the workers that are connected.
    pub(crate) fn ready_processes(&self) -> Vec<ProcessId> {
        let state = self.state.lock();
        let ready = state.workers.iter().filter(|(_, worker)| worker.ready);
        ready.map(|(process, _)| *process).collect()
    }

    /// Returns how many workers are connected.
    pub(crate) fn ready_workers(&self) -> usize {
        self.state
            .lock()
            .workers
            .values()
            .filter(|worker| worker.ready)
            .count()
    }

    /// Returns where a process of this node is.
    pub(crate) fn locate(&self, process: ProcessId) -> Location {
        self.state
            .lock()
            .workers
            .get(&process)
            .and_then(|worker| worker.addr)
            .map_or(Location::Gone, Location::At)
    }

    /// Returns who gets the lines of the worker with this system id, unless it is this process.
    pub(crate) fn listener_of(&self, pid: u32) -> Option<ProcessId> {
        let state = self.state.lock();
        let worker = state.workers.values().find(|worker| worker.pid == pid)?;
        let job = state.jobs.get(&worker.job)?;
        (worker.job != state.own_job).then_some(job.spec.driver)
    }

    /// A worker process ended.
    pub(crate) fn on_worker_exit(
        &self,
        runtime: &Arc<Runtime>,
        process: ProcessId,
        mut exit: WorkerExit,
    ) {
        let now = runtime.now();
        let known = self.with_state(runtime, |state, out| {
            let Some(worker) = state.workers.remove(&process) else {
                return false;
            };
            exit.evicted_from = worker.evicted_from;
            if !worker.ready {
                state.failed_start = Some(describe(&exit));
            }
            if state.shutting_down {
                return true;
            }
            state.scheduler.on_worker_died(process, now);
            state.on_process_gone(process, now);
            state.tell_workers(out, &|| Message::ProcessDied {
                process,
                exit: exit.clone(),
            });
            state.on_reader_gone(process, now, out);
            state.on_owner_gone(process, now, out);
            state.on_mourner_gone(process, runtime.process(), now, out);
            state.on_mover_gone(process, out);
            state.orphan(process, worker.job, runtime.process());
            state.forget_ended_jobs(now);
            true
        });
        if known {
            runtime.on_process_died(process, exit.clone());
            runtime.send_to_control(Message::WorkerDied { process, exit });
        }
        runtime.note_worker_ready();
    }

    /// A process of another node is gone.
    pub(crate) fn on_remote_process_died(
        &self,
        runtime: &Arc<Runtime>,
        process: ProcessId,
        exit: &WorkerExit,
    ) {
        self.with_state(runtime, |state, out| {
            state.on_process_gone(process, runtime.now());
            state.on_owner_gone(process, runtime.now(), out);
            state.mourn(process, runtime.process());
            state.tell_workers(out, &|| Message::ProcessDied {
                process,
                exit: exit.clone(),
            });
        });
    }

    /// A head that was started again takes this node in: what ran for jobs that did not outlive the head
    /// before ends, and so do actors on their way, whose creators ask for them again.
    pub(crate) fn on_new_head(&self, runtime: &Arc<Runtime>, keep: &[ProcessId], jobs: &[JobId]) {
        tracing::info!("the head was started again; this node joins it");
        let head = runtime.control_process();
        self.with_state(runtime, |state, out| {
            let now = runtime.now();
            for (id, job) in &mut state.jobs {
                job.has_ended |= !jobs.contains(id);
            }
            for (job, _) in state.jobs.iter().filter(|(_, job)| job.has_ended) {
                state.scheduler.on_job_ended(*job, now);
            }
            for (group, attempt) in state.scheduler.held_bundles() {
                state.scheduler.return_bundles(group, attempt, now);
            }
            state.placements.on_new_control(&mut state.scheduler, now);
            for process in state.scheduler.requesters() {
                if process.node_process() == head {
                    state.on_process_gone(process, now);
                }
            }
            state.on_holder_gone(head, now, out);
            state.on_mourner_gone(head, runtime.process(), now, out);
            let stays = |process: &ProcessId, worker: &Worker| {
                let is_on_its_way = worker
                    .hosting
                    .as_ref()
                    .is_some_and(|hosting| hosting.incarnation.is_none());
                keep.contains(process) || (jobs.contains(&worker.job) && !is_on_its_way)
            };
            let workers = state.workers.iter();
            for (_, worker) in workers.filter(|(process, worker)| !stays(process, worker)) {
                self.start.kill(worker.pid);
            }
            state.forget_ended_jobs(now);
        });
    }

    /// Tells the control role what is free and which workers there are, whether or not that has changed.
    pub(crate) fn report(&self, runtime: &Arc<Runtime>) {
        self.with_state(runtime, |state, _| state.placements.on_bundles());
    }

    /// Returns the actors that run here.
    pub(crate) fn hosted_actors(&self) -> Vec<HostedActor> {
        let state = self.state.lock();
        let hosted = |(process, worker): (&ProcessId, &Worker)| {
            let hosting = worker.hosting.as_ref()?;
            Some(HostedActor {
                actor: hosting.actor,
                incarnation: hosting.incarnation?,
                worker: *process,
                addr: worker.addr?,
                lease: hosting.lease,
                devices: hosting.devices.clone(),
            })
        };
        state.workers.iter().filter_map(hosted).collect()
    }

    /// Returns the job that this process is the driver of.
    pub(crate) fn own_job(&self) -> Option<JobSpec> {
        let state = self.state.lock();
        let job = state.jobs.get(&state.own_job)?;
        Some(job.spec.clone())
    }

    /// Another node is gone, with all its processes.
    pub(crate) fn on_remote_node_died(&self, runtime: &Arc<Runtime>, node: ProcessId) {
        self.with_state(runtime, |state, out| {
            let now = runtime.now();
            for process in state.scheduler.requesters() {
                if process.node_process() == node {
                    state.on_process_gone(process, now);
                }
            }
            state.on_code_source_gone(node, now, out);
            state.on_holder_gone(node, now, out);
            state.on_mourner_gone(node, runtime.process(), now, out);
            state.on_mover_gone(node, out);
            state.tell_workers(out, &|| Message::NodeDied { process: node });
        });
    }

    /// A connection was lost; a process that lives without one is of no use.
    pub(crate) fn on_connection_lost(&self, process: ProcessId, reason: &CloseReason) {
        if matches!(reason, CloseReason::Closed(_)) {
            // It said goodbye and is on its way out; how it ends tells its exit status.
            return;
        }
        let state = self.state.lock();
        if let Some(worker) = state.workers.get(&process)
            && !state.shutting_down
        {
            tracing::debug!(%process, %reason, "the connection to a worker is lost");
            self.start.kill(worker.pid);
        }
    }

    /// Stops granting and starting; returns the workers to end.
    pub(crate) fn begin_shutdown(&self) -> Vec<(ProcessId, u32)> {
        *self.pages.lent.lock() = None;
        self.pages.changed.notify_one();
        let mut state = self.state.lock();
        state.shutting_down = true;
        state
            .workers
            .iter()
            .map(|(process, worker)| (*process, worker.pid))
            .collect()
    }

    /// Returns how many workers have not ended yet.
    pub(crate) fn workers_left(&self) -> usize {
        self.state.lock().workers.len()
    }

    /// Returns a free segment to back with pages; `None` when there is none or the node ends.
    pub(crate) fn next_cold(&self) -> Option<ray_shm::ColdSegment> {
        let mut state = self.state.lock();
        let job = state.own_job;
        if state.shutting_down {
            return None;
        }
        state.jobs.get_mut(&job)?.arena.next_cold()
    }

    /// Notes the system's id of a worker.
    pub(crate) fn on_worker_started(&self, process: ProcessId, pid: u32) {
        let mut state = self.state.lock();
        if let Some(worker) = state.workers.get_mut(&process) {
            worker.pid = pid;
        }
        if state.shutting_down {
            self.start.kill(pid);
        }
    }

    /// A worker process could not be started at all.
    pub(crate) fn on_worker_start_failed(&self, runtime: &Arc<Runtime>, process: ProcessId) {
        self.with_state(runtime, |state, _| {
            state.workers.remove(&process);
            state.failed_start = Some("the system refused to start the process".into());
            state.scheduler.on_spawn_failed(process, runtime.now());
        });
        runtime.note_worker_ready();
    }

    /// The threads have written something down or read it back.
    fn on_spill_io(&self, runtime: &Arc<Runtime>, job: JobId, outcome: spill_io::Outcome) {
        let (here, now) = (runtime.process(), runtime.now());
        self.with_state(runtime, |state, out| {
            state.on_spill_io(job, outcome, here, now, out)
        });
    }

    /// Returns how the last worker ended that was never ready.
    pub(crate) fn failed_start(&self) -> Option<String> {
        self.state.lock().failed_start.clone()
    }
}

impl NodeState {
    /// Returns for whose job a process of this node may ask.
    fn job_asked_for(&self, runtime: &Arc<Runtime>, from: ProcessId, said: JobId) -> JobId {
        match self.workers.get(&from) {
            Some(worker) => worker.job,
            None if from == runtime.process() => self.own_job,
            None => said,
        }
    }

    /// A process of this node wants a worker: here if there can be one soon and no other node has the
    /// arguments, else anywhere.
    fn on_request(
        &mut self,
        runtime: &Arc<Runtime>,
        (from, request): (ProcessId, RequestId),
        demand: Demand,
        out: &mut Outbox,
    ) {
        let asked = (from, request);
        let now = runtime.now();
        let is_draining = self.drain != Drain::No;
        let (job, shape) = (demand.job, &demand.shape);
        let placement = Placement {
            strategy: demand.strategy.clone(),
            bundle: demand.bundle,
        };
        let NodeState {
            placements,
            scheduler,
            ..
        } = self;
        // Large arguments on another node are for the control role to weigh.
        if !is_draining
            && demand.locality.is_empty()
            && !placements.on_request(scheduler, asked, job, shape, &placement, now)
        {
            return;
        }
        out.push((
            runtime.control_process(),
            Message::SpillLease {
                requester: from,
                request: request.0,
                job: demand.job,
                demand,
            },
        ));
    }

    /// A worker says how its actor is: a head that is started again wants to know.
    fn note_hosted(&mut self, worker: ProcessId, said: &Message) {
        let Some(worker) = self.workers.get_mut(&worker) else {
            return;
        };
        match (said, &mut worker.hosting) {
            (Message::ActorStarted { incarnation, .. }, Some(hosting)) => {
                hosting.incarnation = Some(*incarnation);
            }
            // It has ended, or never began.
            _ => worker.hosting = None,
        }
    }

    /// Another node has room for what waits here.
    fn on_share(&mut self, control: ProcessId, room: &Resources, now: Time, out: &mut Outbox) {
        let NodeState {
            placements,
            scheduler,
            ..
        } = self;
        for shared in placements.share(scheduler, room, now) {
            let message = match shared {
                Shared::Own {
                    requester,
                    request,
                    demand,
                } => Message::SpillLease {
                    requester,
                    request: request.0,
                    job: demand.job,
                    demand: *demand,
                },
                Shared::Placed { requester, request } => {
                    let request = request.0;
                    Message::LeaseRejected { requester, request }
                }
            };
            out.push((control, message));
        }
    }

    /// The control role hands a request to this node.
    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of one message, its sender and where answers go"
    )]
    fn on_placed(
        &mut self,
        control: ProcessId,
        (requester, request): (ProcessId, RequestId),
        job: JobId,
        demand: Demand,
        is_bound: bool,
        now: Time,
        out: &mut Outbox,
    ) {
        let asked = (requester, request);
        let demand = Demand { job, ..demand };
        let is_draining = self.drain != Drain::No;
        let NodeState {
            placements,
            scheduler,
            ..
        } = self;
        if is_draining || !placements.on_placed(scheduler, asked, demand, is_bound, now) {
            let request = request.0;
            out.push((control, Message::LeaseRejected { requester, request }));
        }
    }

    /// A job is announced: its workers can be started from now on.
    fn on_job(&mut self, spec: JobSpec, here: ProcessId) {
        if let Some(known) = self.jobs.get_mut(&spec.job) {
            if spec.driver != known.spec.driver {
                // Its driver is gone, and something of it outlives it: the code is had from elsewhere now.
                known.has_ended = false;
                let is_here = matches!(known.code, Code::Here(_));
                let is_on_its_way = matches!(known.code, Code::Arriving(_)) && spec.driver == here;
                if !is_on_its_way {
                    known.spec.driver = spec.driver;
                }
                if !is_here && !is_on_its_way {
                    known.code = Code::Absent;
                }
            }
            return;
        }
        let job = spec.job;
        match ArenaOwner::create(self.settings.store_bytes)
            .and_then(|arena| JobOnNode::new(spec, None, arena, here))
        {
            Ok(mut made) => {
                let hash = blake3::Hash::from_bytes(made.spec.executable.hash);
                made.code_use = Some(self.settings.cache.using(&hash.to_hex()));
                self.jobs.insert(job, made);
            }
            Err(error) => tracing::error!(%error, %job, "no object store could be made for a job"),
        }
    }

    fn on_executable_part(
        &mut self,
        from: ProcessId,
        job: JobId,
        offset: u64,
        bytes: &[u8],
        now: Time,
        out: &mut Outbox,
    ) {
        let Some(job) = self.jobs.get_mut(&job) else {
            return;
        };
        let Code::Arriving(arriving) = &mut job.code else {
            return;
        };
        if job.spec.driver != from {
            return;
        }
        match arriving.take(offset, bytes) {
            Ok(Progress::GoOn(offset)) => {
                let hash = job.spec.executable.hash;
                let job = job.spec.job;
                out.push((from, Message::FetchExecutable { job, hash, offset }));
            }
            Ok(Progress::Done(path)) => {
                job.answer_code_askers(&path, out);
                job.code = Code::Here(path);
            }
            Err(reason) => {
                tracing::error!(%reason, "a job's executable could not be fetched");
                let job = job.spec.job;
                self.on_code_broken(job, reason, now, out);
            }
        }
    }

    /// A job's executable cannot be had: who waits for it is told.
    fn on_code_broken(&mut self, job: JobId, reason: String, now: Time, out: &mut Outbox) {
        let Some(job) = self.jobs.get_mut(&job) else {
            return;
        };
        job.answer_code_askers(Path::new(""), out);
        job.code = Code::Broken(reason);
        for process in std::mem::take(&mut job.waiting) {
            self.workers.remove(&process);
            self.scheduler.on_spawn_failed(process, now);
        }
    }

    /// A node is gone from which executables were on their way.
    fn on_code_source_gone(&mut self, node: ProcessId, now: Time, out: &mut Outbox) {
        let is_lost = |job: &JobOnNode| {
            job.spec.driver.node_process() == node && matches!(job.code, Code::Arriving(_))
        };
        let lost = self.jobs.iter().filter(|(_, job)| is_lost(job));
        let lost: Vec<JobId> = lost.map(|(id, _)| *id).collect();
        for job in lost {
            let reason = format!("{node} is gone, from which it was on its way");
            self.on_code_broken(job, reason, now, out);
        }
    }

    /// Another node wants an executable that this one has, or has soon.
    fn on_code_wanted(
        &mut self,
        from: ProcessId,
        (job, hash): (JobId, [u8; 32]),
        offset: u64,
        out: &mut Outbox,
    ) {
        if let Some(known) = self.jobs.get_mut(&job)
            && matches!(known.code, Code::Arriving(_))
        {
            return known.code_askers.push(from);
        }
        let path = match job == self.own_job && job.0 != 0 {
            true => std::env::current_exe(),
            false => Ok(jobs::cached(self.settings.cache.folder(), hash)),
        };
        let part = path.and_then(|path| jobs::read_part(&path, offset));
        let bytes = part.unwrap_or_else(|error| {
            tracing::error!(%error, %job, "a job's executable cannot be read");
            Vec::new()
        });
        out.push((from, Message::ExecutablePart { job, offset, bytes }));
    }

    /// A process is gone that may have asked for workers or segments.
    fn on_process_gone(&mut self, process: ProcessId, now: Time) {
        self.scheduler.on_process_died(process, now);
        self.placements.on_process_gone(process);
        let is_its = |asker| matches!(asker, Asker::Process(asker, _) if asker == process);
        self.unqueue_segments(is_its, now);
    }

    /// Gives up what was kept for jobs that have ended and have no process here.
    fn forget_ended_jobs(&mut self, now: Time) {
        let is_over = |id: &JobId, job: &JobOnNode| {
            job.has_ended && !self.workers.values().any(|worker| worker.job == *id)
        };
        let over: Vec<JobId> = self
            .jobs
            .iter()
            .filter(|(id, job)| is_over(id, job))
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.jobs.remove(&id);
            self.forget_copies_of(id, now);
        }
    }

    /// Describes the store of the asker's job.
    fn store_row(&self, asker: ProcessId) -> StoreRow {
        let mut row = StoreRow::default();
        if let Some(job) = self.jobs.get(&self.job_of(asker)) {
            row.capacity = job.arena.capacity();
            row.lent = job.arena.lent_bytes();
            job.spill.fill_row(&mut row);
        }
        self.copies.fill_row(&mut row);
        row
    }

    /// Returns where a value of a job was written down.
    fn saved(&self, job: JobId, offset: u64) -> Option<(Arc<File>, spill_io::Part, u64)> {
        self.jobs.get(&job)?.spill.saved(offset)
    }

    fn tell_workers(&self, out: &mut Outbox, message: &dyn Fn() -> Message) {
        for (worker, _) in self.workers.iter().filter(|(_, worker)| worker.ready) {
            out.push((*worker, message()));
        }
    }
}

/// Says how a worker ended that was never ready.
fn describe(exit: &WorkerExit) -> String {
    let how = match (exit.signal, exit.code) {
        (Some(signal), _) => format!("one was ended by signal {signal}"),
        (None, Some(code)) => format!("one exited with code {code}"),
        (None, None) => "one ended".to_owned(),
    };
    if exit.last_stderr.is_empty() {
        how
    } else {
        format!("{how} after printing: {}", exit.last_stderr)
    }
}

/// How long `init` waits for its first workers.
pub(crate) const FIRST_WORKERS_TIMEOUT: Duration = Duration::from_secs(20);
/// Stands for the bytes of a task's arguments on the node that has most of them: enough to follow.
const NEAR_BYTES: u64 = 1 << 20;
