//! User code: what drivers, tasks and methods do, drawn at random as they go.

mod actors;
mod groups;
mod waits;

use std::rc::Rc;

use ray_engine::{
    ids::{GroupId, ObjectId, ProcessId},
    owner::TaskSubmit,
};

use crate::{
    executor::Execution,
    process::Shape,
    scenario::{self, SHAPES},
    wire::{Arg, Handle, Payload, Value},
    world::World,
};

/// What a piece of user code is.
#[derive(Debug)]
pub enum Role {
    /// A thread of the driver's `main`.
    Root,
    /// A task, method or constructor.
    Call(Execution),
}

/// User code that has begun: what it holds and where it is.
#[derive(Debug)]
pub struct Context {
    /// What it is.
    pub role: Role,
    /// The references it holds, one handle each.
    pub slots: Vec<ObjectId>,
    /// The actor handles it holds.
    pub handles: Vec<Handle>,
    /// The placement groups it knows.
    pub groups: Vec<GroupId>,
    /// Steps until its end.
    pub steps_left: u32,
    /// How long a step takes; nanoseconds.
    step_nanos: u64,
    /// How deep it is nested.
    depth: u32,
    /// Whether it may wait for others.
    may_block: bool,
    /// Counts its steps, so that an old wake does nothing.
    generation: u64,
    wait: Option<Wait>,
}

/// What a blocked context waits for.
#[derive(Debug)]
enum Wait {
    Objects {
        objects: Vec<ObjectId>,
        /// How many must still be resolved.
        missing: usize,
        is_get: bool,
        has_deadline: bool,
        is_over: bool,
    },
    /// The actor under a name that was asked for, when it was to be a new one.
    Reply { wanted: Option<Handle> },
    /// The answer about a placement group.
    Group(GroupId),
}

/// What comes after a step.
enum Next {
    Go,
    Block,
}

impl Context {
    /// Returns user code about to take its first step.
    pub fn new(
        role: Role,
        slots: Vec<ObjectId>,
        handles: Vec<Handle>,
        payload: &Payload,
    ) -> Context {
        Context {
            role,
            slots,
            handles,
            groups: payload.groups.clone(),
            steps_left: payload.steps,
            step_nanos: payload.step_nanos,
            depth: payload.depth,
            may_block: payload.may_block,
            generation: 0,
            wait: None,
        }
    }

    fn is_cancelled(&self) -> bool {
        matches!(&self.role, Role::Call(execution) if execution.is_cancelled)
    }

    fn gives_cpu_back(&self) -> bool {
        matches!(&self.role, Role::Call(execution)
            if matches!(execution.target, crate::wire::Target::Task(_)))
    }

    /// Returns what it waits for, for a report.
    pub fn describe_wait(&self) -> Option<String> {
        self.wait.as_ref().map(|wait| format!("{wait:?}"))
    }
}

impl World {
    /// Takes the next step of a context, unless the wake is stale.
    pub(crate) fn step(&mut self, at: ProcessId, id: u64, generation: u64) {
        let Some(process) = self.processes.get_mut(&at) else {
            return;
        };
        if process
            .contexts
            .get(&id)
            .is_none_or(|context| context.generation != generation)
        {
            return;
        }
        let Some(mut context) = process.contexts.remove(&id) else {
            return;
        };
        context.generation += 1;
        let next = match context.wait.take() {
            Some(wait) => self.resume(at, id, &mut context, wait),
            None if context.steps_left == 0 || context.is_cancelled() => {
                return self.end_context(at, id, context);
            }
            None => {
                context.steps_left -= 1;
                self.act(at, id, &mut context)
            }
        };
        if !self.processes.contains_key(&at) {
            return;
        }
        let generation = context.generation;
        let is_over = match &context.wait {
            Some(Wait::Objects { is_over, .. }) => *is_over,
            _ => false,
        };
        let delay = self.chance.below(context.step_nanos * 2) + 1;
        self.process(at).contexts.insert(id, context);
        match next {
            Next::Go => self.wake_context(at, id, generation, delay),
            Next::Block if is_over => self.wake_context(at, id, generation, 1),
            Next::Block => {}
        }
    }

    fn end_context(&mut self, at: ProcessId, id: u64, mut context: Context) {
        if matches!(context.role, Role::Call(_)) {
            return self.finish(at, context);
        }
        // The driver's last act: get everything, unless it is cancelled, then let everything go.
        if let Some(object) = context.slots.last().copied() {
            if self.chance.percent(30) {
                self.cancel(at, object);
            }
            if let Some(next) = self.get(at, id, &mut context, vec![object]) {
                let is_over = matches!(&context.wait, Some(Wait::Objects { is_over: true, .. }));
                let generation = context.generation;
                self.process(at).contexts.insert(id, context);
                if matches!(next, Next::Go) || is_over {
                    self.wake_context(at, id, generation, 1);
                }
                return;
            }
            context.slots.pop();
            if !self.invariants.freed.keep(at, object) {
                self.drop_handle(at, object);
            }
            let generation = context.generation;
            self.process(at).contexts.insert(id, context);
            return self.wake_context(at, id, generation, 1);
        }
        for hold in context.handles.into_iter().filter_map(|handle| handle.hold) {
            self.drop_handle(at, hold);
        }
        self.on_root_ended(at);
    }

    fn act(&mut self, at: ProcessId, id: u64, context: &mut Context) -> Next {
        let can_nest = context.depth < scenario::DEPTH_MAX;
        match self.chance.below(100) {
            0..8 => self.put(at, context),
            8..38 if can_nest => self.submit(at, context),
            38..52 => return self.get_some(at, id, context),
            52..57 => return self.wait_some(at, id, context),
            57..65 => self.drop_some(at, context),
            65..68 => self.free_some(at, context),
            68..74 if can_nest => return self.create(at, id, context),
            74..88 => self.call(at, context),
            88..91 => self.drop_some_handle(at, context),
            91 => self.kill_some(at, context),
            92..95 => self.cancel_some(at, context),
            95..97 => return self.lookup(at, id, context),
            97..100 if can_nest && self.profile.cluster.is_some() => {
                return self.create_group(at, id, context);
            }
            _ => {}
        }
        Next::Go
    }

    /// Returns some of a list, repeats allowed.
    pub(crate) fn pick_some(&mut self, from: &[ObjectId], most: u64) -> Vec<ObjectId> {
        let count = if self.chance.percent(50) {
            0
        } else {
            self.chance.below(most + 1)
        };
        (0..count)
            .filter_map(|_| self.chance.position(from.len()).map(|at| from[at]))
            .collect()
    }

    fn put(&mut self, at: ProcessId, context: &mut Context) {
        let inside = self.pick_some(&context.slots, 2);
        let value = Value {
            object: ObjectId {
                owner: at,
                index: 0,
            },
            attempt: 0,
            maker: at,
            token: self.fresh_number(),
        };
        let object = self.process(at).owner.put(value, &inside);
        self.observe(at, object);
        context.slots.push(object);
        self.settle(at);
    }

    fn submit(&mut self, at: ProcessId, context: &mut Context) {
        let plan = scenario::plan_task(&self.profile, &mut self.chance);
        let dependencies = self.pick_some(&context.slots, 3);
        let mut nested = self.pick_some(&context.slots, 2);
        let handles = self.pick_handle(context);
        nested.extend(handles.iter().filter_map(|handle| handle.hold));
        let returns = plan.returns;
        let payload = Rc::new(Payload {
            args: args_of(&dependencies, &nested),
            handles,
            groups: context.groups.clone(),
            depth: context.depth + 1,
            steps: plan.steps,
            step_nanos: plan.step_nanos,
            may_block: plan.may_block,
            fate: plan.fate,
            returns,
            call: None,
        });
        let now = self.now;
        let shape = Shape {
            resources: SHAPES[plan.shape as usize].resources(),
            placement: self.some_placement(&context.groups),
        };
        let submit = TaskSubmit {
            shape: self.process(at).shape_id(shape),
            returns,
            dependencies: &dependencies,
            nested: &nested,
            max_retries: plan.max_retries,
            retry_failures: plan.retry_failures.into(),
            parent: task_of(context),
            payload,
        };
        let task = self.process(at).owner.submit_task(submit, now);
        self.keep_results(at, context, task, returns);
    }

    fn keep_results(
        &mut self,
        at: ProcessId,
        context: &mut Context,
        task: ray_engine::ids::TaskId,
        returns: u16,
    ) {
        self.settle(at);
        for position in 0..u64::from(returns) {
            // Some results nobody wants.
            if self.chance.percent(12) {
                self.drop_handle(at, task.result(position));
            } else {
                context.slots.push(task.result(position));
            }
        }
    }

    fn pick_handle(&mut self, context: &Context) -> Vec<Handle> {
        if self.chance.percent(70) {
            return Vec::new();
        }
        let position = self.chance.position(context.handles.len());
        position
            .map(|at| context.handles[at].clone())
            .into_iter()
            .collect()
    }

    fn drop_some(&mut self, at: ProcessId, context: &mut Context) {
        if let Some(position) = self.chance.position(context.slots.len()) {
            let object = context.slots.swap_remove(position);
            self.drop_handle(at, object);
        }
    }

    /// Frees an object, which may be anybody's and may have no value yet.
    fn free_some(&mut self, at: ProcessId, context: &Context) {
        if let Some(position) = self.chance.position(context.slots.len()) {
            let object = context.slots[position];
            self.invariants.freed.on_free(object, at);
            self.process(at).owner.free(object);
            self.settle(at);
        }
    }

    fn cancel_some(&mut self, at: ProcessId, context: &Context) {
        if let Some(position) = self.chance.position(context.slots.len()) {
            self.cancel(at, context.slots[position]);
        }
    }

    fn cancel(&mut self, at: ProcessId, object: ObjectId) {
        let force = self.chance.percent(20);
        let recursive = self.chance.percent(50);
        let now = self.now;
        // Force is refused for calls of actors.
        let _refused = self.process(at).owner.cancel(object, force, recursive, now);
        self.settle(at);
    }
}

fn task_of(context: &Context) -> Option<ray_engine::ids::TaskId> {
    match &context.role {
        Role::Call(execution) => Some(execution.task),
        Role::Root => None,
    }
}

fn args_of(dependencies: &[ObjectId], nested: &[ObjectId]) -> Vec<Arg> {
    let mut args = dependencies
        .iter()
        .map(|object| Arg::Object(*object))
        .collect::<Vec<_>>();
    if !nested.is_empty() {
        args.push(Arg::Inline(nested.to_vec()));
    }
    args
}
