//! Environments whose types are known only at run time.

use crate::{
    Action as _, Env, EnvError, EnvSpec, Frame, Info, Metadata, Observation as _, Options, Outcome,
    RenderMode, Space, State, Step, Value, rng::Rng,
};

/// An environment over [`Value`]s; `Box<dyn DynEnv>` is what [`make`](crate::make) returns.
///
/// It has the methods of [`Env`], and every `Env` over `Value`s is one; [`Erased`] makes one of any `Env`. The
/// box is an `Env` itself, so wrappers and vector environments take it like any other.
pub trait DynEnv: Env<Observation = Value, Action = Value> {}

impl<E: Env<Observation = Value, Action = Value>> DynEnv for E {}

/// An environment of any type, as one over [`Value`]s.
#[derive(Clone, Debug)]
pub struct Erased<E>(
    /// The environment.
    pub E,
);

impl<E: Env> Erased<E> {
    fn action(&self, action: &Value) -> Result<E::Action, EnvError> {
        E::Action::from_value(action).ok_or_else(|| EnvError::InvalidAction {
            action: format!("{action:?}"),
            space: self.0.action_space().to_string(),
        })
    }
}

/// Passes the methods on that a wrapper leaves as they are.
macro_rules! forward {
    ($inner:tt: $($method:ident),*) => {
        $(crate::dynamic::forward!(@ $inner $method);)*
    };
    (@ $inner:tt spaces) => {
        fn observation_space(&self) -> $crate::Space {
            self.$inner.observation_space()
        }

        fn action_space(&self) -> $crate::Space {
            self.$inner.action_space()
        }
    };
    (@ $inner:tt state) => {
        fn state(&self) -> $crate::State {
            self.$inner.state()
        }

        fn set_state(&mut self, state: &$crate::State) -> Result<(), $crate::EnvError> {
            self.$inner.set_state(state)
        }
    };
    (@ $inner:tt limit) => {
        fn max_episode_steps(&self) -> Option<u32> {
            self.$inner.max_episode_steps()
        }
    };
    (@ $inner:tt resets) => {
        fn reset(
            &mut self,
            seed: Option<u64>,
            options: &$crate::Options,
        ) -> Result<(Self::Observation, $crate::Info), $crate::EnvError> {
            self.$inner.reset(seed, options)
        }

        fn reset_into(
            &mut self,
            seed: Option<u64>,
            options: &$crate::Options,
            row: &mut [f32],
        ) -> Result<(), $crate::EnvError> {
            self.$inner.reset_into(seed, options, row)
        }
    };
    (@ $inner:tt mask) => {
        fn action_mask(&self, mask: &mut [bool]) -> bool {
            self.$inner.action_mask(mask)
        }
    };
    (@ $inner:tt render) => {
        fn render(
            &mut self,
            mode: $crate::RenderMode,
        ) -> Result<$crate::Frame, $crate::EnvError> {
            self.$inner.render(mode)
        }
    };
    (@ $inner:tt pictures) => {
        fn metadata(&self) -> $crate::Metadata {
            self.$inner.metadata()
        }

        fn render_mode(&self) -> Option<$crate::RenderMode> {
            self.$inner.render_mode()
        }
    };
    (@ $inner:tt origin) => {
        fn spec(&self) -> Option<&$crate::EnvSpec> {
            self.$inner.spec()
        }

        fn rng_mut(&mut self) -> Option<&mut $crate::rng::Rng> {
            self.$inner.rng_mut()
        }
    };
    (@ $inner:tt attributes) => {
        $crate::dynamic::forward!($inner: mask, render, pictures, origin);
    };
}

pub(crate) use forward;

impl<E: Env> Env for Erased<E> {
    type Observation = Value;
    type Action = Value;

    forward!(0: spaces, state, limit, attributes);

    fn reset(&mut self, seed: Option<u64>, options: &Options) -> Result<(Value, Info), EnvError> {
        let (observation, info) = self.0.reset(seed, options)?;
        Ok((observation.to_value(), info))
    }

    fn step(&mut self, action: &Value) -> Result<Step<Value>, EnvError> {
        let action = self.action(action)?;
        Ok(self
            .0
            .step(&action)?
            .map(|observation| observation.to_value()))
    }

    fn reset_into(
        &mut self,
        seed: Option<u64>,
        options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        self.0.reset_into(seed, options, row)
    }

    fn step_into(&mut self, action: &Value, row: &mut [f32]) -> Result<Outcome, EnvError> {
        let action = self.action(action)?;
        self.0.step_into(&action, row)
    }
}

impl<E: Env + ?Sized> Env for Box<E> {
    type Observation = E::Observation;
    type Action = E::Action;

    fn observation_space(&self) -> Space {
        (**self).observation_space()
    }

    fn action_space(&self) -> Space {
        (**self).action_space()
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<(E::Observation, Info), EnvError> {
        (**self).reset(seed, options)
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>, EnvError> {
        (**self).step(action)
    }

    fn state(&self) -> State {
        (**self).state()
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        (**self).set_state(state)
    }

    fn reset_into(
        &mut self,
        seed: Option<u64>,
        options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        (**self).reset_into(seed, options, row)
    }

    fn step_into(&mut self, action: &E::Action, row: &mut [f32]) -> Result<Outcome, EnvError> {
        (**self).step_into(action, row)
    }

    fn action_mask(&self, mask: &mut [bool]) -> bool {
        (**self).action_mask(mask)
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        (**self).render(mode)
    }

    fn metadata(&self) -> Metadata {
        (**self).metadata()
    }

    fn render_mode(&self) -> Option<RenderMode> {
        (**self).render_mode()
    }

    fn spec(&self) -> Option<&EnvSpec> {
        (**self).spec()
    }

    fn max_episode_steps(&self) -> Option<u32> {
        (**self).max_episode_steps()
    }

    fn rng_mut(&mut self) -> Option<&mut Rng> {
        (**self).rng_mut()
    }
}
