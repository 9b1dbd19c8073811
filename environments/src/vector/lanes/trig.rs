//! Sine and cosine of several angles at once, in loops that vectorise.

use super::LANES;

/// Computes sines and cosines; within two units in the last place of the exact ones.
///
/// The angle is brought into ±π/4 by a multiple of π/2 that is subtracted in three parts (Cody and Waite 1980);
/// there the Taylor-like polynomials of least greatest error are used, as in every C library.
#[inline(always)]
pub(super) fn sin_cos(angles: &[f64; LANES]) -> ([f64; LANES], [f64; LANES]) {
    let (mut sines, mut cosines) = ([0.0; LANES], [0.0; LANES]);
    let mut is_far = false;
    for lane in 0..LANES {
        let angle = angles[lane];
        is_far |= angle.abs() > ANGLE_MAX;
        // Adding a number with no bits to spare below the point rounds; the last bits then count the quarters.
        let shifted = angle * std::f64::consts::FRAC_2_PI + ROUNDER;
        let quarters = shifted - ROUNDER;
        let quadrant = shifted.to_bits();
        let x = ((angle - quarters * QUARTER[0]) - quarters * QUARTER[1]) - quarters * QUARTER[2];
        let y = x * x;
        let sine =
            x + x * y * (S[0] + y * (S[1] + y * (S[2] + y * (S[3] + y * (S[4] + y * S[5])))));
        let half = 0.5 * y;
        let whole = 1.0 - half;
        let rest = y * y * (C[0] + y * (C[1] + y * (C[2] + y * (C[3] + y * (C[4] + y * C[5])))));
        let cosine = whole + (((1.0 - whole) - half) + rest);
        let is_odd = quadrant & 1 == 1;
        let (first, second) = if is_odd {
            (cosine, sine)
        } else {
            (sine, cosine)
        };
        let sign_of_sine = (quadrant & 2) << 62;
        let sign_of_cosine = (quadrant.wrapping_add(1) & 2) << 62;
        sines[lane] = f64::from_bits(first.to_bits() ^ sign_of_sine);
        cosines[lane] = f64::from_bits(second.to_bits() ^ sign_of_cosine);
    }
    if is_far {
        exact(angles, &mut sines, &mut cosines);
    }
    (sines, cosines)
}

/// Computes them one by one, for angles of which three parts of π/2 leave too little.
#[cold]
fn exact(angles: &[f64; LANES], sines: &mut [f64; LANES], cosines: &mut [f64; LANES]) {
    for lane in 0..LANES {
        (sines[lane], cosines[lane]) = angles[lane].sin_cos();
    }
}

/// Beyond it the quarters have too many digits for their products with the first part to be exact.
const ANGLE_MAX: f64 = 1e5;
/// 1.5 * 2^52.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
/// π/2 in three parts; the first two have 33 bits each, so that small multiples of them are exact.
const QUARTER: [f64; 3] = [
    f64::from_bits(0x3ff9_21fb_5440_0000),
    f64::from_bits(0x3dd0_b461_1a60_0000),
    f64::from_bits(0x3ba3_198a_2e03_7073),
];
/// Coefficients of x³, x⁵, … of the sine on ±π/4.
const S: [f64; 6] = [
    -1.666_666_666_666_663_2e-1,
    8.333_333_333_322_49e-3,
    -1.984_126_982_985_795e-4,
    2.755_731_370_707_006_8e-6,
    -2.505_076_025_340_686_3e-8,
    1.589_690_995_211_55e-10,
];
/// Coefficients of x⁴, x⁶, … of the cosine on ±π/4.
const C: [f64; 6] = [
    4.166_666_666_666_66e-2,
    -1.388_888_888_887_411e-3,
    2.480_158_728_947_673e-5,
    -2.755_731_435_139_066_3e-7,
    2.087_572_321_298_175e-9,
    -1.135_964_755_778_819_5e-11,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn sines_and_cosines_are_those_of_the_standard_library() {
        let mut rng = Rng::new(2);
        for range in [1e-6, 0.3, 4.0, 100.0, 9e4, 1e12] {
            for _ in 0..2_000 {
                let angles = std::array::from_fn(|_| rng.uniform(-range, range));
                let (sines, cosines) = sin_cos(&angles);
                for lane in 0..LANES {
                    let (sine, cosine) = angles[lane].sin_cos();
                    let error = (sines[lane] - sine)
                        .abs()
                        .max((cosines[lane] - cosine).abs());
                    assert!(error <= 3e-16, "{}: {error:e}", angles[lane]);
                }
            }
        }
        let (sines, _) = sin_cos(&[f64::NAN; LANES]);
        assert!(sines[0].is_nan());
    }
}
