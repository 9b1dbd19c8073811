//! What user code does with actors: creates, calls, finds, kills them.

use std::rc::Rc;

use ray_engine::{
    failure::Failure,
    ids::{ActorId, ObjectId, ProcessId},
    owner::{CallSubmit, ObjectState},
};

use super::{Context, Next, Wait, args_of, task_of};
use crate::{
    scenario,
    wire::{Handle, Message, Payload, Value},
    world::{HEAD, World},
};

impl World {
    pub(super) fn call(&mut self, at: ProcessId, context: &mut Context) {
        let Some(position) = self.chance.position(context.handles.len()) else {
            return;
        };
        let handle = context.handles[position].clone();
        let plan = scenario::plan_call(&self.profile, &mut self.chance, &handle.limits);
        let dependencies = self.pick_some(&context.slots, 2);
        let inside = self.pick_some(&context.slots, 2);
        let mut nested = inside.clone();
        // A pending call keeps the actor alive, whatever becomes of the handle.
        nested.extend(handle.hold);
        let returns = plan.returns;
        let payload = Rc::new(Payload {
            args: args_of(&dependencies, &inside),
            handles: Vec::new(),
            groups: Vec::new(),
            depth: scenario::DEPTH_MAX,
            steps: plan.steps,
            step_nanos: plan.step_nanos,
            may_block: false,
            fate: plan.fate,
            returns,
            call: Some(crate::wire::CallTraits {
                is_ordered: handle.limits.is_ordered,
                may_repeat: plan.max_retries != 0,
            }),
        });
        let now = self.now;
        let submit = CallSubmit {
            actor: handle.actor,
            returns,
            dependencies: &dependencies,
            nested: &nested,
            max_task_retries: plan.max_retries,
            retry_failures: plan.retry_failures.into(),
            is_ordered: handle.limits.is_ordered,
            max_pending: handle.limits.max_pending,
            parent: task_of(context),
            payload,
        };
        let task = self.process(at).owner.submit_call(submit, now);
        self.keep_results(at, context, task, returns);
    }

    pub(super) fn create(&mut self, at: ProcessId, id: u64, context: &mut Context) -> Next {
        let plan = scenario::plan_actor(&self.profile, &mut self.chance);
        let dependencies = self.pick_some(&context.slots, 2);
        let nested = self.pick_some(&context.slots, 1);
        let actor = ActorId {
            owner: at,
            index: self.process(at).owner.take_indexes(1),
        };
        let creation = crate::wire::Creation {
            actor,
            job: self.process(at).job,
            placement: self.some_placement(&context.groups),
            // Later nobody would be left to end it.
            detached: plan.creation.detached && self.driver_goes_on(),
            ..plan.creation
        };
        for object in dependencies.iter().chain(&nested) {
            self.add_handle(at, *object);
        }
        let payload = Rc::new(Payload {
            args: args_of(&dependencies, &nested),
            handles: Vec::new(),
            groups: Vec::new(),
            depth: scenario::DEPTH_MAX,
            steps: 1,
            step_nanos: plan.step_nanos,
            may_block: false,
            fate: plan.fate,
            returns: 0,
            call: None,
        });
        self.process(at).creations.insert(actor, payload);
        if creation.detached {
            self.detached.push(actor);
        }
        let limits = creation.limits;
        if creation.name.is_none() {
            self.create_when_ready(at, creation, dependencies);
            let handle = self.handle_of_created(at, actor, limits);
            context.handles.push(handle);
            return Next::Go;
        }
        let is_ready = dependencies
            .iter()
            .all(|object| matches!(self.process(at).owner.state(*object), ObjectState::Ready(_)));
        if !is_ready || !context.may_block {
            // The name is settled before anything else, with arguments that are there.
            self.forget_creation(at, actor);
            return Next::Go;
        }
        let request = self.fresh_number();
        context.wait = Some(Wait::Reply {
            wanted: Some(Handle {
                actor,
                hold: None,
                limits,
            }),
        });
        self.requests.insert(request, (at, id, context.generation));
        self.send(at, HEAD, Message::CreateActor(request, creation));
        Next::Block
    }

    fn handle_of_created(
        &mut self,
        at: ProcessId,
        actor: ActorId,
        limits: crate::wire::CallLimits,
    ) -> Handle {
        let value = Value {
            object: ObjectId {
                owner: at,
                index: 0,
            },
            attempt: 0,
            maker: at,
            token: self.fresh_number(),
        };
        let process = self.process(at);
        let hold = process.owner.put(value, &[]);
        process.actor_holds.insert(hold, actor);
        Handle {
            actor,
            hold: Some(hold),
            limits,
        }
    }

    pub(super) fn lookup(&mut self, at: ProcessId, id: u64, context: &mut Context) -> Next {
        if !context.may_block {
            return Next::Go;
        }
        let name = scenario::some_name(&mut self.chance);
        let request = self.fresh_number();
        context.wait = Some(Wait::Reply { wanted: None });
        self.requests.insert(request, (at, id, context.generation));
        self.send(at, HEAD, Message::LookupActor(request, name));
        Next::Block
    }

    pub(super) fn reply_arrived(&mut self, request: u64) -> Option<(ProcessId, u64, &mut Context)> {
        let (at, id, generation) = self.requests.remove(&request)?;
        let context = self.processes.get_mut(&at)?.contexts.get_mut(&id)?;
        (context.generation == generation).then_some((at, id, context))
    }

    pub(crate) fn on_create_reply(
        &mut self,
        at: ProcessId,
        request: u64,
        outcome: Result<ActorId, Failure>,
    ) {
        let Some((_, id, context)) = self.reply_arrived(request) else {
            return;
        };
        let Some(Wait::Reply {
            wanted: Some(wanted),
        }) = context.wait.take()
        else {
            return;
        };
        let generation = context.generation;
        let handle = match outcome {
            Ok(found) if found == wanted.actor => {
                Some(self.handle_of_created(at, found, wanted.limits))
            }
            Ok(found) => {
                self.forget_creation(at, wanted.actor);
                Some(Handle {
                    actor: found,
                    hold: None,
                    limits: wanted.limits,
                })
            }
            Err(_) => {
                self.forget_creation(at, wanted.actor);
                None
            }
        };
        if let Some(context) = self.process(at).contexts.get_mut(&id) {
            context.handles.extend(handle);
        }
        self.wake_context(at, id, generation, 1);
    }

    pub(crate) fn on_lookup_reply(
        &mut self,
        at: ProcessId,
        request: u64,
        outcome: Result<(ActorId, crate::wire::CallLimits), Failure>,
    ) {
        let Some((_, id, context)) = self.reply_arrived(request) else {
            return;
        };
        context.wait = None;
        if let Ok((actor, limits)) = outcome {
            context.handles.push(Handle {
                actor,
                hold: None,
                limits,
            });
        }
        let generation = context.generation;
        self.wake_context(at, id, generation, 1);
    }

    pub(super) fn drop_some_handle(&mut self, at: ProcessId, context: &mut Context) {
        if let Some(position) = self.chance.position(context.handles.len())
            && let Some(hold) = context.handles.swap_remove(position).hold
        {
            self.drop_handle(at, hold);
        }
    }

    pub(super) fn kill_some(&mut self, at: ProcessId, context: &Context) {
        if let Some(position) = self.chance.position(context.handles.len()) {
            let actor = context.handles[position].actor;
            let no_restart = self.chance.percent(50);
            self.send(at, HEAD, Message::KillActor(actor, no_restart));
        }
    }
}
