//! Comparing what an environment returned with what was recorded.

use serde_json::Value as Json;

use super::ReplayError;
use crate::{Info, Value};

/// Returns whether two numbers are as near as they must be; a number recorded as f32 text is exact as f32.
pub(super) fn is_close(found: f64, expected: f64, tolerance: f64) -> bool {
    found == expected
        || (found - expected).abs() <= tolerance
        || found as f32 == expected as f32
        || (found.is_nan() && expected.is_nan())
}

/// Returns what is different between two rows, named by `what`.
pub(super) fn row_difference(
    what: &str,
    found: &[f64],
    expected: &[f64],
    tolerance: f64,
) -> Option<String> {
    if found.len() != expected.len() {
        return Some(format!(
            "{what} has {} numbers, recorded were {}",
            found.len(),
            expected.len()
        ));
    }
    let differs = |(found, expected): (&f64, &f64)| !is_close(*found, *expected, tolerance);
    let at = found.iter().zip(expected).position(differs)?;
    Some(format!(
        "{what}[{at}] is {}, recorded was {}",
        found[at], expected[at]
    ))
}

/// Returns what is different between an observation and its record: numbers, nested or not, or packed bits.
pub(super) fn observation_difference(
    what: &str,
    found: &Value,
    expected: &Json,
    tolerance: f64,
) -> Result<Option<String>, ReplayError> {
    let found = numbers_of(found);
    let expected = match expected {
        Json::String(bits) => unpacked(bits, found.len())?,
        other => numbers(other)?,
    };
    Ok(row_difference(what, &found, &expected, tolerance))
}

/// Returns the first recorded entry of an info that is missing or different.
pub(super) fn info_difference(
    found: &Info,
    expected: &Json,
) -> Result<Option<String>, ReplayError> {
    let Some(expected) = expected.as_object() else {
        return Ok(None);
    };
    for (name, expected) in expected {
        let Some(found) = found.get(name) else {
            return Ok(Some(format!("the info has no `{name}`")));
        };
        let what = format!("info `{name}`");
        let difference = row_difference(&what, &numbers_of(found), &numbers(expected)?, 1e-12);
        if difference.is_some() {
            return Ok(difference);
        }
    }
    Ok(None)
}

/// Returns the numbers of a value in order; truths are 0 and 1.
pub(super) fn numbers_of(value: &Value) -> Vec<f64> {
    match value {
        Value::Bool(value) => vec![f64::from(u8::from(*value))],
        Value::Int(value) => vec![*value as f64],
        Value::Float(value) => vec![*value],
        Value::List(values) => values.iter().flat_map(numbers_of).collect(),
        Value::Array(array) => array.to_f64(),
        Value::Map(values) => values.values().flat_map(numbers_of).collect(),
        _ => Vec::new(),
    }
}

/// Returns the numbers of JSON in order, however nested; truths are 0 and 1.
pub(super) fn numbers(json: &Json) -> Result<Vec<f64>, ReplayError> {
    fn collect(json: &Json, into: &mut Vec<f64>) -> Option<()> {
        match json {
            Json::Bool(value) => into.push(f64::from(u8::from(*value))),
            Json::Number(number) => into.push(number.as_f64()?),
            Json::Array(values) => values.iter().try_for_each(|value| collect(value, into))?,
            Json::Object(values) => values.values().try_for_each(|value| collect(value, into))?,
            Json::Null | Json::String(_) => return None,
        }
        Some(())
    }
    let mut found = Vec::new();
    collect(json, &mut found)
        .ok_or_else(|| ReplayError::Malformed(format!("`{}` is not numbers", short(json))))?;
    Ok(found)
}

/// Unpacks `count` bits from hexadecimal digits, the highest bit of a byte first.
fn unpacked(digits: &str, count: usize) -> Result<Vec<f64>, ReplayError> {
    let nibbles = digits
        .chars()
        .map(|digit| digit.to_digit(16))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| ReplayError::Malformed(format!("`{digits}` is not hexadecimal")))?;
    let bits = nibbles
        .into_iter()
        .flat_map(|nibble| (0..4).rev().map(move |bit| f64::from(nibble >> bit & 1)))
        .collect::<Vec<_>>();
    // The last byte is padded with zeros.
    if bits.len() != count.div_ceil(8) * 8 {
        return Err(ReplayError::Malformed(format!(
            "an observation of {} bits, where the environment has {count}",
            bits.len()
        )));
    }
    Ok(bits[..count].to_vec())
}

/// Returns the beginning of JSON, for messages.
pub(super) fn short(json: &Json) -> String {
    let text = json.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_unpacked_highest_first() {
        let bits = unpacked("a1", 8).expect("hexadecimal");
        assert_eq!(bits, [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        assert!(unpacked("a1", 9).is_err() && unpacked("zz", 8).is_err());
        assert_eq!(unpacked("a180", 9).map(|bits| bits.len()).ok(), Some(9));
    }

    #[test]
    fn a_number_that_is_the_same_f32_is_equal() {
        assert!(is_close(f64::from(0.1_f32), 0.1, 0.0));
        assert!(!is_close(0.1, 0.101, 0.0) && is_close(0.1, 0.101, 0.01));
    }
}
