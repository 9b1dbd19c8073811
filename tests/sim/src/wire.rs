//! What the simulated processes say to each other: the messages of ray-core's wire without their bytes.

use std::rc::Rc;

use ray_engine::{
    control::groups::GroupSpec,
    failure::Failure,
    ids::{ActorId, GroupId, JobId, LeaseId, NodeId, ObjectId, ProcessId, RequestId, TaskId},
    resources::Resources,
    spec::{Demand, Labels, NodeReport, Placement},
};

use crate::network::{Death, Travels};

/// A value; it says who made it, so that a wrong one is noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The object it was made for; the index is 0 when `put` made it.
    pub object: ObjectId,
    /// The attempt that made it.
    pub attempt: u32,
    /// The process that made it.
    pub maker: ProcessId,
    /// Different for each value.
    pub token: u64,
}

/// An actor handle as user code holds it.
#[derive(Clone, Debug)]
pub struct Handle {
    /// Whose.
    pub actor: ActorId,
    /// The object that keeps the actor alive; handles found by name have none.
    pub hold: Option<ObjectId>,
    /// What class and options say about calls.
    pub limits: CallLimits,
}

/// What every call of a handle has in common.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallLimits {
    /// Whether calls wait for the arguments of those before them.
    pub is_ordered: bool,
    /// Tries after a crash.
    pub max_task_retries: i32,
    /// Pending calls of one process at most; 0 for no limit.
    pub max_pending: u64,
}

/// How the user's function ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// With a value.
    Return,
    /// With `Err` while the attempt is below the number, then with a value.
    Fail(u32),
    /// The process ends while the attempt is below the number, then with a value.
    Crash(u32),
    /// The actor calls `exit_actor`.
    Exit,
}

/// A call as user code submitted it: everything that a later attempt needs again.
#[derive(Debug)]
pub struct Payload {
    /// The arguments.
    pub args: Vec<Arg>,
    /// Actor handles inside the arguments; their holds are in the last inline argument.
    pub handles: Vec<Handle>,
    /// Placement groups that it may use.
    pub groups: Vec<GroupId>,
    /// How deep the submitter was nested, plus one.
    pub depth: u32,
    /// Steps of user code.
    pub steps: u32,
    /// How long a step takes; nanoseconds.
    pub step_nanos: u64,
    /// Whether it may wait for others.
    pub may_block: bool,
    /// How it ends.
    pub fate: Fate,
    /// How many results it has.
    pub returns: u16,
    /// What the invariant of order must know of a call.
    pub call: Option<CallTraits>,
}

/// Which promises hold for one method call.
#[derive(Clone, Copy, Debug)]
pub struct CallTraits {
    /// Whether it keeps its place among the calls of its process.
    pub is_ordered: bool,
    /// Whether it may run more than once.
    pub may_repeat: bool,
}

/// One argument.
#[derive(Clone, Debug)]
pub enum Arg {
    /// A value with references inside.
    Inline(Vec<ObjectId>),
    /// A reference that is resolved before the call runs.
    Object(ObjectId),
}

/// One argument as it travels.
#[derive(Clone, Debug)]
pub struct ArgMeta {
    /// The object and its value, for an argument that was a reference.
    pub object: Option<(ObjectId, Value)>,
    /// References inside; the message carries one credit of each.
    pub contained: Vec<ObjectId>,
}

/// Who runs a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A worker, under a lease.
    Task(LeaseId),
    /// A method of one life of an actor.
    Method(ActorId, u64),
    /// The constructor of one life of an actor.
    Create(ActorId, u64),
}

/// The constructor of an actor and what placing it takes.
#[derive(Clone, Debug)]
pub struct Creation {
    /// Which actor.
    pub actor: ActorId,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// What placing takes.
    pub shape: Resources,
    /// What it holds once it runs.
    pub running: Resources,
    /// Where it is to live.
    pub placement: Placement,
    /// Whose code it is.
    pub job: JobId,
    /// Restarts over its life.
    pub max_restarts: i32,
    /// Whether an actor of that name is as good.
    pub get_if_exists: bool,
    /// Whether it outlives its creator.
    pub detached: bool,
    /// What its handles say about calls.
    pub limits: CallLimits,
}

/// How an actor is, as its callers hear it.
#[derive(Clone, Debug)]
pub enum Status {
    /// Not there yet.
    Pending,
    /// Takes calls.
    Alive(ProcessId, u64),
    /// A new life is on its way.
    Restarting,
    /// Gone for good.
    Dead(Failure),
}

/// Where a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// It can be reached.
    At,
    /// Its node knows.
    AskNode,
    /// Nowhere any more.
    Gone,
}

/// The results of a call, each with the references inside.
pub type Results = Vec<(Value, Vec<ObjectId>)>;

/// Everything that travels.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names are those of ray-core's wire")]
pub enum Message {
    Call {
        task: TaskId,
        attempt: u32,
        target: Target,
        args: Vec<ArgMeta>,
        payload: Rc<Payload>,
    },
    Done {
        task: TaskId,
        attempt: u32,
        exec_nanos: u64,
        outcome: Result<Results, Failure>,
    },
    Answer {
        object: ObjectId,
        outcome: Result<(Value, Vec<ObjectId>), Failure>,
    },
    RequestLease(RequestId, JobId, Resources, Placement),
    CancelLeaseRequest(RequestId, bool),
    ReturnLease(LeaseId),
    LeaseGranted {
        request: RequestId,
        lease: LeaseId,
        worker: ProcessId,
        was_placed: bool,
    },
    LeaseRefused(RequestId, Failure, bool),
    LeaseSettled(NodeId, RequestId),
    RecallLease(LeaseId),
    SpillLease(ProcessId, RequestId, Demand),
    CancelSpilled(ProcessId, RequestId),
    PlaceLease {
        requester: ProcessId,
        request: RequestId,
        demand: Demand,
        is_bound: bool,
    },
    ShareWaiting(Resources),
    CancelPlaced(ProcessId, RequestId),
    LeaseRejected(ProcessId, RequestId),
    ActorPlaced {
        request: RequestId,
        lease: LeaseId,
        worker: ProcessId,
    },
    ActorPlaceRefused(RequestId, Failure),
    ActorRunning(LeaseId),
    StopWorkersActor(ProcessId, ActorId),
    OfWorker(ProcessId, Box<Message>),
    NodeUp {
        total: Resources,
        labels: Labels,
        is_driver: bool,
    },
    NodeView(NodeReport),
    WorkerDied(ProcessId, Option<GroupId>),
    NodeDied(ProcessId),
    JobUp(JobId),
    JobAnnounced(JobId),
    JobEnded(JobId),
    CreateGroup(u64, Box<GroupSpec>),
    RemoveGroup(GroupId),
    GroupReply(u64, Result<(), Failure>),
    MakeRoom(Vec<Resources>),
    PrepareBundles(GroupId, u64, Vec<(u32, Resources)>),
    BundlesPrepared(GroupId, u64),
    CommitBundles(GroupId, u64),
    BundlesCommitted(GroupId, u64),
    ReturnBundles(GroupId, u64),
    BundlesRefused(GroupId, u64),
    WorkerReady,
    Blocked,
    Unblocked,
    ActorExit(ActorId, String),
    ActorStarted(ActorId, u64),
    ActorStartFailed(ActorId, Failure),
    HandedBack(TaskId, u32),
    Cancel {
        task: TaskId,
        recursive: bool,
    },
    KillWorker(ProcessId),
    OpenCredit(ObjectId, ProcessId),
    ReleaseCredits(ObjectId, u32),
    Ask(ObjectId),
    FreeObject(ObjectId),
    ObjectLetGo(ObjectId),
    CancelObject {
        object: ObjectId,
        force: bool,
        recursive: bool,
    },
    CreateActor(u64, Creation),
    CreateActorReply(u64, Result<ActorId, Failure>),
    Construct {
        actor: ActorId,
        worker: ProcessId,
        incarnation: u64,
    },
    ConstructFailed(ActorId, Failure),
    WatchActor(ActorId),
    ActorState(ActorId, Status),
    KillActor(ActorId, bool),
    HandlesGone(ActorId),
    StopActor(ActorId),
    LookupActor(u64, String),
    LookupActorReply(u64, Result<(ActorId, CallLimits), Failure>),
    Locate(ProcessId),
    Located(ProcessId, Location),
    ProcessDied(ProcessId, Option<GroupId>),
    StopIdle,
    StayedBusy,
}

impl Travels for Message {
    fn death(&self) -> Option<Death> {
        match self {
            Message::ProcessDied(dead, _) => Some(Death::Process(*dead)),
            Message::NodeDied(node) => Some(Death::Node(*node)),
            _ => None,
        }
    }
}

impl Message {
    /// Returns whether the control role handles it; the list is that of ray-core's wire.
    pub fn is_for_control(&self) -> bool {
        matches!(
            self,
            Message::CreateActor(..)
                | Message::ConstructFailed(..)
                | Message::OfWorker(..)
                | Message::WorkerDied(..)
                | Message::WatchActor(_)
                | Message::KillActor(..)
                | Message::HandlesGone(_)
                | Message::LookupActor(..)
                | Message::SpillLease(..)
                | Message::CancelSpilled(..)
                | Message::LeaseSettled(..)
                | Message::LeaseRejected(..)
                | Message::ActorPlaced { .. }
                | Message::ActorPlaceRefused(..)
                | Message::NodeUp { .. }
                | Message::NodeView(_)
                | Message::JobUp(_)
                | Message::CreateGroup(..)
                | Message::RemoveGroup(_)
                | Message::BundlesPrepared(..)
                | Message::BundlesCommitted(..)
                | Message::BundlesRefused(..)
        )
    }
}
