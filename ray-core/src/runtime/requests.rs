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
    waiting: Mutex<FxHashMap<u64, Waiting>>,
}

struct Waiting {
    cell: Arc<WaitCell>,
    reply: Option<Message>,
    /// What a head that was started again must be asked anew.
    for_control: Option<Message>,
}

impl Requests {
    /// Hands an answer to whoever waits for it; gives it back when nobody does any more.
    pub(crate) fn on_reply(&self, request: u64, message: Message) -> Option<Message> {
        let mut waiting = self.waiting.lock();
        let Some(waiting) = waiting.get_mut(&request) else {
            return Some(message);
        };
        waiting.reply = Some(message);
        waiting.cell.on_resolved(false);
        None
    }

    /// Opens a question whose answer counts as one of those that the cell waits for.
    pub(crate) fn open(&self, cell: &Arc<WaitCell>) -> u64 {
        let request = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let waiting = Waiting {
            cell: cell.clone(),
            reply: None,
            for_control: None,
        };
        self.waiting.lock().insert(request, waiting);
        request
    }

    /// Returns whether a question has its answer.
    pub(crate) fn is_answered(&self, request: u64) -> bool {
        let waiting = self.waiting.lock();
        waiting
            .get(&request)
            .is_some_and(|waiting| waiting.reply.is_some())
    }

    /// Closes a question; returns its answer, if it has come.
    pub(crate) fn close(&self, request: u64) -> Option<Message> {
        let closed = self.waiting.lock().remove(&request);
        closed.and_then(|waiting| waiting.reply)
    }

    /// Returns the questions that the control role has not answered, in the order in which they were asked.
    pub(super) fn of_control(&self) -> Vec<Message> {
        let waiting = self.waiting.lock();
        let open = waiting
            .iter()
            .filter(|(_, waiting)| waiting.reply.is_none());
        let mut open: Vec<(u64, Message)> = open
            .filter_map(|(request, waiting)| Some((*request, waiting.for_control.clone()?)))
            .collect();
        open.sort_unstable_by_key(|(request, _)| *request);
        open.into_iter().map(|(_, question)| question).collect()
    }
}

impl Runtime {
    /// Asks the node of this process, or the control role when the question is for it, and waits.
    ///
    /// # Errors
    /// `Error::System` when no answer comes in time, `HeadLost` when the head is away for too long.
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
    /// `Error::System` when no answer comes in time, `HeadLost` when the head is away for too long.
    pub(crate) fn request_of(
        self: &Arc<Self>,
        timeout: Duration,
        question: impl FnOnce(u64) -> (ProcessId, Message),
    ) -> Result<Message> {
        let cell = WaitCell::new(1, false);
        let request = self.requests.open(&cell);
        let (to, question) = question(request);
        let is_for_control = to == self.control_process() && self.control_role.is_none();
        if is_for_control && let Some(waiting) = self.requests.waiting.lock().get_mut(&request) {
            waiting.for_control = Some(question.clone());
        }
        self.send(to, question);
        let mut deadline = Instant::now() + timeout;
        let mut is_given_up = false;
        if !is_for_control && !cell.waiter.is_notified() {
            self.net().wait(&cell.waiter, Some(deadline));
        }
        while is_for_control
            && !cell.waiter.is_notified()
            && !is_given_up
            && !self.closed.load(Ordering::Acquire)
            && Instant::now() < deadline
        {
            let look = deadline.min(Instant::now() + HEAD_LOOK);
            self.net().wait(&cell.waiter, Some(look));
            deadline = self.extended(deadline, timeout);
            is_given_up = self.has_given_up_head();
        }
        match self.requests.close(request) {
            Some(reply) => Ok(reply),
            None if is_given_up => Err(Error::HeadLost),
            None => Err(Error::System(format!("no answer came within {timeout:?}"))),
        }
    }
}

/// Who waits for the control role looks this often whether it is given up.
const HEAD_LOOK: Duration = Duration::from_millis(100);
