//! Pictures in another size, each pixel the mean of the area that it covers.

/// How pictures of one size become pictures of another.
#[derive(Clone, Debug)]
pub(crate) struct AreaResize {
    /// Pixels down and across.
    from: [usize; 2],
    channels: usize,
    rows: Vec<Vec<(usize, f64)>>,
    columns: Vec<Vec<(usize, f64)>>,
}

impl AreaResize {
    /// Prepares to resize pictures from `[height, width]` to `[height, width]`, none of them 0.
    pub(crate) fn new(from: [usize; 2], to: [usize; 2], channels: usize) -> AreaResize {
        AreaResize {
            from,
            channels,
            rows: covers(from[0], to[0]),
            columns: covers(from[1], to[1]),
        }
    }

    /// Hands the numbers of the new picture to `put`, row by row; `pixel` reads the numbers of the old one.
    pub(crate) fn resize(&self, pixel: impl Fn(usize) -> f64, mut put: impl FnMut(f64)) {
        for row in &self.rows {
            for column in &self.columns {
                for channel in 0..self.channels {
                    let mut sum = 0.0;
                    for (y, height) in row {
                        for (x, width) in column {
                            let at = (y * self.from[1] + x) * self.channels + channel;
                            sum += pixel(at) * height * width;
                        }
                    }
                    put(sum);
                }
            }
        }
    }

    /// Returns the bytes of the new picture, rounded to the nearest.
    pub(crate) fn bytes(&self, pixels: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.rows.len() * self.columns.len() * self.channels);
        self.resize(
            |at| f64::from(pixels[at]),
            |mean| bytes.push(mean.round_ties_even() as u8),
        );
        bytes
    }
}

/// Returns, for each of `to` parts of a line of `from` pixels, which pixels it covers and what share they have in it.
fn covers(from: usize, to: usize) -> Vec<Vec<(usize, f64)>> {
    let scale = from as f64 / to as f64;
    let part = |at: usize| {
        let (begin, end) = (at as f64 * scale, (at + 1) as f64 * scale);
        let last = (end.ceil() as usize).min(from);
        let pixels = (begin.floor() as usize)..last;
        let shares = pixels.map(|pixel| {
            let covered = end.min((pixel + 1) as f64) - begin.max(pixel as f64);
            (pixel, covered / scale)
        });
        // Rounding may leave a sliver of a neighbour.
        shares.filter(|(_, share)| *share > 1e-9).collect()
    };
    (0..to).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_is_the_mean_of_what_it_covers() {
        let halves = AreaResize::new([2, 4], [1, 2], 1);
        assert_eq!(halves.bytes(&[0, 10, 20, 30, 40, 50, 60, 71]), [25, 45]);
        let two_thirds = AreaResize::new([1, 3], [1, 2], 1);
        assert_eq!(two_thirds.bytes(&[30, 90, 210]), [50, 170]);
        let larger = AreaResize::new([1, 1], [2, 2], 3);
        assert_eq!(
            larger.bytes(&[1, 2, 3]),
            [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]
        );
    }
}
