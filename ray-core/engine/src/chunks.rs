//! Which chunks of an object somebody has.

#![allow(
    missing_docs,
    reason = "rkyv's derives repeat the types without their documentation"
)]

use rkyv::{Archive, Deserialize, Serialize};

/// A set of chunk numbers below a fixed count.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Chunks {
    count: u32,
    words: Vec<u64>,
}

impl Chunks {
    /// Returns none of `count` chunks.
    pub fn none(count: u32) -> Chunks {
        Chunks {
            count,
            words: vec![0; count.div_ceil(64) as usize],
        }
    }

    /// Returns all of `count` chunks.
    pub fn all(count: u32) -> Chunks {
        let mut chunks = Chunks::none(count);
        for chunk in 0..count {
            chunks.insert(chunk);
        }
        chunks
    }

    /// Returns how many chunks the object has.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Adds a chunk; returns whether it is one of the object's and was not there.
    pub fn insert(&mut self, chunk: u32) -> bool {
        if chunk >= self.count || self.contains(chunk) {
            return false;
        }
        self.words[chunk as usize / 64] |= 1 << (chunk % 64);
        true
    }

    /// Takes a chunk out.
    pub fn remove(&mut self, chunk: u32) {
        if let Some(word) = self.words.get_mut(chunk as usize / 64) {
            *word &= !(1 << (chunk % 64));
        }
    }

    /// Returns whether a chunk is there.
    pub fn contains(&self, chunk: u32) -> bool {
        let word = self.words.get(chunk as usize / 64).copied().unwrap_or(0);
        chunk < self.count && word & (1 << (chunk % 64)) != 0
    }

    /// Returns how many chunks are there.
    pub fn len(&self) -> u32 {
        let words = self.words.iter().zip((0_u32..).step_by(64));
        let ones = words.map(|(word, first)| {
            let members = self.count.saturating_sub(first).min(64);
            let beyond = u64::MAX.checked_shl(members).unwrap_or(0);
            (word & !beyond).count_ones()
        });
        ones.sum()
    }

    /// Returns whether no chunk is there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether every chunk is there.
    pub fn is_full(&self) -> bool {
        self.len() == self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_knows_its_members_and_nothing_beyond_its_count() {
        let mut chunks = Chunks::none(70);
        assert!(chunks.insert(69) && chunks.insert(0));
        assert!(!chunks.insert(69) && !chunks.insert(70));
        assert_eq!(
            (chunks.len(), chunks.contains(69), chunks.contains(70)),
            (2, true, false)
        );
        chunks.remove(69);
        assert!(!chunks.contains(69));
        assert!(Chunks::all(70).is_full() && Chunks::none(70).is_empty());
        assert!(Chunks::all(64).is_full() && Chunks::all(0).is_full());
        let beyond = Chunks {
            count: 2,
            words: vec![u64::MAX, 1],
        };
        assert_eq!(beyond.len(), 2, "what is not a member does not count");
    }
}
