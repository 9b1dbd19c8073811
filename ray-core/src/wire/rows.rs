//! What a cluster shows of itself: nodes, workers, stores, what processes hold, logs.

use std::net::SocketAddr;

use ray_engine::{
    ids::{ActorId, JobId, NodeId, ObjectId, ProcessId, TaskId},
    resources::Resources,
    spec::Labels,
};
use rkyv::{Archive, Deserialize, Serialize};

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
    pub events: Vec<EventRow>,
    /// Tasks, objects or events that were too many to name.
    pub left_out: u64,
}

/// A task or call of whoever holds it.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct TaskRow {
    pub task: TaskId,
    pub attempt: u32,
    /// What it was called when it was submitted, by default as its function.
    pub name: String,
    pub function: String,
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
    pub handles: u32,
    pub users: u32,
    pub lent: u64,
}

/// What is asked of every process when somebody looks at the cluster.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookFor {
    Tasks,
    Objects,
    /// Calls that ran here and have ended.
    Events,
}

/// A call that ran in a process and has ended.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventRow {
    pub task: TaskId,
    pub attempt: u32,
    pub function: String,
    pub actor: Option<ActorId>,
    /// When it began, by that machine's clock; nanoseconds since 1970.
    pub start_ns: u64,
    pub duration_ns: u64,
    pub has_failed: bool,
    /// How many calls of its kind it stands for.
    pub stands_for: u32,
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
    pub in_file: u64,
    pub spilled_bytes: u64,
    pub restored_bytes: u64,
}
