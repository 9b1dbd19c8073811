//! What nodes say to each other about objects.

use ray_engine::{
    chunks::Chunks,
    ids::{NodeId, ObjectId, ProcessId},
};

use crate::network::{Death, Travels};

/// Everything that travels; the owner of an object is a node here.
#[derive(Clone, Debug)]
pub(super) enum Message {
    /// Tells the owner that one of its objects was made here, and its size.
    Made(ObjectId, u64),
    /// Asks the owner who has an object.
    Locate(ObjectId),
    /// The owner's answer, with the chunks of those who have only some; `None` when it is freed or lost.
    Located(ObjectId, Option<Vec<(NodeId, Option<Chunks>)>>),
    /// Tells the owner which chunks are here.
    HoldsSome(ObjectId, Chunks),
    /// Tells the owner that all of it is here.
    HoldsAll(ObjectId),
    /// Tells the owner that nothing of it is here any more.
    HoldsNone(ObjectId),
    /// The owner relies on the copy from now on.
    Keep(ObjectId),
    /// Asks a holder for a chunk.
    Read(ObjectId, u32),
    /// Takes that back.
    CancelRead(ObjectId, u32),
    /// A chunk, and whether it is what it should be.
    Chunk(ObjectId, u32, bool),
    /// The holder does not have it.
    Refused(ObjectId, u32),
    /// The owner says that nobody needs the object.
    Free(ObjectId),
    /// The head says that a node is gone.
    NodeDied(ProcessId),
}

impl Travels for Message {
    fn death(&self) -> Option<Death> {
        match self {
            Message::NodeDied(node) => Some(Death::Node(*node)),
            _ => None,
        }
    }
}
