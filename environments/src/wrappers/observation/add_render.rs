//! The drawn picture as an observation.

use std::collections::BTreeMap;

use super::refused;
use crate::{
    Array, ArrayData, BoxSpace, Dict, Dtype, Env, EnvError, Frame, Info, Observation as _, Options,
    RenderMode, Space, State, Step, Value, dynamic::forward,
};

/// An environment that shows its picture, alone or beside the observation.
///
/// Pictures are `[height, width, 3]` bytes. Beside an observation they are the part `pixels` of a `Dict`; the
/// observation is its part `state`, or its other parts where it is a `Dict` itself.
#[derive(Clone, Debug)]
pub struct AddRenderObservation<E> {
    inner: E,
    shape: [usize; 3],
    /// Whether the picture is all that is shown.
    is_alone: bool,
    /// Whether the caller has begun an episode; the first reset was not theirs.
    is_started: bool,
}

impl<E: Env> AddRenderObservation<E> {
    /// Shows the picture beside the observation.
    ///
    /// It resets the environment and draws it once, to know how large pictures are.
    ///
    /// # Errors
    /// An environment that draws no pictures, or has a part `pixels` already.
    pub fn new(mut inner: E) -> Result<AddRenderObservation<E>, EnvError> {
        let space = inner.observation_space();
        if matches!(&space, Space::Dict(parts) if parts.get(PIXELS).is_some()) {
            let needs = "a `Dict` without a part `pixels`";
            return Err(refused("AddRenderObservation", needs));
        }
        inner.reset(None, &Options::new())?;
        let Frame::Rgb { width, height, .. } = inner.render(RenderMode::RgbArray)? else {
            return Err(refused("AddRenderObservation", "pictures"));
        };
        Ok(AddRenderObservation {
            inner,
            shape: [height as usize, width as usize, 3],
            is_alone: false,
            is_started: false,
        })
    }

    /// Shows the picture in place of the observation.
    ///
    /// # Errors
    /// As [`AddRenderObservation::new`].
    pub fn alone(inner: E) -> Result<AddRenderObservation<E>, EnvError> {
        let mut env = AddRenderObservation::new(inner)?;
        env.is_alone = true;
        Ok(env)
    }

    fn shown(&mut self, observation: Value) -> Result<Value, EnvError> {
        let Frame::Rgb { pixels, .. } = self.inner.render(RenderMode::RgbArray)? else {
            return Err(EnvError::Broken("it draws no picture any more".into()));
        };
        let picture = Array::new(self.shape, ArrayData::U8(pixels));
        let picture = picture.ok_or_else(|| {
            EnvError::Broken("its pictures have another size than the first".into())
        })?;
        if self.is_alone {
            return Ok(picture.into());
        }
        let mut parts = match observation {
            Value::Map(parts) => parts,
            other => BTreeMap::from([(STATE.to_owned(), other)]),
        };
        parts.insert(PIXELS.to_owned(), picture.into());
        Ok(Value::Map(parts))
    }
}

impl<E: Env> Env for AddRenderObservation<E> {
    type Observation = Value;
    type Action = E::Action;

    forward!(inner: limit, attributes);

    fn observation_space(&self) -> Space {
        let pixels: Space = BoxSpace::uniform(0.0, 255.0, &self.shape, Dtype::U8).into();
        if self.is_alone {
            return pixels;
        }
        match self.inner.observation_space() {
            Space::Dict(parts) => {
                let parts = parts.iter().map(|(name, part)| (name, part.clone()));
                Dict::new(parts.chain([(PIXELS, pixels)])).into()
            }
            other => Dict::new([(PIXELS, pixels), (STATE, other)]).into(),
        }
    }

    fn action_space(&self) -> Space {
        self.inner.action_space()
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options) -> Result<(Value, Info), EnvError> {
        let (observation, info) = self.inner.reset(seed, options)?;
        self.is_started = true;
        Ok((self.shown(observation.to_value())?, info))
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<Value>, EnvError> {
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        let step = self.inner.step(action)?;
        let shown = self.shown(step.observation.to_value())?;
        Ok(step.map(|_| shown))
    }

    fn state(&self) -> State {
        self.inner.state()
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        self.inner.set_state(state)?;
        self.is_started = true;
        Ok(())
    }
}

const PIXELS: &str = "pixels";
const STATE: &str = "state";
