//! The node role: grants leases, keeps worker processes, hosts the arenas.
//!
//! Embedded in the driver it is called under no lock of the owner's; its answers to this process go
//! through the runtime's mail box, its answers to others over their connections.

pub(crate) mod arena_files;
mod asks;
mod bulk;
mod code;
mod commands;
mod copies;
mod folders;
mod gone;
pub(crate) mod gpus;
pub(crate) mod jobs;
mod leave;
pub(crate) mod memory;
mod messages;
mod overflow;
pub(crate) mod process;
mod pulls;
mod quiescing;
mod requests;
mod reunion;
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
    env::RuntimeEnv,
    failure::ExitKind,
    ids::{ActorId, GroupId, JobId, LeaseId, ProcessId},
    resources::Resources,
    scheduler::{NodeScheduler, Placements, SchedulerConfig},
    spec::Labels,
};

pub(crate) use workers::WorkerStart;

use self::{
    bulk::Bulk,
    commands::Wishes,
    copies::Copies,
    folders::Folders,
    gpus::VisibleGpus,
    jobs::JobOnNode,
    leave::{Drain, Leaving},
    memory::MemoryWatch,
    quiescing::Quiescing,
    spill_io::SpillIo,
};
use crate::{
    config::{FAULT_AHEAD_BYTES_MAX, FAULT_AHEAD_BYTES_MIN},
    runtime::{Runtime, courier::Courier, executables::Executables},
    wire::{Location, Message, NodeRow, StoreRow},
};

/// What the node knows and decides.
pub(crate) struct NodeRole {
    state: Mutex<NodeState>,
    courier: Courier,
    pages: PageDemand,
    bulk: Bulk,
    spill_io: SpillIo,
    memory: Arc<MemoryWatch>,
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
    pub(crate) memory: Arc<MemoryWatch>,
}

impl NodeSettings {
    /// Returns where processes put what this node sends to others; `None` when there are none.
    pub(crate) fn packs_into(&self) -> Option<PathBuf> {
        self.spills.then(|| self.cache.folder().to_owned())
    }
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
    folders: Folders,
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
    /// What it is started with.
    env: RuntimeEnv,
    pid: u32,
    addr: Option<SocketAddr>,
    ready: bool,
    /// The removed placement group that it is ended for.
    evicted_from: Option<GroupId>,
    /// Why it is ended for want of memory, when it is.
    out_of_memory: Option<String>,
    /// Why it ends, once somebody wishes it.
    ending: Option<(ExitKind, String)>,
    /// The actor that it was leased for.
    hosting: Option<Hosting>,
}

impl Worker {
    /// Notes whose wish or fault its end is; what was said first counts.
    fn ends(&mut self, kind: ExitKind, detail: impl Into<String>) {
        self.ending.get_or_insert_with(|| (kind, detail.into()));
    }
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
        let memory = settings.memory.clone();
        NodeRole {
            state: Mutex::new(NodeState {
                placements: Placements::new(process, settings.spills),
                folders: Folders::new(settings.cache.clone(), Path::new(&start.run_dir), process),
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
            memory,
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
            state.begin_to_leave(runtime.control_process(), runtime.now(), &mut wishes.out);
            state.end_leaving(runtime.control_process(), &mut wishes.out);
            state.begin_admitted(runtime.process(), runtime.now(), &mut wishes.out);
            state.run_pulls(runtime.now(), &mut wishes.out);
            state.tell_control(runtime, &mut wishes.out);
            let pulls = state.copies.pulls.poll_timeout();
            let pressure = state.pressure_timeout(runtime.now());
            let lingering = state.lingering_timeout();
            let timeout = state.scheduler.poll_timeout();
            let overdue = state.placements.poll_timeout(&state.scheduler);
            let leaving = state.leaving_timeout();
            let timeout = [timeout, overdue, pulls, pressure, lingering, leaving]
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
        for unpack in wishes.unpack {
            self.unpack(runtime, unpack);
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
            let (env, now) = (&runtime.env, runtime.now());
            state.scheduler.prestart(job, env, count, now)
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

    /// Stops granting and starting; returns the workers to end.
    pub(crate) fn begin_shutdown(&self) -> Vec<(ProcessId, u32)> {
        *self.pages.lent.lock() = None;
        self.pages.changed.notify_one();
        let mut state = self.state.lock();
        state.shutting_down = true;
        for worker in state.workers.values_mut() {
            worker.ends(ExitKind::IntendedSystemExit, "its node ended");
        }
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
    /// Describes the store of the asker's job.
    fn store_row(&self, asker: ProcessId) -> StoreRow {
        let mut row = StoreRow::default();
        if let Some(job) = self.jobs.get(&self.job_of(asker)) {
            row.capacity = job.arena.capacity();
            row.lent = job.arena.lent_bytes();
            row.in_file = job.arena.file_bytes();
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

/// How long `init` waits for its first workers.
pub(crate) const FIRST_WORKERS_TIMEOUT: Duration = Duration::from_secs(20);
