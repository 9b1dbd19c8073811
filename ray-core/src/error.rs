//! What can go wrong, for the caller: what happened, where, what to do.

use std::time::Duration;

use ray_engine::{
    failure::{Failure, TaskFailure, TypedCause, WorkerExit},
    ids::{ActorId, NodeId, ObjectId, ProcessId},
};

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that a call of this crate can fail with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// User code returned `Err` or panicked; look at its message and fix it there.
    #[error("{}", display_task(.function, .message, .backtrace, *.worker, *.attempt))]
    Task {
        /// The task's or method's name.
        function: String,
        /// The error's or panic's text.
        message: String,
        /// The stack at a panic, empty for a returned error.
        backtrace: String,
        /// The error value, when its type is `Data`; see [`Error::cause`].
        cause: Option<TypedCause>,
        /// Where it ran.
        node: NodeId,
        /// Who ran it.
        worker: ProcessId,
        /// Which try it was, from 0.
        attempt: u32,
    },
    /// The call was cancelled before it finished.
    #[error("the call was cancelled")]
    Cancelled,
    /// The worker process ended while it ran the call; see its last lines, or raise `max_retries`.
    #[error("{}", display_exit(.0))]
    WorkerCrashed(Box<WorkerExit>),
    /// The node that ran the call is gone; raise `max_retries` to run it elsewhere.
    #[error("node {0} died while it ran the call; set `max_retries` to run it again elsewhere")]
    NodeDied(NodeId),
    /// The head of the cluster stayed away, or sent this program away; start it again once a head runs there.
    ///
    /// A driver waits for a head that is away for as long as `Config::reconnect_within` says. After that what
    /// runs already ends as it does, and nothing new can be placed.
    #[error(
        "the head of the cluster is gone and did not come back in time (`Config::reconnect_within`), or sent this program away; start the program again once a head runs"
    )]
    HeadLost,
    /// The actor is dead for good; create a new one or set `max_restarts`.
    #[error("actor {actor} (incarnation {incarnation}) is dead: {cause}")]
    ActorDied {
        /// Which actor.
        actor: ActorId,
        /// Its last life, from 0.
        incarnation: u64,
        /// Why it ended.
        cause: String,
    },
    /// The actor is restarting or out of reach; whether the call ran is unknown, retry later.
    #[error(
        "actor {actor} is unavailable: {cause}; whether the call ran is unknown, try again or set `max_task_retries`"
    )]
    ActorUnavailable {
        /// Which actor.
        actor: ActorId,
        /// Why.
        cause: String,
    },
    /// No copy of the object is left.
    #[error("object {object} is lost: {reason}")]
    ObjectLost {
        /// Which object.
        object: ObjectId,
        /// Why.
        reason: String,
    },
    /// The object was freed before it was read; keep a reference to it for longer, and `free` it later.
    #[error(
        "object {0} was already freed; keep a reference to it, and do not `free` it, until it has been read"
    )]
    ObjectFreed(ObjectId),
    /// The value does not fit; split it.
    #[error(
        "a value of {bytes} bytes is over the limit of {limit} bytes; split it into several objects"
    )]
    ObjectTooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The process that owned the object is gone, and the object with it.
    #[error("object {object} is gone because its owner {owner} died")]
    OwnerDied {
        /// Which object.
        object: ObjectId,
        /// Who owned it.
        owner: ProcessId,
    },
    /// The object could not be made again.
    #[error("object {object} could not be rebuilt: {reason}")]
    ReconstructionFailed {
        /// Which object.
        object: ObjectId,
        /// Why.
        reason: String,
    },
    /// The value was not there in time; it may still come.
    #[error("no value within {0:?}; it may still come, get it again later")]
    GetTimeout(Duration),
    /// More calls of one handle are pending than allowed; wait for some.
    #[error(
        "{limit} calls are pending on this handle, its limit; get some results first or raise `max_pending_calls`"
    )]
    PendingCallsLimit {
        /// The limit.
        limit: u64,
    },
    /// No node can ever run the call; ask for less or add a node.
    #[error("cannot schedule {demand}: {reason}")]
    Unschedulable {
        /// What was asked for.
        demand: String,
        /// Why it never fits.
        reason: String,
    },
    /// The placement group of the call was removed.
    #[error("the placement group was removed")]
    PlacementGroupRemoved,
    /// The object store had no room in time; drop references or raise `object_store_memory`.
    ///
    /// What is made goes on in a file when memory is full of what is in use: this is about what is larger than the
    /// whole store, copies of other nodes' objects, or a node that could make no file in its folder for spilled objects.
    #[error(
        "the object store has no room for {needed} bytes (capacity {capacity} bytes){holders}; drop references or raise `object_store_memory`"
    )]
    ObjectStoreFull {
        /// Bytes asked for.
        needed: u64,
        /// The store's size.
        capacity: u64,
        /// Who holds the most.
        holders: String,
    },
    /// The store is full, and so is the disk that takes what memory has no room for; make space there, or drop references.
    #[error("no room on the disk for spilled objects at {0}")]
    OutOfDisk(String),
    /// Too much of a node's memory was in use, so it ended the worker; ask for `memory`, or run fewer at once.
    #[error(
        "the worker was ended because memory ran out: {0}; ask for `memory` so that fewer run at once, or give the node more"
    )]
    OutOfMemory(String),
    /// The name belongs to another actor.
    #[error("the name `{0}` is taken; use another or `get_if_exists`")]
    NameTaken(String),
    /// Nothing has this name.
    #[error("nothing is named `{0}` in this namespace")]
    NotFound(String),
    /// The bytes are of another type than the reader expects.
    #[error("expected a value of type {expected} and found {found}")]
    TypeMismatch {
        /// The reader's type.
        expected: String,
        /// What the bytes are.
        found: String,
    },
    /// Two processes disagree about the code or the wire.
    #[error("versions differ: {0}")]
    VersionMismatch(String),
    /// A worker limit and a chain of blocked calls leave nobody to run the rest.
    #[error("would deadlock: {0}")]
    WouldDeadlock(String),
    /// Actors wait for each other in a circle.
    #[error("actors wait for each other in a circle: {0}")]
    DeadlockCycle(String),
    /// The credentials were missing, wrong, expired or used up.
    #[error("not admitted: {0}")]
    Unauthenticated(String),
    /// The cluster's head did not answer; check the address, the port and whether it runs.
    #[error("the cluster at {address} cannot be reached: {reason}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What was seen there, and what to do.
        reason: String,
    },
    /// The cluster's head understood the question and said no; its text says why.
    #[error("the head refused: {0}")]
    Refused(String),
    /// The runtime environment of the call cannot be had; the text names the field, and the node where that was seen.
    #[error("the runtime environment failed: {0}")]
    RuntimeEnv(String),
    /// An option's value makes no sense.
    #[error("option `{option}`: {reason}")]
    InvalidOption {
        /// The option's name.
        option: String,
        /// What is wrong with the value.
        reason: String,
    },
    /// The runtime is not running in this process; call `init` first.
    #[error(
        "the runtime is not running in this process: call `ray_core::init()` first and keep what it returns"
    )]
    NotInitialized,
    /// The stream ended before the item that was asked for; take items with `next` instead.
    #[error("the stream ended before this item")]
    StreamEnded,
    /// A stream that was begun again after a crash had fewer items than before: make its body repeatable.
    #[error(
        "the stream was begun again and had {replayed} items, but {produced} were already there; a streaming function that is retried must repeat its items, or set `max_retries = 0`"
    )]
    StreamReplay {
        /// Items that were already there.
        produced: u64,
        /// Items of the new attempt.
        replayed: u64,
    },
    /// A stream has more items than one may have; split it.
    #[error("the stream has over {limit} items, the limit; split it into several streams")]
    StreamItemsLimit {
        /// The limit.
        limit: u64,
    },
    /// The queue had no item within the time limit; try again later.
    #[error("the queue is empty")]
    QueueEmpty,
    /// The queue had no room within the time limit; try again later.
    #[error("the queue is full: it holds {capacity} items at most")]
    QueueFull {
        /// The most items it holds.
        capacity: u64,
    },
    /// The other members of a collective group did not come; start them, or give them more time.
    #[error("rank {rank} could not join group `{group}`: {reason}")]
    CollectiveJoin {
        /// The group's name.
        group: String,
        /// Who joined.
        rank: u32,
        /// Who was missing.
        reason: String,
    },
    /// A member of a collective group is gone, and the group with it; join again for a new one.
    #[error("rank {rank} of group `{group}` is lost: {reason}; join again for a new group")]
    CollectiveMemberLost {
        /// The group's name.
        group: String,
        /// Who is gone.
        rank: u32,
        /// Why.
        reason: String,
    },
    /// Two members of a collective group called different things; make them call the same.
    #[error(
        "in group `{group}`, rank {rank} called {call} where rank {other_rank} called {other_call}; all members must make the same calls in the same order"
    )]
    CollectiveMismatch {
        /// The group's name.
        group: String,
        /// Who noticed.
        rank: u32,
        /// What it called.
        call: String,
        /// With whom it did not agree.
        other_rank: u32,
        /// What that one called.
        other_call: String,
    },
    /// A member of a collective group was silent for too long; see what it does, or give it more time.
    #[error(
        "in group `{group}`, rank {rank} heard nothing from rank {waited_for} for {after:?}; see what that member does, or join with a longer limit"
    )]
    CollectiveTimeout {
        /// The group's name.
        group: String,
        /// Who waited.
        rank: u32,
        /// For whom.
        waited_for: u32,
        /// For how long.
        after: Duration,
    },
    /// The runtime itself failed; the text says where.
    #[error("the runtime failed: {0}")]
    System(String),
}

impl Error {
    /// Takes the typed error value out, when the failing function's error type is `E`.
    pub fn cause<E: crate::Data>(&self) -> Option<E> {
        let Error::Task {
            cause: Some(cause), ..
        } = self
        else {
            return None;
        };
        if cause.layout != crate::data::layout::<E>() {
            return None;
        }
        let mut bytes = crate::store::AlignedBytes::with_capacity(cause.bytes.len());
        bytes.extend_from_slice(&cause.bytes);
        crate::data::decode_bytes::<E>(&bytes).ok()
    }

    /// Returns whether trying the same call again may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Error::WorkerCrashed(_)
                | Error::NodeDied(_)
                | Error::ActorUnavailable { .. }
                | Error::GetTimeout(_)
                | Error::ObjectStoreFull { .. }
                | Error::PendingCallsLimit { .. }
                | Error::QueueEmpty
                | Error::QueueFull { .. }
        )
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Task(task) => {
                let TaskFailure {
                    function,
                    message,
                    backtrace,
                    cause,
                    node,
                    worker,
                    attempt,
                    ..
                } = task;
                Error::Task {
                    function,
                    message,
                    backtrace,
                    cause,
                    node,
                    worker,
                    attempt,
                }
            }
            Failure::Cancelled => Error::Cancelled,
            Failure::WorkerCrashed(exit) => Error::WorkerCrashed(Box::new(exit)),
            Failure::OutOfMemory(text) => Error::OutOfMemory(text),
            Failure::NodeDied(node) => Error::NodeDied(node),
            Failure::HeadLost => Error::HeadLost,
            Failure::ActorDied {
                actor,
                incarnation,
                cause,
            } => Error::ActorDied {
                actor,
                incarnation,
                cause,
            },
            Failure::ActorUnavailable { actor, cause } => Error::ActorUnavailable { actor, cause },
            Failure::ObjectLost { object, reason } => Error::ObjectLost { object, reason },
            Failure::ObjectFreed(object) => Error::ObjectFreed(object),
            Failure::ObjectTooLarge { bytes, limit } => Error::ObjectTooLarge { bytes, limit },
            Failure::OwnerDied { object, owner } => Error::OwnerDied { object, owner },
            Failure::Unschedulable { demand, reason } => Error::Unschedulable { demand, reason },
            Failure::PlacementGroupRemoved(_) => Error::PlacementGroupRemoved,
            Failure::OutOfDisk(text) => Error::OutOfDisk(text),
            Failure::ObjectStoreFull {
                needed,
                capacity,
                holders,
            } => Error::ObjectStoreFull {
                needed,
                capacity,
                holders,
            },
            Failure::PendingCallsLimit { limit } => Error::PendingCallsLimit { limit },
            Failure::WouldDeadlock(chain) => Error::WouldDeadlock(chain),
            Failure::DeadlockCycle(chain) => Error::DeadlockCycle(chain),
            Failure::NameTaken(name) => Error::NameTaken(name),
            Failure::NotFound(name) => Error::NotFound(name),
            Failure::TypeMismatch { expected, found } => Error::TypeMismatch { expected, found },
            Failure::VersionMismatch(text) => Error::VersionMismatch(text),
            Failure::InvalidOption { option, reason } => Error::InvalidOption { option, reason },
            Failure::StreamEnded => Error::StreamEnded,
            Failure::StreamReplay { produced, replayed } => {
                Error::StreamReplay { produced, replayed }
            }
            Failure::StreamItemsLimit { limit } => Error::StreamItemsLimit { limit },
            Failure::RuntimeEnv(text) => Error::RuntimeEnv(text),
            Failure::System(text) => Error::System(text),
        }
    }
}

fn display_task(
    function: &str,
    message: &str,
    backtrace: &str,
    worker: ProcessId,
    attempt: u32,
) -> String {
    let retry = if attempt == 0 {
        String::new()
    } else {
        format!(", attempt {attempt}")
    };
    let mut text = format!("`{function}` failed on worker {worker}{retry}: {message}");
    if !backtrace.is_empty() {
        text.push_str("\nbacktrace of the worker:\n");
        text.push_str(backtrace);
    }
    text
}

fn display_exit(exit: &WorkerExit) -> String {
    let how = match (exit.signal, exit.code) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended".to_owned(),
    };
    let running = if exit.function.is_empty() {
        String::new()
    } else {
        format!(" while it ran `{}`", exit.function)
    };
    let last = if exit.last_stderr.is_empty() {
        String::new()
    } else {
        format!("; its last lines:\n{}", exit.last_stderr)
    };
    format!(
        "worker {} (pid {}) {how}{running} (attempt {}){last}",
        exit.worker, exit.pid, exit.attempt
    )
}
