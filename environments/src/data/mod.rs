//! What observations and actions of every type have in common: a space, a row of f32, and a [`Value`].
//!
//! Implemented for numbers, truths, arrays of up to three dimensions, vectors, tuples of up to four, and
//! [`Value`]; structs and enums derive it.

mod arrays;
mod scalars;
mod tuples;
mod values;

use crate::{Array, BoxSpace, Element, Space, Value};

/// Something that an agent sees: it writes itself into a row of a batch.
pub trait Observation: Clone + Send + 'static {
    /// Returns the widest space that holds every value of the type; `None` where the type does not say.
    fn space() -> Option<Space> {
        None
    }

    /// Returns how many numbers it writes.
    fn row_len(&self) -> usize;

    /// Writes the observation as numbers; `row` has the space's flat length.
    fn write(&self, row: &mut [f32]);

    /// Returns it as a value.
    fn to_value(&self) -> Value;

    /// Reads it from a value; `None` when that is of another kind or shape.
    fn from_value(value: &Value) -> Option<Self>;
}

/// Something that an agent does: it reads itself from a row of a batch.
pub trait Action: Clone + Send + 'static {
    /// Returns the widest space that holds every value of the type; `None` where the type does not say.
    fn space() -> Option<Space> {
        None
    }

    /// Reads itself from the front of `row`, which then is what follows; `None` when that does not fit.
    fn take(row: &mut &[f32]) -> Option<Self>;

    /// Reads a discrete choice; `None` when the action is not one.
    fn from_index(_index: i64) -> Option<Self> {
        None
    }

    /// Reads several discrete choices; `None` when the action is none, or of another number.
    fn from_indices(indices: &[i64]) -> Option<Self> {
        match indices {
            [index] => Self::from_index(*index),
            _ => None,
        }
    }

    /// Reads a whole row of numbers; `None` when it is of another length, or the action is one discrete choice.
    fn from_values(values: &[f32]) -> Option<Self> {
        let mut rest = values;
        let action = Self::take(&mut rest)?;
        rest.is_empty().then_some(action)
    }

    /// Returns it as a value.
    fn to_value(&self) -> Value;

    /// Reads it from a value; `None` when that is of another kind or shape.
    fn from_value(value: &Value) -> Option<Self>;
}

/// Splits `len` numbers off the front of a row.
fn split<'a>(row: &mut &'a [f32], len: usize) -> Option<&'a [f32]> {
    let (front, rest) = row.split_at_checked(len)?;
    *row = rest;
    Some(front)
}

fn array<T: Element>(shape: &[usize], numbers: Vec<T>) -> Value {
    Value::Array(Array::new(shape, T::wrap(numbers)).expect("the type gives the shape"))
}

/// The widest space of arrays of a type.
fn space_of<T: Element>(shape: &[usize]) -> Space {
    Space::Box(BoxSpace::of_dtype(shape, T::DTYPE))
}
