//! Calls that wait or take long, and the tasks that are handed back meanwhile.

use std::sync::Arc;

use ray_engine::ids::{ObjectId, TaskId};
use ray_net::Peer;

use super::{Executor, circles::Wait};
use crate::{
    runtime::{Runtime, waiters::WaitCell},
    wire::Message,
    worker::context::Running,
};

impl Executor {
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

    pub(super) fn send_back(&self, runtime: &Arc<Runtime>, back: Vec<(Peer, TaskId, u32)>) {
        for (caller, task, attempt) in back {
            runtime.send_to_peer(&caller, &Message::HandedBack { task, attempt });
        }
    }

    /// Notes that a running call waits, so that a cancel ends the wait, and for which objects when it needs
    /// all of them to go on.
    pub(crate) fn add_blocked(
        &self,
        running: &Running,
        cell: &Arc<WaitCell>,
        awaited: &[ObjectId],
    ) {
        let wait = Wait::of(running, cell, awaited);
        self.state.lock().waits.push(wait);
    }

    /// Notes that a running call goes on.
    pub(crate) fn remove_blocked(&self, task: TaskId, cell: &Arc<WaitCell>) {
        self.state
            .lock()
            .waits
            .retain(|wait| wait.task != task || !Arc::ptr_eq(&wait.cell, cell));
    }

    /// Ends every wait of running calls, at the end of the process.
    pub(crate) fn interrupt_blocked(&self) {
        for wait in &self.state.lock().waits {
            wait.cell.notify();
        }
    }
}
