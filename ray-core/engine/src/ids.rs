//! Names of everything that messages and machines talk about.
//!
//! An object's and a task's id contain the process that owns them, so finding the owner needs no
//! directory. A process id is never used twice: it is also the incarnation that fences stale answers.

use std::fmt;

use rkyv::{Archive, Deserialize, Serialize};

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(
            Archive, Serialize, Deserialize, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
        )]
        #[rkyv(derive(Clone, Copy))]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:x}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

number_id!(
    /// One life of one process of the cluster.
    ProcessId, "p"
);
number_id!(
    /// A machine (or a part of one) with its workers and its object store.
    NodeId, "n"
);
number_id!(
    /// A driver program and everything it started.
    JobId, "j"
);
number_id!(
    /// The right to use one worker for one resource shape.
    LeaseId, "l"
);
number_id!(
    /// Pairs an answer with its question inside one process.
    RequestId, "r"
);

macro_rules! owned_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(
            Archive, Serialize, Deserialize, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
        )]
        #[rkyv(derive(Clone, Copy))]
        pub struct $name {
            /// The process that decides about it.
            pub owner: ProcessId,
            /// Counts up inside the owner, from 1.
            pub index: u64,
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:x}.{}"), self.owner.0, self.index)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

owned_id!(
    /// An immutable value, made by `put` or returned by a task.
    ObjectId, "o"
);
owned_id!(
    /// One submitted call; its results are the objects `index..index + returns` of the same owner.
    TaskId, "t"
);
owned_id!(
    /// An actor over all its incarnations.
    ActorId, "a"
);
owned_id!(
    /// A placement group.
    GroupId, "g"
);

/// How many bits of a process id count the processes that one node started.
const INDEX_BITS: u32 = 28;

impl ProcessId {
    /// Returns the process of the node that started this one; a node's own process returns itself.
    pub fn node_process(self) -> ProcessId {
        ProcessId(self.0 >> INDEX_BITS << INDEX_BITS)
    }

    /// Returns the node that the process belongs to.
    pub fn node(self) -> NodeId {
        NodeId(self.0 >> INDEX_BITS)
    }

    /// Returns the `index`-th process that a node's process starts, from 1.
    pub fn started(self, index: u64) -> ProcessId {
        ProcessId(self.node_process().0 + index)
    }
}

impl NodeId {
    /// Returns the process that speaks for the node.
    pub fn process(self) -> ProcessId {
        ProcessId(self.0 << INDEX_BITS)
    }
}

impl TaskId {
    /// Returns the id of this task's `position`-th result.
    pub fn result(self, position: u64) -> ObjectId {
        ObjectId {
            owner: self.owner,
            index: self.index + position,
        }
    }
}
