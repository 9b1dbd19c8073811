//! Episodes whose random draws were recorded: Blackjack, MinAtar, LunarLander.

use serde_json::Value as Json;

use super::{
    ReplayError,
    compare::{numbers, observation_difference, short},
    episode::{Moment, play},
    file::{Trace, action, malformed},
};
use crate::{DynEnv, Options, State, rng::Rng};

/// Replays a trace of Blackjack: hands that are set, and the cards that were drawn.
pub(super) fn blackjack_difference(trace: &Trace<'_>) -> Result<Option<String>, ReplayError> {
    let mut env = trace.make()?;
    env.reset(Some(0), &Options::new())?;
    let (player, dealer) = (trace.numbers("player")?, trace.numbers("dealer")?);
    let shown = *dealer
        .first()
        .ok_or_else(|| malformed("`dealer` has no card"))?;
    let hand = |cards: &[f64]| {
        let has_ace = cards.contains(&1.0);
        [
            cards.iter().sum::<f64>(),
            f64::from(u8::from(has_ace)),
            cards.len() as f64,
        ]
    };
    env.set_state(&State {
        values: [&hand(&player)[..], &hand(&dealer), &[shown]].concat(),
        ..env.state()
    })?;
    if trace.has("obs0") {
        let ace = player.contains(&1.0) && player.iter().sum::<f64>() <= 11.0;
        let sum = player.iter().sum::<f64>() + if ace { 10.0 } else { 0.0 };
        let found = [sum, shown, f64::from(u8::from(ace))];
        if trace.numbers("obs0")? != found {
            return Ok(Some(format!("the first observation is {found:?}")));
        }
    }
    let cards = match trace.get("cards_drawn") {
        Json::Null => Vec::new(),
        cards => numbers(cards)?,
    };
    // Ranks are drawn from 0: an ace first, the first of the tens at 9.
    let script = cards.iter().map(|card| card - 1.0).collect::<Vec<_>>();
    let drawn = start_script(env.as_mut(), &script)?;
    let last = trace.list("actions")?.len().saturating_sub(1);
    play(trace, env.as_mut(), |env, moment| match moment {
        Moment::After(at) if at == last => draw_difference(env, drawn),
        _ => Ok(None),
    })
}

/// Replays a trace whose reset and steps have recorded draws.
pub(super) fn difference(trace: &Trace<'_>) -> Result<Option<String>, ReplayError> {
    let mut env = trace.make()?;
    // Begins the generator; the reset that is replayed keeps it, as a seed would drop the script.
    env.reset(Some(0), &Options::new())?;
    let drawn = start_script(env.as_mut(), &draws(trace, trace.get("reset_draws"))?)?;
    let (first, _) = env.reset(None, &Options::new())?;
    if trace.has("obs0") {
        let tolerance = trace.tolerance(0);
        let expected = trace.get("obs0");
        let difference =
            observation_difference("the first observation", &first, expected, tolerance)?;
        if difference.is_some() {
            return Ok(difference);
        }
    }
    if let Some(difference) = draw_difference(env.as_mut(), drawn)? {
        return Ok(Some(format!("reset: {difference}")));
    }
    let is_physics = trace.has("first_contact") || trace.has("return");
    if is_physics {
        return contact_difference(trace, env.as_mut());
    }
    if is_flat(trace.get("step_draws")) {
        // One list for all steps: which step made a draw is not recorded, only that all are made.
        start_script(env.as_mut(), &draws(trace, trace.get("step_draws"))?)?;
        let last = trace.list("actions")?.len().saturating_sub(1);
        return play(trace, env.as_mut(), |env, moment| match moment {
            Moment::After(at) if at == last => draw_difference(env, drawn),
            _ => Ok(None),
        });
    }
    play(trace, env.as_mut(), |env, moment| match moment {
        Moment::Before(at) => {
            start_script(env, &step_draws(trace, at)?)?;
            Ok(None)
        }
        Moment::After(_) => draw_difference(env, drawn),
    })
}

/// Replays a trace of physics with contacts: equal before the first, then alike in return and end.
fn contact_difference(
    trace: &Trace<'_>,
    env: &mut dyn DynEnv,
) -> Result<Option<String>, ReplayError> {
    let actions = trace.list("actions")?;
    let first_contact = trace.get("first_contact").as_u64();
    let first_contact = first_contact.map_or(actions.len(), |at| at as usize);
    let space = env.action_space();
    let (mut total, mut has_terminated) = (0.0, false);
    for (at, recorded) in actions.iter().enumerate() {
        start_script(env, &step_draws(trace, at)?)?;
        let step = match env.step(&action(recorded, &space)?) {
            Ok(step) => step,
            Err(error) => return Ok(Some(format!("step {at}: {error}"))),
        };
        total += step.reward;
        if at < first_contact
            && let Some(difference) = super::episode::step_difference(trace, at, &step)?
        {
            return Ok(Some(format!("step {at}: {difference}")));
        }
        has_terminated = step.terminated;
        if step.terminated || step.truncated {
            break;
        }
    }
    let expected = !matches!(trace.get("terminated"), Json::Null | Json::Bool(false));
    if has_terminated != expected {
        return Ok(Some(format!(
            "terminated at the end is {has_terminated}, recorded was {expected}"
        )));
    }
    match trace.get("return").as_f64() {
        Some(expected) if (total - expected).abs() > RETURN_TOLERANCE => Ok(Some(format!(
            "the return is {total}, recorded was {expected}"
        ))),
        _ => Ok(None),
    }
}

/// Returns whether draws are recorded as one list, `[method, result]` each.
fn is_flat(recorded: &Json) -> bool {
    recorded
        .get(0)
        .and_then(|first| first.get(0))
        .is_some_and(Json::is_string)
}

/// Returns the draws of a step: the lists have one entry a step, or are empty where nothing was drawn.
fn step_draws(trace: &Trace<'_>, at: usize) -> Result<Vec<f64>, ReplayError> {
    match trace.get("step_draws") {
        Json::Array(steps) => match steps.get(at) {
            Some(recorded) => draws(trace, recorded),
            None => Ok(Vec::new()),
        },
        Json::Object(steps) => match steps.get(&at.to_string()) {
            Some(recorded) => draws(trace, recorded),
            None => Ok(Vec::new()),
        },
        _ => Ok(Vec::new()),
    }
}

/// Returns the results of recorded draws, `[method, result]` each or bare numbers, as the generator counts them.
fn draws(trace: &Trace<'_>, recorded: &Json) -> Result<Vec<f64>, ReplayError> {
    let Json::Array(items) = recorded else {
        return match recorded {
            Json::Null => Ok(Vec::new()),
            other => numbers(other),
        };
    };
    if let [Json::String(method), result @ ..] = items.as_slice() {
        let from = if method.starts_with("rand") && !method.starts_with("randint") {
            0.0
        } else {
            first_choice(trace, method)
        };
        let results = result.iter().map(numbers).collect::<Result<Vec<_>, _>>()?;
        return Ok(results
            .concat()
            .iter()
            .map(|result| result - from)
            .collect());
    }
    let each = items.iter().map(|item| match item {
        Json::Array(_) => draws(trace, item),
        Json::Number(_) => numbers(item),
        other => Err(malformed(&format!("`{}` is no draw", short(other)))),
    });
    Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
}

/// Returns the least result of a whole number's draw: rows and speeds are drawn from 1 in two games.
fn first_choice(trace: &Trace<'_>, method: &str) -> f64 {
    let id = &trace.file.id;
    let is_from_one = id.starts_with("MinAtar/Freeway") || id.starts_with("MinAtar/Seaquest");
    if is_from_one && (method.starts_with("randint") || method.starts_with("integers")) {
        1.0
    } else {
        0.0
    }
}

/// Scripts the next draws; returns how many the generator itself has made.
fn start_script(env: &mut dyn DynEnv, script: &[f64]) -> Result<Option<u64>, ReplayError> {
    let rng = env
        .rng_mut()
        .ok_or_else(|| malformed("the environment draws nothing, and draws were recorded"))?;
    rng.script(script.iter().copied());
    Ok(generated(rng))
}

/// Says when the environment has drawn more or less than was recorded; `before` is what [`start_script`] returned.
fn draw_difference(
    env: &mut dyn DynEnv,
    before: Option<u64>,
) -> Result<Option<String>, ReplayError> {
    let Some(rng) = env.rng_mut() else {
        return Ok(None);
    };
    if rng.script_left() > 0 {
        return Ok(Some(format!(
            "{} recorded draws were not made",
            rng.script_left()
        )));
    }
    Ok((generated(rng) != before).then(|| "more was drawn than recorded".to_owned()))
}

/// Returns how many draws a generator has made beyond its scripts.
fn generated(rng: &Rng) -> Option<u64> {
    rng.save().get(1).copied()
}

/// How far a return may be from the record after contacts.
const RETURN_TOLERANCE: f64 = 40.0;
