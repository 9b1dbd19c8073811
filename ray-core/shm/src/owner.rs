//! The node's side: the file behind the arena and who has which segment.

use std::{
    io,
    ops::{Deref, DerefMut},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};

use crate::{
    arena::Mapping,
    file_zone::{FileRoom, FileZone},
    table::{AWAY, CLOSED, Layout, OPEN, Table},
};

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

    pub(crate) fn segments(self) -> std::ops::Range<usize> {
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
    warm_count: usize,
    /// Segments from here on were never lent: all of them are free and cold.
    untouched: usize,
    map: Arc<Mapping>,
    table: Table,
    file: Option<FileZone>,
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
    /// Makes an arena of which `capacity` bytes, in whole segments, may be in memory at a time.
    ///
    /// It has more segments than that, for what is away; no page is touched yet.
    ///
    /// # Errors
    /// What the system refused.
    pub fn create(capacity: u64) -> io::Result<ArenaOwner> {
        let resident = capacity.div_ceil(SEGMENT_BYTES).max(1);
        let resident = usize::try_from(resident).map_err(io::Error::other)?;
        let layout = Layout {
            segments: resident * SEGMENTS_FOR_EACH_RESIDENT,
            resident,
        };
        let fd =
            rustix::fs::memfd_create("ray-arena", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&fd, layout.offset() + layout.bytes() as u64)?;
        rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let len = usize::try_from(layout.offset()).map_err(io::Error::other)?;
        let map = Arc::new(Mapping::new(fd.as_fd(), 0, len, true)?);
        let table = Table::create(fd.as_fd(), layout)?;
        Ok(ArenaOwner {
            fd,
            holders: vec![None; layout.segments],
            warm: vec![false; layout.segments],
            warm_count: 0,
            untouched: 0,
            map,
            table,
            file: None,
        })
    }

    /// Gives the arena a second zone in an ordinary, empty file; see [`ArenaOwner::grant_in_file`].
    ///
    /// # Errors
    /// What the system refused; the file system may not know files as long as this one may become.
    pub fn with_file(&mut self, file: OwnedFd) -> io::Result<()> {
        self.file = Some(FileZone::new(file, self.table.layout())?);
        Ok(())
    }

    /// Returns the file of the second zone to hand to other processes.
    pub fn file(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(FileZone::fd)
    }

    /// Returns the file to hand to other processes.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Returns the writable map of all segments, for whoever in this process writes what it was lent.
    pub(crate) fn whole_map(&self) -> Arc<Mapping> {
        self.map.clone()
    }

    /// Returns how much may be in memory at a time; bytes.
    pub fn capacity(&self) -> u64 {
        self.table.layout().resident as u64 * SEGMENT_BYTES
    }

    /// Lends room for `bytes` to `process`: backed segments first, then the lowest; `None` when no number
    /// of segments in a row is free.
    ///
    /// Pages of free segments give way to it. Who lends sees to it that what is lent and in memory stays
    /// within the capacity.
    pub fn grant(&mut self, bytes: u64, process: u64) -> Option<SegmentRange> {
        let count = usize::try_from(bytes.div_ceil(SEGMENT_BYTES).max(1)).ok()?;
        let first = self.find(count, true).or_else(|| self.find(count, false))?;
        let range = SegmentRange {
            first: u32::try_from(first).ok()?,
            count: u32::try_from(count).ok()?,
        };
        self.untouched = self.untouched.max(first + count);
        self.holders[range.segments()].fill(Some(process));
        self.back(range);
        Some(range)
    }

    /// Counts a range as backed with pages, and takes those of free segments when they are too many.
    fn back(&mut self, range: SegmentRange) {
        for segment in range.segments() {
            if !std::mem::replace(&mut self.warm[segment], true) {
                self.warm_count += 1;
            }
        }
        let resident = self.table.layout().resident;
        for segment in (0..self.untouched).rev() {
            if self.warm_count <= resident {
                return;
            }
            if self.warm[segment]
                && self.holders[segment].is_none()
                && let Err(error) = self.punch(one(segment))
            {
                tracing::warn!(%error, "pages could not be given back to the system");
            }
        }
    }

    /// Gives the pages of a range back to the system.
    fn punch(&mut self, range: SegmentRange) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&self.fd, flags, range.offset(), range.len())?;
        for segment in range.segments() {
            if std::mem::replace(&mut self.warm[segment], false) {
                self.warm_count -= 1;
            }
        }
        Ok(())
    }

    fn find(&self, count: usize, only_warm: bool) -> Option<usize> {
        let mut run = 0;
        for segment in 0..self.untouched {
            let usable = self.holders[segment].is_none() && (!only_warm || self.warm[segment]);
            run = if usable { run + 1 } else { 0 };
            if run == count {
                return Some(segment + 1 - count);
            }
        }
        let first = self.untouched - run;
        (!only_warm && first + count <= self.holders.len()).then_some(first)
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
        self.table.set(range, OPEN);
        Ok(())
    }

    /// Sets segments of the file aside for `bytes`; `None` without a file, or without so many in a row.
    ///
    /// Nobody may be told of them before [`FileRoom::reserve`] has succeeded.
    pub fn grant_in_file(&mut self, bytes: u64) -> Option<FileRoom> {
        let count = usize::try_from(bytes.div_ceil(SEGMENT_BYTES).max(1)).ok()?;
        let zone = self.file.as_mut()?;
        let range = zone.grant(count)?;
        zone.room(range)
    }

    /// Returns whether a range is of the file.
    pub fn is_in_file(&self, range: SegmentRange) -> bool {
        let zone = self.file.as_ref();
        zone.is_some_and(|zone| zone.contains(range))
    }

    /// Returns the room of segments that are set aside, to be given back; `None` when they are not.
    pub fn file_room(&self, range: SegmentRange) -> Option<FileRoom> {
        self.file.as_ref()?.room(range)
    }

    /// Lets segments of the file be set aside anew, after [`FileRoom::give_back`].
    ///
    /// # Errors
    /// [`NotLent`] when they are not set aside as one.
    pub fn release_in_file(&mut self, range: SegmentRange) -> Result<(), NotLent> {
        let zone = self.file.as_mut().ok_or(NotLent(range))?;
        zone.release(range)
    }

    /// Returns how much of the file is set aside; bytes.
    pub fn file_bytes(&self) -> u64 {
        self.file.as_ref().map_or(0, FileZone::lent_bytes)
    }

    /// Clears what a process that is gone had pinned.
    ///
    /// # Errors
    /// What the system refused.
    pub fn forget_process(&self, process: u64) -> io::Result<()> {
        self.table.stand_up(self.fd.as_fd(), process)
    }

    /// Returns whether somebody reads or writes in a range now.
    pub fn is_pinned(&self, range: SegmentRange) -> bool {
        self.table.is_pinned(range)
    }

    /// Returns whether a range was read since this was last asked.
    pub fn take_used(&self, range: SegmentRange) -> bool {
        self.table.take_used(range)
    }

    /// Closes an open range to its writer, so that its bytes change no more; `None` when it is pinned.
    pub fn close(&self, range: SegmentRange) -> Option<RangeBytes> {
        self.table.set(range, CLOSED);
        if self.table.is_pinned(range) {
            self.table.set(range, OPEN);
            return None;
        }
        Some(self.bytes_of(range))
    }

    fn bytes_of(&self, range: SegmentRange) -> RangeBytes {
        RangeBytes {
            map: self.map.clone(),
            range,
        }
    }

    /// Takes a closed range out of memory; false when it is pinned and stays.
    ///
    /// # Errors
    /// What the system refused.
    pub fn send_away(&mut self, range: SegmentRange) -> io::Result<bool> {
        self.table.set(range, AWAY);
        if self.table.is_pinned(range) {
            self.table.set(range, CLOSED);
            return Ok(false);
        }
        self.punch(range)?;
        Ok(true)
    }

    /// Begins to bring a range back that is away; [`ArenaOwner::end_return`] follows.
    pub fn begin_return(&mut self, range: SegmentRange) -> RangeFill {
        self.back(range);
        RangeFill(self.bytes_of(range))
    }

    /// A range that was away has its bytes again.
    pub fn end_return(&self, range: SegmentRange) {
        self.table.set(range, CLOSED);
    }

    /// A range that was to be brought back stays away.
    ///
    /// # Errors
    /// What the system refused.
    pub fn give_up_return(&mut self, range: SegmentRange) -> io::Result<()> {
        self.punch(range)
    }

    /// Returns what `process` has.
    pub fn ranges_of(&self, process: u64) -> Vec<SegmentRange> {
        let mut ranges: Vec<SegmentRange> = Vec::new();
        for (segment, holder) in self.holders[..self.untouched].iter().enumerate() {
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

    /// Returns how much is lent, away or not, without what is in the file; bytes.
    pub fn lent_bytes(&self) -> u64 {
        let lent = self.holders[..self.untouched].iter();
        lent.filter(|holder| holder.is_some()).count() as u64 * SEGMENT_BYTES
    }

    /// Returns the next free segment without pages and counts it as backed; the caller populates it,
    /// after it has given back whatever lock this is behind.
    pub fn next_cold(&mut self) -> Option<ColdSegment> {
        let resident = self.table.layout().resident;
        if self.warm_count >= resident {
            return None;
        }
        let segment = (0..resident)
            .find(|segment| self.holders[*segment].is_none() && !self.warm[*segment])?;
        self.warm[segment] = true;
        self.warm_count += 1;
        self.untouched = self.untouched.max(segment + 1);
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
        for segment in 0..self.untouched {
            if self.holders[segment].is_none() && self.warm[segment] {
                self.punch(one(segment))?;
                punched += 1;
            }
        }
        Ok(punched)
    }
}

fn one(segment: usize) -> SegmentRange {
    SegmentRange {
        first: segment as u32,
        count: 1,
    }
}

/// The bytes of a closed range.
pub struct RangeBytes {
    map: Arc<Mapping>,
    range: SegmentRange,
}

impl Deref for RangeBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the range lies inside the map, which is kept. Its writer found it closed and goes
        // elsewhere, so nobody changes the bytes while they are written down; should the range be lent
        // anew meanwhile, the layer above throws away what was read.
        unsafe {
            std::slice::from_raw_parts(
                self.map.at(self.range.offset() as usize).as_ptr(),
                self.range.len() as usize,
            )
        }
    }
}

/// The room of a range that is brought back.
pub struct RangeFill(RangeBytes);

impl Deref for RangeFill {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for RangeFill {
    fn deref_mut(&mut self) -> &mut [u8] {
        let RangeBytes { map, range } = &self.0;
        // SAFETY: as in `RangeBytes`; the range is away until `end_return`, so nobody else reads it, and
        // the layer above lends it to nobody before that.
        unsafe {
            std::slice::from_raw_parts_mut(
                map.at(range.offset() as usize).as_ptr(),
                range.len() as usize,
            )
        }
    }
}

/// Numbers of segments for each that may be in memory: what is away keeps its number.
const SEGMENTS_FOR_EACH_RESIDENT: usize = 16;

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
        assert_eq!(owner.grant(4 * 16 * SEGMENT_BYTES, 9), None);
        assert_eq!(owner.ranges_of(8), vec![two]);
        assert_eq!(owner.release(two), Ok(()));
        assert_eq!(owner.release(two), Err(NotLent(two)));
        assert_eq!(owner.lent_bytes(), SEGMENT_BYTES);
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
