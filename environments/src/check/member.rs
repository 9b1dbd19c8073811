//! Why a value is not a member of a space, and where two values differ.

use super::Promise;
use crate::{Space, Value};

/// Returns which promise a value breaks that is not in the space, and what is wrong; `None` for a member.
pub(super) fn fault(space: &Space, value: &Value, path: &str) -> Option<(Promise, String)> {
    if space.contains(value) {
        return None;
    }
    let wrong = |promise, problem: String| Some((promise, format!("{path} {problem}")));
    match (space, value) {
        (Space::Box(bounds), Value::Array(array)) => {
            if array.shape() != bounds.shape {
                let (found, needed) = (array.shape(), &bounds.shape);
                let problem = format!("has shape {found:?} and not {needed:?}");
                return wrong(Promise::ObservationShape, problem);
            }
            if array.dtype() != bounds.dtype {
                let (found, needed) = (array.dtype().name(), bounds.dtype.name());
                let problem = format!("is of {found} and not {needed}");
                return wrong(Promise::ObservationDtype, problem);
            }
            let at = (0..array.len()).find(|at| {
                let (low, high) = bounds.bounds(*at);
                !(low..=high).contains(&array.get(*at))
            })?;
            let (number, (low, high)) = (array.get(at), bounds.bounds(at));
            if number.is_nan() {
                return wrong(
                    Promise::ObservationNumber,
                    format!("is NaN at element {at}"),
                );
            }
            let problem = format!("is {number} at element {at}, where bounds are {low} to {high}");
            wrong(Promise::ObservationBounds, problem)
        }
        (Space::Discrete(choice), Value::Int(number)) => {
            let last = choice.start + choice.n - 1;
            let problem = format!("is {number} and not from {} to {last}", choice.start);
            wrong(Promise::ObservationBounds, problem)
        }
        (Space::Dict(parts), Value::Map(values)) => {
            let names = || parts.iter().map(|(name, _)| name);
            if let Some(name) = names().find(|name| !values.contains_key(*name)) {
                return wrong(Promise::ObservationShape, format!("has no part `{name}`"));
            }
            if let Some(name) = values.keys().find(|name| parts.get(name).is_none()) {
                let problem = format!("has a part `{name}` that the space has not");
                return wrong(Promise::ObservationShape, problem);
            }
            let mut parts = parts.iter();
            parts.find_map(|(name, part)| fault(part, &values[name], &format!("{path}.{name}")))
        }
        (Space::Tuple(parts), Value::List(values)) if parts.spaces.len() == values.len() => {
            let mut parts = parts.spaces.iter().zip(values).enumerate();
            parts.find_map(|(at, (part, value))| fault(part, value, &format!("{path}[{at}]")))
        }
        (Space::MultiDiscrete(_) | Space::MultiBinary(_), Value::Array(_))
        | (Space::Text(_), Value::Text(_)) => {
            let problem = format!("is {value:?}, which is not in {space}");
            wrong(Promise::ObservationBounds, problem)
        }
        _ => {
            let problem = format!("is {value:?}, of another kind than {space}");
            wrong(Promise::ObservationShape, problem)
        }
    }
}

/// Returns where two values differ by more than `tolerance`; NaN is like NaN.
pub(super) fn difference(a: &Value, b: &Value, tolerance: f64, path: &str) -> Option<String> {
    let differ = || Some(format!("{path}: {a:?} and {b:?}"));
    match (a, b) {
        (Value::Float(x), Value::Float(y)) if are_near(*x, *y, tolerance) => None,
        (Value::Array(x), Value::Array(y)) => {
            if x.shape() != y.shape() || x.dtype() != y.dtype() {
                return differ();
            }
            let at = (0..x.len()).find(|at| !are_near(x.get(*at), y.get(*at), tolerance))?;
            Some(format!(
                "{path}, element {at}: {} and {}",
                x.get(at),
                y.get(at)
            ))
        }
        (Value::List(x), Value::List(y)) if x.len() == y.len() => {
            let mut both = x.iter().zip(y).enumerate();
            both.find_map(|(at, (x, y))| difference(x, y, tolerance, &format!("{path}[{at}]")))
        }
        (Value::Map(x), Value::Map(y)) if x.keys().eq(y.keys()) => {
            let mut names = x.keys();
            names.find_map(|name| {
                difference(&x[name], &y[name], tolerance, &format!("{path}.{name}"))
            })
        }
        _ if a == b => None,
        _ => differ(),
    }
}

/// Returns whether two numbers are as near as that.
pub(super) fn are_near(x: f64, y: f64, tolerance: f64) -> bool {
    x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= tolerance
}
