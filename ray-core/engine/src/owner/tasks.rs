//! Tasks: arguments, results, retries, cancels.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Command, Owner, ShapeId, object::Owned, retries::Retries};
use crate::{
    failure::{Failure, RetryOn},
    ids::{ActorId, LeaseId, ObjectId, ProcessId, TaskId},
    planted::{Bug, is_planted},
    time::Time,
};

/// A task as it is submitted.
pub struct TaskSubmit<'a, P> {
    /// What it needs of a node.
    pub shape: ShapeId,
    /// How many results it has.
    pub returns: u16,
    /// References that are resolved before it runs.
    pub dependencies: &'a [ObjectId],
    /// References inside its arguments, held until it has ended.
    pub nested: &'a [ObjectId],
    /// Tries after a crash of the worker; negative for no limit.
    pub max_retries: i32,
    /// Which failures of user code use up a retry instead of ending the task.
    pub retry_failures: RetryOn,
    /// The task that submits it.
    pub parent: Option<TaskId>,
    /// What it needs to be sent.
    pub payload: P,
}

pub(super) struct Task<P> {
    pub(super) payload: P,
    pub(super) returns: u16,
    pub(super) attempt: u32,
    pub(super) retries_left: i32,
    /// Whether it may run again when its worker dies, however often it has.
    pub(super) may_rerun: bool,
    /// How often its worker was ended for want of memory.
    pub(super) oom_deaths: u32,
    pub(super) retry_failures: Retries,
    /// Its arguments, then the references inside them.
    pub(super) held: SmallVec<[ObjectId; 1]>,
    /// How many of those are arguments.
    pub(super) arguments: u32,
    /// Index 0 for none.
    pub(super) parent: TaskId,
    /// Arguments that are not there yet.
    pub(super) waiting: u32,
    pub(super) is_cancelled: bool,
    /// Whether its results arrive one by one; see `streams`.
    pub(super) is_stream: bool,
    pub(super) stage: Stage,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting,
    Queued,
    Sent(ProcessId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Task { shape: ShapeId, lease: LeaseId },
    Call { actor: ActorId, is_ordered: bool },
}

impl<P: Clone, V: Clone> Owner<P, V> {
    /// Submits a task; each of its results has one handle.
    pub fn submit_task(&mut self, submit: TaskSubmit<'_, P>, now: Time) -> TaskId {
        self.now = now;
        let shape = submit.shape;
        let task = Task {
            payload: submit.payload,
            returns: submit.returns,
            attempt: 0,
            retries_left: submit.max_retries,
            may_rerun: submit.max_retries != 0,
            oom_deaths: 0,
            retry_failures: self.retries.keep(submit.retry_failures),
            held: SmallVec::new(),
            arguments: 0,
            parent: submit.parent.unwrap_or_default(),
            waiting: 0,
            is_cancelled: false,
            is_stream: false,
            stage: Stage::Waiting,
            kind: Kind::Task {
                shape,
                lease: LeaseId(0),
            },
        };
        let (id, failure) = self.admit(task, submit.dependencies, submit.nested);
        if let Some(failure) = failure {
            self.fail_task(id.index, &failure);
        } else if self
            .tasks
            .get(id.index)
            .is_some_and(|task| task.waiting == 0)
        {
            self.on_arguments_ready(id.index);
        }
        id
    }

    /// Makes the results and holds the arguments; returns why the task cannot run, if it cannot.
    pub(super) fn admit(
        &mut self,
        mut task: Task<P>,
        dependencies: &[ObjectId],
        nested: &[ObjectId],
    ) -> (TaskId, Option<Arc<Failure>>) {
        let index = self.take_indexes(u64::from(task.returns).max(1));
        for position in 0..u64::from(task.returns) {
            self.owned.insert(index + position, Owned::new(index));
        }
        let mut failure = None;
        for object in dependencies {
            match self.depend(index, *object) {
                Ok(must_wait) => {
                    task.waiting += u32::from(must_wait);
                    task.held.push(*object);
                }
                Err(reason) => {
                    if !matches!(*reason, Failure::ObjectFreed(_)) {
                        task.held.push(*object);
                    }
                    failure.get_or_insert(reason);
                }
            }
        }
        task.arguments = u32::try_from(task.held.len()).unwrap_or(u32::MAX);
        for object in nested {
            self.hold(*object);
            task.held.push(*object);
        }
        self.tasks.insert(index, task);
        (
            TaskId {
                owner: self.process,
                index,
            },
            failure,
        )
    }

    pub(super) fn hold(&mut self, object: ObjectId) {
        if object.owner == self.process {
            // Nested references count like arguments, so that `undepend` ends both.
            self.add_dependent(object.index);
        } else {
            self.add_borrowed_dependent(object);
        }
    }

    /// Arguments of tasks have an outcome.
    pub(super) fn wake_tasks(&mut self, tasks: Vec<u64>, object: ObjectId) {
        let failure = match self.state(object) {
            super::ObjectState::Failed(failure) => Some(failure),
            _ => None,
        };
        for index in tasks {
            let Some(task) = self.tasks.get_mut(index) else {
                continue;
            };
            if let Some(failure) = &failure {
                let kind = task.kind;
                self.fail_task(index, failure);
                if let Kind::Call { actor, .. } = kind {
                    self.pump_actor(actor);
                }
                continue;
            }
            task.waiting -= 1;
            if task.waiting > 0 {
                continue;
            }
            match task.kind {
                Kind::Task { .. } => self.on_arguments_ready(index),
                Kind::Call { actor, .. } => self.pump_actor(actor),
            }
        }
    }

    /// A call ended at its executor; stale attempts and executors are ignored.
    pub fn on_task_done(
        &mut self,
        task: TaskId,
        attempt: u32,
        worker: ProcessId,
        outcome: Result<Vec<(V, Vec<ObjectId>)>, Failure>,
        exec_nanos: u64,
        now: Time,
    ) {
        self.now = now;
        let index = task.index;
        let Some(found) = self.tasks.get_mut(index) else {
            return;
        };
        let is_stale = found.attempt != attempt && !is_planted(Bug::StaleAttemptAccepted);
        if is_stale || found.stage != Stage::Sent(worker) {
            return;
        }
        let kind = found.kind;
        let retries = found.retries_left != 0
            && !found.is_cancelled
            && outcome
                .as_ref()
                .is_err_and(|failure| self.retries.cover(found.retry_failures, failure));
        if retries {
            found.attempt += 1;
            found.retries_left -= i32::from(found.retries_left > 0);
        }
        if let Kind::Task { shape, lease } = kind {
            let queue = &mut self.shapes[shape.0 as usize];
            let exec_nanos = exec_nanos.max(1);
            queue.mean_nanos = match queue.mean_nanos {
                0 => exec_nanos,
                mean => (mean * 7 + exec_nanos) / 8 + 1,
            };
            if let Some(held) = self.leases.get_mut(&lease) {
                held.is_blocked = false;
                if held.in_flight.front() == Some(&index) {
                    held.in_flight.pop_front();
                } else {
                    held.in_flight.retain(|other| *other != index);
                }
                self.give_back_recalled(lease);
            }
        }
        if retries {
            match kind {
                Kind::Task { .. } => self.enqueue(index, true),
                Kind::Call { actor, .. } => self.requeue_call(actor, index),
            }
        } else {
            match outcome {
                Ok(values) => self.finish(index, values),
                Err(failure) => self.fail_task(index, &Arc::new(failure)),
            }
        }
        match kind {
            Kind::Task { shape, .. } => self.dispatch(shape, now),
            Kind::Call { actor, .. } => self.on_call_ended(actor),
        }
    }

    fn finish(&mut self, index: u64, mut values: Vec<(V, Vec<ObjectId>)>) {
        let Some(task) = self.tasks.remove(index) else {
            return;
        };
        if task.is_stream {
            if let Some(fault) = self.fault_of_replay(index, task.attempt) {
                return self.fail_ended(index, task, &fault);
            }
            self.end_stream(index, None);
        }
        if values.len() < usize::from(task.returns) {
            let text = format!(
                "the call returned {} values and not {}",
                values.len(),
                task.returns
            );
            let failure = Arc::new(Failure::System(text));
            for position in 0..u64::from(task.returns) {
                self.publish(index + position, Err(failure.clone()));
            }
        } else if values.len() == 1 {
            if let Some(value) = values.pop() {
                self.publish(index, Ok(value));
            }
        } else {
            for (position, value) in values
                .into_iter()
                .take(usize::from(task.returns))
                .enumerate()
            {
                self.publish(index + position as u64, Ok(value));
            }
        }
        self.let_go(task);
    }

    /// Ends a task without values.
    pub(super) fn fail_task(&mut self, index: u64, failure: &Arc<Failure>) {
        if let Some(task) = self.tasks.remove(index) {
            self.fail_ended(index, task, failure);
        }
    }

    fn fail_ended(&mut self, index: u64, task: Task<P>, failure: &Arc<Failure>) {
        if task.is_stream {
            self.end_stream(index, Some(failure.clone()));
        }
        for position in 0..u64::from(task.returns) {
            self.publish(index + position, Err(failure.clone()));
        }
        self.let_go(task);
    }

    fn let_go(&mut self, task: Task<P>) {
        for object in task.held {
            self.undepend(object);
        }
    }

    /// The executor gave a task back without starting it.
    pub fn on_task_handed_back(
        &mut self,
        task: TaskId,
        attempt: u32,
        worker: ProcessId,
        now: Time,
    ) {
        self.now = now;
        let Some(found) = self.tasks.get(task.index) else {
            return;
        };
        if found.attempt != attempt || found.stage != Stage::Sent(worker) {
            return;
        }
        let Kind::Task { shape, lease } = found.kind else {
            return;
        };
        if let Some(held) = self.leases.get_mut(&lease) {
            held.in_flight.retain(|other| *other != task.index);
            held.is_blocked = !held.in_flight.is_empty();
        }
        let is_cancelled = found.is_cancelled;
        self.give_back_recalled(lease);
        if is_cancelled {
            self.fail_task(task.index, &Arc::new(Failure::Cancelled));
        } else {
            self.enqueue(task.index, true);
        }
        self.dispatch(shape, now);
    }

    /// Cancels the call that makes an object; no effect when it has ended.
    ///
    /// # Errors
    /// `InvalidOption` for `force` on a method of an actor.
    pub fn cancel(
        &mut self,
        object: ObjectId,
        force: bool,
        recursive: bool,
        now: Time,
    ) -> Result<(), Failure> {
        self.now = now;
        if object.owner != self.process {
            let owner = object.owner;
            self.commands.push_back(Command::ForwardCancel {
                owner,
                object,
                force,
                recursive,
            });
            return Ok(());
        }
        let Some(index) = self
            .owned
            .get(object.index)
            .map(|owned| owned.task)
            .filter(|task| *task != 0)
        else {
            return Ok(());
        };
        self.cancel_task(index, force, recursive, now)
    }

    fn cancel_task(
        &mut self,
        index: u64,
        force: bool,
        recursive: bool,
        now: Time,
    ) -> Result<(), Failure> {
        let id = TaskId {
            owner: self.process,
            index,
        };
        let Some(task) = self.tasks.get_mut(index) else {
            return Ok(());
        };
        if force && matches!(task.kind, Kind::Call { .. }) {
            return Err(Failure::InvalidOption {
                option: "force".into(),
                reason: "a method of an actor cannot be ended by force; kill the actor instead"
                    .into(),
            });
        }
        match (task.stage, task.kind) {
            (Stage::Sent(worker), _) => {
                task.is_cancelled = true;
                self.commands.push_back(Command::SendCancel {
                    worker,
                    task: id,
                    force,
                    recursive,
                });
            }
            (_, Kind::Task { shape, .. }) => {
                self.queue_of(shape).queue.retain(|other| *other != index);
                self.fail_task(index, &Arc::new(Failure::Cancelled));
                self.dispatch(shape, now);
            }
            (_, Kind::Call { actor, .. }) => {
                self.fail_task(index, &Arc::new(Failure::Cancelled));
                self.pump_actor(actor);
            }
        }
        Ok(())
    }

    /// Returns a line a call that has not ended, in the order of submission: where it is.
    pub fn describe_tasks(&self) -> Vec<String> {
        let mut tasks = self.tasks.iter().collect::<Vec<_>>();
        tasks.sort_unstable_by_key(|(index, _)| *index);
        let describe = |(index, task): (u64, &Task<P>)| {
            format!(
                "t{:x}.{index}: {:?} {:?}, attempt {}, waits for {} arguments",
                self.process.0, task.kind, task.stage, task.attempt, task.waiting
            )
        };
        tasks.into_iter().map(describe).collect()
    }

    /// Cancels everything that a call running here has submitted.
    pub fn cancel_children(&mut self, parent: TaskId, now: Time) {
        self.now = now;
        let mut children = self
            .tasks
            .iter()
            .filter(|(_, task)| task.parent == parent)
            .map(|(index, _)| index)
            .collect::<Vec<_>>();
        children.sort_unstable();
        for index in children {
            let _never_forced = self.cancel_task(index, false, true, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queued_task_takes_little() {
        // Millions may be queued; a page holds them in place, so an entry is exactly this large.
        assert_eq!(size_of::<Option<Task<Arc<()>>>>(), 120);
        assert_eq!(size_of::<Option<Owned<Arc<()>>>>(), 48);
    }
}
