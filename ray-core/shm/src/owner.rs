//! The node's side: the file behind the arena and who has which segment.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};

use crate::arena::Mapping;

/// The unit of lending; bytes.
pub const SEGMENT_BYTES: u64 = 1 << 20;

/// Neighbouring segments lent together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentRange {
    /// The first segment's number.
    pub first: u32,
    /// How many follow each other.
    pub count: u32,
}

impl SegmentRange {
    /// Returns where the range begins; bytes from the arena's start.
    pub fn offset(self) -> u64 {
        u64::from(self.first) * SEGMENT_BYTES
    }

    /// Returns its length; bytes.
    pub fn len(self) -> u64 {
        u64::from(self.count) * SEGMENT_BYTES
    }

    /// Returns whether it has no segment.
    pub fn is_empty(self) -> bool {
        self.count == 0
    }

    fn segments(self) -> std::ops::Range<usize> {
        self.first as usize..self.first as usize + self.count as usize
    }
}

/// A range came back that is not lent as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("segments {}..{} are not lent", .0.first, u64::from(.0.first) + u64::from(.0.count))]
pub struct NotLent(pub SegmentRange);

/// The arena's file and the book of its segments.
pub struct ArenaOwner {
    fd: OwnedFd,
    /// Who has each segment.
    holders: Vec<Option<u64>>,
    /// Whether a segment's pages are backed.
    warm: Vec<bool>,
    map: Arc<Mapping>,
}

/// A free segment without pages; see [`ArenaOwner::next_cold`].
pub struct ColdSegment {
    map: Arc<Mapping>,
    offset: usize,
}

impl ColdSegment {
    /// Backs the segment with pages, about 4 ms; its bytes do not change.
    ///
    /// # Errors
    /// What the system refused.
    pub fn populate(&self) -> io::Result<()> {
        self.map.populate(self.offset, SEGMENT_BYTES as usize)
    }
}

impl ArenaOwner {
    /// Makes an arena of at least `bytes`, rounded up to whole segments; no page is touched yet.
    ///
    /// # Errors
    /// What the system refused.
    pub fn create(bytes: u64) -> io::Result<ArenaOwner> {
        let segments = bytes.div_ceil(SEGMENT_BYTES).max(1);
        let capacity = segments * SEGMENT_BYTES;
        let fd =
            rustix::fs::memfd_create("ray-arena", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&fd, capacity)?;
        rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let len = usize::try_from(capacity).map_err(io::Error::other)?;
        let map = Arc::new(Mapping::new(fd.as_fd(), 0, len, true)?);
        let segments = usize::try_from(segments).map_err(io::Error::other)?;
        Ok(ArenaOwner {
            fd,
            holders: vec![None; segments],
            warm: vec![false; segments],
            map,
        })
    }

    /// Returns the file to hand to other processes.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Returns the arena's size; bytes.
    pub fn capacity(&self) -> u64 {
        self.holders.len() as u64 * SEGMENT_BYTES
    }

    /// Lends room for `bytes` to `process`: backed segments first, then the lowest; `None` when there is none.
    pub fn grant(&mut self, bytes: u64, process: u64) -> Option<SegmentRange> {
        let count = usize::try_from(bytes.div_ceil(SEGMENT_BYTES).max(1)).ok()?;
        let first = self.find(count, true).or_else(|| self.find(count, false))?;
        for segment in first..first + count {
            self.holders[segment] = Some(process);
            self.warm[segment] = true;
        }
        Some(SegmentRange {
            first: u32::try_from(first).ok()?,
            count: u32::try_from(count).ok()?,
        })
    }

    fn find(&self, count: usize, only_warm: bool) -> Option<usize> {
        let mut run = 0;
        for segment in 0..self.holders.len() {
            let usable = self.holders[segment].is_none() && (!only_warm || self.warm[segment]);
            run = if usable { run + 1 } else { 0 };
            if run == count {
                return Some(segment + 1 - count);
            }
        }
        None
    }

    /// Takes lent segments back.
    ///
    /// # Errors
    /// [`NotLent`] when one of them is not lent; then nothing changes.
    pub fn release(&mut self, range: SegmentRange) -> Result<(), NotLent> {
        let segments = range.segments();
        if segments.end > self.holders.len()
            || segments
                .clone()
                .any(|segment| self.holders[segment].is_none())
        {
            return Err(NotLent(range));
        }
        self.holders[segments].fill(None);
        Ok(())
    }

    /// Returns what `process` has.
    pub fn ranges_of(&self, process: u64) -> Vec<SegmentRange> {
        let mut ranges: Vec<SegmentRange> = Vec::new();
        for (segment, holder) in self.holders.iter().enumerate() {
            if *holder != Some(process) {
                continue;
            }
            let segment = segment as u32;
            match ranges.last_mut() {
                Some(last) if last.first + last.count == segment => last.count += 1,
                _ => ranges.push(SegmentRange {
                    first: segment,
                    count: 1,
                }),
            }
        }
        ranges
    }

    /// Returns how much is lent; bytes.
    pub fn lent_bytes(&self) -> u64 {
        (self.holders.len() - self.free_segments()) as u64 * SEGMENT_BYTES
    }

    /// Returns how many segments nobody has.
    pub fn free_segments(&self) -> usize {
        self.holders
            .iter()
            .filter(|holder| holder.is_none())
            .count()
    }

    /// Returns the next free segment without pages and counts it as backed; the caller populates it,
    /// after it has given back whatever lock this is behind.
    pub fn next_cold(&mut self) -> Option<ColdSegment> {
        let segment = (0..self.holders.len())
            .find(|segment| self.holders[*segment].is_none() && !self.warm[*segment])?;
        self.warm[segment] = true;
        Some(ColdSegment {
            map: self.map.clone(),
            offset: segment * SEGMENT_BYTES as usize,
        })
    }

    /// Gives the pages of free segments back to the system; returns how many segments.
    ///
    /// # Errors
    /// What the system refused.
    pub fn punch_idle(&mut self) -> io::Result<usize> {
        let mut punched = 0;
        for segment in 0..self.holders.len() {
            if self.holders[segment].is_none() && self.warm[segment] {
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                rustix::fs::fallocate(
                    &self.fd,
                    flags,
                    segment as u64 * SEGMENT_BYTES,
                    SEGMENT_BYTES,
                )?;
                self.warm[segment] = false;
                punched += 1;
            }
        }
        Ok(punched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_lent_once_and_come_back() {
        let mut owner = ArenaOwner::create(4 * SEGMENT_BYTES).expect("a memfd");
        let one = owner.grant(1, 7).expect("room");
        let two = owner.grant(SEGMENT_BYTES + 1, 8).expect("room");
        assert_eq!(
            (one, two),
            (
                SegmentRange { first: 0, count: 1 },
                SegmentRange { first: 1, count: 2 }
            )
        );
        assert_eq!(owner.grant(2 * SEGMENT_BYTES, 9), None);
        assert_eq!(owner.ranges_of(8), vec![two]);
        assert_eq!(owner.release(two), Ok(()));
        assert_eq!(owner.release(two), Err(NotLent(two)));
        assert_eq!(owner.free_segments(), 3);
        let beyond = SegmentRange { first: 3, count: 2 };
        assert_eq!(owner.release(beyond), Err(NotLent(beyond)));
    }

    #[test]
    fn backed_segments_are_lent_first() {
        let mut owner = ArenaOwner::create(4 * SEGMENT_BYTES).expect("a memfd");
        let low = owner.grant(1, 1).expect("room");
        let high = owner.grant(1, 1).expect("room");
        owner.release(high).expect("lent");
        owner.punch_idle().expect("punched");
        owner.release(low).expect("lent");
        // Segment 1 is lower than nothing backed but segment 0, which is.
        assert_eq!(owner.grant(1, 2), Some(low));
        for _ in 0..3 {
            owner
                .next_cold()
                .expect("three are cold")
                .populate()
                .expect("pages");
        }
        assert!(owner.next_cold().is_none(), "all free segments are backed");
    }
}
