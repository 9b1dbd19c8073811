//! Transition tables against their records.

use serde_json::Value as Json;

use super::{
    ReplayError,
    compare::{numbers, row_difference, short},
    file::{TraceFile, malformed},
};
use crate::{
    envs::toy::{Transition, TransitionTable, transition_table},
    registry,
};

/// Returns whether a file has something of a table.
pub(super) fn has_table(json: &Json) -> bool {
    ["P", "P1", "initial_state_distribution"]
        .iter()
        .any(|key| json.get(key).is_some_and(|value| !value.is_null()))
}

/// Compares the environment's table with the file's.
pub(super) fn difference(file: &TraceFile<'_>) -> Result<Option<String>, ReplayError> {
    let spec = registry::spec(&file.id)?;
    let mut kwargs = spec.kwargs.with(&file.kwargs(&Json::Null));
    let table = transition_table(&spec.id().name, &mut kwargs)?
        .ok_or_else(|| malformed(&format!("{} has no transition table", file.id)))?;
    if let Some(initial) = file.json.get("initial_state_distribution") {
        let initial = numbers(initial)?;
        let what = "initial_state_distribution";
        let difference = row_difference(what, table.initial(), &initial, PROBABILITY_TOLERANCE);
        if difference.is_some() {
            return Ok(difference);
        }
    }
    for (key, is_certain) in [("P", false), ("P1", true)] {
        let Some(states) = file.json.get(key).filter(|states| !states.is_null()) else {
            continue;
        };
        let states = items(states, key)?;
        if states.len() != table.states() {
            let (found, expected) = (table.states(), states.len());
            return Ok(Some(format!("{found} states, recorded were {expected}")));
        }
        for (state, actions) in states.iter().enumerate() {
            let actions = items(actions, key)?;
            if actions.len() != table.actions() {
                let (found, expected) = (table.actions(), actions.len());
                return Ok(Some(format!("{found} actions, recorded were {expected}")));
            }
            for (action, recorded) in actions.iter().enumerate() {
                let expected = transitions(recorded, is_certain)?;
                if let Some(difference) = pair_difference(&table, state, action, &expected) {
                    return Ok(Some(format!("{key}[{state}][{action}]: {difference}")));
                }
            }
        }
    }
    Ok(None)
}

fn pair_difference(
    table: &TransitionTable,
    state: usize,
    action: usize,
    expected: &[Transition],
) -> Option<String> {
    let found = table.outcomes(state, action);
    let is_same = |(found, expected): (&Transition, &Transition)| {
        (found.next, found.reward, found.terminated)
            == (expected.next, expected.reward, expected.terminated)
            && (found.probability - expected.probability).abs() <= PROBABILITY_TOLERANCE
    };
    let is_equal = found.len() == expected.len() && found.iter().zip(expected).all(is_same);
    (!is_equal).then(|| format!("{found:?}, recorded were {expected:?}"))
}

/// Reads `[[probability, next, reward, terminated], …]`, or `[next, reward, terminated]` of a certain one.
fn transitions(json: &Json, is_certain: bool) -> Result<Vec<Transition>, ReplayError> {
    let wrong = || malformed(&format!("`{}` is no list of transitions", short(json)));
    let transition = |parts: &[f64]| {
        let (probability, rest) = match parts {
            [probability, rest @ ..] if rest.len() == 3 => (*probability, rest),
            _ => (1.0, parts),
        };
        match rest {
            [next, reward, terminated] if *next >= 0.0 => Some(Transition {
                probability,
                next: *next as usize,
                reward: *reward,
                terminated: *terminated != 0.0,
            }),
            _ => None,
        }
    };
    let rows = items(json, "P")?;
    if is_certain && rows.first().is_some_and(|row| !row.is_array()) {
        return Ok(vec![transition(&numbers(json)?).ok_or_else(wrong)?]);
    }
    rows.iter()
        .map(|row| transition(&numbers(row)?).ok_or_else(wrong))
        .collect()
}

/// Returns the items of a list, or of an object with the keys `0`, `1` and so on.
fn items<'a>(json: &'a Json, key: &str) -> Result<Vec<&'a Json>, ReplayError> {
    let wrong = || malformed(&format!("`{key}` is not nested lists"));
    match json {
        Json::Array(items) => Ok(items.iter().collect()),
        Json::Object(map) => (0..map.len())
            .map(|at| map.get(&at.to_string()).ok_or_else(wrong))
            .collect(),
        _ => Err(wrong()),
    }
}

const PROBABILITY_TOLERANCE: f64 = 1e-12;
