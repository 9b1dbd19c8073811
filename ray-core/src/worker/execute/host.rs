//! Makes the actor of this process.

use std::{any::Any, sync::Arc};

use ray_engine::{
    failure::Failure,
    ids::{ActorId, TaskId},
};

use super::{
    Ended, Execution, Executor, LOCAL_ACTOR, Stop, announce, fetch_arguments, guard, running_of,
};
use crate::{
    __private::{ActorMode, Call, CallError, Create, Invoke, Method},
    runtime::Runtime,
    wire::{CallTarget, FetchFor, Message},
    worker::context::{self, Running},
};

/// The actor that lives in this process.
#[derive(Clone)]
pub(in crate::worker) struct Hosted {
    pub(in crate::worker) actor: ActorId,
    pub(in crate::worker) incarnation: u64,
    pub(in crate::worker) on_panic_restart: bool,
    pub(in crate::worker) shared: Option<Arc<dyn Any + Send + Sync>>,
}

/// Which actor is made, and in which of its lives.
#[derive(Clone, Copy)]
pub(in crate::worker) struct Life {
    actor: ActorId,
    incarnation: u64,
}

impl Life {
    /// Tells the node that the actor takes calls.
    pub(in crate::worker) fn began(self, runtime: &Arc<Runtime>) {
        let Life { actor, incarnation } = self;
        runtime.send_to_node(Message::ActorStarted { actor, incarnation });
    }
}

/// A call that makes an actor, ready to run.
pub(in crate::worker) struct Constructor {
    pub(in crate::worker) method: &'static Method,
    pub(in crate::worker) create: &'static Create,
    pub(in crate::worker) call: Call,
    pub(in crate::worker) running: Running,
    pub(in crate::worker) life: Life,
}

impl Executor {
    /// Makes the actor of this process on this thread, then the threads it asked for.
    pub(super) fn create(
        self: &Arc<Self>,
        runtime: &Arc<Runtime>,
        mut execution: Execution,
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
                    shared = Some(make(&call)?);
                } else {
                    let made = (create.local)(&call)?;
                    LOCAL_ACTOR.set(Some(made));
                }
                Ok(())
            })
        };
        let outcome = fetch_arguments(runtime, &call, FetchFor::MethodArguments)
            .and_then(|()| context::enter(running, construct));
        execution.held.clear();
        match outcome {
            Ok(()) => {
                self.host(execution.task, life, on_panic_restart, shared);
                let extra = if threaded {
                    // Together with this one they can fill every group, the system's of one too.
                    let others = groups.iter().map(|(_, limit)| *limit).sum::<u32>();
                    max_concurrency.saturating_add(others)
                } else {
                    0
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
                life.began(runtime);
            }
            Err(ended) => self.end_construction(runtime, method, (life, execution.attempt), ended),
        }
    }

    /// Returns what the call that makes this process's actor needs; one that cannot be made is answered.
    pub(in crate::worker) fn begin_construction(
        &self,
        runtime: &Arc<Runtime>,
        execution: &Execution,
    ) -> Option<Constructor> {
        let CallTarget::Create {
            actor, incarnation, ..
        } = execution.target
        else {
            return None;
        };
        let life = Life { actor, incarnation };
        let Some((method, create)) = execution.method.and_then(|method| match &method.invoke {
            Invoke::Create(create) => Some((method, create)),
            _ => None,
        }) else {
            self.refuse_unknown(runtime, execution);
            return None;
        };
        match &execution.call {
            Ok(call) => {
                announce(method.name.split("::").next().unwrap_or(method.name));
                Some(Constructor {
                    method,
                    create,
                    call: call.clone(),
                    running: running_of(execution, method),
                    life,
                })
            }
            Err(failure) => {
                self.construction_failed(runtime, life, failure.clone());
                None
            }
        }
    }

    /// The actor is made: calls find it from now on.
    pub(in crate::worker) fn host(
        &self,
        constructor: TaskId,
        life: Life,
        on_panic_restart: bool,
        shared: Option<Arc<dyn Any + Send + Sync>>,
    ) {
        let mut state = self.state.lock();
        state.end(constructor, false, None);
        state.actor = Some(Hosted {
            actor: life.actor,
            incarnation: life.incarnation,
            on_panic_restart,
            shared,
        });
    }

    /// The constructor has ended without an actor.
    pub(in crate::worker) fn end_construction(
        &self,
        runtime: &Arc<Runtime>,
        method: &Method,
        (life, attempt): (Life, u32),
        ended: Ended,
    ) {
        let failure = self.failure_of(runtime, method.name, attempt, ended);
        self.construction_failed(runtime, life, failure);
    }

    /// Sets how many calls of the default group and of each other may run at once.
    pub(in crate::worker) fn set_limits(&self, default: u32, groups: &[(&str, u32)]) {
        let others = groups.iter().map(|(_, limit)| *limit);
        self.state.lock().ready.set_limits(default, others);
    }

    fn construction_failed(&self, runtime: &Arc<Runtime>, life: Life, failure: Failure) {
        let Life { actor, incarnation } = life;
        runtime.send_to_node(Message::ActorStartFailed {
            actor,
            incarnation,
            failure,
        });
        self.state.lock().stopping = Some(Stop::Now("its constructor failed".into()));
    }
}
