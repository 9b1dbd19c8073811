//! Numbers as the bins that they fall into.

use super::{MapObservation, ObservationMap, array_of, box_of};
use crate::{Env, EnvError, Space, Value, wrappers::bins::Bins};

/// Shows which bins the numbers of a `Box` fall into.
#[derive(Clone, Debug)]
pub struct Discretize {
    bins: Bins,
}

/// An environment whose observations are the bins that the numbers fall into.
///
/// It makes continuous problems ones for tables.
pub type DiscretizeObservation<E> = MapObservation<E, Discretize>;

impl<E: Env> DiscretizeObservation<E> {
    /// Cuts the range of each number into equal bins, and shows one choice for all: `Discrete`.
    ///
    /// `counts`: the bins of each number, or one count for all. The first number is the most significant.
    ///
    /// # Errors
    /// Observations that are no `Box` with finite bounds, or another number of counts.
    pub fn new(inner: E, counts: &[usize]) -> Result<DiscretizeObservation<E>, EnvError> {
        let from = box_of(inner.observation_space(), "DiscretizeObservation")?;
        let bins = Bins::new(from, counts)?;
        Ok(MapObservation {
            inner,
            map: Discretize { bins },
        })
    }

    /// Shows a choice for each number: `MultiDiscrete`.
    pub fn multi_discrete(mut self) -> DiscretizeObservation<E> {
        self.map.bins.is_multi = true;
        self
    }
}

impl ObservationMap for Discretize {
    const NAME: &'static str = "discretize";

    fn space(&self) -> Space {
        self.bins.space()
    }

    fn map(&mut self, observation: Value) -> Result<Value, EnvError> {
        let numbers = array_of(&observation)?;
        let indices = (0..numbers.len()).map(|at| self.bins.index(at, numbers.get(at)));
        Ok(self.bins.value(&indices.collect::<Vec<_>>()))
    }
}
