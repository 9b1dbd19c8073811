//! Hosts an async actor: its methods interleave on the leader thread.

use std::{panic::AssertUnwindSafe, sync::Arc};

use ray_engine::failure::Failure;
use ray_net::Waiter;

use super::{
    context::{self, Running},
    execute::{
        ASYNC_ACTOR, Constructor, Ended, Execution, Executor, Next, Stop, ended_by,
        fetch_arguments_async, running_of,
    },
    items::Items,
};
use crate::{
    __private::{CallError, Invoke, LocalFuture, Results},
    config::INLINE_RESULT_BYTES_MAX,
    runtime::Runtime,
};

impl Executor {
    /// Makes the actor on this thread and runs its methods until the process is told to end.
    pub(super) fn lead_async(
        self: &Arc<Self>,
        runtime: &Arc<Runtime>,
        execution: Execution,
        max_concurrency: u32,
    ) {
        self.state.lock().is_async = true;
        let local = tokio::task::LocalSet::new();
        let (executor, runtime_of_loop) = (self.clone(), runtime.clone());
        let stop = crate::__private::block_on(local.run_until(async move {
            executor
                .create_async(&runtime_of_loop, execution, max_concurrency)
                .await;
            executor.drive_async(&runtime_of_loop).await
        }));
        self.end(runtime, stop);
    }

    async fn create_async(
        self: &Arc<Self>,
        runtime: &Arc<Runtime>,
        execution: Execution,
        max_concurrency: u32,
    ) {
        let Some(constructor) = self.begin_construction(runtime, &execution) else {
            return;
        };
        let Constructor {
            method,
            create,
            call,
            running,
            life,
        } = constructor;
        let defaults = &create.class.defaults;
        self.set_limits(max_concurrency.max(1), defaults.concurrency_groups);
        let make = create.asynchronous;
        let outcome = match fetch_arguments_async(runtime, &call).await {
            Ok(()) => guard_async(method.name, running, make(call)).await,
            Err(ended) => Err(ended),
        };
        match outcome {
            Ok(made) => {
                ASYNC_ACTOR.set(Some(made));
                self.host(execution.task, life, defaults.on_panic_restart, None);
                life.began(runtime);
            }
            Err(ended) => self.end_construction(runtime, method, (life, execution.attempt), ended),
        }
    }

    async fn drive_async(self: &Arc<Self>, runtime: &Arc<Runtime>) -> Stop {
        let waiter = Waiter::new();
        loop {
            match self.next(&waiter) {
                Next::Run(execution) => {
                    let task = execution.task;
                    let answer = Answer {
                        executor: self.clone(),
                        runtime: runtime.clone(),
                        execution: *execution,
                        answered: false,
                    };
                    let handle = tokio::task::spawn_local(run_async(answer));
                    if let Some(running) = self.state.lock().running.get_mut(&task) {
                        running.abort = Some(handle.abort_handle());
                    }
                }
                Next::Wait => self.wake_async.notified().await,
                Next::End(stop) => return stop,
            }
        }
    }
}

/// Ends a call once, and answers `Cancelled` when its future is dropped before its end.
struct Answer {
    executor: Arc<Executor>,
    runtime: Arc<Runtime>,
    execution: Execution,
    answered: bool,
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.answered {
            let mut state = self.executor.state.lock();
            state.end(self.execution.task, true, None);
            drop(state);
            let Execution {
                caller,
                task,
                attempt,
                ..
            } = &self.execution;
            self.runtime
                .reply(caller, *task, *attempt, 0, Err(Failure::Cancelled), true);
        }
        self.executor.wake_async.notify_one();
    }
}

/// Runs one call to its end and answers the caller.
async fn run_async(mut answer: Answer) {
    let (executor, runtime) = (answer.executor.clone(), answer.runtime.clone());
    let Some(method) = answer.execution.method else {
        answer.answered = true;
        return executor.refuse_unknown(&runtime, &answer.execution);
    };
    let running = running_of(&answer.execution, method);
    let actor = ASYNC_ACTOR.with_borrow(Clone::clone);
    let outcome = match (&answer.execution.call, &method.invoke, actor) {
        (Err(failure), ..) => Err(Ended::Error(CallError::Failure(failure.clone()))),
        (Ok(_), Invoke::Ready, _) => {
            let mut results = Results::new(&runtime, INLINE_RESULT_BYTES_MAX, None);
            results
                .push(&())
                .map(|()| results.take())
                .map_err(Ended::Error)
        }
        (Ok(call), Invoke::Method(invoke, _), Some(actor)) => {
            let items = Items::of(&runtime, &answer.execution);
            match fetch_arguments_async(&runtime, call).await {
                Ok(()) => {
                    let started =
                        (invoke.asynchronous)(actor, call.clone(), runtime.clone(), items);
                    guard_async(method.name, running, started).await
                }
                Err(ended) => Err(ended),
            }
        }
        _ => Err(Ended::Error(CallError::Failure(Failure::System(
            "this process hosts no such actor".into(),
        )))),
    };
    let has_failed = outcome.is_err();
    let mut state = executor.state.lock();
    state.end(answer.execution.task, has_failed, None);
    drop(state);
    let exits = matches!(outcome, Err(Ended::Exit));
    let attempt = answer.execution.attempt;
    let outcome =
        outcome.map_err(|ended| executor.failure_of(&runtime, method.name, attempt, ended));
    answer.answered = true;
    let Execution { caller, task, .. } = &answer.execution;
    runtime.reply(caller, *task, attempt, 0, outcome, true);
    if exits {
        executor.stop(Stop::Now("it called exit_actor".into()), &runtime);
    }
}

/// Runs an async call inside its context; a panic becomes a value.
async fn guard_async<R>(
    function: &str,
    running: Running,
    future: LocalFuture<'static, Result<R, CallError>>,
) -> Result<R, Ended> {
    let mut future = future;
    std::future::poll_fn(move |cx| {
        let running = running.clone();
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| {
            context::enter(running, || future.as_mut().poll(cx))
        }));
        match polled {
            Ok(std::task::Poll::Pending) => std::task::Poll::Pending,
            Ok(std::task::Poll::Ready(outcome)) => {
                std::task::Poll::Ready(outcome.map_err(Ended::Error))
            }
            Err(payload) => std::task::Poll::Ready(Err(ended_by(function, payload))),
        }
    })
    .await
}
