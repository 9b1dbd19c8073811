//! The words that all processes of an arena share: which segments are in memory, who reads in which.
//!
//! # Protocol
//! Every segment has a state, and every process that maps the arena has one pin count a segment, in a
//! seat of its own. Who wants to read an object pins the segment in which it begins and then looks at
//! the state; when the segment is away it takes the pin back and asks the node. The node that wants to
//! send a range away sets its state first and then looks at all pins; when there is one it sets the
//! state back. All of these are sequentially consistent, so at least one of the two sees the other. A
//! writer pins the segment in which it takes room in the same way and goes elsewhere when the segment is
//! not open. When a process dies the node clears its seat. Segments of a file are pinned like those of memory, though
//! they never leave: so all readers are the same. Their words cost no page before they are used.
//!
//! ```text
//! arena's file:  segments …  | header 4 KiB | seats: u64 each | states: u32 each | pins of seat 0 | …
//! ```

use std::{
    io,
    os::fd::BorrowedFd,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use rustix::fs::FallocateFlags;

use crate::{
    arena::Mapping,
    owner::{SEGMENT_BYTES, SegmentRange},
};

/// In memory; its writer may put more objects into it.
pub(crate) const OPEN: u32 = 0;
/// In memory; what is free in it stays free.
pub(crate) const CLOSED: u32 = 1;
/// Not in memory.
pub(crate) const AWAY: u32 = 2;
/// Set by who reads: the segment was used since the node looked.
const USED: u32 = 1 << 8;

/// How many processes may map an arena at a time.
const SEATS: usize = 640;
/// The system's pages; bytes.
pub(crate) const PAGE: usize = 4096;
/// Where the words of the header lie; bytes.
const SEGMENTS: usize = 0;
const RESIDENT: usize = 4;
const SEATS_USED: usize = 8;

/// Where everything lies in the part of the arena's file behind the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Segments of memory that have numbers; those of a file follow.
    pub(crate) segments: usize,
    /// Segments that may be in memory at a time.
    pub(crate) resident: usize,
}

impl Layout {
    fn states(self) -> usize {
        PAGE + (SEATS * size_of::<u64>()).next_multiple_of(PAGE)
    }

    /// Segments of memory and as many of a file: all that have words.
    pub(crate) fn numbers(self) -> usize {
        2 * self.segments
    }

    fn row(self) -> usize {
        (self.numbers() * size_of::<u32>()).next_multiple_of(PAGE)
    }

    pub(crate) fn bytes(self) -> usize {
        self.states() + self.row() * (1 + SEATS)
    }

    pub(crate) fn offset(self) -> u64 {
        self.segments as u64 * SEGMENT_BYTES
    }
}

/// The shared words, mapped.
pub(crate) struct Table {
    layout: Layout,
    map: Mapping,
}

impl Table {
    /// Maps the words of a new arena and writes its layout down.
    pub(crate) fn create(fd: BorrowedFd<'_>, layout: Layout) -> io::Result<Table> {
        let map = Mapping::new(fd, layout.offset(), layout.bytes(), true)?;
        let table = Table { layout, map };
        table
            .word(SEGMENTS)
            .store(layout.segments as u32, Ordering::SeqCst);
        table
            .word(RESIDENT)
            .store(layout.resident as u32, Ordering::SeqCst);
        Ok(table)
    }

    /// Maps the words of an arena whose file has `len` bytes.
    pub(crate) fn map(fd: BorrowedFd<'_>, len: u64) -> io::Result<Table> {
        // The segments' number follows from the length: each takes its bytes and its words.
        let wrong = || io::Error::other("the file is not an arena");
        let of = |segments: u64| Layout {
            segments: segments as usize,
            resident: 0,
        };
        let len_of = |segments: u64| of(segments).offset() + of(segments).bytes() as u64;
        let (mut least, mut most) = (1, len / SEGMENT_BYTES);
        while least < most {
            let middle = least + (most - least) / 2;
            if len_of(middle) < len {
                least = middle + 1;
            } else {
                most = middle;
            }
        }
        if len_of(least) != len {
            return Err(wrong());
        }
        let layout = of(least);
        let map = Mapping::new(fd, layout.offset(), layout.bytes(), true)?;
        let mut table = Table { layout, map };
        if table.word(SEGMENTS).load(Ordering::SeqCst) as usize != layout.segments {
            return Err(wrong());
        }
        table.layout.resident = table.word(RESIDENT).load(Ordering::SeqCst) as usize;
        Ok(table)
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset + size_of::<u32>() <= self.map.len());
        // SAFETY: the word lies inside the map, is aligned since every part of the layout begins at a
        // multiple of its size, was zeroed by the kernel, and every process reaches it through atomics.
        unsafe { self.map.at(offset).cast::<AtomicU32>().as_ref() }
    }

    fn seat(&self, seat: usize) -> &AtomicU64 {
        assert!(seat < SEATS);
        // SAFETY: as for `word`; seats begin at a page and have eight bytes each.
        unsafe {
            self.map
                .at(PAGE + seat * size_of::<u64>())
                .cast::<AtomicU64>()
                .as_ref()
        }
    }

    fn state(&self, segment: usize) -> &AtomicU32 {
        assert!(segment < self.layout.numbers());
        self.word(self.layout.states() + segment * size_of::<u32>())
    }

    fn pins(&self, seat: usize, segment: usize) -> &AtomicU32 {
        assert!(seat < SEATS && segment < self.layout.numbers());
        let row = self.layout.states() + self.layout.row() * (1 + seat);
        self.word(row + segment * size_of::<u32>())
    }

    /// Takes a seat for a process.
    pub(crate) fn sit_down(&self, process: u64) -> io::Result<usize> {
        assert!(process != 0, "0 stands for an empty seat");
        (0..SEATS)
            .find(|at| {
                // Counted before it is taken: who looks at pins looks at all that are taken.
                self.word(SEATS_USED)
                    .fetch_max(*at as u32 + 1, Ordering::SeqCst);
                let seat = self.seat(*at);
                let taken = seat.compare_exchange(0, process, Ordering::SeqCst, Ordering::SeqCst);
                taken.is_ok()
            })
            .ok_or_else(|| {
                io::Error::other(format!(
                    "an arena has no seat for more than {SEATS} processes"
                ))
            })
    }

    /// Clears the seats of a process that is gone.
    pub(crate) fn stand_up(&self, fd: BorrowedFd<'_>, process: u64) -> io::Result<()> {
        for seat in 0..SEATS {
            if self.seat(seat).load(Ordering::SeqCst) == process {
                let row = self.layout.states() + self.layout.row() * (1 + seat);
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                let offset = self.layout.offset() + row as u64;
                rustix::fs::fallocate(fd, flags, offset, self.layout.row() as u64)?;
                self.seat(seat).store(0, Ordering::SeqCst);
            }
        }
        Ok(())
    }

    /// Sets the state of a range.
    pub(crate) fn set(&self, range: SegmentRange, state: u32) {
        for segment in range.segments() {
            self.state(segment).store(state, Ordering::SeqCst);
        }
    }

    /// Returns whether somebody has pinned a segment of a range.
    pub(crate) fn is_pinned(&self, range: SegmentRange) -> bool {
        let used = self.word(SEATS_USED).load(Ordering::SeqCst) as usize;
        (0..used.min(SEATS))
            .filter(|seat| self.seat(*seat).load(Ordering::SeqCst) != 0)
            .any(|seat| {
                let mut pins = range.segments().map(|segment| self.pins(seat, segment));
                pins.any(|pins| pins.load(Ordering::SeqCst) > 0)
            })
    }

    /// Returns whether a range was read since this was last asked.
    pub(crate) fn take_used(&self, range: SegmentRange) -> bool {
        let mut used = false;
        for segment in range.segments() {
            let state = self.state(segment);
            if state.load(Ordering::Relaxed) & USED != 0 {
                state.fetch_and(!USED, Ordering::SeqCst);
                used = true;
            }
        }
        used
    }
}

/// Keeps a segment in memory while it lives.
pub struct Pin {
    table: Arc<Table>,
    seat: usize,
    segment: usize,
}

impl Pin {
    /// Pins a segment in one of the states that are asked for; `None` when it is in another.
    pub(crate) fn new(
        table: &Arc<Table>,
        seat: usize,
        segment: usize,
        allowed: &[u32],
    ) -> Option<Pin> {
        table.pins(seat, segment).fetch_add(1, Ordering::SeqCst);
        let pin = Pin {
            table: table.clone(),
            seat,
            segment,
        };
        let word = table.state(segment);
        let state = word.load(Ordering::SeqCst);
        if !allowed.contains(&(state & !USED)) {
            return None;
        }
        if state & USED == 0 {
            word.fetch_or(USED, Ordering::SeqCst);
        }
        Some(pin)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.table
            .pins(self.seat, self.segment)
            .fetch_sub(1, Ordering::SeqCst);
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pin(segment {})", self.segment)
    }
}
