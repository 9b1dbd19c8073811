//! What is said to bring working directories of jobs to the nodes that run them.

use ray_engine::ids::JobId;
use rkyv::{Archive, Deserialize, Serialize};

use crate::wire::Content;

/// What is said to bring working directories of jobs to the nodes that run them.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) enum FolderMessage {
    /// A process has put an archive into its node's cache, and wants the cluster to have it.
    Offer {
        request: u64,
        job: JobId,
        archive: Content,
    },
    Offered {
        request: u64,
        outcome: Result<(), String>,
    },
    /// A node has an archive that the control role's node keeps for all.
    Keep { job: JobId, archive: Content },
    Kept {
        job: JobId,
        hash: [u8; 32],
        outcome: Result<(), String>,
    },
    Fetch {
        job: JobId,
        hash: [u8; 32],
        offset: u64,
    },
    Part {
        job: JobId,
        hash: [u8; 32],
        offset: u64,
        bytes: Vec<u8>,
    },
}
