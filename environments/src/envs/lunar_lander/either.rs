//! The form that an argument chooses: Gymnasium's `continuous` changes the action space of one id.

use super::{LunarLander, LunarLanderConfig, LunarLanderContinuous};
use crate::{
    Action, Env, EnvError, Frame, Info, Kwargs, MakeError, Metadata, Options, RenderMode, Space,
    State, Step, Value, rng::Rng,
};

/// One of the two forms.
#[derive(Clone, Debug)]
pub(super) enum EitherLunarLander {
    Discrete(LunarLander),
    Continuous(LunarLanderContinuous),
}

/// An action of one of the two forms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum EitherAction {
    Choice(i64),
    Throttles([f32; 2]),
}

impl EitherLunarLander {
    /// Makes the form that `continuous` says.
    pub fn make(kwargs: &mut Kwargs) -> Result<EitherLunarLander, MakeError> {
        let is_continuous = kwargs.take_bool("continuous")?.unwrap_or(false);
        let config = LunarLanderConfig::take(kwargs)?;
        Ok(if is_continuous {
            EitherLunarLander::Continuous(LunarLanderContinuous::unlimited(config)?)
        } else {
            EitherLunarLander::Discrete(LunarLander::unlimited(config)?)
        })
    }

    fn mismatch(&self, action: &EitherAction) -> EnvError {
        EnvError::invalid_action(format_args!("{action:?}"), self.action_space())
    }
}

impl Action for EitherAction {
    fn take(row: &mut &[f32]) -> Option<Self> {
        <[f32; 2]>::take(row).map(EitherAction::Throttles)
    }

    fn from_index(index: i64) -> Option<Self> {
        Some(EitherAction::Choice(index))
    }

    fn to_value(&self) -> Value {
        match self {
            EitherAction::Choice(choice) => choice.to_value(),
            EitherAction::Throttles(throttles) => throttles.to_value(),
        }
    }

    fn from_value(value: &Value) -> Option<Self> {
        let throttles = <[f32; 2] as Action>::from_value(value).map(EitherAction::Throttles);
        throttles.or_else(|| <i64 as Action>::from_value(value).map(EitherAction::Choice))
    }
}

impl Env for EitherLunarLander {
    type Observation = [f32; 8];
    type Action = EitherAction;

    fn observation_space(&self) -> Space {
        match self {
            EitherLunarLander::Discrete(env) => env.observation_space(),
            EitherLunarLander::Continuous(env) => env.observation_space(),
        }
    }

    fn action_space(&self) -> Space {
        match self {
            EitherLunarLander::Discrete(env) => env.action_space(),
            EitherLunarLander::Continuous(env) => env.action_space(),
        }
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<([f32; 8], Info), EnvError> {
        match self {
            EitherLunarLander::Discrete(env) => env.reset(seed, options),
            EitherLunarLander::Continuous(env) => env.reset(seed, options),
        }
    }

    fn step(&mut self, action: &EitherAction) -> Result<Step<[f32; 8]>, EnvError> {
        match (&mut *self, action) {
            (EitherLunarLander::Discrete(env), EitherAction::Choice(choice)) => env.step(choice),
            (EitherLunarLander::Continuous(env), EitherAction::Throttles(throttles)) => {
                env.step(throttles)
            }
            _ => Err(self.mismatch(action)),
        }
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        match self {
            EitherLunarLander::Discrete(env) => env.render(mode),
            EitherLunarLander::Continuous(env) => env.render(mode),
        }
    }

    fn metadata(&self) -> Metadata {
        match self {
            EitherLunarLander::Discrete(env) => env.metadata(),
            EitherLunarLander::Continuous(env) => env.metadata(),
        }
    }

    fn state(&self) -> State {
        match self {
            EitherLunarLander::Discrete(env) => env.state(),
            EitherLunarLander::Continuous(env) => env.state(),
        }
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        match self {
            EitherLunarLander::Discrete(env) => env.set_state(state),
            EitherLunarLander::Continuous(env) => env.set_state(state),
        }
    }

    fn rng_mut(&mut self) -> Option<&mut Rng> {
        match self {
            EitherLunarLander::Discrete(env) => env.rng_mut(),
            EitherLunarLander::Continuous(env) => env.rng_mut(),
        }
    }
}
