//! The executing side of a worker: one leader that runs calls one after another.
//!
//! It follows `ray-core/src/worker/execute.rs`: a call that blocks gives its unstarted successors back, so
//! does one that runs for over 5 ms, and an actor's process ends with its actor.

use std::{collections::VecDeque, rc::Rc, time::Duration};

use ray_engine::{
    failure::{Failure, TaskFailure},
    ids::{ActorId, ObjectId, ProcessId, TaskId},
    time::Time,
};

use crate::{
    user::{Context, Role},
    wire::{ArgMeta, Fate, Handle, Message, Payload, Target, Value},
    world::{DRIVER, World},
};

/// A running task this old has its successors handed back.
const LONG_TASK: Duration = Duration::from_millis(5);
/// Why a worker ends that nobody needs.
const IDLE: &str = "it was idle";

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
        for arg in &args {
            for object in &arg.contained {
                self.process(at).owner.receive_reference(*object, 1);
                held.push(*object);
            }
            if let Some((object, value)) = &arg.object {
                self.check_value(at, *object, value);
            }
        }
        let execution = Execution {
            caller,
            task,
            attempt,
            target,
            payload,
            held,
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
            self.send(at, DRIVER, Message::Blocked);
        }
    }

    /// It goes on.
    pub(crate) fn on_unblocked(&mut self, at: ProcessId) {
        if let Some(executor) = self.executor(at) {
            executor.blocked = executor.blocked.saturating_sub(1);
            self.send(at, DRIVER, Message::Unblocked);
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
            let verdict = self
                .invariants
                .incarnations
                .on_begin(actor, incarnation, at);
            self.judge("no two live incarnations answer", verdict);
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

    /// User code has ended: answers the caller and runs the next call.
    pub(crate) fn finish(&mut self, at: ProcessId, context: Context) {
        let Context {
            role,
            slots,
            handles,
            ..
        } = context;
        let Role::Call(execution) = role else { return };
        let Execution {
            caller,
            task,
            attempt,
            target,
            payload,
            held,
            is_cancelled,
            started,
        } = execution;
        if let Fate::Crash(attempts) = payload.fate
            && attempt < attempts
        {
            return self.kill(at);
        }
        let failure = match payload.fate {
            _ if is_cancelled => Some(Failure::Cancelled),
            Fate::Fail(attempts) if attempt < attempts => Some(self.user_failure(at, attempt)),
            Fate::Exit => match target {
                Target::Method(actor, incarnation) => Some(Failure::ActorDied {
                    actor,
                    incarnation,
                    cause: "it called exit_actor".into(),
                }),
                Target::Task(_) | Target::Create(..) => None,
            },
            _ => None,
        };
        if matches!(failure, Some(Failure::Task(_))) {
            self.invariants.order.on_user_failure(task);
        }
        let exits = payload.fate == Fate::Exit && !is_cancelled;
        // What the result contains is held while everything else of the call goes.
        let mut contained = Vec::new();
        let outcome = match failure {
            Some(failure) => Err(failure),
            None => {
                let mut values = Vec::new();
                for position in 0..u64::from(payload.returns) {
                    let inside = self.pick_some(&slots, 2);
                    for object in &inside {
                        self.add_handle(at, *object);
                    }
                    contained.extend_from_slice(&inside);
                    let value = Value {
                        object: task.result(position),
                        attempt,
                        maker: at,
                        token: self.fresh_number(),
                    };
                    values.push((value, inside));
                }
                Ok(values)
            }
        };
        let keeps = matches!(target, Target::Method(..)) && self.chance.percent(20);
        for (position, object) in held.into_iter().chain(slots).enumerate() {
            let hosted = self
                .executor(at)
                .and_then(|executor| executor.hosted.as_mut());
            match hosted {
                // The actor's state keeps it until later.
                Some(hosted) if keeps && position == 0 => hosted.kept.push(object),
                _ => self.drop_handle(at, object),
            }
        }
        for hold in handles.into_iter().filter_map(|handle| handle.hold) {
            self.drop_handle(at, hold);
        }
        if let Some(executor) = self.executor(at) {
            executor.running = None;
        }
        match target {
            Target::Create(actor, incarnation) => {
                self.created(at, actor, incarnation, outcome.err())
            }
            Target::Task(_) | Target::Method(..) => {
                let nanos = match target {
                    Target::Task(_) => self.now.since(started).as_nanos() as u64,
                    _ => 0,
                };
                self.reply(at, caller, task, attempt, nanos, outcome);
            }
        }
        for object in contained {
            self.drop_handle(at, object);
        }
        if exits && matches!(target, Target::Method(..)) {
            return self.stop_now(at, "it called exit_actor");
        }
        if matches!(target, Target::Method(..)) && self.chance.percent(30) {
            self.drop_kept(at);
        }
        self.run_next(at);
    }

    fn created(
        &mut self,
        at: ProcessId,
        actor: ActorId,
        incarnation: u64,
        failure: Option<Failure>,
    ) {
        if let Some(failure) = failure {
            self.send(at, DRIVER, Message::ActorStartFailed(actor, failure));
            return self.stop_now(at, "its constructor failed");
        }
        if let Some(executor) = self.executor(at) {
            executor.hosted = Some(Hosted {
                actor,
                incarnation,
                kept: Vec::new(),
            });
        }
        self.send(at, DRIVER, Message::ActorStarted(actor, incarnation));
    }

    fn drop_kept(&mut self, at: ProcessId) {
        let kept = self
            .executor(at)
            .and_then(|executor| executor.hosted.as_mut())
            .map(|hosted| std::mem::take(&mut hosted.kept));
        for object in kept.unwrap_or_default() {
            self.drop_handle(at, object);
        }
    }

    fn user_failure(&mut self, at: ProcessId, attempt: u32) -> Failure {
        Failure::Task(TaskFailure {
            function: "simulated".into(),
            message: "user code failed".into(),
            backtrace: String::new(),
            panicked: false,
            cause: None,
            node: ray_engine::ids::NodeId(1),
            worker: at,
            attempt,
        })
    }

    /// Cancels a queued call at once, a running one by its flag.
    pub(crate) fn cancel_running(&mut self, at: ProcessId, task: TaskId, from: ProcessId) {
        let Some(executor) = self.executor(at) else {
            return;
        };
        let position = executor
            .ready
            .iter()
            .position(|waiting| waiting.task == task && waiting.caller == from);
        if let Some(execution) = position.and_then(|position| executor.ready.remove(position)) {
            self.reply(
                at,
                from,
                task,
                execution.attempt,
                0,
                Err(Failure::Cancelled),
            );
            for object in execution.held {
                self.drop_handle(at, object);
            }
            return;
        }
        let running = executor.running;
        if let Some(execution) = self.running_execution(at)
            && execution.task == task
            && execution.caller == from
        {
            execution.is_cancelled = true;
            if let Some(running) = running {
                self.interrupt(at, running);
            }
        }
    }

    /// Ends the process after the calls that it has.
    pub(crate) fn stop_gracefully(&mut self, at: ProcessId, cause: &str) {
        if let Some(executor) = self.executor(at) {
            executor.stopping = Some(cause.to_owned());
            self.run_next(at);
        }
    }

    /// Ends the process at once; queued calls fail.
    pub(crate) fn stop_now(&mut self, at: ProcessId, cause: &str) {
        let Some(executor) = self.executor(at) else {
            return;
        };
        executor.stopping = Some(cause.to_owned());
        for execution in std::mem::take(&mut executor.ready) {
            self.refuse(at, execution, cause);
        }
        self.run_next(at);
    }

    fn end_process(&mut self, at: ProcessId, cause: &str) {
        let hosted = self
            .executor(at)
            .and_then(|executor| executor.hosted.take());
        if let Some(hosted) = hosted {
            let message = Message::ActorExit(hosted.actor, cause.to_owned());
            self.send(at, DRIVER, message);
        }
        if cause != IDLE {
            // What an actor owned goes with it.
            self.invariants.reads.on_actor_ended(at);
        }
        self.exit(at);
    }

    /// The node wants an idle worker to end; one that others need stays.
    pub(crate) fn on_stop_idle(&mut self, at: ProcessId) {
        if self.process(at).is_needed() {
            self.send(at, DRIVER, Message::StayedBusy);
        } else {
            self.stop_now(at, IDLE);
        }
    }
}
