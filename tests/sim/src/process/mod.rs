//! The submitting side of one process: the owner table, its commands carried out.
//!
//! It follows `ray-core/src/worker/submit.rs` and `runtime/inbound.rs` step by step: who is connected, who
//! is known to be dead, what waits for an address, in which order handles are counted around a message.

mod calls;
mod creations;
mod inbound;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ray_engine::{
    failure::{Failure, WorkerExit},
    ids::{ActorId, ObjectId, ProcessId},
    owner::{Command, Limits, Owner},
};

use crate::{
    executor::Executor,
    user::Context,
    wire::{Creation, Message, Payload, Target, Value},
    world::{DRIVER, World},
};

/// One process that lives.
pub struct Process {
    /// Its owner table.
    pub owner: Owner<Rc<Payload>, Value>,
    /// Whom it is connected to.
    pub peers: BTreeSet<ProcessId>,
    /// Messages for processes whose address was asked for.
    locating: BTreeMap<ProcessId, Vec<Message>>,
    /// Processes that it knows to be gone.
    pub dead: BTreeSet<ProcessId>,
    /// Constructors of the actors that it created, with handles of their arguments.
    pub creations: BTreeMap<ActorId, Rc<Payload>>,
    /// The objects whose end means that nobody holds a handle of the actor any more.
    pub actor_holds: BTreeMap<ObjectId, ActorId>,
    /// Creations whose arguments are not there yet.
    unready: Vec<(Creation, Vec<ObjectId>)>,
    /// What it runs; a driver runs nothing.
    pub executor: Option<Executor>,
    /// User code that has begun.
    pub contexts: BTreeMap<u64, Context>,
    /// Which contexts wait for an object.
    pub waiters: BTreeMap<ObjectId, Vec<u64>>,
    /// By how much everything here takes longer.
    pub slowness: u64,
    /// When the owner table is looked at next.
    pub tick_at: Option<ray_engine::time::Time>,
}

impl Process {
    /// Returns a process that has just started.
    pub fn new(id: ProcessId, executor: Option<Executor>, slowness: u64) -> Process {
        Process {
            owner: Owner::new(id, Limits::default()),
            peers: BTreeSet::new(),
            locating: BTreeMap::new(),
            dead: BTreeSet::new(),
            creations: BTreeMap::new(),
            actor_holds: BTreeMap::new(),
            unready: Vec::new(),
            executor,
            contexts: BTreeMap::new(),
            waiters: BTreeMap::new(),
            slowness,
            tick_at: None,
        }
    }

    /// Returns whether others may need something of it, so that it must not be stopped for being idle.
    pub fn is_needed(&self) -> bool {
        self.owner.pending_tasks() > 0 || self.owner.owned_objects() > 0
    }
}

impl World {
    /// Returns a process that the caller knows to be alive.
    pub(crate) fn process(&mut self, id: ProcessId) -> &mut Process {
        self.processes
            .get_mut(&id)
            .expect("the caller knows that it is alive")
    }

    /// Sends a control message as `Core::send` does.
    pub(crate) fn send(&mut self, from: ProcessId, to: ProcessId, message: Message) {
        let process = self.process(from);
        if to == from || process.peers.contains(&to) {
            return self.post(from, to, message);
        }
        if process.dead.contains(&to) {
            return;
        }
        let waiting = process.locating.entry(to).or_default();
        waiting.push(message);
        if waiting.len() == 1 {
            self.send(from, DRIVER, Message::Locate(to));
        }
    }

    /// Notes that a process can be reached; what waited for its address leaves first.
    pub(crate) fn on_address(&mut self, at: ProcessId, other: ProcessId) {
        let process = self.process(at);
        if other == at || process.dead.contains(&other) || !process.peers.insert(other) {
            return;
        }
        for message in process.locating.remove(&other).unwrap_or_default() {
            self.send(at, other, message);
        }
    }

    fn on_located(&mut self, at: ProcessId, other: ProcessId, is_there: bool) {
        if is_there {
            self.on_address(at, other);
        } else {
            self.on_process_died(at, other);
        }
    }

    /// Everything that hung on `dead` ends or is retried.
    pub(crate) fn on_process_died(&mut self, at: ProcessId, dead: ProcessId) {
        let now = self.now;
        let process = self.process(at);
        if !process.dead.insert(dead) {
            return;
        }
        process.locating.remove(&dead);
        process.peers.remove(&dead);
        let exit = WorkerExit {
            worker: dead,
            ..WorkerExit::default()
        };
        process
            .owner
            .on_process_died(dead, Failure::WorkerCrashed(exit), now);
        self.settle(at);
    }

    /// Carries out what the owner table wishes, until it is still.
    pub(crate) fn settle(&mut self, at: ProcessId) {
        while let Some(command) = self.process(at).owner.poll_command() {
            self.run_command(at, command);
        }
        let process = self.process(at);
        if let Some(due) = process.owner.poll_timeout()
            && process.tick_at.is_none_or(|armed| due < armed)
        {
            process.tick_at = Some(due);
            self.wake_owner(at, due);
        }
    }

    fn run_command(&mut self, at: ProcessId, command: Command<Value>) {
        match command {
            Command::SendTask {
                task,
                attempt,
                lease,
                worker,
            } => self.send_call(at, task, attempt, worker, Target::Task(lease)),
            Command::SendCall {
                task,
                attempt,
                actor,
                process,
                incarnation,
                ..
            } => self.send_call(
                at,
                task,
                attempt,
                process,
                Target::Method(actor, incarnation),
            ),
            Command::Resolved { object } => self.on_resolved(at, object),
            Command::Free { object, .. } => {
                if let Some(actor) = self.process(at).actor_holds.remove(&object) {
                    self.send(at, DRIVER, Message::HandlesGone(actor));
                }
            }
            Command::OpenCredit {
                owner,
                object,
                receiver,
            } => self.send(at, owner, Message::OpenCredit(object, receiver)),
            Command::ReleaseCredits {
                owner,
                object,
                credits,
            } => self.send(at, owner, Message::ReleaseCredits(object, credits)),
            Command::AskOwner { owner, object } => self.send(at, owner, Message::Ask(object)),
            Command::Answer { to, object } => self.answer(at, to, object),
            Command::SendCancel {
                worker,
                task,
                force,
                recursive,
            } => {
                if force {
                    self.send(at, DRIVER, Message::KillWorker(worker));
                } else {
                    self.send(at, worker, Message::Cancel { task, recursive });
                }
            }
            Command::ForwardCancel {
                owner,
                object,
                force,
                recursive,
            } => self.send(
                at,
                owner,
                Message::CancelObject {
                    object,
                    force,
                    recursive,
                },
            ),
            Command::RequestLease { request, shape } => {
                self.send(at, DRIVER, Message::RequestLease(request, shape));
            }
            Command::CancelLeaseRequest { request } => {
                self.send(at, DRIVER, Message::CancelLeaseRequest(request));
            }
            Command::ReturnLease { lease } => self.send(at, DRIVER, Message::ReturnLease(lease)),
            // Streams are not played here, and a warning changes nothing.
            Command::ReportTaken { .. } | Command::WarnPending { .. } => {}
            Command::WatchActor { actor } => self.send(at, DRIVER, Message::WatchActor(actor)),
        }
    }

    /// Counts one handle less, as dropping an `ObjectRef` does.
    pub(crate) fn drop_handle(&mut self, at: ProcessId, object: ObjectId) {
        self.process(at).owner.drop_handle(object);
        self.settle(at);
    }

    /// Counts one more handle of something that this process holds.
    pub(crate) fn add_handle(&mut self, at: ProcessId, object: ObjectId) {
        self.process(at).owner.add_handle(object);
    }
}
