//! Parts of an observation, or all parts as one flat array.

use std::collections::BTreeMap;

use super::{MapObservation, ObservationMap, refused};
use crate::{Dict, Env, EnvError, Space, Tuple, Value};

/// Shows some parts of a `Dict` or `Tuple`.
#[derive(Clone, Debug)]
pub struct Filter {
    space: Space,
    keys: Keys,
}

#[derive(Clone, Debug)]
enum Keys {
    Names(Vec<String>),
    Indices(Vec<usize>),
}

/// An environment that shows some parts of a `Dict` or `Tuple`.
pub type FilterObservation<E> = MapObservation<E, Filter>;

impl<E: Env> FilterObservation<E> {
    /// Shows the named parts of a `Dict`.
    ///
    /// # Errors
    /// Observations that are no `Dict`, no names, or one that is not there.
    pub fn names(inner: E, names: &[&str]) -> Result<FilterObservation<E>, EnvError> {
        let Space::Dict(whole) = inner.observation_space() else {
            return Err(refused("FilterObservation::names", "a `Dict`"));
        };
        let mut kept = Vec::new();
        for name in names {
            let Some(space) = whole.get(name) else {
                let there = whole.iter().map(|(name, _)| name).collect::<Vec<_>>();
                let needs = format!("names among {there:?}, which `{name}` is not");
                return Err(refused("FilterObservation::names", &needs));
            };
            kept.push((*name, space.clone()));
        }
        if kept.is_empty() {
            return Err(refused("FilterObservation::names", "one name or more"));
        }
        let map = Filter {
            space: Dict::new(kept).into(),
            keys: Keys::Names(names.iter().map(ToString::to_string).collect()),
        };
        Ok(MapObservation { inner, map })
    }

    /// Shows the parts of a `Tuple` at these places, in this order.
    ///
    /// # Errors
    /// Observations that are no `Tuple`, no places, one past the end, or one twice.
    pub fn indices(inner: E, indices: &[usize]) -> Result<FilterObservation<E>, EnvError> {
        let Space::Tuple(whole) = inner.observation_space() else {
            return Err(refused("FilterObservation::indices", "a `Tuple`"));
        };
        let twice = (1..indices.len()).any(|at| indices[..at].contains(&indices[at]));
        let kept = indices.iter().map(|at| whole.spaces.get(*at).cloned());
        match kept.collect::<Option<Vec<_>>>() {
            Some(kept) if !kept.is_empty() && !twice => {
                let map = Filter {
                    space: Tuple::new(kept).into(),
                    keys: Keys::Indices(indices.to_vec()),
                };
                Ok(MapObservation { inner, map })
            }
            _ => {
                let needs = format!("different places below {}", whole.spaces.len());
                Err(refused("FilterObservation::indices", &needs))
            }
        }
    }
}

impl ObservationMap for Filter {
    const NAME: &'static str = "filter";

    fn space(&self) -> Space {
        self.space.clone()
    }

    fn map(&mut self, observation: Value) -> Result<Value, EnvError> {
        let shown = match (&self.keys, &observation) {
            (Keys::Names(names), Value::Map(parts)) => {
                let kept = names.iter().map(|name| parts.get_key_value(name));
                let kept = kept.map(|part| part.map(|(name, part)| (name.clone(), part.clone())));
                kept.collect::<Option<BTreeMap<_, _>>>().map(Value::Map)
            }
            (Keys::Indices(indices), Value::List(parts)) => {
                let kept = indices.iter().map(|at| parts.get(*at).cloned());
                kept.collect::<Option<Vec<_>>>().map(Value::List)
            }
            _ => None,
        };
        shown.ok_or_else(|| EnvError::Broken(format!("it shows {observation:?} without the parts")))
    }
}

/// Shows all parts as one flat array, choices in one-hot form.
#[derive(Clone, Debug)]
pub struct Flatten {
    whole: Space,
}

/// An environment whose observations are one flat array, choices in one-hot form.
pub type FlattenObservation<E> = MapObservation<E, Flatten>;

impl<E: Env> FlattenObservation<E> {
    /// Shows what [`Space::flatten`] makes of observations.
    pub fn new(inner: E) -> FlattenObservation<E> {
        let whole = inner.observation_space();
        MapObservation {
            inner,
            map: Flatten { whole },
        }
    }
}

impl ObservationMap for Flatten {
    const NAME: &'static str = "flatten";

    fn space(&self) -> Space {
        self.whole.flatten_space()
    }

    fn map(&mut self, observation: Value) -> Result<Value, EnvError> {
        let flat = self.whole.flatten(&observation);
        flat.map_err(|error| EnvError::Broken(error.to_string()))
    }
}
