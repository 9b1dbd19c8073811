//! The read-only map of the whole arena.

use std::{
    io,
    ops::{Deref, Range},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    ptr::{self, NonNull},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::{
    io::retry_on_intr,
    mm::{MapFlags, ProtFlags},
};

use crate::{
    owner::{SEGMENT_BYTES, SegmentRange},
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
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing of ours. A memfd is
        // sealed against shrinking, so every byte of it stays backed; of an ordinary file only what is reserved is
        // touched, and by the protocol nobody cuts it short.
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

    /// Maps files one behind the other, each with its length, read-only into one stretch.
    pub(crate) fn in_a_row(files: &[(BorrowedFd<'_>, usize)]) -> io::Result<Mapping> {
        let len = files.iter().map(|(_, len)| len).sum();
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing of ours; nothing can be
        // read or written in it.
        let start = unsafe {
            rustix::mm::mmap_anonymous(ptr::null_mut(), len, ProtFlags::empty(), MapFlags::PRIVATE)?
        };
        let start =
            NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))?;
        // From here on its end takes whatever was mapped into it with it.
        let mapping = Mapping { start, len };
        let mut offset = 0;
        for (fd, len) in files {
            // SAFETY: the fixed stretch lies inside `mapping`, which nobody else knows yet, so it replaces
            // nothing but what was reserved above. What backs its bytes is as in `Arena`.
            unsafe {
                rustix::mm::mmap(
                    mapping.at(offset).as_ptr().cast(),
                    *len,
                    ProtFlags::READ,
                    MapFlags::SHARED | MapFlags::FIXED,
                    fd,
                    0,
                )?;
            }
            offset += len;
        }
        Ok(mapping)
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
    file: Option<OwnedFd>,
    /// Memory's segments, and those of the file if they are read in place.
    map: Arc<Mapping>,
    table: Arc<Table>,
    seat: usize,
    /// How long the file was when that was last asked; it only grows.
    file_len: AtomicU64,
}

/// Where values go on when memory is full.
enum Zone {
    None,
    /// In this file, read in place.
    Mapped(OwnedFd),
    /// In this file, read by copies.
    Beside(OwnedFd),
}

impl Arena {
    /// Maps the arena behind `fd` read-only, for `process`.
    ///
    /// # Errors
    /// What the system refused, or a file that can still shrink and so could take pages away.
    pub fn map(fd: OwnedFd, process: u64) -> io::Result<Arena> {
        Arena::new(fd, Zone::None, process)
    }

    /// The same with the `file` of its second zone behind it, read in place.
    ///
    /// # Errors
    /// As [`Arena::map`].
    pub fn map_with_file(fd: OwnedFd, file: OwnedFd, process: u64) -> io::Result<Arena> {
        Arena::new(fd, Zone::Mapped(file), process)
    }

    /// The same for a process that must live on when the file is cut short: it reads there with
    /// [`Arena::read_file`] only.
    ///
    /// # Errors
    /// As [`Arena::map`].
    pub fn map_beside_file(fd: OwnedFd, file: OwnedFd, process: u64) -> io::Result<Arena> {
        Arena::new(fd, Zone::Beside(file), process)
    }

    fn new(fd: OwnedFd, zone: Zone, process: u64) -> io::Result<Arena> {
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
        let memory = (fd.as_fd(), len);
        let map = match &zone {
            Zone::Mapped(file) => Mapping::in_a_row(&[memory, (file.as_fd(), len)])?,
            Zone::None | Zone::Beside(_) => Mapping::in_a_row(&[memory])?,
        };
        let map = Arc::new(map);
        let file = match zone {
            Zone::Mapped(file) | Zone::Beside(file) => Some(file),
            Zone::None => None,
        };
        Ok(Arena(Arc::new(Inner {
            fd,
            file,
            map,
            table,
            seat,
            file_len: AtomicU64::new(0),
        })))
    }

    /// Returns how much of the arena may be in memory at a time; bytes.
    pub fn capacity(&self) -> u64 {
        self.0.table.layout().resident as u64 * SEGMENT_BYTES
    }

    /// Returns where the file's segments begin, behind memory's; bytes from the arena's start.
    fn file_start(&self) -> u64 {
        self.0.table.layout().offset()
    }

    /// Returns where the last segment ends, in the file if there is one; bytes from the arena's start.
    pub(crate) fn end(&self) -> u64 {
        let zones = if self.0.file.is_some() { 2 } else { 1 };
        zones * self.file_start()
    }

    /// Returns what backs a range, and where in it the range begins; `None` outside of the arena.
    pub(crate) fn backing(&self, range: SegmentRange) -> Option<(BorrowedFd<'_>, u64)> {
        let (start, end) = (range.offset(), range.offset() + range.len());
        let middle = self.file_start();
        if end <= middle {
            return Some((self.0.fd.as_fd(), start));
        }
        let file = self.0.file.as_ref()?;
        // Who maps no file to read does not map it to write either.
        let is_mapped = end <= self.0.map.len() as u64;
        (start >= middle && is_mapped).then(|| (file.as_fd(), start - middle))
    }

    /// Returns whether a slot is of the file.
    pub fn is_in_file(&self, slot: Slot) -> bool {
        slot.offset >= self.file_start()
    }

    /// Copies a stretch of an object that is in the file, without touching a map of it.
    ///
    /// # Errors
    /// What the system said; `UnexpectedEof` when the file ends before, and `InvalidInput` when the stretch is not
    /// inside the object or the object not in the file.
    pub fn read_file(&self, slot: Slot, stretch: Range<usize>) -> io::Result<Vec<u8>> {
        let is_inside = stretch.start <= stretch.end && stretch.end as u64 <= slot.len;
        let file = self.0.file.as_ref();
        let (Some(file), true) = (file, is_inside && self.is_in_file(slot)) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut at = (slot.offset - self.file_start()).saturating_add(stretch.start as u64);
        let mut bytes = vec![0; stretch.len()];
        let mut done = 0;
        while done < bytes.len() {
            match retry_on_intr(|| rustix::io::pread(file, &mut bytes[done..], at))? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => (done, at) = (done + read, at + read as u64),
            }
        }
        Ok(bytes)
    }

    /// Returns whether the file is at least so long.
    fn file_reaches(&self, end: u64) -> bool {
        if end <= self.0.file_len.load(Ordering::Relaxed) {
            return true;
        }
        let stat = self
            .0
            .file
            .as_ref()
            .and_then(|file| rustix::fs::fstat(file).ok());
        let len = stat
            .and_then(|stat| u64::try_from(stat.st_size).ok())
            .unwrap_or(0);
        self.0.file_len.store(len, Ordering::Relaxed);
        end <= len
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

    /// Returns the object at `slot`; `None` when the slot is not inside the arena, or in a file that is not mapped or
    /// does not reach so far.
    pub fn slice(&self, slot: Slot) -> Option<ObjectBytes> {
        let end = slot.offset.checked_add(slot.len)?;
        let middle = self.file_start();
        let is_inside = end <= self.0.map.len() as u64 && slot.offset.is_multiple_of(ALIGNMENT);
        let is_backed = end <= middle || (slot.offset >= middle && self.file_reaches(end - middle));
        (is_inside && is_backed).then(|| ObjectBytes {
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
        // looks at its bytes holds a `Pin`, so that they are in memory. Those of a file were reserved on its disk
        // before the object was made, and the file was seen to reach so far; to cut it short is a harm that a job can
        // do to itself alone, since who serves other jobs does not map it, and it ends a process, without a wrong byte.
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
