//! Random numbers: PCG64 from a seed, saved and restored exactly, or taken from a script.
//!
//! # Scripts
//! An environment that was recorded elsewhere can be replayed although that place had another generator: put
//! the *results* of its draws into a [`Rng::script`]. Each call of [`Rng::unit`], [`Rng::uniform`],
//! [`Rng::below`], [`Rng::normal`] or [`Rng::exponential`] then returns the next number of the script instead of
//! drawing, whatever its arguments; only a number outside the call's range is moved into it. After the last one
//! the generator goes on. A script is part of what [`Rng::save`] saves; seeding anew drops it.
//!
//! ```
//! use environments::rng::Rng;
//!
//! let mut rng = Rng::new(0);
//! rng.script([0.25, 3.0, -7.5]);
//! assert_eq!((rng.unit(), rng.below(10), rng.uniform(-8.0, 8.0)), (0.25, 3, -7.5));
//! assert_eq!(rng.script_left(), 0);
//! ```
//!
//! [`Env::rng_mut`](crate::Env::rng_mut) hands out the generator of an environment.

use rand_core::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Rng {
    seed: u64,
    /// How many 64-bit draws were made; with the seed it is the whole state.
    drawn: u64,
    generator: Pcg64,
    /// What the next draws return, the last one first; empty and unallocated but in replays.
    script: Vec<f64>,
}

impl Rng {
    /// Starts the stream of a seed.
    pub fn new(seed: u64) -> Rng {
        Rng {
            seed,
            drawn: 0,
            generator: Pcg64::seed_from_u64(seed),
            script: Vec::new(),
        }
    }

    /// Starts a stream that differs each time, from the operating system's random numbers.
    pub fn from_entropy() -> Rng {
        use std::hash::{BuildHasher as _, RandomState};
        Rng::new(RandomState::new().hash_one(0))
    }

    /// Makes the next draws return these numbers, after those that an earlier script has left.
    pub fn script(&mut self, results: impl IntoIterator<Item = f64>) {
        self.script.reverse();
        self.script.extend(results);
        self.script.reverse();
    }

    /// Returns how many numbers of the script are left.
    pub fn script_left(&self) -> usize {
        self.script.len()
    }

    /// Drops what is left of the script.
    pub fn clear_script(&mut self) {
        self.script.clear();
    }

    /// Starts a stream that nobody else of the same seed has: one per purpose and index.
    pub fn stream(seed: u64, purpose: u64, index: u64) -> Rng {
        // SplitMix64 steps keep neighbouring numbers apart (Steele, Lea, Flood 2014).
        let mut mixed = seed;
        for part in [purpose, index] {
            mixed = mixed.wrapping_add(part).wrapping_add(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
        }
        Rng::new(mixed)
    }

    /// Draws 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.drawn += 1;
        self.generator.next_u64()
    }

    /// Draws from `[0, 1)` with 53 bits.
    pub fn unit(&mut self) -> f64 {
        if let Some(result) = self.script.pop() {
            return within(result, 0.0, 1.0_f64.next_down());
        }
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Draws from `[low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        if let Some(result) = self.script.pop() {
            return within(result, low, high);
        }
        low + (high - low) * self.unit()
    }

    /// Draws from `0..n`, without bias (Lemire 2019).
    ///
    /// # Panics
    /// When `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "nothing to draw from");
        if let Some(result) = self.script.pop() {
            return (result as u64).min(n - 1);
        }
        loop {
            let product = u128::from(self.bits()) * u128::from(n);
            // The bound is below `n`, so that nearly every draw is accepted without dividing.
            let rest = product as u64;
            if rest >= n || rest >= n.wrapping_neg() % n {
                return (product >> 64) as u64;
            }
        }
    }

    /// Draws from the normal distribution with mean 0 and deviation 1 (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        if let Some(result) = self.script.pop() {
            return result;
        }
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Draws from the exponential distribution with mean 1.
    pub fn exponential(&mut self) -> f64 {
        if let Some(result) = self.script.pop() {
            return result;
        }
        -(1.0 - self.unit()).ln()
    }

    /// Puts `items` into random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// Returns what [`Rng::restore`] needs.
    pub fn save(&self) -> Vec<u64> {
        let script = self.script.iter().map(|result| result.to_bits());
        [self.seed, self.drawn].into_iter().chain(script).collect()
    }

    /// Goes on where [`Rng::save`] was called; `None` for anything else.
    pub fn restore(saved: &[u64]) -> Option<Rng> {
        let [seed, drawn, ref script @ ..] = *saved else {
            return None;
        };
        let mut rng = Rng::new(seed);
        rng.script = script.iter().map(|bits| f64::from_bits(*bits)).collect();
        rng.generator.advance(u128::from(drawn));
        rng.drawn = drawn;
        Some(rng)
    }
}

/// Moves a scripted result into a range; what is no number becomes the range's beginning.
fn within(result: f64, low: f64, high: f64) -> f64 {
    if result >= low { result.min(high) } else { low }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_answers_each_draw_in_turn_and_is_saved() {
        let mut rng = Rng::new(4);
        let unscripted = rng.clone().bits();
        rng.script([0.5, 12.0]);
        rng.script([f64::NAN, -3.0]);
        assert_eq!(rng.unit(), 0.5);
        let mut again = Rng::restore(&rng.save()).expect("saved");
        for rng in [&mut rng, &mut again] {
            assert_eq!(rng.below(10), 9, "moved into the range");
            assert_eq!(rng.uniform(-1.0, 1.0), -1.0, "moved into the range");
            assert_eq!(rng.script_left(), 1);
            assert_eq!(rng.normal(), -3.0);
            assert_eq!(rng.bits(), unscripted, "the generator goes on");
        }
    }

    #[test]
    fn a_restored_stream_goes_on_as_the_original() {
        let mut rng = Rng::stream(1, 2, 3);
        for _ in 0..1001 {
            rng.normal();
        }
        let mut again = Rng::restore(&rng.save()).expect("saved");
        assert_eq!(
            (0..10).map(|_| rng.bits()).collect::<Vec<_>>(),
            (0..10).map(|_| again.bits()).collect::<Vec<_>>()
        );
        assert!(Rng::restore(&[1]).is_none());
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut rng = Rng::new(5);
        let draws = (0..100_000).map(|_| rng.normal()).collect::<Vec<_>>();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance =
            draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(
            mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02,
            "{mean} {variance}"
        );
        let mean = (0..100_000).map(|_| rng.exponential()).sum::<f64>() / 1e5;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
    }

    #[test]
    fn streams_of_neighbouring_indexes_differ() {
        let first = (0..100)
            .map(|index| Rng::stream(0, 0, index).bits())
            .collect::<std::collections::BTreeSet<_>>();
        assert_eq!(first.len(), 100);
    }
}
