//! What members of a collective group say to each other.

use std::net::SocketAddr;

use ray_engine::{
    collective::{Chunk, Fault, Lane},
    ids::ProcessId,
};
use rkyv::{Archive, Deserialize, Serialize};

use super::Place;

/// What one member of a collective group says to another.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct PartMeta {
    pub group: u64,
    /// The speaker's rank.
    pub from: u32,
    pub say: Say,
}

/// The parts of that conversation.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) enum Say {
    /// Elements, in this frame's body or in the arena of the node that both are on.
    Chunk { chunk: Chunk, place: Place },
    /// How many chunks of this conversation were taken in all.
    Taken { lane: Lane, taken: u64 },
    /// Nothing more comes, and nothing is read any more.
    Left,
    /// The group is of no use any more.
    Broken { fault: Fault },
}

/// The members of a group that has formed, by rank.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Roster {
    pub group: u64,
    pub members: Vec<(ProcessId, SocketAddr)>,
}
