//! What members of a group say to each other: plain data.

use std::fmt;

use rkyv::{Archive, Deserialize, Serialize};

/// The type of the elements of a call.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// `f32`.
    F32,
    /// `f64`.
    F64,
    /// `i32`.
    I32,
}

impl Scalar {
    /// Returns the size of one element; bytes.
    pub fn bytes(self) -> u64 {
        match self {
            Scalar::F32 | Scalar::I32 => 4,
            Scalar::F64 => 8,
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scalar::F32 => "f32",
            Scalar::F64 => "f64",
            Scalar::I32 => "i32",
        })
    }
}

/// How the elements of several members become one.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    /// Their sum; integers wrap around.
    Sum,
    /// Their product; integers wrap around.
    Product,
    /// The smallest; NaN if one is.
    Min,
    /// The largest; NaN if one is.
    Max,
    /// Their sum over the number of members; floats only.
    Mean,
}

impl fmt::Display for Reduce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reduce::Sum => "sum",
            Reduce::Product => "product",
            Reduce::Min => "min",
            Reduce::Max => "max",
            Reduce::Mean => "mean",
        })
    }
}

/// What the members do together, or two of them.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Everybody gets the reduction of everybody's elements.
    AllReduce(Reduce),
    /// Each member gets its share of the reduction.
    ReduceScatter(Reduce),
    /// Everybody gets everybody's equal part.
    AllGather,
    /// Everybody gets the elements of one.
    Broadcast {
        /// Whose.
        root: u32,
    },
    /// Nobody goes on before everybody came.
    Barrier,
    /// One sends, one receives.
    Direct,
}

/// One call as its caller made it; members whose calls differ do not mean the same.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// What is done.
    pub operation: Operation,
    /// To elements of which type.
    pub scalar: Scalar,
    /// To how many.
    pub len: u64,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.operation {
            Operation::AllReduce(reduce) => write!(f, "allreduce({reduce})")?,
            Operation::ReduceScatter(reduce) => write!(f, "reduce_scatter({reduce})")?,
            Operation::AllGather => f.write_str("allgather")?,
            Operation::Broadcast { root } => write!(f, "broadcast from rank {root}")?,
            Operation::Barrier => return f.write_str("barrier"),
            Operation::Direct => f.write_str("send/recv")?,
        }
        write!(f, " of {} {}", self.len, self.scalar)
    }
}

/// Which of the two conversations between two members.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Calls of the whole group.
    Group,
    /// `send` and `recv` of two members.
    Direct,
}

/// A piece of a call on its way from one member to another.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// In which conversation.
    pub lane: Lane,
    /// Counts the chunks from this member to that one in this conversation, from 0.
    pub sequence: u64,
    /// Counts the sender's calls in this conversation, from 0.
    pub round: u64,
    /// What the sender was called with.
    pub call: Call,
}

/// Why a group is of no use any more.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A member is gone or cannot go on.
    Lost { rank: u32, reason: String },
    /// Two members made different calls.
    Mismatch {
        /// The one who noticed, and its call.
        rank: u32,
        call: String,
        /// The other, and its call.
        other_rank: u32,
        other_call: String,
    },
    /// A member waited in vain for another.
    TimedOut {
        rank: u32,
        waited_for: u32,
        after_ms: u64,
    },
}
