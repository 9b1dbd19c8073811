//! Makes the actor of this process.

use std::{any::Any, sync::Arc};

use ray_engine::{failure::Failure, ids::ActorId};

use super::{Execution, Executor, LOCAL_ACTOR, Stop, announce, fetch_arguments, guard, running_of};
use crate::{
    __private::{ActorMode, CallError, Invoke},
    runtime::Runtime,
    wire::{CallTarget, FetchFor, Message},
    worker::context,
};

/// The actor that lives in this process.
#[derive(Clone)]
pub(in crate::worker) struct Hosted {
    pub(in crate::worker) actor: ActorId,
    pub(in crate::worker) incarnation: u64,
    pub(in crate::worker) on_panic_restart: bool,
    pub(in crate::worker) shared: Option<Arc<dyn Any + Send + Sync>>,
}

impl Executor {
    /// Makes the actor of this process on this thread, then the threads it asked for.
    pub(super) fn create(
        self: &Arc<Self>,
        runtime: &Arc<Runtime>,
        mut execution: Execution,
        max_concurrency: u32,
    ) {
        let CallTarget::Create {
            actor, incarnation, ..
        } = execution.target
        else {
            return;
        };
        let Some(method) = execution.method else {
            return self.refuse_unknown(runtime, &execution);
        };
        let Invoke::Create(create) = &method.invoke else {
            return self.refuse_unknown(runtime, &execution);
        };
        let call = match &execution.call {
            Ok(call) => call,
            Err(failure) => {
                return self.construction_failed(runtime, actor, incarnation, failure.clone());
            }
        };
        announce(method.name.split("::").next().unwrap_or(method.name));
        let running = running_of(&execution, method);
        let on_panic_restart = create.class.defaults.on_panic_restart;
        let threaded = create.class.mode(Some(max_concurrency)) == ActorMode::Threaded;
        let groups = create.class.defaults.concurrency_groups;
        if threaded {
            self.set_limits(max_concurrency, groups);
        }
        let mut shared = None;
        let construct = || {
            guard(method.name, || {
                if threaded {
                    let make = create.threaded.ok_or_else(|| {
                        CallError::Failure(Failure::System(
                            "a threaded actor without its constructor".into(),
                        ))
                    })?;
                    shared = Some(make(call)?);
                } else {
                    let made = (create.local)(call)?;
                    LOCAL_ACTOR.set(Some(made));
                }
                Ok(())
            })
        };
        let outcome = fetch_arguments(runtime, call, FetchFor::MethodArguments)
            .and_then(|()| context::enter(running, construct));
        execution.held.clear();
        match outcome {
            Ok(()) => {
                let extra = {
                    let mut state = self.state.lock();
                    state.end(execution.task);
                    state.actor = Some(Hosted {
                        actor,
                        incarnation,
                        on_panic_restart,
                        shared,
                    });
                    if threaded {
                        // Together with this one they can fill every group, the system's of one too.
                        let others = groups.iter().map(|(_, limit)| *limit).sum::<u32>();
                        max_concurrency.saturating_add(others)
                    } else {
                        0
                    }
                };
                for _ in 0..extra {
                    let (executor, runtime) = (self.clone(), runtime.clone());
                    let spawned = std::thread::Builder::new()
                        .name("ray-actor".into())
                        .spawn(move || executor.follow(&runtime));
                    if let Err(error) = spawned {
                        tracing::error!(%error, "could not start a thread of the actor; it runs with fewer");
                    }
                }
                runtime.send_to_node(Message::ActorStarted { actor, incarnation });
            }
            Err(ended) => {
                let failure = self.failure_of(runtime, method.name, execution.attempt, ended);
                self.construction_failed(runtime, actor, incarnation, failure);
            }
        }
    }

    /// Sets how many calls of the default group and of each other may run at once.
    pub(in crate::worker) fn set_limits(&self, default: u32, groups: &[(&str, u32)]) {
        let others = groups.iter().map(|(_, limit)| *limit);
        self.state.lock().ready.set_limits(default, others);
    }

    pub(in crate::worker) fn construction_failed(
        &self,
        runtime: &Arc<Runtime>,
        actor: ActorId,
        incarnation: u64,
        failure: Failure,
    ) {
        runtime.send_to_node(Message::ActorStartFailed {
            actor,
            incarnation,
            failure,
        });
        self.state.lock().stopping = Some(Stop::Now("its constructor failed".into()));
    }
}
