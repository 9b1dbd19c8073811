//! The node role: grants leases, keeps worker processes, hosts the actor directory and the arena.
//!
//! Embedded in the driver it is called under no lock of the owner's; its answers to this process go
//! through the runtime's mail box, its answers to others over their connections.

pub(crate) mod process;
pub(crate) mod workers;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use ray_engine::{
    control::actors::{ActorDirectory, ActorSpec, Command as ActorCommand, DirectoryState},
    failure::{Failure, WorkerExit},
    ids::{ActorId, NodeId, ProcessId, RequestId},
    resources::Resources,
    scheduler::{Command as SchedulerCommand, LeaseKind, NodeScheduler, SchedulerConfig},
};
use ray_net::{CloseReason, Peer};
use ray_shm::{ArenaOwner, SegmentRange};

pub(crate) use workers::WorkerStart;

use crate::{
    actor::CallLimits,
    runtime::Runtime,
    wire::{ActorCreation, ActorStatus, Message, NodeRow},
};

/// What the node knows and decides.
pub(crate) struct NodeRole {
    state: Mutex<NodeState>,
    pub(crate) start: WorkerStart,
}

struct NodeState {
    node: NodeId,
    total: Resources,
    scheduler: NodeScheduler,
    directory: ActorDirectory,
    arena: ArenaOwner,
    workers: BTreeMap<ProcessId, Worker>,
    /// Processes that asked for segments when there were none.
    segment_queue: VecDeque<SegmentRequest>,
    /// Dead writers whose values may still be read, and who has not said otherwise.
    quiescing: BTreeMap<ProcessId, Vec<ProcessId>>,
    /// What handles found by name must know about calls.
    limits: BTreeMap<ActorId, CallLimits>,
    /// How a worker ended before it was ready.
    failed_start: Option<String>,
    shutting_down: bool,
}

/// Somebody waits for room in the arena.
struct SegmentRequest {
    asker: ProcessId,
    request: u64,
    bytes: u64,
    least: u64,
}

/// A worker process from its start on.
struct Worker {
    pid: u32,
    addr: Option<SocketAddr>,
    ready: bool,
}

/// What to send where, once the node's lock is given back.
type Outbox = Vec<(ProcessId, Message)>;

impl NodeRole {
    pub(crate) fn new(
        node: NodeId,
        total: Resources,
        config: SchedulerConfig,
        arena: ArenaOwner,
        start: WorkerStart,
    ) -> NodeRole {
        NodeRole {
            state: Mutex::new(NodeState {
                node,
                total: total.clone(),
                scheduler: NodeScheduler::new(total, config),
                directory: ActorDirectory::new(),
                arena,
                workers: BTreeMap::new(),
                segment_queue: VecDeque::new(),
                quiescing: BTreeMap::new(),
                limits: BTreeMap::new(),
                failed_start: None,
                shutting_down: false,
            }),
            start,
        }
    }

    /// Runs `f` on the state, carries out what the machines wish, then sends.
    fn with_state<R>(
        &self,
        runtime: &Arc<Runtime>,
        f: impl FnOnce(&mut NodeState, &mut Outbox) -> R,
    ) -> R {
        let mut out = Outbox::new();
        let mut spawn = Vec::new();
        let mut kill = Vec::new();
        let (result, timeout) = {
            let mut state = self.state.lock();
            let result = f(&mut state, &mut out);
            state.run_commands(runtime, &mut out, &mut spawn, &mut kill);
            let timeout = state.scheduler.poll_timeout();
            (result, timeout)
        };
        for pid in kill {
            self.start.kill(pid);
        }
        for process in spawn {
            if let Err(error) = self.spawn_worker(runtime, process) {
                tracing::error!(%error, "a worker process could not be started");
                self.on_worker_start_failed(runtime, process);
            }
        }
        for (to, message) in out {
            runtime.send(to, message);
        }
        if let Some(at) = timeout {
            runtime.clock.arm(at);
        }
        result
    }

    /// Lets the machines act on time.
    pub(crate) fn on_tick(&self, runtime: &Arc<Runtime>) {
        self.with_state(runtime, |state, _| {
            let now = runtime.now();
            state.scheduler.on_timeout(now);
        });
    }

    /// Starts the first workers, so that the first task finds one.
    pub(crate) fn prestart(&self, runtime: &Arc<Runtime>, count: usize) {
        self.with_state(runtime, |state, _| {
            state.scheduler.prestart(count, runtime.now())
        });
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

    /// Handles a message for the node.
    pub(crate) fn on_message(
        &self,
        runtime: &Arc<Runtime>,
        from: ProcessId,
        peer: Option<&Peer>,
        message: Message,
    ) {
        let now = runtime.now();
        self.with_state(runtime, |state, out| match message {
            Message::RequestLease { request, shape } => {
                state.scheduler.request_lease(
                    from,
                    RequestId(request),
                    shape,
                    LeaseKind::Task,
                    now,
                );
            }
            Message::CancelLeaseRequest { request } => {
                state
                    .scheduler
                    .cancel_request(from, RequestId(request), now)
            }
            Message::ReturnLease { lease } => state.scheduler.return_lease(lease, now),
            Message::WorkerReady { pid, addr } => {
                // The worker listens on the port it connects from; where it really is, the connection says.
                let addr = peer.map_or(addr, |peer| SocketAddr::new(peer.addr().ip(), addr.port()));
                if let Some(worker) = state.workers.get_mut(&from) {
                    worker.addr = Some(addr);
                    worker.ready = true;
                    tracing::debug!(worker = %from, pid, "worker ready");
                    state.scheduler.on_worker_ready(from, now);
                }
                runtime.note_worker_ready();
            }
            Message::Blocked => state.scheduler.on_worker_blocked(from, now),
            Message::Unblocked => state.scheduler.on_worker_unblocked(from, now),
            Message::KillWorker { worker } => {
                if let Some(worker) = state.workers.get(&worker) {
                    self.start.kill(worker.pid);
                }
            }
            Message::CreateActor { request, creation } => {
                let outcome = state.create_actor(from, creation, now);
                out.push((from, Message::CreateActorReply { request, outcome }));
            }
            Message::ConstructFailed { actor, failure } => {
                state.directory.on_start_failed(actor, failure, now)
            }
            Message::ActorStarted { actor, incarnation } => {
                state.directory.on_started(actor, from, incarnation, now);
            }
            Message::ActorStartFailed { actor, failure, .. } => {
                state.directory.on_start_failed(actor, failure, now)
            }
            Message::ActorExit { actor, cause } => state.directory.on_exit(actor, from, cause, now),
            Message::WatchActor { actor } => state.directory.watch(actor, from, now),
            Message::KillActor { actor, no_restart } => {
                state.directory.kill(actor, no_restart, now)
            }
            Message::HandlesGone { actor } => state.directory.on_handles_gone(actor, now),
            Message::LookupActor {
                request,
                namespace,
                name,
            } => {
                let outcome = state
                    .directory
                    .lookup(&namespace, &name)
                    .map(|(actor, class)| {
                        let limits = state.limits.get(&actor).copied().unwrap_or_default();
                        (actor, class, limits)
                    })
                    .ok_or_else(|| Failure::NotFound(name.clone()));
                out.push((from, Message::LookupActorReply { request, outcome }));
            }
            Message::Locate { process } => {
                let addr = state.workers.get(&process).and_then(|worker| worker.addr);
                let addr = if process == runtime.process() {
                    Some(runtime.net().local_addr())
                } else {
                    addr
                };
                out.push((from, Message::Located { process, addr }));
            }
            Message::RequestSegments {
                request,
                bytes,
                least,
            } => {
                state.segment_queue.push_back(SegmentRequest {
                    asker: from,
                    request,
                    bytes,
                    least,
                });
                state.grant_segments(out, runtime.process());
            }
            Message::CancelSegments { request } => {
                state
                    .segment_queue
                    .retain(|asked| (asked.asker, asked.request) != (from, request));
                state.grant_segments(out, runtime.process());
            }
            Message::ReturnSegments { first, count } => {
                if let Err(error) = state.arena.release(SegmentRange { first, count }) {
                    tracing::error!(%error, %from, "segments came back that were not lent");
                }
                state.grant_segments(out, runtime.process());
            }
            // The writer is gone; its segments come back whole, once nobody reads them.
            Message::FreeSlot { .. } => {}
            Message::Quiesced { dead } => state.on_quiesced(dead, from, out, runtime.process()),
            Message::QueryResources { request } => {
                let (total, available) = (state.total.clone(), state.scheduler.available().clone());
                out.push((
                    from,
                    Message::Resources {
                        request,
                        total,
                        available,
                    },
                ));
            }
            Message::QueryNodes { request } => {
                let row = NodeRow {
                    node: state.node,
                    addr: runtime.net().local_addr(),
                    alive: true,
                    resources: state.total.clone(),
                    workers: u32::try_from(state.workers.len()).unwrap_or(u32::MAX),
                };
                out.push((
                    from,
                    Message::Nodes {
                        request,
                        nodes: vec![row],
                    },
                ));
            }
            other => tracing::warn!(%from, ?other, "the node has no use for this message"),
        });
    }

    /// A worker process ended.
    pub(crate) fn on_worker_exit(
        &self,
        runtime: &Arc<Runtime>,
        process: ProcessId,
        exit: WorkerExit,
    ) {
        let now = runtime.now();
        let known = self.with_state(runtime, |state, out| {
            let Some(worker) = state.workers.remove(&process) else {
                return false;
            };
            if !worker.ready {
                state.failed_start = Some(describe(&exit));
            }
            if state.shutting_down {
                return true;
            }
            state.scheduler.on_worker_died(process, now);
            state.directory.on_worker_died(process, exit.clone(), now);
            // The dead process as somebody who asked for things.
            state.scheduler.on_process_died(process, now);
            state.directory.on_owner_died(process, now);
            state.segment_queue.retain(|asked| asked.asker != process);
            for worker in state
                .workers
                .iter()
                .filter(|(_, worker)| worker.ready)
                .map(|(id, _)| *id)
            {
                out.push((
                    worker,
                    Message::ProcessDied {
                        process,
                        exit: exit.clone(),
                    },
                ));
            }
            state.orphan(process, runtime.process());
            true
        });
        if known {
            runtime.on_process_died(process, exit);
        }
        runtime.note_worker_ready();
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
        if state.shutting_down {
            None
        } else {
            state.arena.next_cold()
        }
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

    /// Returns how the last worker ended that was never ready.
    pub(crate) fn failed_start(&self) -> Option<String> {
        self.state.lock().failed_start.clone()
    }
}

impl NodeState {
    fn create_actor(
        &mut self,
        owner: ProcessId,
        creation: ActorCreation,
        now: ray_engine::time::Time,
    ) -> Result<ActorId, Failure> {
        if creation.name.is_some() {
            self.limits.insert(creation.actor, creation.limits);
        }
        self.directory.create(
            ActorSpec {
                actor: creation.actor,
                class: creation.class_name,
                name: creation.name,
                shape: creation.shape,
                running_shape: creation.running,
                max_restarts: creation.max_restarts,
                owner,
                get_if_exists: creation.get_if_exists,
                detached: creation.detached,
            },
            now,
        )
    }

    /// Carries out what scheduler and directory wish, until both are still.
    fn run_commands(
        &mut self,
        runtime: &Arc<Runtime>,
        out: &mut Outbox,
        spawn: &mut Vec<ProcessId>,
        kill: &mut Vec<u32>,
    ) {
        let now = runtime.now();
        let here = runtime.process();
        loop {
            if let Some(command) = self.scheduler.poll_command() {
                self.run_scheduler_command(command, runtime, out, spawn, kill);
                continue;
            }
            let Some(command) = self.directory.poll_command() else {
                return;
            };
            match command {
                ActorCommand::RequestLease {
                    request,
                    actor,
                    shape,
                    running,
                } => {
                    self.scheduler.request_lease(
                        here,
                        request,
                        shape,
                        LeaseKind::Actor { actor, running },
                        now,
                    );
                }
                ActorCommand::CancelLeaseRequest { request } => {
                    self.scheduler.cancel_request(here, request, now)
                }
                ActorCommand::StartActor {
                    actor,
                    worker,
                    incarnation,
                    owner,
                } => match self.workers.get(&worker).and_then(|worker| worker.addr) {
                    Some(addr) => out.push((
                        owner,
                        Message::Construct {
                            actor,
                            worker,
                            addr,
                            incarnation,
                        },
                    )),
                    None => {
                        tracing::error!(%actor, %worker, "an actor was placed on a worker without address")
                    }
                },
                ActorCommand::ActorRunning { lease } => self.scheduler.on_actor_started(lease, now),
                ActorCommand::Publish { to, actor, state } => {
                    let status = self.status_of(state);
                    out.push((to, Message::ActorState { actor, status }));
                }
                ActorCommand::KillWorker { worker } => {
                    if let Some(worker) = self.workers.get(&worker) {
                        kill.push(worker.pid);
                    }
                }
                ActorCommand::StopActor { actor, worker } => {
                    out.push((worker, Message::StopActor { actor }))
                }
                ActorCommand::ReturnLease { lease } => self.scheduler.return_lease(lease, now),
            }
        }
    }

    fn run_scheduler_command(
        &mut self,
        command: SchedulerCommand,
        runtime: &Arc<Runtime>,
        out: &mut Outbox,
        spawn: &mut Vec<ProcessId>,
        kill: &mut Vec<u32>,
    ) {
        let now = runtime.now();
        match command {
            SchedulerCommand::Grant {
                requester,
                request,
                lease,
                worker,
                actor,
                ..
            } => {
                if actor.is_some() {
                    self.directory.on_lease_granted(request, lease, worker, now);
                    return;
                }
                match self.workers.get(&worker).and_then(|worker| worker.addr) {
                    Some(addr) => {
                        out.push((
                            requester,
                            Message::LeaseGranted {
                                request: request.0,
                                lease,
                                worker,
                                addr,
                            },
                        ));
                    }
                    None => self.scheduler.return_lease(lease, now),
                }
            }
            SchedulerCommand::Refuse {
                requester,
                request,
                failure,
                actor,
                ..
            } => {
                if actor.is_some() {
                    self.directory.on_lease_refused(request, failure, now);
                } else {
                    out.push((
                        requester,
                        Message::LeaseRefused {
                            request: request.0,
                            failure,
                        },
                    ));
                }
            }
            SchedulerCommand::SpawnWorker => {
                if self.shutting_down {
                    return;
                }
                let process = ProcessId(runtime.fresh_process_id());
                self.scheduler.on_spawn_started(process, now);
                self.workers.insert(
                    process,
                    Worker {
                        pid: 0,
                        addr: None,
                        ready: false,
                    },
                );
                spawn.push(process);
            }
            SchedulerCommand::RecallLease { requester, lease } => {
                out.push((requester, Message::RecallLease { lease }));
            }
            SchedulerCommand::StopWorker { process } => out.push((process, Message::Shutdown)),
            SchedulerCommand::Tell(notice) => {
                tracing::error!(?notice, "a node that is alone has nobody to tell");
            }
            SchedulerCommand::KillWorker { process }
            | SchedulerCommand::EvictWorker { process, .. } => {
                if let Some(worker) = self.workers.get(&process) {
                    kill.push(worker.pid);
                }
            }
        }
    }

    fn status_of(&self, state: DirectoryState) -> ActorStatus {
        match state {
            DirectoryState::Pending => ActorStatus::Pending,
            DirectoryState::Alive {
                process,
                incarnation,
            } => {
                match self.workers.get(&process).and_then(|worker| worker.addr) {
                    Some(addr) => ActorStatus::Alive {
                        process,
                        addr,
                        incarnation,
                    },
                    // It just died; the directory will say so next.
                    None => ActorStatus::Pending,
                }
            }
            DirectoryState::Restarting => ActorStatus::Restarting,
            DirectoryState::Dead { failure } => ActorStatus::Dead { failure },
        }
    }

    fn grant_segments(&mut self, out: &mut Outbox, here: ProcessId) {
        while let Some(asked) = self.segment_queue.front() {
            let (asker, request) = (asked.asker, asked.request);
            let granted = self
                .arena
                .grant(asked.bytes, asker.0)
                .or_else(|| self.arena.grant(asked.least, asker.0));
            match granted {
                Some(range) => {
                    self.segment_queue.pop_front();
                    let outcome = Ok((range.first, range.count));
                    out.push((asker, Message::SegmentsGranted { request, outcome }));
                }
                None => {
                    let ready = self
                        .workers
                        .iter()
                        .filter(|(_, worker)| worker.ready)
                        .map(|(id, _)| *id);
                    out.extend(
                        ready
                            .chain([here])
                            .map(|process| (process, Message::RecallSegments)),
                    );
                    return;
                }
            }
        }
    }

    /// Keeps a dead writer's segments until everyone alive has stopped reading them.
    fn orphan(&mut self, dead: ProcessId, here: ProcessId) {
        if self.arena.ranges_of(dead.0).is_empty() {
            return;
        }
        let readers = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.ready)
            .map(|(id, _)| *id);
        let readers = readers.chain([here]).collect();
        self.quiescing.insert(dead, readers);
    }

    fn on_quiesced(&mut self, dead: ProcessId, from: ProcessId, out: &mut Outbox, here: ProcessId) {
        let Some(readers) = self.quiescing.get_mut(&dead) else {
            return;
        };
        readers.retain(|reader| *reader != from);
        if !readers.is_empty() {
            return;
        }
        self.quiescing.remove(&dead);
        for range in self.arena.ranges_of(dead.0) {
            if let Err(error) = self.arena.release(range) {
                tracing::error!(%error, %dead, "a dead writer's segments could not be taken back");
            }
        }
        self.grant_segments(out, here);
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
