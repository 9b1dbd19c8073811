//! User code: what drivers, tasks and methods do, drawn at random as they go.

use std::rc::Rc;

use ray_engine::{
    failure::Failure,
    ids::{ActorId, ObjectId, ProcessId},
    owner::{CallSubmit, ObjectState, ShapeId, TaskSubmit},
};

use crate::{
    executor::Execution,
    scenario::{self, SHAPES},
    wire::{Arg, Handle, Message, Payload, Value},
    world::{DRIVER, World},
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
        // The driver's last act: get everything, then let everything go.
        if let Some(object) = context.slots.last().copied() {
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
            self.drop_handle(at, object);
            let generation = context.generation;
            self.process(at).contexts.insert(id, context);
            return self.wake_context(at, id, generation, 1);
        }
        for hold in context.handles.into_iter().filter_map(|handle| handle.hold) {
            self.drop_handle(at, hold);
        }
        self.on_root_ended();
    }

    fn act(&mut self, at: ProcessId, id: u64, context: &mut Context) -> Next {
        let can_nest = context.depth < scenario::DEPTH_MAX;
        match self.chance.below(100) {
            0..8 => self.put(at, context),
            8..38 if can_nest => self.submit(at, context),
            38..52 => return self.get_some(at, id, context),
            52..57 => return self.wait_some(at, id, context),
            57..68 => self.drop_some(at, context),
            68..74 if can_nest => return self.create(at, id, context),
            74..88 => self.call(at, context),
            88..91 => self.drop_some_handle(at, context),
            91 => self.kill_some(at, context),
            92..95 => self.cancel_some(at, context),
            95..97 => return self.lookup(at, id, context),
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
            depth: context.depth + 1,
            steps: plan.steps,
            step_nanos: plan.step_nanos,
            may_block: plan.may_block,
            fate: plan.fate,
            returns,
            call: None,
        });
        let now = self.now;
        let submit = TaskSubmit {
            shape: ShapeId(plan.shape),
            returns,
            dependencies: &dependencies,
            nested: &nested,
            max_retries: plan.max_retries,
            retry_failures: plan.retry_failures,
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

    fn call(&mut self, at: ProcessId, context: &mut Context) {
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
            retry_failures: plan.retry_failures,
            is_ordered: handle.limits.is_ordered,
            max_pending: handle.limits.max_pending,
            parent: task_of(context),
            payload,
        };
        let task = self.process(at).owner.submit_call(submit, now);
        self.keep_results(at, context, task, returns);
    }

    fn create(&mut self, at: ProcessId, id: u64, context: &mut Context) -> Next {
        let plan = scenario::plan_actor(&self.profile, &mut self.chance);
        let dependencies = self.pick_some(&context.slots, 2);
        let nested = self.pick_some(&context.slots, 1);
        let actor = ActorId {
            owner: at,
            index: self.process(at).owner.take_indexes(1),
        };
        let creation = crate::wire::Creation {
            actor,
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
        self.send(at, DRIVER, Message::CreateActor(request, creation));
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

    fn lookup(&mut self, at: ProcessId, id: u64, context: &mut Context) -> Next {
        if !context.may_block {
            return Next::Go;
        }
        let name = scenario::some_name(&mut self.chance);
        let request = self.fresh_number();
        context.wait = Some(Wait::Reply { wanted: None });
        self.requests.insert(request, (at, id, context.generation));
        self.send(at, DRIVER, Message::LookupActor(request, name));
        Next::Block
    }

    fn reply_arrived(&mut self, request: u64) -> Option<(ProcessId, u64, &mut Context)> {
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

    fn drop_some(&mut self, at: ProcessId, context: &mut Context) {
        if let Some(position) = self.chance.position(context.slots.len()) {
            let object = context.slots.swap_remove(position);
            self.drop_handle(at, object);
        }
    }

    fn drop_some_handle(&mut self, at: ProcessId, context: &mut Context) {
        if let Some(position) = self.chance.position(context.handles.len())
            && let Some(hold) = context.handles.swap_remove(position).hold
        {
            self.drop_handle(at, hold);
        }
    }

    fn kill_some(&mut self, at: ProcessId, context: &Context) {
        if let Some(position) = self.chance.position(context.handles.len()) {
            let actor = context.handles[position].actor;
            let no_restart = self.chance.percent(50);
            self.send(at, DRIVER, Message::KillActor(actor, no_restart));
        }
    }

    fn cancel_some(&mut self, at: ProcessId, context: &Context) {
        if let Some(position) = self.chance.position(context.slots.len()) {
            let object = context.slots[position];
            let force = self.chance.percent(20);
            let recursive = self.chance.percent(50);
            let now = self.now;
            // Force is refused for calls of actors.
            let _refused = self.process(at).owner.cancel(object, force, recursive, now);
            self.settle(at);
        }
    }

    fn get_some(&mut self, at: ProcessId, id: u64, context: &mut Context) -> Next {
        let mut objects = self.pick_some(&context.slots, 3);
        objects.sort_unstable();
        objects.dedup();
        let is_there = objects
            .iter()
            .all(|object| !matches!(self.process(at).owner.state(*object), ObjectState::Pending));
        if objects.is_empty() || !(context.may_block || is_there) {
            return Next::Go;
        }
        self.get(at, id, context, objects).unwrap_or(Next::Go)
    }

    fn wait_some(&mut self, at: ProcessId, id: u64, context: &mut Context) -> Next {
        let mut objects = self.pick_some(&context.slots, 4);
        objects.sort_unstable();
        objects.dedup();
        if objects.is_empty() || !context.may_block {
            return Next::Go;
        }
        let has_deadline = self.chance.percent(60);
        let wanted = self.chance.below(objects.len() as u64) as usize + 1;
        self.block_on(at, id, context, objects, wanted, false, has_deadline)
            .unwrap_or(Next::Go)
    }

    /// Gets objects; `None` when all are there and were looked at.
    fn get(
        &mut self,
        at: ProcessId,
        id: u64,
        context: &mut Context,
        objects: Vec<ObjectId>,
    ) -> Option<Next> {
        let wanted = objects.len();
        let next = self.block_on(at, id, context, objects.clone(), wanted, true, false);
        if next.is_none() {
            for object in objects {
                self.read(at, object, context);
            }
        }
        next
    }

    /// Looks at an outcome; references inside become handles of this context.
    fn read(&mut self, at: ProcessId, object: ObjectId, context: &mut Context) {
        self.observe(at, object);
        let takes = self.chance.percent(60) && context.steps_left > 0;
        let inside = self.process(at).owner.contained(object).to_vec();
        for id in inside.into_iter().filter(|_| takes) {
            self.add_handle(at, id);
            context.slots.push(id);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one wait has these many sides")]
    fn block_on(
        &mut self,
        at: ProcessId,
        id: u64,
        context: &mut Context,
        objects: Vec<ObjectId>,
        wanted: usize,
        is_get: bool,
        has_deadline: bool,
    ) -> Option<Next> {
        let process = self.process(at);
        let missing_objects = objects
            .iter()
            .filter(|object| matches!(process.owner.state(**object), ObjectState::Pending))
            .copied()
            .collect::<Vec<_>>();
        let there = objects.len() - missing_objects.len();
        if there >= wanted {
            return None;
        }
        context.wait = Some(Wait::Objects {
            objects: objects.clone(),
            missing: wanted - there,
            is_get,
            has_deadline,
            is_over: false,
        });
        for object in &missing_objects {
            process.waiters.entry(*object).or_default().push(id);
        }
        let gives_back = context.gives_cpu_back();
        // The cell exists before the first watch, which may resolve at once.
        let parked = std::mem::replace(&mut context.slots, Vec::new());
        let shell = Context {
            slots: Vec::new(),
            handles: Vec::new(),
            role: Role::Root,
            wait: context.wait.take(),
            ..*context
        };
        self.process(at).contexts.insert(id, shell);
        for object in &missing_objects {
            self.process(at).owner.watch(*object);
        }
        self.settle(at);
        if let Some(shell) = self.process(at).contexts.remove(&id) {
            context.wait = shell.wait;
        }
        context.slots = parked;
        if gives_back {
            self.on_blocked(at);
        }
        if has_deadline {
            let delay = self.chance.between(1_000, 20_000_000);
            self.wake_context(at, id, context.generation, delay);
        }
        Some(Next::Block)
    }

    /// An object has an outcome: contexts that wait for it are counted down.
    pub(crate) fn on_resolved(&mut self, at: ProcessId, object: ObjectId) {
        let process = self.process(at);
        let failed = matches!(process.owner.state(object), ObjectState::Failed(_));
        let mut woken = Vec::new();
        for id in process.waiters.remove(&object).unwrap_or_default() {
            let Some(context) = process.contexts.get_mut(&id) else {
                continue;
            };
            if let Some(Wait::Objects {
                objects,
                missing,
                is_get,
                is_over,
                ..
            }) = &mut context.wait
                && objects.contains(&object)
            {
                *missing = missing.saturating_sub(1);
                if (*missing == 0 || failed && *is_get) && !*is_over {
                    *is_over = true;
                    woken.push((id, context.generation));
                }
            }
        }
        for (id, generation) in woken {
            self.wake_context(at, id, generation, 1);
        }
        self.create_ready(at);
    }

    /// Wakes a context that was cancelled.
    pub(crate) fn interrupt(&mut self, at: ProcessId, id: u64) {
        if let Some(context) = self.process(at).contexts.get(&id)
            && matches!(context.wait, Some(Wait::Objects { .. }))
        {
            let generation = context.generation;
            self.wake_context(at, id, generation, 1);
        }
    }

    fn resume(&mut self, at: ProcessId, id: u64, context: &mut Context, wait: Wait) -> Next {
        let Wait::Objects {
            objects,
            is_get,
            has_deadline,
            is_over,
            ..
        } = wait
        else {
            return Next::Go;
        };
        for object in &objects {
            if let Some(waiting) = self.process(at).waiters.get_mut(object) {
                waiting.retain(|other| *other != id);
            }
        }
        if context.gives_cpu_back() {
            self.on_unblocked(at);
        }
        if context.is_cancelled() {
            context.steps_left = 0;
            return Next::Go;
        }
        if is_get {
            let failed = objects.iter().any(|object| {
                matches!(
                    self.process(at).owner.state(*object),
                    ObjectState::Failed(_)
                )
            });
            if failed {
                for object in objects {
                    self.observe(at, object);
                }
                return Next::Go;
            }
            return self.get(at, id, context, objects).unwrap_or(Next::Go);
        }
        if !is_over && !has_deadline {
            let text = format!("a wait of {at} ended without its objects");
            self.fail("every wait ends", text);
        }
        Next::Go
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

/// Every shape that tasks and actors ask for.
pub(crate) fn shape(id: ShapeId) -> ray_engine::resources::Resources {
    SHAPES[id.0 as usize % SHAPES.len()].resources()
}
