//! Runs calls: one leader thread, more threads or a local executor when the actor asks for them.
//!
//! A plain task or a method of a plain actor runs on the thread that drained its frame when that thread
//! is free; so a lone call pays no hop. The clock thread hands unstarted tasks back when the running
//! one takes long.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    panic::AssertUnwindSafe,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use ray_engine::{
    failure::{Failure, TaskFailure},
    groups::GroupQueue,
    ids::{ActorId, ProcessId, TaskId},
};
use ray_net::{Peer, Waiter};
use rustc_hash::FxHashMap;

use super::{
    context::{self, Running},
    items::{Flow, Items},
};
use crate::{
    __private::{ActorMode, Call, CallError, Invoke, Method, Results},
    object_ref::AnyRef,
    runtime::{Runtime, waiters::WaitCell},
    wire::{CallTarget, Message},
};

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
    /// The GPUs of the actor that lives here.
    actor_gpus: OnceLock<Arc<[u32]>>,
    /// Wakes the local executor of an async actor.
    pub(crate) wake_async: tokio::sync::Notify,
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
    waits: Vec<(TaskId, Arc<WaitCell>)>,
    stopping: Option<Stop>,
}

pub(super) struct RunningCall {
    caller: ProcessId,
    group: usize,
    /// When a plain task began; methods may take as long as they like.
    started: Option<Instant>,
    cancelled: Arc<AtomicBool>,
    flow: Option<Arc<Flow>>,
    pub(super) abort: Option<tokio::task::AbortHandle>,
}

/// The actor that lives in this process.
#[derive(Clone)]
pub(super) struct Hosted {
    pub(super) actor: ActorId,
    pub(super) incarnation: u64,
    pub(super) on_panic_restart: bool,
    pub(super) shared: Option<Arc<dyn Any + Send + Sync>>,
}

/// Why the process is about to end.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    /// Finish what was submitted, then end.
    Graceful(String),
    /// End now; queued calls fail.
    Now(String),
}

thread_local! {
    /// The actor of a leader thread that needs neither `Send` nor a lock.
    static LOCAL_ACTOR: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
    /// The actor of an async leader thread.
    pub(super) static ASYNC_ACTOR: RefCell<Option<Arc<dyn Any>>> = const { RefCell::new(None) };
    static LAST_PRINTED: Cell<&'static str> = const { Cell::new("") };
}

/// Carries `exit_actor` through user code to the edge of the call.
pub(crate) struct ExitActor;

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
                stopping: None,
            }),
            leader: Waiter::new(),
            actor_gpus: OnceLock::new(),
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
                } else if is_task && (state.blocked > 0 || state.has_long_task()) {
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
            Some(_) => self.actor_gpus.get(),
            None => Some(&running.devices),
        };
        gpus.map_or_else(Vec::new, |gpus| gpus.to_vec())
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
                        self.actor_gpus.get_or_init(|| execution.devices.clone());
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
            state.running.insert(
                execution.task,
                RunningCall {
                    caller: ProcessId(execution.caller.process()),
                    group,
                    started: is_task.then(Instant::now),
                    cancelled: execution.cancelled.clone(),
                    flow: execution.flow.clone(),
                    abort: None,
                },
            );
            return Next::Run(Box::new(execution));
        }
        state.idle.push(waiter.clone());
        Next::Wait
    }

    /// Makes the actor of this process on this thread, then the threads it asked for.
    fn create(
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
        let outcome =
            fetch_arguments(runtime, call).and_then(|()| context::enter(running, construct));
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
    pub(super) fn set_limits(&self, default: u32, groups: &[(&str, u32)]) {
        let others = groups.iter().map(|(_, limit)| *limit);
        self.state.lock().ready.set_limits(default, others);
    }

    pub(super) fn construction_failed(
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

    /// Runs one call to its end on this thread and answers the caller.
    fn run(self: &Arc<Self>, runtime: &Arc<Runtime>, mut execution: Execution) {
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
        let outcome = if execution.cancelled.load(Ordering::Acquire) {
            Err(Ended::Error(CallError::Failure(Failure::Cancelled)))
        } else {
            match &execution.call {
                Err(failure) => Err(Ended::Error(CallError::Failure(failure.clone()))),
                Ok(call) => fetch_arguments(runtime, call).and_then(|()| {
                    let running = running_of(&execution, method);
                    context::enter(running, || {
                        guard(method.name, || self.invoke(method, call, &mut results))
                    })
                }),
            }
        };
        let exec_nanos = started.map_or(0, |started| {
            u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX)
        });
        execution.held.clear();
        let flush = {
            let mut state = self.state.lock();
            state.end(execution.task);
            state.ready.is_empty()
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
        runtime.reply(
            &execution.caller,
            execution.task,
            execution.attempt,
            exec_nanos,
            outcome,
            flush,
        );
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

    fn invoke(
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

    pub(super) fn refuse_unknown(&self, runtime: &Arc<Runtime>, execution: &Execution) {
        self.state.lock().end(execution.task);
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

    pub(super) fn failure_of(
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
                        for (_, cell) in state.waits.iter().filter(|(waiting, _)| *waiting == task)
                        {
                            cell.notify();
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

    /// Gives the unstarted plain tasks back, since the running one is about to block.
    pub(crate) fn on_blocked(&self, runtime: &Arc<Runtime>) {
        let back = {
            let mut state = self.state.lock();
            state.blocked += 1;
            state.take_unstarted()
        };
        self.send_back(runtime, back);
    }

    /// Takes tasks again.
    pub(crate) fn on_unblocked(&self) {
        let mut state = self.state.lock();
        state.blocked = state.blocked.saturating_sub(1);
    }

    /// Hands unstarted tasks back when the running one takes long; returns whether to look again.
    pub(crate) fn on_tick(&self, runtime: &Arc<Runtime>) -> bool {
        let (back, again) = {
            let mut state = self.state.lock();
            if state.has_long_task() {
                (state.take_unstarted(), false)
            } else {
                (Vec::new(), !state.ready.is_empty())
            }
        };
        self.send_back(runtime, back);
        again
    }

    /// Returns whether tasks wait behind a running one.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.state.lock().ready.is_empty()
    }

    /// Returns the calls that run at the moment.
    pub(crate) fn running_tasks(&self) -> Vec<TaskId> {
        self.state.lock().running.keys().copied().collect()
    }

    fn send_back(&self, runtime: &Arc<Runtime>, back: Vec<(Peer, TaskId, u32)>) {
        for (caller, task, attempt) in back {
            runtime.send_to_peer(&caller, &Message::HandedBack { task, attempt });
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

    pub(super) fn end(&self, runtime: &Arc<Runtime>, stop: Stop) {
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

    /// Notes that a running call waits, so that a cancel ends the wait.
    pub(crate) fn add_blocked(&self, task: TaskId, cell: &Arc<WaitCell>) {
        self.state.lock().waits.push((task, cell.clone()));
    }

    /// Notes that a running call goes on.
    pub(crate) fn remove_blocked(&self, task: TaskId, cell: &Arc<WaitCell>) {
        self.state
            .lock()
            .waits
            .retain(|(waiting, other)| *waiting != task || !Arc::ptr_eq(other, cell));
    }

    /// Ends every wait of running calls, at the end of the process.
    pub(crate) fn interrupt_blocked(&self) {
        for (_, cell) in &self.state.lock().waits {
            cell.notify();
        }
    }
}

pub(super) enum Next {
    Run(Box<Execution>),
    Wait,
    End(Stop),
}

impl State {
    /// A running call has ended.
    pub(super) fn end(&mut self, task: TaskId) {
        if let Some(running) = self.running.remove(&task) {
            self.ready.on_ended(running.group);
        }
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

/// How user code ended when it did not return a value.
pub(super) enum Ended {
    Error(CallError),
    Panic { message: String, backtrace: String },
    Exit,
}

pub(super) fn running_of(execution: &Execution, method: &'static Method) -> Running {
    let actor = match execution.target {
        CallTarget::Task { .. } => None,
        CallTarget::Method { actor, .. } | CallTarget::Create { actor, .. } => Some(actor),
    };
    Running {
        task: execution.task,
        attempt: execution.attempt,
        function: method.name,
        actor,
        chain: execution.chain.clone(),
        devices: execution.devices.clone(),
        cancelled: execution.cancelled.clone(),
    }
}

/// Brings the arguments that lie on other nodes to this one.
fn fetch_arguments(runtime: &Arc<Runtime>, call: &Call) -> Result<(), Ended> {
    for value in call.values() {
        match runtime.localize(value, crate::wire::FetchFor::Arguments, None) {
            Ok(pin) => call.keep(pin),
            Err(error) => {
                let failure = value
                    .fetch_failure()
                    .unwrap_or_else(|| Failure::System(error.to_string()));
                return Err(Ended::Error(CallError::Failure(failure)));
            }
        }
    }
    Ok(())
}

/// Brings arguments here without stopping the other calls of an async actor.
pub(super) async fn fetch_arguments_async(
    runtime: &Arc<Runtime>,
    call: &Call,
) -> Result<(), Ended> {
    if call.hold_arguments(&runtime.arena) {
        return Ok(());
    }
    let (runtime, call) = (runtime.clone(), call.clone());
    tokio::task::spawn_blocking(move || fetch_arguments(&runtime, &call))
        .await
        .unwrap_or_else(|error| {
            let failure = Failure::System(format!("arguments could not be fetched: {error}"));
            Err(Ended::Error(CallError::Failure(failure)))
        })
}

/// Runs user code; a panic becomes a value.
fn guard(function: &str, f: impl FnOnce() -> Result<(), CallError>) -> Result<(), Ended> {
    match std::panic::catch_unwind(AssertUnwindSafe(f)) {
        Ok(outcome) => outcome.map_err(Ended::Error),
        Err(payload) => Err(ended_by(function, payload)),
    }
}

pub(super) fn ended_by(function: &str, payload: Box<dyn Any + Send>) -> Ended {
    if payload.is::<ExitActor>() {
        return Ended::Exit;
    }
    let (place, backtrace) = super::panics::take_last();
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
pub(super) fn announce(name: &'static str) {
    if LAST_PRINTED.get() != name {
        LAST_PRINTED.set(name);
        super::panics::announce(name);
    }
}
