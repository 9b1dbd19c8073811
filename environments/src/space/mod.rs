//! The sets that observations and actions are in.

use std::fmt;

use crate::rng::Rng;

/// A set of values.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Space {
    /// Numbers within bounds.
    Box(BoxSpace),
    /// Whole numbers `start..start + n`.
    Discrete(Discrete),
}

/// An array of numbers, each within its bounds; infinite bounds are none.
#[derive(Clone, Debug, PartialEq)]
pub struct BoxSpace {
    /// The least value of each element.
    pub low: Vec<f32>,
    /// The greatest value of each element.
    pub high: Vec<f32>,
    /// The array's shape; its product is the length of the bounds.
    pub shape: Vec<usize>,
}

/// A choice among `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discrete {
    /// How many there are.
    pub n: i64,
    /// The first.
    pub start: i64,
}

impl BoxSpace {
    /// Returns the space of vectors within these bounds.
    ///
    /// # Panics
    /// When the bounds differ in length, or a low one is above its high one or not a number.
    pub fn new(low: Vec<f32>, high: Vec<f32>) -> BoxSpace {
        assert_eq!(low.len(), high.len(), "each element has two bounds");
        assert!(
            low.iter().zip(&high).all(|(low, high)| low <= high),
            "a low bound is no number or above its high bound"
        );
        let shape = vec![low.len()];
        BoxSpace { low, high, shape }
    }

    /// Returns whether `values` has the length and every element is within its bounds.
    pub fn contains(&self, values: &[f32]) -> bool {
        values.len() == self.low.len()
            && values
                .iter()
                .zip(self.low.iter().zip(&self.high))
                .all(|(value, (low, high))| value >= low && value <= high)
    }

    /// Draws values: uniform within two bounds, exponential beyond one, normal without any.
    pub fn sample(&self, rng: &mut Rng) -> Vec<f32> {
        self.low
            .iter()
            .zip(&self.high)
            .map(|(low, high)| match (low.is_finite(), high.is_finite()) {
                (true, true) => rng.uniform(f64::from(*low), f64::from(*high)) as f32,
                (true, false) => low + rng.exponential() as f32,
                (false, true) => high - rng.exponential() as f32,
                (false, false) => rng.normal() as f32,
            })
            .collect()
    }
}

impl Discrete {
    /// Returns the choice among `n`, from 0.
    ///
    /// # Panics
    /// When `n` is not positive.
    pub fn new(n: i64) -> Discrete {
        assert!(n > 0, "a choice needs something to choose");
        Discrete { n, start: 0 }
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
}

impl Space {
    /// Returns how many numbers a value has when it is written flat.
    pub fn flat_len(&self) -> usize {
        match self {
            Space::Box(space) => space.low.len(),
            Space::Discrete(_) => 1,
        }
    }

    /// Returns the choice, if it is one.
    pub fn as_discrete(&self) -> Option<Discrete> {
        match self {
            Space::Discrete(space) => Some(*space),
            Space::Box(_) => None,
        }
    }

    /// Returns the bounds, if it has some.
    pub fn as_box(&self) -> Option<&BoxSpace> {
        match self {
            Space::Box(space) => Some(space),
            Space::Discrete(_) => None,
        }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Space::Box(space) => write!(
                f,
                "Box({:?}, {:?}, {:?})",
                space.low, space.high, space.shape
            ),
            Space::Discrete(space) if space.start == 0 => write!(f, "Discrete({})", space.n),
            Space::Discrete(space) => write!(f, "Discrete({}, start={})", space.n, space.start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_inside_and_equal_for_equal_seeds() {
        let space = BoxSpace::new(
            vec![-1.0, 0.0, f32::NEG_INFINITY, f32::NEG_INFINITY],
            vec![1.0, f32::INFINITY, 3.0, f32::INFINITY],
        );
        let discrete = Discrete { n: 5, start: -2 };
        let draw = || {
            let mut rng = Rng::new(3);
            (0..1000)
                .map(|_| (space.sample(&mut rng), discrete.sample(&mut rng)))
                .collect::<Vec<_>>()
        };
        let first = draw();
        assert!(
            first
                .iter()
                .all(|(values, choice)| space.contains(values) && discrete.contains(*choice))
        );
        assert!((-2..3).all(|choice| first.iter().any(|(_, drawn)| *drawn == choice)));
        assert_eq!(first, draw());
    }

    #[test]
    fn a_mask_is_obeyed() {
        let mut rng = Rng::new(1);
        for _ in 0..100 {
            let drawn = Discrete::new(4).sample_masked(&[false, true, false, true], &mut rng);
            assert!(drawn == 1 || drawn == 3);
        }
        assert_eq!(Discrete::new(4).sample_masked(&[false; 4], &mut rng), 0);
    }

    #[test]
    fn what_is_outside_is_refused() {
        let space = BoxSpace::new(vec![0.0], vec![1.0]);
        assert!(
            !space.contains(&[1.1]) && !space.contains(&[f32::NAN]) && !space.contains(&[0.5, 0.5])
        );
        assert!(!Discrete::new(2).contains(2) && !Discrete::new(2).contains(-1));
    }
}
