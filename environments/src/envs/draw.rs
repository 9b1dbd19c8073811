//! Draws whose results can be scripted as they were recorded elsewhere.

use crate::rng::Rng;

/// Draws a whole number from `low` to below `high`.
///
/// It is a rounded uniform draw, so that a script may hold the number itself.
pub(super) fn draw_integer(rng: &mut Rng, low: i64, high: i64) -> i64 {
    let drawn = rng.uniform(low as f64, high as f64).floor() as i64;
    drawn.clamp(low, high - 1)
}
