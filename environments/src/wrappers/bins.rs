//! Bounded numbers as bins of equal width, and back.

use crate::{Array, BoxSpace, Discrete, EnvError, MultiDiscrete, Space, Value};

/// How the range of each of several numbers is cut into bins.
#[derive(Clone, Debug)]
pub(super) struct Bins {
    pub(super) from: BoxSpace,
    counts: Vec<i64>,
    /// Whether there is a choice for each number and not one for all.
    pub(super) is_multi: bool,
}

impl Bins {
    pub(super) fn new(from: BoxSpace, counts: &[usize]) -> Result<Bins, EnvError> {
        let refuse = |needs: &str| Err(EnvError::NotSupported(format!("bins need {needs}")));
        if !from.is_bounded() || from.is_empty() {
            return refuse("numbers with finite bounds");
        }
        let counts: Vec<i64> = match counts {
            [count] => vec![*count as i64; from.len()],
            several => several.iter().map(|count| *count as i64).collect(),
        };
        if counts.len() != from.len() || counts.iter().any(|count| *count < 1) {
            return refuse("a count of 1 or more for each number");
        }
        let all = counts
            .iter()
            .try_fold(1_i64, |all, count| all.checked_mul(*count));
        if all.is_none() {
            return refuse("fewer choices than a whole number can count");
        }
        Ok(Bins {
            from,
            counts,
            is_multi: false,
        })
    }

    pub(super) fn space(&self) -> Space {
        match self.is_multi {
            true => MultiDiscrete::new(self.counts.clone()).into(),
            false => Discrete::new(self.counts.iter().product()).into(),
        }
    }

    /// Returns the bin of a number; what is outside the bounds falls into the nearest.
    pub(super) fn index(&self, at: usize, number: f64) -> i64 {
        let (low, high) = self.from.bounds(at);
        let width = (high - low) / self.counts[at] as f64;
        if width <= 0.0 {
            return 0;
        }
        let last = self.counts[at] - 1;
        let mut index = (((number - low) / width).floor() as i64).clamp(0, last);
        // The division rounds; the edges decide.
        if low + (index + 1) as f64 * width <= number {
            index += 1;
        } else if low + index as f64 * width > number {
            index -= 1;
        }
        index.clamp(0, last)
    }

    /// Returns the middle of a bin; `None` where there is none.
    fn center(&self, at: usize, index: i64) -> Option<f64> {
        let (low, high) = self.from.bounds(at);
        let width = (high - low) / self.counts[at] as f64;
        (0..self.counts[at])
            .contains(&index)
            .then_some(low + (index as f64 + 0.5) * width)
    }

    /// Returns bins as a member of the space.
    pub(super) fn value(&self, indices: &[i64]) -> Value {
        if self.is_multi {
            return Array::from(indices.to_vec()).into();
        }
        let digits = indices.iter().zip(&self.counts);
        Value::Int(digits.fold(0, |all, (index, count)| all * count + index))
    }

    /// Returns the middles of the bins that a member of the space names; `None` for what is none.
    pub(super) fn centers(&self, value: &Value) -> Option<Vec<f64>> {
        if self.is_multi {
            let indices = value.as_array()?;
            if indices.len() != self.counts.len() || indices.dtype().is_float() {
                return None;
            }
            let each = (0..indices.len()).map(|at| self.center(at, indices.get(at) as i64));
            return each.collect();
        }
        let mut rest = value.as_int()?;
        if !(0..self.counts.iter().product()).contains(&rest) {
            return None;
        }
        let mut indices = vec![0; self.counts.len()];
        for (index, count) in indices.iter_mut().zip(&self.counts).rev() {
            *index = rest % count;
            rest /= count;
        }
        let each = indices.iter().enumerate();
        each.map(|(at, index)| self.center(at, *index)).collect()
    }
}
