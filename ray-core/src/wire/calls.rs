//! Calls, their ends, values and parts of objects: metadata of the hot frames.

use ray_engine::{
    failure::Failure,
    ids::{ActorId, JobId, LeaseId, ObjectId, ProcessId, TaskId},
    resources::Resources,
};
use rkyv::{Archive, Deserialize, Serialize};

use crate::placement_group::Inside;

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
    /// What the task, or the actor while it runs, holds of its node; `None` for one CPU and for methods.
    pub resources: Option<Box<Resources>>,
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

/// A call that waits for others.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct WaitStep {
    pub task: TaskId,
    pub function: String,
}
