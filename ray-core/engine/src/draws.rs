//! Numbers that look drawn by chance and are a function of a seed.

/// A stream of 64-bit numbers; the same seed gives the same stream (Steele et al. 2014, SplitMix).
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// Returns the stream of a seed.
    pub fn new(seed: u64) -> Draws {
        Draws(seed)
    }

    /// Returns the next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }
}

/// Scatters the bits of `value`, one to one.
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_stream() {
        let mut draws = Draws::new(7);
        let stream = [draws.draw(), draws.draw()];
        let mut again = Draws::new(7);
        assert_eq!([again.draw(), again.draw()], stream);
        assert_ne!(stream[0], stream[1]);
        assert_ne!(Draws::new(8).draw(), stream[0]);
    }
}
