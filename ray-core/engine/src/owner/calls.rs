//! Method calls: one queue per actor, in submission order.

use std::{collections::VecDeque, sync::Arc};

use smallvec::SmallVec;

use super::{
    Command, Owner,
    tasks::{Kind, Stage, Task},
};
use crate::{
    failure::{Failure, RetryOn},
    ids::{ActorId, ObjectId, ProcessId, TaskId},
    planted::{Bug, is_planted},
    time::Time,
};

/// A method call as it is submitted.
pub struct CallSubmit<'a, P> {
    /// Whose method.
    pub actor: ActorId,
    /// How many results it has.
    pub returns: u16,
    /// References that are resolved before it runs.
    pub dependencies: &'a [ObjectId],
    /// References inside its arguments, held until it has ended.
    pub nested: &'a [ObjectId],
    /// Tries after a crash of the actor; negative for no limit.
    pub max_task_retries: i32,
    /// Which failures of user code use up a retry instead of ending the call.
    pub retry_failures: RetryOn,
    /// Whether later calls wait while this one waits for its arguments.
    pub is_ordered: bool,
    /// How many calls of this process may be pending at the actor; 0 for no limit.
    pub max_pending: u64,
    /// The task that submits it.
    pub parent: Option<TaskId>,
    /// What it needs to be sent.
    pub payload: P,
}

/// How an actor is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the fields are named after the types that say what they are"
)]
pub enum ActorState {
    /// Not there yet.
    Pending,
    /// Takes calls.
    Alive {
        process: ProcessId,
        incarnation: u64,
    },
    /// Its process died and a new one is on its way.
    Restarting,
    /// Gone for good, and why.
    Dead(Arc<Failure>),
}

pub(super) struct ActorQueue {
    state: ActorState,
    /// Calls not sent yet, in the order of submission.
    queue: VecDeque<u64>,
    /// Calls sent, in order; ended ones are skipped.
    sent: VecDeque<u64>,
    pending: u64,
    /// How often the user was warned of pending calls.
    warned: u32,
    next_seq: u64,
}

impl ActorQueue {
    pub(super) fn state(&self) -> &ActorState {
        &self.state
    }

    /// Returns whether its actor takes no calls at the moment and may do so later.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self.state, ActorState::Pending | ActorState::Restarting)
    }
}

impl<P: Clone, V: Clone> Owner<P, V> {
    fn actor_mut(&mut self, actor: ActorId) -> &mut ActorQueue {
        if !self.actors.contains_key(&actor) {
            self.commands.push_back(Command::WatchActor { actor });
        }
        self.actors.entry(actor).or_insert_with(|| ActorQueue {
            state: ActorState::Pending,
            queue: VecDeque::new(),
            sent: VecDeque::new(),
            pending: 0,
            warned: 0,
            next_seq: 0,
        })
    }

    /// Submits a method call; each of its results has one handle.
    pub fn submit_call(&mut self, submit: CallSubmit<'_, P>, now: Time) -> TaskId {
        self.now = now;
        let actor = submit.actor;
        let task = Task {
            payload: submit.payload,
            returns: submit.returns,
            attempt: 0,
            retries_left: submit.max_task_retries,
            may_rerun: submit.max_task_retries != 0,
            oom_deaths: 0,
            retry_failures: self.retries.keep(submit.retry_failures),
            held: SmallVec::new(),
            arguments: 0,
            parent: submit.parent.unwrap_or_default(),
            waiting: 0,
            is_cancelled: false,
            is_stream: false,
            stage: Stage::Queued,
            kind: Kind::Call {
                actor,
                is_ordered: submit.is_ordered,
            },
        };
        let (id, failure) = self.admit(task, submit.dependencies, submit.nested);
        let warn_at = self.limits.pending_warned;
        let queue = self.actor_mut(actor);
        let is_full = submit.max_pending != 0 && queue.pending >= submit.max_pending;
        queue.pending += 1;
        let failure = match &queue.state {
            ActorState::Dead(failure) => Some(failure.clone()),
            // At most once means not waiting for a life that may never come.
            ActorState::Restarting if submit.max_task_retries == 0 => {
                Some(Arc::new(Failure::ActorUnavailable {
                    actor,
                    cause: "it is restarting".into(),
                }))
            }
            _ if is_full => Some(Arc::new(Failure::PendingCallsLimit {
                limit: submit.max_pending,
            })),
            _ => failure,
        };
        match failure {
            Some(failure) => {
                queue.pending -= 1;
                self.fail_task(id.index, &failure);
            }
            None => {
                queue.queue.push_back(id.index);
                let pending = queue.pending;
                if pending >= warn_at.checked_shl(queue.warned).unwrap_or(u64::MAX) {
                    queue.warned += 1;
                    self.commands
                        .push_back(Command::WarnPending { actor, pending });
                }
                self.pump_actor(actor);
            }
        }
        id
    }

    /// Sends what can be sent to an actor.
    pub(super) fn pump_actor(&mut self, actor: ActorId) {
        let Some(queue) = self.actors.get_mut(&actor) else {
            return;
        };
        let ActorState::Alive {
            process,
            incarnation,
        } = queue.state
        else {
            let tasks = &self.tasks;
            let before = queue.queue.len();
            queue.queue.retain(|index| tasks.contains(*index));
            queue.pending -= (before - queue.queue.len()) as u64;
            return;
        };
        let mut held_back = VecDeque::new();
        while let Some(index) = queue.queue.pop_front() {
            let Some(task) = self.tasks.get_mut(index) else {
                queue.pending -= 1;
                continue;
            };
            if task.waiting > 0 {
                let Kind::Call { is_ordered, .. } = task.kind else {
                    continue;
                };
                held_back.push_back(index);
                if is_ordered {
                    break;
                }
                continue;
            }
            task.stage = Stage::Sent(process);
            let seq = queue.next_seq;
            queue.next_seq += 1;
            queue.sent.push_back(index);
            let id = TaskId {
                owner: self.process,
                index,
            };
            let attempt = task.attempt;
            self.commands.push_back(Command::SendCall {
                task: id,
                attempt,
                actor,
                process,
                incarnation,
                seq,
            });
        }
        if !held_back.is_empty() {
            held_back.append(&mut queue.queue);
            queue.queue = held_back;
        }
    }

    /// Returns the actor whose unfinished method makes the object.
    pub fn maker(&self, object: ObjectId) -> Option<ActorId> {
        if object.owner != self.process {
            return None;
        }
        let task = self.owned.get(object.index)?.task;
        match self.tasks.get(task)?.kind {
            Kind::Call { actor, .. } => Some(actor),
            Kind::Task { .. } => None,
        }
    }

    /// Returns the unfinished call that makes an object of this process, and who has that.
    pub fn sent_to(&self, object: ObjectId) -> Option<(TaskId, ProcessId)> {
        if object.owner != self.process {
            return None;
        }
        let index = self.owned.get(object.index)?.task;
        let Stage::Sent(process) = self.tasks.get(index)?.stage else {
            return None;
        };
        let task = TaskId {
            owner: self.process,
            index,
        };
        Some((task, process))
    }

    /// A call ended; its place in the list of sent ones is cleared.
    pub(super) fn on_call_ended(&mut self, actor: ActorId) {
        let Some(queue) = self.actors.get_mut(&actor) else {
            return;
        };
        queue.pending = queue.pending.saturating_sub(1);
        while queue
            .sent
            .front()
            .is_some_and(|index| !self.tasks.contains(*index))
        {
            queue.sent.pop_front();
        }
    }

    /// A call that failed in user code and may be tried again takes its old place among those not sent:
    /// behind them it could wait for one that waits for its result.
    pub(super) fn requeue_call(&mut self, actor: ActorId, index: u64) {
        if let Some(task) = self.tasks.get_mut(index) {
            task.stage = Stage::Queued;
        }
        let queue = self.actor_mut(actor);
        queue.sent.retain(|other| *other != index);
        let place = queue.queue.partition_point(|other| *other < index);
        queue.queue.insert(place, index);
        queue.pending += 1;
        self.pump_actor(actor);
    }

    /// The directory says how an actor is.
    pub fn on_actor_state(&mut self, actor: ActorId, state: ActorState, now: Time) {
        self.now = now;
        let queue = self.actors.entry(actor).or_insert_with(|| ActorQueue {
            state: ActorState::Pending,
            queue: VecDeque::new(),
            sent: VecDeque::new(),
            pending: 0,
            warned: 0,
            next_seq: 0,
        });
        if matches!(queue.state, ActorState::Dead(_)) {
            return;
        }
        let is_new_life = match (&queue.state, &state) {
            (
                ActorState::Alive {
                    incarnation: old, ..
                },
                ActorState::Alive {
                    incarnation: new, ..
                },
            ) => {
                if new < old {
                    return;
                }
                new > old
            }
            (_, ActorState::Alive { .. }) => true,
            _ => false,
        };
        queue.state = if is_new_life {
            // Nothing is sent to the new life before what was in flight at the old one is settled.
            ActorState::Restarting
        } else {
            state.clone()
        };
        match state {
            ActorState::Pending => {}
            ActorState::Alive { .. } => {
                if is_new_life {
                    self.resend_or_fail(actor, None);
                    if let Some(queue) = self.actors.get_mut(&actor) {
                        queue.next_seq = 0;
                        queue.state = state;
                    }
                }
                self.pump_actor(actor);
            }
            ActorState::Restarting => self.resend_or_fail(actor, None),
            ActorState::Dead(failure) => {
                self.resend_or_fail(actor, Some(failure.clone()));
                let Some(queue) = self.actors.get_mut(&actor) else {
                    return;
                };
                queue.pending = 0;
                for index in std::mem::take(&mut queue.queue) {
                    self.fail_task(index, &failure);
                }
            }
        }
    }

    /// Forgets a dead actor; whoever calls it again asks the directory.
    pub fn forget_actor(&mut self, actor: ActorId) {
        let is_over = |queue: &ActorQueue| {
            matches!(queue.state, ActorState::Dead(_))
                && queue.queue.is_empty()
                && queue.sent.is_empty()
        };
        if self.actors.get(&actor).is_some_and(is_over) {
            self.actors.remove(&actor);
        }
    }

    /// Returns how many actors it knows something of.
    pub fn known_actors(&self) -> usize {
        self.actors.len()
    }

    /// Returns how an actor is, as far as this process has asked.
    pub fn actor_state(&self, actor: ActorId) -> Option<&ActorState> {
        self.actors.get(&actor).map(|queue| &queue.state)
    }

    /// Settles the calls in flight at a life that ended: tried again in order, or failed.
    fn resend_or_fail(&mut self, actor: ActorId, death: Option<Arc<Failure>>) {
        let Some(queue) = self.actors.get_mut(&actor) else {
            return;
        };
        let sent = std::mem::take(&mut queue.sent);
        let mut again = VecDeque::new();
        for index in sent {
            let Some(task) = self.tasks.get_mut(index) else {
                continue;
            };
            if task.is_cancelled {
                self.fail_task(index, &Arc::new(Failure::Cancelled));
            } else if let Some(failure) = &death {
                self.fail_task(index, failure);
            } else if task.retries_left != 0 {
                task.retries_left -= i32::from(task.retries_left > 0);
                task.attempt += 1;
                task.stage = Stage::Queued;
                again.push_back(index);
                continue;
            } else {
                let cause = "its process died while the call was in flight".to_owned();
                self.fail_task(index, &Arc::new(Failure::ActorUnavailable { actor, cause }));
            }
            if let Some(queue) = self.actors.get_mut(&actor) {
                queue.pending = queue.pending.saturating_sub(1);
            }
        }
        if let Some(queue) = self.actors.get_mut(&actor) {
            if is_planted(Bug::ResentAtWrongEnd) {
                return queue.queue.append(&mut again);
            }
            again.append(&mut queue.queue);
            // One that was tried again had been sent behind later ones.
            again.make_contiguous().sort_unstable();
            queue.queue = again;
        }
    }
}
