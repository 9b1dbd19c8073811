//! The submitting side: the owner table, its commands carried out, frames built.
//!
//! Everything here happens under one mutex: what a machine decides is pushed onto the peer's outgoing
//! queue while still locked, so the order on the wire is the order of the decisions.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use ray_engine::{
    failure::{Failure, WorkerExit},
    ids::{ActorId, GroupId, JobId, LeaseId, NodeId, ObjectId, ProcessId, RequestId, TaskId},
    owner::{ActorState, Command, ObjectState, Owner, ShapeId},
    resources::{Amount, Resources},
    spec::Placement,
    time::Time,
};
use ray_net::{Flush, HeaderFields, Net, Peer};
use rkyv::rancor;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::{
    __private::{ArgSlot, Args, Method},
    config::BETWEEN_JOBS_BYTES_MAX,
    object_ref::AnyRef,
    runtime::waiters::Waiters,
    store::{AlignedBytes, Value},
    wire::{
        ActorCreation, ActorStatus, AnswerMeta, ArgMeta, CallMeta, CallTarget, Location, Message,
        Place, kind,
    },
};

/// What a submitted call needs until its end.
pub(crate) struct Payload {
    pub(crate) method: &'static Method,
    pub(crate) args: Args,
    pub(crate) parent: TaskId,
    pub(crate) chain: Arc<[ActorId]>,
    /// Items of a stream that may wait for its consumer; 0 for any number.
    pub(crate) backpressure: u32,
    /// The concurrency group of a method, 0 for the default one.
    pub(crate) group: u16,
}

/// An actor that this process created, with what a restart needs.
pub(crate) struct Creation {
    pub(crate) class: u64,
    pub(crate) constructor: &'static Method,
    pub(crate) args: Arc<Args>,
    pub(crate) max_concurrency: u32,
    pub(crate) chain: Arc<[ActorId]>,
}

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
    shapes: FxHashMap<ShapeId, Shape>,
    shape_ids: FxHashMap<Shape, ShapeId>,
    /// Requests for workers that were not answered.
    asked: FxHashSet<u64>,
    /// Whether the head is gone, and this driver's place with it.
    has_no_control: bool,
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
    one_cpu: Option<ShapeId>,
    /// Actors at which many calls are pending, and how many; told after the lock is given back.
    pub(crate) warnings: Vec<(ActorId, u64)>,
}

impl Core {
    pub(crate) fn new(
        process: ProcessId,
        job: JobId,
        control_process: ProcessId,
        net: Net,
        arena: ray_shm::Arena,
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
            shapes: FxHashMap::default(),
            shape_ids: FxHashMap::default(),
            asked: FxHashSet::default(),
            has_no_control: false,
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
            one_cpu: None,
            warnings: Vec::new(),
        }
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

    /// Notes a connected peer.
    pub(crate) fn on_peer(&mut self, peer: &Peer) {
        let process = ProcessId(peer.process());
        self.peers.insert(process, peer.clone());
        self.send_waiting(process);
    }

    /// Sends what waited for an address, before anything that is said later.
    fn send_waiting(&mut self, process: ProcessId) {
        for message in self.locating.remove(&process).unwrap_or_default() {
            self.send(process, message);
        }
    }

    /// Returns the peer for `process` at `addr`, connecting on first use.
    fn peer_at(&mut self, process: ProcessId, addr: SocketAddr) -> Peer {
        if let Some(peer) = self.peers.get(&process)
            && !peer.is_closed()
        {
            return peer.clone();
        }
        let peer = self.net.connect(process.0, addr);
        self.peers.insert(process, peer.clone());
        // The handshake begins when the lock is given back.
        self.touch(&peer);
        self.is_dialing = true;
        peer
    }

    /// Notes where a process listens, to dial it on first use, which is now when something waits.
    pub(crate) fn know(&mut self, process: ProcessId, addr: SocketAddr) {
        if process != self.process && !self.dead.contains_key(&process) {
            self.known.insert(process, addr);
            self.send_waiting(process);
        }
    }

    /// Returns the connection to a process at `addr`, dialing it on first use; `None` when it is gone.
    pub(crate) fn dial(&mut self, process: ProcessId, addr: SocketAddr) -> Option<Peer> {
        let is_other = process != self.process && !self.dead.contains_key(&process);
        is_other.then(|| self.peer_at(process, addr))
    }

    /// Returns the connection to a process if there is one.
    pub(crate) fn connected(&self, process: ProcessId) -> Option<Peer> {
        let peer = self.peers.get(&process)?;
        (!peer.is_closed()).then(|| peer.clone())
    }

    /// Makes the process behind an address known.
    pub(crate) fn on_address(&mut self, process: ProcessId, addr: SocketAddr) {
        if process != self.process && !self.dead.contains_key(&process) {
            self.peer_at(process, addr);
            self.send_waiting(process);
        }
    }

    /// The node answered where a process is.
    pub(crate) fn on_located(&mut self, process: ProcessId, at: Location, now: Time) {
        match at {
            Location::At(addr) => self.on_address(process, addr),
            Location::AskNode(addr) => {
                let node = process.node_process();
                self.know(node, addr);
                self.send(node, Message::Locate { process });
            }
            Location::Gone => self.on_process_died(
                process,
                WorkerExit {
                    worker: process,
                    ..WorkerExit::default()
                },
                now,
            ),
        }
    }

    /// A call came back from a process, answered or unstarted.
    pub(crate) fn on_call_back(&mut self, from: ProcessId) {
        if let Some(sent) = self.sent.get_mut(&from)
            && *sent > 0
        {
            *sent -= 1;
            self.in_flight -= 1;
        }
    }

    /// Everything that hung on the process ends or is retried.
    pub(crate) fn on_process_died(&mut self, process: ProcessId, exit: WorkerExit, now: Time) {
        if self.dead.insert(process, exit.clone()).is_some() {
            return;
        }
        self.in_flight -= self.sent.remove(&process).unwrap_or(0);
        self.locating.remove(&process);
        self.peers.remove(&process);
        let granted = self.granted.remove(&process);
        let removed = granted.and_then(|granted| granted.group.filter(|_| granted.is_removed));
        let failure = match exit.evicted_from.or(removed) {
            Some(group) => Failure::PlacementGroupRemoved(group),
            None => Failure::WorkerCrashed(exit),
        };
        self.owner.on_process_died(process, failure, now);
    }

    /// The connection to the control role is gone; what is said next dials it again.
    pub(crate) fn on_control_lost(&mut self) {
        let control = self.control_process;
        self.peers.remove(&control);
    }

    /// There is no place for this driver at the head any more: what waits for a place fails.
    pub(crate) fn give_up_control(&mut self, now: Time) {
        self.has_no_control = true;
        for request in std::mem::take(&mut self.asked) {
            self.on_lease_refused(request, Failure::HeadLost, now);
        }
        for actor in self.owner.absent_actors() {
            let status = ActorStatus::Dead {
                failure: Failure::HeadLost,
            };
            self.on_actor_status(actor, status, now);
        }
        for (creation, _) in std::mem::take(&mut self.unready) {
            self.creations.remove(&creation.actor);
        }
    }

    /// Everything that hung on the processes of a node ends or is retried.
    pub(crate) fn on_node_died(&mut self, node: ProcessId, now: Time) {
        let known = self.peers.keys().chain(self.locating.keys()).copied();
        let mut gone: Vec<ProcessId> = known
            .chain(self.owner.others())
            .chain([node])
            .filter(|process| process.node_process() == node)
            .collect();
        gone.sort_unstable();
        gone.dedup();
        let left = self.owner.on_holding_node_died(node.node());
        for process in gone {
            let exit = WorkerExit {
                worker: process,
                last_stderr: "its node is gone".into(),
                ..WorkerExit::default()
            };
            self.on_process_died(process, exit, now);
        }
        for object in left {
            self.keep_last_copy(object);
        }
    }

    /// Returns whether a process is known to be gone.
    pub(super) fn is_dead(&self, process: ProcessId) -> bool {
        self.dead.contains_key(&process)
    }

    /// Returns the number of the shape that tasks have by default.
    pub(crate) fn one_cpu(&mut self) -> ShapeId {
        if let Some(shape) = self.one_cpu {
            return shape;
        }
        let shape = self.shape_id(&Shape {
            resources: Resources::new().with(Resources::CPU, Amount::ONE),
            placement: Placement::default(),
        });
        self.one_cpu = Some(shape);
        shape
    }

    /// Returns the id of a new actor of this process.
    pub(crate) fn fresh_actor(&mut self) -> ActorId {
        ActorId {
            owner: self.process,
            index: self.owner.take_indexes(1),
        }
    }

    /// Returns the id of a new placement group of this process.
    pub(crate) fn fresh_group(&mut self) -> GroupId {
        GroupId {
            owner: self.process,
            index: self.owner.take_indexes(1),
        }
    }

    /// Notes that this process removes a group: workers that end now were made to.
    pub(crate) fn note_removed(&mut self, group: GroupId) {
        for granted in self.granted.values_mut() {
            granted.is_removed |= granted.group == Some(group);
        }
    }

    /// Asks for an actor's placement once its arguments are there.
    pub(crate) fn create_when_ready(
        &mut self,
        creation: ActorCreation,
        dependencies: Vec<ObjectId>,
    ) {
        for id in &dependencies {
            self.owner.watch(*id);
        }
        self.unready.push((creation, dependencies));
        self.create_ready();
    }

    fn create_ready(&mut self) {
        for (creation, dependencies) in std::mem::take(&mut self.unready) {
            let mut failure = None;
            let mut is_ready = true;
            for id in &dependencies {
                match self.owner.state(*id) {
                    ObjectState::Ready(_) => {}
                    ObjectState::Pending => is_ready = false,
                    ObjectState::Failed(failed) => failure = Some((*failed).clone()),
                    ObjectState::Unknown => failure = Some(Failure::ObjectFreed(*id)),
                }
            }
            let actor = creation.actor;
            if let Some(failure) = failure {
                // Nothing is placed that could not be constructed.
                self.creations.remove(&actor);
                self.send_to_control(Message::ConstructFailed { actor, failure });
            } else if is_ready {
                self.send_to_control(Message::CreateActor {
                    request: 0,
                    creation,
                });
            } else {
                self.unready.push((creation, dependencies));
            }
        }
    }

    /// Returns a peer whose unsent output is over `bytes`.
    pub(crate) fn fullest_peer(&self, bytes: usize) -> Option<Peer> {
        if self.in_flight < HOLD_BACK_CALLS {
            return None;
        }
        self.peers
            .values()
            .find(|peer| peer.queued_bytes() > bytes)
            .cloned()
    }

    /// Sends a message to a process if there is a connection.
    pub(crate) fn send_if_connected(&mut self, to: ProcessId, message: Message) {
        if self.peers.contains_key(&to) {
            self.send(to, message);
        }
    }

    /// Ends every wait, at the end of the runtime.
    pub(crate) fn wake_all(&mut self) {
        self.waiters.wake_all();
    }

    /// Sends a control message, to this process's own roles without a wire.
    pub(crate) fn send(&mut self, to: ProcessId, message: Message) {
        if to == self.process {
            self.local.push_back(message);
            return;
        }
        if self.dead.contains_key(&to) {
            return;
        }
        let peer = match self.peers.get(&to) {
            Some(peer) => Some(peer.clone()),
            None => self
                .known
                .get(&to)
                .copied()
                .map(|addr| self.peer_at(to, addr)),
        };
        if let Some(peer) = peer {
            push_message(&peer, &message);
            self.touch(&peer);
            return;
        }
        let waiting = self.locating.entry(to).or_default();
        waiting.push(message);
        if waiting.len() == 1 {
            let who_knows = if to.node_process() == self.node_process {
                self.node_process
            } else {
                self.control_process
            };
            self.send(who_knows, Message::Locate { process: to });
        }
    }

    /// Sends a control message to the node of this process.
    pub(crate) fn send_to_node(&mut self, message: Message) {
        let node = self.node_process;
        self.send(node, message);
    }

    /// Sends a message to the control role of the cluster.
    pub(crate) fn send_to_control(&mut self, message: Message) {
        if self.has_no_control {
            return self.refuse_for_control(message);
        }
        let control = self.control_process;
        self.send(control, message);
    }

    /// Answers for a control role that is gone.
    fn refuse_for_control(&mut self, message: Message) {
        let failure = Failure::HeadLost;
        match message {
            Message::WatchActor { actor }
            | Message::CreateActor {
                creation: ActorCreation { actor, .. },
                ..
            } => {
                let status = ActorStatus::Dead { failure };
                self.local.push_back(Message::ActorState { actor, status });
            }
            other => tracing::debug!(?other, "there is no head any more to be told this"),
        }
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
                    let failed = matches!(self.owner.state(object), ObjectState::Failed(_));
                    self.waiters.resolve(object, failed);
                    if !self.unready.is_empty() {
                        self.create_ready();
                    }
                }
                Command::Free { object, value } => self.free(object, &value),
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
                    self.asked.insert(request.0);
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
                Command::ReturnLease { lease, .. } => {
                    let node = self.lease_nodes.remove(&lease);
                    self.send(
                        node.unwrap_or(self.node_process),
                        Message::ReturnLease { lease },
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
            }
        }
    }

    /// Notes that a peer has fresh output.
    fn touch(&mut self, peer: &Peer) {
        if self
            .touched
            .last()
            .is_none_or(|last| last.process() != peer.process())
        {
            self.touched.push(peer.clone());
        }
    }

    /// Takes the peers with fresh output, and when it should leave.
    pub(crate) fn take_touched(&mut self) -> (SmallVec<[Peer; 2]>, Flush) {
        let is_dialing = std::mem::take(&mut self.is_dialing);
        let mode = if self.in_flight <= 2 || is_dialing {
            Flush::Now
        } else {
            Flush::Lazy
        };
        (std::mem::take(&mut self.touched), mode)
    }

    fn free(&mut self, object: ObjectId, value: &Value) {
        for node in self.owner.take_holders(object) {
            self.send(node.process(), Message::DropCopy { object });
        }
        if !self.actor_holds.is_empty()
            && let Some(actor) = self.actor_holds.remove(&object)
        {
            self.send_to_control(Message::HandlesGone { actor });
        }
        if let Some((slot, writer)) = value.arena() {
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
    }

    fn send_call(&mut self, task: TaskId, attempt: u32, to: ProcessId, target: CallTarget) {
        let Some(payload) = self.owner.payload(task).cloned() else {
            tracing::error!(%task, "a call without its payload was to be sent");
            return;
        };
        if to == self.process && !self.peers.contains_key(&to) {
            let itself = self.peer_at(to, self.net.local_addr());
            itself.set_tag(self.job.0);
        }
        let Some(peer) = self.peers.get(&to).cloned() else {
            // The process is gone; its death is on the way and settles the call.
            tracing::debug!(%task, process = %to, "no connection for a call");
            return;
        };
        let mut parts = Parts::new(&payload.args.body);
        let args = self.arg_metas(&payload.args, to, &mut parts);
        let meta = CallMeta {
            task,
            job: self.job,
            attempt,
            backpressure: payload.backpressure,
            method: payload.method.id,
            parent: payload.parent,
            deadline_ms: 0,
            target,
            args,
            chain: payload.chain.to_vec(),
            devices: match target {
                CallTarget::Task { .. } => self.devices_of(to),
                _ => Vec::new(),
            },
        };
        let incarnation = match target {
            CallTarget::Method { incarnation, .. } | CallTarget::Create { incarnation, .. } => {
                incarnation
            }
            CallTarget::Task { .. } => 0,
        };
        let header = HeaderFields {
            kind: kind::CALL,
            request: task.index,
            incarnation,
            trace: trace_of(task),
        };
        push_frame(&peer, &header, &meta, &parts.slices());
        self.in_flight += 1;
        *self.sent.entry(to).or_default() += 1;
        self.touch(&peer);
    }

    fn devices_of(&self, worker: ProcessId) -> Vec<u32> {
        let granted = self.granted.get(&worker);
        granted.map_or_else(Vec::new, |granted| granted.devices.clone())
    }

    /// Sends the constructor call of an actor that this process created.
    pub(crate) fn construct(
        &mut self,
        actor: ActorId,
        worker: ProcessId,
        addr: SocketAddr,
        incarnation: u64,
        devices: Vec<u32>,
    ) {
        let Some(creation) = self.creations.get(&actor) else {
            tracing::debug!(%actor, "asked to construct an actor that has ended");
            return;
        };
        let (args, constructor, class) =
            (creation.args.clone(), creation.constructor, creation.class);
        let (max_concurrency, chain) = (creation.max_concurrency, creation.chain.to_vec());
        self.on_address(worker, addr);
        let Some(peer) = self.peers.get(&worker).cloned() else {
            return;
        };
        let mut parts = Parts::new(&args.body);
        let metas = self.arg_metas(&args, worker, &mut parts);
        let meta = CallMeta {
            task: TaskId {
                owner: self.process,
                index: 0,
            },
            job: self.job,
            attempt: u32::try_from(incarnation).unwrap_or(u32::MAX),
            backpressure: 0,
            method: constructor.id,
            parent: TaskId::default(),
            deadline_ms: 0,
            target: CallTarget::Create {
                actor,
                class,
                incarnation,
                max_concurrency,
            },
            args: metas,
            chain,
            devices,
        };
        let header = HeaderFields {
            kind: kind::CALL,
            request: 0,
            incarnation,
            trace: 0,
        };
        push_frame(&peer, &header, &meta, &parts.slices());
        self.touch(&peer);
    }

    fn arg_metas<'a>(
        &mut self,
        args: &'a Args,
        to: ProcessId,
        parts: &mut Parts<'a>,
    ) -> Vec<ArgMeta> {
        let mut metas = Vec::with_capacity(args.slots.len());
        for slot in &args.slots {
            let meta = match slot {
                ArgSlot::Inline {
                    offset,
                    len,
                    contained,
                    layout,
                } => {
                    let contained = contained.iter().map(AnyRef::id).collect::<Vec<_>>();
                    for id in &contained {
                        self.owner.send_reference(*id, to);
                    }
                    ArgMeta {
                        place: Place::Body {
                            offset: *offset,
                            len: *len,
                        },
                        layout: *layout,
                        contained,
                    }
                }
                ArgSlot::Object(reference) => match self.owner.state(reference.id()) {
                    ObjectState::Ready(value) => {
                        let place = self.place_of(reference.id(), value, to, parts);
                        let layout = value.layout();
                        let contained = self.owner.contained(reference.id()).to_vec();
                        for id in &contained {
                            self.owner.send_reference(*id, to);
                        }
                        ArgMeta {
                            place,
                            layout,
                            contained,
                        }
                    }
                    other => {
                        unreachable!("a call is sent when its arguments are there, not {other:?}")
                    }
                },
            };
            metas.push(meta);
        }
        metas
    }

    /// Says where a value is; another job cannot read this one's arena, so it is sent the bytes.
    fn place_of(
        &self,
        object: ObjectId,
        value: &Value,
        to: ProcessId,
        parts: &mut Parts<'_>,
    ) -> Place {
        let Some((slot, writer)) = value.arena() else {
            return parts.add(value.clone());
        };
        // Before it has said hello it may be of any job.
        let is_of_this_job = self
            .peers
            .get(&to)
            .is_some_and(|peer| peer.tag() == self.job.0);
        let fits = parts.len as u64 + slot.len <= BETWEEN_JOBS_BYTES_MAX as u64;
        if !is_of_this_job
            && fits
            && value.missing().is_none()
            && let Ok(pin) = value.pin(&self.arena)
        {
            parts.pins.extend(pin);
            return parts.add(value.clone());
        }
        Place::Arena {
            object,
            offset: slot.offset,
            len: slot.len,
            writer,
        }
    }

    /// Answers a borrower's question about an object that is ready, failed or gone.
    fn answer(&mut self, to: ProcessId, object: ObjectId) {
        let mut empty = AlignedBytes::new();
        let mut parts = Parts::new(&empty);
        let outcome = match self.owner.state(object) {
            ObjectState::Ready(value) => {
                let place = self.place_of(object, value, to, &mut parts);
                let layout = value.layout();
                let contained = self.owner.contained(object).to_vec();
                for id in &contained {
                    self.owner.send_reference(*id, to);
                }
                Ok(ArgMeta {
                    place,
                    layout,
                    contained,
                })
            }
            ObjectState::Failed(failure) => Err((*failure).clone()),
            ObjectState::Pending => return,
            ObjectState::Unknown => Err(Failure::ObjectFreed(object)),
        };
        let Some(peer) = self.peers.get(&to).cloned() else {
            return;
        };
        let header = HeaderFields {
            kind: kind::ANSWER,
            request: object.index,
            incarnation: 0,
            trace: 0,
        };
        push_frame(
            &peer,
            &header,
            &AnswerMeta { object, outcome },
            &parts.slices(),
        );
        self.touch(&peer);
        drop(parts);
        empty.clear();
    }

    /// An actor's state came from the directory.
    pub(crate) fn on_actor_status(&mut self, actor: ActorId, status: ActorStatus, now: Time) {
        let state = match status {
            ActorStatus::Pending => ActorState::Pending,
            ActorStatus::Alive {
                process,
                addr,
                incarnation,
            } => {
                self.on_address(process, addr);
                ActorState::Alive {
                    process,
                    incarnation,
                }
            }
            ActorStatus::Restarting => ActorState::Restarting,
            ActorStatus::Dead { failure } => {
                self.creations.remove(&actor);
                ActorState::Dead(Arc::new(failure))
            }
        };
        self.owner.on_actor_state(actor, state, now);
    }

    /// A lease came from the node.
    pub(crate) fn on_lease(
        &mut self,
        from: ProcessId,
        request: u64,
        lease: LeaseId,
        (worker, addr): (ProcessId, SocketAddr),
        devices: Vec<u32>,
        now: Time,
    ) {
        self.asked.remove(&request);
        let group = self.placed.remove(&request).flatten();
        if group.is_some() || !devices.is_empty() {
            let granted = Granted {
                devices,
                group,
                is_removed: false,
            };
            self.granted.insert(worker, granted);
        } else {
            self.granted.remove(&worker);
        }
        if from != self.node_process {
            self.lease_nodes.insert(lease, from);
        }
        self.on_address(worker, addr);
        self.owner
            .on_lease_granted(RequestId(request), lease, worker, now);
    }

    /// A lease will never come.
    pub(crate) fn on_lease_refused(&mut self, request: u64, failure: Failure, now: Time) {
        self.asked.remove(&request);
        self.placed.remove(&request);
        self.owner
            .on_lease_refused(RequestId(request), failure, now);
    }

    /// Tells the control role that a request which it handed to a node has its answer here.
    pub(crate) fn settle_placed(&mut self, node: ProcessId, request: u64, was_placed: bool) {
        if was_placed {
            let node = node.node();
            self.send_to_control(Message::LeaseSettled { node, request });
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

/// The pieces of a frame's body, each at a multiple of 16.
struct Parts<'a> {
    first: &'a [u8],
    more: Vec<Value>,
    /// What keeps those of the arena in memory.
    pins: Vec<ray_shm::Pin>,
    len: usize,
}

/// Below this many calls in flight nobody looks at queue lengths.
const HOLD_BACK_CALLS: usize = 256;
const PADDING: [u8; 16] = [0; 16];

impl<'a> Parts<'a> {
    fn new(first: &'a AlignedBytes) -> Parts<'a> {
        Parts {
            first,
            more: Vec::new(),
            pins: Vec::new(),
            len: first.len().next_multiple_of(16),
        }
    }

    fn add(&mut self, value: Value) -> Place {
        let place = Place::Body {
            offset: u32::try_from(self.len).expect("inline values are limited"),
            len: u32::try_from(value.bytes().len()).expect("inline values are limited"),
        };
        self.len += value.bytes().len().next_multiple_of(16);
        self.more.push(value);
        place
    }

    fn slices(&self) -> SmallVec<[&[u8]; 3]> {
        let mut slices = SmallVec::with_capacity(1 + 2 * self.more.len());
        slices.push(self.first);
        let mut end = self.first.len();
        for value in &self.more {
            slices.push(&PADDING[..end.next_multiple_of(16) - end]);
            slices.push(value.bytes());
            end = end.next_multiple_of(16) + value.bytes().len();
        }
        slices
    }
}

/// Tells the user, in the log and on the terminal, that calls gather faster than an actor runs them.
pub(crate) fn warn_of_pending(actor: ActorId, pending: u64) {
    tracing::warn!(%actor, pending, "many calls are pending at one actor");
    eprintln!(
        "warning: {pending} calls are pending at actor {actor}; get some results before you \
         submit more, or set `max_pending_calls`"
    );
}

fn trace_of(task: TaskId) -> u128 {
    (u128::from(task.owner.0) << 64) | u128::from(task.index)
}

thread_local! {
    static META: std::cell::RefCell<AlignedBytes> = std::cell::RefCell::new(AlignedBytes::new());
}

/// Archives `meta` and pushes the frame onto the peer's outgoing queue.
pub(crate) fn push_frame<M>(peer: &Peer, header: &HeaderFields, meta: &M, body: &[&[u8]])
where
    M: for<'a> rkyv::Serialize<
            rkyv::api::high::HighSerializer<
                AlignedBytes,
                rkyv::ser::allocator::ArenaHandle<'a>,
                rancor::Error,
            >,
        >,
{
    META.with_borrow_mut(|buffer| {
        buffer.clear();
        match rkyv::api::high::to_bytes_in::<_, rancor::Error>(meta, std::mem::take(buffer)) {
            Ok(bytes) => {
                peer.push(header, &bytes, body);
                *buffer = bytes;
            }
            Err(error) => tracing::error!(%error, "could not archive a message"),
        }
    });
}

/// Pushes a control message onto the peer's outgoing queue.
pub(crate) fn push_message(peer: &Peer, message: &Message) {
    let header = HeaderFields {
        kind: kind::CONTROL,
        request: 0,
        incarnation: 0,
        trace: 0,
    };
    push_frame(peer, &header, message, &[]);
}
