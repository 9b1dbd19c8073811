//! Leases: workers asked for, used by the tasks of one shape, given back.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Command, Owner, ShapeId,
    tasks::{Kind, Stage},
};
use crate::{
    failure::Failure,
    ids::{LeaseId, ProcessId, RequestId, TaskId},
    planted::{Bug, is_planted},
    time::Time,
};

#[derive(Default)]
pub(super) struct ShapeQueue {
    pub(super) queue: VecDeque<u64>,
    pub(super) leases: Vec<LeaseId>,
    pub(super) requests: VecDeque<RequestId>,
    /// A running mean of how long a task runs; nanoseconds, 0 before the first.
    pub(super) mean_nanos: u64,
    /// Whether its tasks may go where their arguments are.
    pub(super) follows: bool,
}

pub(super) struct Lease {
    pub(super) worker: ProcessId,
    pub(super) shape: ShapeId,
    /// Tasks sent and not ended, the running one first.
    pub(super) in_flight: VecDeque<u64>,
    pub(super) is_recalled: bool,
    /// Whether the worker runs nothing more and ends once it is given back.
    pub(super) retires: bool,
    /// Whether the worker's task blocks or takes long: nothing is sent behind it.
    pub(super) is_blocked: bool,
    pub(super) idle_since: Option<Time>,
}

impl Lease {
    pub(super) fn worker(&self) -> ProcessId {
        self.worker
    }
}

impl ShapeQueue {
    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

impl<P: Clone, V: Clone> Owner<P, V> {
    pub(super) fn queue_of(&mut self, shape: ShapeId) -> &mut ShapeQueue {
        let at = shape.0 as usize;
        if self.shapes.len() <= at {
            self.shapes.resize_with(at + 1, ShapeQueue::default);
        }
        &mut self.shapes[at]
    }

    pub(super) fn enqueue(&mut self, index: u64, at_front: bool) {
        let Some(task) = self.tasks.get_mut(index) else {
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
    pub(super) fn dispatch(&mut self, shape: ShapeId, now: Time) {
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
            let open = best.filter(|(load, _)| *load < window as usize);
            let own = open.map(|(_, lease)| lease);
            let Some(lease) = own.or_else(|| self.borrow_idle(shape)) else {
                break;
            };
            let Some(index) = self.shapes[shape.0 as usize].queue.pop_front() else {
                break;
            };
            let Some(task) = self.tasks.get_mut(index) else {
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

    /// Notes leases of a shape that have nothing to do.
    fn rest(&mut self, shape: ShapeId, now: Time) {
        let ids = self.shapes[shape.0 as usize].leases.clone();
        for id in ids {
            let Some(lease) = self.leases.get_mut(&id) else {
                continue;
            };
            if !lease.in_flight.is_empty() {
                continue;
            }
            if lease.idle_since.is_none() {
                lease.idle_since = Some(now);
                self.idle.push_back((now, id));
            }
        }
    }

    /// Gives a lease back that others wait for, as soon as it has nothing in flight: its queue may be
    /// waiting for what the others hold up.
    pub(super) fn give_back_recalled(&mut self, id: LeaseId) {
        if is_planted(Bug::RecalledLeaseKept) && !self.shapes.iter().all(ShapeQueue::is_empty) {
            return;
        }
        if self
            .leases
            .get(&id)
            .is_some_and(|lease| lease.is_recalled && lease.in_flight.is_empty())
        {
            self.give_back(id);
        }
    }

    fn give_back(&mut self, id: LeaseId) {
        if let Some(lease) = self.leases.remove(&id) {
            self.shapes[lease.shape.0 as usize]
                .leases
                .retain(|other| *other != id);
            self.commands.push_back(match lease.retires {
                true => Command::RetireWorker { lease: id },
                false => Command::ReturnLease { lease: id },
            });
        }
    }

    /// Gives every lease back, for a process that needs none any more.
    pub(super) fn give_back_all(&mut self) {
        let mut held = self.leases.keys().copied().collect::<Vec<_>>();
        held.sort_unstable();
        for lease in held {
            self.give_back(lease);
        }
    }

    /// A worker runs nothing after the call that it is about to answer: what was sent behind that one comes
    /// back unstarted, and the lease is given back for the worker to end.
    pub fn on_worker_retires(&mut self, worker: ProcessId, now: Time) {
        self.now = now;
        let mut held = Vec::new();
        for (id, lease) in &mut self.leases {
            if lease.worker == worker {
                lease.is_recalled = true;
                lease.retires = true;
                held.push(*id);
            }
        }
        for lease in held {
            self.give_back_recalled(lease);
        }
    }

    /// Gives leases back that have been idle for long, and tries tasks again for which there was no memory.
    pub fn on_timeout(&mut self, now: Time) {
        self.now = now;
        self.resume_delayed(now);
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
        self.now = now;
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
        if self.is_dead(worker) {
            // Its death overtook the grant: ask for another.
            self.commands.push_back(Command::ReturnLease { lease });
            return self.dispatch(shape, now);
        }
        let queue = &mut self.shapes[position];
        queue.leases.push(lease);
        self.leases.insert(
            lease,
            Lease {
                worker,
                shape,
                in_flight: VecDeque::new(),
                is_recalled: false,
                retires: false,
                is_blocked: false,
                idle_since: None,
            },
        );
        self.dispatch(shape, now);
    }

    /// The node will never grant the request; the shape's tasks fail.
    pub fn on_lease_refused(&mut self, request: RequestId, failure: Failure, now: Time) {
        self.now = now;
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
        self.now = now;
        let Some(held) = self.leases.get_mut(&lease) else {
            return;
        };
        held.is_recalled = true;
        let shape = held.shape;
        self.give_back_recalled(lease);
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
                let Some(task) = self.tasks.get_mut(index) else {
                    continue;
                };
                let was_running = position == 0;
                if task.is_cancelled {
                    self.fail_task(index, &Arc::new(Failure::Cancelled));
                } else if was_running && matches!(failure, Failure::OutOfMemory(_)) {
                    self.on_out_of_memory(index, failure, now);
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
}
