//! What is said when somebody looks at the cluster.

use ray_engine::ids::ProcessId;
use rkyv::{Archive, Deserialize, Serialize};

use crate::wire::{Held, LogPart, LookFor};

/// What is said when somebody looks at the cluster.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) enum LookMessage {
    /// The control role asks a node what its processes hold, and the node its workers.
    Gather { request: u64, wanted: LookFor },
    Gathered {
        request: u64,
        process: ProcessId,
        held: Held,
    },
    /// The control role asks a node for its log files, or for a part of one.
    ReadLog {
        request: u64,
        /// The file and where to begin; `None` for the list.
        file: Option<(String, u64)>,
    },
    LogRead {
        request: u64,
        outcome: Result<LogPart, String>,
    },
}
