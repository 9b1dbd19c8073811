//! What processes say to each other: frame kinds, their metadata, control messages.
//!
//! `docs/wire.md` draws the frames. Hot kinds ([`CallMeta`], [`DoneMeta`], [`ItemMeta`]) carry values in the frame's
//! body; everything else is a [`Message`] in the frame's metadata.

use std::net::SocketAddr;

use ray_engine::{
    chunks::Chunks,
    collective::{Chunk, Fault, Lane},
    failure::{Failure, WorkerExit},
    ids::{ActorId, GroupId, JobId, LeaseId, NodeId, ObjectId, ProcessId, TaskId},
    resources::Resources,
    spec::{Demand, Labels, NodeReport, Placement, PlacementStrategy},
};
use rkyv::{Archive, Deserialize, Serialize, rancor};

use crate::{actor::CallLimits, placement_group::Inside};

/// The version of the frames and messages; both sides of a connection must have the same.
pub(crate) const WIRE_VERSION: u16 = 5;

/// Frame kinds that ray-core adds to ray-net's own.
pub(crate) mod kind {
    /// A [`super::Message`].
    pub(crate) const CONTROL: u8 = 16;
    /// A task, method or constructor call: [`super::CallMeta`] and its arguments.
    pub(crate) const CALL: u8 = 17;
    /// The end of a call: [`super::DoneMeta`] and its results.
    pub(crate) const DONE: u8 = 18;
    /// An owner's answer about one object: [`super::AnswerMeta`] and the value.
    pub(crate) const ANSWER: u8 = 19;
    /// A part of an object: [`super::ChunkMeta`] and its bytes.
    pub(crate) const CHUNK: u8 = 20;
    /// One item of a stream: [`super::ItemMeta`] and the value.
    pub(crate) const ITEM: u8 = 21;
    /// A part of the conversation of a collective group: [`super::PartMeta`] and elements.
    pub(crate) const PART: u8 = 22;

    /// The most bytes that a frame of each kind may carry; 0 refuses the kind.
    pub(crate) fn limit(kind: u8) -> u32 {
        match kind {
            CONTROL => 1 << 20,
            CALL | DONE | ANSWER | ITEM => 12 << 20,
            PART => crate::config::COLLECTIVE_CHUNK_BYTES as u32 + (8 << 10),
            _ => 0,
        }
    }

    /// The same for the connections that carry nothing but parts of objects.
    pub(crate) fn bulk_limit(kind: u8) -> u32 {
        match kind {
            CHUNK => crate::config::CHUNK_BYTES as u32 + (1 << 10),
            _ => 0,
        }
    }
}

/// What a process says about itself first.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Hello {
    pub wire: u16,
    pub job: JobId,
    /// The hash of the function table; 0 for daemons, which have none.
    pub table_hash: u64,
    /// One line a function, sent so that the other side can name the first difference.
    pub table: Vec<String>,
}

/// The call that a frame carries.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct CallMeta {
    pub task: TaskId,
    pub job: JobId,
    pub attempt: u32,
    /// Items of a stream that may wait for its consumer; 0 for any number.
    pub backpressure: u32,
    /// Hash of the function's identity; see `Method::id`.
    pub method: u64,
    /// The task that submitted this one; index 0 for a driver's own.
    pub parent: TaskId,
    /// Milliseconds until the caller gives up, 0 for never.
    pub deadline_ms: u64,
    pub target: CallTarget,
    pub args: Vec<ArgMeta>,
    /// The actors whose calls led here, outermost first.
    pub chain: Vec<ActorId>,
    /// The GPUs of the lease, for tasks and constructors.
    pub devices: Vec<u32>,
    /// The placement group of the lease, for tasks and constructors.
    pub inside: Option<Box<Inside>>,
}

/// Who runs a call.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallTarget {
    /// Any worker, under a lease.
    Task { lease: LeaseId },
    /// A method of an actor.
    Method {
        /// The concurrency group, 0 for the default one.
        group: u16,
        actor: ActorId,
        incarnation: u64,
        seq: u64,
    },
    /// The constructor of an actor's next incarnation.
    Create {
        actor: ActorId,
        class: u64,
        incarnation: u64,
        max_concurrency: u32,
    },
}

/// One argument of a call.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct ArgMeta {
    pub place: Place,
    /// Stands for the type that its maker means; 0 says nothing.
    pub layout: u64,
    /// The references inside; the frame carries one credit of each.
    pub contained: Vec<ObjectId>,
}

/// Where a value's archive is.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the body of this frame.
    Body { offset: u32, len: u32 },
    /// In the arena of the node of `writer`, who wrote it.
    Arena {
        object: ObjectId,
        offset: u64,
        len: u64,
        writer: ProcessId,
    },
}

/// The end of a call.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct DoneMeta {
    pub task: TaskId,
    pub attempt: u32,
    /// How long user code ran; nanoseconds.
    pub exec_nanos: u64,
    /// The failure is apart, so that it costs a success nothing.
    pub outcome: Result<Vec<ArgMeta>, Box<Failure>>,
}

/// One item of a stream.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct ItemMeta {
    pub task: TaskId,
    pub attempt: u32,
    /// Its number within the attempt, from 0.
    pub position: u64,
    pub item: ArgMeta,
}

/// An owner's answer to [`Message::Ask`].
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct AnswerMeta {
    pub object: ObjectId,
    pub outcome: Result<ArgMeta, Failure>,
}

/// Which part of which object a frame carries.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct ChunkMeta {
    pub object: ObjectId,
    pub chunk: u32,
    /// BLAKE3 of the bytes.
    pub hash: [u8; 32],
}

/// For what an object of another node is wanted; the first is served first.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchFor {
    Get,
    Wait,
    Arguments,
}

/// What a node's store holds and has done since it began.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreRow {
    pub capacity: u64,
    pub lent: u64,
    pub copies: u64,
    pub copied_bytes: u64,
    pub fetched_bytes: u64,
    pub served_bytes: u64,
    pub in_memory: u64,
    pub on_disk: u64,
    pub spilled_bytes: u64,
    pub restored_bytes: u64,
}

/// What one member of a collective group says to another.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct PartMeta {
    pub group: u64,
    /// The speaker's rank.
    pub from: u32,
    pub say: Say,
}

/// The parts of that conversation.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) enum Say {
    /// Elements, in this frame's body or in the arena of the node that both are on.
    Chunk { chunk: Chunk, place: Place },
    /// How many chunks of this conversation were taken in all.
    Taken { lane: Lane, taken: u64 },
    /// Nothing more comes, and nothing is read any more.
    Left,
    /// The group is of no use any more.
    Broken { fault: Fault },
}

/// The members of a group that has formed, by rank.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Roster {
    pub group: u64,
    pub members: Vec<(ProcessId, SocketAddr)>,
}

/// How an actor is doing, as its callers see it.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) enum ActorStatus {
    Pending,
    Alive {
        process: ProcessId,
        addr: SocketAddr,
        incarnation: u64,
    },
    Restarting,
    Dead {
        failure: Failure,
    },
}

/// What the directory needs to place and restart an actor.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct ActorCreation {
    pub actor: ActorId,
    pub class_name: String,
    pub name: Option<(String, String)>,
    pub shape: Resources,
    pub running: Resources,
    pub placement: Placement,
    pub max_restarts: i32,
    pub job: JobId,
    pub get_if_exists: bool,
    pub detached: bool,
    pub(crate) limits: CallLimits,
}

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
    HandedBack {
        task: TaskId,
        attempt: u32,
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
    // Placement groups.
    CreateGroup {
        request: u64,
        group: GroupId,
        bundles: Vec<Resources>,
        strategy: PlacementStrategy,
        job: JobId,
    },
    RemoveGroup {
        request: u64,
        group: GroupId,
    },
    GroupReply {
        request: u64,
        outcome: Result<(), Failure>,
    },
    /// The control role asks a node to set all of these bundles aside, or none.
    PrepareBundles {
        group: GroupId,
        attempt: u64,
        bundles: Vec<(u32, Resources)>,
    },
    CommitBundles {
        group: GroupId,
        attempt: u64,
    },
    /// The node gives them up and ends what runs in them.
    ReturnBundles {
        group: GroupId,
        attempt: u64,
    },
    // The node answers.
    BundlesPrepared {
        group: GroupId,
        attempt: u64,
    },
    BundlesCommitted {
        group: GroupId,
        attempt: u64,
    },
    BundlesRefused {
        group: GroupId,
        attempt: u64,
    },
    // Collective groups.
    JoinCollective {
        request: u64,
        job: JobId,
        name: String,
        rank: u32,
        world: u32,
        addr: SocketAddr,
    },
    /// The process waits no longer for the others.
    WithdrawCollective {
        request: u64,
    },
    CollectiveJoined {
        request: u64,
        outcome: Result<Roster, Failure>,
    },
    LeaveCollective {
        group: u64,
        /// The members that the process has not told itself.
        untold: Vec<u32>,
    },
    CollectiveLeft {
        group: u64,
        rank: u32,
    },
    CollectiveBroken {
        group: u64,
        rank: u32,
        reason: String,
    },
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
    // A node fetches a job's executable from the driver's.
    FetchExecutable {
        offset: u64,
    },
    ExecutablePart {
        job: JobId,
        offset: u64,
        bytes: Vec<u8>,
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
    /// A process wants a copy in its own node's arena.
    Fetch {
        request: u64,
        object: ObjectId,
        offset: u64,
        len: u64,
        writer: ProcessId,
        purpose: FetchFor,
    },
    Fetched {
        request: u64,
        object: ObjectId,
        outcome: Result<(u64, u64), Failure>,
    },
    /// A process reads its copy no more.
    ReleaseCopy {
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
    // Questions of the state.
    QueryStore {
        request: u64,
    },
    Store {
        request: u64,
        store: StoreRow,
    },
    QueryResources {
        request: u64,
    },
    Resources {
        request: u64,
        total: Resources,
        available: Resources,
    },
    QueryNodes {
        request: u64,
    },
    Nodes {
        request: u64,
        nodes: Vec<NodeRow>,
    },
    // Whether nodes live, and how long.
    /// A node says that it lives.
    Heartbeat,
    /// A node wants the certificate of its authority signed anew.
    RenewCertificate {
        public_key: Vec<u8>,
    },
    CertificateRenewed {
        delegation: Vec<u8>,
    },
    /// A node gives a worker a new certificate, with its key.
    NewIdentity {
        identity: Vec<u8>,
    },
    /// A head that was started again asks a node to join anew; it keeps these workers and no others.
    Introduce {
        keep: Vec<ProcessId>,
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
    /// The node takes no new work and ends once it has none.
    Drain,
    DrainAccepted,
    /// The node has no work any more.
    Drained,
    // Somebody looks at the cluster.
    /// The control role asks a node what its processes hold, and the node its workers.
    Gather {
        request: u64,
        wants_objects: bool,
    },
    Gathered {
        request: u64,
        process: ProcessId,
        held: Held,
    },
    /// The control role asks a node for its log files, or for a part of one.
    ReadLog {
        request: u64,
        /// The file and where to begin; `None` for the list.
        file: Option<(String, u64)>,
    },
    LogRead {
        request: u64,
        outcome: Result<LogPart, String>,
    },
    Shutdown,
    /// The worker ends unless others need what it owns.
    StopIdle,
    /// They do: the worker stays.
    StayedBusy,
}

impl Message {
    /// Returns whether the control role handles it.
    pub(crate) fn is_for_control(&self) -> bool {
        matches!(
            self,
            Message::CreateActor { .. }
                | Message::ConstructFailed { .. }
                | Message::WatchActor { .. }
                | Message::KillActor { .. }
                | Message::HandlesGone { .. }
                | Message::LookupActor { .. }
                | Message::NodeUp { .. }
                | Message::NodeView { .. }
                | Message::OfWorker { .. }
                | Message::WorkerDied { .. }
                | Message::SpillLease { .. }
                | Message::CancelSpilled { .. }
                | Message::LeaseSettled { .. }
                | Message::LeaseRejected { .. }
                | Message::JobUp { .. }
                | Message::ActorPlaced { .. }
                | Message::ActorPlaceRefused { .. }
                | Message::CreateGroup { .. }
                | Message::RemoveGroup { .. }
                | Message::BundlesPrepared { .. }
                | Message::BundlesCommitted { .. }
                | Message::BundlesRefused { .. }
                | Message::QueryResources { .. }
                | Message::QueryNodes { .. }
                | Message::Gathered { .. }
                | Message::Heartbeat
                | Message::ProbeReached { .. }
                | Message::DrainAccepted
                | Message::Drained
                | Message::JoinCollective { .. }
                | Message::WithdrawCollective { .. }
                | Message::LeaveCollective { .. }
        )
    }
}

/// Where a process is.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug)]
pub(crate) enum Location {
    /// It listens here.
    At(SocketAddr),
    /// Its node, which listens here, knows.
    AskNode(SocketAddr),
    /// Nowhere: it has ended.
    Gone,
}

/// A line of `nodes()`, and what the control role knows of a node from its start.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct NodeRow {
    pub node: NodeId,
    pub name: String,
    pub addr: SocketAddr,
    pub alive: bool,
    /// Whether it is a driver's own, which runs nothing for others.
    pub is_driver: bool,
    pub resources: Resources,
    pub labels: Labels,
    pub workers: u32,
}

/// What a process holds: tasks, or objects.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default)]
pub(crate) struct Held {
    pub job: JobId,
    pub pid: u32,
    pub ip: String,
    pub is_driver: bool,
    /// The workers that the question was passed on to.
    pub asked: Vec<ProcessId>,
    /// The calls that it runs for others.
    pub running: Vec<TaskId>,
    pub tasks: Vec<TaskRow>,
    pub objects: Vec<ObjectRow>,
    /// Tasks or objects that were too many to name.
    pub left_out: u64,
}

/// A task or call of whoever holds it.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct TaskRow {
    pub task: TaskId,
    pub attempt: u32,
    pub name: String,
    pub parent: Option<TaskId>,
    pub actor: Option<ActorId>,
    pub place: TaskPlace,
}

/// How far a task has come.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug)]
pub(crate) enum TaskPlace {
    WaitsForArguments,
    WaitsForWorker,
    Sent(ProcessId),
}

/// An object that somebody refers to.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct ObjectRow {
    pub object: ObjectId,
    pub bytes: Option<u64>,
    pub is_result: bool,
    pub is_ready: bool,
    pub has_failed: bool,
    pub has_handles: bool,
    pub is_used: bool,
}

/// What a node answers about its logs.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) enum LogPart {
    /// Names and sizes in bytes.
    Files(Vec<(String, u64)>),
    /// Text, and where it goes on.
    Text(String, u64),
}

/// A worker process of a node.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct WorkerRow {
    pub process: ProcessId,
    pub job: JobId,
    pub pid: u32,
    pub addr: Option<SocketAddr>,
}

/// What a node must know to start workers of a job.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct JobSpec {
    pub job: JobId,
    /// The driver's process, which has the executable.
    pub driver: ProcessId,
    pub namespace: String,
    pub executable: Executable,
    /// The arguments of the driver, which its workers get too.
    pub args: Vec<Vec<u8>>,
    pub log_filter: String,
}

/// A job's code by its content.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Executable {
    /// BLAKE3.
    pub hash: [u8; 32],
    pub len: u64,
}

/// What a worker gets on its standard input before it connects.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct WorkerBootstrap {
    pub process: ProcessId,
    pub node_addr: SocketAddr,
    pub control_process: ProcessId,
    pub control_addr: SocketAddr,
    pub job: JobId,
    pub namespace: String,
    pub identity: Vec<u8>,
    pub run_dir: String,
    pub log_filter: String,
}
