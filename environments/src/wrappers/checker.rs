//! Watches the first calls of an environment for broken promises.

use crate::{
    Env, EnvError, Info, Observation as _, Options, Outcome, Step,
    dynamic::forward,
    registry::{Warning, warn},
};

/// An environment whose first reset, step and observation are checked against its spaces.
///
/// What is wrong is told as a [`Warning`]; nothing is changed or refused, and later calls cost
/// nothing unless [`PassiveEnvChecker::every_step`] asks for them.
#[derive(Clone, Debug)]
pub struct PassiveEnvChecker<E> {
    inner: E,
    is_reset_checked: bool,
    is_step_checked: bool,
    checks_all: bool,
}

impl<E: Env> PassiveEnvChecker<E> {
    /// Returns an environment that is watched.
    pub fn new(inner: E) -> PassiveEnvChecker<E> {
        PassiveEnvChecker {
            inner,
            is_reset_checked: false,
            is_step_checked: false,
            checks_all: false,
        }
    }

    /// Checks every reset and step, and not only the first.
    pub fn every_step(mut self) -> PassiveEnvChecker<E> {
        self.checks_all = true;
        self
    }

    fn suspect(&self, problem: String) {
        let id = match self.inner.spec() {
            Some(spec) => spec.id().to_string(),
            None => std::any::type_name::<E>().to_owned(),
        };
        warn(Warning::Suspicious { id, problem });
    }

    fn check_observation(&self, observation: &E::Observation, call: &str) {
        let space = self.inner.observation_space();
        let value = observation.to_value();
        if !space.contains(&value) {
            self.suspect(format!(
                "the observation of `{call}` is not in {space}: {value:?}"
            ));
        }
    }
}

impl<E: Env> Env for PassiveEnvChecker<E> {
    type Observation = E::Observation;
    type Action = E::Action;

    forward!(inner: spaces, state, limit, attributes);

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<(E::Observation, Info), EnvError> {
        let first = self.inner.reset(seed, options)?;
        if self.checks_all || !self.is_reset_checked {
            self.is_reset_checked = true;
            self.check_observation(&first.0, "reset");
        }
        Ok(first)
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>, EnvError> {
        let step = self.inner.step(action)?;
        if self.checks_all || !self.is_step_checked {
            self.is_step_checked = true;
            self.check_observation(&step.observation, "step");
            if !step.reward.is_finite() {
                self.suspect(format!("the reward of `step` is {}", step.reward));
            }
        }
        Ok(step)
    }

    fn reset_into(
        &mut self,
        seed: Option<u64>,
        options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        if !self.checks_all {
            return self.inner.reset_into(seed, options, row);
        }
        let (observation, _) = self.reset(seed, options)?;
        observation.write(row);
        Ok(())
    }

    fn step_into(&mut self, action: &E::Action, row: &mut [f32]) -> Result<Outcome, EnvError> {
        if !self.checks_all {
            return self.inner.step_into(action, row);
        }
        let step = self.step(action)?;
        step.observation.write(row);
        Ok(Outcome {
            reward: step.reward,
            terminated: step.terminated,
            truncated: step.truncated,
        })
    }
}
