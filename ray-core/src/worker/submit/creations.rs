//! Actors that this process creates: placed when their arguments are there, constructed where they were placed.

use std::{net::SocketAddr, sync::Arc};

use ray_engine::{
    failure::Failure,
    ids::{ActorId, ObjectId, ProcessId, TaskId},
    owner::{ActorState, ObjectState},
    resources::Resources,
    time::Time,
};
use ray_net::HeaderFields;

use super::{Core, frames::Parts, push_frame};
use crate::{
    __private::{ArgSlot, Arguments, Method},
    placement_group::Inside,
    wire::{ActorCreation, ActorStatus, CallMeta, CallTarget, Message, kind},
};

/// An actor that this process created, with what a restart needs.
pub(crate) struct Creation {
    pub(crate) class: u64,
    pub(crate) constructor: &'static Method,
    pub(crate) args: Arc<Arguments>,
    pub(crate) max_concurrency: u32,
    pub(crate) chain: Arc<[ActorId]>,
    /// The placement group that it draws from.
    pub(crate) inside: Option<Arc<Inside>>,
    /// What it holds of its node while it runs.
    pub(crate) running: Resources,
    /// The arguments of a constructor call that may be running.
    pub(crate) in_use: Vec<ObjectId>,
    /// What the directory was told of it, once it was.
    pub(crate) settled: Option<Box<ActorCreation>>,
    /// Whether nobody holds a handle any more.
    pub(crate) has_no_handles: bool,
}

impl Core {
    /// Returns the id of a new actor of this process.
    pub(crate) fn fresh_actor(&mut self) -> ActorId {
        ActorId {
            owner: self.process,
            index: self.owner.take_indexes(1),
        }
    }

    /// Asks for an actor's placement once its arguments are there.
    pub(crate) fn create_when_ready(
        &mut self,
        creation: ActorCreation,
        dependencies: Vec<ObjectId>,
    ) {
        for id in &dependencies {
            self.owner.watch(*id);
        }
        self.unready.push((creation, dependencies));
        self.create_ready();
    }

    pub(super) fn create_ready(&mut self) {
        for (mut creation, dependencies) in std::mem::take(&mut self.unready) {
            let mut failure = None;
            let mut is_ready = true;
            for id in &dependencies {
                match self.owner.state(*id) {
                    ObjectState::Ready(_) => {}
                    ObjectState::Pending => is_ready = false,
                    ObjectState::Failed(failed) => failure = Some((*failed).clone()),
                    ObjectState::Unknown => failure = Some(Failure::ObjectFreed(*id)),
                }
            }
            let actor = creation.actor;
            if let Some(failure) = failure {
                // Nothing is placed that could not be constructed.
                self.creations.remove(&actor);
                self.send_to_control(Message::ConstructFailed { actor, failure });
            } else if is_ready {
                self.add_recipe(&mut creation);
                self.note_settled(&creation);
                self.send_to_control(Message::CreateActor {
                    request: 0,
                    creation,
                });
            } else {
                self.unready.push((creation, dependencies));
            }
        }
    }

    /// Notes what the directory is told of an actor that this process creates.
    pub(crate) fn note_settled(&mut self, creation: &ActorCreation) {
        if let Some(made) = self.creations.get_mut(&creation.actor) {
            made.settled = Some(Box::new(creation.clone()));
        }
    }

    /// Sends the constructor call of an actor that this process created.
    pub(crate) fn construct(
        &mut self,
        actor: ActorId,
        worker: ProcessId,
        addr: SocketAddr,
        incarnation: u64,
        devices: Vec<u32>,
    ) {
        let Some(creation) = self.creations.get(&actor) else {
            tracing::debug!(%actor, "asked to construct an actor that has ended");
            return;
        };
        let (args, constructor, class) =
            (creation.args.clone(), creation.constructor, creation.class);
        let (max_concurrency, chain) = (creation.max_concurrency, creation.chain.to_vec());
        let inside = creation.inside.as_deref().cloned().map(Box::new);
        let resources = Some(Box::new(creation.running.clone()));
        self.on_address(worker, addr);
        let Some(peer) = self.peers.get(&worker).cloned() else {
            return;
        };
        let freed = args.slots.iter().find_map(|slot| match slot {
            ArgSlot::Object(reference) => match self.owner.argument(reference.id()) {
                ObjectState::Failed(failure) => Some((*failure).clone()),
                _ => None,
            },
            ArgSlot::Inline { .. } => None,
        });
        if let Some(failure) = freed {
            // It was there when the actor was created.
            return self.send_to_control(Message::ConstructFailed { actor, failure });
        }
        self.hold_arguments(actor, &args);
        let mut parts = Parts::new(&args.body);
        let metas = self.arg_metas(&args, worker, &mut parts);
        let meta = CallMeta {
            task: TaskId {
                owner: self.process,
                index: 0,
            },
            job: self.job,
            attempt: u32::try_from(incarnation).unwrap_or(u32::MAX),
            backpressure: 0,
            method: constructor.id,
            parent: TaskId::default(),
            deadline_ms: 0,
            target: CallTarget::Create {
                actor,
                class,
                incarnation,
                max_concurrency,
            },
            args: metas,
            chain,
            devices,
            inside,
            resources,
        };
        let header = HeaderFields {
            kind: kind::CALL,
            request: 0,
            incarnation,
            trace: 0,
        };
        push_frame(&peer, &header, &meta, &parts.slices());
        self.touch(&peer);
    }

    /// An actor's state came from the directory.
    pub(crate) fn on_actor_status(&mut self, actor: ActorId, status: ActorStatus, now: Time) {
        if !matches!(status, ActorStatus::Pending)
            && let Some(creation) = self.creations.get_mut(&actor)
        {
            // Its constructor does not run any more.
            for object in std::mem::take(&mut creation.in_use) {
                self.owner.let_argument_go(object);
            }
        }
        let state = match status {
            ActorStatus::Pending => ActorState::Pending,
            ActorStatus::Alive {
                process,
                addr,
                incarnation,
            } => {
                self.on_address(process, addr);
                ActorState::Alive {
                    process,
                    incarnation,
                }
            }
            ActorStatus::Restarting => ActorState::Restarting,
            ActorStatus::Dead { failure } => {
                self.creations.remove(&actor);
                ActorState::Dead(Arc::new(failure))
            }
        };
        let is_dead = matches!(state, ActorState::Dead(_));
        self.owner.on_actor_state(actor, state, now);
        if is_dead && (actor.owner != self.process || self.unheld.remove(&actor)) {
            // The directory said so, and says so again when it is asked.
            self.owner.forget_actor(actor);
        }
    }

    /// Keeps the arguments of a constructor that is about to be called, whoever frees them.
    fn hold_arguments(&mut self, actor: ActorId, args: &Arguments) {
        let slots = args.slots.iter().filter_map(|slot| match slot {
            ArgSlot::Object(reference) => Some(reference.id()),
            ArgSlot::Inline { .. } => None,
        });
        let objects = slots.collect::<Vec<_>>();
        for object in &objects {
            self.owner.hold_argument(*object);
        }
        let Some(creation) = self.creations.get_mut(&actor) else {
            return;
        };
        for object in std::mem::replace(&mut creation.in_use, objects) {
            self.owner.let_argument_go(object);
        }
    }

    /// Nobody holds an actor of this process any more: once it has ended nothing of it is kept.
    pub(super) fn on_unheld(&mut self, actor: ActorId) {
        match self.owner.actor_state(actor) {
            Some(ActorState::Dead(_)) => self.owner.forget_actor(actor),
            Some(_) => drop(self.unheld.insert(actor)),
            None => {
                // It was never called, so nobody tells this process of its end unasked.
                self.unheld.insert(actor);
                self.send_to_control(Message::WatchActor { actor });
            }
        }
    }
}
