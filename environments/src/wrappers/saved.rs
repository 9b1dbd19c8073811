//! Where wrappers keep what they add to an environment's state.
//!
//! A key of the state's `extra` belongs to one wrapper; two of the same kind around each other are told apart by
//! how far out they are.

use crate::{Array, ArrayData, EnvError, State, Value, rng::Rng};

/// Adds what a wrapper keeps.
pub(crate) fn put(state: &mut State, name: &str, value: Value) {
    let mut key = first_key(name);
    while state.extra.contains_key(&key) {
        key.push('+');
    }
    state.extra.insert(key, value);
}

/// Takes out what the outermost wrapper of this kind has put in.
pub(crate) fn take(state: &mut State, name: &str) -> Result<Value, EnvError> {
    let mut key = first_key(name);
    while state.extra.contains_key(&format!("{key}+")) {
        key.push('+');
    }
    let found = state.extra.remove(&key);
    found.ok_or_else(|| missing(name))
}

/// Says that a state has nothing of a wrapper, or something that it did not put there.
pub(crate) fn missing(name: &str) -> EnvError {
    EnvError::InvalidState(format!("it was not saved by the wrapper `{name}`"))
}

/// Returns a generator as a value.
pub(crate) fn rng_value(rng: &Rng) -> Value {
    let words = rng.save().into_iter().map(u64::cast_signed);
    Array::from(words.collect::<Vec<i64>>()).into()
}

/// Returns the generator that [`rng_value`] made a value of.
pub(crate) fn rng_of(value: &Value) -> Option<Rng> {
    match value.as_array()?.data() {
        ArrayData::I64(words) => {
            let words = words.iter().map(|word| word.cast_unsigned());
            Rng::restore(&words.collect::<Vec<u64>>())
        }
        _ => None,
    }
}

fn first_key(name: &str) -> String {
    format!("wrapper.{name}")
}
