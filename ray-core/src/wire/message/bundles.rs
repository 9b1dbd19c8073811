//! What the control role and a node say about the bundles of placement groups.

use ray_engine::{ids::GroupId, resources::Resources};
use rkyv::{Archive, Deserialize, Serialize};

/// What the control role and a node say about the bundles of placement groups.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) enum BundleMessage {
    /// The control role asks a node to set all of these bundles aside, or none.
    Prepare {
        group: GroupId,
        attempt: u64,
        bundles: Vec<(u32, Resources)>,
    },
    Commit {
        group: GroupId,
        attempt: u64,
    },
    /// The node gives them up and ends what runs in them.
    Return {
        group: GroupId,
        attempt: u64,
    },
    // The node answers.
    Prepared {
        group: GroupId,
        attempt: u64,
    },
    Committed {
        group: GroupId,
        attempt: u64,
    },
    Refused {
        group: GroupId,
        attempt: u64,
    },
}
