//! What messages are about: actors, jobs, where processes are, why an object is wanted.

use std::net::SocketAddr;

use ray_engine::{
    env::RuntimeEnv,
    failure::Failure,
    ids::{ActorId, GroupId, JobId, LeaseId, ObjectId, ProcessId},
    resources::Resources,
    spec::{Placement, PlacementStrategy},
};
use rkyv::{Archive, Deserialize, Serialize};

use super::ArgMeta;
use crate::actor::CallLimits;

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
    /// How to construct one that is detached when its creator is gone.
    pub recipe: Option<Box<Recipe>>,
    pub(crate) limits: CallLimits,
}

/// A placement group as it is asked for.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupCreation {
    pub group: GroupId,
    /// Namespace and name.
    pub name: Option<(String, String)>,
    pub bundles: Vec<Resources>,
    pub strategy: PlacementStrategy,
    pub job: JobId,
    /// Whether it outlives its job.
    pub detached: bool,
}

/// A constructor call that needs nobody.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Recipe {
    pub method: u64,
    pub class: u64,
    pub max_concurrency: u32,
    /// What the actor holds of its node while it runs.
    pub running: Resources,
    /// The arguments' bytes, each at a multiple of 16.
    pub body: Vec<u8>,
    pub args: Vec<ArgMeta>,
}

/// An actor as its creator knows it, for a head that was started again.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct ActorClaim {
    pub creation: ActorCreation,
    /// Where it runs and in which life, as far as its creator has heard.
    pub at: Option<(ProcessId, u64)>,
    pub has_no_handles: bool,
}

/// An actor that runs on a node, for a head that was started again.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct HostedActor {
    pub actor: ActorId,
    pub incarnation: u64,
    pub worker: ProcessId,
    pub addr: SocketAddr,
    pub lease: LeaseId,
    pub devices: Vec<u32>,
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

/// An object of another node that is wanted here.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug)]
pub(crate) struct WantedObject {
    pub object: ObjectId,
    /// Where it lies at the node of its writer.
    pub offset: u64,
    pub len: u64,
    pub writer: ProcessId,
}

impl WantedObject {
    /// Returns where the object lies at the node of its writer.
    pub(crate) fn slot(&self) -> ray_shm::Slot {
        ray_shm::Slot {
            offset: self.offset,
            len: self.len,
        }
    }
}

/// For what an object of another node is wanted; the first is served first.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchFor {
    Get,
    Wait,
    /// A task is to run.
    Arguments,
    /// A method or a constructor is to run: others may wait for its actor, so it waits for no share.
    MethodArguments,
}

/// What a node must know to start workers of a job.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct JobSpec {
    pub job: JobId,
    /// The driver's process, which has the executable.
    pub driver: ProcessId,
    pub namespace: String,
    pub executable: Content,
    /// The arguments of the driver, which its workers get too.
    pub args: Vec<Vec<u8>>,
    pub log_filter: String,
    /// The variables that a submitter gave, which the job's workers get on every node.
    pub env: Variables,
    /// Tries of a task after its worker was ended for want of memory.
    pub oom_retries: i32,
}

/// Variables of an environment; their values may be secrets, so that they are never shown.
#[derive(Archive, Serialize, Deserialize, Clone, Default, PartialEq, Eq)]
pub(crate) struct Variables(pub Vec<(String, String)>);

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// A file by its content: the code of a job, or the archive of a working directory.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
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
    /// What it was started with, beside what its job gives.
    pub env: RuntimeEnv,
    /// Where its node keeps what it sends to others; `None` when there are none.
    pub packs_into: Option<String>,
    pub oom_retries: i32,
}
