//! Tasks: arguments, queues, leases, retries, cancels.

use std::{collections::VecDeque, sync::Arc};

use super::{Command, Owner, ShapeId, references::Owned};
use crate::{
    failure::Failure,
    ids::{ActorId, LeaseId, ObjectId, ProcessId, RequestId, TaskId},
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
    /// Whether a failure of user code uses up a retry instead of ending the task.
    pub retry_failures: bool,
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
    pub(super) retry_failures: bool,
    pub(super) held: Vec<ObjectId>,
    pub(super) parent: Option<TaskId>,
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

#[derive(Default)]
pub(super) struct ShapeQueue {
    queue: VecDeque<u64>,
    leases: Vec<LeaseId>,
    requests: VecDeque<RequestId>,
    /// A running mean of how long a task runs; nanoseconds, 0 before the first.
    mean_nanos: u64,
}

pub(super) struct Lease {
    worker: ProcessId,
    shape: ShapeId,
    /// Tasks sent and not ended, the running one first.
    in_flight: VecDeque<u64>,
    is_recalled: bool,
    /// Whether the worker's task blocks or takes long: nothing is sent behind it.
    is_blocked: bool,
    idle_since: Option<Time>,
}

impl<P: Clone, V: Clone> Owner<P, V> {
    /// Submits a task; each of its results has one handle.
    pub fn submit_task(&mut self, submit: TaskSubmit<'_, P>, now: Time) -> TaskId {
        let shape = submit.shape;
        let task = Task {
            payload: submit.payload,
            returns: submit.returns,
            attempt: 0,
            retries_left: submit.max_retries,
            retry_failures: submit.retry_failures,
            held: Vec::new(),
            parent: submit.parent,
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
            .get(&id.index)
            .is_some_and(|task| task.waiting == 0)
        {
            self.enqueue(id.index, false);
            self.dispatch(shape, now);
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

    fn hold(&mut self, object: ObjectId) {
        if object.owner == self.process {
            // Nested references count like arguments, so that `undepend` ends both.
            self.add_dependent(object.index);
        } else {
            self.add_handle(object);
        }
    }

    /// Arguments of tasks have an outcome.
    pub(super) fn wake_tasks(&mut self, tasks: Vec<u64>, object: ObjectId) {
        let failure = match self.state(object) {
            super::ObjectState::Failed(failure) => Some(failure),
            _ => None,
        };
        for index in tasks {
            let Some(task) = self.tasks.get_mut(&index) else {
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
                Kind::Task { shape, .. } => {
                    self.enqueue(index, false);
                    self.dispatch(shape, Time::default());
                }
                Kind::Call { actor, .. } => self.pump_actor(actor),
            }
        }
    }

    fn queue_of(&mut self, shape: ShapeId) -> &mut ShapeQueue {
        let at = shape.0 as usize;
        if self.shapes.len() <= at {
            self.shapes.resize_with(at + 1, ShapeQueue::default);
        }
        &mut self.shapes[at]
    }

    fn enqueue(&mut self, index: u64, at_front: bool) {
        let Some(task) = self.tasks.get_mut(&index) else {
            return;
        };
        task.stage = Stage::Queued;
        let Kind::Task { shape, .. } = task.kind else {
            return;
        };
        let queue = &mut self.queue_of(shape).queue;
        if at_front {
            queue.push_front(index);
        } else {
            queue.push_back(index);
        }
    }

    /// Sends queued tasks to leased workers, asks for more leases, or gives some up.
    fn dispatch(&mut self, shape: ShapeId, now: Time) {
        let limits = self.limits;
        loop {
            let queue = self.queue_of(shape);
            if queue.queue.is_empty() {
                break;
            }
            let window = match queue.mean_nanos {
                0 => 1,
                mean => u32::try_from(limits.window_nanos / mean)
                    .unwrap_or(u32::MAX)
                    .clamp(1, limits.window),
            };
            let best = self.shapes[shape.0 as usize]
                .leases
                .iter()
                .filter_map(|id| self.leases.get(id).map(|lease| (id, lease)))
                .filter(|(_, lease)| !lease.is_recalled && !lease.is_blocked)
                .map(|(id, lease)| (lease.in_flight.len(), *id))
                .min();
            let Some((_, lease)) = best.filter(|(load, _)| *load < window as usize) else {
                break;
            };
            let Some(index) = self.shapes[shape.0 as usize].queue.pop_front() else {
                break;
            };
            let Some(task) = self.tasks.get_mut(&index) else {
                continue;
            };
            let held = self
                .leases
                .get_mut(&lease)
                .expect("taken from the list of leases");
            held.in_flight.push_back(index);
            held.idle_since = None;
            task.stage = Stage::Sent(held.worker);
            task.kind = Kind::Task { shape, lease };
            let id = TaskId {
                owner: self.process,
                index,
            };
            let (attempt, worker) = (task.attempt, held.worker);
            self.commands.push_back(Command::SendTask {
                task: id,
                attempt,
                lease,
                worker,
            });
        }
        let queue = &mut self.shapes[shape.0 as usize];
        let wanted = queue.queue.len().min(limits.requests_per_shape);
        while queue.requests.len() < wanted {
            let request = RequestId(self.next_request);
            self.next_request += 1;
            queue.requests.push_back(request);
            self.commands
                .push_back(Command::RequestLease { request, shape });
        }
        if queue.queue.is_empty() {
            for request in queue.requests.drain(..) {
                self.commands
                    .push_back(Command::CancelLeaseRequest { request });
            }
            self.rest(shape, now);
        }
    }

    /// Notes leases of a shape that have nothing to do; recalled ones go back.
    fn rest(&mut self, shape: ShapeId, now: Time) {
        let ids = self.shapes[shape.0 as usize].leases.clone();
        for id in ids {
            let Some(lease) = self.leases.get_mut(&id) else {
                continue;
            };
            if !lease.in_flight.is_empty() {
                continue;
            }
            if lease.is_recalled {
                self.give_back(id);
            } else if lease.idle_since.is_none() {
                lease.idle_since = Some(now);
                self.idle.push_back((now, id));
            }
        }
    }

    fn give_back(&mut self, id: LeaseId) {
        if let Some(lease) = self.leases.remove(&id) {
            self.shapes[lease.shape.0 as usize]
                .leases
                .retain(|other| *other != id);
            self.commands.push_back(Command::ReturnLease { lease: id });
        }
    }

    /// Gives leases back that have been idle for long.
    pub fn on_timeout(&mut self, now: Time) {
        while let Some((since, id)) = self.idle.front().copied() {
            if now.since(since).as_nanos() < u128::from(self.limits.idle_nanos) {
                return;
            }
            self.idle.pop_front();
            if self
                .leases
                .get(&id)
                .is_some_and(|lease| lease.idle_since == Some(since))
            {
                self.give_back(id);
            }
        }
    }

    /// The node granted a worker.
    pub fn on_lease_granted(
        &mut self,
        request: RequestId,
        lease: LeaseId,
        worker: ProcessId,
        now: Time,
    ) {
        let position = self
            .shapes
            .iter()
            .position(|queue| queue.requests.contains(&request));
        let Some(position) = position else {
            // It was cancelled while the grant was on its way.
            self.commands.push_back(Command::ReturnLease { lease });
            return;
        };
        let shape = ShapeId(position as u32);
        let queue = &mut self.shapes[position];
        queue.requests.retain(|other| *other != request);
        queue.leases.push(lease);
        self.leases.insert(
            lease,
            Lease {
                worker,
                shape,
                in_flight: VecDeque::new(),
                is_recalled: false,
                is_blocked: false,
                idle_since: None,
            },
        );
        self.dispatch(shape, now);
    }

    /// The node will never grant the request; the shape's tasks fail.
    pub fn on_lease_refused(&mut self, request: RequestId, failure: Failure, _now: Time) {
        let Some(queue) = self
            .shapes
            .iter_mut()
            .find(|queue| queue.requests.contains(&request))
        else {
            return;
        };
        let requests = std::mem::take(&mut queue.requests);
        let tasks = std::mem::take(&mut queue.queue);
        for other in requests.into_iter().filter(|other| *other != request) {
            self.commands
                .push_back(Command::CancelLeaseRequest { request: other });
        }
        let failure = Arc::new(failure);
        for index in tasks {
            self.fail_task(index, &failure);
        }
    }

    /// Others wait for the worker: it goes back as soon as it has nothing in flight.
    pub fn on_lease_recalled(&mut self, lease: LeaseId, now: Time) {
        let Some(held) = self.leases.get_mut(&lease) else {
            return;
        };
        held.is_recalled = true;
        let shape = held.shape;
        if held.in_flight.is_empty() {
            self.give_back(lease);
        }
        self.dispatch(shape, now);
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
        let index = task.index;
        let Some(found) = self.tasks.get_mut(&index) else {
            return;
        };
        if found.attempt != attempt || found.stage != Stage::Sent(worker) {
            return;
        }
        let kind = found.kind;
        let retries = found.retry_failures
            && found.retries_left != 0
            && !found.is_cancelled
            && matches!(outcome, Err(Failure::Task(_)));
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
        let Some(task) = self.tasks.remove(&index) else {
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
        if let Some(task) = self.tasks.remove(&index) {
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
        let Some(found) = self.tasks.get(&task.index) else {
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
        if found.is_cancelled {
            self.fail_task(task.index, &Arc::new(Failure::Cancelled));
        } else {
            self.enqueue(task.index, true);
        }
        self.dispatch(shape, now);
    }

    pub(super) fn fail_worker(&mut self, worker: ProcessId, failure: &Failure, now: Time) {
        let mut lost = self
            .leases
            .iter()
            .filter(|(_, lease)| lease.worker == worker)
            .map(|(id, _)| *id)
            .collect::<Vec<_>>();
        lost.sort_unstable();
        let mut touched = Vec::new();
        for id in lost {
            let Some(lease) = self.leases.remove(&id) else {
                continue;
            };
            self.shapes[lease.shape.0 as usize]
                .leases
                .retain(|other| *other != id);
            touched.push(lease.shape);
            // The oldest was running; those behind it had not started and pay nothing.
            for (position, index) in lease.in_flight.into_iter().enumerate().rev() {
                let Some(task) = self.tasks.get_mut(&index) else {
                    continue;
                };
                let was_running = position == 0;
                if task.is_cancelled {
                    self.fail_task(index, &Arc::new(Failure::Cancelled));
                } else if was_running && task.retries_left == 0 {
                    let mut failure = failure.clone();
                    if let Failure::WorkerCrashed(exit) = &mut failure {
                        exit.attempt = task.attempt;
                    }
                    self.fail_task(index, &Arc::new(failure));
                } else {
                    task.attempt += 1;
                    if was_running && task.retries_left > 0 {
                        task.retries_left -= 1;
                    }
                    self.enqueue(index, true);
                }
            }
        }
        for shape in touched {
            self.dispatch(shape, now);
        }
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
            .get(&object.index)
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
        let Some(task) = self.tasks.get_mut(&index) else {
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

    /// Cancels everything that a call running here has submitted.
    pub fn cancel_children(&mut self, parent: TaskId, now: Time) {
        let mut children = self
            .tasks
            .iter()
            .filter(|(_, task)| task.parent == Some(parent))
            .map(|(index, _)| *index)
            .collect::<Vec<_>>();
        children.sort_unstable();
        for index in children {
            let _never_forced = self.cancel_task(index, false, true, now);
        }
    }
}
