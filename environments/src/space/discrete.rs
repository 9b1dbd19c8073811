//! Choices: one, several, and zeros and ones.

use std::fmt;

use super::print;
use crate::{Dtype, Value, rng::Rng};

/// A choice among `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discrete {
    /// How many there are.
    pub n: i64,
    /// The first.
    pub start: i64,
}

/// Several choices, in an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiDiscrete {
    /// How many each element has to choose from.
    pub nvec: Vec<i64>,
    /// The first of each.
    pub start: Vec<i64>,
    /// The array's shape; its product is the length of `nvec`.
    pub shape: Vec<usize>,
}

/// Arrays of zeros and ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiBinary {
    /// The array's shape.
    pub shape: Vec<usize>,
}

impl Discrete {
    /// Returns the choice among `n`, from 0.
    ///
    /// # Panics
    /// When `n` is not positive.
    pub fn new(n: i64) -> Discrete {
        Discrete::starting_at(n, 0)
    }

    /// Returns the choice among `n`, from `start`.
    ///
    /// # Panics
    /// When `n` is not positive.
    pub fn starting_at(n: i64, start: i64) -> Discrete {
        assert!(n > 0, "a choice needs something to choose");
        Discrete { n, start }
    }

    /// Returns whether `value` is one of them.
    pub fn contains(&self, value: i64) -> bool {
        (self.start..self.start + self.n).contains(&value)
    }

    /// Draws one, each as likely.
    pub fn sample(&self, rng: &mut Rng) -> i64 {
        self.start + rng.below(self.n as u64) as i64
    }

    /// Draws one of those that `mask` allows; the first when it allows none.
    pub fn sample_masked(&self, mask: &[bool], rng: &mut Rng) -> i64 {
        let allowed = mask.iter().filter(|allowed| **allowed).count();
        if allowed == 0 {
            return self.start;
        }
        let chosen = rng.below(allowed as u64) as usize;
        let position = mask
            .iter()
            .enumerate()
            .filter(|(_, allowed)| **allowed)
            .nth(chosen)
            .map_or(0, |(at, _)| at);
        self.start + position as i64
    }

    /// Draws one with these probabilities, which add up to 1.
    pub fn sample_weighted(&self, probability: &[f64], rng: &mut Rng) -> i64 {
        let mut left = rng.unit();
        let position = probability
            .iter()
            .position(|probability| {
                left -= probability;
                left < 0.0
            })
            // Rounding may leave a last bit: it belongs to the last one that can be.
            .or_else(|| {
                probability
                    .iter()
                    .rposition(|probability| *probability > 0.0)
            })
            .unwrap_or(0);
        self.start + position as i64
    }
}

impl MultiDiscrete {
    /// Returns the choices of a vector, each from 0.
    ///
    /// # Panics
    /// When an element has nothing to choose.
    pub fn new(nvec: Vec<i64>) -> MultiDiscrete {
        let start = vec![0; nvec.len()];
        let shape = [nvec.len()];
        MultiDiscrete::with_shape(nvec, start, &shape)
    }

    /// Returns the choices of an array of any shape, each from its own start.
    ///
    /// # Panics
    /// When an element has nothing to choose, or the lengths differ.
    pub fn with_shape(nvec: Vec<i64>, start: Vec<i64>, shape: &[usize]) -> MultiDiscrete {
        assert!(
            nvec.iter().all(|n| *n > 0),
            "a choice needs something to choose"
        );
        assert_eq!(nvec.len(), start.len(), "each choice has a start");
        assert_eq!(
            nvec.len(),
            shape.iter().product::<usize>(),
            "the choices fill the shape"
        );
        MultiDiscrete {
            nvec,
            start,
            shape: shape.to_vec(),
        }
    }

    /// Returns the choice of each element.
    pub fn choices(&self) -> impl Iterator<Item = Discrete> + '_ {
        let both = self.nvec.iter().zip(&self.start);
        both.map(|(n, start)| Discrete {
            n: *n,
            start: *start,
        })
    }

    pub(super) fn contains_value(&self, value: &Value) -> bool {
        value.as_array().is_some_and(|array| {
            !array.dtype().is_float()
                && array.shape() == self.shape
                && self
                    .choices()
                    .enumerate()
                    .all(|(at, choice)| choice.contains(array.get(at) as i64))
        })
    }
}

impl MultiBinary {
    /// Returns the arrays of a shape.
    pub fn new(shape: impl Into<Vec<usize>>) -> MultiBinary {
        MultiBinary {
            shape: shape.into(),
        }
    }

    /// Returns how many elements an array has.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns whether an array has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn contains_value(&self, value: &Value) -> bool {
        value.as_array().is_some_and(|array| {
            array.shape() == self.shape
                && (0..array.len()).all(|at| array.get(at) == 0.0 || array.get(at) == 1.0)
        })
    }
}

impl fmt::Display for Discrete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start {
            0 => write!(f, "Discrete({})", self.n),
            start => write!(f, "Discrete({}, start={start})", self.n),
        }
    }
}

impl fmt::Display for MultiDiscrete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let array = |numbers: &[i64]| {
            let numbers = numbers.iter().map(|number| *number as f64);
            print::array(&numbers.collect::<Vec<_>>(), &self.shape, Dtype::I64)
        };
        write!(f, "MultiDiscrete({}", array(&self.nvec))?;
        if self.start.iter().any(|start| *start != 0) {
            write!(f, ", start={}", array(&self.start))?;
        }
        write!(f, ")")
    }
}

impl fmt::Display for MultiBinary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shape[..] {
            [n] => write!(f, "MultiBinary({n})"),
            _ => {
                let sizes = self.shape.iter().map(ToString::to_string);
                write!(f, "MultiBinary(({}))", sizes.collect::<Vec<_>>().join(", "))
            }
        }
    }
}
