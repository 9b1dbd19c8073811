//! The running side of a stream: items sent as they are made, and pauses while too many wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use ray_engine::{
    failure::Failure,
    ids::TaskId,
    producer::{Producer, Turn},
};
use ray_net::{Flush, Peer};

use crate::{
    __private::CallError,
    Data, Error,
    config::{PEER_QUEUE_BYTES_MAX, STREAM_ITEMS_MAX},
    data::{self, Encoded},
    runtime::{Runtime, inbound::out_of_reach, waiters::WaitCell},
    worker::execute::Execution,
};

/// What the producer and the news from its consumer meet at.
pub(crate) struct Flow(Mutex<State>);

struct State {
    producer: Producer,
    paused: Option<Arc<WaitCell>>,
}

impl Flow {
    pub(crate) fn new(backpressure: u32) -> Arc<Flow> {
        Arc::new(Flow(Mutex::new(State {
            producer: Producer::new(u64::from(backpressure), STREAM_ITEMS_MAX),
            paused: None,
        })))
    }

    /// The consumer has taken so many items; `u64::MAX` when it wants none.
    pub(crate) fn on_taken(&self, taken: u64) {
        let mut state = self.0.lock();
        state.producer.on_taken(taken);
        if state.producer.turn() != Turn::Pause
            && let Some(cell) = state.paused.take()
        {
            cell.notify();
        }
    }

    /// Returns what a producer that must pause waits for.
    fn pause(&self) -> Option<Arc<WaitCell>> {
        let mut state = self.0.lock();
        if state.producer.turn() != Turn::Pause {
            return None;
        }
        let cell = state
            .paused
            .get_or_insert_with(|| WaitCell::new(1, false))
            .clone();
        Some(cell)
    }
}

/// Where the items of one running call go.
pub(crate) struct Items {
    runtime: Arc<Runtime>,
    caller: Peer,
    task: TaskId,
    attempt: u32,
    cancelled: Arc<AtomicBool>,
    flow: Arc<Flow>,
    inline_limit: usize,
    /// When the last item left that had to leave at once.
    flushed: Mutex<Option<Instant>>,
}

impl Items {
    /// Returns where the items of a call go, if it streams.
    pub(crate) fn of(runtime: &Arc<Runtime>, execution: &Execution) -> Option<Arc<Items>> {
        let flow = execution.flow.clone()?;
        Some(Arc::new(Items {
            runtime: runtime.clone(),
            caller: execution.caller.clone(),
            task: execution.task,
            attempt: execution.attempt,
            cancelled: execution.cancelled.clone(),
            flow,
            inline_limit: execution.inline_limit(),
            flushed: Mutex::new(None),
        }))
    }

    /// Sends an item.
    pub(crate) fn send<T: Data>(&self, value: &T) -> Result<(), CallError> {
        if self.cancelled.load(Ordering::Acquire) {
            return Err(Failure::Cancelled.into());
        }
        let turn = self.flow.0.lock().producer.turn();
        match turn {
            Turn::Full => {
                let limit = STREAM_ITEMS_MAX;
                return Err(Failure::StreamItemsLimit { limit }.into());
            }
            Turn::Skip => {
                self.flow.0.lock().producer.on_produced();
                return Ok(());
            }
            Turn::Send | Turn::Pause => {}
        }
        let item = data::encode(value, self.inline_limit, &self.runtime)?;
        if let Encoded::Shared(slot) = &item.data
            && self.runtime.is_of_another_job(&self.caller)
        {
            return Err(out_of_reach(slot.len).into());
        }
        let position = self.flow.0.lock().producer.on_produced();
        let flush = self.flush();
        self.runtime
            .send_item(&self.caller, self.task, self.attempt, position, item, flush);
        Ok(())
    }

    /// Items that follow each other closely share packets.
    fn flush(&self) -> Flush {
        let mut flushed = self.flushed.lock();
        let now = Instant::now();
        if flushed.is_some_and(|last| now.duration_since(last) < FLUSH_INTERVAL) {
            return Flush::Lazy;
        }
        *flushed = Some(now);
        Flush::Now
    }

    /// Blocks while too many items wait for the consumer; the CPU goes to others meanwhile.
    pub(crate) fn pause(&self) -> Result<(), CallError> {
        self.hold_back();
        while let Some(cell) = self.flow.pause() {
            self.caller.flush_hint(Flush::Now);
            self.runtime.block(&cell, None).map_err(failure_of)?;
            cell.waiter.reset();
        }
        Ok(())
    }

    /// Waits while too many items wait for the consumer.
    pub(crate) async fn paused(&self) {
        self.hold_back();
        std::future::poll_fn(|cx| match self.flow.pause() {
            None => Poll::Ready(()),
            Some(cell) => {
                cell.set_waker(cx.waker());
                // News that came before the waker was set notified nobody.
                if self.flow.pause().is_none() {
                    return Poll::Ready(());
                }
                self.caller.flush_hint(Flush::Now);
                Poll::Pending
            }
        })
        .await;
    }

    /// Waits while too much output is queued, so that a fast producer cannot fill the memory.
    fn hold_back(&self) {
        if self.caller.queued_bytes() > PEER_QUEUE_BYTES_MAX {
            self.runtime
                .net()
                .wait_below(&self.caller, PEER_QUEUE_BYTES_MAX, None);
        }
    }
}

fn failure_of(error: Error) -> CallError {
    CallError::Failure(match error {
        Error::Cancelled => Failure::Cancelled,
        other => Failure::System(other.to_string()),
    })
}

/// An item that comes this long after the last flush leaves at once.
const FLUSH_INTERVAL: Duration = Duration::from_micros(200);
