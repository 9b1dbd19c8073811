//! The owner: what this process submitted, the objects it owns, the references it borrows.
//!
//! # References
//! An id names its owner, so everyone can tell owned from borrowed. A message that carries a reference
//! carries one *credit* of it: before the message leaves, the sender opens the credit with the owner
//! (in its own table when it is the owner). The receiver gives all its credits back when its last
//! handle goes. Open and release travel from one process to the owner in order, and a sender holds the
//! reference until after its open left. A release may overtake an open from a third process: sums are
//! signed, and the object lives while any is above zero. That is enough: of the opens on their way take the
//! one sent first; everything that its sender was given before has been opened, it has not released yet,
//! and so its own sum is above zero. A sum that stays below zero is what a crash leaves of an open that
//! was never sent; it keeps nothing alive. A reference that is sent to its owner needs no credit: the
//! sender's release follows the message on the same connection. What a crash can leave behind is the credit
//! of a message that was lost after its open had left: such an object stays until the receiver ends.
//!
//! # Tasks
//! A task waits for its arguments, then in the queue of its shape for a lease, then runs. The first
//! finished attempt is published, once. Actor calls keep their order per actor.

mod calls;
mod facts;
mod freed;
mod leases;
mod locations;
mod memory;
mod near;
mod object;
mod outcomes;
mod references;
mod retries;
mod streams;
mod tasks;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    failure::Failure,
    ids::{ActorId, LeaseId, ObjectId, ProcessId, RequestId, TaskId},
    table::Table,
    time::Time,
};

pub use calls::{ActorState, CallSubmit};
pub use facts::{ObjectFacts, TaskFacts, TaskStage};
pub use locations::Held;
pub use near::Locate;
pub use streams::NextItem;
pub use tasks::TaskSubmit;

use calls::ActorQueue;
use freed::Doomed;
use leases::{Lease, ShapeQueue};
use locations::Locations;
use near::Near;
use object::{Borrowed, Owned};
use retries::RetryTable;
use streams::Stream;
use tasks::{Kind, Task};

/// Stands for one set of resources in this owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShapeId(pub u32);

/// Bounds of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Lease requests of one shape that wait at the node.
    pub requests_per_shape: usize,
    /// Tasks in flight on one lease.
    pub window: u32,
    /// Work that may wait on one worker; nanoseconds.
    pub window_nanos: u64,
    /// How long an idle lease is kept; nanoseconds.
    pub idle_nanos: u64,
    /// Pending calls at one actor of which the user is warned, and again at each doubling.
    pub pending_warned: u64,
    /// Arguments of fewer bytes on another node are brought to the task, not the task to them.
    pub near_bytes: u64,
    /// Tries of a task after its worker was ended for want of memory; negative for no limit.
    pub oom_retries: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            requests_per_shape: 16,
            window: 512,
            window_nanos: 1_000_000,
            idle_nanos: 20_000_000,
            pending_warned: 5000,
            near_bytes: 100 << 10,
            oom_retries: -1,
        }
    }
}

/// What the owner wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the fields are named after the types that say what they are"
)]
pub enum Command<V> {
    /// Ask the node for a worker of this shape.
    RequestLease { request: RequestId, shape: ShapeId },
    /// Take a question back that was not answered yet.
    CancelLeaseRequest { request: RequestId },
    /// Give the right to a worker back.
    ReturnLease { lease: LeaseId },
    /// Give it back with a worker that runs nothing more: its node ends it.
    RetireWorker { lease: LeaseId },
    /// Send a task whose arguments are all there.
    SendTask {
        task: TaskId,
        attempt: u32,
        lease: LeaseId,
        worker: ProcessId,
    },
    /// Send a method call; `seq` counts up per incarnation.
    SendCall {
        task: TaskId,
        attempt: u32,
        actor: ActorId,
        process: ProcessId,
        incarnation: u64,
        seq: u64,
    },
    /// Tell whoever watches that the object has an outcome.
    Resolved { object: ObjectId },
    /// Free the value of an object that nobody references.
    Free { object: ObjectId, value: V },
    /// Tell an owner that its object is to be freed, whoever refers to it.
    ForwardFree { owner: ProcessId, object: ObjectId },
    /// Tell a borrower that an object is freed; it answers once it looks at it no more.
    TellFreed { to: ProcessId, object: ObjectId },
    /// Tell an owner that its freed object is not looked at any more, once nobody here does.
    LetGo { object: ObjectId, value: Option<V> },
    /// Tell an owner that `receiver` is about to have one more credit.
    OpenCredit {
        owner: ProcessId,
        object: ObjectId,
        receiver: ProcessId,
    },
    /// Give credits back.
    ReleaseCredits {
        owner: ProcessId,
        object: ObjectId,
        credits: u32,
    },
    /// Ask an owner for a value.
    AskOwner { owner: ProcessId, object: ObjectId },
    /// Answer a borrower with the object's outcome.
    Answer { to: ProcessId, object: ObjectId },
    /// Tell a worker to cancel a call, or end it when `force`.
    SendCancel {
        worker: ProcessId,
        task: TaskId,
        force: bool,
        recursive: bool,
    },
    /// Hand a cancel to the object's owner.
    ForwardCancel {
        owner: ProcessId,
        object: ObjectId,
        force: bool,
        recursive: bool,
    },
    /// Ask the directory how an actor is, now and from now on.
    WatchActor { actor: ActorId },
    /// Tell a producer how many of its items are taken; `u64::MAX` when nobody wants any.
    ReportTaken {
        worker: ProcessId,
        task: TaskId,
        taken: u64,
    },
    /// Warn the user that so many calls of this process wait at an actor.
    WarnPending { actor: ActorId, pending: u64 },
    /// End this process: nobody needs what it owned any more.
    Leave,
}

/// What is known of an object.
#[derive(Debug, PartialEq, Eq)]
pub enum ObjectState<'a, V> {
    /// No outcome yet.
    Pending,
    /// The value.
    Ready(&'a V),
    /// Why there is no value.
    Failed(Arc<Failure>),
    /// Nothing: freed, or never heard of.
    Unknown,
}

/// The state machine; `P` is what a call needs to be sent, `V` a value.
pub struct Owner<P, V> {
    process: ProcessId,
    limits: Limits,
    /// When the last thing happened, for what follows from it.
    now: Time,
    next_index: u64,
    next_request: u64,
    owned: Table<Owned<V>>,
    borrowed: FxHashMap<ObjectId, Borrowed<V>>,
    tasks: Table<Task<P>>,
    retries: RetryTable,
    shapes: Vec<ShapeQueue>,
    leases: FxHashMap<LeaseId, Lease>,
    /// Leases without work and since when, oldest first; stale entries are skipped.
    idle: VecDeque<(Time, LeaseId)>,
    /// Tasks that wait until there may be memory for them.
    delayed: BTreeSet<(Time, u64)>,
    actors: FxHashMap<ActorId, ActorQueue>,
    streams: FxHashMap<u64, Stream>,
    locations: Locations,
    doomed: Doomed<V>,
    near: Near<V>,
    /// Processes that ever had a credit of ours.
    borrowers: FxHashSet<ProcessId>,
    /// Processes that are gone; an id is never used twice.
    dead: FxHashSet<ProcessId>,
    /// Whether the process ends once nobody needs it.
    is_retiring: bool,
    commands: VecDeque<Command<V>>,
}

impl<P: Clone, V: Clone> Owner<P, V> {
    /// Returns the empty owner of `process`.
    pub fn new(process: ProcessId, limits: Limits) -> Owner<P, V> {
        Owner {
            process,
            limits,
            now: Time::default(),
            next_index: 1,
            next_request: 1,
            owned: Table::default(),
            borrowed: FxHashMap::default(),
            tasks: Table::default(),
            retries: RetryTable::default(),
            shapes: Vec::new(),
            leases: FxHashMap::default(),
            idle: VecDeque::new(),
            delayed: BTreeSet::new(),
            actors: FxHashMap::default(),
            streams: FxHashMap::default(),
            locations: Locations::default(),
            doomed: Doomed::default(),
            near: Near::default(),
            borrowers: FxHashSet::default(),
            dead: FxHashSet::default(),
            is_retiring: false,
            commands: VecDeque::new(),
        }
    }

    /// Returns the next wish.
    pub fn poll_command(&mut self) -> Option<Command<V>> {
        if self.commands.is_empty() && self.is_retiring && !self.is_needed() {
            // What is only kept for later would end with this process.
            self.give_back_all();
            self.commands.push_back(Command::Leave);
            self.is_retiring = false;
        }
        self.commands.pop_front()
    }

    /// Returns whether somebody needs what this process submitted or owns.
    pub fn is_needed(&self) -> bool {
        self.pending_tasks() > 0 || self.owned_objects() > 0
    }

    /// The process runs nothing more: it wishes to end as soon as nobody needs it.
    pub fn retire(&mut self) {
        self.is_retiring = true;
    }

    /// Returns when [`Owner::on_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        let idle = self.idle.front();
        let idle = idle.map(|(since, _)| Time(since.0 + self.limits.idle_nanos));
        let delayed = self.delayed.first().map(|(due, _)| *due);
        idle.into_iter().chain(delayed).min()
    }

    /// Takes `count` indexes of this owner; the first is returned.
    pub fn take_indexes(&mut self, count: u64) -> u64 {
        let first = self.next_index;
        self.next_index += count;
        first
    }

    /// Returns what a call needs to be sent.
    pub fn payload(&self, task: TaskId) -> Option<&P> {
        self.tasks.get(task.index).map(|task| &task.payload)
    }

    /// Returns who submitted a call; index 0 when no task did.
    pub fn parent(&self, task: TaskId) -> TaskId {
        let found = self.tasks.get(task.index);
        found.map_or_else(TaskId::default, |task| task.parent)
    }

    /// Returns what a task was submitted as; `None` for a method call.
    pub fn shape(&self, task: TaskId) -> Option<ShapeId> {
        match self.tasks.get(task.index)?.kind {
            Kind::Task { shape, .. } => Some(self.base_of(shape).0),
            Kind::Call { .. } => None,
        }
    }

    /// Changes how often a task is tried again after its worker was ended for want of memory.
    pub fn set_oom_retries(&mut self, retries: i32) {
        self.limits.oom_retries = retries;
    }

    /// Returns how many tasks and calls have not ended.
    pub fn pending_tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Returns how many objects it owns.
    pub fn owned_objects(&self) -> usize {
        self.owned.len()
    }

    /// Returns how many objects of others it holds.
    pub fn borrowed_objects(&self) -> usize {
        self.borrowed.len()
    }

    /// Returns how many leases it has.
    pub fn held_leases(&self) -> usize {
        self.leases.len()
    }

    /// Returns the processes that something here hangs on: workers, borrowers, owners of what is borrowed.
    pub fn others(&self) -> BTreeSet<ProcessId> {
        let workers = self.leases.values().map(Lease::worker);
        let owners = self.borrowed.keys().map(|object| object.owner);
        workers
            .chain(owners)
            .chain(self.borrowers.iter().copied())
            .collect()
    }

    /// Returns whether a process is gone, or its node: not all of a node's processes are known when it dies.
    fn is_dead(&self, process: ProcessId) -> bool {
        self.dead.contains(&process) || self.dead.contains(&process.node_process())
    }

    /// A process is gone: as worker, as borrower, as owner of what is borrowed here.
    pub fn on_process_died(&mut self, process: ProcessId, failure: Failure, now: Time) {
        self.now = now;
        self.dead.insert(process);
        self.forget_borrower(process);
        self.fail_borrowed_of(process);
        self.fail_worker(process, &failure, now);
    }
}
