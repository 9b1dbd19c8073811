//! Values themselves as observations and actions, for environments whose types are known only at run time.

use super::{Action, Observation};
use crate::{Array, Element as _, Value};

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
