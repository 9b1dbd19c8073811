//! Random numbers: PCG64 from an explicit seed, saved and restored exactly.

use rand_core::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Rng {
    seed: u64,
    /// How many 64-bit draws were made; with the seed it is the whole state.
    drawn: u64,
    generator: Pcg64,
}

impl Rng {
    /// Starts the stream of a seed.
    pub fn new(seed: u64) -> Rng {
        Rng {
            seed,
            drawn: 0,
            generator: Pcg64::seed_from_u64(seed),
        }
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
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Draws from `[low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Draws from `0..n`, without bias (Lemire 2019).
    ///
    /// # Panics
    /// When `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "nothing to draw from");
        loop {
            let product = u128::from(self.bits()) * u128::from(n);
            if product as u64 >= n.wrapping_neg() % n {
                return (product >> 64) as u64;
            }
        }
    }

    /// Draws from the normal distribution with mean 0 and deviation 1 (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Draws from the exponential distribution with mean 1.
    pub fn exponential(&mut self) -> f64 {
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
        vec![self.seed, self.drawn]
    }

    /// Goes on where [`Rng::save`] was called; `None` for anything else.
    pub fn restore(saved: &[u64]) -> Option<Rng> {
        let [seed, drawn] = *saved else { return None };
        let mut rng = Rng::new(seed);
        rng.generator.advance(u128::from(drawn));
        rng.drawn = drawn;
        Some(rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
