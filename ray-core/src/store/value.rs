//! The bytes of a value: in the heap when small, in shared memory when large, perhaps of another node.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use ray_engine::{
    failure::Failure,
    ids::{ObjectId, ProcessId},
};
use rkyv::util::AlignedVec;

use crate::wire::WantedObject;

/// Bytes that begin at a multiple of 16.
pub type AlignedBytes = AlignedVec<16>;

/// An immutable archived value; clones share it.
#[derive(Clone)]
pub struct Value(Arc<Inner>);

struct Inner {
    bytes: Bytes,
    /// Stands for the type that its maker means, 0 when nothing was said.
    layout: u64,
    /// What follows once nobody has it, when it was freed while somebody had.
    doom: OnceLock<Box<Doom>>,
}

/// What follows once nobody in this process looks at a freed value any more.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Doom {
    /// Its writer has its room back.
    Free {
        slot: ray_shm::Slot,
        writer: ProcessId,
    },
    /// Its owner hears of it.
    LetGo { object: ObjectId },
}

enum Bytes {
    Heap(AlignedBytes),
    Shared {
        slot: ray_shm::Slot,
        bytes: ray_shm::ObjectBytes,
        writer: Arc<WriterLive>,
        /// The object of another node whose copy this is, and the question that brought it.
        copy_of: Option<(ObjectId, u64)>,
        /// Why the bytes could not be brought back, for the future that waits for them.
        fault: Mutex<Option<Box<Failure>>>,
    },
    /// In the arena of another node, until somebody here reads it.
    Remote {
        object: ObjectId,
        slot: ray_shm::Slot,
        writer: Arc<WriterLive>,
        copy: OnceLock<Result<Value, Failure>>,
        /// Whether a copy was brought to this node for a `wait`, which holds none.
        was_brought: AtomicBool,
    },
}

/// A value whose bytes are here, and stay while this lives.
pub(crate) struct HeldValue {
    value: Value,
    _pin: Option<ray_shm::Pin>,
}

impl HeldValue {
    pub(crate) fn new(value: Value, pin: Option<ray_shm::Pin>) -> HeldValue {
        HeldValue { value, _pin: pin }
    }
}

impl std::ops::Deref for HeldValue {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
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
        if let Some(doom) = self.doom.take() {
            crate::runtime::on_doomed_dropped(*doom);
        }
        if let Bytes::Shared {
            copy_of: Some((object, request)),
            ..
        } = &self.bytes
        {
            crate::runtime::on_copy_dropped(*object, *request);
        }
        let writer = match &self.bytes {
            Bytes::Heap(_) => None,
            Bytes::Shared { writer, .. } | Bytes::Remote { writer, .. } => Some(writer),
        };
        if let Some(writer) = writer
            && writer.live.fetch_sub(1, Ordering::SeqCst) == 1
            && writer.dead.load(Ordering::SeqCst)
        {
            crate::runtime::on_last_value_of(writer.writer);
        }
    }
}

impl Value {
    /// Wraps bytes in this process's heap, of a type that `layout` stands for.
    pub(crate) fn heap(bytes: AlignedBytes, layout: u64) -> Value {
        static EMPTY: OnceLock<Value> = OnceLock::new();
        if bytes.is_empty() {
            // Unit results are many; their check is no work, whatever their type.
            return EMPTY.get_or_init(|| Value::of(bytes, 0)).clone();
        }
        Value::of(bytes, layout)
    }

    fn of(bytes: AlignedBytes, layout: u64) -> Value {
        Value(Arc::new(Inner {
            bytes: Bytes::Heap(bytes),
            layout,
            doom: OnceLock::new(),
        }))
    }

    /// Wraps an object that `writer` put into the arena of another node.
    pub(crate) fn remote(
        object: ObjectId,
        slot: ray_shm::Slot,
        writer: Arc<WriterLive>,
        layout: u64,
    ) -> Value {
        writer.live.fetch_add(1, Ordering::SeqCst);
        Value(Arc::new(Inner {
            bytes: Bytes::Remote {
                object,
                slot,
                writer,
                copy: OnceLock::new(),
                was_brought: AtomicBool::new(false),
            },
            layout,
            doom: OnceLock::new(),
        }))
    }

    /// Returns the value under the name that its owner knows it by.
    pub(crate) fn named(self, object: ObjectId) -> Value {
        match &self.0.bytes {
            Bytes::Remote { slot, writer, .. } => {
                Value::remote(object, *slot, writer.clone(), self.0.layout)
            }
            Bytes::Heap(_) | Bytes::Shared { .. } => self,
        }
    }

    /// Wraps an object that `writer` put into the node's arena.
    pub(crate) fn shared(
        slot: ray_shm::Slot,
        bytes: ray_shm::ObjectBytes,
        writer: Arc<WriterLive>,
        copy_of: Option<(ObjectId, u64)>,
        layout: u64,
    ) -> Value {
        writer.live.fetch_add(1, Ordering::SeqCst);
        Value(Arc::new(Inner {
            bytes: Bytes::Shared {
                slot,
                bytes,
                writer,
                copy_of,
                fault: Mutex::new(None),
            },
            layout,
            doom: OnceLock::new(),
        }))
    }

    /// Returns whether this is the only handle of the value.
    pub(crate) fn is_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Says what follows once the last handle of the value is gone.
    pub(crate) fn doom(&self, doom: Doom) {
        if self.0.doom.set(Box::new(doom)).is_err() {
            tracing::error!(?doom, "a value is freed twice");
        }
    }

    /// Returns the archive; nothing of a value of another node that was not fetched.
    ///
    /// Who looks at it holds a `Value::pin`.
    pub fn bytes(&self) -> &[u8] {
        match &self.0.bytes {
            Bytes::Heap(bytes) => bytes,
            Bytes::Shared { bytes, .. } => bytes,
            Bytes::Remote { copy, .. } => match copy.get() {
                Some(Ok(copy)) => copy.bytes(),
                Some(Err(_)) | None => &[],
            },
        }
    }

    /// Returns which object of another node must be fetched before this can be read, and where it is.
    pub(crate) fn missing(&self) -> Option<WantedObject> {
        match &self.0.bytes {
            Bytes::Remote {
                object,
                slot,
                writer,
                copy,
                ..
            } if copy.get().is_none() => Some(WantedObject {
                object: *object,
                offset: slot.offset,
                len: slot.len,
                writer: writer.writer,
            }),
            _ => None,
        }
    }

    /// Returns whether the value is on another node and was not brought to this one.
    pub(crate) fn is_elsewhere(&self) -> bool {
        matches!(
            &self.0.bytes,
            Bytes::Remote { copy, was_brought, .. }
                if copy.get().is_none() && !was_brought.load(Ordering::Acquire)
        )
    }

    /// Notes that a copy was brought to this node, or cannot be.
    pub(crate) fn note_brought(&self) {
        if let Bytes::Remote { was_brought, .. } = &self.0.bytes {
            was_brought.store(true, Ordering::Release);
        }
    }

    /// Returns what stands for this value while somebody has it.
    pub(crate) fn key(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Takes the copy of a value of another node, or why there is none.
    pub(crate) fn set_copy(&self, fetched: Result<Value, Failure>) {
        if let Bytes::Remote { copy, .. } = &self.0.bytes {
            // A second copy of one object is as good as the first and goes back by itself.
            let _second = copy.set(fetched);
        }
    }

    /// Returns why the value of another node could not be fetched, if it could not.
    pub(crate) fn fetch_failure(&self) -> Option<Failure> {
        match &self.0.bytes {
            Bytes::Remote { copy, .. } => copy.get()?.as_ref().err().cloned(),
            _ => None,
        }
    }

    /// Notes why the bytes could not be brought back.
    pub(crate) fn set_fault(&self, failure: Failure) {
        if let Some(fault) = self.fault() {
            *fault.lock() = Some(Box::new(failure));
        }
    }

    /// Takes why the bytes could not be brought back.
    pub(crate) fn take_fault(&self) -> Option<Failure> {
        self.fault()?.lock().take().map(|failure| *failure)
    }

    fn fault(&self) -> Option<&Mutex<Option<Box<Failure>>>> {
        match &self.0.bytes {
            Bytes::Heap(_) => None,
            Bytes::Shared { fault, .. } => Some(fault),
            Bytes::Remote { copy, .. } => copy.get()?.as_ref().ok()?.fault(),
        }
    }

    /// Keeps the bytes in memory; the place of those that are not there is the error.
    ///
    /// A value in this process's heap needs nothing, nor one of another node that was not fetched.
    pub(crate) fn pin(&self, arena: &ray_shm::Arena) -> Result<Option<ray_shm::Pin>, u64> {
        match &self.0.bytes {
            Bytes::Heap(_) => Ok(None),
            Bytes::Shared { slot, .. } => arena.pin(*slot).map(Some).ok_or(slot.offset),
            Bytes::Remote { copy, .. } => match copy.get() {
                Some(Ok(copy)) => copy.pin(arena),
                Some(Err(_)) | None => Ok(None),
            },
        }
    }

    /// Returns where in its node's arena the value lies and who wrote it; `None` when it is in the heap.
    pub fn arena(&self) -> Option<(ray_shm::Slot, ProcessId)> {
        match &self.0.bytes {
            Bytes::Heap(_) => None,
            Bytes::Shared { slot, writer, .. } | Bytes::Remote { slot, writer, .. } => {
                Some((*slot, writer.writer))
            }
        }
    }

    /// Returns what stands for the type that its maker means; 0 when nothing was said.
    pub(crate) fn layout(&self) -> u64 {
        self.0.layout
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.bytes().len())
    }
}
