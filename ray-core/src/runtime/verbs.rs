//! `get`, `wait`, `put`, `cancel` on untyped references.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use ray_engine::{failure::Failure, ids::ObjectId, owner::ObjectState};

use super::{
    Runtime,
    waiters::{WaitCell, time_limit},
};
use crate::{
    Error, Result,
    object_ref::AnyRef,
    store::{HeldValue, Value},
    wire::Message,
    worker::{context, submit::Core},
};

impl Core {
    /// Returns the outcome of an object, if it has one by now.
    pub(crate) fn outcome(&self, id: ObjectId) -> Option<Result<Value, Failure>> {
        match self.owner.state(id) {
            ObjectState::Ready(value) => Some(Ok(value.clone())),
            ObjectState::Failed(failure) => Some(Err((*failure).clone())),
            ObjectState::Pending => None,
            ObjectState::Unknown => Some(Err(Failure::ObjectFreed(id))),
        }
    }

    /// Registers interest in an object that has no outcome yet.
    pub(crate) fn watch(&mut self, id: ObjectId, cell: &Arc<WaitCell>) {
        self.waiters.add(id, cell);
        self.owner.watch(id);
    }
}

impl Runtime {
    /// Waits for one object.
    pub(crate) fn get_value(
        self: &Arc<Self>,
        id: ObjectId,
        timeout: Option<Duration>,
    ) -> Result<HeldValue> {
        let cell = {
            let mut cell = None;
            let outcome = self.with_core(|core, _| {
                let outcome = core.outcome(id);
                if outcome.is_none() {
                    let waiting = WaitCell::new(1, false);
                    core.watch(id, &waiting);
                    cell = Some(waiting);
                }
                outcome
            });
            match (outcome, cell) {
                (Some(outcome), _) => return self.read(outcome?, timeout),
                (None, cell) => cell.expect("made when there is no outcome"),
            }
        };
        if let Err(error) = self.check_not_own(&[id]) {
            self.forget_waiter(id, &cell);
            return Err(error);
        }
        let deadline = timeout.map(time_limit);
        loop {
            self.block_on(&cell, deadline, &[id])?;
            let outcome = self.with_core(|core, _| {
                let outcome = core.outcome(id);
                if outcome.is_none() {
                    core.waiters.remove(id, &cell);
                }
                outcome
            });
            match outcome {
                Some(outcome) => {
                    let left =
                        deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                    return self.read(outcome?, left);
                }
                None if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                    return Err(Error::GetTimeout(timeout.unwrap_or_default()));
                }
                None => {
                    // Woken for another reason, a cancel for example: wait on.
                    cell.waiter.reset();
                    self.with_core(|core, _| {
                        if core.outcome(id).is_some() {
                            cell.notify();
                        } else {
                            core.watch(id, &cell);
                        }
                    });
                }
            }
        }
    }

    /// Refuses to wait for a later method of the actor that waits, which runs one at a time.
    fn check_not_own(&self, ids: &[ObjectId]) -> Result<()> {
        let Some((executor, running)) = self.executor.as_ref().zip(context::current()) else {
            return Ok(());
        };
        let Some(actor) = running.actor.filter(|_| executor.runs_one_at_a_time()) else {
            return Ok(());
        };
        let waits_for_itself =
            self.with_core(|core, _| ids.iter().any(|id| core.owner.maker(*id) == Some(actor)));
        if !waits_for_itself {
            return Ok(());
        }
        Err(Error::DeadlockCycle(format!(
            "`{}` waits for a later call of its own actor {actor}, which runs one method at a time; do not \
             `get` it here, or make the method `async` or the actor concurrent",
            running.function
        )))
    }

    /// Returns a value whose bytes are on this node.
    fn read(self: &Arc<Self>, value: Value, timeout: Option<Duration>) -> Result<HeldValue> {
        self.hold(value, timeout.map(time_limit))
    }

    /// Waits for all objects, or for the first failure among them; their bytes may be elsewhere.
    pub(crate) fn get_values(
        self: &Arc<Self>,
        ids: &[ObjectId],
        timeout: Option<Duration>,
    ) -> Result<Vec<Value>> {
        let deadline = timeout.map(time_limit);
        loop {
            let mut values = Vec::with_capacity(ids.len());
            let mut missing = Vec::new();
            let mut failure = None;
            let cell = self.with_core(|core, _| {
                for id in ids {
                    match core.outcome(*id) {
                        Some(Ok(value)) => values.push(value),
                        Some(Err(failed)) => {
                            failure = Some(failed);
                            return None;
                        }
                        None => missing.push(*id),
                    }
                }
                if missing.is_empty() {
                    return None;
                }
                let cell = WaitCell::new(missing.len(), true);
                for id in &missing {
                    core.watch(*id, &cell);
                }
                Some(cell)
            });
            if let Some(failure) = failure {
                return Err(failure.into());
            }
            let Some(cell) = cell else {
                return Ok(values);
            };
            let ended = match self.check_not_own(&missing) {
                Ok(()) => self.block_on(&cell, deadline, &missing),
                Err(error) => Err(error),
            };
            if !cell.is_complete() {
                self.with_core(|core, _| {
                    for id in &missing {
                        core.waiters.remove(*id, &cell);
                    }
                });
            }
            if !ended? {
                return Err(Error::GetTimeout(timeout.unwrap_or_default()));
            }
        }
    }

    /// Waits until `num_returns` of the objects are there; returns which are.
    pub(crate) fn wait_values(
        self: &Arc<Self>,
        ids: &[ObjectId],
        num_returns: usize,
        timeout: Option<Duration>,
    ) -> Result<Vec<bool>> {
        let deadline = timeout.map(time_limit);
        loop {
            let mut ready = Vec::with_capacity(ids.len());
            let mut missing = Vec::new();
            let cell = self.with_core(|core, _| {
                let mut count = 0;
                for id in ids {
                    let there = core.outcome(*id).is_some();
                    count += usize::from(there);
                    ready.push(there);
                    if !there {
                        missing.push(*id);
                    }
                }
                if count >= num_returns {
                    return None;
                }
                let cell = WaitCell::new(num_returns - count, false);
                for id in &missing {
                    core.watch(*id, &cell);
                }
                Some(cell)
            });
            let Some(cell) = cell else { return Ok(ready) };
            let ended = self.block(&cell, deadline);
            self.with_core(|core, _| {
                for id in &missing {
                    core.waiters.remove(*id, &cell);
                }
            });
            if !ended? {
                return Ok(self.with_core(|core, _| {
                    ids.iter().map(|id| core.outcome(*id).is_some()).collect()
                }));
            }
        }
    }

    /// Sleeps until the cell is notified; a blocked task gives its CPU and its unstarted successors back.
    ///
    /// Returns whether it was notified before the deadline.
    pub(crate) fn block(
        self: &Arc<Self>,
        cell: &Arc<WaitCell>,
        deadline: Option<Instant>,
    ) -> Result<bool> {
        self.block_on(cell, deadline, &[])
    }

    /// The same for all of `awaited`; without a deadline a wait that would never end is ended.
    fn block_on(
        self: &Arc<Self>,
        cell: &Arc<WaitCell>,
        deadline: Option<Instant>,
        awaited: &[ObjectId],
    ) -> Result<bool> {
        if cell.waiter.is_notified() {
            return Ok(true);
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            // A time limit of zero still looks at what has already arrived.
            self.net().drive();
            return Ok(cell.waiter.is_notified());
        }
        let running = context::current();
        if self.closed.load(std::sync::atomic::Ordering::Acquire) {
            return Err(Error::NotInitialized);
        }
        let Some((executor, running)) = self.executor.as_ref().zip(running) else {
            return Ok(self.net().wait(&cell.waiter, deadline));
        };
        let gives_back = running.actor.is_none();
        let is_followed = deadline.is_none() && !awaited.is_empty();
        executor.add_blocked(&running, cell, if is_followed { awaited } else { &[] });
        // Asked after the cell is known: a cancel that comes later wakes it.
        if running.is_cancelled() {
            executor.remove_blocked(running.task, cell);
            return Err(Error::Cancelled);
        }
        if gives_back {
            executor.on_blocked(self);
            self.send_to_node(Message::Blocked);
        }
        let mut pause = FIRST_QUESTION;
        let notified = loop {
            let until = if is_followed {
                Some(Instant::now() + pause)
            } else {
                deadline
            };
            let notified = self.net().wait(&cell.waiter, until);
            if notified || !is_followed {
                break notified;
            }
            self.ask_after(executor, running.task, cell);
            pause = (pause * 2).min(QUESTION_PAUSE_MAX);
        };
        if gives_back {
            executor.on_unblocked();
            self.send_to_node(Message::Unblocked);
        }
        executor.remove_blocked(running.task, cell);
        if running.is_cancelled() {
            return Err(Error::Cancelled);
        }
        match cell.circle() {
            Some(circle) => Err(Error::DeadlockCycle(circle)),
            None => Ok(notified),
        }
    }

    /// Polls one object for a future.
    pub(crate) fn poll_value(
        self: &Arc<Self>,
        id: ObjectId,
        cell: &mut Option<Arc<WaitCell>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Value>> {
        self.with_core(|core, _| {
            if let Some(outcome) = core.outcome(id) {
                return Poll::Ready(outcome.map_err(Error::from));
            }
            let waiting = cell.get_or_insert_with(|| {
                let waiting = WaitCell::new(1, false);
                core.watch(id, &waiting);
                waiting
            });
            waiting.set_waker(cx.waker());
            Poll::Pending
        })
    }

    /// Asks for the end of the call that makes the object.
    pub(crate) fn cancel(&self, reference: &AnyRef, force: bool, recursive: bool) -> Result<()> {
        let id = reference.id();
        self.with_core(|core, now| core.owner.cancel(id, force, recursive, now))
            .map_err(Error::from)
    }
}

/// How long a call waits before it asks whether what it waits for waits for it.
const FIRST_QUESTION: Duration = Duration::from_millis(100);
/// It asks again after twice the time, up to this.
const QUESTION_PAUSE_MAX: Duration = Duration::from_secs(5);
