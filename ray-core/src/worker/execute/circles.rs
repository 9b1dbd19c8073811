//! Calls that wait for each other in a circle.
//!
//! A call that has waited for a while sends a question after what it waits for: by the owner to the process
//! that has the call that makes it, on to what that call waits for, or the call that is in its way at an
//! actor that runs one at a time, and so on (Chandy, Misra and Haas 1983). A question that comes back to the
//! call that asked has gone around a circle. Only waits without a time limit, for all of their objects,
//! are followed: no other way out of these is known. As one of them may just end while the question
//! travels, it is believed when it came back twice.

use std::sync::Arc;

use ray_engine::ids::{ActorId, ObjectId, TaskId};

use super::Executor;
use crate::{
    runtime::{Runtime, waiters::WaitCell},
    wire::{Message, WaitStep},
};

/// What a running call waits for.
pub(super) struct Wait {
    pub(super) task: TaskId,
    pub(super) cell: Arc<WaitCell>,
    /// All of these it needs before it goes on; empty when it may go on otherwise.
    awaited: Arc<[ObjectId]>,
    function: &'static str,
    actor: Option<ActorId>,
    /// How often its own question came back.
    returned: u32,
}

impl Wait {
    pub(super) fn of(
        running: &crate::worker::context::Running,
        cell: &Arc<WaitCell>,
        awaited: &[ObjectId],
    ) -> Wait {
        Wait {
            task: running.task,
            cell: cell.clone(),
            awaited: awaited.into(),
            function: running.function,
            actor: running.actor,
            returned: 0,
        }
    }

    fn step(&self) -> WaitStep {
        WaitStep {
            task: self.task,
            function: match self.actor {
                Some(actor) => format!("`{}` of actor {actor}", self.function),
                None => format!("`{}`", self.function),
            },
        }
    }
}

impl Executor {
    /// Returns the waits that must end before a call here does.
    fn waits_before(&self, task: TaskId) -> Vec<(WaitStep, Arc<[ObjectId]>)> {
        let one_at_a_time = self.runs_one_at_a_time();
        let state = self.state.lock();
        let is_in_the_way = |wait: &&super::circles::Wait| {
            let is_queued = || state.ready.iter().any(|waiting| waiting.task == task);
            wait.task == task || (one_at_a_time && is_queued())
        };
        let waits = state.waits.iter().filter(is_in_the_way);
        waits
            .filter(|wait| !wait.awaited.is_empty())
            .map(|wait| (wait.step(), wait.awaited.clone()))
            .collect()
    }

    /// A question came back to the call that asked it.
    fn on_circle(&self, path: &[WaitStep]) {
        let Some(first) = path.first() else { return };
        let mut state = self.state.lock();
        let wait = state.waits.iter_mut().find(|wait| wait.task == first.task);
        if let Some(wait) = wait {
            wait.returned += 1;
            if wait.returned >= RETURNS_BELIEVED {
                wait.cell.end_in_circle(describe(path));
            }
        }
    }
}

impl Runtime {
    /// Asks after what a call that runs here has waited for.
    pub(crate) fn ask_after(&self, executor: &Executor, task: TaskId, cell: &Arc<WaitCell>) {
        let asked = {
            let state = executor.state.lock();
            let is_meant = |wait: &&Wait| wait.task == task && Arc::ptr_eq(&wait.cell, cell);
            let wait = state.waits.iter().find(is_meant);
            wait.map(|wait| (wait.step(), wait.awaited.clone()))
        };
        if let Some((step, awaited)) = asked {
            self.pass_on(&[step], &awaited);
        }
    }

    fn pass_on(&self, path: &[WaitStep], awaited: &[ObjectId]) {
        for object in awaited {
            let message = Message::AfterObject {
                object: *object,
                path: path.to_vec(),
            };
            self.send(object.owner, message);
        }
    }

    /// Somebody waits for an object of this process: the call that makes it knows more.
    pub(crate) fn on_after_object(&self, object: ObjectId, path: Vec<WaitStep>) {
        let sent = self.with_core(|core, _| core.owner.sent_to(object));
        if let Some((task, process)) = sent {
            self.send(process, Message::AfterTask { task, path });
        }
    }

    /// Somebody waits for a call that this process has.
    pub(crate) fn on_after_task(&self, task: TaskId, path: Vec<WaitStep>) {
        let Some(executor) = &self.executor else {
            return;
        };
        for (step, awaited) in executor.waits_before(task) {
            if path.first().is_some_and(|first| first.task == step.task) {
                executor.on_circle(&path);
            } else if path.len() < STEPS_MAX && path.iter().all(|other| other.task != step.task) {
                let path = [&path[..], &[step]].concat();
                self.pass_on(&path, &awaited);
            }
        }
    }
}

fn describe(path: &[WaitStep]) -> String {
    let mut names = path
        .iter()
        .map(|step| &step.function[..])
        .collect::<Vec<_>>();
    names.extend(names.first().copied());
    format!(
        "{}: each waits for the next; let one of them hand its reference on instead of `get`ting it, or make \
         an actor's methods `async`",
        names.join(" -> ")
    )
}

/// How often a question comes back before it is believed.
const RETURNS_BELIEVED: u32 = 2;
/// A longer way is not followed.
const STEPS_MAX: usize = 64;
