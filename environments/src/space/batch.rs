//! The space of several members at once.

use super::{BoxSpace, Dict, MultiDiscrete, Space, Tuple};
use crate::Dtype;

impl Space {
    /// Returns the space of `n` members side by side: arrays gain a first dimension.
    ///
    /// `Discrete` becomes `MultiDiscrete`; what has no array form becomes a `Tuple` of `n`.
    pub fn batch(&self, n: usize) -> Space {
        match self {
            Space::Box(space) => {
                let bounds = (0..space.len()).map(|at| space.bounds(at));
                repeated(bounds, n, &space.shape, space.dtype)
            }
            Space::Discrete(choice) => {
                MultiDiscrete::with_shape(vec![choice.n; n], vec![choice.start; n], &[n]).into()
            }
            Space::MultiDiscrete(space) => {
                let bounds = space.choices().map(|choice| {
                    let last = choice.start + choice.n - 1;
                    (choice.start as f64, last as f64)
                });
                repeated(bounds, n, &space.shape, Dtype::I64)
            }
            Space::MultiBinary(space) => {
                let bounds = (0..space.len()).map(|_| (0.0, 1.0));
                repeated(bounds, n, &space.shape, Dtype::I8)
            }
            Space::Dict(space) => {
                Dict::new(space.iter().map(|(name, part)| (name, part.batch(n)))).into()
            }
            Space::Tuple(space) => {
                Tuple::new(space.spaces.iter().map(|part| part.batch(n)).collect()).into()
            }
            other => Tuple::new(vec![other.clone(); n]).into(),
        }
    }
}

fn repeated(
    bounds: impl Iterator<Item = (f64, f64)>,
    n: usize,
    shape: &[usize],
    dtype: Dtype,
) -> Space {
    let (low, high): (Vec<_>, Vec<_>) = bounds.unzip();
    let shape = [&[n], shape].concat();
    BoxSpace::with_bounds(low.repeat(n), high.repeat(n), &shape, dtype).into()
}
