//! Calls that are cancelled, callers that are gone, and the end of the process.

use std::sync::{Arc, atomic::Ordering};

use ray_engine::{
    failure::Failure,
    ids::{ProcessId, TaskId},
};

use super::{ASYNC_ACTOR, Executor, LOCAL_ACTOR};
use crate::{
    runtime::Runtime,
    wire::{CallTarget, Message},
};

/// Why the process is about to end.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    /// Finish what was submitted, then end.
    Graceful(String),
    /// End now; queued calls fail.
    Now(String),
}

impl Executor {
    /// Cancels a queued call at once, a running async one at its next await, another by its flag.
    pub(crate) fn cancel(&self, runtime: &Arc<Runtime>, task: TaskId, from: ProcessId) {
        let removed = {
            let mut state = self.state.lock();
            let waiting = state
                .ready
                .take_where(|waiting| waiting.task == task && waiting.caller.process() == from.0);
            match waiting.into_iter().next() {
                Some(waiting) => Some(waiting),
                None => {
                    if let Some(running) = state.running.get(&task)
                        && running.caller == from
                    {
                        running.cancelled.store(true, Ordering::Release);
                        if let Some(abort) = &running.abort {
                            abort.abort();
                        }
                        for wait in state.waits.iter().filter(|wait| wait.task == task) {
                            wait.cell.notify();
                        }
                    }
                    None
                }
            }
        };
        if let Some(execution) = removed {
            runtime.reply(
                &execution.caller,
                task,
                execution.attempt,
                0,
                Err(Failure::Cancelled),
                true,
            );
        }
    }

    /// Ends the process: at once, or after the calls that were submitted.
    pub(crate) fn stop(&self, stop: Stop, runtime: &Arc<Runtime>) {
        let failed = {
            let mut state = self.state.lock();
            let failed = match &stop {
                Stop::Now(_) => state.ready.take_where(|_| true),
                Stop::Graceful(_) => Vec::new(),
            };
            state.stopping = Some(stop.clone());
            for waiter in state.idle.drain(..) {
                waiter.notify();
            }
            failed
        };
        for execution in failed {
            if let CallTarget::Method {
                actor, incarnation, ..
            } = execution.target
            {
                let cause = match &stop {
                    Stop::Now(cause) | Stop::Graceful(cause) => cause.clone(),
                };
                let failure = Failure::ActorDied {
                    actor,
                    incarnation,
                    cause,
                };
                runtime.reply(
                    &execution.caller,
                    execution.task,
                    execution.attempt,
                    0,
                    Err(failure),
                    false,
                );
            }
        }
        self.leader.notify();
        self.wake_async.notify_one();
    }

    pub(in crate::worker) fn end(&self, runtime: &Arc<Runtime>, stop: Stop) {
        let hosted = self.state.lock().actor.clone();
        if let Some(hosted) = hosted {
            let (Stop::Now(cause) | Stop::Graceful(cause)) = stop;
            runtime.send_to_node(Message::ActorExit {
                actor: hosted.actor,
                cause,
            });
        }
        LOCAL_ACTOR.set(None);
        ASYNC_ACTOR.set(None);
    }

    /// A consumer says how many items of a stream it has taken.
    pub(crate) fn on_taken(&self, task: TaskId, from: ProcessId, taken: u64) {
        let state = self.state.lock();
        let running = state
            .running
            .get(&task)
            .filter(|running| running.caller == from)
            .and_then(|running| running.flow.as_ref());
        let waiting = || {
            state
                .ready
                .iter()
                .find(|waiting| waiting.task == task && waiting.caller.process() == from.0)
                .and_then(|waiting| waiting.flow.as_ref())
        };
        if let Some(flow) = running.or_else(waiting) {
            flow.on_taken(taken);
        }
    }

    /// Ends the streams of a process that is gone, also those that wait for their turn: nobody will ask for their items.
    pub(crate) fn on_caller_gone(&self, process: ProcessId) {
        let state = self.state.lock();
        for running in state.running.values() {
            if let Some(flow) = running.flow.as_ref().filter(|_| running.caller == process) {
                running.cancelled.store(true, Ordering::Release);
                flow.on_taken(u64::MAX);
                if let Some(abort) = &running.abort {
                    abort.abort();
                }
            }
        }
        for waiting in state.ready.iter() {
            if let Some(flow) = &waiting.flow
                && waiting.caller.process() == process.0
            {
                waiting.cancelled.store(true, Ordering::Release);
                flow.on_taken(u64::MAX);
            }
        }
    }
}
