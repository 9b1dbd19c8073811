//! One shared-memory arena of a node: segments lent to writers, objects read in place by everybody. Rings between two
//! processes beside it, see [`RingWriter`].
//!
//! # Protocol
//! The node creates the arena (a memfd that can neither shrink nor grow) and is the only one to lend
//! segments of it. A process writes only into segments lent to it, which it maps writable; it maps the
//! whole arena read-only beside that. Inside its segments a writer allocates alone, so a put costs no
//! message and no lock shared between processes. An object's bytes change only between `alloc` and
//! `seal`, while nobody else knows its place; sealing consumes the guard that could write. The layer
//! above counts references across processes and frees an object at its writer only when no process
//! reads it any more: that is what makes a `&[u8]` of [`ObjectBytes`] immutable.
//!
//! Ranges of segments can be away, their pages given back and their bytes elsewhere. An object keeps its
//! place meanwhile; who reads it holds a [`Pin`], and who finds it away asks the node to bring it back.
//!
//! Behind memory's segments there may be as many of an ordinary file, for when memory is full of what is in use. They
//! never go away. Their room is reserved on the disk before it is lent.
//!
//! # Trust
//! The processes of one job trust each other's memory: a malicious writer could change bytes that a
//! peer has already checked, or cut the file short, which ends who reads there. Nothing of another job is mapped;
//! who serves several jobs maps no file and reads it by copies, see [`Arena::map_beside_file`].
// Mapping memory and handing out slices of it cannot be said in safe Rust; this crate exists to hold
// exactly that.
#![allow(unsafe_code)]

mod arena;
mod file_zone;
mod heap;
mod owner;
mod ring;
mod table;
mod words;
mod writer;

pub use arena::{Arena, ObjectBytes, Slot};
pub use file_zone::FileRoom;
pub use owner::{
    ArenaOwner, ColdSegment, NotLent, RangeBytes, RangeFill, SEGMENT_BYTES, SegmentRange,
};
pub use ring::{BrokenRing, RING_BYTES, RingPlace, RingReader, RingWriter};
pub use table::Pin;
pub use words::SharedWords;
pub use writer::{NeedSegments, NotLive, WriteGuard, Writer};
