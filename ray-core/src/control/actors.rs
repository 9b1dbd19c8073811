//! Actors as the control role keeps them: where they are hosted, and what their directory wishes.

use std::{net::SocketAddr, sync::Arc};

use ray_engine::{
    control::actors::{ActorSpec, Command as ActorCommand, DirectoryState},
    failure::Failure,
    ids::{ActorId, JobId, LeaseId, ProcessId},
    spec::{Demand, Placement},
    time::Time,
};

use super::role::{ControlState, Outbox};
use crate::{
    actor::CallLimits,
    runtime::Runtime,
    wire::{ActorCreation, ActorStatus, Message},
};

/// What the directory has no use for.
pub(super) struct ActorNotes {
    pub(super) job: JobId,
    /// What handles found by name must know about calls.
    pub(super) limits: CallLimits,
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

impl ControlState {
    pub(super) fn create_actor(
        &mut self,
        owner: ProcessId,
        creation: ActorCreation,
        now: Time,
    ) -> Result<ActorId, Failure> {
        self.actors
            .insert(creation.actor, ActorNotes::of(&creation));
        self.directory.create(spec_of(creation, owner), now)
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
