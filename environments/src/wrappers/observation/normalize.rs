//! Observations scaled by what was seen so far.

use super::{MapObservation, ObservationMap, array_of, box_of};
use crate::{
    Array, ArrayData, BoxSpace, Dtype, Env, EnvError, Space, Value, vector::RunningMeanStd,
};

/// Shows how far each number is from its mean so far, in deviations.
#[derive(Clone, Debug)]
pub struct Normalize {
    shape: Vec<usize>,
    /// What was seen.
    pub statistics: RunningMeanStd,
    /// Whether further observations count.
    pub is_learning: bool,
}

/// An environment whose observations have mean 0 and variance 1, by what was seen so far.
///
/// It shows `(observation - mean) / sqrt(variance + 1e-8)`, where mean and variance count the observation itself. The
/// statistics go with the state.
pub type NormalizeObservation<E> = MapObservation<E, Normalize>;

impl<E: Env> NormalizeObservation<E> {
    /// Scales the numbers of a `Box`.
    ///
    /// # Errors
    /// Observations that are no `Box`.
    pub fn new(inner: E) -> Result<NormalizeObservation<E>, EnvError> {
        let from = box_of(inner.observation_space(), "NormalizeObservation")?;
        let map = Normalize {
            statistics: RunningMeanStd::new(from.len()),
            shape: from.shape,
            is_learning: true,
        };
        Ok(MapObservation { inner, map })
    }
}

impl ObservationMap for Normalize {
    const NAME: &'static str = "normalize_observation";

    fn space(&self) -> Space {
        BoxSpace::of_dtype(&self.shape, Dtype::F32).into()
    }

    fn map(&mut self, observation: Value) -> Result<Value, EnvError> {
        let numbers = array_of(&observation)?.to_f64();
        if numbers.len() != self.statistics.mean.len() {
            return Err(EnvError::Broken(format!("it shows {observation:?}")));
        }
        if self.is_learning {
            self.statistics.update(1, |_, at| numbers[at]);
        }
        let both = self.statistics.mean.iter().zip(&self.statistics.var);
        let scaled = numbers.iter().zip(both);
        let scaled = scaled.map(|(number, (mean, var))| (number - mean) / (var + EPSILON).sqrt());
        let data = ArrayData::from_f64(Dtype::F32, scaled);
        let array = Array::new(self.shape.clone(), data);
        Ok(array.expect("as many numbers as the space has").into())
    }

    fn save(&self) -> Option<Value> {
        Some(statistics_value(&self.statistics))
    }

    fn load(&mut self, saved: &Value) -> bool {
        let found = statistics_of(saved, self.statistics.mean.len());
        found.map(|found| self.statistics = found).is_some()
    }
}

/// Returns statistics as a value.
pub(in crate::wrappers) fn statistics_value(statistics: &RunningMeanStd) -> Value {
    Value::List(vec![
        Array::from(statistics.mean.clone()).into(),
        Array::from(statistics.var.clone()).into(),
        Value::Float(statistics.count),
    ])
}

/// Returns the statistics of `d` numbers that [`statistics_value`] made a value of.
pub(in crate::wrappers) fn statistics_of(saved: &Value, d: usize) -> Option<RunningMeanStd> {
    let [mean, var, count] = saved.as_list()? else {
        return None;
    };
    let (mean, var) = (mean.as_array()?.to_f64(), var.as_array()?.to_f64());
    let count = count.as_float()?;
    (mean.len() == d && var.len() == d).then_some(RunningMeanStd { mean, var, count })
}

const EPSILON: f64 = 1e-8;
