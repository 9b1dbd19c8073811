//! Infos of several environments as one info of arrays, and back.
//!
//! Vector environments here write a list of infos; Gymnasium's have one info of arrays, each with a mask of who has
//! it under the same name after an underscore.

use crate::{Array, Info, Value};

/// Returns one info of arrays of `n` numbers or lists of `n` values, with masks of who has them.
///
/// Numbers and truths become arrays, with 0 and false for who has none; other values become lists, with false there.
///
/// ```
/// use environments::{Info, vector::{info_arrays, info_list}};
///
/// let infos = [Info::from([("prob".to_owned(), 0.5.into())]), Info::new()];
/// let arrays = info_arrays(&infos);
/// assert_eq!(arrays["prob"].as_array().map(|all| all.to_f64()), Some(vec![0.5, 0.0]));
/// assert_eq!(arrays["_prob"].as_array().map(|all| all.to_f64()), Some(vec![1.0, 0.0]));
/// assert_eq!(info_list(&arrays, 2), infos);
/// ```
pub fn info_arrays(infos: &[Info]) -> Info {
    let names = infos.iter().flat_map(|info| info.keys());
    let mut arrays = Info::new();
    for name in names {
        if arrays.contains_key(name) {
            continue;
        }
        let values = infos.iter().map(|info| info.get(name));
        let values = values.collect::<Vec<_>>();
        let mask = values.iter().map(Option::is_some).collect::<Vec<bool>>();
        arrays.insert(name.clone(), together(&values));
        arrays.insert(format!("_{name}"), Array::from(mask).into());
    }
    arrays
}

/// Returns the infos of `n` environments that [`info_arrays`] made one of.
///
/// What has no mask belongs to nobody and is left out.
pub fn info_list(arrays: &Info, n: usize) -> Vec<Info> {
    let mut infos = vec![Info::new(); n];
    for (name, values) in arrays {
        let mask = arrays.get(&format!("_{name}")).and_then(Value::as_array);
        let Some(mask) = mask.filter(|mask| mask.len() == n) else {
            continue;
        };
        for at in (0..n).filter(|at| mask.get(*at) != 0.0) {
            if let Some(value) = one(values, at) {
                infos[at].insert(name.clone(), value);
            }
        }
    }
    infos
}

/// Returns the values of one name as an array, or as a list where they are not all numbers of one kind.
fn together(values: &[Option<&Value>]) -> Value {
    fn all<T: Default>(
        values: &[Option<&Value>],
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        let values = values.iter();
        values
            .map(|value| value.map_or(Some(T::default()), &read))
            .collect()
    }
    let int = |value: &Value| match value {
        Value::Int(number) => Some(*number),
        _ => None,
    };
    let float = |value: &Value| match value {
        Value::Float(number) => Some(*number),
        _ => None,
    };
    if let Some(truths) = all(values, Value::as_bool) {
        return Array::from(truths).into();
    }
    if let Some(numbers) = all(values, int) {
        return Array::from(numbers).into();
    }
    if let Some(numbers) = all(values, float) {
        return Array::from(numbers).into();
    }
    let values = values.iter();
    Value::List(
        values
            .map(|value| value.map_or(Value::Bool(false), Clone::clone))
            .collect(),
    )
}

/// Returns what one environment has in the values of all.
fn one(values: &Value, at: usize) -> Option<Value> {
    match values {
        Value::List(values) => values.get(at).cloned(),
        Value::Array(array) if at < array.len() => Some(match array.dtype() {
            crate::Dtype::Bool => Value::Bool(array.get(at) != 0.0),
            dtype if dtype.is_float() => Value::Float(array.get(at)),
            _ => Value::Int(array.get(at) as i64),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_environment_lacks_is_masked_and_comes_back_as_missing() {
        let info = |pairs: &[(&str, Value)]| -> Info {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect()
        };
        let infos = [
            info(&[("lives", 3.into()), ("name", "a".into())]),
            info(&[("won", true.into()), ("mixed", 1.into())]),
            info(&[("lives", 0.into()), ("mixed", 0.5.into())]),
        ];
        let arrays = info_arrays(&infos);
        assert_eq!(arrays["lives"], Array::from(vec![3_i64, 0, 0]).into());
        let mask = Array::from(vec![true, false, true]);
        assert_eq!(arrays["_lives"], mask.into());
        assert_eq!(arrays.len(), 8);
        assert_eq!(info_list(&arrays, 3), infos);
        assert_eq!(info_list(&arrays, 2), [Info::new(), Info::new()]);
    }
}
