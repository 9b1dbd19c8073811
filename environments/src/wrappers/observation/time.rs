//! Observations with the time since the reset.

use std::collections::BTreeMap;

use super::{MapObservation, ObservationMap, refused};
use crate::{Array, BoxSpace, Dict, Dtype, Env, EnvError, Space, Tuple, Value};

/// How the time is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeForm {
    /// Steps since the reset, as I32.
    #[default]
    Steps,
    /// The part of the episode that is over, 0 to 1, as F32.
    Share,
}

/// Shows the time since the reset beside the observation.
#[derive(Clone, Debug)]
pub struct TimeAware {
    single: Space,
    limit: u32,
    form: TimeForm,
    is_flat: bool,
    /// The steps before the next observation.
    elapsed: u32,
}

/// An environment that shows the time since the reset too.
///
/// A limit on the steps makes how much is to be earned depend on the time; an agent that sees it can know (Pardo et
/// al. 2018). A `Dict` gets a part `time`, a `Tuple` a last part; others become a `Dict` of `obs` and `time`.
pub type TimeAwareObservation<E> = MapObservation<E, TimeAware>;

impl<E: Env> TimeAwareObservation<E> {
    /// Shows observation and steps as one flat array.
    ///
    /// # Errors
    /// An environment without a limit on its steps, or with a part `time` already.
    pub fn new(inner: E) -> Result<TimeAwareObservation<E>, EnvError> {
        let wrapper = "TimeAwareObservation";
        let limit = inner.max_episode_steps();
        let limit = limit.ok_or_else(|| refused(wrapper, "a limit: wrap it in `TimeLimit`"))?;
        let single = inner.observation_space();
        if matches!(&single, Space::Dict(parts) if parts.get(TIME).is_some()) {
            return Err(refused(wrapper, "a `Dict` without a part `time`"));
        }
        let map = TimeAware {
            single,
            limit,
            form: TimeForm::Steps,
            is_flat: true,
            elapsed: 0,
        };
        Ok(MapObservation { inner, map })
    }

    /// Sets how the time is told.
    pub fn form(mut self, form: TimeForm) -> TimeAwareObservation<E> {
        self.map.form = form;
        self
    }

    /// Shows the parts as they are and not as one flat array.
    pub fn in_parts(mut self) -> TimeAwareObservation<E> {
        self.map.is_flat = false;
        self
    }
}

impl TimeAware {
    fn parts_space(&self) -> Space {
        let time = match self.form {
            TimeForm::Steps => {
                BoxSpace::uniform(0.0, f64::from(self.limit), &[1], Dtype::I32).into()
            }
            TimeForm::Share => BoxSpace::uniform(0.0, 1.0, &[1], Dtype::F32).into(),
        };
        match &self.single {
            Space::Dict(parts) => {
                let parts = parts.iter().map(|(name, part)| (name, part.clone()));
                Dict::new(parts.chain([(TIME, time)])).into()
            }
            Space::Tuple(parts) => {
                let parts = parts.spaces.iter().cloned();
                Tuple::new(parts.chain([time]).collect()).into()
            }
            other => Dict::new([(OBSERVATION, other.clone()), (TIME, time)]).into(),
        }
    }
}

impl ObservationMap for TimeAware {
    const NAME: &'static str = "time_aware";

    fn space(&self) -> Space {
        match self.is_flat {
            true => self.parts_space().flatten_space(),
            false => self.parts_space(),
        }
    }

    fn map(&mut self, observation: Value) -> Result<Value, EnvError> {
        let elapsed = self.elapsed.min(self.limit);
        self.elapsed = self.elapsed.saturating_add(1);
        let time: Value = match self.form {
            TimeForm::Steps => Array::from(vec![i32::try_from(elapsed).unwrap_or(i32::MAX)]).into(),
            TimeForm::Share => {
                let share = f64::from(elapsed) / f64::from(self.limit);
                Array::from(vec![share as f32]).into()
            }
        };
        let parts = match observation {
            Value::Map(mut parts) if matches!(self.single, Space::Dict(_)) => {
                parts.insert(TIME.to_owned(), time);
                Value::Map(parts)
            }
            Value::List(mut parts) if matches!(self.single, Space::Tuple(_)) => {
                parts.push(time);
                Value::List(parts)
            }
            other => Value::Map(BTreeMap::from([
                (OBSERVATION.to_owned(), other),
                (TIME.to_owned(), time),
            ])),
        };
        if !self.is_flat {
            return Ok(parts);
        }
        let flat = self.parts_space().flatten(&parts);
        flat.map_err(|error| EnvError::Broken(error.to_string()))
    }

    fn begin(&mut self) {
        self.elapsed = 0;
    }

    fn save(&self) -> Option<Value> {
        Some(Value::Int(i64::from(self.elapsed)))
    }

    fn load(&mut self, saved: &Value) -> bool {
        let found = saved.as_int().and_then(|steps| u32::try_from(steps).ok());
        found.map(|steps| self.elapsed = steps).is_some()
    }
}

const OBSERVATION: &str = "obs";
const TIME: &str = "time";
