//! A trace file and its traces, and how their environments are made.

use serde_json::Value as Json;

use super::{
    ReplayError,
    compare::{numbers, short},
};
use crate::{DynEnv, EnvBuilder, Kwargs, Space, Value, registry};

/// A file: an environment and its traces.
pub(super) struct TraceFile<'a> {
    pub(super) json: &'a Json,
    /// The registered id that the file's `env` means.
    pub(super) id: String,
    pub(super) traces: &'a [Json],
}

impl<'a> TraceFile<'a> {
    pub(super) fn new(json: &'a Json) -> Result<TraceFile<'a>, ReplayError> {
        let env = json["env"]
            .as_str()
            .ok_or_else(|| malformed("the file has no `env`, the id of an environment"))?;
        let traces = match &json["traces"] {
            Json::Null => &[],
            Json::Array(traces) => traces.as_slice(),
            other => {
                return Err(malformed(&format!(
                    "`traces` is {} and no list",
                    short(other)
                )));
            }
        };
        Ok(TraceFile {
            json,
            id: registered_id(env),
            traces,
        })
    }

    pub(super) fn trace(&self, number: usize) -> Result<Trace<'_>, ReplayError> {
        let json = &self.traces[number];
        if !json.is_object() {
            return Err(malformed(&format!("trace {number} is no object")));
        }
        Ok(Trace { file: self, json })
    }

    /// Returns the arguments of the environment: the file's, with the trace's in place of those of the same name.
    pub(super) fn kwargs(&self, trace: &Json) -> Kwargs {
        let mut kwargs = Kwargs::new();
        if self.is_minatar() {
            // The native interface repeats no action unless the file says so.
            kwargs.insert("sticky_action_prob", 0.0);
            for name in ["sticky_action_prob", "difficulty_ramping"] {
                insert(&mut kwargs, name, &self.json[name]);
            }
        }
        for object in [&self.json["kwargs"], &trace["kwargs"]] {
            for (name, value) in object.as_object().into_iter().flatten() {
                if !MAKERS_OWN.contains(&name.as_str()) {
                    insert(&mut kwargs, name, value);
                }
            }
        }
        kwargs
    }

    /// Returns the step limit that trace, arguments or file give; `None` when they leave it to the spec.
    fn limit(&self, trace: &Json) -> Option<Option<u32>> {
        let name = "max_episode_steps";
        [
            trace.get(name),
            trace["kwargs"].get(name),
            self.json["kwargs"].get(name),
            self.json.get(name),
        ]
        .into_iter()
        .flatten()
        .next()
        .map(|limit| limit.as_u64().and_then(|limit| u32::try_from(limit).ok()))
    }

    /// Returns what the file says of the environment that is not so.
    pub(super) fn spec_difference(&self) -> Result<Option<String>, ReplayError> {
        let spec = registry::spec(&self.id)?;
        let own = |name: &str| self.json.get(name).filter(|_| !self.is_minatar());
        let is_limited = self.json["kwargs"].get("max_episode_steps").is_some();
        if let Some(limit) = own("max_episode_steps").filter(|_| !is_limited)
            && limit.as_u64() != spec.max_episode_steps.map(u64::from)
        {
            let found = spec.max_episode_steps;
            return Ok(Some(format!(
                "max_episode_steps is {found:?}, recorded was {limit}"
            )));
        }
        if let Some(threshold) = own("reward_threshold")
            && threshold.as_f64() != spec.reward_threshold
        {
            let found = spec.reward_threshold;
            return Ok(Some(format!(
                "reward_threshold is {found:?}, recorded was {threshold}"
            )));
        }
        Ok(None)
    }

    fn is_minatar(&self) -> bool {
        self.id.starts_with("MinAtar/")
    }

    /// Returns how far observations and rewards may be from the record when the file does not say.
    fn tolerance(&self) -> f64 {
        let is_exact = [
            "FrozenLake",
            "CliffWalking",
            "Taxi",
            "Blackjack",
            "MinAtar/",
        ]
        .iter()
        .any(|exact| self.id.starts_with(exact));
        let usual = if is_exact { 0.0 } else { 1e-4 };
        self.json["tolerance"].as_f64().unwrap_or(usual)
    }
}

/// One trace of a file.
pub(super) struct Trace<'a> {
    pub(super) file: &'a TraceFile<'a>,
    json: &'a Json,
}

impl<'a> Trace<'a> {
    /// Returns whether there is something under a key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.json.get(key).is_some_and(|value| !value.is_null())
    }

    /// Returns what is under a key; null when there is nothing.
    pub(super) fn get(&self, key: &str) -> &'a Json {
        &self.json[key]
    }

    /// Returns the list under a key.
    pub(super) fn list(&self, key: &str) -> Result<&'a [Json], ReplayError> {
        let list = self.json[key].as_array();
        list.map(Vec::as_slice)
            .ok_or_else(|| malformed(&format!("`{key}` is no list")))
    }

    /// Returns the numbers under a key.
    pub(super) fn numbers(&self, key: &str) -> Result<Vec<f64>, ReplayError> {
        numbers(&self.json[key])
    }

    /// Returns how far step `at` may be from the record.
    pub(super) fn tolerance(&self, at: usize) -> f64 {
        let tolerance = self.file.tolerance();
        // The double pendulum is chaotic: rounding grows over a hundred steps.
        if self.file.id.starts_with("Acrobot") && at >= 100 {
            tolerance.max(1e-2)
        } else {
            tolerance
        }
    }

    /// Returns whether a flag was recorded as set at step `at`; `None` when nothing was recorded.
    ///
    /// It is recorded as the index of the step, as null for never, or as a list of truths.
    pub(super) fn flag(&self, key: &str, at: usize) -> Option<bool> {
        match self.json.get(key)? {
            Json::Null => Some(false),
            Json::Bool(flag) => Some(*flag && at + 1 == self.json["actions"].as_array()?.len()),
            Json::Array(flags) => flags.get(at).map(|flag| flag.as_bool() == Some(true)),
            index => Some(index.as_f64() == Some(at as f64)),
        }
    }

    /// Makes the environment with the arguments of file and trace.
    pub(super) fn make(&self) -> Result<Box<dyn DynEnv>, ReplayError> {
        let mut kwargs = self.file.kwargs(self.json);
        let id = lander_id(&self.file.id, &mut kwargs);
        let mut builder = EnvBuilder::new(id).kwargs(kwargs).disable_env_checker(true);
        if let Some(limit) = self.file.limit(self.json) {
            builder = builder.max_episode_steps(limit);
        }
        Ok(builder.build()?)
    }
}

/// Returns an action of a space.
pub(super) fn action(json: &Json, space: &Space) -> Result<Value, ReplayError> {
    let values = numbers(json)?;
    match (space, values.as_slice()) {
        (Space::Discrete(_), [choice]) if choice.fract() == 0.0 => Ok(Value::Int(*choice as i64)),
        (Space::Box(_), _) => {
            let values = values.into_iter().map(|value| value as f32);
            Ok(Value::Array(values.collect::<Vec<_>>().into()))
        }
        _ => Err(malformed(&format!(
            "action {} is not of {space}",
            short(json)
        ))),
    }
}

pub(super) fn malformed(text: &str) -> ReplayError {
    ReplayError::Malformed(text.to_owned())
}

/// Returns the registered id that a recorded name means: `minatar/space_invaders` is the native interface's.
fn registered_id(env: &str) -> String {
    let Some(game) = env
        .strip_prefix("minatar/")
        .or_else(|| env.strip_prefix("minatar-"))
    else {
        return env.to_owned();
    };
    if game.contains("-v") {
        return format!("MinAtar/{game}");
    }
    let words = game.split(['_', '-']).map(|word| {
        let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        first.to_uppercase() + rest
    });
    format!("MinAtar/{}-v0", words.collect::<String>())
}

/// Returns the id that means the lander with the engines asked for: `continuous` is an argument in Gymnasium.
fn lander_id<'a>(id: &'a str, kwargs: &mut Kwargs) -> &'a str {
    if !id.starts_with("LunarLander") {
        return id;
    }
    match kwargs.take("continuous") {
        Some(Value::Bool(true)) => "LunarLanderContinuous-v3",
        Some(Value::Bool(false)) => "LunarLander-v3",
        _ => id,
    }
}

/// Sets an argument; null leaves it out.
fn insert(kwargs: &mut Kwargs, name: &str, json: &Json) {
    if let Some(value) = value(json) {
        kwargs.insert(name, value);
    }
}

fn value(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(value) => Value::Int(value),
            None => Value::Float(number.as_f64()?),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(values) => Value::List(values.iter().filter_map(value).collect()),
        Json::Object(values) => Value::Map(
            values
                .iter()
                .filter_map(|(name, json)| Some((name.clone(), value(json)?)))
                .collect(),
        ),
    })
}

/// Arguments of `make` itself, not of an environment.
const MAKERS_OWN: [&str; 4] = [
    "max_episode_steps",
    "disable_env_checker",
    "order_enforce",
    "render_mode",
];
