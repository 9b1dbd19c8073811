//! A process's own segments: allocate, write, seal, free.

use std::{
    collections::BTreeMap,
    io,
    ops::{Deref, DerefMut, Range},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{
    arena::{Arena, Mapping, Slot},
    heap::Heap,
    owner::{ArenaOwner, SEGMENT_BYTES, SegmentRange},
    table::{PAGE, Pin},
};

/// No lent segment has room; ask the node for this much and try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for {bytes} bytes in the segments lent to this process")]
pub struct NeedSegments {
    /// How much must come in one piece; bytes.
    pub bytes: u64,
}

/// Nothing live begins at this place: freed twice, or never written here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no live object of this process begins at {}", .0.offset)]
pub struct NotLive(pub Slot);

/// Writes objects into the segments lent to this process; clones share them.
#[derive(Clone)]
pub struct Writer {
    arena: Arena,
    state: Arc<Mutex<State>>,
    /// The owner's map of all segments, whose pages this process knows already.
    whole: Option<Arc<Mapping>>,
}

/// A writable map, and where in the arena it begins.
#[derive(Clone)]
struct Writable {
    map: Arc<Mapping>,
    offset: u64,
}

#[derive(Default)]
struct State {
    heap: Heap,
    /// Lent ranges by offset, and their writable maps; closed ones need none.
    ranges: BTreeMap<u64, (SegmentRange, Option<Writable>)>,
}

impl State {
    fn range_at(&self, offset: u64) -> Option<SegmentRange> {
        let (_, (range, _)) = self.ranges.range(..=offset).next_back()?;
        (offset < range.offset() + range.len()).then_some(*range)
    }
}

impl Writer {
    /// Returns a writer without segments.
    pub fn new(arena: Arena) -> Writer {
        Writer {
            arena,
            state: Arc::default(),
            whole: None,
        }
    }

    /// Returns a writer without segments in the process that owns the arena: what it is lent needs no map of its own, and
    /// no page is looked for twice.
    pub fn beside(owner: &ArenaOwner, arena: Arena) -> Writer {
        Writer {
            whole: Some(owner.whole_map()),
            ..Writer::new(arena)
        }
    }

    /// Takes over segments that the node has lent to this process.
    ///
    /// # Errors
    /// What the system refused, or a range outside the arena.
    pub fn add_segments(&self, range: SegmentRange) -> io::Result<()> {
        let backing = self.arena.backing(range).filter(|_| !range.is_empty());
        let (file, offset) =
            backing.ok_or_else(|| io::Error::other("the segments lie outside the arena"))?;
        let len = usize::try_from(range.len()).map_err(io::Error::other)?;
        let map = match &self.whole {
            Some(map) if range.offset() + range.len() <= map.len() as u64 => Writable {
                map: map.clone(),
                offset: 0,
            },
            _ => Writable {
                map: Arc::new(Mapping::new(file, offset, len, true)?),
                offset: range.offset(),
            },
        };
        let mut state = self.state.lock();
        state.heap.add(range.offset(), range.len());
        state.ranges.insert(range.offset(), (range, Some(map)));
        Ok(())
    }

    /// Takes room for `len` bytes.
    ///
    /// # Errors
    /// [`NeedSegments`] when the process has no room for it.
    pub fn alloc(&self, len: usize) -> Result<WriteGuard, NeedSegments> {
        let needed = NeedSegments {
            bytes: len.max(1) as u64,
        };
        let mut state = self.state.lock();
        let (offset, map, pin) = loop {
            let offset = state.heap.alloc(len as u64).ok_or(needed)?;
            let found = state.range_at(offset);
            let whole = found.filter(|range| offset + len as u64 <= range.offset() + range.len());
            let map = whole.and_then(|range| state.ranges.get(&range.offset())?.1.clone());
            let Some((range, map)) = whole.zip(map) else {
                // The free stretch spans two maps of neighbouring ranges: not one piece of memory.
                state.heap.free(offset);
                return Err(needed);
            };
            if let Some(pin) = self.arena.pin_open(offset) {
                break (offset, map, pin);
            }
            // The node has closed the range to write it down.
            state.heap.free(offset);
            state.heap.close(range.offset(), range.len());
            state.ranges.insert(range.offset(), (range, None));
        };
        let start = (offset - map.offset) as usize;
        let slot = Slot {
            offset,
            len: len as u64,
        };
        Ok(WriteGuard {
            map: map.map,
            start,
            slot,
            state: self.state.clone(),
            sealed: false,
            _pin: pin,
        })
    }

    /// Gives an object's space back; nobody may read it any more.
    ///
    /// Returns the range that it lay in when nothing is left there and nothing more can be put there, or should be
    /// since it is of a file and memory is better: it is the node's again.
    ///
    /// # Errors
    /// [`NotLive`] when it is free already or was written elsewhere.
    pub fn free(&self, slot: Slot) -> Result<Option<SegmentRange>, NotLive> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if !state.heap.free(slot.offset) {
            return Err(NotLive(slot));
        }
        let Some(range) = state.range_at(slot.offset) else {
            return Ok(None);
        };
        let is_given_up =
            self.arena.is_in_file(slot) || self.arena.pin_open(range.offset()).is_none();
        let is_over = is_given_up && state.heap.take_if_free(range.offset(), range.len());
        if is_over {
            state.ranges.remove(&range.offset());
        }
        Ok(is_over.then_some(range))
    }

    /// Returns whether a live object of this process begins at the slot.
    pub fn is_live(&self, slot: Slot) -> bool {
        self.state.lock().heap.is_live(slot.offset)
    }

    /// Gives up the segments in which nothing lives, for the node to lend to others.
    pub fn take_empty(&self) -> Vec<SegmentRange> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let mut empty = Vec::new();
        state.ranges.retain(|_, (range, _)| {
            let free = state.heap.take_if_free(range.offset(), range.len());
            if free {
                empty.push(*range);
            }
            !free
        });
        empty
    }

    /// Returns the size of the live objects, rounded up as they lie; bytes.
    pub fn live_bytes(&self) -> u64 {
        self.state.lock().heap.live_bytes()
    }

    /// Returns how many objects live.
    pub fn live_objects(&self) -> usize {
        self.state.lock().heap.live_objects()
    }

    /// Returns how much is lent to this process; bytes.
    pub fn lent_bytes(&self) -> u64 {
        self.state
            .lock()
            .ranges
            .values()
            .map(|(range, _)| u64::from(range.count) * SEGMENT_BYTES)
            .sum()
    }
}

/// Room for one object, writable until it is sealed; dropping it unsealed gives the room back.
pub struct WriteGuard {
    map: Arc<Mapping>,
    start: usize,
    slot: Slot,
    state: Arc<Mutex<State>>,
    sealed: bool,
    /// The range is neither written down nor sent away while this writes in it.
    _pin: Pin,
}

impl WriteGuard {
    /// Returns where the object will lie.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Makes the pages of a stretch ready for this process at once, which is cheaper than one by one when they are
    /// written; their bytes do not change.
    ///
    /// # Errors
    /// What the system refused, memory for example.
    ///
    /// # Panics
    /// When the stretch is not inside the object.
    pub fn populate(&self, stretch: Range<usize>) -> io::Result<()> {
        assert!(stretch.start <= stretch.end && stretch.end as u64 <= self.slot.len);
        let first = (self.start + stretch.start) / PAGE * PAGE;
        self.map.populate(first, self.start + stretch.end - first)
    }

    /// Ends the writing; from here on the bytes are immutable until they are freed.
    pub fn seal(mut self) -> Slot {
        self.sealed = true;
        self.slot
    }

    /// Ends the writing with only the first `len` bytes in use.
    ///
    /// # Panics
    /// When `len` is more than was allocated.
    pub fn seal_prefix(mut self, len: usize) -> Slot {
        assert!(
            len as u64 <= self.slot.len,
            "a prefix is no longer than the whole"
        );
        self.sealed = true;
        Slot {
            offset: self.slot.offset,
            len: len as u64,
        }
    }
}

impl Deref for WriteGuard {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the heap gave this stretch to this guard alone, it lies inside `map`, which the guard
        // keeps, and no other process knows it before it is sealed.
        unsafe {
            std::slice::from_raw_parts(self.map.at(self.start).as_ptr(), self.slot.len as usize)
        }
    }
}

impl DerefMut for WriteGuard {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` makes it the only slice in this process.
        unsafe {
            std::slice::from_raw_parts_mut(self.map.at(self.start).as_ptr(), self.slot.len as usize)
        }
    }
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        if !self.sealed {
            let freed = self.state.lock().heap.free(self.slot.offset);
            debug_assert!(freed, "an unsealed object is live until its guard goes");
        }
    }
}
