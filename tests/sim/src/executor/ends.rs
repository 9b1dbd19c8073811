//! How calls end and how the process does.

use ray_engine::{
    failure::{Failure, TaskFailure},
    ids::{ActorId, ProcessId, TaskId},
};

use super::{Execution, Hosted};
use crate::{
    user::{Context, Role},
    wire::{Fate, Message, Target, Value},
    world::World,
};

/// Why a worker ends that nobody needs.
const IDLE: &str = "it was idle";

impl World {
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
            looks_at,
            is_cancelled,
            started,
        } = execution;
        self.look_for_call(at, caller, target, &looks_at);
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

    pub(super) fn created(
        &mut self,
        at: ProcessId,
        actor: ActorId,
        incarnation: u64,
        failure: Option<Failure>,
    ) {
        if let Some(failure) = failure {
            self.send_to_node(at, Message::ActorStartFailed(actor, failure));
            return self.stop_now(at, "its constructor failed");
        }
        if let Some(executor) = self.executor(at) {
            executor.hosted = Some(Hosted {
                actor,
                incarnation,
                kept: Vec::new(),
            });
        }
        self.send_to_node(at, Message::ActorStarted(actor, incarnation));
    }

    pub(super) fn drop_kept(&mut self, at: ProcessId) {
        let kept = self
            .executor(at)
            .and_then(|executor| executor.hosted.as_mut())
            .map(|hosted| std::mem::take(&mut hosted.kept));
        for object in kept.unwrap_or_default() {
            self.drop_handle(at, object);
        }
    }

    pub(super) fn user_failure(&mut self, at: ProcessId, attempt: u32) -> Failure {
        Failure::Task(TaskFailure {
            function: "simulated".into(),
            message: "user code failed".into(),
            backtrace: String::new(),
            panicked: false,
            cause: None,
            node: at.node(),
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

    pub(super) fn end_process(&mut self, at: ProcessId, cause: &str) {
        let hosted = self
            .executor(at)
            .and_then(|executor| executor.hosted.take());
        if let Some(hosted) = hosted {
            let message = Message::ActorExit(hosted.actor, cause.to_owned());
            self.send_to_node(at, message);
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
            self.send_to_node(at, Message::StayedBusy);
        } else {
            self.stop_now(at, IDLE);
        }
    }
}
