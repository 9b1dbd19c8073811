//! Wrappers that show something else than the environment does.
//!
//! An [`ObservationMap`] says what is shown in place of an observation; [`MapObservation`] is the environment that
//! shows it. Most wrappers are a map under an alias: [`FlattenObservation`] is `MapObservation<E, Flatten>`.

mod add_render;
mod atari;
mod discretize;
mod image;
mod max_and_skip;
mod normalize;
mod numbers;
mod parts;
mod stack;
#[cfg(test)]
mod tests;
mod time;

pub(super) use normalize::{statistics_of, statistics_value};

pub use add_render::AddRenderObservation;
pub use atari::AtariPreprocessing;
pub use discretize::{Discretize, DiscretizeObservation};
pub use image::{Grayscale, GrayscaleObservation, Resize, ResizeObservation};
pub use max_and_skip::MaxAndSkipObservation;
pub use normalize::{Normalize, NormalizeObservation};
pub use numbers::{
    Clip, ClipObservation, Convert, DtypeObservation, Keep, Operation, Rescale, RescaleObservation,
    Reshape, ReshapeObservation,
};
pub use parts::{Filter, FilterObservation, Flatten, FlattenObservation};
pub use stack::{Delay, DelayObservation, FrameStack, FrameStackObservation, Padding};
pub use time::{TimeAware, TimeAwareObservation, TimeForm};

use super::saved;
use crate::{
    Array, BoxSpace, Env, EnvError, Info, Observation as _, Options, Space, State, Step, Value,
    dynamic::forward,
};

/// What is shown in place of an observation.
pub trait ObservationMap: Send {
    /// The name under which a state keeps what the map remembers.
    const NAME: &'static str;

    /// Returns the space that what is shown is in.
    fn space(&self) -> Space;

    /// Returns what is shown; it may remember the observation.
    ///
    /// # Errors
    /// An observation that is not in the environment's space.
    fn map(&mut self, observation: Value) -> Result<Value, EnvError>;

    /// Forgets the last episode; called before the first observation of the next.
    fn begin(&mut self) {}

    /// Returns what it remembers; `None` where it never remembers anything.
    fn save(&self) -> Option<Value> {
        None
    }

    /// Remembers what [`ObservationMap::save`] returned, and whether it could.
    fn load(&mut self, _saved: &Value) -> bool {
        true
    }
}

/// An environment whose observations go through a map, and are [`Value`]s.
#[derive(Clone, Debug)]
pub struct MapObservation<E, M> {
    inner: E,
    /// What they go through.
    pub map: M,
}

impl<E: Env, M: ObservationMap> MapObservation<E, M> {
    /// Returns an environment whose observations go through a map of one's own.
    pub fn with_map(inner: E, map: M) -> MapObservation<E, M> {
        MapObservation { inner, map }
    }
}

impl<E: Env, M: ObservationMap> Env for MapObservation<E, M> {
    type Observation = Value;
    type Action = E::Action;

    forward!(inner: limit, attributes);

    fn observation_space(&self) -> Space {
        self.map.space()
    }

    fn action_space(&self) -> Space {
        self.inner.action_space()
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options) -> Result<(Value, Info), EnvError> {
        let (observation, info) = self.inner.reset(seed, options)?;
        self.map.begin();
        Ok((self.map.map(observation.to_value())?, info))
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<Value>, EnvError> {
        let step = self.inner.step(action)?;
        let shown = self.map.map(step.observation.to_value())?;
        Ok(step.map(|_| shown))
    }

    fn state(&self) -> State {
        let mut state = self.inner.state();
        if let Some(saved) = self.map.save() {
            saved::put(&mut state, M::NAME, saved);
        }
        state
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        if self.map.save().is_none() {
            return self.inner.set_state(state);
        }
        let mut rest = state.clone();
        let saved = saved::take(&mut rest, M::NAME)?;
        self.inner.set_state(&rest)?;
        match self.map.load(&saved) {
            true => Ok(()),
            false => Err(saved::missing(M::NAME)),
        }
    }
}

/// Shows what a function makes of an observation.
pub struct Transform {
    space: Space,
    convert: Box<dyn FnMut(Value) -> Value + Send>,
}

/// An environment whose observations go through a function.
///
/// ```
/// use environments::{BoxSpace, Dtype, Env, Options, Value, envs::CartPole, wrappers::TransformObservation};
///
/// let space = BoxSpace::uniform(-5.0, 5.0, &[], Dtype::F32);
/// let mut env = TransformObservation::new(CartPole::new(), space, |seen| {
///     let position = seen.as_array().map_or(0.0, |numbers| numbers.get(0));
///     Value::Array(environments::Array::new([], environments::ArrayData::F32(vec![position as f32])).unwrap())
/// });
/// let (position, _) = env.reset(Some(1), &Options::new())?;
/// assert!(env.observation_space().contains(&position));
/// # Ok::<(), environments::EnvError>(())
/// ```
pub type TransformObservation<E> = MapObservation<E, Transform>;

impl<E: Env> TransformObservation<E> {
    /// Returns an environment that shows what the function returns, which is in `space`.
    pub fn new(
        inner: E,
        space: impl Into<Space>,
        convert: impl FnMut(Value) -> Value + Send + 'static,
    ) -> TransformObservation<E> {
        let map = Transform {
            space: space.into(),
            convert: Box::new(convert),
        };
        MapObservation { inner, map }
    }
}

impl ObservationMap for Transform {
    const NAME: &'static str = "transform_observation";

    fn space(&self) -> Space {
        self.space.clone()
    }

    fn map(&mut self, observation: Value) -> Result<Value, EnvError> {
        Ok((self.convert)(observation))
    }
}

impl std::fmt::Debug for Transform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transform")
            .field("space", &self.space)
            .finish_non_exhaustive()
    }
}

/// Returns the bounds of what an environment shows, for a wrapper that needs some.
fn box_of(space: Space, wrapper: &str) -> Result<BoxSpace, EnvError> {
    match space {
        Space::Box(space) => Ok(space),
        other => Err(refused(wrapper, &format!("a `Box` and not {other}"))),
    }
}

fn refused(wrapper: &str, needs: &str) -> EnvError {
    EnvError::NotSupported(format!("`{wrapper}` needs {needs}"))
}

/// Returns the numbers of an observation.
fn array_of(observation: &Value) -> Result<&Array, EnvError> {
    observation
        .as_array()
        .ok_or_else(|| EnvError::Broken(format!("it shows {observation:?} and not an array")))
}
