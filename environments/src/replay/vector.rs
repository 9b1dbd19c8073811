//! Vector environments and their autoreset modes.

use serde_json::Value as Json;

use super::{
    ReplayError,
    compare::{numbers, row_difference, short},
    file::{Trace, malformed},
};
use crate::{
    DynEnv, Env as _, Options,
    vector::{Actions, AutoresetMode, StepBuffers, SyncVectorEnv, VectorEnv as _},
};

/// Replays a trace of several environments stepped together.
pub(super) fn difference(trace: &Trace<'_>) -> Result<Option<String>, ReplayError> {
    let mode = mode(trace)?;
    let starts = trace.list("reset_states_per_env")?;
    let envs = starts
        .iter()
        .map(|starts| starting(trace, starts))
        .collect::<Result<Vec<_>, _>>()?;
    let count = envs.len();
    let mut envs = SyncVectorEnv::from_envs(envs, mode)?;
    let is_discrete = envs.single_action_space().as_discrete().is_some();
    let mut out = StepBuffers::for_env(&envs);
    envs.reset(None, &mut out.obs)?;
    let tolerance = trace.tolerance(0);
    if trace.has("obs0") {
        let expected = trace.numbers("obs0")?;
        let found = widened(&out.obs);
        if let Some(difference) = row_difference("obs0", &found, &expected, tolerance) {
            return Ok(Some(difference));
        }
    }
    let steps = trace.list("actions")?.len();
    let mut masks = ResetMasks::new(trace.get("manual_reset_mask"), steps, count)?;
    for (at, actions) in trace.list("actions")?.iter().enumerate() {
        let actions = numbers(actions)?;
        let choices = actions
            .iter()
            .map(|choice| *choice as i64)
            .collect::<Vec<_>>();
        let values = actions
            .iter()
            .map(|value| *value as f32)
            .collect::<Vec<_>>();
        let actions = if is_discrete {
            Actions::Discrete(&choices)
        } else {
            Actions::Continuous(&values)
        };
        if let Err(error) = envs.step(actions, &mut out) {
            return Ok(Some(format!("step {at}: {error}")));
        }
        let is_observed = observation_difference(trace, at, &out.obs, tolerance)?;
        if let Some(difference) = flag_difference(trace, at, &out, tolerance)? {
            return Ok(Some(format!("step {at}: {difference}")));
        }
        let has_ended = out
            .terminated
            .iter()
            .zip(&out.truncated)
            .any(|(terminated, truncated)| *terminated || *truncated);
        let mask = masks.next(at, has_ended);
        if let Some(mask) = &mask {
            envs.reset_where(mask, &mut out.obs)?;
        }
        if let Some(difference) = is_observed {
            // A record may have been made after the reset by hand.
            let is_after_reset =
                mask.is_some() && observation_difference(trace, at, &out.obs, tolerance)?.is_none();
            if !is_after_reset {
                return Ok(Some(format!("step {at}: {difference}")));
            }
        }
    }
    Ok(None)
}

fn mode(trace: &Trace<'_>) -> Result<AutoresetMode, ReplayError> {
    let name = trace.get("autoreset_mode").as_str().unwrap_or_default();
    let plain = name
        .rsplit('.')
        .next()
        .unwrap_or_default()
        .replace(['_', '-'], "")
        .to_lowercase();
    match plain.as_str() {
        "nextstep" => Ok(AutoresetMode::NextStep),
        "samestep" => Ok(AutoresetMode::SameStep),
        "disabled" => Ok(AutoresetMode::Disabled),
        _ => Err(malformed(&format!("`{name}` is no autoreset mode"))),
    }
}

/// Makes an environment whose resets begin in the given states, by scripting their draws.
fn starting(trace: &Trace<'_>, starts: &Json) -> Result<Box<dyn DynEnv>, ReplayError> {
    let mut env = trace.make()?;
    env.reset(Some(0), &Options::new())?;
    let wrong = || malformed("`reset_states_per_env` needs an environment that draws its start");
    // How many draws a reset makes is how many values of a state are drawn, from the first on.
    let drawn = env.rng_mut().ok_or_else(wrong)?.save().get(1).copied();
    let drawn = drawn.ok_or_else(wrong)? as usize;
    let starts = starts
        .as_array()
        .ok_or_else(|| malformed(&format!("`{}` is no list of states", short(starts))))?;
    for start in starts {
        let values = numbers(start)?;
        let script = values.get(..drawn).ok_or_else(wrong)?;
        env.rng_mut()
            .ok_or_else(wrong)?
            .script(script.iter().copied());
    }
    Ok(env)
}

fn observation_difference(
    trace: &Trace<'_>,
    at: usize,
    found: &[f32],
    tolerance: f64,
) -> Result<Option<String>, ReplayError> {
    let expected = trace.list("obs")?.get(at);
    let expected = numbers(expected.ok_or_else(|| malformed("`obs` ends before `actions`"))?)?;
    Ok(row_difference("obs", &widened(found), &expected, tolerance))
}

/// Returns the first of rewards, flags and final observations that differs.
fn flag_difference(
    trace: &Trace<'_>,
    at: usize,
    out: &StepBuffers,
    tolerance: f64,
) -> Result<Option<String>, ReplayError> {
    let truths = |flags: &[bool]| {
        flags
            .iter()
            .map(|flag| f64::from(u8::from(*flag)))
            .collect()
    };
    let rows: [(&str, Vec<f64>); 3] = [
        ("rewards", out.rewards.clone()),
        ("terminated", truths(&out.terminated)),
        ("truncated", truths(&out.truncated)),
    ];
    for (key, found) in rows {
        let Some(expected) = trace.get(key).get(at) else {
            continue;
        };
        let difference = row_difference(key, &found, &numbers(expected)?, tolerance);
        if difference.is_some() {
            return Ok(difference);
        }
    }
    let finals = trace.get("final_obs").get(at);
    let finals = finals
        .and_then(Json::as_array)
        .map_or(&[][..], Vec::as_slice);
    for env in 0..out.has_final.len() {
        let expected = finals.get(env).unwrap_or(&Json::Null);
        if out.has_final[env] == expected.is_null() {
            let found = out.has_final[env];
            return Ok(Some(format!(
                "environment {env} has a final_obs is {found}"
            )));
        }
        if expected.is_null() {
            continue;
        }
        let len = out.final_obs.len() / out.has_final.len();
        let found = widened(&out.final_obs[env * len..][..len]);
        let difference = row_difference("final_obs", &found, &numbers(expected)?, tolerance);
        if difference.is_some() {
            return Ok(difference);
        }
    }
    Ok(None)
}

fn widened(row: &[f32]) -> Vec<f64> {
    row.iter().map(|value| f64::from(*value)).collect()
}

/// Which environments the driver reset by hand, and after which steps.
struct ResetMasks {
    /// One a step, or one for each step that ended an episode.
    masks: Vec<(Option<usize>, Option<Vec<bool>>)>,
    next: usize,
}

impl ResetMasks {
    /// Reads `[mask or null, …]`, `[[step, mask], …]`, `[{"step": …, "mask": …}, …]`, or `{"3": mask, …}`.
    fn new(json: &Json, steps: usize, count: usize) -> Result<ResetMasks, ReplayError> {
        let mask = |json: &Json| -> Result<Option<Vec<bool>>, ReplayError> {
            if json.is_null() {
                return Ok(None);
            }
            let mask = numbers(json)?
                .iter()
                .map(|flag| *flag != 0.0)
                .collect::<Vec<_>>();
            if mask.len() != count {
                return Err(malformed(&format!(
                    "a reset mask of {} environments",
                    mask.len()
                )));
            }
            Ok(Some(mask))
        };
        let mut masks = Vec::new();
        match json {
            Json::Object(by_step) => {
                for (step, json) in by_step {
                    let step = step
                        .parse()
                        .map_err(|_| malformed("a reset mask of no step"))?;
                    masks.push((Some(step), mask(json)?));
                }
            }
            Json::Array(list) => {
                for (at, json) in list.iter().enumerate() {
                    let pair = match json {
                        Json::Array(pair) if pair.len() == 2 && pair[1].is_array() => {
                            Some((&pair[0], &pair[1]))
                        }
                        Json::Object(pair) => pair.get("step").zip(pair.get("mask")),
                        _ => None,
                    };
                    masks.push(match pair {
                        Some((step, flags)) => {
                            (step.as_u64().map(|step| step as usize), mask(flags)?)
                        }
                        None if list.len() >= steps => (Some(at), mask(json)?),
                        None => (None, mask(json)?),
                    });
                }
            }
            _ => {}
        }
        Ok(ResetMasks { masks, next: 0 })
    }

    /// Returns the mask that was used after step `at`, if one was.
    fn next(&mut self, at: usize, has_ended: bool) -> Option<Vec<bool>> {
        let by_step = self.masks.iter().find(|(step, _)| *step == Some(at));
        if let Some((_, mask)) = by_step {
            return mask.clone().filter(|mask| mask.contains(&true));
        }
        if !has_ended || self.masks.get(self.next)?.0.is_some() {
            return None;
        }
        self.next += 1;
        self.masks[self.next - 1].1.clone()
    }
}
