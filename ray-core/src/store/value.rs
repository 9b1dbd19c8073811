//! The bytes of a value: in the heap when small, in shared memory when large.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use ray_engine::ids::ProcessId;
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
    Shared {
        slot: ray_shm::Slot,
        bytes: ray_shm::ObjectBytes,
        writer: Arc<WriterLive>,
    },
}

/// How many values of one writer this process reads; a dead writer's space waits for the last.
pub(crate) struct WriterLive {
    pub(crate) writer: ProcessId,
    live: AtomicUsize,
    dead: AtomicBool,
}

impl WriterLive {
    pub(crate) fn new(writer: ProcessId) -> Arc<WriterLive> {
        Arc::new(WriterLive {
            writer,
            live: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
        })
    }

    /// Notes that the writer is dead; returns whether nothing of it is read any more.
    pub(crate) fn on_death(&self) -> bool {
        self.dead.store(true, Ordering::SeqCst);
        self.live.load(Ordering::SeqCst) == 0
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Bytes::Shared { writer, .. } = &self.bytes
            && writer.live.fetch_sub(1, Ordering::SeqCst) == 1
            && writer.dead.load(Ordering::SeqCst)
        {
            crate::runtime::on_last_value_of(writer.writer);
        }
    }
}

impl Value {
    /// Wraps bytes in this process's heap.
    pub fn heap(bytes: AlignedBytes) -> Value {
        static EMPTY: OnceLock<Value> = OnceLock::new();
        if bytes.is_empty() {
            // Unit results are many; their check is no work, whatever their type.
            return EMPTY.get_or_init(|| Value::of(bytes)).clone();
        }
        Value::of(bytes)
    }

    fn of(bytes: AlignedBytes) -> Value {
        Value(Arc::new(Inner {
            bytes: Bytes::Heap(bytes),
            checked: AtomicU64::new(0),
        }))
    }

    /// Wraps an object that `writer` put into the node's arena.
    pub(crate) fn shared(
        slot: ray_shm::Slot,
        bytes: ray_shm::ObjectBytes,
        writer: Arc<WriterLive>,
    ) -> Value {
        writer.live.fetch_add(1, Ordering::SeqCst);
        Value(Arc::new(Inner {
            bytes: Bytes::Shared {
                slot,
                bytes,
                writer,
            },
            checked: AtomicU64::new(0),
        }))
    }

    /// Returns the archive.
    pub fn bytes(&self) -> &[u8] {
        match &self.0.bytes {
            Bytes::Heap(bytes) => bytes,
            Bytes::Shared { bytes, .. } => bytes,
        }
    }

    /// Returns where in the arena the value lies and who wrote it; `None` when it is in the heap.
    pub fn arena(&self) -> Option<(ray_shm::Slot, ProcessId)> {
        match &self.0.bytes {
            Bytes::Heap(_) => None,
            Bytes::Shared { slot, writer, .. } => Some((*slot, writer.writer)),
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
