//! A choice of bins in place of numbers.

use super::{ActionMap, MapAction, array, box_of};
use crate::{Env, EnvError, Space, Value, wrappers::bins::Bins};

/// Does the middles of the bins that an action names.
#[derive(Clone, Debug)]
pub struct Undiscretize {
    bins: Bins,
}

/// An environment of continuous actions that is acted in by choices.
pub type DiscretizeAction<E> = MapAction<E, Undiscretize>;

impl<E: Env> DiscretizeAction<E> {
    /// Cuts the range of each number into equal bins, and takes one choice for all: `Discrete`.
    ///
    /// A choice does the middle of its bin. `counts`: the bins of each number, or one count for all. The first number
    /// is the most significant.
    ///
    /// # Errors
    /// Actions that are no `Box` with finite bounds, or another number of counts.
    pub fn new(inner: E, counts: &[usize]) -> Result<DiscretizeAction<E>, EnvError> {
        let bins = Bins::new(box_of(&inner, "DiscretizeAction")?, counts)?;
        Ok(MapAction {
            inner,
            map: Undiscretize { bins },
        })
    }

    /// Takes a choice for each number: `MultiDiscrete`.
    pub fn multi_discrete(mut self) -> DiscretizeAction<E> {
        self.map.bins.is_multi = true;
        self
    }
}

impl ActionMap for Undiscretize {
    fn space(&self) -> Space {
        self.bins.space()
    }

    fn map(&mut self, action: &Value) -> Option<Value> {
        let centers = self.bins.centers(action)?;
        let to = &self.bins.from;
        array(&to.shape, to.dtype, centers.into_iter())
    }
}
