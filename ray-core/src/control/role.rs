//! The control role's state, and the messages that change it.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use ray_engine::{
    control::actors::{ActorDirectory, ActorSpec, Command as ActorCommand, DirectoryState},
    failure::{Failure, WorkerExit},
    ids::{ActorId, LeaseId, ProcessId, RequestId},
};

use super::nodes::Nodes;
use crate::{
    actor::CallLimits,
    runtime::Runtime,
    wire::{ActorCreation, ActorStatus, Message},
};

/// What the control process knows and decides.
#[derive(Default)]
pub(crate) struct ControlRole {
    state: Mutex<ControlState>,
}

#[derive(Default)]
struct ControlState {
    directory: ActorDirectory,
    nodes: Nodes,
    /// What handles found by name must know about calls.
    limits: BTreeMap<ActorId, CallLimits>,
    /// Where each actor that waits for a worker was sent.
    placements: BTreeMap<RequestId, ProcessId>,
    /// The workers that host actors, and the leases under which they do.
    hosts: BTreeMap<ProcessId, Host>,
}

struct Host {
    addr: SocketAddr,
    lease: LeaseId,
}

/// What to send where, once the role's lock is given back.
type Outbox = Vec<(ProcessId, Message)>;

impl ControlRole {
    fn with_state<R>(
        &self,
        runtime: &Arc<Runtime>,
        f: impl FnOnce(&mut ControlState, &mut Outbox) -> R,
    ) -> R {
        let mut out = Outbox::new();
        let result = {
            let mut state = self.state.lock();
            let result = f(&mut state, &mut out);
            state.run_commands(runtime, &mut out);
            result
        };
        for (to, message) in out {
            runtime.send(to, message);
        }
        result
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
                        let limits = state.limits.get(&actor).copied().unwrap_or_default();
                        (actor, class, limits)
                    })
                    .ok_or(Failure::NotFound(name));
                out.push((from, Message::LookupActorReply { request, outcome }));
            }
            Message::ActorPlaced {
                request,
                lease,
                worker,
                addr,
            } => {
                state.placements.remove(&RequestId(request));
                state.hosts.insert(worker, Host { addr, lease });
                state
                    .directory
                    .on_lease_granted(RequestId(request), lease, worker, now);
            }
            Message::ActorPlaceRefused { request, failure } => {
                state.placements.remove(&RequestId(request));
                state
                    .directory
                    .on_lease_refused(RequestId(request), failure, now);
            }
            Message::NodeUp { row } => state.nodes.on_up(row),
            Message::NodeView { available, workers } => {
                state.nodes.on_view(from, available, workers)
            }
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
}

impl ControlState {
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

    /// A node passes on what one of its workers says about its actor.
    fn on_worker_says(&mut self, worker: ProcessId, message: Message, now: ray_engine::time::Time) {
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
    fn on_process_died(
        &mut self,
        process: ProcessId,
        exit: &WorkerExit,
        now: ray_engine::time::Time,
    ) {
        self.hosts.remove(&process);
        self.directory.on_worker_died(process, exit.clone(), now);
        self.directory.on_owner_died(process, now);
    }

    /// Carries out what the directory wishes.
    fn run_commands(&mut self, runtime: &Arc<Runtime>, out: &mut Outbox) {
        let now = runtime.now();
        while let Some(command) = self.directory.poll_command() {
            match command {
                ActorCommand::RequestLease {
                    request,
                    actor,
                    shape,
                    running,
                } => match self.nodes.choose(&shape) {
                    Ok(node) => {
                        self.placements.insert(request, node);
                        out.push((
                            node,
                            Message::PlaceActor {
                                request: request.0,
                                actor,
                                shape,
                                running,
                            },
                        ));
                    }
                    Err(failure) => self.directory.on_lease_refused(request, failure, now),
                },
                ActorCommand::CancelLeaseRequest { request } => {
                    if let Some(node) = self.placements.remove(&request) {
                        out.push((node, Message::CancelLeaseRequest { request: request.0 }));
                    }
                }
                ActorCommand::StartActor {
                    actor,
                    worker,
                    incarnation,
                    owner,
                } => {
                    if let Some(host) = self.hosts.get(&worker) {
                        let addr = host.addr;
                        out.push((
                            owner,
                            Message::Construct {
                                actor,
                                worker,
                                addr,
                                incarnation,
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
