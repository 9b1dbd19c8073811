//! The same numbers within other bounds, of another type, or in another shape.

use super::{MapObservation, ObservationMap, array_of, box_of, refused};
use crate::{Array, ArrayData, BoxSpace, Dtype, Env, EnvError, Space, Value};

/// Shows each number after one operation, in a shape and of a type.
#[derive(Clone, Debug)]
pub struct Convert<K> {
    space: BoxSpace,
    operation: K,
}

/// What is done with each number.
pub trait Operation: Send {
    /// The operation's name.
    const NAME: &'static str;

    /// Returns what becomes of a number, which is at this place of the flat array.
    fn apply(&self, at: usize, number: f64) -> f64;
}

impl<K: Operation> ObservationMap for Convert<K> {
    const NAME: &'static str = K::NAME;

    fn space(&self) -> Space {
        self.space.clone().into()
    }

    fn map(&mut self, observation: Value) -> Result<Value, EnvError> {
        let numbers = match &observation {
            Value::Int(value) => vec![*value as f64],
            other => array_of(other)?.to_f64(),
        };
        let numbers = numbers.into_iter().enumerate();
        let numbers = numbers.map(|(at, number)| self.operation.apply(at, number));
        let data = ArrayData::from_f64(self.space.dtype, numbers);
        let shown = Array::new(self.space.shape.clone(), data);
        shown
            .map(Value::Array)
            .ok_or_else(|| EnvError::Broken(format!("it shows {observation:?}, of another shape")))
    }
}

/// Leaves a number as it is.
#[derive(Clone, Copy, Debug)]
pub struct Keep;

impl Operation for Keep {
    const NAME: &'static str = "keep";

    fn apply(&self, _: usize, number: f64) -> f64 {
        number
    }
}

/// Moves a number within bounds.
#[derive(Clone, Copy, Debug)]
pub struct Clip {
    low: f64,
    high: f64,
}

impl Operation for Clip {
    const NAME: &'static str = "clip";

    fn apply(&self, _: usize, number: f64) -> f64 {
        number.clamp(self.low, self.high)
    }
}

/// Maps the bounds of each number to others, and what is between them in proportion.
#[derive(Clone, Debug)]
pub struct Rescale {
    from: BoxSpace,
    low: f64,
    high: f64,
}

impl Operation for Rescale {
    const NAME: &'static str = "rescale";

    fn apply(&self, at: usize, number: f64) -> f64 {
        crate::wrappers::rescaled(number, self.from.bounds(at), (self.low, self.high))
    }
}

/// An environment whose observations are moved within bounds.
pub type ClipObservation<E> = MapObservation<E, Convert<Clip>>;

impl<E: Env> ClipObservation<E> {
    /// Moves every number of a `Box` into `low..=high`.
    ///
    /// # Errors
    /// Observations that are no `Box`, or bounds that are no numbers or the wrong way round.
    pub fn new(inner: E, low: f64, high: f64) -> Result<ClipObservation<E>, EnvError> {
        let from = box_of(inner.observation_space(), "ClipObservation")?;
        check_bounds("ClipObservation", low, high)?;
        let bounds = (0..from.len()).map(|at| from.bounds(at));
        let (least, greatest) = bounds
            .map(|(least, greatest)| (least.clamp(low, high), greatest.clamp(low, high)))
            .unzip();
        let space = BoxSpace::with_bounds(least, greatest, &from.shape, from.dtype);
        Ok(mapped(inner, space, Clip { low, high }))
    }
}

/// An environment whose observations are numbers of another type.
pub type DtypeObservation<E> = MapObservation<E, Convert<Keep>>;

impl<E: Env> DtypeObservation<E> {
    /// Shows the numbers as `dtype`; those outside its range become its nearest.
    ///
    /// A `Discrete`, `MultiDiscrete` or `MultiBinary` becomes a `Box`.
    ///
    /// # Errors
    /// Observations of another kind.
    pub fn new(inner: E, dtype: Dtype) -> Result<DtypeObservation<E>, EnvError> {
        let (bounds, shape): (Vec<(f64, f64)>, Vec<usize>) = match inner.observation_space() {
            Space::Box(space) => {
                let bounds = (0..space.len()).map(|at| space.bounds(at));
                (bounds.collect(), space.shape)
            }
            Space::Discrete(choice) => {
                let last = choice.start + choice.n - 1;
                (vec![(choice.start as f64, last as f64)], vec![])
            }
            Space::MultiDiscrete(space) => {
                let bounds = space.choices().map(|choice| {
                    let last = choice.start + choice.n - 1;
                    (choice.start as f64, last as f64)
                });
                (bounds.collect(), space.shape.clone())
            }
            Space::MultiBinary(space) => (vec![(0.0, 1.0); space.len()], space.shape),
            other => {
                return Err(refused(
                    "DtypeObservation",
                    &format!("numbers and not {other}"),
                ));
            }
        };
        let all = BoxSpace::of_dtype(&[], dtype).bounds(0);
        let (low, high) = bounds
            .into_iter()
            .map(|(low, high)| (low.clamp(all.0, all.1), high.clamp(all.0, all.1)))
            .unzip();
        let space = BoxSpace::with_bounds(low, high, &shape, dtype);
        Ok(mapped(inner, space, Keep))
    }
}

/// An environment whose observations have another shape, with the same numbers in the same order.
pub type ReshapeObservation<E> = MapObservation<E, Convert<Reshape>>;

/// Leaves a number as it is, in an array of another shape.
#[derive(Clone, Copy, Debug)]
pub struct Reshape;

impl Operation for Reshape {
    const NAME: &'static str = "reshape";

    fn apply(&self, _: usize, number: f64) -> f64 {
        number
    }
}

impl<E: Env> ReshapeObservation<E> {
    /// Shows the numbers of a `Box` in another shape, in row-major order.
    ///
    /// # Errors
    /// Observations that are no `Box`, or a shape that they do not fill.
    pub fn new(inner: E, shape: &[usize]) -> Result<ReshapeObservation<E>, EnvError> {
        let from = box_of(inner.observation_space(), "ReshapeObservation")?;
        if shape.iter().product::<usize>() != from.len() {
            let needs = format!("a shape of {} numbers and not {shape:?}", from.len());
            return Err(refused("ReshapeObservation", &needs));
        }
        let (low, high) = (0..from.len()).map(|at| from.bounds(at)).unzip();
        let space = BoxSpace::with_bounds(low, high, shape, from.dtype);
        Ok(mapped(inner, space, Reshape))
    }
}

/// An environment whose observations are scaled into other bounds.
pub type RescaleObservation<E> = MapObservation<E, Convert<Rescale>>;

impl<E: Env> RescaleObservation<E> {
    /// Maps the bounds of each number of a `Box` to `low` and `high`, and what is between in proportion.
    ///
    /// # Errors
    /// Observations that are no `Box` with finite bounds, or bounds that are infinite or the wrong way round.
    pub fn new(inner: E, low: f64, high: f64) -> Result<RescaleObservation<E>, EnvError> {
        let from = box_of(inner.observation_space(), "RescaleObservation")?;
        check_bounds("RescaleObservation", low, high)?;
        if !(from.is_bounded() && low.is_finite() && high.is_finite()) {
            return Err(refused("RescaleObservation", "finite bounds"));
        }
        let space = BoxSpace::uniform(low, high, &from.shape, from.dtype);
        Ok(mapped(inner, space, Rescale { from, low, high }))
    }
}

fn mapped<E, K>(inner: E, space: BoxSpace, operation: K) -> MapObservation<E, Convert<K>> {
    let map = Convert { space, operation };
    MapObservation { inner, map }
}

fn check_bounds(wrapper: &str, low: f64, high: f64) -> Result<(), EnvError> {
    match low <= high {
        true => Ok(()),
        false => Err(refused(wrapper, "a low bound that is not above the high")),
    }
}
