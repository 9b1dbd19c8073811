//! Each action several times.

use crate::{Env, EnvError, Info, Options, Outcome, Step, dynamic::forward};

/// An environment whose steps are several of the inner one's with the same action.
///
/// Rewards are added up; what else there is comes from the last. A step ends with the episode.
#[derive(Clone, Debug)]
pub struct RepeatAction<E> {
    inner: E,
    count: u32,
}

impl<E: Env> RepeatAction<E> {
    /// Does each action `count` times.
    ///
    /// # Errors
    /// A count of 0.
    pub fn new(inner: E, count: u32) -> Result<RepeatAction<E>, EnvError> {
        match count {
            0 => Err(EnvError::NotSupported(
                "`RepeatAction` needs to do an action once or more".into(),
            )),
            _ => Ok(RepeatAction { inner, count }),
        }
    }
}

impl<E: Env> Env for RepeatAction<E> {
    type Observation = E::Observation;
    type Action = E::Action;

    forward!(inner: spaces, state, limit, attributes);

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<(E::Observation, Info), EnvError> {
        self.inner.reset(seed, options)
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>, EnvError> {
        let (mut step, mut reward) = (self.inner.step(action)?, 0.0);
        for _ in 1..self.count {
            if step.terminated || step.truncated {
                break;
            }
            reward += step.reward;
            step = self.inner.step(action)?;
        }
        step.reward += reward;
        Ok(step)
    }

    fn reset_into(
        &mut self,
        seed: Option<u64>,
        options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        self.inner.reset_into(seed, options, row)
    }

    fn step_into(&mut self, action: &E::Action, row: &mut [f32]) -> Result<Outcome, EnvError> {
        let (mut outcome, mut reward) = (self.inner.step_into(action, row)?, 0.0);
        for _ in 1..self.count {
            if outcome.terminated || outcome.truncated {
                break;
            }
            reward += outcome.reward;
            outcome = self.inner.step_into(action, row)?;
        }
        outcome.reward += reward;
        Ok(outcome)
    }
}
