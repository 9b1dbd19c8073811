//! The control role in the head's process: where actors live, who runs what nodes passed on, groups, nodes.
//!
//! It follows `ray-core/src/control/role.rs`, `control/groups.rs` and `control/nodes.rs`.

mod commands;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ray_engine::{
    control::{
        actors::{ActorDirectory, ActorSpec},
        groups::{GroupSpec, GroupsConfig, Lifetime, PlacementGroups},
    },
    failure::{Failure, WorkerExit},
    ids::{ActorId, GroupId, JobId, LeaseId, ProcessId, RequestId},
    scheduler::cluster::{ClusterConfig, ClusterScheduler},
    spec::Placement,
    time::Time,
};

use crate::{
    wire::{CallLimits, Creation, Location, Message},
    world::{HEAD, World},
};

/// What the control role knows and decides.
pub struct Control {
    /// The actors.
    pub directory: ActorDirectory,
    /// What nodes passed on.
    pub scheduler: ClusterScheduler,
    /// The placement groups.
    pub groups: PlacementGroups,
    /// Every node that ever joined.
    pub nodes: BTreeMap<ProcessId, Row>,
    jobs: BTreeMap<JobId, ProcessId>,
    ended: BTreeSet<JobId>,
    actors: BTreeMap<ActorId, Notes>,
    /// The workers that host actors, and the leases under which they do.
    hosts: BTreeMap<ProcessId, LeaseId>,
    tick_at: Option<Time>,
}

/// A node as the control role keeps it.
pub struct Row {
    /// Whether it has not died.
    pub is_alive: bool,
    /// Whether it is a driver's own, which runs nothing.
    pub is_driver: bool,
}

/// What the directory has no use for.
struct Notes {
    job: JobId,
    limits: CallLimits,
    placement: Placement,
}

impl Control {
    /// Returns the control role of a cluster without nodes.
    pub fn new(infeasible_grace: Duration, seed: u64) -> Control {
        let config = ClusterConfig {
            infeasible_grace: Some(infeasible_grace),
            ..ClusterConfig::default()
        };
        Control {
            directory: ActorDirectory::new().with_first_request(ACTOR_REQUESTS_FROM),
            scheduler: ClusterScheduler::new(config, seed),
            groups: PlacementGroups::new(GroupsConfig::default(), 1),
            nodes: BTreeMap::new(),
            jobs: BTreeMap::new(),
            ended: BTreeSet::new(),
            actors: BTreeMap::new(),
            hosts: BTreeMap::new(),
            tick_at: None,
        }
    }

    /// Returns the nodes that live and run work.
    pub fn working_nodes(&self) -> Vec<ProcessId> {
        self.nodes
            .iter()
            .filter(|(_, row)| row.is_alive && !row.is_driver)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Returns where a process is, or who knows.
    pub fn locate(&self, process: ProcessId) -> Location {
        match self.nodes.get(&process.node_process()) {
            Some(row) if row.is_alive && process == process.node_process() => Location::At,
            Some(row) if row.is_alive => Location::AskNode,
            _ => Location::Gone,
        }
    }
}

impl World {
    /// Handles a message for the control role.
    pub(crate) fn on_control_message(&mut self, from: ProcessId, message: Message) {
        let now = self.now;
        let control = &mut self.control;
        match message {
            Message::CreateActor(request, creation) => {
                let outcome = self.create_actor(from, creation);
                self.send(HEAD, from, Message::CreateActorReply(request, outcome));
            }
            Message::ConstructFailed(actor, failure) => {
                control.directory.on_not_constructed(actor, failure, now);
            }
            Message::OfWorker(worker, message) => self.on_worker_says(worker, *message),
            Message::WorkerDied(process, evicted_from) => {
                let exit = WorkerExit {
                    worker: process,
                    evicted_from,
                    ..WorkerExit::default()
                };
                self.control_forgets(process, &exit);
                self.tell_nodes(from, &Message::ProcessDied(process, evicted_from));
            }
            Message::WatchActor(actor) => control.directory.watch(actor, from, now),
            Message::KillActor(actor, no_restart) => control.directory.kill(actor, no_restart, now),
            Message::HandlesGone(actor) => control.directory.on_handles_gone(actor, now),
            Message::LookupActor(request, name) => {
                let outcome = match control.directory.lookup("", &name) {
                    Some((actor, _)) => {
                        let limits = control.actors.get(&actor).map(|notes| notes.limits);
                        Ok((actor, limits.unwrap_or_default()))
                    }
                    None => Err(Failure::NotFound(name)),
                };
                self.send(HEAD, from, Message::LookupActorReply(request, outcome));
            }
            Message::SpillLease(requester, request, demand) => {
                control.scheduler.place(requester, request, demand, now);
            }
            Message::CancelSpilled(requester, request) => {
                control.scheduler.cancel(requester, request, now);
            }
            Message::LeaseSettled(node, request) => {
                control.scheduler.on_settled(node, from, request);
            }
            Message::LeaseRejected(requester, request) => {
                let node = from.node();
                control.scheduler.on_rejected(node, requester, request, now);
            }
            Message::ActorPlaced {
                request,
                lease,
                worker,
            } => {
                control.scheduler.on_settled(from.node(), HEAD, request);
                control.hosts.insert(worker, lease);
                let directory = &mut control.directory;
                directory.on_lease_granted(request, lease, worker, now);
            }
            Message::ActorPlaceRefused(request, failure) => {
                control.scheduler.on_settled(from.node(), HEAD, request);
                control.directory.on_lease_refused(request, failure, now);
            }
            Message::NodeUp {
                total,
                labels,
                is_driver,
            } => {
                let jobs = control.jobs.keys().copied().collect::<Vec<_>>();
                let row = Row {
                    is_alive: true,
                    is_driver,
                };
                control.nodes.insert(from, row);
                if !is_driver {
                    let (node, scheduler) = (from.node(), &mut control.scheduler);
                    scheduler.on_node_joined(node, total.clone(), labels.clone(), now);
                    control.groups.on_node_joined(node, total, labels, now);
                }
                for job in jobs {
                    self.send(HEAD, from, Message::JobAnnounced(job));
                }
            }
            Message::NodeView(report) => {
                let node = from.node();
                control.scheduler.on_node_view(node, report.clone(), now);
                control.groups.on_node_view(node, report, now);
            }
            Message::JobUp(job) => {
                control.jobs.insert(job, from);
                self.tell_nodes(from, &Message::JobAnnounced(job));
            }
            Message::CreateGroup(request, spec) => {
                let outcome = self.note_group(*spec);
                self.send(HEAD, from, Message::GroupReply(request, outcome));
            }
            Message::RemoveGroup(group) => control.groups.remove(group, now),
            Message::BundlesPrepared(group, attempt) => {
                control.groups.on_prepared(from.node(), group, attempt, now);
            }
            Message::BundlesCommitted(group, attempt) => {
                let node = from.node();
                control.groups.on_committed(node, group, attempt, now);
            }
            Message::BundlesRefused(group, attempt) => {
                control.groups.on_refused(from.node(), group, attempt, now);
            }
            other => {
                let text = format!("the control role got {other:?} from {from}");
                self.fail("no lost result", text);
            }
        }
        self.settle_control();
    }

    fn create_actor(&mut self, owner: ProcessId, creation: Creation) -> Result<ActorId, Failure> {
        let notes = Notes {
            job: creation.job,
            limits: creation.limits,
            placement: creation.placement,
        };
        self.control.actors.insert(creation.actor, notes);
        let spec = ActorSpec {
            actor: creation.actor,
            class: "Simulated".into(),
            name: creation.name.map(|name| (String::new(), name)),
            shape: creation.shape,
            running_shape: creation.running,
            max_restarts: creation.max_restarts,
            owner,
            get_if_exists: creation.get_if_exists,
            detached: creation.detached,
            is_durable: false,
        };
        self.control.directory.create(spec, self.now)
    }

    fn note_group(&mut self, spec: GroupSpec) -> Result<(), Failure> {
        let now = self.now;
        let Lifetime::Job(job) = spec.lifetime else {
            unreachable!("all groups of these worlds are of a job");
        };
        if self.control.ended.contains(&job) {
            return Err(Failure::System(format!("job {job} has ended")));
        }
        self.invariants.groups.on_created(spec.group);
        self.control.groups.create(spec, now)
    }

    /// A node passes on what one of its workers says about its actor.
    fn on_worker_says(&mut self, worker: ProcessId, message: Message) {
        let now = self.now;
        let directory = &mut self.control.directory;
        match message {
            Message::ActorStarted(actor, incarnation) => {
                directory.on_started(actor, worker, incarnation, now);
            }
            Message::ActorStartFailed(actor, failure) => {
                directory.on_start_failed(actor, failure, now);
            }
            Message::ActorExit(actor, cause) => directory.on_exit(actor, worker, cause, now),
            other => self.fail("no lost result", format!("{worker} says {other:?}")),
        }
    }

    /// A process is gone: as the home of an actor, as an owner of actors, as a requester.
    fn control_forgets(&mut self, process: ProcessId, exit: &WorkerExit) {
        let now = self.now;
        let control = &mut self.control;
        control.hosts.remove(&process);
        control.scheduler.on_process_died(process, now);
        let directory = &mut control.directory;
        directory.on_worker_died(process, exit.clone(), now);
        directory.on_owner_died(process, now);
    }

    /// The connection to a node's process is gone, and with it everything that ran there.
    pub(crate) fn on_node_lost(&mut self, process: ProcessId) {
        let now = self.now;
        let control = &mut self.control;
        match control.nodes.get_mut(&process) {
            Some(row) if row.is_alive => row.is_alive = false,
            _ => return,
        }
        control.scheduler.on_node_left(process.node(), now);
        control.groups.on_node_died(process.node(), now);
        let hosts = control.hosts.keys().copied();
        let owners = control.actors.keys().map(|actor| actor.owner);
        let gone = hosts
            .chain(owners)
            .filter(|id| id.node_process() == process)
            .chain([process])
            .collect::<BTreeSet<_>>();
        for id in gone {
            let exit = WorkerExit {
                worker: id,
                ..WorkerExit::default()
            };
            self.control_forgets(id, &exit);
        }
        self.tell_nodes(process, &Message::NodeDied(process));
        let jobs = self.control.jobs.iter();
        let ended = jobs.filter(|(_, driver)| **driver == process);
        for job in ended.map(|(job, _)| *job).collect::<Vec<_>>() {
            self.control.groups.on_job_ended(job, now);
            self.control.jobs.remove(&job);
            self.control.ended.insert(job);
            self.tell_nodes(process, &Message::JobEnded(job));
        }
        self.settle_control();
    }

    fn tell_nodes(&mut self, but: ProcessId, message: &Message) {
        let alive = self.control.nodes.iter().filter(|(_, row)| row.is_alive);
        let others = alive.map(|(id, _)| *id).filter(|id| *id != but);
        for node in others.collect::<Vec<_>>() {
            self.send(HEAD, node, message.clone());
        }
    }

    /// Lets the control role act on time.
    pub(crate) fn on_control_tick(&mut self) {
        let now = self.now;
        let control = &mut self.control;
        control.tick_at = None;
        control.scheduler.on_timeout(now);
        control.groups.on_timeout(now);
        self.settle_control();
    }

    /// Removes a group, as its creator or as the end of the program would.
    pub(crate) fn group_is_over(&self, group: GroupId) -> bool {
        use ray_engine::control::groups::GroupState;
        self.control.groups.state(group) == Some(GroupState::Removed)
    }

    pub(crate) fn host_of(&self, lease: LeaseId) -> Option<ProcessId> {
        let mut hosts = self.control.hosts.iter();
        hosts
            .find(|(_, host)| **host == lease)
            .map(|(worker, _)| *worker)
    }
}

/// What the directory's questions count from; those of this process's own owner stay below.
const ACTOR_REQUESTS_FROM: u64 = 1 << 63;

/// Returns whether a request is the directory's.
pub fn is_actors(request: RequestId) -> bool {
    request.0 > ACTOR_REQUESTS_FROM
}
