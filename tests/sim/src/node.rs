//! The node role in the driver's process: leases, worker processes, the actor directory.
//!
//! It follows `ray-core/src/node/mod.rs`.

use std::collections::BTreeMap;

use ray_engine::{
    control::actors::{ActorDirectory, ActorSpec, Command as ActorCommand, DirectoryState},
    failure::{Failure, WorkerExit},
    ids::{ActorId, ProcessId},
    resources::Resources,
    scheduler::{Command as SchedulerCommand, LeaseKind, NodeScheduler, SchedulerConfig},
};

use crate::{
    wire::{CallLimits, Creation, Message, Status},
    world::{DRIVER, JOB, World},
};

/// What the node knows and decides.
pub struct Node {
    /// Its resources, workers and leases.
    pub scheduler: NodeScheduler,
    /// Its actors.
    pub directory: ActorDirectory,
    /// Worker processes from their start on, and whether they are connected.
    pub workers: BTreeMap<ProcessId, bool>,
    limits: BTreeMap<ActorId, CallLimits>,
}

impl Node {
    /// Returns a node without workers.
    pub fn new(total: Resources, config: SchedulerConfig) -> Node {
        Node {
            scheduler: NodeScheduler::new(total, config),
            directory: ActorDirectory::new(),
            workers: BTreeMap::new(),
            limits: BTreeMap::new(),
        }
    }

    fn is_ready(&self, worker: ProcessId) -> bool {
        self.workers.get(&worker).copied().unwrap_or(false)
    }

    fn status_of(&self, state: DirectoryState) -> Status {
        match state {
            DirectoryState::Pending => Status::Pending,
            DirectoryState::Alive {
                process,
                incarnation,
            } => {
                if self.is_ready(process) {
                    Status::Alive(process, incarnation)
                } else {
                    Status::Pending
                }
            }
            DirectoryState::Restarting => Status::Restarting,
            DirectoryState::Dead { failure } => Status::Dead(failure),
        }
    }
}

impl World {
    /// Handles a message for the node.
    pub(crate) fn on_node_message(&mut self, from: ProcessId, message: Message) {
        let now = self.now;
        let node = &mut self.node;
        match message {
            Message::RequestLease(request, shape) => {
                let shape = crate::user::shape(shape);
                node.scheduler
                    .request_lease(from, request, JOB, shape, LeaseKind::Task, now);
            }
            Message::CancelLeaseRequest(request) => {
                node.scheduler.cancel_request(from, request, now);
            }
            Message::ReturnLease(lease) => node.scheduler.return_lease(lease, now),
            Message::WorkerReady => {
                if let Some(ready) = node.workers.get_mut(&from) {
                    *ready = true;
                    node.scheduler.on_worker_ready(from, now);
                }
            }
            Message::Blocked => node.scheduler.on_worker_blocked(from, now),
            Message::Unblocked => node.scheduler.on_worker_unblocked(from, now),
            Message::StayedBusy => node.scheduler.on_worker_stayed(from, now),
            Message::KillWorker(worker) => {
                if node.workers.contains_key(&worker) {
                    self.kill(worker);
                }
            }
            Message::CreateActor(request, creation) => self.create_actor(from, request, creation),
            Message::ConstructFailed(actor, failure)
            | Message::ActorStartFailed(actor, failure) => {
                node.directory.on_start_failed(actor, failure, now);
            }
            Message::ActorStarted(actor, incarnation) => {
                node.directory.on_started(actor, from, incarnation, now);
            }
            Message::ActorExit(actor, cause) => node.directory.on_exit(actor, from, cause, now),
            Message::WatchActor(actor) => node.directory.watch(actor, from, now),
            Message::KillActor(actor, no_restart) => node.directory.kill(actor, no_restart, now),
            Message::HandlesGone(actor) => node.directory.on_handles_gone(actor, now),
            Message::LookupActor(request, name) => {
                let outcome = match node.directory.lookup("", &name) {
                    Some((actor, _)) => {
                        Ok((actor, node.limits.get(&actor).copied().unwrap_or_default()))
                    }
                    None => Err(Failure::NotFound(name)),
                };
                self.send(DRIVER, from, Message::LookupActorReply(request, outcome));
            }
            Message::Locate(process) => {
                let is_there = process == DRIVER || node.is_ready(process);
                self.send(DRIVER, from, Message::Located(process, is_there));
            }
            other => {
                let text = format!("the node got {other:?} from {from}");
                self.fail("no lost result", text);
            }
        }
        self.settle_node();
    }

    fn create_actor(&mut self, owner: ProcessId, request: u64, creation: Creation) {
        if creation.name.is_some() {
            self.node.limits.insert(creation.actor, creation.limits);
        }
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
        };
        let outcome = self.node.directory.create(spec, self.now);
        self.send(DRIVER, owner, Message::CreateActorReply(request, outcome));
    }

    /// Carries out what scheduler and directory wish, until both are still.
    pub(crate) fn settle_node(&mut self) {
        loop {
            if let Some(command) = self.node.scheduler.poll_command() {
                self.run_scheduler_command(command);
            } else if let Some(command) = self.node.directory.poll_command() {
                self.run_directory_command(command);
            } else {
                break;
            }
        }
        if let Some(due) = self.node.scheduler.poll_timeout() {
            self.wake_node(due);
        }
        let verdict = self.invariants.resources.check(&self.node.scheduler);
        self.judge("resources add up", verdict);
    }

    fn run_scheduler_command(&mut self, command: SchedulerCommand) {
        let now = self.now;
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
                    let directory = &mut self.node.directory;
                    directory.on_lease_granted(request, lease, worker, now);
                } else if self.node.is_ready(worker) {
                    let message = Message::LeaseGranted {
                        request,
                        lease,
                        worker,
                    };
                    self.send(DRIVER, requester, message);
                } else {
                    self.node.scheduler.return_lease(lease, now);
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
                    let directory = &mut self.node.directory;
                    directory.on_lease_refused(request, failure, now);
                } else {
                    self.send(DRIVER, requester, Message::LeaseRefused(request, failure));
                }
            }
            SchedulerCommand::SpawnWorker { .. } => {
                let process = self.spawn();
                self.node.scheduler.on_spawn_started(process, JOB, now);
                self.node.workers.insert(process, false);
            }
            SchedulerCommand::RecallLease { requester, lease } => {
                self.send(DRIVER, requester, Message::RecallLease(lease));
            }
            SchedulerCommand::StopWorker { process } => {
                self.send(DRIVER, process, Message::StopIdle);
            }
            SchedulerCommand::KillWorker { process }
            | SchedulerCommand::EvictWorker { process, .. } => self.kill(process),
            SchedulerCommand::Tell(notice) => {
                unreachable!("a node that is alone tells nobody: {notice:?}")
            }
        }
    }

    fn run_directory_command(&mut self, command: ActorCommand) {
        let now = self.now;
        let scheduler = &mut self.node.scheduler;
        match command {
            ActorCommand::RequestLease {
                request,
                actor,
                shape,
                running,
            } => {
                let kind = LeaseKind::Actor { actor, running };
                scheduler.request_lease(DRIVER, request, JOB, shape, kind, now);
            }
            ActorCommand::CancelLeaseRequest { request } => {
                scheduler.cancel_placement(DRIVER, request, now);
            }
            ActorCommand::StartActor {
                actor,
                worker,
                incarnation,
                owner,
            } => {
                let message = Message::Construct {
                    actor,
                    worker,
                    incarnation,
                };
                self.send(DRIVER, owner, message);
            }
            ActorCommand::ActorRunning { lease } => scheduler.on_actor_started(lease, now),
            ActorCommand::Publish { to, actor, state } => {
                let status = self.node.status_of(state);
                self.send(DRIVER, to, Message::ActorState(actor, status));
            }
            ActorCommand::KillWorker { worker } => self.kill(worker),
            ActorCommand::StopActor { actor, worker } => {
                self.send(DRIVER, worker, Message::StopActor(actor));
            }
            ActorCommand::ReturnLease { lease } => scheduler.return_lease(lease, now),
        }
    }

    /// The node notices that a worker process has ended.
    pub(crate) fn on_worker_exit(&mut self, process: ProcessId) {
        let now = self.now;
        if self.node.workers.remove(&process).is_none() {
            return;
        }
        let exit = WorkerExit {
            worker: process,
            ..WorkerExit::default()
        };
        let node = &mut self.node;
        node.scheduler.on_worker_died(process, now);
        node.directory.on_worker_died(process, exit, now);
        node.scheduler.on_process_died(process, now);
        node.directory.on_owner_died(process, now);
        let others = node
            .workers
            .iter()
            .filter(|(_, ready)| **ready)
            .map(|(id, _)| *id)
            .collect::<Vec<_>>();
        for other in others {
            self.send(DRIVER, other, Message::ProcessDied(process));
        }
        self.settle_node();
        self.on_process_died(DRIVER, process);
    }

    /// A worker process could not be started at all.
    pub(crate) fn on_spawn_failed(&mut self, process: ProcessId) {
        self.node.workers.remove(&process);
        self.node.scheduler.on_spawn_failed(process, self.now);
        self.settle_node();
    }
}
