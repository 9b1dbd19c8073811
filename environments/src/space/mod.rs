//! The sets that observations and actions are in.
//!
//! A space is plain data: it compares, prints and prints as JSON, and draws from whatever [`Rng`] it is
//! given. A [`SpaceSampler`] adds Gymnasium's own generator per space.

mod batch;
mod boxes;
mod discrete;
mod flatten;
pub(crate) mod json;
mod nested;
mod print;
mod sample;
mod text;

use std::fmt;

pub use boxes::BoxSpace;
pub use discrete::{Discrete, MultiBinary, MultiDiscrete};
pub use nested::{Dict, GraphSpace, OneOf, Sequence, Tuple};
pub use sample::{Mask, Seed, SpaceSampler};
pub use text::TextSpace;

use crate::{Value, rng::Rng};

/// A set of values.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Space {
    /// Numbers within bounds.
    Box(BoxSpace),
    /// Whole numbers `start..start + n`.
    Discrete(Discrete),
    /// Several whole numbers, each of its own range.
    MultiDiscrete(MultiDiscrete),
    /// An array of zeros and ones.
    MultiBinary(MultiBinary),
    /// Texts of bounded length over a set of letters.
    Text(TextSpace),
    /// One value of each of several named spaces.
    Dict(Dict),
    /// One value of each of several spaces.
    Tuple(Tuple),
    /// Any number of values of one space.
    Sequence(Sequence),
    /// Graphs with values at nodes and edges.
    Graph(GraphSpace),
    /// One value of one of several spaces.
    OneOf(OneOf),
}

/// What a space does not do, or not with what it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// The mask has another form than the space's; look at [`Mask`].
    #[error("the mask does not fit {space}: {reason}")]
    InvalidMask {
        /// The space.
        space: String,
        /// What is wrong.
        reason: String,
    },
    /// The value is not a member of the space.
    #[error("the value is not in {0}")]
    NotContained(String),
    /// Members of the space have no fixed number of numbers.
    #[error("members of {0} have no fixed length")]
    NoFixedLength(String),
    /// The text is not a space, or not a member of it.
    #[error("not read from JSON: {0}")]
    Json(String),
}

impl Space {
    /// Returns whether `value` is a member.
    pub fn contains(&self, value: &Value) -> bool {
        match self {
            Space::Box(space) => space.contains_value(value),
            Space::Discrete(space) => value.as_int().is_some_and(|value| space.contains(value)),
            Space::MultiDiscrete(space) => space.contains_value(value),
            Space::MultiBinary(space) => space.contains_value(value),
            Space::Text(space) => value.as_text().is_some_and(|text| space.contains(text)),
            Space::Dict(space) => space.contains(value),
            Space::Tuple(space) => space.contains(value),
            Space::Sequence(space) => space.contains(value),
            Space::Graph(space) => space.contains(value),
            Space::OneOf(space) => space.contains(value),
        }
    }

    /// Draws a member.
    pub fn sample(&self, rng: &mut Rng) -> Value {
        sample::draw(self, &mut sample::Source::One(rng), &Mask::Any)
            .expect("every space takes the mask that allows all")
    }

    /// Draws one of the members that `mask` allows, with the probabilities that it gives.
    ///
    /// # Errors
    /// A mask of another form.
    pub fn sample_masked(&self, mask: &Mask, rng: &mut Rng) -> Result<Value, SpaceError> {
        sample::draw(self, &mut sample::Source::One(rng), mask)
    }

    /// Returns how many numbers a value has in a row of a batch; 0 where that differs by value.
    ///
    /// A choice is one number here, where [`Space::flatdim`] counts its one-hot form.
    pub fn flat_len(&self) -> usize {
        match self {
            Space::Box(space) => space.low.len(),
            Space::Discrete(_) => 1,
            Space::MultiDiscrete(space) => space.nvec.len(),
            Space::MultiBinary(space) => space.len(),
            Space::Text(space) => space.max_length,
            Space::Dict(space) => sum(space.iter().map(|(_, space)| space)),
            Space::Tuple(space) => sum(&space.spaces),
            Space::Sequence(_) | Space::Graph(_) | Space::OneOf(_) => 0,
        }
    }

    /// Returns a `Box` with the same bounds for all elements, none wider than it had; other spaces stay.
    ///
    /// # Panics
    /// When `low` is above `high` or one is not a number.
    pub fn narrowed(self, low: Option<f64>, high: Option<f64>) -> Space {
        let Space::Box(space) = self else {
            return self;
        };
        let bounds = (0..space.len()).map(|at| {
            let (least, greatest) = space.bounds(at);
            (
                low.map_or(least, |low| low.max(least)),
                high.map_or(greatest, |high| high.min(greatest)),
            )
        });
        let (low, high) = bounds.unzip();
        Space::Box(BoxSpace::with_bounds(low, high, &space.shape, space.dtype))
    }

    /// Returns the choice, if it is one.
    pub fn as_discrete(&self) -> Option<Discrete> {
        match self {
            Space::Discrete(space) => Some(*space),
            _ => None,
        }
    }

    /// Returns the bounds, if it has some.
    pub fn as_box(&self) -> Option<&BoxSpace> {
        match self {
            Space::Box(space) => Some(space),
            _ => None,
        }
    }
}

/// Adds up lengths of rows; 0 as soon as one has none.
fn sum<'a>(spaces: impl IntoIterator<Item = &'a Space>) -> usize {
    let mut total = 0;
    for space in spaces {
        match space.flat_len() {
            0 => return 0,
            len => total += len,
        }
    }
    total
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Space::Box(space) => space.fmt(f),
            Space::Discrete(space) => space.fmt(f),
            Space::MultiDiscrete(space) => space.fmt(f),
            Space::MultiBinary(space) => space.fmt(f),
            Space::Text(space) => space.fmt(f),
            Space::Dict(space) => space.fmt(f),
            Space::Tuple(space) => space.fmt(f),
            Space::Sequence(space) => space.fmt(f),
            Space::Graph(space) => space.fmt(f),
            Space::OneOf(space) => space.fmt(f),
        }
    }
}

macro_rules! from {
    ($($space:ident, $variant:ident);*) => {$(
        impl From<$space> for Space {
            fn from(space: $space) -> Space {
                Space::$variant(space)
            }
        }
    )*};
}

from! {
    BoxSpace, Box; Discrete, Discrete; MultiDiscrete, MultiDiscrete; MultiBinary, MultiBinary; TextSpace, Text;
    Dict, Dict; Tuple, Tuple; Sequence, Sequence; GraphSpace, Graph; OneOf, OneOf
}
