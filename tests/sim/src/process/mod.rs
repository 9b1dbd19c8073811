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
    ids::{ActorId, GroupId, JobId, LeaseId, ObjectId, ProcessId, RequestId},
    owner::{Command, Limits, Owner, ShapeId},
    resources::Resources,
    spec::Placement,
    time::Time,
};

use crate::{
    executor::Executor,
    user::Context,
    wire::{Creation, Location, Message, Payload, Target, Value},
    world::{HEAD, World},
};

/// What tasks of one kind take, and where they are to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What they take.
    pub resources: Resources,
    /// Where they are to run.
    pub placement: Placement,
}

/// The placement group that a worker's lease draws from.
struct Granted {
    group: Option<GroupId>,
    /// Whether this process itself removed the group.
    is_removed: bool,
}

/// One process that lives.
pub struct Process {
    /// Its owner table.
    pub owner: Owner<Rc<Payload>, Value>,
    /// Whose code it has.
    pub job: JobId,
    /// When it began to hear of deaths.
    pub began: Time,
    /// Whom it is connected to.
    pub peers: BTreeSet<ProcessId>,
    /// Node processes that it dials when there is something to say.
    known: BTreeSet<ProcessId>,
    /// The nodes that granted leases, when it was not this process's own.
    lease_nodes: BTreeMap<LeaseId, ProcessId>,
    shapes: Vec<Shape>,
    /// Requests for a place that the control role chooses, and the groups that they name.
    placed: BTreeMap<RequestId, Option<GroupId>>,
    granted: BTreeMap<ProcessId, Granted>,
    /// Messages for processes whose address was asked for.
    locating: BTreeMap<ProcessId, Vec<Message>>,
    /// Processes that it knows to be gone.
    pub dead: BTreeSet<ProcessId>,
    /// Constructors of the actors that it created, with handles of their arguments.
    pub creations: BTreeMap<ActorId, Rc<Payload>>,
    /// The arguments of constructors that may be running.
    constructing: BTreeMap<ActorId, Vec<ObjectId>>,
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
    pub tick_at: Option<Time>,
}

impl Process {
    /// Returns a process that has just started.
    pub fn new(
        id: ProcessId,
        job: JobId,
        began: Time,
        executor: Option<Executor>,
        slowness: u64,
    ) -> Process {
        Process {
            owner: Owner::new(id, Limits::default()),
            job,
            began,
            peers: BTreeSet::new(),
            known: BTreeSet::new(),
            lease_nodes: BTreeMap::new(),
            shapes: Vec::new(),
            placed: BTreeMap::new(),
            granted: BTreeMap::new(),
            locating: BTreeMap::new(),
            dead: BTreeSet::new(),
            creations: BTreeMap::new(),
            constructing: BTreeMap::new(),
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

    /// Returns the actor that lives here.
    pub fn hosted(&self) -> Option<ActorId> {
        let hosted = self.executor.as_ref()?.hosted.as_ref()?;
        Some(hosted.actor)
    }

    /// Notes where a node's process can be reached.
    pub fn know(&mut self, node: ProcessId) {
        self.known.insert(node);
    }

    /// Returns the number that stands for a shape in the owner table.
    pub fn shape_id(&mut self, shape: Shape) -> ShapeId {
        let known = self.shapes.iter().position(|other| *other == shape);
        let position = known.unwrap_or_else(|| {
            self.shapes.push(shape);
            self.shapes.len() - 1
        });
        ShapeId(position as u32)
    }

    /// Notes that this process removes a group: workers that end now were made to.
    pub fn note_removed(&mut self, group: GroupId) {
        for granted in self.granted.values_mut() {
            granted.is_removed |= granted.group == Some(group);
        }
    }

    /// Returns how many different shapes it has asked for.
    pub fn shapes(&self) -> usize {
        self.shapes.len()
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
        if process.dead.contains(&to) {
            return;
        }
        if process.known.contains(&to) {
            process.peers.insert(to);
        }
        if to == from || process.peers.contains(&to) {
            return self.post(from, to, message);
        }
        let waiting = process.locating.entry(to).or_default();
        waiting.push(message);
        if waiting.len() == 1 {
            let who_knows = match to.node_process() == from.node_process() {
                true => from.node_process(),
                false => HEAD,
            };
            self.send(from, who_knows, Message::Locate(to));
        }
    }

    pub(crate) fn send_to_node(&mut self, from: ProcessId, message: Message) {
        self.send(from, from.node_process(), message);
    }

    /// Answers where a process is, as far as this one knows.
    pub(crate) fn on_locate(&mut self, at: ProcessId, from: ProcessId, process: ProcessId) {
        let location = if process == at {
            Location::At
        } else if process.node_process() == at {
            self.locate_at_node(at, process)
        } else if at == HEAD {
            self.control.locate(process)
        } else {
            Location::Gone
        };
        self.send(at, from, Message::Located(process, location));
    }

    /// Notes that a process can be reached; what waited for its address leaves first.
    pub(crate) fn on_address(&mut self, at: ProcessId, other: ProcessId) {
        let process = self.process(at);
        if other == at || process.dead.contains(&other) {
            return;
        }
        process.peers.insert(other);
        self.send_waiting(at, other);
    }

    /// Sends what waited for an address, before anything that is said later.
    fn send_waiting(&mut self, at: ProcessId, other: ProcessId) {
        let process = self.process(at);
        for message in process.locating.remove(&other).unwrap_or_default() {
            self.send(at, other, message);
        }
    }

    fn on_located(&mut self, at: ProcessId, other: ProcessId, location: Location) {
        match location {
            Location::At => self.on_address(at, other),
            Location::AskNode => {
                let node = other.node_process();
                let process = self.process(at);
                if !process.dead.contains(&node) {
                    process.known.insert(node);
                    self.send_waiting(at, node);
                }
                self.send(at, node, Message::Locate(other));
            }
            Location::Gone => self.on_process_died(at, other, None),
        }
    }

    /// Everything that hung on `dead` ends or is retried.
    pub(crate) fn on_process_died(
        &mut self,
        at: ProcessId,
        dead: ProcessId,
        evicted_from: Option<GroupId>,
    ) {
        let now = self.now;
        let process = self.process(at);
        if !process.dead.insert(dead) {
            return;
        }
        process.locating.remove(&dead);
        process.peers.remove(&dead);
        let granted = process.granted.remove(&dead);
        let removed = granted.and_then(|granted| granted.group.filter(|_| granted.is_removed));
        let exit = WorkerExit {
            worker: dead,
            evicted_from,
            ..WorkerExit::default()
        };
        let failure = match evicted_from.or(removed) {
            Some(group) => Failure::PlacementGroupRemoved(group),
            None => Failure::WorkerCrashed(exit),
        };
        process.owner.on_process_died(dead, failure, now);
        self.settle(at);
    }

    /// Everything that hung on the processes of a node ends or is retried.
    pub(crate) fn on_node_died(&mut self, at: ProcessId, node: ProcessId) {
        let process = self.process(at);
        let known = process.peers.iter().chain(process.locating.keys());
        let gone = known
            .copied()
            .chain(process.owner.others())
            .chain([node])
            .filter(|id| id.node_process() == node)
            .collect::<BTreeSet<_>>();
        for dead in gone {
            self.on_process_died(at, dead, None);
        }
    }

    /// A lease came from a node.
    fn on_lease(
        &mut self,
        at: ProcessId,
        from: ProcessId,
        request: RequestId,
        lease: LeaseId,
        worker: ProcessId,
    ) {
        let now = self.now;
        let process = self.process(at);
        match process.placed.remove(&request).flatten() {
            None => process.granted.remove(&worker),
            group => process.granted.insert(
                worker,
                Granted {
                    group,
                    is_removed: false,
                },
            ),
        };
        if from != at.node_process() {
            process.lease_nodes.insert(lease, from);
        }
        self.on_address(at, worker);
        let owner = &mut self.process(at).owner;
        owner.on_lease_granted(request, lease, worker, now);
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
                let verdict = self.invariants.freed.on_gone(object);
                self.judge("what is freed is gone", verdict);
                if let Some(actor) = self.process(at).actor_holds.remove(&object) {
                    self.send(at, HEAD, Message::HandlesGone(actor));
                }
            }
            Command::ForwardFree { owner: to, object } | Command::TellFreed { to, object } => {
                self.send(at, to, Message::FreeObject(object));
            }
            Command::LetGo { object, .. } => {
                self.send(at, object.owner, Message::ObjectLetGo(object));
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
                    self.send(at, worker.node_process(), Message::KillWorker(worker));
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
                let process = self.process(at);
                let job = process.job;
                let Shape {
                    resources,
                    placement,
                } = process.shapes[shape.0 as usize].clone();
                if !placement.is_default() {
                    let group = placement.bundle.map(|bundle| bundle.group);
                    process.placed.insert(request, group);
                }
                let message = Message::RequestLease(request, job, resources, placement);
                self.send_to_node(at, message);
            }
            Command::CancelLeaseRequest { request } => {
                let was_placed = self.process(at).placed.remove(&request).is_some();
                self.send_to_node(at, Message::CancelLeaseRequest(request, was_placed));
            }
            Command::ReturnLease { lease } | Command::RetireWorker { lease } => {
                let node = self.process(at).lease_nodes.remove(&lease);
                let node = node.unwrap_or(at.node_process());
                self.send(at, node, Message::ReturnLease(lease));
            }
            // Streams are not played here, nor limits of calls, and a warning changes nothing.
            Command::ReportTaken { .. } | Command::WarnPending { .. } | Command::Leave => {}
            Command::WatchActor { actor } => self.send(at, HEAD, Message::WatchActor(actor)),
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
