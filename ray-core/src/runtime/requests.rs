//! Questions to the node whose asker waits for the answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use ray_engine::ids::ProcessId;
use rustc_hash::FxHashMap;

use super::{Runtime, waiters::WaitCell};
use crate::{Error, Result, wire::Message};

/// The questions of this process that have no answer yet.
#[derive(Default)]
pub(crate) struct Requests {
    next: AtomicU64,
    waiting: Mutex<FxHashMap<u64, (Arc<WaitCell>, Option<Message>)>>,
}

impl Requests {
    /// Hands an answer to whoever waits for it; gives it back when nobody does any more.
    pub(crate) fn on_reply(&self, request: u64, message: Message) -> Option<Message> {
        let mut waiting = self.waiting.lock();
        let Some((cell, reply)) = waiting.get_mut(&request) else {
            return Some(message);
        };
        *reply = Some(message);
        cell.on_resolved(false);
        None
    }

    /// Opens a question whose answer counts as one of those that the cell waits for.
    pub(crate) fn open(&self, cell: &Arc<WaitCell>) -> u64 {
        let request = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.waiting.lock().insert(request, (cell.clone(), None));
        request
    }

    /// Returns whether a question has its answer.
    pub(crate) fn is_answered(&self, request: u64) -> bool {
        let waiting = self.waiting.lock();
        waiting
            .get(&request)
            .is_some_and(|(_, reply)| reply.is_some())
    }

    /// Closes a question; returns its answer, if it has come.
    pub(crate) fn close(&self, request: u64) -> Option<Message> {
        let closed = self.waiting.lock().remove(&request);
        closed.and_then(|(_, reply)| reply)
    }
}

impl Runtime {
    /// Asks the node of this process, or the control role when the question is for it, and waits.
    ///
    /// # Errors
    /// `Error::System` when no answer comes in time.
    pub(crate) fn request(
        self: &Arc<Self>,
        timeout: Duration,
        question: impl FnOnce(u64) -> Message,
    ) -> Result<Message> {
        self.request_of(timeout, |request| {
            let question = question(request);
            let is_for_control = question.is_for_control();
            let node = self.node_process();
            let to = if is_for_control {
                self.control_process()
            } else {
                node
            };
            (to, question)
        })
    }

    /// Asks a process and waits.
    ///
    /// # Errors
    /// `Error::System` when no answer comes in time.
    pub(crate) fn request_of(
        self: &Arc<Self>,
        timeout: Duration,
        question: impl FnOnce(u64) -> (ProcessId, Message),
    ) -> Result<Message> {
        let cell = WaitCell::new(1, false);
        let request = self.requests.open(&cell);
        let (to, question) = question(request);
        let is_for_nobody = to == self.control_process()
            && !self.is_daemon()
            && self.executor.is_none()
            && self.head_lost_for().is_some();
        if is_for_nobody {
            self.requests.close(request);
            return Err(Error::HeadLost);
        }
        self.send(to, question);
        if !cell.waiter.is_notified() {
            self.net()
                .wait(&cell.waiter, Some(Instant::now() + timeout));
        }
        let reply = self.requests.close(request);
        reply.ok_or_else(|| Error::System(format!("no answer came within {timeout:?}")))
    }
}
