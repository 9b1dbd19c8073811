//! Sends what a role decided in the order in which it was decided.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use ray_engine::ids::ProcessId;

use super::Runtime;
use crate::wire::Message;

/// Messages of one role on their way: queued under the role's lock, sent by one thread at a time
/// without it.
#[derive(Default)]
pub(crate) struct Courier {
    queue: Mutex<VecDeque<(ProcessId, Message)>>,
    is_carrying: AtomicBool,
}

impl Courier {
    /// Queues messages; the caller holds the role's lock.
    pub(crate) fn queue(&self, messages: Vec<(ProcessId, Message)>) {
        if !messages.is_empty() {
            self.queue.lock().extend(messages);
        }
    }

    /// Sends what is queued; the caller holds no lock.
    pub(crate) fn carry(&self, runtime: &Arc<Runtime>) {
        while !self.queue.lock().is_empty() {
            if self.is_carrying.swap(true, Ordering::AcqRel) {
                // Whoever carries looks again after giving the flag back.
                return;
            }
            loop {
                let next = self.queue.lock().pop_front();
                let Some((to, message)) = next else { break };
                runtime.send(to, message);
            }
            self.is_carrying.store(false, Ordering::Release);
        }
    }
}
