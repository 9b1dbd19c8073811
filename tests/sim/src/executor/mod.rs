//! The executing side of a worker: one leader that runs calls one after another.
//!
//! It follows `ray-core/src/worker/execute.rs`: a call that blocks gives its unstarted successors back, so
//! does one that runs for over 5 ms, and an actor's process ends with its actor.

mod ends;

use std::{collections::VecDeque, rc::Rc, time::Duration};

use ray_engine::{
    control::actors::DirectoryState,
    failure::Failure,
    ids::{ActorId, ObjectId, ProcessId, TaskId},
    time::Time,
};

use crate::{
    user::{Context, Role},
    wire::{ArgMeta, Handle, Message, Payload, Target},
    world::World,
};

/// A running task this old has its successors handed back.
const LONG_TASK: Duration = Duration::from_millis(5);

/// A call that arrived.
#[derive(Debug)]
pub struct Execution {
    /// Who gets the answer.
    pub caller: ProcessId,
    /// Which call.
    pub task: TaskId,
    /// Which try.
    pub attempt: u32,
    /// As what it runs.
    pub target: Target,
    /// What it does.
    pub payload: Rc<Payload>,
    /// The references that came with it, held while it runs.
    pub held: Vec<ObjectId>,
    /// The arguments that are objects, whose bytes it looks at.
    pub looks_at: Vec<ObjectId>,
    /// Whether its end is not wanted any more.
    pub is_cancelled: bool,
    /// When it began.
    pub started: Time,
}

/// The actor that lives in a process.
#[derive(Debug)]
pub struct Hosted {
    /// Which.
    pub actor: ActorId,
    /// Which life.
    pub incarnation: u64,
    /// References that its state keeps.
    pub kept: Vec<ObjectId>,
}

/// What a process runs and is about to run.
#[derive(Debug, Default)]
pub struct Executor {
    ready: VecDeque<Execution>,
    /// The context of the running call.
    running: Option<u64>,
    /// The actor that lives here.
    pub hosted: Option<Hosted>,
    /// How many running tasks wait for others.
    blocked: u32,
    /// Why it is about to end, once it is.
    stopping: Option<String>,
    is_tick_armed: bool,
}

impl World {
    fn executor(&mut self, at: ProcessId) -> Option<&mut Executor> {
        self.processes.get_mut(&at)?.executor.as_mut()
    }

    fn running_execution(&mut self, at: ProcessId) -> Option<&mut Execution> {
        let process = self.processes.get_mut(&at)?;
        let running = process.executor.as_ref()?.running?;
        match &mut process.contexts.get_mut(&running)?.role {
            Role::Call(execution) => Some(execution),
            Role::Root => None,
        }
    }

    fn has_long_task(&mut self, at: ProcessId) -> bool {
        let now = self.now;
        self.running_execution(at).is_some_and(|execution| {
            matches!(execution.target, Target::Task(_)) && now.since(execution.started) > LONG_TASK
        })
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one message")]
    pub(crate) fn on_call(
        &mut self,
        at: ProcessId,
        caller: ProcessId,
        task: TaskId,
        attempt: u32,
        target: Target,
        args: Vec<ArgMeta>,
        payload: Rc<Payload>,
    ) {
        let mut held = Vec::new();
        let mut looks_at = Vec::new();
        for arg in &args {
            for object in &arg.contained {
                self.process(at).owner.receive_reference(*object, 1);
                held.push(*object);
            }
            if let Some((object, value)) = &arg.object {
                self.check_value(at, *object, value);
                looks_at.push(*object);
            }
        }
        self.look_for_call(at, caller, target, &looks_at);
        let execution = Execution {
            caller,
            task,
            attempt,
            target,
            payload,
            held,
            looks_at,
            is_cancelled: false,
            started: self.now,
        };
        let has_long_task = self.has_long_task(at);
        let Some(executor) = self.executor(at) else {
            let text = format!("{at} runs no calls and got {task}");
            return self.fail("no two live incarnations answer", text);
        };
        let is_task = matches!(target, Target::Task(_));
        if let Some(cause) = executor.stopping.clone() {
            self.refuse(at, execution, &cause);
        } else if is_task && (executor.blocked > 0 || has_long_task) {
            self.hand_back(at, execution);
        } else {
            executor.ready.push_back(execution);
            if executor.running.is_some() && !executor.is_tick_armed {
                executor.is_tick_armed = true;
                self.wake_executor(at, self.now + LONG_TASK);
            }
            self.run_next(at);
        }
    }

    /// A call reads its arguments; one of a dead actor is about to be ended, and nobody hears its answer.
    fn look_for_call(
        &mut self,
        at: ProcessId,
        caller: ProcessId,
        target: Target,
        objects: &[ObjectId],
    ) {
        let is_dead = match target {
            Target::Method(actor, _) | Target::Create(actor, _) => {
                let state = self.control.directory.state(actor);
                matches!(state, Some(DirectoryState::Dead { .. }))
            }
            Target::Task(_) => false,
        };
        for object in objects.iter().filter(|_| !is_dead) {
            self.look(*object, (at, caller));
        }
    }

    fn hand_back(&mut self, at: ProcessId, execution: Execution) {
        let Execution {
            caller,
            task,
            attempt,
            held,
            ..
        } = execution;
        self.send(at, caller, Message::HandedBack(task, attempt));
        for object in held {
            self.drop_handle(at, object);
        }
    }

    fn refuse(&mut self, at: ProcessId, execution: Execution, cause: &str) {
        let (Target::Method(actor, incarnation) | Target::Create(actor, incarnation)) =
            execution.target
        else {
            return self.hand_back(at, execution);
        };
        let failure = Failure::ActorDied {
            actor,
            incarnation,
            cause: cause.to_owned(),
        };
        self.reply(
            at,
            execution.caller,
            execution.task,
            execution.attempt,
            0,
            Err(failure),
        );
        for object in execution.held {
            self.drop_handle(at, object);
        }
    }

    /// Hands unstarted tasks back when the running one takes long.
    pub(crate) fn on_executor_tick(&mut self, at: ProcessId) {
        let is_long = self.has_long_task(at);
        let Some(executor) = self.executor(at) else {
            return;
        };
        executor.is_tick_armed = false;
        if is_long {
            self.hand_back_unstarted(at);
        } else if !executor.ready.is_empty() {
            executor.is_tick_armed = true;
            self.wake_executor(at, self.now + LONG_TASK);
        }
    }

    fn hand_back_unstarted(&mut self, at: ProcessId) {
        let Some(executor) = self.executor(at) else {
            return;
        };
        let (tasks, rest) = std::mem::take(&mut executor.ready)
            .into_iter()
            .partition::<VecDeque<_>, _>(|waiting| matches!(waiting.target, Target::Task(_)));
        executor.ready = rest;
        for execution in tasks {
            self.hand_back(at, execution);
        }
    }

    /// The running task waits for others.
    pub(crate) fn on_blocked(&mut self, at: ProcessId) {
        if let Some(executor) = self.executor(at) {
            executor.blocked += 1;
            self.hand_back_unstarted(at);
            self.send_to_node(at, Message::Blocked);
        }
    }

    /// It goes on.
    pub(crate) fn on_unblocked(&mut self, at: ProcessId) {
        if let Some(executor) = self.executor(at) {
            executor.blocked = executor.blocked.saturating_sub(1);
            self.send_to_node(at, Message::Unblocked);
        }
    }

    fn run_next(&mut self, at: ProcessId) {
        let now = self.now;
        let Some(executor) = self.executor(at) else {
            return;
        };
        if executor.running.is_some() {
            return;
        }
        let Some(mut execution) = executor.ready.pop_front() else {
            if let Some(cause) = executor.stopping.clone() {
                self.end_process(at, &cause);
            }
            return;
        };
        execution.started = now;
        if let (Target::Method(actor, incarnation), Some(call)) =
            (execution.target, execution.payload.call)
        {
            let begun = (actor, incarnation, execution.task, execution.attempt);
            let verdict = self.invariants.order.on_begin(begun, at, call);
            self.judge("order of calls", verdict);
            // Whoever is cut off goes on for a moment; nobody hears its answers.
            if !self.network.is_isolated(at) {
                let lives = &mut self.invariants.incarnations;
                let verdict = lives.on_begin(actor, incarnation, at);
                self.judge("no two live incarnations answer", verdict);
            }
        }
        let payload = execution.payload.clone();
        let mut slots = Vec::new();
        for object in execution.held.clone() {
            // What keeps an actor alive is inside its handles only.
            if payload
                .handles
                .iter()
                .all(|handle| handle.hold != Some(object))
            {
                self.add_handle(at, object);
                slots.push(object);
            }
        }
        let hosted = self
            .executor(at)
            .and_then(|executor| executor.hosted.as_ref())
            .map(|hosted| hosted.actor);
        let mut handles = Vec::new();
        for handle in &payload.handles {
            // An actor's handle of itself must not keep it alive.
            let hold = handle.hold.filter(|_| hosted != Some(handle.actor));
            if let Some(hold) = hold {
                self.add_handle(at, hold);
            }
            handles.push(Handle {
                hold,
                ..handle.clone()
            });
        }
        let id = self.fresh_number();
        let context = Context::new(Role::Call(execution), slots, handles, &payload);
        let delay = payload.step_nanos;
        self.process(at).contexts.insert(id, context);
        if let Some(executor) = self.executor(at) {
            executor.running = Some(id);
        }
        self.wake_context(at, id, 0, delay);
    }
}
