//! What processes and the control role say about who is in a collective group.

use std::net::SocketAddr;

use ray_engine::{failure::Failure, ids::JobId};
use rkyv::{Archive, Deserialize, Serialize};

use crate::wire::Roster;

/// What processes and the control role say about who is in a collective group.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) enum CollectiveMessage {
    Join {
        request: u64,
        job: JobId,
        name: String,
        rank: u32,
        world: u32,
        addr: SocketAddr,
    },
    /// The process waits no longer for the others.
    Withdraw {
        request: u64,
    },
    Joined {
        request: u64,
        outcome: Result<Roster, Failure>,
    },
    Leave {
        group: u64,
        /// The members that the process has not told itself.
        untold: Vec<u32>,
    },
    Left {
        group: u64,
        rank: u32,
    },
    Broken {
        group: u64,
        rank: u32,
        reason: String,
    },
}
