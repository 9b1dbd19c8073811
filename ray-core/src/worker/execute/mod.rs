//! Runs calls: one leader thread, more threads or a local executor when the actor asks for them.
//!
//! A plain task or a method of a plain actor runs on the thread that drained its frame when that thread
//! is free; so a lone call pays no hop. The clock thread hands unstarted tasks back when the running
//! one takes long.

mod blocked;
mod circles;
mod ends;
mod events;
mod host;
mod run;

use std::{
    any::Any,
    cell::{Cell, RefCell},
    sync::{Arc, OnceLock, atomic::AtomicBool},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use ray_engine::{
    failure::Failure,
    groups::GroupQueue,
    ids::{ActorId, ProcessId, TaskId},
    resources::{Amount, Resources},
};
use ray_net::{Peer, Waiter};
use rustc_hash::FxHashMap;

pub(crate) use ends::Stop;
pub(super) use host::{Constructor, Hosted};
pub(crate) use run::ExitActor;
pub(super) use run::{Ended, ended_by, fetch_arguments_async, running_of};

use circles::Wait;
use events::{Begun, Events};

use super::{context::Running, items::Flow};
use crate::{
    __private::{ActorMode, Call, Invoke, Method},
    object_ref::AnyRef,
    placement_group::Inside,
    runtime::Runtime,
    wire::CallTarget,
};
use run::{announce, fetch_arguments, guard};

/// A call that arrived and waits for its turn.
pub(crate) struct Execution {
    pub(crate) caller: Peer,
    pub(crate) task: TaskId,
    pub(crate) attempt: u32,
    pub(crate) method: Option<&'static Method>,
    pub(crate) target: CallTarget,
    pub(crate) chain: Arc<[ActorId]>,
    /// The GPUs of the lease.
    pub(crate) devices: Arc<[u32]>,
    /// The placement group of the lease.
    pub(crate) inside: Option<Arc<Inside>>,
    /// What a task or a constructor's actor holds of its node; `None` for one CPU.
    pub(crate) resources: Option<Arc<Resources>>,
    /// The decoded arguments, or why they cannot be used.
    pub(crate) call: Result<Call, Failure>,
    /// The references that came with the arguments, held while the call runs.
    pub(crate) held: Vec<AnyRef>,
    pub(crate) cancelled: Arc<AtomicBool>,
    /// Meets the consumer's news when the call streams.
    pub(crate) flow: Option<Arc<Flow>>,
}

impl Execution {
    /// Returns whether it is no method of the user's.
    fn is_system(&self) -> bool {
        self.method
            .is_some_and(|method| matches!(method.invoke, Invoke::Ready))
    }

    /// Returns up to which size results travel in the answer; bytes.
    pub(super) fn inline_limit(&self) -> usize {
        let call = self.call.as_ref();
        call.map_or(crate::config::INLINE_RESULT_BYTES_MAX, Call::inline_limit)
    }

    fn group(&self) -> usize {
        match self.target {
            CallTarget::Method { group, .. } => usize::from(group),
            CallTarget::Task { .. } | CallTarget::Create { .. } => 0,
        }
    }
}

/// What this process runs and is about to run.
pub(crate) struct Executor {
    pub(super) state: Mutex<State>,
    /// The leader sleeps on this when it has nothing to run.
    leader: Waiter,
    /// What the actor that lives here holds.
    actor_holds: OnceLock<Held>,
    /// Wakes the local executor of an async actor.
    pub(crate) wake_async: tokio::sync::Notify,
}

/// What an actor holds of its node for its life.
struct Held {
    gpus: Arc<[u32]>,
    inside: Option<Arc<Inside>>,
    resources: Option<Arc<Resources>>,
}

pub(super) struct State {
    ready: GroupQueue<Execution>,
    idle: Vec<Waiter>,
    pub(super) running: FxHashMap<TaskId, RunningCall>,
    pub(super) actor: Option<Hosted>,
    /// How many of the running plain tasks are blocked in `get`.
    blocked: usize,
    pub(super) is_async: bool,
    /// What running calls wait for.
    waits: Vec<Wait>,
    /// What has run.
    events: Events,
    stopping: Option<Stop>,
    /// How often functions ran that a worker may run only so often, by their ids.
    runs: FxHashMap<u64, u32>,
    /// Whether one of them ran as often as it may: nothing more is run here.
    is_retired: bool,
}

pub(super) struct RunningCall {
    caller: ProcessId,
    group: usize,
    /// When a plain task began; methods may take as long as they like.
    started: Option<Instant>,
    cancelled: Arc<AtomicBool>,
    flow: Option<Arc<Flow>>,
    /// What its end is noted with, if it is.
    begun: Option<Begun>,
    pub(super) abort: Option<tokio::task::AbortHandle>,
}

thread_local! {
    /// The actor of a leader thread that needs neither `Send` nor a lock.
    static LOCAL_ACTOR: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
    /// The actor of an async leader thread.
    pub(super) static ASYNC_ACTOR: RefCell<Option<Arc<dyn Any>>> = const { RefCell::new(None) };
    static LAST_PRINTED: Cell<&'static str> = const { Cell::new("") };
}

/// A running task this old has its successors handed back.
const LONG_TASK: Duration = Duration::from_millis(5);

impl Executor {
    pub(crate) fn new() -> Executor {
        Executor {
            state: Mutex::new(State {
                ready: GroupQueue::new(u32::MAX),
                idle: Vec::new(),
                running: FxHashMap::default(),
                actor: None,
                blocked: 0,
                is_async: false,
                waits: Vec::new(),
                events: Events::new(),
                stopping: None,
                runs: FxHashMap::default(),
                is_retired: false,
            }),
            leader: Waiter::new(),
            actor_holds: OnceLock::new(),
            wake_async: tokio::sync::Notify::new(),
        }
    }

    /// Queues calls in the order in which they arrived; called by whoever drained them.
    pub(crate) fn enqueue(
        &self,
        runtime: &Arc<Runtime>,
        executions: impl Iterator<Item = Execution>,
    ) {
        let mut back = Vec::new();
        let mut refused = Vec::new();
        {
            let mut state = self.state.lock();
            for execution in executions {
                let is_task = matches!(execution.target, CallTarget::Task { .. });
                if let Some(stop) = &state.stopping {
                    let cause = match stop {
                        Stop::Graceful(cause) | Stop::Now(cause) => cause.clone(),
                    };
                    refused.push((execution, cause));
                } else if is_task
                    && (state.is_retired || state.blocked > 0 || state.has_long_task())
                {
                    back.push((execution.caller.clone(), execution.task, execution.attempt));
                } else {
                    if execution.is_system() {
                        state.ready.push_system(execution);
                    } else {
                        state.ready.push(execution.group(), execution);
                    }
                    if let Some(waiter) = state.idle.pop() {
                        waiter.notify();
                    }
                }
            }
            if state.is_async {
                self.wake_async.notify_one();
            }
        }
        self.send_back(runtime, back);
        for (execution, cause) in refused {
            let failure = match execution.target {
                CallTarget::Method {
                    actor, incarnation, ..
                }
                | CallTarget::Create {
                    actor, incarnation, ..
                } => Failure::ActorDied {
                    actor,
                    incarnation,
                    cause,
                },
                CallTarget::Task { .. } => {
                    self.send_back(
                        runtime,
                        vec![(execution.caller.clone(), execution.task, execution.attempt)],
                    );
                    continue;
                }
            };
            runtime.reply(
                &execution.caller,
                execution.task,
                execution.attempt,
                0,
                Err(failure),
                true,
            );
        }
    }

    /// Returns the GPUs that the running call may use, by their number on the node.
    pub(crate) fn gpus_of(&self, running: &Running) -> Vec<u32> {
        let gpus = match running.actor {
            Some(_) => self.actor_holds.get().map(|held| &held.gpus),
            None => Some(&running.devices),
        };
        gpus.map_or_else(Vec::new, |gpus| gpus.to_vec())
    }

    /// Returns the placement group that a running call draws from.
    pub(crate) fn inside_of(&self, running: &Running) -> Option<Arc<Inside>> {
        match running.actor {
            Some(_) => self.actor_holds.get()?.inside.clone(),
            None => running.inside.clone(),
        }
    }

    /// Returns what a running call, or its actor, holds of its node.
    pub(crate) fn resources_of(&self, running: &Running) -> Resources {
        let held = match running.actor {
            Some(_) => self
                .actor_holds
                .get()
                .and_then(|held| held.resources.as_ref()),
            None => running.resources.as_ref(),
        };
        match held {
            Some(resources) => Resources::clone(resources),
            None => Resources::new().with(Resources::CPU, Amount::ONE),
        }
    }

    /// Runs calls on this thread until the process is told to end.
    pub(crate) fn lead(self: &Arc<Self>, runtime: &Arc<Runtime>) {
        let waiter = self.leader.clone();
        loop {
            match self.next(&waiter) {
                Next::Run(execution) => {
                    if let CallTarget::Create {
                        max_concurrency, ..
                    } = execution.target
                    {
                        self.actor_holds.get_or_init(|| Held {
                            gpus: execution.devices.clone(),
                            inside: execution.inside.clone(),
                            resources: execution.resources.clone(),
                        });
                        let is_async = execution.method.is_some_and(|method| {
                            matches!(&method.invoke, Invoke::Create(create)
                                if create.class.mode(Some(max_concurrency)) == ActorMode::Async)
                        });
                        if is_async {
                            self.lead_async(runtime, *execution, max_concurrency);
                            return;
                        }
                        self.create(runtime, *execution, max_concurrency);
                    } else {
                        self.run(runtime, *execution);
                    }
                }
                Next::Wait => {
                    runtime.net().wait(&waiter, None);
                    waiter.reset();
                }
                Next::End(stop) => return self.end(runtime, stop),
            }
        }
    }

    /// Runs calls of a threaded actor on one more thread.
    fn follow(self: &Arc<Self>, runtime: &Arc<Runtime>) {
        let waiter = Waiter::new();
        loop {
            match self.next(&waiter) {
                Next::Run(execution) => self.run(runtime, *execution),
                Next::Wait => {
                    runtime.net().wait(&waiter, None);
                    waiter.reset();
                }
                Next::End(_) => {
                    self.leader.notify();
                    return;
                }
            }
        }
    }

    pub(super) fn next(&self, waiter: &Waiter) -> Next {
        let mut state = self.state.lock();
        state.idle.retain(|idle| !idle.is_same(waiter));
        match &state.stopping {
            Some(Stop::Now(_)) => return Next::End(state.stopping.clone().expect("checked above")),
            Some(stop @ Stop::Graceful(_))
                if state.ready.is_empty() && state.running.is_empty() =>
            {
                return Next::End(stop.clone());
            }
            _ => {}
        }
        if let Some((group, execution)) = state.ready.pop() {
            let is_task = matches!(execution.target, CallTarget::Task { .. });
            let started = is_task.then(Instant::now);
            let begun = state.events.begin(&execution, started);
            state.running.insert(
                execution.task,
                RunningCall {
                    caller: ProcessId(execution.caller.process()),
                    group,
                    started,
                    cancelled: execution.cancelled.clone(),
                    flow: execution.flow.clone(),
                    begun,
                    abort: None,
                },
            );
            return Next::Run(Box::new(execution));
        }
        state.idle.push(waiter.clone());
        Next::Wait
    }

    /// Returns whether this process runs nothing more.
    pub(crate) fn is_retired(&self) -> bool {
        self.state.lock().is_retired
    }

    /// Returns whether tasks wait behind a running one.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.state.lock().ready.is_empty()
    }

    /// Returns the calls that run at the moment.
    pub(crate) fn running_tasks(&self) -> Vec<TaskId> {
        self.state.lock().running.keys().copied().collect()
    }

    /// Returns whether the actor that lives here runs one method at a time.
    pub(crate) fn runs_one_at_a_time(&self) -> bool {
        let state = self.state.lock();
        !state.is_async
            && state
                .actor
                .as_ref()
                .is_some_and(|hosted| hosted.shared.is_none())
    }

    /// Returns whether the actor lives here.
    pub(crate) fn hosts(&self, actor: ActorId) -> bool {
        self.state
            .lock()
            .actor
            .as_ref()
            .is_some_and(|hosted| hosted.actor == actor)
    }
}

pub(super) enum Next {
    Run(Box<Execution>),
    Wait,
    End(Stop),
}

impl State {
    /// A running call has ended, with a value or without; how long it took is known of tasks.
    pub(super) fn end(&mut self, task: TaskId, has_failed: bool, took: Option<Duration>) {
        if let Some(running) = self.running.remove(&task) {
            self.ready.on_ended(running.group);
            if let Some(begun) = running.begun {
                self.events.end(task, begun, has_failed, took);
            }
        }
    }

    /// A function of which a worker runs `limit` calls at most has run; returns whether that was the last.
    fn count_run(&mut self, function: u64, limit: u32) -> bool {
        let runs = self.runs.entry(function).or_default();
        *runs += 1;
        self.is_retired |= *runs >= limit;
        self.is_retired
    }

    fn has_long_task(&self) -> bool {
        self.running
            .values()
            .filter_map(|running| running.started)
            .any(|started| started.elapsed() > LONG_TASK)
    }

    fn take_unstarted(&mut self) -> Vec<(Peer, TaskId, u32)> {
        self.ready
            .take_where(|waiting| matches!(waiting.target, CallTarget::Task { .. }))
            .into_iter()
            .map(|waiting| (waiting.caller, waiting.task, waiting.attempt))
            .collect()
    }
}
