//! What is said until a node that is drained has left.

use ray_engine::ids::{NodeId, ProcessId};
use rkyv::{Archive, Deserialize, Serialize};

/// What is said until a node that is drained has left.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) enum LeaveMessage {
    /// The node takes no new work and ends once it has none; after so many nanoseconds it is taken away.
    Drain {
        within: Option<u64>,
    },
    DrainAccepted,
    /// The node has no work any more: who is there that may have objects on it?
    Leave,
    /// These are there, and these take objects.
    LeaveAmong {
        others: Vec<ProcessId>,
        takers: Vec<NodeId>,
    },
    /// The sender leaves: have its objects moved.
    NodeLeaves {
        takers: Vec<NodeId>,
    },
    /// A node tells its processes.
    MoveObjects {
        leaving: ProcessId,
        takers: Vec<NodeId>,
    },
    /// A process has moved what it could.
    ObjectsMoved {
        leaving: ProcessId,
        moved: u64,
        left: Vec<String>,
    },
    /// Every process of the sender's node has.
    NodeMoved {
        moved: u64,
        left: Vec<String>,
    },
    /// The node is empty; what could not be moved is named.
    Drained {
        moved: u64,
        left: Vec<String>,
    },
}
