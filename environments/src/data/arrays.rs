//! Arrays and vectors of numbers as observations and actions.

use super::{Action, Observation, array, space_of, split};
use crate::{Element, Space, Value};

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
