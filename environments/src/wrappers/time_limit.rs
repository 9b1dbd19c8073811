//! Cuts episodes after a number of steps.

use crate::{Env, EnvError, Info, Options, Outcome, State, Step, dynamic::forward};

/// An environment whose episodes are truncated after `limit` steps, unless the task has ended before.
///
/// Both flags are set when the task ends with the last step. `make` applies it by the spec; vector environments
/// count by themselves and do without it.
#[derive(Clone, Debug)]
pub struct TimeLimit<E> {
    inner: E,
    limit: u32,
    elapsed: u32,
}

impl<E: Env> TimeLimit<E> {
    /// Returns an environment whose episodes have `limit` steps at most.
    ///
    /// # Panics
    /// When `limit` is 0.
    pub fn new(inner: E, limit: u32) -> TimeLimit<E> {
        assert!(limit > 0, "an episode has a step");
        TimeLimit {
            inner,
            limit,
            elapsed: 0,
        }
    }

    /// Counts a step; returns whether it was the last.
    fn count(&mut self) -> bool {
        self.elapsed = self.elapsed.saturating_add(1);
        self.elapsed >= self.limit
    }
}

impl<E: Env> Env for TimeLimit<E> {
    type Observation = E::Observation;
    type Action = E::Action;

    forward!(inner: spaces, attributes);

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<(E::Observation, Info), EnvError> {
        let first = self.inner.reset(seed, options)?;
        self.elapsed = 0;
        Ok(first)
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>, EnvError> {
        let mut step = self.inner.step(action)?;
        step.truncated |= self.count();
        Ok(step)
    }

    fn reset_into(
        &mut self,
        seed: Option<u64>,
        options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        self.inner.reset_into(seed, options, row)?;
        self.elapsed = 0;
        Ok(())
    }

    fn step_into(&mut self, action: &E::Action, row: &mut [f32]) -> Result<Outcome, EnvError> {
        let mut outcome = self.inner.step_into(action, row)?;
        outcome.truncated |= self.count();
        Ok(outcome)
    }

    fn state(&self) -> State {
        State {
            elapsed: u64::from(self.elapsed),
            ..self.inner.state()
        }
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        let elapsed = u32::try_from(state.elapsed)
            .map_err(|error| EnvError::InvalidState(error.to_string()))?;
        self.inner.set_state(state)?;
        self.elapsed = elapsed;
        Ok(())
    }

    fn max_episode_steps(&self) -> Option<u32> {
        Some(self.limit)
    }
}
