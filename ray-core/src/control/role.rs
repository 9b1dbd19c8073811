//! The control role's state, and the messages that change it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use parking_lot::Mutex;
use ray_engine::{
    control::{
        actors::{ActorDirectory, ActorSpec, Command as ActorCommand, DirectoryState},
        groups::{GroupsConfig, PlacementGroups},
        jobs::{JobDirectory, JobsConfig},
        nodes::NodeDirectory,
        rendezvous::Rendezvous,
    },
    failure::{Failure, WorkerExit},
    ids::{ActorId, JobId, LeaseId, ProcessId, RequestId},
    scheduler::cluster::{ClusterConfig, ClusterScheduler, Command as PlaceCommand},
    spec::{Demand, Placement},
    time::Time,
};

use super::{collectives, gather::Gatherings, health::health_config, jobs::Wish, nodes::Nodes};
use crate::{
    actor::CallLimits,
    config::{ENDED_JOBS_MAX, JOB_STOP_GRACE, NODE_SILENCE},
    runtime::{Runtime, courier::Courier},
    wire::{ActorCreation, ActorStatus, JobSpec, Location, Message},
};

/// What the control process knows and decides.
pub(crate) struct ControlRole {
    pub(super) state: Mutex<ControlState>,
    courier: Courier,
    pub(super) gatherings: Gatherings,
}

pub(super) struct ControlState {
    pub(super) directory: ActorDirectory,
    pub(super) scheduler: ClusterScheduler,
    pub(super) groups: PlacementGroups,
    pub(super) rendezvous: Rendezvous<SocketAddr>,
    pub(super) nodes: Nodes,
    /// Which nodes that run work live.
    pub(super) health: NodeDirectory,
    /// Nodes that are dead and must be told so.
    pub(super) fenced: Vec<ProcessId>,
    /// Drivers that may not take part any more.
    pub(super) dismissed: Vec<ProcessId>,
    /// Whether each newcomer that the desk let in may only be a driver.
    pub(super) admitted: BTreeMap<ProcessId, bool>,
    /// Which start of the head on its store this is.
    pub(super) generation: u64,
    /// Nodes of the head before that may come back, and until when.
    pub(super) returning: BTreeSet<ProcessId>,
    pub(super) returns_until: Option<Time>,
    /// Workers with detached actors of the head before, until their nodes have reported.
    pub(super) restored: BTreeSet<ProcessId>,
    /// The detached actors that the next head would find.
    pub(super) on_record: BTreeSet<ActorId>,
    pub(super) jobs: JobDirectory,
    /// What nodes must know of the jobs whose drivers live.
    pub(super) specs: BTreeMap<JobId, JobSpec>,
    /// The arguments of the drivers that connected.
    pub(super) command_lines: BTreeMap<JobId, String>,
    /// Who starts and ends submitted jobs.
    pub(super) job_wishes: Option<Sender<Wish>>,
    /// Whose worker each request wants that was not settled.
    wanted: BTreeMap<(ProcessId, RequestId), JobId>,
    pub(super) actors: BTreeMap<ActorId, ActorNotes>,
    /// The workers that host actors, and the leases under which they do.
    pub(super) hosts: BTreeMap<ProcessId, Host>,
}

/// What the directory has no use for.
pub(super) struct ActorNotes {
    pub(super) job: JobId,
    /// What handles found by name must know about calls.
    limits: CallLimits,
    placement: Placement,
    /// What the next head must know of one that outlives its job.
    pub(super) detached: Option<Box<ActorCreation>>,
}

impl ActorNotes {
    pub(super) fn of(creation: &ActorCreation) -> ActorNotes {
        ActorNotes {
            job: creation.job,
            limits: creation.limits,
            placement: creation.placement.clone(),
            detached: creation.detached.then(|| Box::new(creation.clone())),
        }
    }
}

pub(super) struct Host {
    pub(super) addr: SocketAddr,
    pub(super) lease: LeaseId,
    pub(super) devices: Vec<u32>,
}

/// A detached actor that runs, as it is kept for the next head.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Clone, Debug)]
pub(crate) struct ActorOnRecord {
    pub(crate) creation: ActorCreation,
    pub(crate) owner: ProcessId,
    pub(crate) worker: ProcessId,
    pub(crate) addr: SocketAddr,
    pub(crate) lease: LeaseId,
    pub(crate) devices: Vec<u32>,
    pub(crate) incarnation: u64,
}

/// Returns what the directory must know of an actor.
pub(super) fn spec_of(creation: ActorCreation, owner: ProcessId) -> ActorSpec {
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
    }
}

/// What the directory's questions count from; those of this process's own owner stay below.
const ACTOR_REQUESTS_FROM: u64 = 1 << 63;

/// What to send where, once the role's lock is given back.
pub(super) type Outbox = Vec<(ProcessId, Message)>;

impl ControlRole {
    /// Returns the control role of a cluster without nodes.
    ///
    /// What no node can run is refused after `infeasible_grace`; `None` waits for ever.
    pub(crate) fn new(
        infeasible_grace: Option<Duration>,
        seed: u64,
        generation: u64,
    ) -> ControlRole {
        let config = ClusterConfig {
            infeasible_grace,
            ..ClusterConfig::default()
        };
        ControlRole {
            courier: Courier::default(),
            gatherings: Gatherings::default(),
            state: Mutex::new(ControlState {
                directory: ActorDirectory::new()
                    .with_first_request(ACTOR_REQUESTS_FROM + (generation << 40)),
                scheduler: ClusterScheduler::new(config, seed),
                groups: PlacementGroups::new(GroupsConfig::default(), 1),
                rendezvous: Rendezvous::default(),
                nodes: Nodes::default(),
                health: NodeDirectory::new(health_config(NODE_SILENCE)),
                fenced: Vec::new(),
                dismissed: Vec::new(),
                admitted: BTreeMap::new(),
                generation: 1,
                returning: BTreeSet::new(),
                returns_until: None,
                restored: BTreeSet::new(),
                on_record: BTreeSet::new(),
                jobs: JobDirectory::new(JobsConfig {
                    stop_grace: JOB_STOP_GRACE,
                    ended_max: ENDED_JOBS_MAX,
                    ..JobsConfig::default()
                }),
                specs: BTreeMap::new(),
                command_lines: BTreeMap::new(),
                job_wishes: None,
                wanted: BTreeMap::new(),
                actors: BTreeMap::new(),
                hosts: BTreeMap::new(),
            }),
        }
    }

    /// Takes a node of which nothing is heard for this long for dead.
    pub(crate) fn set_node_silence(&self, silence: Duration) {
        self.state.lock().health = NodeDirectory::new(health_config(silence));
    }

    /// Has what submitted jobs need done by whoever listens.
    pub(crate) fn keep_jobs(&self, wishes: Sender<Wish>) {
        self.state.lock().job_wishes = Some(wishes);
    }

    pub(super) fn with_state<R>(
        &self,
        runtime: &Arc<Runtime>,
        f: impl FnOnce(&mut ControlState, &mut Outbox) -> R,
    ) -> R {
        let mut out = Outbox::new();
        let (result, timeout, fenced) = {
            let mut state = self.state.lock();
            let result = f(&mut state, &mut out);
            state.run_commands(runtime, &mut out);
            self.courier.queue(out);
            let timeouts = [
                state.scheduler.poll_timeout(),
                state.groups.poll_timeout(),
                state.jobs.poll_timeout(),
                state.health.poll_timeout(),
                state.returns_until,
            ];
            let fenced = std::mem::take(&mut state.fenced);
            let dismissed = std::mem::take(&mut state.dismissed);
            let fenced: Vec<_> = fenced
                .into_iter()
                .map(|node| (node, false))
                .chain(dismissed.into_iter().map(|driver| (driver, true)))
                .collect();
            (result, timeouts.into_iter().flatten().min(), fenced)
        };
        for (process, and_close) in fenced {
            // What is sent to the dead is thrown away, so this goes past the table of processes.
            let Some(peer) = runtime.net().peer(process.0) else {
                continue;
            };
            runtime.send_to_peer(&peer, &Message::Shutdown);
            if and_close {
                peer.close("it may not take part any more");
            }
        }
        self.courier.carry(runtime);
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
            state.groups.on_timeout(now);
            state.jobs.on_timeout(now);
            state.health.on_timeout(now);
            state.on_returns_over(now);
        });
    }

    /// The connection to a process is gone; a node's own takes the whole node with it.
    pub(crate) fn on_connection_lost(
        &self,
        runtime: &Arc<Runtime>,
        process: ProcessId,
        said_goodbye: bool,
    ) {
        if process == process.node_process() {
            self.with_state(runtime, |state, out| {
                let now = runtime.now();
                if said_goodbye {
                    state.jobs.on_driver_finished(process, now);
                }
                state.on_node_disconnected(process, said_goodbye, now, out)
            });
        }
    }

    /// Handles a message for the control role.
    pub(crate) fn on_message(&self, runtime: &Arc<Runtime>, from: ProcessId, message: Message) {
        let now = runtime.now();
        if let Message::Gathered {
            request,
            process,
            held,
        } = message
        {
            if process.node_process() == from.node_process() {
                self.on_gathered(request, process, held);
            }
            return;
        }
        self.with_state(runtime, |state, out| {
            let node = from.node_process();
            if node != runtime.process() && !state.admitted.contains_key(&node) {
                tracing::warn!(%from, "somebody who was not let in is sent away");
                return state.fenced.push(node);
            }
            state.on_heard(from, now);
            state.on_message(runtime, from, message, now, out);
        });
    }

    /// Notes what the desk let a newcomer be.
    pub(crate) fn on_admitted(&self, process: ProcessId, only_drives: bool) {
        self.state.lock().admitted.insert(process, only_drives);
    }

    /// Returns whether a process was let in.
    pub(crate) fn is_admitted(&self, process: ProcessId) -> bool {
        self.state.lock().admitted.contains_key(&process)
    }

    /// Returns where a process is, as far as the control role knows.
    pub(crate) fn locate(&self, process: ProcessId) -> Location {
        self.state.lock().nodes.locate(process)
    }
}

impl ControlState {
    fn on_message(
        &mut self,
        runtime: &Arc<Runtime>,
        from: ProcessId,
        message: Message,
        now: Time,
        out: &mut Outbox,
    ) {
        let state = self;
        match message {
            Message::Heartbeat if state.health.state(from.node()).is_none() => {
                state.on_stranger(from, out)
            }
            Message::Heartbeat => state.health.on_heartbeat(from.node(), now),
            Message::ProbeReached { target } => state.health.on_probe_reached(target.node(), now),
            Message::DrainAccepted => state.health.on_drain_accepted(from.node(), now),
            Message::Drained => state.health.on_drained(from.node(), now),
            Message::CreateActor { request, creation } => {
                let outcome = state.create_actor(from, creation, now);
                out.push((from, Message::CreateActorReply { request, outcome }));
            }
            Message::ConstructFailed { actor, failure } => {
                state.directory.on_start_failed(actor, failure, now)
            }
            Message::OfWorker { worker, message } => {
                if worker.node_process() == from {
                    state.on_worker_says(worker, *message, now);
                }
            }
            Message::WorkerDied { process, exit } => {
                if process.node_process() == from {
                    state.on_process_died(process, &exit, now);
                    state
                        .nodes
                        .tell_others(from, out, &|| Message::ProcessDied {
                            process,
                            exit: exit.clone(),
                        });
                    let nodes = state.nodes.others(from);
                    out.push((from, Message::DeathTold { process, nodes }));
                }
            }
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
                        let limits = state.actors.get(&actor).map(|notes| notes.limits);
                        (actor, class, limits.unwrap_or_default())
                    })
                    .ok_or(Failure::NotFound(name));
                out.push((from, Message::LookupActorReply { request, outcome }));
            }
            Message::SpillLease {
                requester,
                request,
                job,
                demand,
            } => state.place(requester, RequestId(request), job, demand, now),
            Message::CancelSpilled { requester, request } => {
                state.forget(requester, RequestId(request), now)
            }
            Message::LeaseSettled { node, request } => {
                let request = RequestId(request);
                // A stale answer, of a node that has lost the request since, settles nothing.
                if state.scheduler.on_settled(node, from, request) {
                    state.wanted.remove(&(from, request));
                }
            }
            Message::LeaseRejected { requester, request } => {
                state
                    .scheduler
                    .on_rejected(from.node(), requester, RequestId(request), now)
            }
            Message::ActorPlaced {
                request,
                lease,
                worker,
                addr,
                devices,
            } => {
                let request = RequestId(request);
                state.wanted.remove(&(runtime.process(), request));
                state
                    .scheduler
                    .on_settled(from.node(), runtime.process(), request);
                let host = Host {
                    addr,
                    lease,
                    devices,
                };
                state.hosts.insert(worker, host);
                state
                    .directory
                    .on_lease_granted(request, lease, worker, now);
            }
            Message::ActorPlaceRefused { request, failure } => {
                let request = RequestId(request);
                state.wanted.remove(&(runtime.process(), request));
                state
                    .scheduler
                    .on_settled(from.node(), runtime.process(), request);
                state.directory.on_lease_refused(request, failure, now);
            }
            Message::NodeUp { row } => {
                // Of those that nobody let in only this process itself comes so far.
                let only_drives = state.admitted.get(&from) == Some(&true);
                let is_allowed = row.node.process() == from && (row.is_driver || !only_drives);
                let is_own = from == runtime.process();
                if is_allowed && (is_own || state.on_health_joined(&row, now)) {
                    let (node, total) = (row.node, row.resources.clone());
                    let labels = row.labels.clone();
                    for job in state.specs.values() {
                        out.push((from, Message::JobAnnounced { job: job.clone() }));
                    }
                    let runs_work = !row.is_driver;
                    state.returning.remove(&from);
                    state.nodes.on_up(row);
                    if runs_work {
                        state
                            .scheduler
                            .on_node_joined(node, total.clone(), labels.clone(), now);
                        state.groups.on_node_joined(node, total, labels, now);
                    }
                }
            }
            Message::NodeView { report, workers } => {
                state.nodes.on_view(from, report.available.clone(), workers);
                state.check_restored(from, now);
                state
                    .scheduler
                    .on_node_view(from.node(), report.clone(), now);
                state.groups.on_node_view(from.node(), report, now);
            }
            Message::JobUp { job } => state.on_job_up(from, job, now, out),
            Message::CreateGroup { .. }
            | Message::RemoveGroup { .. }
            | Message::BundlesPrepared { .. }
            | Message::BundlesCommitted { .. }
            | Message::BundlesRefused { .. } => state.on_group_message(from, message, now, out),
            Message::JoinCollective { .. }
            | Message::WithdrawCollective { .. }
            | Message::LeaveCollective { .. } => state.on_collective_message(from, message),
            Message::QueryResources { request } => {
                let (total, available) = state.nodes.resources();
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
                let nodes = state.nodes.rows();
                out.push((from, Message::Nodes { request, nodes }));
            }
            other => tracing::warn!(%from, ?other, "the control role has no use for this message"),
        }
    }

    fn create_actor(
        &mut self,
        owner: ProcessId,
        creation: ActorCreation,
        now: Time,
    ) -> Result<ActorId, Failure> {
        self.actors
            .insert(creation.actor, ActorNotes::of(&creation));
        self.directory.create(spec_of(creation, owner), now)
    }

    fn place(
        &mut self,
        requester: ProcessId,
        request: RequestId,
        job: JobId,
        demand: Demand,
        now: Time,
    ) {
        self.wanted.insert((requester, request), job);
        self.scheduler.place(requester, request, demand, now);
    }

    fn forget(&mut self, requester: ProcessId, request: RequestId, now: Time) {
        self.wanted.remove(&(requester, request));
        self.scheduler.cancel(requester, request, now);
    }

    /// A node passes on what one of its workers says about its actor.
    fn on_worker_says(&mut self, worker: ProcessId, message: Message, now: Time) {
        match message {
            Message::ActorStarted { actor, incarnation } => {
                self.keep_on_record(actor, worker, incarnation);
                self.directory.on_started(actor, worker, incarnation, now);
            }
            Message::ActorStartFailed { actor, failure, .. } => {
                self.directory.on_start_failed(actor, failure, now)
            }
            Message::ActorExit { actor, cause } => {
                self.directory.on_exit(actor, worker, cause, now)
            }
            other => tracing::warn!(%worker, ?other, "a worker has nothing to say about this"),
        }
    }

    /// A process is gone: as the home of an actor, and as an owner of actors.
    pub(super) fn on_process_died(&mut self, process: ProcessId, exit: &WorkerExit, now: Time) {
        self.hosts.remove(&process);
        self.wanted
            .retain(|(requester, _), _| *requester != process);
        self.scheduler.on_process_died(process, now);
        self.rendezvous
            .on_process_died(process, &collectives::describe(exit));
        self.directory.on_worker_died(process, exit.clone(), now);
        self.directory.on_owner_died(process, now);
    }

    /// A node is gone, and with it everything that ran on it.
    pub(super) fn on_node_lost(&mut self, process: ProcessId, now: Time, out: &mut Outbox) {
        if !self.nodes.on_lost(process) {
            return;
        }
        tracing::warn!(node = %process.node(), "a node is gone");
        self.scheduler.on_node_left(process.node(), now);
        self.wanted
            .retain(|(requester, _), _| requester.node_process() != process);
        self.groups.on_node_died(process.node(), now);
        self.rendezvous.on_node_died(process);
        let hosts = self
            .hosts
            .keys()
            .filter(|worker| worker.node_process() == process);
        let owners = self
            .actors
            .keys()
            .map(|actor| actor.owner)
            .filter(|owner| owner.node_process() == process);
        let gone: std::collections::BTreeSet<ProcessId> =
            hosts.copied().chain(owners).chain([process]).collect();
        for process in gone {
            let exit = WorkerExit {
                worker: process,
                last_stderr: "its node is gone".into(),
                ..WorkerExit::default()
            };
            self.on_process_died(process, &exit, now);
        }
        self.nodes
            .tell_others(process, out, &|| Message::NodeDied { process });
        self.jobs.on_node_died(process.node(), now);
    }

    /// Carries out what the machines wish, until all are still.
    fn run_commands(&mut self, runtime: &Arc<Runtime>, out: &mut Outbox) {
        let now = runtime.now();
        self.run_rendezvous(out);
        loop {
            if let Some(command) = self.groups.poll_command() {
                self.run_group_command(command, now, out);
            } else if let Some(command) = self.scheduler.poll_command() {
                self.run_placement(command, runtime, out);
            } else if let Some(command) = self.directory.poll_command() {
                self.run_actor_command(command, runtime, now, out);
            } else if let Some(command) = self.health.poll_command() {
                self.run_health_command(command, now, out);
            } else if let Some(command) = self.jobs.poll_command() {
                self.run_job_command(command, now, out);
            } else {
                return self.forget_dead_actors();
            }
        }
    }

    fn run_placement(&mut self, command: PlaceCommand, runtime: &Arc<Runtime>, out: &mut Outbox) {
        match command {
            PlaceCommand::Forward {
                node,
                requester,
                request,
                demand,
                is_bound,
            } => {
                let job = self.wanted.get(&(requester, request)).copied();
                let Some(job) = job else {
                    self.scheduler.on_settled(node, requester, request);
                    return;
                };
                let request = request.0;
                out.push((
                    node.process(),
                    Message::PlaceLease {
                        requester,
                        request,
                        job,
                        demand,
                        is_bound,
                    },
                ));
            }
            PlaceCommand::CancelForwarded {
                node,
                requester,
                request,
            } => {
                let request = request.0;
                out.push((node.process(), Message::CancelPlaced { requester, request }));
            }
            PlaceCommand::Refuse {
                requester,
                request,
                failure,
                actor,
            } => {
                self.wanted.remove(&(requester, request));
                if actor.is_some() {
                    self.directory
                        .on_lease_refused(request, failure, runtime.now());
                } else {
                    let request = request.0;
                    let was_placed = false;
                    out.push((
                        requester,
                        Message::LeaseRefused {
                            request,
                            failure,
                            was_placed,
                        },
                    ));
                }
            }
        }
    }

    fn run_actor_command(
        &mut self,
        command: ActorCommand,
        runtime: &Arc<Runtime>,
        now: Time,
        out: &mut Outbox,
    ) {
        match command {
            ActorCommand::RequestLease {
                request,
                actor,
                shape,
                running,
            } => {
                let (job, placement) = match self.actors.get(&actor) {
                    Some(notes) => (notes.job, notes.placement.clone()),
                    None => (JobId(0), Placement::default()),
                };
                let demand = Demand {
                    job,
                    strategy: placement.strategy,
                    bundle: placement.bundle,
                    actor: Some((actor, running)),
                    origin: Some(actor.owner.node()),
                    ..Demand::task(shape)
                };
                self.place(runtime.process(), request, job, demand, now);
            }
            ActorCommand::CancelLeaseRequest { request } => {
                self.forget(runtime.process(), request, now)
            }
            ActorCommand::StartActor {
                actor,
                worker,
                incarnation,
                owner,
            } => {
                if let Some(host) = self.hosts.get(&worker) {
                    let (addr, devices) = (host.addr, host.devices.clone());
                    out.push((
                        owner,
                        Message::Construct {
                            actor,
                            worker,
                            addr,
                            incarnation,
                            devices,
                        },
                    ));
                }
            }
            ActorCommand::ActorRunning { lease } => {
                if let Some(worker) = self.host_of(lease) {
                    out.push((worker.node_process(), Message::ActorRunning { lease }));
                }
            }
            ActorCommand::ReturnLease { lease } => {
                if let Some(worker) = self.host_of(lease) {
                    self.hosts.remove(&worker);
                    out.push((worker.node_process(), Message::ReturnLease { lease }));
                }
            }
            ActorCommand::Publish { to, actor, state } => {
                let status = self.status_of(state);
                out.push((to, Message::ActorState { actor, status }));
            }
            ActorCommand::KillWorker { worker } => {
                out.push((worker.node_process(), Message::KillWorker { worker }));
            }
            ActorCommand::StopActor { actor, worker } => {
                out.push((
                    worker.node_process(),
                    Message::StopWorkersActor { worker, actor },
                ));
            }
        }
    }

    fn host_of(&self, lease: LeaseId) -> Option<ProcessId> {
        self.hosts
            .iter()
            .find(|(_, host)| host.lease == lease)
            .map(|(worker, _)| *worker)
    }

    fn status_of(&self, state: DirectoryState) -> ActorStatus {
        match state {
            DirectoryState::Pending => ActorStatus::Pending,
            DirectoryState::Alive {
                process,
                incarnation,
            } => match self.hosts.get(&process) {
                Some(host) => ActorStatus::Alive {
                    process,
                    addr: host.addr,
                    incarnation,
                },
                // It just died; the directory will say so next.
                None => ActorStatus::Pending,
            },
            DirectoryState::Restarting => ActorStatus::Restarting,
            DirectoryState::Dead { failure } => ActorStatus::Dead { failure },
        }
    }
}
