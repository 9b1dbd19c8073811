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
        actors::ActorDirectory,
        groups::{GroupsConfig, PlacementGroups},
        jobs::{JobDirectory, JobsConfig},
        nodes::NodeDirectory,
        rendezvous::Rendezvous,
    },
    ids::{ActorId, GroupId, JobId, ProcessId, RequestId},
    scheduler::cluster::{ClusterConfig, ClusterScheduler},
    time::Time,
};

use super::{
    actors::{ActorNotes, Host},
    gather::Gatherings,
    health::health_config,
    jobs::Wish,
    lookups::Lookups,
    names::Names,
    nodes::Nodes,
};
use crate::{
    config::{ENDED_JOBS_MAX, JOB_STOP_GRACE, NODE_SILENCE},
    runtime::{Runtime, courier::Courier},
    wire::{
        ActorClaim, GroupMessage, HostedActor, JobSpec, LeaveMessage, Location, LookMessage,
        Message, QuestionMessage, ReunionMessage, Variables,
    },
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
    /// Nodes that have told a head that was started again which actors they host.
    pub(super) reported: BTreeSet<ProcessId>,
    /// Actors that run and whose creators have not told of them yet.
    pub(super) hosted: BTreeMap<ActorId, HostedActor>,
    /// Actors that creators told of and whose nodes have not yet.
    pub(super) claims: BTreeMap<ActorId, ActorClaim>,
    /// Names that may yet be found.
    pub(super) lookups: Lookups,
    /// Names that are taken, and those that may be.
    pub(super) names: Names,
    /// Workers with detached actors of the head before, until their nodes have reported.
    pub(super) restored: BTreeSet<ProcessId>,
    /// The detached actors that the next head would find.
    pub(super) on_record: BTreeSet<ActorId>,
    /// The detached placement groups that it would find.
    pub(super) groups_on_record: BTreeSet<GroupId>,
    /// Detached actors that have made placement groups.
    pub(super) reserving: BTreeSet<ActorId>,
    pub(super) jobs: JobDirectory,
    /// What nodes must know of the jobs whose drivers live.
    pub(super) specs: BTreeMap<JobId, JobSpec>,
    /// The variables of submitted jobs that are not over.
    pub(super) envs: BTreeMap<JobId, Variables>,
    /// The arguments of the drivers that connected.
    pub(super) command_lines: BTreeMap<JobId, String>,
    /// Who starts and ends submitted jobs.
    pub(super) job_wishes: Option<Sender<Wish>>,
    /// Whose worker each request wants that was not settled.
    pub(super) wanted: BTreeMap<(ProcessId, RequestId), JobId>,
    pub(super) actors: BTreeMap<ActorId, ActorNotes>,
    /// The workers that host actors, and the leases under which they do.
    pub(super) hosts: BTreeMap<ProcessId, Host>,
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
                groups: PlacementGroups::new(GroupsConfig::default(), (generation << 32) + 1),
                rendezvous: Rendezvous::default(),
                nodes: Nodes::default(),
                health: NodeDirectory::new(health_config(NODE_SILENCE)),
                fenced: Vec::new(),
                dismissed: Vec::new(),
                admitted: BTreeMap::new(),
                generation: 1,
                returning: BTreeSet::new(),
                returns_until: None,
                reported: BTreeSet::new(),
                hosted: BTreeMap::new(),
                claims: BTreeMap::new(),
                lookups: Lookups::default(),
                names: Names::default(),
                restored: BTreeSet::new(),
                on_record: BTreeSet::new(),
                groups_on_record: BTreeSet::new(),
                reserving: BTreeSet::new(),
                jobs: JobDirectory::new(JobsConfig {
                    stop_grace: JOB_STOP_GRACE,
                    ended_max: ENDED_JOBS_MAX,
                    ..JobsConfig::default()
                }),
                specs: BTreeMap::new(),
                envs: BTreeMap::new(),
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
                state.lookups.poll_timeout(),
                state.names.poll_timeout(),
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
        self.with_state(runtime, |state, out| {
            let now = runtime.now();
            state.scheduler.on_timeout(now);
            state.groups.on_timeout(now);
            state.jobs.on_timeout(now);
            state.health.on_timeout(now);
            state.on_returns_over(now, out);
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
            let open = runtime.net().peer(process.0);
            let is_connected = open.is_some_and(|peer| !peer.is_closed());
            self.with_state(runtime, |state, out| {
                let now = runtime.now();
                let only_drives = state.admitted.get(&process) == Some(&true);
                if only_drives && (is_connected || !state.nodes.is_alive(process)) {
                    // A try of its to find the head again, before the one that counts.
                    return;
                }
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
        if let Message::Look(LookMessage::Gathered {
            request,
            process,
            held,
        }) = message
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
            Message::Leaving(LeaveMessage::DrainAccepted) => {
                state.health.on_drain_accepted(from.node(), now)
            }
            Message::Leaving(LeaveMessage::Leave) => {
                let (others, takers) = (state.nodes.others(from), state.takers(from));
                out.push((
                    from,
                    Message::Leaving(LeaveMessage::LeaveAmong { others, takers }),
                ));
            }
            Message::Leaving(LeaveMessage::Drained { moved, left }) => {
                tracing::info!(node = %from.node(), moved, "a node is empty and leaves");
                for object in left {
                    tracing::warn!(node = %from.node(), %object, "lost with a node that leaves");
                }
                state.health.on_drained(from.node(), now)
            }
            Message::CreateActor { request, creation } => {
                state.on_creation((from, request), creation, now, out)
            }
            Message::ConstructFailed { actor, failure } => {
                state.directory.on_not_constructed(actor, failure, now)
            }
            Message::OfWorker { worker, message } => {
                if worker.node_process() == from {
                    state.on_worker_says(worker, *message, now);
                }
            }
            Message::WorkerDied { process, exit } => {
                if process.node_process() == from {
                    state.nodes.on_worker_ended(process, &exit);
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
            Message::Reunion(ReunionMessage::ClaimActor { claim }) => {
                state.on_claim(from, *claim, now)
            }
            Message::Reunion(ReunionMessage::AllClaimed) if state.returns_until.is_some() => {
                state.lookups.on_all_claimed(from)
            }
            // It was only away for a moment.
            Message::Reunion(ReunionMessage::AllClaimed) => {}
            Message::Reunion(ReunionMessage::ActorsHosted { actors, creators }) => {
                if state.returns_until.is_some() {
                    state.lookups.await_claims(&creators);
                    state.lookups.on_all_claimed(from);
                }
                state.on_hosted(from, actors, now, out)
            }
            Message::WatchActor { actor } => state.on_watch(from, actor, now),
            Message::KillActor { actor, no_restart } => {
                state.directory.kill(actor, no_restart, now)
            }
            Message::HandlesGone { actor } => state.directory.on_handles_gone(actor, now),
            Message::LookupActor {
                request,
                namespace,
                name,
            } => state.look_up((from, request), (namespace, name), now, out),
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
            Message::NodeUp { row } => state.on_node_up(runtime, from, row, now, out),
            Message::NodeView { report, workers } => {
                state.nodes.on_view(from, report.available.clone(), workers);
                state.check_restored(from, now);
                state
                    .scheduler
                    .on_node_view(from.node(), report.clone(), now);
                state.groups.on_node_view(from.node(), report, now);
            }
            Message::JobUp { job } => state.on_job_up(from, job, now, out),
            Message::Groups(GroupMessage::CreateGroup { .. })
            | Message::Groups(GroupMessage::RemoveGroup { .. })
            | Message::Groups(GroupMessage::LookupGroup { .. })
            | Message::Bundles(_) => state.on_group_message(from, message, now, out),
            Message::Collective(said) => state.on_collective_message(from, said),
            Message::Questions(QuestionMessage::QueryResources { request }) => {
                let (total, available) = state.nodes.resources();
                out.push((
                    from,
                    Message::Questions(QuestionMessage::Resources {
                        request,
                        total,
                        available,
                    }),
                ));
            }
            Message::Questions(QuestionMessage::QueryNodes { request }) => {
                let nodes = state.nodes.rows();
                out.push((
                    from,
                    Message::Questions(QuestionMessage::Nodes { request, nodes }),
                ));
            }
            other => tracing::warn!(%from, ?other, "the control role has no use for this message"),
        }
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
                self.run_job_command(command, (runtime.process(), now), out);
            } else if !self.end_groups_of_the_dead(now) && !self.answer_creations(now, out) {
                self.answer_lookups(now, out);
                self.forget_dead_names();
                return self.forget_dead_actors(runtime.process(), out);
            }
        }
    }
}
