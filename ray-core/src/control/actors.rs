//! Actors as the control role keeps them: where they are hosted, and what their directory wishes.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use ray_engine::{
    control::actors::{ActorSpec, Command as ActorCommand, DirectoryState},
    failure::{ExitKind, Failure},
    ids::{ActorId, JobId, LeaseId, ProcessId},
    spec::{Demand, Placement},
    time::Time,
};

use super::role::{ControlState, Outbox};
use crate::{
    actor::CallLimits,
    runtime::Runtime,
    wire::{ActorCreation, ActorStatus, ExecutableMessage, JobSpec, Message},
};

/// What the directory has no use for.
pub(super) struct ActorNotes {
    pub(super) job: JobId,
    /// What handles found by name must know about calls.
    pub(super) limits: CallLimits,
    placement: Placement,
    /// What the next head must know of one that outlives its job.
    pub(super) detached: Option<Box<Detached>>,
}

/// An actor that outlives its job.
pub(super) struct Detached {
    pub(super) creation: ActorCreation,
    /// What a node must know to start a worker for it.
    pub(super) job: Option<JobSpec>,
}

impl ActorNotes {
    pub(super) fn of(creation: &ActorCreation, job: Option<&JobSpec>) -> ActorNotes {
        let detached = || {
            Box::new(Detached {
                creation: creation.clone(),
                job: job.cloned(),
            })
        };
        ActorNotes {
            job: creation.job,
            limits: creation.limits,
            placement: creation.placement.clone(),
            detached: creation.detached.then(detached),
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
    /// The job of one that can be restarted without its creator.
    pub(crate) job: Option<JobSpec>,
}

/// Returns how many restarts an actor has left in a life.
pub(super) fn restarts_left(max_restarts: i32, incarnation: u64) -> i32 {
    if max_restarts < 0 {
        return max_restarts;
    }
    let used = i32::try_from(incarnation).unwrap_or(i32::MAX);
    (max_restarts - used).max(0)
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
        is_durable: creation.recipe.is_some(),
    }
}

/// Returns what a node is told that is to end a worker which the control role has no use for.
pub(super) fn end_worker(worker: ProcessId, why: impl Into<String>) -> Message {
    Message::EndWorker {
        worker,
        kind: ExitKind::IntendedSystemExit,
        detail: why.into(),
    }
}

impl ControlState {
    pub(super) fn create_actor(
        &mut self,
        owner: ProcessId,
        creation: ActorCreation,
        now: Time,
    ) -> Result<ActorId, Failure> {
        let name = creation.name.as_ref();
        let claimed = name.and_then(|(space, name)| self.claimed(space, name));
        match claimed {
            Some((actor, ..)) if actor == creation.actor => {}
            Some((actor, ..)) if creation.get_if_exists => return Ok(actor),
            Some(_) => {
                let name = creation.name.map(|(_, name)| name).unwrap_or_default();
                return Err(Failure::NameTaken(name));
            }
            None => {}
        }
        let notes = ActorNotes::of(&creation, self.specs.get(&creation.job));
        self.actors.insert(creation.actor, notes);
        let (actor, name) = (creation.actor, creation.name.clone());
        let created = self.directory.create(spec_of(creation, owner), now);
        if created.as_ref() == Ok(&actor) {
            self.keep_name(actor, name.as_ref());
        }
        created
    }

    /// A process wants to know how an actor is, now and from now on.
    ///
    /// One that nobody knows, and whose creator's node is no part of the cluster, ended with that node: its
    /// handle has come from elsewhere, say from an earlier runtime of the same process.
    pub(super) fn on_watch(&mut self, from: ProcessId, actor: ActorId, now: Time) {
        let is_unknown = self.directory.state(actor).is_none();
        self.directory.watch(actor, from, now);
        let home = actor.owner.node_process();
        if is_unknown && !self.nodes.is_alive(home) && !self.returning.contains(&home) {
            self.directory.on_owner_died(actor.owner, now);
        }
    }

    /// A node passes on what one of its workers says about its actor.
    pub(super) fn on_worker_says(&mut self, worker: ProcessId, message: Message, now: Time) {
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

    pub(super) fn run_actor_command(
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
                self.announce_again(actor, runtime.process(), out);
                let (job, placement) = match self.actors.get(&actor) {
                    Some(notes) => (notes.job, notes.placement.clone()),
                    None => (JobId(0), Placement::default()),
                };
                let demand = Demand::actor(actor, job, placement, (shape, running));
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
                    let notes = self.actors.get(&actor);
                    let detached = notes.and_then(|notes| notes.detached.as_deref());
                    let recipe = detached.and_then(|detached| detached.creation.recipe.clone());
                    if let (Some(recipe), Some(notes)) = (recipe, notes) {
                        let job = notes.job;
                        if self.specs.contains_key(&job) {
                            out.push((
                                runtime.process(),
                                Message::Executables(ExecutableMessage::Keep { job }),
                            ));
                        }
                        // Its creator may be gone, or come back to a head that does not know it yet.
                        let construct = Message::ConstructDetached {
                            actor,
                            job,
                            worker,
                            addr,
                            incarnation,
                            devices,
                            recipe,
                        };
                        return out.push((runtime.process(), construct));
                    }
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
                if matches!(state, DirectoryState::Dead { .. }) {
                    self.names.on_end();
                }
                let status = self.status_of(state);
                out.push((to, Message::ActorState { actor, status }));
            }
            ActorCommand::KillWorker { worker, cause } => {
                out.push((worker.node_process(), end_worker(worker, cause)));
            }
            ActorCommand::StopActor { actor, worker } => {
                out.push((
                    worker.node_process(),
                    Message::StopWorkersActor { worker, actor },
                ));
            }
        }
    }

    /// Nodes have forgotten a job that is over; something of it is to run again.
    fn announce_again(&mut self, actor: ActorId, here: ProcessId, out: &mut Outbox) {
        let notes = self.actors.get(&actor);
        let Some(detached) = notes.and_then(|notes| notes.detached.as_deref()) else {
            return;
        };
        let Some(job) = detached.job.clone() else {
            return;
        };
        if self.specs.contains_key(&job.job) {
            return;
        }
        let job = JobSpec {
            driver: here,
            ..job
        };
        self.keep_outlived(&job, here, out);
    }

    /// Returns the jobs that are over and of which something may be started again, as nodes must know them:
    /// their drivers are gone, and the code is at the head.
    pub(super) fn outlived_jobs(&self, here: ProcessId) -> Vec<JobSpec> {
        let mut jobs: BTreeMap<JobId, JobSpec> = BTreeMap::new();
        for (actor, notes) in &self.actors {
            let job = notes.detached.as_ref().and_then(|it| it.job.as_ref());
            let Some(job) = job.filter(|job| !self.specs.contains_key(&job.job)) else {
                continue;
            };
            let state = self.directory.state(*actor);
            if state.is_some_and(|state| !matches!(state, DirectoryState::Dead { .. })) {
                jobs.entry(job.job).or_insert_with(|| JobSpec {
                    driver: here,
                    ..job.clone()
                });
            }
        }
        jobs.into_values().collect()
    }

    /// Sees to it that nodes still know a job that has ended and is outlived, and that the head has its code:
    /// from a node on which something of it runs.
    pub(super) fn keep_outlived(&self, job: &JobSpec, here: ProcessId, out: &mut Outbox) {
        for node in self.nodes.others(here) {
            out.push((node, Message::JobAnnounced { job: job.clone() }));
        }
        let hosts = self.actors.iter().filter(|(_, notes)| notes.job == job.job);
        let mut hosts = hosts.filter_map(|(actor, _)| match self.directory.state(*actor) {
            Some(DirectoryState::Alive { process, .. }) => Some(process.node_process()),
            _ => None,
        });
        if let Some(driver) = hosts.find(|node| *node != here && self.nodes.is_alive(*node)) {
            let job = JobSpec {
                driver,
                ..job.clone()
            };
            let id = job.job;
            out.push((here, Message::JobAnnounced { job }));
            out.push((
                here,
                Message::Executables(ExecutableMessage::Keep { job: id }),
            ));
        } else {
            out.push((here, Message::JobAnnounced { job: job.clone() }));
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
