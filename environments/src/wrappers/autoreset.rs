//! Resets by itself after an episode.

use super::saved;
use crate::{Env, EnvError, Info, Options, Outcome, State, Step, Value, dynamic::forward};

/// An environment that is reset by the step after an episode's end.
///
/// That step ignores its action, earns 0, sets no flag and shows the new episode's first observation, as
/// [`AutoresetMode::NextStep`](crate::vector::AutoresetMode) does. Mask it in learning. Put it around everything
/// else: what is outside does not see the reset.
#[derive(Clone, Debug)]
pub struct Autoreset<E> {
    inner: E,
    has_ended: bool,
}

impl<E: Env> Autoreset<E> {
    /// Returns an environment that goes on for ever.
    pub fn new(inner: E) -> Autoreset<E> {
        Autoreset {
            inner,
            has_ended: false,
        }
    }
}

impl<E: Env> Env for Autoreset<E> {
    type Observation = E::Observation;
    type Action = E::Action;

    forward!(inner: spaces, limit, attributes);

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<(E::Observation, Info), EnvError> {
        let first = self.inner.reset(seed, options)?;
        self.has_ended = false;
        Ok(first)
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>, EnvError> {
        if self.has_ended {
            let (observation, info) = self.reset(None, &Options::new())?;
            return Ok(Step {
                observation,
                reward: 0.0,
                terminated: false,
                truncated: false,
                info,
            });
        }
        let step = self.inner.step(action)?;
        self.has_ended = step.terminated || step.truncated;
        Ok(step)
    }

    fn reset_into(
        &mut self,
        seed: Option<u64>,
        options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        self.inner.reset_into(seed, options, row)?;
        self.has_ended = false;
        Ok(())
    }

    fn step_into(&mut self, action: &E::Action, row: &mut [f32]) -> Result<Outcome, EnvError> {
        if self.has_ended {
            self.reset_into(None, &Options::new(), row)?;
            return Ok(Outcome::default());
        }
        let outcome = self.inner.step_into(action, row)?;
        self.has_ended = outcome.terminated || outcome.truncated;
        Ok(outcome)
    }

    fn state(&self) -> State {
        let mut state = self.inner.state();
        saved::put(&mut state, NAME, Value::Bool(self.has_ended));
        state
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        let mut rest = state.clone();
        let saved = saved::take(&mut rest, NAME)?.as_bool();
        let has_ended = saved.ok_or_else(|| saved::missing(NAME))?;
        self.inner.set_state(&rest)?;
        self.has_ended = has_ended;
        Ok(())
    }
}

const NAME: &str = "autoreset";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wrappers::scripted::Scripted;

    #[test]
    fn the_step_after_an_end_only_resets() {
        let mut env = Autoreset::new(Scripted::paying(&[1.0, 2.0]));
        env.reset(None, &Options::new()).expect("a reset");
        let steps = [(); 5].map(|()| {
            let step = env.step(&Value::Int(0)).expect("a step");
            (step.reward, step.terminated)
        });
        let expected = [
            (1.0, false),
            (2.0, true),
            (0.0, false),
            (1.0, false),
            (2.0, true),
        ];
        assert_eq!(steps, expected);
        let mut again = Autoreset::new(Scripted::paying(&[1.0, 2.0]));
        again.set_state(&env.state()).expect("its state");
        assert_eq!(again.step(&Value::Int(0)).expect("a reset").reward, 0.0);
    }
}
