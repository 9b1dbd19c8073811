//! What observations and actions of every type have in common: a space, a row of f32, and a [`Value`].
//!
//! Implemented for numbers, truths, arrays of up to three dimensions, vectors, tuples of up to four, and
//! [`Value`]; structs and enums derive it.

use crate::{Array, BoxSpace, Discrete, Element, Space, Tuple, Value};

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

/// Returns the number when it is whole.
fn whole(number: f32) -> Option<i64> {
    (number.fract() == 0.0).then_some(number as i64)
}

/// Reads an element from a number of a row; whole numbers must be whole.
fn element<T: Element>(number: f32) -> Option<T> {
    let read = T::from_f64(f64::from(number));
    (read.to_f32() == number || T::DTYPE.is_float()).then_some(read)
}

/// Reads the elements of an array value of this many.
fn elements<T: Element>(value: &Value, len: usize) -> Option<Vec<T>> {
    let read = elements_of(value)?;
    (read.len() == len).then_some(read)
}

/// Reads the elements of an array value; other number types and lists convert when nothing is lost.
fn elements_of<T: Element>(value: &Value) -> Option<Vec<T>> {
    let convert = |number: f64| {
        let read = T::from_f64(number);
        (read.to_f64() == number || T::DTYPE.is_float()).then_some(read)
    };
    match value {
        Value::Array(array) => match T::of(array.data()) {
            Some(numbers) => Some(numbers.to_vec()),
            None => (0..array.len()).map(|at| convert(array.get(at))).collect(),
        },
        Value::List(values) => {
            let parts = values.iter().map(elements_of::<T>);
            Some(parts.collect::<Option<Vec<_>>>()?.concat())
        }
        Value::Bool(value) => Some(vec![convert(value.to_f64())?]),
        other => Some(vec![convert(other.as_float()?)?]),
    }
}

fn array<T: Element>(shape: &[usize], numbers: Vec<T>) -> Value {
    Value::Array(Array::new(shape, T::wrap(numbers)).expect("the type gives the shape"))
}

/// The widest space of arrays of a type.
fn space_of<T: Element>(shape: &[usize]) -> Space {
    Space::Box(BoxSpace::of_dtype(shape, T::DTYPE))
}

macro_rules! arrays {
    ($($type:ty, [$($size:ident),*], $this:ident => $flat:expr, $numbers:ident => $build:expr);*) => {$(
        impl<T: Element, $(const $size: usize),*> Observation for $type {
            fn space() -> Option<Space> {
                Some(space_of::<T>(&[$($size),*]))
            }

            fn row_len(&self) -> usize {
                1 $(* $size)*
            }

            fn write(&self, row: &mut [f32]) {
                let $this = self;
                for (slot, number) in row.iter_mut().zip($flat) {
                    *slot = number.to_f32();
                }
            }

            fn to_value(&self) -> Value {
                let $this = self;
                array(&[$($size),*], $flat.copied().collect::<Vec<T>>())
            }

            fn from_value(value: &Value) -> Option<Self> {
                let $numbers = elements::<T>(value, 1 $(* $size)*)?;
                Some($build)
            }
        }

        impl<T: Element, $(const $size: usize),*> Action for $type {
            fn space() -> Option<Space> {
                Some(space_of::<T>(&[$($size),*]))
            }

            fn take(row: &mut &[f32]) -> Option<Self> {
                let front = split(row, 1 $(* $size)*)?;
                let $numbers = front
                    .iter()
                    .map(|number| element::<T>(*number))
                    .collect::<Option<Vec<_>>>()?;
                Some($build)
            }

            fn to_value(&self) -> Value {
                Observation::to_value(self)
            }

            fn from_value(value: &Value) -> Option<Self> {
                Observation::from_value(value)
            }
        }
    )*};
}

arrays! {
    [[T; B]; A], [A, B], this => this.iter().flatten(),
        numbers => std::array::from_fn(|a| std::array::from_fn(|b| numbers[a * B + b]));
    [[[T; C]; B]; A], [A, B, C], this => this.iter().flatten().flatten(),
        numbers => std::array::from_fn(|a| {
            std::array::from_fn(|b| std::array::from_fn(|c| numbers[(a * B + b) * C + c]))
        })
}

impl<T: Element, const N: usize> Observation for [T; N] {
    fn space() -> Option<Space> {
        Some(space_of::<T>(&[N]))
    }

    fn row_len(&self) -> usize {
        N
    }

    #[inline]
    fn write(&self, row: &mut [f32]) {
        for (slot, number) in row.iter_mut().zip(self) {
            *slot = number.to_f32();
        }
    }

    fn to_value(&self) -> Value {
        array(&[N], self.to_vec())
    }

    fn from_value(value: &Value) -> Option<Self> {
        elements::<T>(value, N)?.try_into().ok()
    }
}

impl<T: Element, const N: usize> Action for [T; N] {
    fn space() -> Option<Space> {
        Some(space_of::<T>(&[N]))
    }

    #[inline]
    fn take(row: &mut &[f32]) -> Option<Self> {
        let front = split(row, N)?;
        let mut action = [T::from_f64(0.0); N];
        for (slot, number) in action.iter_mut().zip(front) {
            *slot = element(*number)?;
        }
        Some(action)
    }

    fn from_indices(indices: &[i64]) -> Option<Self> {
        if T::DTYPE.is_float() || indices.len() != N {
            return None;
        }
        Some(std::array::from_fn(|at| T::from_f64(indices[at] as f64)))
    }

    fn to_value(&self) -> Value {
        Observation::to_value(self)
    }

    fn from_value(value: &Value) -> Option<Self> {
        Observation::from_value(value)
    }
}

impl<T: Element> Observation for Vec<T> {
    fn row_len(&self) -> usize {
        self.len()
    }

    fn write(&self, row: &mut [f32]) {
        for (slot, number) in row.iter_mut().zip(self) {
            *slot = number.to_f32();
        }
    }

    fn to_value(&self) -> Value {
        array(&[self.len()], self.clone())
    }

    fn from_value(value: &Value) -> Option<Self> {
        elements_of(value)
    }
}

impl<T: Element> Action for Vec<T> {
    fn take(row: &mut &[f32]) -> Option<Self> {
        let all = std::mem::take(row);
        all.iter().map(|number| element(*number)).collect()
    }

    fn from_indices(indices: &[i64]) -> Option<Self> {
        (!T::DTYPE.is_float()).then(|| indices.iter().map(|at| T::from_f64(*at as f64)).collect())
    }

    fn to_value(&self) -> Value {
        Observation::to_value(self)
    }

    fn from_value(value: &Value) -> Option<Self> {
        elements_of(value)
    }
}

macro_rules! scalars {
    ($($type:ty, $space:expr, $value:ident => $to:expr, $from:expr);*) => {$(
        impl Observation for $type {
            fn space() -> Option<Space> {
                $space
            }

            fn row_len(&self) -> usize {
                1
            }

            #[inline]
            fn write(&self, row: &mut [f32]) {
                row[0] = self.to_f32();
            }

            fn to_value(&self) -> Value {
                let $value = *self;
                $to
            }

            fn from_value($value: &Value) -> Option<$type> {
                $from
            }
        }
    )*};
}

scalars! {
    i64, None, value => Value::Int(value), value.as_int();
    bool, Some(Space::Discrete(Discrete::new(2))), value => Value::Int(i64::from(value)),
        value.as_bool().or(match value.as_int() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        });
    f32, Some(space_of::<f32>(&[])), value => array(&[], vec![value]), value.as_float().map(|value| value as f32);
    f64, Some(space_of::<f64>(&[])), value => array(&[], vec![value]), value.as_float()
}

impl Action for i64 {
    fn take(row: &mut &[f32]) -> Option<i64> {
        whole(split(row, 1)?[0])
    }

    fn from_index(index: i64) -> Option<i64> {
        Some(index)
    }

    fn from_values(_values: &[f32]) -> Option<i64> {
        None
    }

    fn to_value(&self) -> Value {
        Value::Int(*self)
    }

    fn from_value(value: &Value) -> Option<i64> {
        value.as_int()
    }
}

impl Action for bool {
    fn space() -> Option<Space> {
        Some(Space::Discrete(Discrete::new(2)))
    }

    fn take(row: &mut &[f32]) -> Option<bool> {
        bool::from_index(whole(split(row, 1)?[0])?)
    }

    fn from_index(index: i64) -> Option<bool> {
        match index {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn from_values(_values: &[f32]) -> Option<bool> {
        None
    }

    fn to_value(&self) -> Value {
        Value::Int(i64::from(*self))
    }

    fn from_value(value: &Value) -> Option<bool> {
        Observation::from_value(value)
    }
}

macro_rules! scalar_actions {
    ($($type:ty),*) => {$(
        impl Action for $type {
            fn space() -> Option<Space> {
                Some(space_of::<$type>(&[]))
            }

            fn take(row: &mut &[f32]) -> Option<$type> {
                Some(<$type>::from(split(row, 1)?[0]))
            }

            fn to_value(&self) -> Value {
                Observation::to_value(self)
            }

            fn from_value(value: &Value) -> Option<$type> {
                Observation::from_value(value)
            }
        }
    )*};
}

scalar_actions!(f32, f64);

macro_rules! tuples {
    ($(($($name:ident $at:tt),*)),*) => {$(
        impl<$($name: Observation),*> Observation for ($($name,)*) {
            fn space() -> Option<Space> {
                Some(Space::Tuple(Tuple::new(vec![$($name::space()?),*])))
            }

            fn row_len(&self) -> usize {
                0 $(+ self.$at.row_len())*
            }

            fn write(&self, row: &mut [f32]) {
                let mut rest = row;
                $(
                    let (front, after) = rest.split_at_mut(self.$at.row_len());
                    self.$at.write(front);
                    rest = after;
                )*
                debug_assert!(rest.is_empty(), "the row has the observation's length");
            }

            fn to_value(&self) -> Value {
                Value::List(vec![$(self.$at.to_value()),*])
            }

            fn from_value(value: &Value) -> Option<Self> {
                let values = value.as_list()?;
                let count = [$($at),*].len();
                (values.len() == count).then_some(())?;
                Some(($($name::from_value(&values[$at])?,)*))
            }
        }

        impl<$($name: Action),*> Action for ($($name,)*) {
            fn space() -> Option<Space> {
                Some(Space::Tuple(Tuple::new(vec![$($name::space()?),*])))
            }

            fn take(row: &mut &[f32]) -> Option<Self> {
                Some(($($name::take(row)?,)*))
            }

            fn to_value(&self) -> Value {
                Value::List(vec![$(self.$at.to_value()),*])
            }

            fn from_value(value: &Value) -> Option<Self> {
                let values = value.as_list()?;
                let count = [$($at),*].len();
                (values.len() == count).then_some(())?;
                Some(($($name::from_value(&values[$at])?,)*))
            }
        }
    )*};
}

tuples!((A 0), (A 0, B 1), (A 0, B 1, C 2), (A 0, B 1, C 2, D 3));

impl Observation for Value {
    fn row_len(&self) -> usize {
        match self {
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => 1,
            Value::Text(text) => text.chars().count(),
            Value::List(values) => values.iter().map(Observation::row_len).sum(),
            Value::Array(array) => array.len(),
            Value::Map(values) => values.values().map(Observation::row_len).sum(),
            Value::Graph(_) => 0,
        }
    }

    fn write(&self, row: &mut [f32]) {
        let parts: Vec<&Value> = match self {
            Value::Bool(value) => return row[0] = value.to_f32(),
            Value::Int(value) => return row[0] = *value as f32,
            Value::Float(value) => return row[0] = *value as f32,
            Value::Array(array) => return array.data().write(row),
            Value::Text(text) => {
                for (slot, letter) in row.iter_mut().zip(text.chars()) {
                    *slot = letter as u32 as f32;
                }
                return;
            }
            Value::Graph(_) => return,
            Value::List(values) => values.iter().collect(),
            Value::Map(values) => values.values().collect(),
        };
        let mut rest = row;
        for part in parts {
            let (front, after) = rest.split_at_mut(part.row_len());
            part.write(front);
            rest = after;
        }
        // A text may be shorter than its space allows.
        rest.fill(0.0);
    }

    fn to_value(&self) -> Value {
        self.clone()
    }

    fn from_value(value: &Value) -> Option<Value> {
        Some(value.clone())
    }
}

impl Action for Value {
    fn take(row: &mut &[f32]) -> Option<Value> {
        Some(Array::from(std::mem::take(row).to_vec()).into())
    }

    fn from_index(index: i64) -> Option<Value> {
        Some(Value::Int(index))
    }

    fn from_indices(indices: &[i64]) -> Option<Value> {
        Some(match indices {
            [index] => Value::Int(*index),
            several => Array::from(several.to_vec()).into(),
        })
    }

    fn to_value(&self) -> Value {
        self.clone()
    }

    fn from_value(value: &Value) -> Option<Value> {
        Some(value.clone())
    }
}
