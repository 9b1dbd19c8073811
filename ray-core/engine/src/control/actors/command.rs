//! What the directory is told of an actor, what it says of one, and what it wants done.

use crate::{
    failure::Failure,
    ids::{ActorId, LeaseId, ProcessId, RequestId},
    resources::Resources,
};

/// What is needed to place and restart an actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorSpec {
    /// Its id.
    pub actor: ActorId,
    /// The name of its class.
    pub class: String,
    /// Namespace and name, when it has one.
    pub name: Option<(String, String)>,
    /// What a node must have free to place it.
    pub shape: Resources,
    /// What it holds once it runs.
    pub running_shape: Resources,
    /// Restarts over its life; negative for no limit.
    pub max_restarts: i32,
    /// Who created it and sends its constructor call.
    pub owner: ProcessId,
    /// Whether an actor of that name is as good.
    pub get_if_exists: bool,
    /// Whether it outlives its owner.
    pub detached: bool,
    /// Whether it can be constructed without its owner.
    pub is_durable: bool,
}

/// How an actor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryState {
    /// Waits for a worker or for its constructor.
    Pending,
    /// Takes calls.
    Alive {
        /// Where.
        process: ProcessId,
        /// Which life, from 0.
        incarnation: u64,
    },
    /// Its process died; a new one is on its way.
    Restarting,
    /// Gone for good.
    Dead {
        /// Why.
        failure: Failure,
    },
}

/// What the directory wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ask the scheduler for a worker.
    RequestLease {
        /// The question.
        request: RequestId,
        /// For whom.
        actor: ActorId,
        /// What placing takes.
        shape: Resources,
        /// What it holds once it runs.
        running: Resources,
    },
    /// Take a question back.
    CancelLeaseRequest {
        /// Which.
        request: RequestId,
    },
    /// Have the owner send the constructor call to the worker.
    StartActor {
        /// Which actor.
        actor: ActorId,
        /// Where.
        worker: ProcessId,
        /// Which life.
        incarnation: u64,
        /// Who sends the call.
        owner: ProcessId,
    },
    /// Tell the scheduler that the actor runs.
    ActorRunning {
        /// Its lease.
        lease: LeaseId,
    },
    /// Tell a process how an actor is.
    Publish {
        /// Whom.
        to: ProcessId,
        /// Which actor.
        actor: ActorId,
        /// How it is.
        state: DirectoryState,
    },
    /// End a worker process at once.
    KillWorker {
        /// Which.
        worker: ProcessId,
        /// Why.
        cause: String,
    },
    /// Let an actor end after what was submitted.
    StopActor {
        /// Which.
        actor: ActorId,
        /// Where it is.
        worker: ProcessId,
    },
    /// Give a lease back that is not needed.
    ReturnLease {
        /// Which.
        lease: LeaseId,
    },
}
