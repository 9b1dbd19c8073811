//! Refuses a step before the first reset.

use crate::{
    Env, EnvError, Frame, Info, Metadata, Options, Outcome, RenderMode, State, Step, rng::Rng,
};

/// An environment whose `step` and `render` are errors until `reset` or `set_state` was called.
#[derive(Clone, Debug)]
pub struct OrderEnforcing<E> {
    inner: E,
    has_reset: bool,
}

impl<E: Env> OrderEnforcing<E> {
    /// Returns an environment that insists on the order of calls.
    pub fn new(inner: E) -> OrderEnforcing<E> {
        OrderEnforcing {
            inner,
            has_reset: false,
        }
    }

    fn check(&self) -> Result<(), EnvError> {
        match self.has_reset {
            true => Ok(()),
            false => Err(EnvError::ResetNeeded),
        }
    }
}

impl<E: Env> Env for OrderEnforcing<E> {
    type Observation = E::Observation;
    type Action = E::Action;

    crate::dynamic::forward!(inner: spaces, limit);

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<(E::Observation, Info), EnvError> {
        let first = self.inner.reset(seed, options)?;
        self.has_reset = true;
        Ok(first)
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>, EnvError> {
        self.check()?;
        self.inner.step(action)
    }

    fn reset_into(
        &mut self,
        seed: Option<u64>,
        options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        self.inner.reset_into(seed, options, row)?;
        self.has_reset = true;
        Ok(())
    }

    fn step_into(&mut self, action: &E::Action, row: &mut [f32]) -> Result<Outcome, EnvError> {
        self.check()?;
        self.inner.step_into(action, row)
    }

    fn state(&self) -> State {
        self.inner.state()
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        self.inner.set_state(state)?;
        self.has_reset = true;
        Ok(())
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        self.check()?;
        self.inner.render(mode)
    }

    fn action_mask(&self, mask: &mut [bool]) -> bool {
        self.inner.action_mask(mask)
    }

    fn metadata(&self) -> Metadata {
        self.inner.metadata()
    }

    fn render_mode(&self) -> Option<RenderMode> {
        self.inner.render_mode()
    }

    fn spec(&self) -> Option<&crate::EnvSpec> {
        self.inner.spec()
    }

    fn rng_mut(&mut self) -> Option<&mut Rng> {
        self.inner.rng_mut()
    }
}
