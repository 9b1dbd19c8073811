//! How a node's scheduler is set up, what a lease is for, and what the scheduler wants done.

use super::terms::{Arrival, Notice};
use crate::{
    env::RuntimeEnv,
    failure::Failure,
    ids::{ActorId, GroupId, JobId, LeaseId, ProcessId, RequestId},
    resources::Resources,
    spec::DeviceShare,
};

/// Bounds of a node's worker pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulerConfig {
    /// Idle workers that are kept.
    pub workers_kept: usize,
    /// Worker processes at most, blocked ones counted and those that host actors not.
    pub workers_max: usize,
    /// How long a surplus worker stays idle before it is stopped; nanoseconds.
    pub idle_nanos: u64,
    /// Workers in a row that may end before they are ready.
    pub failed_starts_max: u32,
}

/// What a lease is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseKind {
    /// Tasks of one shape.
    Task,
    /// One actor, for its life.
    Actor {
        /// Which.
        actor: ActorId,
        /// What it holds once it runs.
        running: Resources,
    },
}

/// What the scheduler wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Tell the requester that it has a worker.
    Grant {
        /// Who asked.
        requester: ProcessId,
        /// Its question.
        request: RequestId,
        /// The right.
        lease: LeaseId,
        /// The worker.
        worker: ProcessId,
        /// The actor it is for, if it is for one.
        actor: Option<ActorId>,
        /// The GPUs that are its.
        devices: Vec<DeviceShare>,
        /// How the request came: the answer to one that the control process sent here goes back
        /// through it, so that this node's death cannot lose it.
        arrival: Arrival,
    },
    /// Tell the requester that it will never have one.
    Refuse {
        /// Who asked.
        requester: ProcessId,
        /// Its question.
        request: RequestId,
        /// Why.
        failure: Failure,
        /// The actor it was for, if it was for one.
        actor: Option<ActorId>,
        /// How the request came, as for a grant.
        arrival: Arrival,
    },
    /// Start a worker process and say so with [`NodeScheduler::on_spawn_started`](super::NodeScheduler::on_spawn_started).
    SpawnWorker {
        /// Whose code it runs.
        job: JobId,
        /// The GPUs that it sees for its life, in ascending order.
        gpus: Vec<u32>,
        /// What it is started with.
        env: RuntimeEnv,
    },
    /// Ask the holder to give a lease back soon.
    RecallLease {
        /// Who has it.
        requester: ProcessId,
        /// Which.
        lease: LeaseId,
    },
    /// End an idle worker.
    StopWorker {
        /// Which.
        process: ProcessId,
    },
    /// End a worker whose caller is gone.
    KillWorker {
        /// Which.
        process: ProcessId,
    },
    /// End a worker whose placement group is gone; its calls fail for that reason.
    EvictWorker {
        /// Which.
        process: ProcessId,
        /// The group that it drew from.
        group: GroupId,
    },
    /// Tell the control process; never wished for on a node that has not joined one.
    Tell(Notice),
}
