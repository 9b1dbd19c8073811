//! What is said once a head was started again.

use ray_engine::ids::{JobId, ProcessId};
use rkyv::{Archive, Deserialize, Serialize};

use crate::wire::{ActorClaim, HostedActor};

/// What is said once a head was started again.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) enum ReunionMessage {
    /// A head that was started again asks a node to join anew; it keeps these workers and no others.
    Introduce {
        keep: Vec<ProcessId>,
        jobs: Vec<JobId>,
        is_new: bool,
    },
    /// A node tells its workers that the head was started again and has taken it in.
    HeadReturned,
    /// A creator tells a head that was started again of its actor.
    ClaimActor { claim: Box<ActorClaim> },
    /// A creator has told such a head of all its actors.
    AllClaimed,
    /// A node tells such a head which actors it hosts, and which of its workers may have created others.
    ActorsHosted {
        actors: Vec<HostedActor>,
        creators: Vec<ProcessId>,
    },
}
