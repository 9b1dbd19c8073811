//! Episodes that begin in a recorded state, and the loop that all episodes share.

use super::{
    ReplayError,
    compare::{info_difference, is_close, observation_difference},
    file::{Trace, action, malformed},
};
use crate::{DynEnv, Options, State, Step, Value};

/// Replays a trace of classic control or toy text.
pub(super) fn difference(trace: &Trace<'_>) -> Result<Option<String>, ReplayError> {
    if !trace.has("init_state") {
        return Err(malformed(
            "it has none of `init_state`, `player`, `reset_draws`, `autoreset_mode`",
        ));
    }
    let mut env = trace.make()?;
    env.reset(Some(0), &Options::new())?;
    env.set_state(&State {
        values: trace.numbers("init_state")?,
        ..env.state()
    })?;
    play(trace, env.as_mut(), |_, _| Ok(None))
}

/// Replays the actions of a trace; `around` is called before each step and after it, and may find a difference.
pub(super) fn play(
    trace: &Trace<'_>,
    env: &mut dyn DynEnv,
    mut around: impl FnMut(&mut dyn DynEnv, Moment) -> Result<Option<String>, ReplayError>,
) -> Result<Option<String>, ReplayError> {
    let space = env.action_space();
    for (at, recorded) in trace.list("actions")?.iter().enumerate() {
        let action = action(recorded, &space)?;
        if let Some(difference) = around(env, Moment::Before(at))? {
            return Ok(Some(difference));
        }
        let step = match env.step(&action) {
            Ok(step) => step,
            Err(error) => return Ok(Some(format!("step {at}: {error}"))),
        };
        let difference = match step_difference(trace, at, &step)? {
            None => around(env, Moment::After(at))?,
            some => some,
        };
        if let Some(difference) = difference {
            return Ok(Some(format!("step {at}: {difference}")));
        }
    }
    Ok(None)
}

/// When in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Before(usize),
    After(usize),
}

/// Returns the first thing of a step that differs from the record.
pub(super) fn step_difference(
    trace: &Trace<'_>,
    at: usize,
    step: &Step<Value>,
) -> Result<Option<String>, ReplayError> {
    let tolerance = trace.tolerance(at);
    if let Some(expected) = trace.list("obs")?.get(at) {
        let found = &step.observation;
        let difference = observation_difference("observation", found, expected, tolerance)?;
        if difference.is_some() {
            return Ok(difference);
        }
    }
    if let Some(expected) = trace.list("rewards")?.get(at) {
        let expected = expected
            .as_f64()
            .ok_or_else(|| malformed(&format!("reward {at} is no number")))?;
        if !is_close(step.reward, expected, tolerance) {
            let found = step.reward;
            return Ok(Some(format!(
                "the reward is {found}, recorded was {expected}"
            )));
        }
    }
    for (name, found) in [
        ("terminated", step.terminated),
        ("truncated", step.truncated),
    ] {
        if let Some(expected) = trace.flag(name, at)
            && found != expected
        {
            return Ok(Some(format!("{name} is {found}, recorded was {expected}")));
        }
    }
    match trace.get("infos").get(at) {
        Some(expected) => info_difference(&step.info, expected),
        None => Ok(None),
    }
}
