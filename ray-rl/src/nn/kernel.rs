//! Small matrix products and tanh, in loops that vectorise; the widest instructions are chosen at run time.

use multiversion::multiversion;

/// Rows and columns of the block that stays in registers.
const ROWS: usize = 4;
const COLUMNS: usize = 16;

/// Adds `a * b` to `c`: `a` is `[m, k]` with the given strides, `b` is `[k, n]` and `c` is `[m, n]`, row by row.
#[multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn gemm(
    m: usize,
    k: usize,
    n: usize,
    a: &[f32],
    (row, column): (usize, usize),
    b: &[f32],
    c: &mut [f32],
) {
    let mut i = 0;
    while i + ROWS <= m {
        let mut j = 0;
        while j + COLUMNS <= n {
            let mut block = [[0.0_f32; COLUMNS]; ROWS];
            for p in 0..k {
                let b: &[f32; COLUMNS] = b[p * n + j..][..COLUMNS]
                    .try_into()
                    .expect("sixteen columns");
                for (r, sums) in block.iter_mut().enumerate() {
                    let a = a[(i + r) * row + p * column];
                    for (sum, b) in sums.iter_mut().zip(b) {
                        *sum = a.mul_add(*b, *sum);
                    }
                }
            }
            for (r, sums) in block.iter().enumerate() {
                for (c, sum) in c[(i + r) * n + j..][..COLUMNS].iter_mut().zip(sums) {
                    *c += sum;
                }
            }
            j += COLUMNS;
        }
        for r in i..i + ROWS {
            rest(r, j, k, n, a, (row, column), b, c);
        }
        i += ROWS;
    }
    for r in i..m {
        let mut j = 0;
        while j + COLUMNS <= n {
            let mut sums = [0.0_f32; COLUMNS];
            for p in 0..k {
                let b: &[f32; COLUMNS] = b[p * n + j..][..COLUMNS]
                    .try_into()
                    .expect("sixteen columns");
                let a = a[r * row + p * column];
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = a.mul_add(*b, *sum);
                }
            }
            for (c, sum) in c[r * n + j..][..COLUMNS].iter_mut().zip(sums) {
                *c += sum;
            }
            j += COLUMNS;
        }
        rest(r, j, k, n, a, (row, column), b, c);
    }
}

/// The columns from `from` on of one row.
#[allow(clippy::too_many_arguments, reason = "the shape of a matrix product")]
#[inline(always)]
fn rest(
    r: usize,
    from: usize,
    k: usize,
    n: usize,
    a: &[f32],
    (row, column): (usize, usize),
    b: &[f32],
    c: &mut [f32],
) {
    for j in from..n {
        let mut sum = 0.0_f32;
        for p in 0..k {
            sum = a[r * row + p * column].mul_add(b[p * n + j], sum);
        }
        c[r * n + j] += sum;
    }
}

/// Replaces each value by its hyperbolic tangent; within 4e-7 of the exact one.
#[multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn tanh(values: &mut [f32]) {
    for value in values {
        // tanh x = 1 - 2 / (e^2x + 1), and e^y = 2^n e^r with |r| <= ln 2 / 2.
        let y = (2.0 * *value).clamp(-18.0, 18.0);
        let n = y.mul_add(std::f32::consts::LOG2_E, ROUNDER) - ROUNDER;
        let r = n.mul_add(-LN_2_HIGH, y);
        let r = n.mul_add(-LN_2_LOW, r);
        let mut series = 1.0 / 5040.0;
        for term in [
            1.0 / 720.0,
            1.0 / 120.0,
            1.0 / 24.0,
            1.0 / 6.0,
            0.5,
            1.0,
            1.0,
        ] {
            series = r.mul_add(series, term);
        }
        let power = f32::from_bits((((n as i32) + 127) << 23) as u32);
        let exact_enough = 1.0 - 2.0 / series.mul_add(power, 1.0);
        // Near 0 the difference cancels; the series of tanh itself is better there.
        let square = *value * *value;
        let small = *value * square.mul_add(square.mul_add(2.0 / 15.0, -1.0 / 3.0), 1.0);
        *value = if square < 0.002 { small } else { exact_enough };
    }
}

/// Adding and subtracting it rounds to whole numbers.
const ROUNDER: f32 = 12_582_912.0;
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut rng = environments::rng::Rng::new(seed);
        (0..count).map(|_| rng.normal() as f32).collect()
    }

    #[test]
    fn products_equal_the_naive_loop() {
        for (m, k, n) in [
            (1, 4, 64),
            (4, 64, 64),
            (7, 5, 2),
            (64, 3, 17),
            (5, 1, 33),
            (8, 64, 1),
        ] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let mut c = numbers(m * n, 3);
            let expected = (0..m * n)
                .map(|at| {
                    let (i, j) = (at / n, at % n);
                    c[at] + (0..k).map(|p| a[i * k + p] * b[p * n + j]).sum::<f32>()
                })
                .collect::<Vec<_>>();
            gemm(m, k, n, &a, (k, 1), &b, &mut c);
            assert!(
                c.iter().zip(&expected).all(|(c, e)| (c - e).abs() < 1e-4),
                "{m} {k} {n}"
            );
            // The same product with `a` stored the other way round.
            let transposed = (0..k * m)
                .map(|at| a[at % m * k + at / m])
                .collect::<Vec<_>>();
            let mut again = numbers(m * n, 3);
            gemm(m, k, n, &transposed, (1, m), &b, &mut again);
            assert_eq!(c, again);
        }
    }

    #[test]
    fn tanh_is_close_everywhere() {
        let mut worst = 0.0_f64;
        for at in -200_000..=200_000 {
            let x = at as f32 / 10_000.0;
            let mut y = [x];
            tanh(&mut y);
            worst = worst.max((f64::from(y[0]) - f64::from(x).tanh()).abs());
        }
        assert!(worst < 4e-7, "{worst}");
        let mut edge = [0.0, -0.0, f32::MAX, f32::MIN, 1e-30];
        tanh(&mut edge);
        for (found, exact) in edge.iter().zip([0.0, 0.0, 1.0, -1.0, 1e-30]) {
            assert!((found - exact).abs() < 4e-7, "{edge:?}");
        }
    }
}
