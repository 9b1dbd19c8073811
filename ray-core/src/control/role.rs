//! The control role's state, and the messages that change it.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use ray_engine::{
    control::{
        actors::{ActorDirectory, ActorSpec, Command as ActorCommand, DirectoryState},
        groups::{GroupsConfig, PlacementGroups},
        rendezvous::Rendezvous,
    },
    failure::{Failure, WorkerExit},
    ids::{ActorId, JobId, LeaseId, ProcessId, RequestId},
    scheduler::cluster::{ClusterConfig, ClusterScheduler, Command as PlaceCommand},
    spec::{Demand, Placement},
    time::Time,
};

use super::{collectives, nodes::Nodes};
use crate::{
    actor::CallLimits,
    runtime::{Runtime, courier::Courier},
    wire::{ActorCreation, ActorStatus, JobSpec, Location, Message},
};

/// What the control process knows and decides.
pub(crate) struct ControlRole {
    pub(super) state: Mutex<ControlState>,
    courier: Courier,
}

pub(super) struct ControlState {
    pub(super) directory: ActorDirectory,
    pub(super) scheduler: ClusterScheduler,
    pub(super) groups: PlacementGroups,
    pub(super) rendezvous: Rendezvous<SocketAddr>,
    pub(super) nodes: Nodes,
    /// Whether each newcomer that the desk let in may only be a driver.
    admitted: BTreeMap<ProcessId, bool>,
    pub(super) jobs: BTreeMap<JobId, JobSpec>,
    /// The jobs that are over, the newest last.
    pub(super) ended: VecDeque<JobSpec>,
    /// Whose worker each request wants that was not settled.
    wanted: BTreeMap<(ProcessId, RequestId), JobId>,
    pub(super) actors: BTreeMap<ActorId, ActorNotes>,
    /// The workers that host actors, and the leases under which they do.
    hosts: BTreeMap<ProcessId, Host>,
}

/// What the directory has no use for.
pub(super) struct ActorNotes {
    pub(super) job: JobId,
    /// What handles found by name must know about calls.
    limits: CallLimits,
    placement: Placement,
}

struct Host {
    addr: SocketAddr,
    lease: LeaseId,
    devices: Vec<u32>,
}

/// Jobs that are over and still listed.
const ENDED_JOBS_MAX: usize = 1000;

/// What the directory's questions count from; those of this process's own owner stay below.
const ACTOR_REQUESTS_FROM: u64 = 1 << 63;

/// What to send where, once the role's lock is given back.
pub(super) type Outbox = Vec<(ProcessId, Message)>;

impl ControlRole {
    /// Returns the control role of a cluster without nodes.
    ///
    /// What no node can run is refused after `infeasible_grace`; `None` waits for ever.
    pub(crate) fn new(infeasible_grace: Option<Duration>, seed: u64) -> ControlRole {
        let config = ClusterConfig {
            infeasible_grace,
            ..ClusterConfig::default()
        };
        ControlRole {
            courier: Courier::default(),
            state: Mutex::new(ControlState {
                directory: ActorDirectory::new().with_first_request(ACTOR_REQUESTS_FROM),
                scheduler: ClusterScheduler::new(config, seed),
                groups: PlacementGroups::new(GroupsConfig::default(), 1),
                rendezvous: Rendezvous::default(),
                nodes: Nodes::default(),
                admitted: BTreeMap::new(),
                jobs: BTreeMap::new(),
                ended: VecDeque::new(),
                wanted: BTreeMap::new(),
                actors: BTreeMap::new(),
                hosts: BTreeMap::new(),
            }),
        }
    }

    fn with_state<R>(
        &self,
        runtime: &Arc<Runtime>,
        f: impl FnOnce(&mut ControlState, &mut Outbox) -> R,
    ) -> R {
        let mut out = Outbox::new();
        let (result, timeout) = {
            let mut state = self.state.lock();
            let result = f(&mut state, &mut out);
            state.run_commands(runtime, &mut out);
            self.courier.queue(out);
            let timeouts = [state.scheduler.poll_timeout(), state.groups.poll_timeout()];
            (result, timeouts.into_iter().flatten().min())
        };
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
        });
    }

    /// The connection to a process is gone; a node's own takes the whole node with it.
    pub(crate) fn on_connection_lost(&self, runtime: &Arc<Runtime>, process: ProcessId) {
        if process == process.node_process() {
            self.with_state(runtime, |state, out| {
                state.on_node_lost(process, runtime.now(), out)
            });
        }
    }

    /// Handles a message for the control role.
    pub(crate) fn on_message(&self, runtime: &Arc<Runtime>, from: ProcessId, message: Message) {
        let now = runtime.now();
        self.with_state(runtime, |state, out| match message {
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
                let only_drives = match state.admitted.get(&from) {
                    Some(only_drives) => *only_drives,
                    // Nobody let it in, unless it is this process itself.
                    None => from != runtime.process(),
                };
                if row.node.process() == from && (row.is_driver || !only_drives) {
                    let (node, total) = (row.node, row.resources.clone());
                    let labels = row.labels.clone();
                    for job in state.jobs.values() {
                        out.push((from, Message::JobAnnounced { job: job.clone() }));
                    }
                    let runs_work = !row.is_driver;
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
                state
                    .scheduler
                    .on_node_view(from.node(), report.clone(), now);
                state.groups.on_node_view(from.node(), report, now);
            }
            Message::JobUp { job } => {
                if job.driver == from {
                    state
                        .nodes
                        .tell_others(from, out, &|| Message::JobAnnounced { job: job.clone() });
                    state.jobs.insert(job.job, job);
                }
            }
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
        });
    }

    /// Notes what the desk let a newcomer be.
    pub(crate) fn on_admitted(&self, process: ProcessId, only_drives: bool) {
        self.state.lock().admitted.insert(process, only_drives);
    }

    /// Returns where a process is, as far as the control role knows.
    pub(crate) fn locate(&self, process: ProcessId) -> Location {
        self.state.lock().nodes.locate(process)
    }
}

impl ControlState {
    fn create_actor(
        &mut self,
        owner: ProcessId,
        creation: ActorCreation,
        now: Time,
    ) -> Result<ActorId, Failure> {
        self.actors.insert(
            creation.actor,
            ActorNotes {
                job: creation.job,
                limits: creation.limits,
                placement: creation.placement,
            },
        );
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
    fn on_process_died(&mut self, process: ProcessId, exit: &WorkerExit, now: Time) {
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
    fn on_node_lost(&mut self, process: ProcessId, now: Time, out: &mut Outbox) {
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
        let ended = self
            .jobs
            .values()
            .filter(|job| job.driver == process)
            .map(|job| job.job)
            .collect::<Vec<_>>();
        for job in ended {
            self.groups.on_job_ended(job, now);
            self.rendezvous.on_job_ended(job);
            self.ended.extend(self.jobs.remove(&job));
            while self.ended.len() > ENDED_JOBS_MAX {
                self.ended.pop_front();
            }
            self.nodes
                .tell_others(process, out, &|| Message::JobEnded { job });
        }
    }

    /// Carries out what groups, scheduler and directory wish, until all are still.
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
            } else {
                return;
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
