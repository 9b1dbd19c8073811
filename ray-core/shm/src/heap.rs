//! Free space inside lent segments: best fit, neighbours merged.

use std::collections::{BTreeMap, BTreeSet};

use crate::arena::ALIGNMENT;

/// Which stretches of a writer's segments are free and which hold objects; plain numbers, no memory.
#[derive(Default)]
pub(crate) struct Heap {
    /// Free stretches by offset.
    free: BTreeMap<u64, u64>,
    /// The same by length, so that the smallest that fits is found first.
    by_len: BTreeSet<(u64, u64)>,
    /// Lengths of live objects, rounded up, by offset.
    live: BTreeMap<u64, u64>,
    live_bytes: u64,
    /// Where one map ends and another begins: stretches never merge over these.
    seams: BTreeSet<u64>,
    /// Stretches in which nothing is allocated any more, and their lengths.
    closed: BTreeMap<u64, u64>,
}

impl Heap {
    /// Adds a stretch of free space that is one piece of memory.
    pub(crate) fn add(&mut self, offset: u64, len: u64) {
        self.seams.insert(offset);
        self.seams.insert(offset + len);
        self.insert_free(offset, len);
    }

    /// Takes `len` bytes; `None` when no stretch is long enough.
    pub(crate) fn alloc(&mut self, len: u64) -> Option<u64> {
        let len = rounded(len)?;
        let &(found, offset) = self.by_len.range((len, 0)..).next()?;
        self.by_len.remove(&(found, offset));
        self.free.remove(&offset);
        if found > len {
            self.free.insert(offset + len, found - len);
            self.by_len.insert((found - len, offset + len));
        }
        self.live.insert(offset, len);
        self.live_bytes += len;
        Some(offset)
    }

    /// Gives an object's space back; false when no live object begins there.
    pub(crate) fn free(&mut self, offset: u64) -> bool {
        let Some(len) = self.live.remove(&offset) else {
            return false;
        };
        self.live_bytes -= len;
        let closed = self.closed.range(..=offset).next_back();
        if closed.is_none_or(|(start, closed)| offset >= start + closed) {
            self.insert_free(offset, len);
        }
        true
    }

    /// Allocates no more in a stretch that was added as one.
    pub(crate) fn close(&mut self, offset: u64, len: u64) {
        let within = self.free.range(offset..offset + len);
        for (start, len) in within
            .map(|(start, len)| (*start, *len))
            .collect::<Vec<_>>()
        {
            self.free.remove(&start);
            self.by_len.remove(&(len, start));
        }
        self.closed.insert(offset, len);
    }

    /// Returns whether a live object begins at `offset`.
    pub(crate) fn is_live(&self, offset: u64) -> bool {
        self.live.contains_key(&offset)
    }

    /// Removes the stretch `offset..offset + len` when all of it is free.
    pub(crate) fn take_if_free(&mut self, offset: u64, len: u64) -> bool {
        if self.closed.contains_key(&offset) {
            let is_empty = self.live.range(offset..offset + len).next().is_none();
            if is_empty {
                self.closed.remove(&offset);
            }
            return is_empty;
        }
        let Some((&start, &found)) = self.free.range(..=offset).next_back() else {
            return false;
        };
        if start + found < offset + len {
            return false;
        }
        self.free.remove(&start);
        self.by_len.remove(&(found, start));
        for (start, len) in [
            (start, offset - start),
            (offset + len, start + found - offset - len),
        ] {
            if len > 0 {
                self.free.insert(start, len);
                self.by_len.insert((len, start));
            }
        }
        true
    }

    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    pub(crate) fn live_objects(&self) -> usize {
        self.live.len()
    }

    fn insert_free(&mut self, mut offset: u64, mut len: u64) {
        if let Some((&before, &before_len)) = self.free.range(..offset).next_back() {
            debug_assert!(
                before + before_len <= offset,
                "free stretches do not overlap"
            );
            if before + before_len == offset && !self.seams.contains(&offset) {
                self.free.remove(&before);
                self.by_len.remove(&(before_len, before));
                offset = before;
                len += before_len;
            }
        }
        if !self.seams.contains(&(offset + len))
            && let Some(&after_len) = self.free.get(&(offset + len))
        {
            self.free.remove(&(offset + len));
            self.by_len.remove(&(after_len, offset + len));
            len += after_len;
        }
        self.free.insert(offset, len);
        self.by_len.insert((len, offset));
    }
}

/// Rounds up to the alignment; an empty object takes one unit, so that its place is its own.
fn rounded(len: u64) -> Option<u64> {
    len.max(1).checked_next_multiple_of(ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator, so that the test needs no crate for it.
    struct Draws(u64);

    impl Draws {
        fn next(&mut self, below: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % below
        }
    }

    #[test]
    fn objects_never_overlap_and_all_space_comes_back() {
        for seed in 0..200 {
            let mut draws = Draws(seed);
            let mut heap = Heap::default();
            heap.add(0, 1 << 16);
            heap.add(1 << 20, 1 << 16);
            let mut live: Vec<(u64, u64)> = Vec::new();
            for _ in 0..300 {
                if draws.next(3) > 0 {
                    let len = draws.next(5_000);
                    if let Some(offset) = heap.alloc(len) {
                        assert!(offset.is_multiple_of(ALIGNMENT));
                        for (other, other_len) in &live {
                            assert!(
                                offset + len.max(1) <= *other
                                    || other + other_len.max(&1) <= offset
                            );
                        }
                        live.push((offset, len));
                    }
                } else if !live.is_empty() {
                    let (offset, _) = live.swap_remove(draws.next(live.len() as u64) as usize);
                    assert!(heap.free(offset));
                    assert!(!heap.free(offset), "a second free is noticed");
                }
            }
            for (offset, _) in live {
                assert!(heap.free(offset));
            }
            assert_eq!((heap.live_bytes(), heap.live_objects()), (0, 0));
            assert!(heap.take_if_free(0, 1 << 16), "neighbours have merged");
            assert!(heap.take_if_free(1 << 20, 1 << 16));
            assert_eq!(heap.alloc(1), None);
        }
    }

    #[test]
    fn a_stretch_with_an_object_in_it_is_not_taken() {
        let mut heap = Heap::default();
        heap.add(0, 1024);
        let offset = heap.alloc(100).expect("there is room");
        assert!(!heap.take_if_free(0, 1024));
        assert!(heap.take_if_free(512, 512));
        assert!(heap.free(offset));
        assert!(heap.take_if_free(0, 512));
    }

    #[test]
    fn a_closed_stretch_only_empties() {
        let mut heap = Heap::default();
        heap.add(0, 1024);
        heap.add(4096, 1024);
        let first = heap.alloc(100).expect("there is room");
        heap.close(0, 1024);
        let second = heap.alloc(100).expect("there is room elsewhere");
        assert_eq!((first, second), (0, 4096));
        assert!(!heap.take_if_free(0, 1024));
        assert!(heap.free(first));
        assert_eq!(heap.alloc(1024), None, "what came free in it stays free");
        assert!(heap.take_if_free(0, 1024));
        heap.add(0, 1024);
        assert_eq!(heap.alloc(1024), Some(0), "lent again it is as new");
    }

    #[test]
    fn a_length_that_cannot_be_rounded_is_refused() {
        let mut heap = Heap::default();
        heap.add(0, 1024);
        assert_eq!(heap.alloc(u64::MAX), None);
    }
}
