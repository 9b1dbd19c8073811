//! Actors that a process creates: their arguments are awaited and kept until the actor's end.

use ray_engine::{
    failure::Failure,
    ids::{ActorId, ObjectId, ProcessId, TaskId},
    owner::ObjectState,
};

use crate::{
    wire::{Arg, Creation, Message, Payload, Target},
    world::{HEAD, World},
};

impl World {
    /// Asks for an actor's placement once its arguments are there.
    pub(crate) fn create_when_ready(
        &mut self,
        at: ProcessId,
        creation: Creation,
        needed: Vec<ObjectId>,
    ) {
        let process = self.process(at);
        for object in &needed {
            process.owner.watch(*object);
        }
        process.unready.push((creation, needed));
        self.create_ready(at);
        self.settle(at);
    }

    pub(crate) fn create_ready(&mut self, at: ProcessId) {
        for (creation, needed) in std::mem::take(&mut self.process(at).unready) {
            let mut failure = None;
            let mut is_ready = true;
            for object in &needed {
                match self.process(at).owner.state(*object) {
                    ObjectState::Ready(_) => {}
                    ObjectState::Pending => is_ready = false,
                    ObjectState::Failed(failed) => failure = Some((*failed).clone()),
                    ObjectState::Unknown => failure = Some(Failure::ObjectFreed(*object)),
                }
            }
            let actor = creation.actor;
            match failure {
                Some(failure) => {
                    self.send(at, HEAD, Message::ConstructFailed(actor, failure));
                    self.forget_creation(at, actor);
                }
                None if is_ready => self.send(at, HEAD, Message::CreateActor(0, creation)),
                None => self.process(at).unready.push((creation, needed)),
            }
        }
    }

    pub(super) fn construct(
        &mut self,
        at: ProcessId,
        actor: ActorId,
        worker: ProcessId,
        incarnation: u64,
    ) {
        let Some(payload) = self.process(at).creations.get(&actor).cloned() else {
            // It is dead for good; the directory knows or is about to.
            return;
        };
        self.on_address(at, worker);
        if !self.process(at).peers.contains(&worker) {
            return;
        }
        let owner = &self.process(at).owner;
        let freed = payload.args.iter().find_map(|arg| match arg {
            Arg::Object(object) => match owner.argument(*object) {
                ObjectState::Failed(failure) => Some((*failure).clone()),
                _ => None,
            },
            Arg::Inline(_) => None,
        });
        if let Some(failure) = freed {
            // It was there when the actor was created.
            return self.send(at, HEAD, Message::ConstructFailed(actor, failure));
        }
        let task = TaskId {
            owner: at,
            index: 0,
        };
        if let Some(args) = self.arg_metas(at, &payload, worker) {
            self.hold_constructor(at, actor, &payload);
            self.post(
                at,
                worker,
                Message::Call {
                    task,
                    attempt: incarnation as u32,
                    target: Target::Create(actor, incarnation),
                    args,
                    payload,
                },
            );
        }
        self.settle(at);
    }

    fn hold_constructor(&mut self, at: ProcessId, actor: ActorId, payload: &Payload) {
        let process = self.process(at);
        let mut held = Vec::new();
        for arg in &payload.args {
            if let Arg::Object(object) = arg {
                process.owner.hold_argument(*object);
                held.push(*object);
            }
        }
        let before = process.constructing.insert(actor, held);
        for object in before.into_iter().flatten() {
            process.owner.let_argument_go(object);
        }
    }

    /// The constructor of an actor does not run any more.
    pub(super) fn on_constructed(&mut self, at: ProcessId, actor: ActorId) {
        let process = self.process(at);
        for object in process.constructing.remove(&actor).into_iter().flatten() {
            process.owner.let_argument_go(object);
        }
    }

    /// Drops the constructor of an actor and the handles of its arguments.
    pub(crate) fn forget_creation(&mut self, at: ProcessId, actor: ActorId) {
        let Some(payload) = self.process(at).creations.remove(&actor) else {
            return;
        };
        for arg in &payload.args {
            match arg {
                Arg::Object(object) => self.drop_handle(at, *object),
                Arg::Inline(contained) => {
                    for object in contained {
                        self.drop_handle(at, *object);
                    }
                }
            }
        }
    }
}
