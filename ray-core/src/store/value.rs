//! The bytes of a value: in the heap when small, in shared memory when large.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rkyv::util::AlignedVec;

/// Bytes that begin at a multiple of 16.
pub type AlignedBytes = AlignedVec<16>;

/// An immutable archived value; clones share it.
#[derive(Clone)]
pub struct Value(Arc<Inner>);

struct Inner {
    bytes: Bytes,
    /// The layout hash under which the bytes have passed the check, 0 before that.
    checked: AtomicU64,
}

enum Bytes {
    Heap(AlignedBytes),
    Shared(ray_shm::Slot, ray_shm::ObjectBytes),
}

impl Value {
    /// Wraps bytes in this process's heap.
    pub fn heap(bytes: AlignedBytes) -> Value {
        Value(Arc::new(Inner { bytes: Bytes::Heap(bytes), checked: AtomicU64::new(0) }))
    }

    /// Wraps an object in the node's arena.
    pub fn shared(slot: ray_shm::Slot, bytes: ray_shm::ObjectBytes) -> Value {
        Value(Arc::new(Inner { bytes: Bytes::Shared(slot, bytes), checked: AtomicU64::new(0) }))
    }

    /// Returns the archive.
    pub fn bytes(&self) -> &[u8] {
        match &self.0.bytes {
            Bytes::Heap(bytes) => bytes,
            Bytes::Shared(_, bytes) => bytes,
        }
    }

    /// Returns where the value lies in the arena; `None` when it is in the heap.
    pub fn slot(&self) -> Option<ray_shm::Slot> {
        match &self.0.bytes {
            Bytes::Heap(_) => None,
            Bytes::Shared(slot, _) => Some(*slot),
        }
    }

    /// Returns whether the bytes have passed the check for the type with this layout hash.
    pub fn is_checked(&self, layout: u64) -> bool {
        self.0.checked.load(Ordering::Acquire) == layout
    }

    /// Remembers that the bytes passed the check for the type with this layout hash.
    pub fn set_checked(&self, layout: u64) {
        self.0.checked.store(layout, Ordering::Release);
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.bytes().len())
    }
}
