//! Tuples of up to four as observations and actions.

use super::{Action, Observation};
use crate::{Space, Tuple, Value};

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
