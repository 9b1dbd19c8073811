//! What a process and the control role say about placement groups.

use ray_engine::{failure::Failure, ids::GroupId, resources::Resources};
use rkyv::{Archive, Deserialize, Serialize};

use crate::wire::GroupCreation;

/// What a process and the control role say about placement groups.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) enum GroupMessage {
    CreateGroup {
        request: u64,
        creation: GroupCreation,
    },
    LookupGroup {
        request: u64,
        namespace: String,
        name: String,
    },
    GroupFound {
        request: u64,
        outcome: Result<(GroupId, Vec<Resources>), Failure>,
    },
    RemoveGroup {
        request: u64,
        group: GroupId,
    },
    GroupReply {
        request: u64,
        outcome: Result<(), Failure>,
    },
    /// A group waits: the node calls back what work there only keeps for later, for these bundles.
    MakeRoom {
        bundles: Vec<Resources>,
    },
}
