//! The read-only map of the whole arena.

use std::{
    io,
    ops::Deref,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    ptr::{self, NonNull},
    sync::Arc,
};

use rustix::mm::{MapFlags, ProtFlags};

use crate::{
    owner::SEGMENT_BYTES,
    table::{CLOSED, OPEN, Pin, Table},
};

/// Where an object lies in the arena; bytes from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Distance from the arena's start, a multiple of 64.
    pub offset: u64,
    /// Length of the object.
    pub len: u64,
}

/// A stretch of the arena mapped into this process; unmapped when dropped.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is plain memory whose address stays valid until `drop`; who may touch which
// byte when is decided by the protocol in the crate's documentation, not by threads.
unsafe impl Send for Mapping {}
// SAFETY: as above; `&Mapping` gives no access to the bytes but through guards and slots.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `fd` from `offset`, writable or not.
    pub(crate) fn new(
        fd: BorrowedFd<'_>,
        offset: u64,
        len: usize,
        writable: bool,
    ) -> io::Result<Mapping> {
        let protection = if writable {
            ProtFlags::READ | ProtFlags::WRITE
        } else {
            ProtFlags::READ
        };
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing of ours, and the
        // memfd is sealed against shrinking, so every byte of it stays backed.
        let start = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                len,
                protection,
                MapFlags::SHARED,
                fd,
                offset,
            )?
        };
        let start =
            NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))?;
        Ok(Mapping { start, len })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn at(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset <= self.len);
        // SAFETY: callers stay inside the mapping, whose `len` bytes are one allocation.
        unsafe { self.start.add(offset) }
    }

    /// Asks the kernel to back the pages of a stretch now, without changing their contents.
    pub(crate) fn populate(&self, offset: usize, len: usize) -> io::Result<()> {
        assert!(offset + len <= self.len);
        // SAFETY: the stretch lies inside the mapping; populating changes no byte.
        unsafe {
            rustix::mm::madvise(
                self.at(offset).as_ptr().cast(),
                len,
                rustix::mm::Advice::LinuxPopulateWrite,
            )?;
        }
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is exactly what `new` mapped, and every slice into it holds an `Arc` of this.
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok(), "a range that was mapped can be unmapped");
    }
}

/// The arena as one process sees it; clones share the map.
#[derive(Clone)]
pub struct Arena(Arc<Inner>);

struct Inner {
    fd: OwnedFd,
    map: Arc<Mapping>,
    table: Arc<Table>,
    seat: usize,
}

impl Arena {
    /// Maps the arena behind `fd` read-only, for `process`.
    ///
    /// # Errors
    /// What the system refused, or a file that can still shrink and so could take pages away.
    pub fn map(fd: OwnedFd, process: u64) -> io::Result<Arena> {
        let seals = rustix::fs::fcntl_get_seals(&fd)?;
        if !seals.contains(rustix::fs::SealFlags::SHRINK) {
            return Err(io::Error::other(
                "the arena's file is not sealed against shrinking",
            ));
        }
        let len = rustix::fs::fstat(&fd)?.st_size;
        let len = u64::try_from(len).map_err(io::Error::other)?;
        let table = Arc::new(Table::map(fd.as_fd(), len)?);
        let seat = table.sit_down(process)?;
        let len = usize::try_from(table.layout().offset()).map_err(io::Error::other)?;
        let map = Arc::new(Mapping::new(fd.as_fd(), 0, len, false)?);
        Ok(Arena(Arc::new(Inner {
            fd,
            map,
            table,
            seat,
        })))
    }

    /// Returns how much of the arena may be in memory at a time; bytes.
    pub fn capacity(&self) -> u64 {
        self.0.table.layout().resident as u64 * SEGMENT_BYTES
    }

    /// Returns where the last segment ends; bytes from the arena's start.
    pub(crate) fn end(&self) -> u64 {
        self.0.map.len() as u64
    }

    /// Keeps the object at `slot` in memory; `None` when it is not there now.
    pub fn pin(&self, slot: Slot) -> Option<Pin> {
        self.pin_in(slot.offset, &[OPEN, CLOSED])
    }

    /// Keeps the segment at `offset` open for its writer; `None` when it is closed or away.
    pub(crate) fn pin_open(&self, offset: u64) -> Option<Pin> {
        self.pin_in(offset, &[OPEN])
    }

    fn pin_in(&self, offset: u64, allowed: &[u32]) -> Option<Pin> {
        let segment = usize::try_from(offset / SEGMENT_BYTES).ok()?;
        if offset >= self.end() {
            return None;
        }
        Pin::new(&self.0.table, self.0.seat, segment, allowed)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }

    /// Returns the object at `slot`; `None` when the slot is not inside the arena.
    pub fn slice(&self, slot: Slot) -> Option<ObjectBytes> {
        let end = slot.offset.checked_add(slot.len)?;
        (end <= self.end() && slot.offset.is_multiple_of(ALIGNMENT)).then(|| ObjectBytes {
            map: self.0.map.clone(),
            slot,
        })
    }
}

/// The bytes of a sealed object, 64-byte aligned; keeps the map alive.
#[derive(Clone)]
pub struct ObjectBytes {
    map: Arc<Mapping>,
    slot: Slot,
}

impl Deref for ObjectBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `Arena::slice` checked that the slot lies inside the map, which `self.map` keeps; the
        // object is sealed and counted above this crate, so nobody writes to it while this exists, and who
        // looks at its bytes holds a `Pin`, so that they are in memory.
        unsafe {
            std::slice::from_raw_parts(
                self.map.at(self.slot.offset as usize).as_ptr(),
                self.slot.len as usize,
            )
        }
    }
}

/// Objects begin at multiples of this; bytes.
pub(crate) const ALIGNMENT: u64 = 64;
