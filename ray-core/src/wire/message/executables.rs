//! What is said to bring executables of jobs to the nodes that run them.

use ray_engine::ids::JobId;
use rkyv::{Archive, Deserialize, Serialize};

/// What is said to bring executables of jobs to the nodes that run them.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) enum ExecutableMessage {
    Fetch {
        job: JobId,
        hash: [u8; 32],
        offset: u64,
    },
    /// The control role wants its own node to have a job's executable, for when its driver is gone.
    Keep { job: JobId },
    Part {
        job: JobId,
        offset: u64,
        bytes: Vec<u8>,
    },
}
