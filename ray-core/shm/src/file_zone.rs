//! Segments behind those of memory, backed by an ordinary file: where values go on when memory is full.
//!
//! Their offsets follow those of memory's segments, and there are as many. The file grows with what is reserved in it;
//! nobody ever shortens it. Who lends sees to it that room is reserved before anybody writes, so that a full disk is
//! an error there and not a signal here, and given back before its numbers are lent again.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
};

use rustix::{
    fs::FallocateFlags,
    io::{Errno, retry_on_intr},
};

use crate::{
    arena::Mapping,
    owner::{NotLent, SEGMENT_BYTES, SegmentRange},
    table::Layout,
};

/// The file and the book of its segments.
pub(crate) struct FileZone {
    file: Arc<OwnedFd>,
    layout: Layout,
    /// First numbers, counted in the whole arena, and how many follow each other.
    lent: BTreeMap<u32, u32>,
}

/// Room in the file, to be reserved or given back by a thread that may wait for a disk.
pub struct FileRoom {
    file: Arc<OwnedFd>,
    range: SegmentRange,
    /// Where it is in the file; bytes.
    at: u64,
}

impl FileZone {
    /// Takes a file over after a look whether all that it may come to hold can be mapped.
    pub(crate) fn new(file: OwnedFd, layout: Layout) -> io::Result<FileZone> {
        let len = usize::try_from(layout.offset()).map_err(io::Error::other)?;
        drop(Mapping::new(file.as_fd(), 0, len, false)?);
        Ok(FileZone {
            file: Arc::new(file),
            layout,
            lent: BTreeMap::new(),
        })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub(crate) fn contains(&self, range: SegmentRange) -> bool {
        range.first as usize >= self.layout.segments
    }

    /// Lends the lowest numbers that are free.
    pub(crate) fn grant(&mut self, count: usize) -> Option<SegmentRange> {
        let count = u32::try_from(count).ok()?;
        let (mut first, end) = (self.layout.segments, self.layout.numbers());
        for (lent, len) in &self.lent {
            if first + count as usize <= *lent as usize {
                break;
            }
            first = (*lent + *len) as usize;
        }
        if first + count as usize > end {
            return None;
        }
        let first = u32::try_from(first).ok()?;
        self.lent.insert(first, count);
        Some(SegmentRange { first, count })
    }

    pub(crate) fn release(&mut self, range: SegmentRange) -> Result<(), NotLent> {
        if self.lent.get(&range.first) != Some(&range.count) {
            return Err(NotLent(range));
        }
        self.lent.remove(&range.first);
        Ok(())
    }

    pub(crate) fn room(&self, range: SegmentRange) -> Option<FileRoom> {
        (self.lent.get(&range.first) == Some(&range.count)).then(|| FileRoom {
            file: self.file.clone(),
            range,
            at: range.offset() - self.layout.offset(),
        })
    }

    pub(crate) fn lent_bytes(&self) -> u64 {
        let counts = self.lent.values().map(|count| u64::from(*count));
        counts.sum::<u64>() * SEGMENT_BYTES
    }
}

impl FileRoom {
    /// Returns the segments that it is of.
    pub fn range(&self) -> SegmentRange {
        self.range
    }

    /// Has the disk set the room aside; what it gives is zero.
    ///
    /// # Errors
    /// What the system refused: a full disk, or a file system that can set nothing aside. Then nothing is kept.
    pub fn reserve(&self) -> io::Result<()> {
        let fallocate = || {
            rustix::fs::fallocate(
                &self.file,
                FallocateFlags::empty(),
                self.at,
                self.range.len(),
            )
        };
        retry_on_intr(fallocate).map_err(|error| {
            if let Err(error) = self.give_back()
                && error.raw_os_error() != Some(Errno::OPNOTSUPP.raw_os_error())
            {
                tracing::warn!(%error, "a part of a file's room stays taken");
            }
            io::Error::from(error)
        })
    }

    /// Gives the disk's blocks back; what is read there afterwards is zero.
    ///
    /// # Errors
    /// What the system refused.
    pub fn give_back(&self) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let punch = || rustix::fs::fallocate(&self.file, flags, self.at, self.range.len());
        Ok(retry_on_intr(punch)?)
    }

    /// Returns what the file takes of its disk; bytes.
    ///
    /// # Errors
    /// What the system refused.
    pub fn disk_bytes(&self) -> io::Result<u64> {
        let blocks = rustix::fs::fstat(&self.file)?.st_blocks;
        Ok(u64::try_from(blocks).map_err(io::Error::other)? * 512)
    }
}
