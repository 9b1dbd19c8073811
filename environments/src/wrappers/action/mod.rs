//! Wrappers that take other actions than the environment does.
//!
//! An [`ActionMap`] says what is done in place of an action; [`MapAction`] is the environment that does it.

mod discretize;
mod masker;
mod repeat;
mod sticky;
#[cfg(test)]
mod tests;

pub use discretize::{DiscretizeAction, Undiscretize};
pub use masker::ActionMasker;
pub use repeat::RepeatAction;
pub use sticky::StickyAction;

use crate::{
    Action as _, Array, ArrayData, BoxSpace, Dtype, Env, EnvError, Outcome, Space, Step, Value,
};

/// What is done in place of an action.
pub trait ActionMap: Send {
    /// Returns the space that actions are taken from.
    fn space(&self) -> Space;

    /// Returns what the environment does; `None` for an action that is not in the space.
    fn map(&mut self, action: &Value) -> Option<Value>;
}

/// An environment whose actions are [`Value`]s that go through a map.
///
/// It knows no action mask, for the environment's is of other actions.
#[derive(Clone, Debug)]
pub struct MapAction<E, M> {
    inner: E,
    map: M,
}

impl<E: Env, M: ActionMap> MapAction<E, M> {
    /// Returns an environment whose actions go through a map of one's own.
    pub fn with_map(inner: E, map: M) -> MapAction<E, M> {
        MapAction { inner, map }
    }

    fn mapped(&mut self, action: &Value) -> Result<E::Action, EnvError> {
        let mapped = self.map.map(action);
        let mapped = mapped.and_then(|mapped| E::Action::from_value(&mapped));
        mapped.ok_or_else(|| EnvError::InvalidAction {
            action: format!("{action:?}"),
            space: self.map.space().to_string(),
        })
    }
}

impl<E: Env, M: ActionMap> Env for MapAction<E, M> {
    type Observation = E::Observation;
    type Action = Value;

    crate::dynamic::forward!(inner: state, limit, resets, render, pictures, origin);

    fn observation_space(&self) -> Space {
        self.inner.observation_space()
    }

    fn action_space(&self) -> Space {
        self.map.space()
    }

    fn step(&mut self, action: &Value) -> Result<Step<E::Observation>, EnvError> {
        let action = self.mapped(action)?;
        self.inner.step(&action)
    }

    fn step_into(&mut self, action: &Value, row: &mut [f32]) -> Result<Outcome, EnvError> {
        let action = self.mapped(action)?;
        self.inner.step_into(&action, row)
    }
}

/// Does what a function makes of an action.
pub struct TransformMap {
    space: Space,
    convert: Box<dyn FnMut(&Value) -> Option<Value> + Send>,
}

/// An environment whose actions go through a function.
pub type TransformAction<E> = MapAction<E, TransformMap>;

impl<E: Env> TransformAction<E> {
    /// Takes actions from `space` and does what the function returns; `None` refuses the action.
    pub fn new(
        inner: E,
        space: impl Into<Space>,
        convert: impl FnMut(&Value) -> Option<Value> + Send + 'static,
    ) -> TransformAction<E> {
        let map = TransformMap {
            space: space.into(),
            convert: Box::new(convert),
        };
        MapAction { inner, map }
    }
}

impl ActionMap for TransformMap {
    fn space(&self) -> Space {
        self.space.clone()
    }

    fn map(&mut self, action: &Value) -> Option<Value> {
        (self.convert)(action)
    }
}

impl std::fmt::Debug for TransformMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransformMap")
            .field("space", &self.space)
            .finish_non_exhaustive()
    }
}

/// Moves each number into the bounds of the environment's actions.
#[derive(Clone, Debug)]
pub struct ClipMap {
    to: BoxSpace,
}

/// An environment that takes any numbers as actions and moves them into its bounds.
pub type ClipAction<E> = MapAction<E, ClipMap>;

impl<E: Env> ClipAction<E> {
    /// Takes any finite or infinite numbers.
    ///
    /// # Errors
    /// Actions that are no `Box`.
    pub fn new(inner: E) -> Result<ClipAction<E>, EnvError> {
        let to = box_of(&inner, "ClipAction")?;
        Ok(MapAction {
            inner,
            map: ClipMap { to },
        })
    }
}

impl ActionMap for ClipMap {
    fn space(&self) -> Space {
        BoxSpace::of_dtype(&self.to.shape, self.to.dtype).into()
    }

    fn map(&mut self, action: &Value) -> Option<Value> {
        each_number(action, &self.to, |at, number| {
            let (low, high) = self.to.bounds(at);
            number.clamp(low, high)
        })
    }
}

/// Maps bounds of one's own to those of the environment's actions, and what is between in proportion.
#[derive(Clone, Debug)]
pub struct RescaleMap {
    to: BoxSpace,
    low: f64,
    high: f64,
}

/// An environment that takes actions within other bounds.
pub type RescaleAction<E> = MapAction<E, RescaleMap>;

impl<E: Env> RescaleAction<E> {
    /// Takes numbers from `low` to `high` as the whole range of the environment's.
    ///
    /// Numbers outside go on outside in proportion: the environment says what becomes of them.
    ///
    /// # Errors
    /// Actions that are no `Box` of floats with finite bounds, or a `low` that is not below `high`.
    pub fn new(inner: E, low: f64, high: f64) -> Result<RescaleAction<E>, EnvError> {
        let to = box_of(&inner, "RescaleAction")?;
        if !(to.is_bounded() && to.dtype.is_float()) {
            return Err(refused("RescaleAction", "floats with finite bounds"));
        }
        if !(low < high && low.is_finite() && high.is_finite()) {
            return Err(refused("RescaleAction", "a low bound below the high"));
        }
        Ok(MapAction {
            inner,
            map: RescaleMap { to, low, high },
        })
    }
}

impl ActionMap for RescaleMap {
    fn space(&self) -> Space {
        BoxSpace::uniform(self.low, self.high, &self.to.shape, self.to.dtype).into()
    }

    fn map(&mut self, action: &Value) -> Option<Value> {
        let from = (self.low, self.high);
        each_number(action, &self.to, |at, number| {
            super::rescaled(number, from, self.to.bounds(at))
        })
    }
}

/// Returns an array of the space's type and shape, with each number converted; `None` where they are too many or few,
/// or one is not a number.
fn each_number(
    action: &Value,
    to: &BoxSpace,
    convert: impl Fn(usize, f64) -> f64,
) -> Option<Value> {
    let numbers = match action {
        Value::Array(array) => array.to_f64(),
        Value::List(values) => values
            .iter()
            .map(Value::as_float)
            .collect::<Option<Vec<_>>>()?,
        other => vec![other.as_float()?],
    };
    if numbers.len() != to.len() || numbers.iter().any(|number| number.is_nan()) {
        return None;
    }
    let numbers = numbers.into_iter().enumerate();
    array(
        &to.shape,
        to.dtype,
        numbers.map(|(at, number)| convert(at, number)),
    )
}

fn array(shape: &[usize], dtype: Dtype, numbers: impl Iterator<Item = f64>) -> Option<Value> {
    Array::new(shape, ArrayData::from_f64(dtype, numbers)).map(Value::Array)
}

fn box_of(env: &impl Env, wrapper: &str) -> Result<BoxSpace, EnvError> {
    match env.action_space() {
        Space::Box(space) => Ok(space),
        other => Err(refused(wrapper, &format!("a `Box` and not {other}"))),
    }
}

fn refused(wrapper: &str, needs: &str) -> EnvError {
    EnvError::NotSupported(format!("`{wrapper}` needs actions that are {needs}"))
}
