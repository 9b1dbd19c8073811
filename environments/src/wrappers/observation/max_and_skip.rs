//! Every few frames only, against flicker.

use super::{array_of, box_of, refused};
use crate::{
    Array, ArrayData, Env, EnvError, Info, Observation as _, Options, Space, Step, Value,
    dynamic::forward,
};

/// An environment whose steps are several of the inner one's with the same action.
///
/// It shows the greater of the last two observations, number by number: some games draw things in every second
/// frame only (Mnih et al. 2015). Rewards are added up; a step ends with the episode, and then fewer frames count.
#[derive(Clone, Debug)]
pub struct MaxAndSkipObservation<E> {
    inner: E,
    skip: u32,
}

impl<E: Env> MaxAndSkipObservation<E> {
    /// Does each action `skip` times.
    ///
    /// # Errors
    /// Observations that are no `Box`, or a `skip` below 2.
    pub fn new(inner: E, skip: u32) -> Result<MaxAndSkipObservation<E>, EnvError> {
        box_of(inner.observation_space(), "MaxAndSkipObservation")?;
        match skip {
            0 | 1 => Err(refused("MaxAndSkipObservation", "two steps or more")),
            _ => Ok(MaxAndSkipObservation { inner, skip }),
        }
    }
}

impl<E: Env> Env for MaxAndSkipObservation<E> {
    type Observation = Value;
    type Action = E::Action;

    forward!(inner: state, limit, attributes);

    fn observation_space(&self) -> Space {
        self.inner.observation_space()
    }

    fn action_space(&self) -> Space {
        self.inner.action_space()
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options) -> Result<(Value, Info), EnvError> {
        let (observation, info) = self.inner.reset(seed, options)?;
        Ok((observation.to_value(), info))
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<Value>, EnvError> {
        let (mut step, mut reward) = (self.inner.step(action)?, 0.0);
        let mut before = None;
        for _ in 1..self.skip {
            if step.terminated || step.truncated {
                break;
            }
            reward += step.reward;
            before = Some(step.observation.to_value());
            step = self.inner.step(action)?;
        }
        step.reward += reward;
        let mut shown = step.observation.to_value();
        if let Some(before) = before {
            shown = greater(array_of(&before)?, array_of(&shown)?)?;
        }
        Ok(step.map(|_| shown))
    }
}

/// Returns the greater number at each place.
fn greater(a: &Array, b: &Array) -> Result<Value, EnvError> {
    if a.shape() != b.shape() {
        return Err(EnvError::Broken("its observations change shape".into()));
    }
    let data = match (a.data(), b.data()) {
        (ArrayData::U8(a), ArrayData::U8(b)) => {
            ArrayData::U8(a.iter().zip(b).map(|(a, b)| *a.max(b)).collect())
        }
        _ => {
            let numbers = (0..a.len()).map(|at| a.get(at).max(b.get(at)));
            ArrayData::from_f64(b.dtype(), numbers)
        }
    };
    let array = Array::new(b.shape(), data);
    Ok(array.expect("as many numbers as before").into())
}
