//! Single numbers and truths as observations and actions.

use super::{Action, Observation, array, space_of, split};
use crate::{Discrete, Element as _, Space, Value};

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

/// Returns the number when it is whole.
fn whole(number: f32) -> Option<i64> {
    (number.fract() == 0.0).then_some(number as i64)
}
