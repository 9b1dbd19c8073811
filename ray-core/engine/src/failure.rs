//! Why a call or an object has no value: plain data that travels to whoever waits.

#![allow(
    missing_docs,
    reason = "rkyv's derives repeat the types without their documentation"
)]

use std::sync::Arc;

use rkyv::{Archive, Deserialize, Serialize};

use crate::ids::{ActorId, GroupId, NodeId, ObjectId, ProcessId};

/// The end of a call or an object without a value, as it travels between processes.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the fields of a variant are named after what its line says"
)]
pub enum Failure {
    /// User code returned `Err` or panicked.
    Task(TaskFailure),
    /// The call was cancelled before it finished.
    Cancelled,
    /// The worker process that ran the call ended.
    WorkerCrashed(WorkerExit),
    /// The node ended the worker, since too much memory was in use there.
    OutOfMemory(String),
    /// The node that ran the call is gone.
    NodeDied(NodeId),
    /// The head of the cluster is gone, and this driver's place in the cluster with it.
    HeadLost,
    /// The actor is dead for good.
    ActorDied {
        actor: ActorId,
        incarnation: u64,
        cause: String,
    },
    /// The actor is restarting or cannot be reached; whether the call ran is unknown.
    ActorUnavailable { actor: ActorId, cause: String },
    /// No copy of the object is left.
    ObjectLost { object: ObjectId, reason: String },
    /// The object was freed before it was read.
    ObjectFreed(ObjectId),
    /// The value does not fit into one archive or the whole store.
    ObjectTooLarge { bytes: u64, limit: u64 },
    /// The process that owned the object is gone.
    OwnerDied { object: ObjectId, owner: ProcessId },
    /// No node can ever run this call.
    Unschedulable { demand: String, reason: String },
    /// The placement group that the call drew from was removed.
    PlacementGroupRemoved(GroupId),
    /// The disk that objects are spilled to is full.
    OutOfDisk(String),
    /// The object store had no room in time.
    ObjectStoreFull {
        needed: u64,
        capacity: u64,
        holders: String,
    },
    /// More calls of one handle are pending than allowed.
    PendingCallsLimit { limit: u64 },
    /// A worker limit and a chain of blocked calls leave nobody to run the rest.
    WouldDeadlock(String),
    /// Actors wait for each other in a circle.
    DeadlockCycle(String),
    /// A name is already in use.
    NameTaken(String),
    /// Nothing has this name.
    NotFound(String),
    /// The bytes are not of the expected type.
    TypeMismatch { expected: String, found: String },
    /// An option's value makes no sense.
    InvalidOption { option: String, reason: String },
    /// Two processes disagree about the code or the wire.
    VersionMismatch(String),
    /// The stream ended before the item that was asked for.
    StreamEnded,
    /// A stream that was begun again had fewer items than before.
    StreamReplay { produced: u64, replayed: u64 },
    /// A stream has more items than one may have.
    StreamItemsLimit { limit: u64 },
    /// The environment of the call's worker cannot be had; the text names the field, and the node if it is one's.
    RuntimeEnv(String),
    /// The runtime itself failed.
    System(String),
}

/// What user code did wrong.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct TaskFailure {
    /// The task's or method's name.
    pub function: String,
    /// The error's or panic's text.
    pub message: String,
    /// The stack of a panic; empty for a returned error.
    pub backtrace: String,
    /// Whether it was a panic.
    pub panicked: bool,
    /// The error value itself, when its type is `Data`.
    pub cause: Option<TypedCause>,
    /// Where it ran.
    pub node: NodeId,
    /// Who ran it.
    pub worker: ProcessId,
    /// Which try it was, from 0.
    pub attempt: u32,
}

/// An archived error value and the hash that says of what type.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct TypedCause {
    /// Identifies the type inside one build.
    pub layout: u64,
    /// The archive.
    pub bytes: Vec<u8>,
}

/// Which failures of user code are worth another try.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RetryOn {
    /// None.
    #[default]
    Nothing,
    /// All of them: returned errors and panics.
    Everything,
    /// Returned errors of these types, by the hashes of [`TypedCause`].
    Causes(Arc<[u64]>),
}

impl RetryOn {
    /// Returns whether a call that ended like this is tried again.
    pub fn covers(&self, failure: &Failure) -> bool {
        let Failure::Task(task) = failure else {
            return false;
        };
        match self {
            RetryOn::Nothing => false,
            RetryOn::Everything => true,
            RetryOn::Causes(layouts) => task
                .cause
                .as_ref()
                .is_some_and(|cause| layouts.contains(&cause.layout)),
        }
    }

    /// Returns the list of types with one more; what was no list before is replaced by one.
    pub fn with_cause(self, layout: u64) -> RetryOn {
        let known: &[u64] = match &self {
            RetryOn::Causes(layouts) => layouts,
            RetryOn::Nothing | RetryOn::Everything => &[],
        };
        if known.contains(&layout) {
            return self;
        }
        RetryOn::Causes(known.iter().copied().chain([layout]).collect())
    }
}

impl From<bool> for RetryOn {
    fn from(all: bool) -> RetryOn {
        match all {
            true => RetryOn::Everything,
            false => RetryOn::Nothing,
        }
    }
}

/// How a worker process ended.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerExit {
    /// The process that ended.
    pub worker: ProcessId,
    /// Its operating system id.
    pub pid: u32,
    /// The exit code, when it exited.
    pub code: Option<i32>,
    /// The signal that ended it, when one did.
    pub signal: Option<i32>,
    /// The last lines it wrote to standard error.
    pub last_stderr: String,
    /// The call that was running.
    pub function: String,
    /// Which try it was, from 0.
    pub attempt: u32,
    /// The removed placement group that it had to leave, if it had to.
    pub evicted_from: Option<GroupId>,
    /// Why its node ended it for the memory in use, if it did.
    pub out_of_memory: Option<String>,
    /// Who wished it, or whose fault it was.
    pub kind: ExitKind,
    /// The wish or the fault in words; empty when the exit status says it all.
    pub detail: String,
}

/// Whose wish or fault the end of a worker process was.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExitKind {
    /// Nobody wished it.
    #[default]
    SystemError,
    /// A fault of user code left nothing to go on with.
    UserError,
    /// The runtime had no more use for it, or was told to end it.
    IntendedSystemExit,
    /// User code left.
    IntendedUserExit,
}

impl WorkerExit {
    /// Returns how it ended, in words.
    pub fn describe(&self) -> String {
        if !self.detail.is_empty() {
            return self.detail.clone();
        }
        match (self.signal, self.code) {
            (Some(signal), _) => format!("its process {} was ended by signal {signal}", self.pid),
            (None, Some(code)) => format!("its process {} exited with code {code}", self.pid),
            (None, None) if self.pid == 0 && !self.last_stderr.is_empty() => {
                self.last_stderr.clone()
            }
            (None, None) => format!("its process {} ended", self.pid),
        }
    }

    /// Notes what is known of an end that nobody announced.
    pub fn judge(&mut self) {
        self.kind = match (self.signal, self.code) {
            (None, Some(0)) => ExitKind::IntendedUserExit,
            (None, Some(PANIC_CODE)) => ExitKind::UserError,
            _ => ExitKind::SystemError,
        };
    }
}

/// What a Rust process exits with after a panic, and a worker whose actor restarts after one.
const PANIC_CODE: i32 = 101;
