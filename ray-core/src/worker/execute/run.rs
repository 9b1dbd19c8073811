//! Runs one call to its end, and says how it ended.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use ray_engine::failure::{Failure, TaskFailure};

use super::{Execution, Executor, LAST_PRINTED, LOCAL_ACTOR, Stop};
use crate::{
    __private::{Call, CallError, Invoke, Method, Results},
    runtime::Runtime,
    wire::{CallTarget, FetchFor, Message},
    worker::{
        context::{self, Running},
        items::Items,
    },
};

/// Carries `exit_actor` through user code to the edge of the call.
pub(crate) struct ExitActor;

impl Executor {
    /// Runs one call to its end on this thread and answers the caller.
    pub(super) fn run(self: &Arc<Self>, runtime: &Arc<Runtime>, mut execution: Execution) {
        let Some(method) = execution.method else {
            return self.refuse_unknown(runtime, &execution);
        };
        let is_task = matches!(execution.target, CallTarget::Task { .. });
        if is_task {
            announce(method.name);
        }
        let started = is_task.then(Instant::now);
        let mut results = Results::new(
            runtime,
            execution.inline_limit(),
            Items::of(runtime, &execution),
        );
        let purpose = match is_task {
            true => FetchFor::Arguments,
            false => FetchFor::MethodArguments,
        };
        let mut has_run = false;
        let outcome = if execution.cancelled.load(Ordering::Acquire) {
            Err(Ended::Error(CallError::Failure(Failure::Cancelled)))
        } else {
            match &execution.call {
                Err(failure) => Err(Ended::Error(CallError::Failure(failure.clone()))),
                Ok(call) => fetch_arguments(runtime, call, purpose).and_then(|()| {
                    let running = running_of(&execution, method);
                    has_run = true;
                    context::enter(running, || {
                        guard(method.name, || self.invoke(method, call, &mut results))
                    })
                }),
            }
        };
        let took = started.map(|started| started.elapsed());
        let exec_nanos = took.map_or(0, |took| u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        execution.held.clear();
        let calls_max = match is_task && has_run {
            true => method.calls_max(&execution.devices),
            false => 0,
        };
        let mut back = Vec::new();
        let (flush, retires) = {
            let mut state = self.state.lock();
            state.end(execution.task, outcome.is_err(), took);
            let retires = calls_max > 0 && state.count_run(method.id, calls_max);
            if retires {
                back = state.take_unstarted();
            }
            (state.ready.is_empty(), retires)
        };
        let was_cancelled = execution.cancelled.load(Ordering::Acquire);
        let restart = matches!(outcome, Err(Ended::Panic { .. }))
            && self
                .state
                .lock()
                .actor
                .as_ref()
                .is_some_and(|hosted| hosted.on_panic_restart);
        let exits = matches!(outcome, Err(Ended::Exit));
        let outcome = match outcome {
            _ if was_cancelled => Err(Failure::Cancelled),
            Ok(()) => Ok(results.take()),
            Err(ended) => Err(self.failure_of(runtime, method.name, execution.attempt, ended)),
        };
        if retires {
            // It comes before the answer, so that the caller sends nothing more.
            runtime.send_to_peer(&execution.caller, &Message::Retires);
        }
        runtime.reply(
            &execution.caller,
            execution.task,
            execution.attempt,
            exec_nanos,
            outcome,
            flush,
        );
        self.send_back(runtime, back);
        if exits {
            self.stop(Stop::Now("it called exit_actor".into()), runtime);
        } else if restart {
            tracing::warn!(
                method = method.name,
                "a method panicked; the actor restarts by its policy"
            );
            runtime.net().flush();
            runtime.linger();
            std::process::exit(101);
        }
    }

    pub(super) fn invoke(
        &self,
        method: &'static Method,
        call: &Call,
        results: &mut Results<'_>,
    ) -> Result<(), CallError> {
        match &method.invoke {
            Invoke::Task(function) => function(call, results),
            Invoke::Ready => results.push(&()),
            Invoke::Create(_) => Err(CallError::Failure(Failure::System(
                "a constructor was called as a method".into(),
            ))),
            Invoke::Method(invoke, _) => {
                let shared = self
                    .state
                    .lock()
                    .actor
                    .as_ref()
                    .and_then(|hosted| hosted.shared.clone());
                if let Some(shared) = shared {
                    let threaded = invoke.threaded.ok_or_else(|| {
                        CallError::Failure(Failure::System(
                            "a method without its threaded form".into(),
                        ))
                    })?;
                    return threaded(&*shared, call, results);
                }
                LOCAL_ACTOR.with_borrow_mut(|actor| match actor {
                    Some(actor) => (invoke.local)(&mut **actor, call, results),
                    None => Err(CallError::Failure(Failure::System(
                        "this process hosts no actor".into(),
                    ))),
                })
            }
        }
    }

    pub(in crate::worker) fn refuse_unknown(&self, runtime: &Arc<Runtime>, execution: &Execution) {
        self.state.lock().end(execution.task, true, None);
        let text = "the worker does not have the function that was called".to_owned();
        runtime.reply(
            &execution.caller,
            execution.task,
            execution.attempt,
            0,
            Err(Failure::VersionMismatch(text)),
            true,
        );
    }

    pub(in crate::worker) fn failure_of(
        &self,
        runtime: &Runtime,
        function: &str,
        attempt: u32,
        ended: Ended,
    ) -> Failure {
        let (message, backtrace, panicked, cause) = match ended {
            Ended::Error(CallError::Failure(failure)) => return failure,
            Ended::Error(CallError::User { message, cause }) => {
                (message, String::new(), false, cause)
            }
            Ended::Panic { message, backtrace } => (message, backtrace, true, None),
            Ended::Exit => {
                let hosted = self.state.lock().actor.clone();
                return match hosted {
                    Some(hosted) => Failure::ActorDied {
                        actor: hosted.actor,
                        incarnation: hosted.incarnation,
                        cause: "it called exit_actor".into(),
                    },
                    None => Failure::Task(TaskFailure {
                        function: function.to_owned(),
                        message: "exit_actor was called outside an actor".into(),
                        backtrace: String::new(),
                        panicked: true,
                        cause: None,
                        node: runtime.node(),
                        worker: runtime.process(),
                        attempt,
                    }),
                };
            }
        };
        Failure::Task(TaskFailure {
            function: function.to_owned(),
            message,
            backtrace,
            panicked,
            cause,
            node: runtime.node(),
            worker: runtime.process(),
            attempt,
        })
    }
}

/// How user code ended when it did not return a value.
pub(in crate::worker) enum Ended {
    Error(CallError),
    Panic { message: String, backtrace: String },
    Exit,
}

pub(in crate::worker) fn running_of(execution: &Execution, method: &'static Method) -> Running {
    let (actor, incarnation) = match execution.target {
        CallTarget::Task { .. } => (None, 0),
        CallTarget::Method {
            actor, incarnation, ..
        }
        | CallTarget::Create {
            actor, incarnation, ..
        } => (Some(actor), incarnation),
    };
    Running {
        task: execution.task,
        attempt: execution.attempt,
        function: method.name,
        actor,
        incarnation,
        chain: execution.chain.clone(),
        devices: execution.devices.clone(),
        inside: execution.inside.clone(),
        resources: execution.resources.clone(),
        cancelled: execution.cancelled.clone(),
    }
}

/// Brings the arguments that lie on other nodes to this one.
pub(super) fn fetch_arguments(
    runtime: &Arc<Runtime>,
    call: &Call,
    purpose: FetchFor,
) -> Result<(), Ended> {
    match runtime.bring_arguments(call.values(), purpose) {
        Ok(pins) => pins.into_iter().for_each(|pin| call.keep(pin)),
        Err(failure) => return Err(Ended::Error(CallError::Failure(failure))),
    }
    Ok(())
}

/// Brings arguments here without stopping the other calls of an async actor.
pub(in crate::worker) async fn fetch_arguments_async(
    runtime: &Arc<Runtime>,
    call: &Call,
) -> Result<(), Ended> {
    if call.hold_arguments(&runtime.arena) {
        return Ok(());
    }
    let (runtime, call) = (runtime.clone(), call.clone());
    tokio::task::spawn_blocking(move || fetch_arguments(&runtime, &call, FetchFor::MethodArguments))
        .await
        .unwrap_or_else(|error| {
            let failure = Failure::System(format!("arguments could not be fetched: {error}"));
            Err(Ended::Error(CallError::Failure(failure)))
        })
}

/// Runs user code; a panic becomes a value.
pub(super) fn guard(
    function: &str,
    f: impl FnOnce() -> Result<(), CallError>,
) -> Result<(), Ended> {
    match std::panic::catch_unwind(AssertUnwindSafe(f)) {
        Ok(outcome) => outcome.map_err(Ended::Error),
        Err(payload) => Err(ended_by(function, payload)),
    }
}

pub(in crate::worker) fn ended_by(function: &str, payload: Box<dyn Any + Send>) -> Ended {
    if payload.is::<ExitActor>() {
        return Ended::Exit;
    }
    let (place, backtrace) = crate::worker::panics::take_last();
    let text = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        format!("`{function}` panicked with a value that is not text")
    };
    Ended::Panic {
        message: format!("panicked at {place}: {text}"),
        backtrace,
    }
}

/// Tells the node's output reader whose lines follow.
pub(in crate::worker) fn announce(name: &'static str) {
    if LAST_PRINTED.get() != name {
        LAST_PRINTED.set(name);
        crate::worker::panics::announce(name);
    }
}
