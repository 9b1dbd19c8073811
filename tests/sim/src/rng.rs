//! Chance, from one seed.

use rand_core::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64;

/// A seeded source of small decisions.
pub struct Chance(Pcg64);

impl Chance {
    /// Returns the source of `seed`.
    pub fn new(seed: u64) -> Chance {
        Chance(Pcg64::seed_from_u64(seed))
    }

    /// Returns a number below `end`, 0 when `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        match end {
            0 => 0,
            end => self.0.next_u64() % end,
        }
    }

    /// Returns a number from `first` up to and without `end`.
    pub fn between(&mut self, first: u64, end: u64) -> u64 {
        first + self.below(end.saturating_sub(first))
    }

    /// Returns true `percent` times of a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Returns a position of a list of `len` things, `None` when it is empty.
    pub fn position(&mut self, len: usize) -> Option<usize> {
        (len > 0).then(|| self.below(len as u64) as usize)
    }
}
