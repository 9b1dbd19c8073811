//! Everything that is said off the hot path, as one type.

mod bundles;
mod certificates;
mod collectives;
mod executables;
mod folders;
mod groups;
mod leaving;
mod look;
mod questions;
mod reunion;

use std::net::SocketAddr;

use ray_engine::{
    chunks::Chunks,
    failure::{ExitKind, Failure, WorkerExit},
    ids::{ActorId, JobId, LeaseId, NodeId, ObjectId, ProcessId, TaskId},
    resources::Resources,
    spec::{Demand, NodeReport, Placement},
};
use rkyv::{Archive, Deserialize, Serialize, rancor};

pub(crate) use self::{
    bundles::BundleMessage, certificates::CertificateMessage, collectives::CollectiveMessage,
    executables::ExecutableMessage, folders::FolderMessage, groups::GroupMessage,
    leaving::LeaveMessage, look::LookMessage, questions::QuestionMessage, reunion::ReunionMessage,
};
use super::{
    ActorCreation, ActorStatus, FetchFor, JobSpec, Location, NodeRow, Recipe, WaitStep,
    WantedObject, WorkerRow,
};
use crate::actor::CallLimits;

/// Everything that is said off the hot path.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
#[rkyv(
    serialize_bounds(__S: rkyv::ser::Writer + rkyv::ser::Allocator, __S::Error: rancor::Source),
    deserialize_bounds(__D::Error: rancor::Source),
    bytecheck(bounds(__C: rkyv::validation::ArchiveContext, __C::Error: rancor::Source))
)]
pub(crate) enum Message {
    // An owner asks its node for workers.
    RequestLease {
        request: u64,
        job: JobId,
        shape: Resources,
        placement: Placement,
        /// The node that has most of the arguments, when that is another one.
        near: Option<NodeId>,
    },
    CancelLeaseRequest {
        request: u64,
        /// Whether it was for a place that the control role had to choose.
        was_placed: bool,
    },
    // A node asks the control role to place what it cannot run.
    SpillLease {
        requester: ProcessId,
        request: u64,
        job: JobId,
        demand: Demand,
    },
    CancelSpilled {
        requester: ProcessId,
        request: u64,
    },
    // The control role hands a request to a node.
    PlaceLease {
        requester: ProcessId,
        request: u64,
        job: JobId,
        demand: Demand,
        /// Whether the node queues it when it is full, instead of handing it back.
        is_bound: bool,
    },
    /// The control role asks a node to give away what has waited there and fits into what is free elsewhere.
    ShareWaiting {
        room: Resources,
    },
    CancelPlaced {
        requester: ProcessId,
        request: u64,
    },
    /// A requester has the answer of the node that was handed its request: only now can that node's
    /// death not lose it any more.
    LeaseSettled {
        node: NodeId,
        request: u64,
    },
    LeaseRejected {
        requester: ProcessId,
        request: u64,
    },
    ReturnLease {
        lease: LeaseId,
    },
    /// The same with a worker that runs nothing more: the node ends it.
    RetireWorker {
        lease: LeaseId,
    },
    // The node answers.
    LeaseGranted {
        request: u64,
        lease: LeaseId,
        worker: ProcessId,
        addr: SocketAddr,
        devices: Vec<u32>,
        /// Whether the control role handed the request to the node, and wants to hear of the answer.
        was_placed: bool,
    },
    LeaseRefused {
        request: u64,
        failure: Failure,
        was_placed: bool,
    },
    RecallLease {
        lease: LeaseId,
    },
    // A worker tells its node.
    WorkerReady {
        pid: u32,
        addr: SocketAddr,
    },
    Blocked,
    Unblocked,
    /// The worker ends on purpose; its actor is not restarted.
    ActorExit {
        actor: ActorId,
        cause: String,
    },
    ActorStarted {
        actor: ActorId,
        incarnation: u64,
    },
    ActorStartFailed {
        actor: ActorId,
        incarnation: u64,
        failure: Failure,
    },
    // An executor tells the owner.
    /// It runs nothing after the call whose end follows.
    Retires,
    HandedBack {
        task: TaskId,
        attempt: u32,
    },
    /// Asks after what must end before an object is there, by the waits that led here.
    AfterObject {
        object: ObjectId,
        path: Vec<WaitStep>,
    },
    /// The same about a call that the receiver has.
    AfterTask {
        task: TaskId,
        path: Vec<WaitStep>,
    },
    // An owner tells the executor.
    Cancel {
        task: TaskId,
        recursive: bool,
    },
    /// Says how many items of a stream are taken; `u64::MAX` when nobody wants any.
    StreamTaken {
        task: TaskId,
        taken: u64,
    },
    /// Ends a worker at once, for a forced cancel.
    KillWorker {
        worker: ProcessId,
    },
    /// Ends a worker at once, and says whose wish or fault that is.
    EndWorker {
        worker: ProcessId,
        kind: ExitKind,
        detail: String,
    },
    // Reference counting between processes.
    OpenCredit {
        object: ObjectId,
        receiver: ProcessId,
    },
    ReleaseCredits {
        object: ObjectId,
        credits: u32,
    },
    Ask {
        object: ObjectId,
    },
    CancelObject {
        object: ObjectId,
        force: bool,
        recursive: bool,
    },
    FreeSlot {
        offset: u64,
        len: u64,
    },
    /// Asks an owner to free an object, or tells a borrower that its owner has.
    FreeObject {
        object: ObjectId,
    },
    /// A borrower looks at a freed object no more.
    ObjectLetGo {
        object: ObjectId,
    },
    /// A process asks an owner where its objects are.
    QueryObjects {
        request: u64,
        objects: Vec<ObjectId>,
    },
    /// The nodes that have all of each, and its size when it has a value.
    Objects {
        request: u64,
        found: Vec<(Vec<NodeId>, Option<u64>)>,
    },
    // Actors.
    CreateActor {
        request: u64,
        creation: ActorCreation,
    },
    CreateActorReply {
        request: u64,
        outcome: Result<ActorId, Failure>,
    },
    /// The directory asks the creator to send the constructor call.
    Construct {
        actor: ActorId,
        worker: ProcessId,
        addr: SocketAddr,
        incarnation: u64,
        devices: Vec<u32>,
    },
    ConstructFailed {
        actor: ActorId,
        failure: Failure,
    },
    /// The control role has its own process construct a detached actor.
    ConstructDetached {
        actor: ActorId,
        job: JobId,
        worker: ProcessId,
        addr: SocketAddr,
        incarnation: u64,
        devices: Vec<u32>,
        recipe: Box<Recipe>,
    },
    WatchActor {
        actor: ActorId,
    },
    ActorState {
        actor: ActorId,
        status: ActorStatus,
    },
    KillActor {
        actor: ActorId,
        no_restart: bool,
    },
    HandlesGone {
        actor: ActorId,
    },
    /// The worker finishes the calls it has and ends.
    StopActor {
        actor: ActorId,
    },
    LookupActor {
        request: u64,
        namespace: String,
        name: String,
    },
    LookupActorReply {
        request: u64,
        outcome: Result<(ActorId, String, CallLimits), Failure>,
    },
    Groups(GroupMessage),
    Bundles(BundleMessage),
    Collective(CollectiveMessage),
    // The control role and the nodes.
    /// A node introduces itself.
    NodeUp {
        row: NodeRow,
    },
    /// A node says what is free.
    NodeView {
        report: NodeReport,
        workers: Vec<WorkerRow>,
    },
    /// A node is gone, with every process that it started.
    NodeDied {
        process: ProcessId,
    },
    /// A driver introduces its job.
    JobUp {
        job: JobSpec,
    },
    /// The control role passes a job on to every node.
    JobAnnounced {
        job: JobSpec,
    },
    JobEnded {
        job: JobId,
    },
    /// A line that a worker of another node printed.
    Printed {
        pid: u32,
        name: String,
        is_error: bool,
        text: String,
    },
    /// A node passes on what a worker says, in order with its death.
    OfWorker {
        worker: ProcessId,
        #[rkyv(omit_bounds)]
        message: Box<Message>,
    },
    WorkerDied {
        process: ProcessId,
        exit: WorkerExit,
    },
    ActorPlaced {
        request: u64,
        lease: LeaseId,
        worker: ProcessId,
        addr: SocketAddr,
        devices: Vec<u32>,
    },
    ActorPlaceRefused {
        request: u64,
        failure: Failure,
    },
    /// The actor runs: it holds what it holds from here on.
    ActorRunning {
        lease: LeaseId,
    },
    /// The node tells its worker that the actor has no handles left.
    StopWorkersActor {
        worker: ProcessId,
        actor: ActorId,
    },
    // Processes.
    Locate {
        process: ProcessId,
    },
    Located {
        process: ProcessId,
        at: Location,
    },
    ProcessDied {
        process: ProcessId,
        exit: WorkerExit,
    },
    // The store.
    /// Wants `bytes` in one piece; `least` will do when there is not so much.
    RequestSegments {
        request: u64,
        bytes: u64,
        least: u64,
    },
    /// Nobody waits for the segments any more.
    CancelSegments {
        request: u64,
    },
    SegmentsGranted {
        request: u64,
        outcome: Result<(u32, u32), Failure>,
    },
    ReturnSegments {
        first: u32,
        count: u32,
    },
    /// A process finds a value away that it wants to read.
    BringBack {
        request: u64,
        offset: u64,
    },
    BroughtBack {
        request: u64,
        outcome: Result<(), Failure>,
    },
    /// Somebody waits for segments: give the empty ones back.
    RecallSegments,
    /// Says that this process, or every one of this node, reads nothing any more that `dead` had written.
    Quiesced {
        dead: ProcessId,
    },
    /// The control role tells a node which others know of the death of one of its processes.
    DeathTold {
        process: ProcessId,
        nodes: Vec<ProcessId>,
    },
    // Objects of other nodes.
    /// A process wants copies in its own node's arena, all of them before it is answered.
    Fetch {
        request: u64,
        purpose: FetchFor,
        wanted: Vec<WantedObject>,
    },
    /// Where each of them lies, in their order; or the first that cannot be had.
    Fetched {
        request: u64,
        outcome: Result<Vec<(u64, u64)>, (ObjectId, Failure)>,
    },
    /// The process waits no longer, or reads none of what it was given.
    CancelFetch {
        request: u64,
    },
    /// A process reads a copy no more that this request gave it.
    ReleaseCopy {
        request: u64,
        object: ObjectId,
    },
    /// A node wants a part of an object from a node that has it.
    ReadChunk {
        job: JobId,
        object: ObjectId,
        /// Where the object lies at the node where it was made.
        offset: u64,
        len: u64,
        writer: ProcessId,
        chunk: u32,
        /// The port to which the part is sent.
        port: u16,
    },
    /// The part is not wanted any more.
    CancelChunk {
        object: ObjectId,
        chunk: u32,
    },
    /// The part is not here, or enough others are served.
    ChunkRefused {
        object: ObjectId,
        chunk: u32,
        is_busy: bool,
    },
    /// A node asks an object's owner who has it.
    LocateObject {
        object: ObjectId,
    },
    ObjectLocated {
        object: ObjectId,
        outcome: Result<Vec<(NodeId, Option<Chunks>)>, Failure>,
    },
    /// A node tells an object's owner which parts it has; `None` stands for all.
    CopyHeld {
        object: ObjectId,
        held: Option<Chunks>,
    },
    CopyDropped {
        object: ObjectId,
    },
    /// The owner tells a node that nobody needs its copy.
    DropCopy {
        object: ObjectId,
    },
    /// The owner tells a node that its copy is the last one.
    KeepCopy {
        object: ObjectId,
    },
    Questions(QuestionMessage),
    Certificates(CertificateMessage),
    Executables(ExecutableMessage),
    Folders(FolderMessage),
    Reunion(ReunionMessage),
    Leaving(LeaveMessage),
    Look(LookMessage),
    // Whether nodes live.
    /// A node says that it lives.
    Heartbeat,
    /// These may not take part any more, with all their processes: the head tells nodes, and they their workers.
    Revoked {
        processes: Vec<ProcessId>,
    },
    /// The control role asks a node whether it can reach another.
    ProbeNode {
        target: ProcessId,
        addr: SocketAddr,
    },
    /// A node asks another whether it is there.
    Ping,
    Pong,
    ProbeReached {
        target: ProcessId,
    },
    /// An owner asks a node to take a copy of what a leaving node has, and to keep it.
    TakeOver {
        leaving: ProcessId,
        job: JobId,
        wanted: WantedObject,
    },
    TakenOver {
        leaving: ProcessId,
        object: ObjectId,
        refusal: Option<String>,
    },
    Shutdown,
    /// The worker ends unless others need what it owns.
    StopIdle,
    /// They do: the worker stays.
    StayedBusy,
}
