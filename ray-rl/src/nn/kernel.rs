//! Small matrix products and tanh, in loops that vectorise; the widest instructions are chosen at run time.

use multiversion::multiversion;

/// Columns of a tile: what two wide registers hold.
const COLUMNS: usize = 16;
/// Rows of a large tile: its sums, two registers each, stay in registers with room for the operands.
const ROWS: usize = 6;

/// Adds `a * b` to `c`: `a` is `[m, k]`, `b` is `[k, n]` and `c` is `[m, n]`, row by row.
///
/// An element's terms are added in an order that depends on `k` and `n` alone: a row of a batch gives the
/// same bits as that row by itself.
#[multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn gemm(m: usize, k: usize, n: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    if k == 0 || n == 0 {
        return;
    }
    let (a, b, c) = (&a[..m * k], &b[..k * n], &mut c[..m * n]);
    let mut i = 0;
    while i + ROWS <= m {
        tiles::<ROWS>(i, k, n, a, b, c);
        i += ROWS;
    }
    while i < m {
        tiles::<1>(i, k, n, a, b, c);
        i += 1;
    }
    // The last columns as dot products of rows with columns that were made contiguous.
    let first = n - n % COLUMNS;
    let mut column = vec![0.0; if first < n { k } else { 0 }];
    for j in first..n {
        for (value, row) in column.iter_mut().zip(b.chunks_exact(n)) {
            *value = row[j];
        }
        for (row, out) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
            out[j] += dot(row, &column);
        }
    }
}

/// All whole tiles of `R` rows from row `i` on.
#[inline(always)]
fn tiles<const R: usize>(i: usize, k: usize, n: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    let rows: [&[f32]; R] = std::array::from_fn(|r| &a[(i + r) * k..][..k]);
    let mut j = 0;
    while j + COLUMNS <= n {
        let mut sums = [[0.0_f32; COLUMNS]; R];
        for (p, b) in b.chunks_exact(n).take(k).enumerate() {
            let b: &[f32; COLUMNS] = b[j..][..COLUMNS].try_into().expect("sixteen columns");
            for r in 0..R {
                let a = rows[r][p];
                for (sum, b) in sums[r].iter_mut().zip(b) {
                    *sum = a.mul_add(*b, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (c, sum) in c[(i + r) * n + j..][..COLUMNS].iter_mut().zip(sums) {
                *c += sum;
            }
        }
        j += COLUMNS;
    }
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; COLUMNS];
    let (a_parts, b_parts) = (a.chunks_exact(COLUMNS), b.chunks_exact(COLUMNS));
    let mut sum = 0.0;
    for (a, b) in a_parts.remainder().iter().zip(b_parts.remainder()) {
        sum = a.mul_add(*b, sum);
    }
    for (a, b) in a_parts.zip(b_parts) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane = a.mul_add(*b, *lane);
        }
    }
    sum + lanes.iter().sum::<f32>()
}

/// Adds the product of the transposed `a` with `b` to `c`: `a` is `[k, m]`, `b` is `[k, n]`, `c` is `[m, n]`.
#[multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn gemm_transposed(m: usize, k: usize, n: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    if m == 0 || n == 0 {
        return;
    }
    let (a, b, c) = (&a[..k * m], &b[..k * n], &mut c[..m * n]);
    let mut i = 0;
    while i + ROWS <= m {
        tiles_transposed::<ROWS>(i, m, n, a, b, c);
        i += ROWS;
    }
    while i < m {
        tiles_transposed::<1>(i, m, n, a, b, c);
        i += 1;
    }
    // The last columns: here rows of `c` lie side by side in `a`, so they are the lanes.
    for j in n - n % COLUMNS..n {
        let mut i = 0;
        while i + COLUMNS <= m {
            let mut sums = [0.0_f32; COLUMNS];
            for (a, b) in a.chunks_exact(m).zip(b.chunks_exact(n)) {
                let a: &[f32; COLUMNS] = a[i..][..COLUMNS].try_into().expect("sixteen rows");
                for (sum, a) in sums.iter_mut().zip(a) {
                    *sum = a.mul_add(b[j], *sum);
                }
            }
            for (r, sum) in sums.iter().enumerate() {
                c[(i + r) * n + j] += sum;
            }
            i += COLUMNS;
        }
        for i in i..m {
            let mut sum = 0.0_f32;
            for (a, b) in a.chunks_exact(m).zip(b.chunks_exact(n)) {
                sum = a[i].mul_add(b[j], sum);
            }
            c[i * n + j] += sum;
        }
    }
}

#[inline(always)]
fn tiles_transposed<const R: usize>(
    i: usize,
    m: usize,
    n: usize,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
) {
    let mut j = 0;
    while j + COLUMNS <= n {
        let mut sums = [[0.0_f32; COLUMNS]; R];
        for (a, b) in a.chunks_exact(m).zip(b.chunks_exact(n)) {
            let a: &[f32; R] = a[i..][..R].try_into().expect("the rows of a tile");
            let b: &[f32; COLUMNS] = b[j..][..COLUMNS].try_into().expect("sixteen columns");
            for r in 0..R {
                for (sum, b) in sums[r].iter_mut().zip(b) {
                    *sum = a[r].mul_add(*b, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (c, sum) in c[(i + r) * n + j..][..COLUMNS].iter_mut().zip(sums) {
                *c += sum;
            }
        }
        j += COLUMNS;
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
            (13, 20, 35),
            (64, 100, 2),
        ] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let mut c = numbers(m * n, 3);
            let expected = (0..m * n)
                .map(|at| {
                    let (i, j) = (at / n, at % n);
                    c[at] + (0..k).map(|p| a[i * k + p] * b[p * n + j]).sum::<f32>()
                })
                .collect::<Vec<_>>();
            gemm(m, k, n, &a, &b, &mut c);
            assert!(
                c.iter().zip(&expected).all(|(c, e)| (c - e).abs() < 1e-4),
                "{m} {k} {n}"
            );
            // The same product with `a` stored the other way round.
            let transposed = (0..k * m)
                .map(|at| a[at % m * k + at / m])
                .collect::<Vec<_>>();
            let mut again = numbers(m * n, 3);
            gemm_transposed(m, k, n, &transposed, &b, &mut again);
            assert!(
                again
                    .iter()
                    .zip(&expected)
                    .all(|(c, e)| (c - e).abs() < 1e-4),
                "transposed {m} {k} {n}"
            );
        }
    }

    #[test]
    fn a_row_of_a_batch_gives_the_bits_of_the_row_alone() {
        let (m, k, n) = (11, 37, 34);
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let mut together = vec![0.0; m * n];
        gemm(m, k, n, &a, &b, &mut together);
        for i in 0..m {
            let mut alone = vec![0.0; n];
            gemm(1, k, n, &a[i * k..][..k], &b, &mut alone);
            assert_eq!(alone, together[i * n..][..n], "row {i}");
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
