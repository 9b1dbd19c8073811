//! The submitting side: the owner table, its commands carried out, frames built.
//!
//! Everything here happens under one mutex: what a machine decides is pushed onto the peer's outgoing
//! queue while still locked, so the order on the wire is the order of the decisions.

mod creations;
mod frames;
mod gone;
mod leases;
mod payload;
mod peers;
mod recipe;
mod resume;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use ray_engine::{
    env::RuntimeEnv,
    evacuation::Evacuation,
    failure::{Failure, WorkerExit},
    ids::{ActorId, GroupId, JobId, LeaseId, NodeId, ObjectId, ProcessId},
    owner::{Command, ObjectState, Owner, ShapeId},
    resources::{Amount, Resources},
    spec::Placement,
};
use ray_net::{Net, Peer};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

pub(crate) use creations::Creation;
pub(crate) use frames::{push_frame, push_frame_whole, push_message};
pub(crate) use payload::Payload;

use crate::{
    runtime::waiters::{Resolved, Waiters},
    store::{Doom, Value},
    wire::{ActorCreation, CallTarget, GroupCreation, Message},
};

/// What tasks of one kind take, and where they are to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    pub(crate) resources: Resources,
    pub(crate) placement: Placement,
}

/// What came with the lease of a worker.
struct Granted {
    devices: Vec<u32>,
    group: Option<GroupId>,
    /// Whether this process itself removed the group.
    is_removed: bool,
}

/// The owner table of this process and the side tables of its edges.
pub(crate) struct Core {
    pub(crate) owner: Owner<Arc<Payload>, Value>,
    pub(crate) waiters: Waiters,
    process: ProcessId,
    job: JobId,
    /// The nodes that granted leases, when it was not this process's own.
    lease_nodes: FxHashMap<LeaseId, ProcessId>,
    pub(crate) node_process: ProcessId,
    control_process: ProcessId,
    net: Net,
    arena: ray_shm::Arena,
    peers: FxHashMap<ProcessId, Peer>,
    /// Where processes listen that are dialed when there is something to say.
    known: FxHashMap<ProcessId, SocketAddr>,
    /// Messages for processes whose address was asked for.
    locating: FxHashMap<ProcessId, Vec<Message>>,
    pub(crate) creations: FxHashMap<ActorId, Creation>,
    /// The objects whose end means that nobody holds a handle of the actor any more.
    pub(crate) actor_holds: FxHashMap<ObjectId, ActorId>,
    /// Actors of this process that nobody holds any more and that may not have ended yet.
    unheld: FxHashSet<ActorId>,
    shapes: FxHashMap<ShapeId, Shape>,
    shape_ids: FxHashMap<Shape, ShapeId>,
    /// Requests for workers that were not answered.
    asked: FxHashMap<u64, ShapeId>,
    /// Whether the head is gone, and this driver's place with it.
    has_no_control: bool,
    /// Whether the connection to the control role was lost and it was not heard of since.
    control_is_away: bool,
    /// What the control role must be told once it is there again.
    for_control: Vec<Message>,
    /// What it is told then, while it is put together.
    outgoing: Vec<Message>,
    /// The placement groups that this process made.
    own_groups: FxHashMap<GroupId, GroupCreation>,
    /// Requests for a place that the control role chooses, and the groups that they name.
    placed: FxHashMap<u64, Option<GroupId>>,
    /// The workers whose leases came with something.
    granted: FxHashMap<ProcessId, Granted>,
    /// Messages to this process's own roles, handled after the lock is given back.
    pub(crate) local: VecDeque<Message>,
    /// The other buffer of the runtime's list of dropped handles.
    pub(crate) dropped: Vec<ObjectId>,
    /// Peers with fresh output.
    touched: SmallVec<[Peer; 2]>,
    /// Whether a peer was dialed whose first packet has not left.
    is_dialing: bool,
    /// Calls sent and not answered.
    in_flight: usize,
    /// The same by the process that they were sent to: its death ends them without an answer.
    sent: FxHashMap<ProcessId, usize>,
    /// The processes that are known to be gone.
    dead: FxHashMap<ProcessId, WorkerExit>,
    /// Creations whose arguments are not there yet.
    unready: Vec<(ActorCreation, Vec<ObjectId>)>,
    /// The shape of plain tasks, and of those among them that run once at most.
    one_cpu: [Option<ShapeId>; 2],
    /// What processes of plain tasks are started with.
    env: RuntimeEnv,
    /// Actors at which many calls are pending, and how many; told after the lock is given back.
    pub(crate) warnings: Vec<(ActorId, u64)>,
    /// What is moved from nodes that leave.
    pub(in crate::worker) evacuations: BTreeMap<ProcessId, Evacuation>,
}

impl Core {
    pub(crate) fn new(
        process: ProcessId,
        job: JobId,
        control_process: ProcessId,
        net: Net,
        arena: ray_shm::Arena,
        env: RuntimeEnv,
    ) -> Core {
        let mut owner = Owner::new(process, ray_engine::owner::Limits::default());
        owner.locate_with(place_of);
        Core {
            owner,
            waiters: Waiters::new(process),
            process,
            job,
            lease_nodes: FxHashMap::default(),
            node_process: process.node_process(),
            control_process,
            net,
            arena,
            peers: FxHashMap::default(),
            known: FxHashMap::default(),
            locating: FxHashMap::default(),
            creations: FxHashMap::default(),
            actor_holds: FxHashMap::default(),
            unheld: FxHashSet::default(),
            shapes: FxHashMap::default(),
            shape_ids: FxHashMap::default(),
            asked: FxHashMap::default(),
            has_no_control: false,
            control_is_away: false,
            for_control: Vec::new(),
            outgoing: Vec::new(),
            own_groups: FxHashMap::default(),
            placed: FxHashMap::default(),
            granted: FxHashMap::default(),
            local: VecDeque::new(),
            dropped: Vec::new(),
            touched: SmallVec::new(),
            is_dialing: false,
            in_flight: 0,
            sent: FxHashMap::default(),
            dead: FxHashMap::default(),
            unready: Vec::new(),
            one_cpu: [None; 2],
            env,
            warnings: Vec::new(),
            evacuations: BTreeMap::new(),
        }
    }

    pub(crate) fn process(&self) -> ProcessId {
        self.process
    }

    pub(in crate::worker) fn job(&self) -> JobId {
        self.job
    }

    /// Returns the number that stands for `shape` in the owner table.
    pub(crate) fn shape_id(&mut self, shape: &Shape) -> ShapeId {
        if let Some(id) = self.shape_ids.get(shape) {
            return *id;
        }
        let id = self.owner.fresh_shape(shape.placement.is_default());
        self.shapes.insert(id, shape.clone());
        self.shape_ids.insert(shape.clone(), id);
        id
    }

    /// Returns the number of the shape that tasks have by default.
    pub(crate) fn one_cpu(&mut self, runs_once: bool) -> ShapeId {
        if let Some(shape) = self.one_cpu[usize::from(runs_once)] {
            return shape;
        }
        let shape = self.shape_id(&Shape {
            resources: Resources::new().with(Resources::CPU, Amount::ONE),
            placement: Placement {
                env: self.env.clone(),
                runs_once,
                ..Placement::default()
            },
        });
        self.one_cpu[usize::from(runs_once)] = Some(shape);
        shape
    }

    /// Returns what a task of a shape holds of its node; `None` for one CPU.
    fn resources_of(&self, shape: ShapeId) -> Option<Box<Resources>> {
        let is_plain = self.one_cpu.contains(&Some(shape));
        (!is_plain).then(|| Box::new(self.shapes[&shape].resources.clone()))
    }

    /// Returns the id of a new placement group of this process.
    pub(crate) fn fresh_group(&mut self) -> GroupId {
        GroupId {
            owner: self.process,
            index: self.owner.take_indexes(1),
        }
    }

    /// Ends every wait, at the end of the runtime.
    pub(crate) fn wake_all(&mut self) {
        self.waiters.wake_all();
    }

    /// Carries out what the owner table wishes.
    pub(crate) fn run_commands(&mut self) {
        while let Some(command) = self.owner.poll_command() {
            match command {
                Command::SendTask {
                    task,
                    attempt,
                    lease,
                    worker,
                } => {
                    self.send_call(task, attempt, worker, CallTarget::Task { lease });
                }
                Command::SendCall {
                    task,
                    attempt,
                    actor,
                    process,
                    incarnation,
                    seq,
                } => {
                    let group = self.owner.payload(task).map_or(0, |payload| payload.group);
                    self.send_call(
                        task,
                        attempt,
                        process,
                        CallTarget::Method {
                            group,
                            actor,
                            incarnation,
                            seq,
                        },
                    );
                }
                Command::Resolved { object } => {
                    let how = match self.owner.state(object) {
                        ObjectState::Failed(_) => Resolved::Failed,
                        ObjectState::Ready(value) if value.is_elsewhere() => Resolved::Elsewhere,
                        _ => Resolved::Here,
                    };
                    self.waiters.resolve(object, how);
                    if !self.unready.is_empty() {
                        self.create_ready();
                    }
                }
                Command::Free { object, value } => self.free(object, value),
                Command::ForwardFree { owner, object } => {
                    self.send(owner, Message::FreeObject { object });
                }
                Command::TellFreed { to, object } => {
                    self.send(to, Message::FreeObject { object });
                }
                Command::LetGo { object, value } => match value {
                    Some(value) if value.arena().is_some() && !value.is_alone() => {
                        value.doom(Doom::LetGo { object });
                    }
                    _ => self.send(object.owner, Message::ObjectLetGo { object }),
                },
                Command::OpenCredit {
                    owner,
                    object,
                    receiver,
                } => {
                    self.send(owner, Message::OpenCredit { object, receiver });
                }
                Command::ReleaseCredits {
                    owner,
                    object,
                    credits,
                } => {
                    self.send(owner, Message::ReleaseCredits { object, credits });
                }
                Command::AskOwner { owner, object } => self.send(owner, Message::Ask { object }),
                Command::Answer { to, object } => self.answer(to, object),
                Command::SendCancel {
                    worker,
                    task,
                    force,
                    recursive,
                } => {
                    if force {
                        self.send(worker.node_process(), Message::KillWorker { worker });
                    } else {
                        self.send(worker, Message::Cancel { task, recursive });
                    }
                }
                Command::ForwardCancel {
                    owner,
                    object,
                    force,
                    recursive,
                } => {
                    self.send(
                        owner,
                        Message::CancelObject {
                            object,
                            force,
                            recursive,
                        },
                    );
                }
                Command::RequestLease { request, shape, .. } => {
                    let asked = shape;
                    let (shape, near) = self.owner.base_of(shape);
                    let Shape {
                        resources: shape,
                        placement,
                    } = self.shapes[&shape].clone();
                    let job = self.job;
                    if self.has_no_control {
                        let request = request.0;
                        let failure = Failure::HeadLost;
                        self.local.push_back(Message::LeaseRefused {
                            request,
                            failure,
                            was_placed: false,
                        });
                        continue;
                    }
                    self.asked.insert(request.0, asked);
                    if !placement.is_default() {
                        let group = placement.bundle.map(|bundle| bundle.group);
                        self.placed.insert(request.0, group);
                    }
                    self.send_to_node(Message::RequestLease {
                        request: request.0,
                        job,
                        shape,
                        placement,
                        near,
                    });
                }
                Command::CancelLeaseRequest { request } => {
                    let request = request.0;
                    self.asked.remove(&request);
                    let was_placed = self.placed.remove(&request).is_some();
                    self.send_to_node(Message::CancelLeaseRequest {
                        request,
                        was_placed,
                    });
                }
                Command::ReturnLease { lease } => {
                    let node = self.lease_nodes.remove(&lease);
                    self.send(
                        node.unwrap_or(self.node_process),
                        Message::ReturnLease { lease },
                    )
                }
                Command::RetireWorker { lease } => {
                    let node = self.lease_nodes.remove(&lease);
                    self.send(
                        node.unwrap_or(self.node_process),
                        Message::RetireWorker { lease },
                    )
                }
                Command::WatchActor { actor } => {
                    self.send_to_control(Message::WatchActor { actor })
                }
                Command::ReportTaken {
                    worker,
                    task,
                    taken,
                } => self.send(worker, Message::StreamTaken { task, taken }),
                Command::WarnPending { actor, pending } => self.warnings.push((actor, pending)),
                Command::Leave => self.local.push_back(Message::Shutdown),
            }
        }
    }

    fn free(&mut self, object: ObjectId, value: Value) {
        for node in self.owner.take_holders(object) {
            self.send(node.process(), Message::DropCopy { object });
        }
        if !self.actor_holds.is_empty()
            && let Some(actor) = self.actor_holds.remove(&object)
        {
            if let Some(creation) = self.creations.get_mut(&actor) {
                creation.has_no_handles = true;
            }
            self.send_to_control(Message::HandlesGone { actor });
            self.on_unheld(actor);
        }
        match value.arena() {
            Some((slot, writer)) if value.is_alone() => self.free_slot(slot, writer),
            // Somebody here still looks at it.
            Some((slot, writer)) => value.doom(Doom::Free { slot, writer }),
            None => {}
        }
    }

    /// Has the writer of a value take its room back.
    pub(crate) fn free_slot(&mut self, slot: ray_shm::Slot, writer: ProcessId) {
        let message = Message::FreeSlot {
            offset: slot.offset,
            len: slot.len,
        };
        if self.dead.contains_key(&writer) {
            self.send_to_node(message);
        } else {
            self.send(writer, message);
        }
    }

    /// Forgets everything about peers, at the end.
    pub(crate) fn close(&mut self) {
        self.peers.clear();
        self.locating.clear();
        self.creations.clear();
    }
}

/// Returns on which node a value lies, when it does not travel with the call.
fn place_of(value: &Value) -> Option<(NodeId, u64)> {
    let (slot, writer) = value.arena()?;
    Some((writer.node(), slot.len))
}

/// Tells the user, in the log and on the terminal, that calls gather faster than an actor runs them.
pub(crate) fn warn_of_pending(actor: ActorId, pending: u64) {
    tracing::warn!(%actor, pending, "many calls are pending at one actor");
    eprintln!(
        "warning: {pending} calls are pending at actor {actor}; get some results before you \
         submit more, or set `max_pending_calls`"
    );
}
