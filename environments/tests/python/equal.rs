//! Episodes through the bridge are those that Python plays alone, in another process.

use std::process::Command;

use environments::{
    Array, ArrayData, Env as _, Info, Options, Space, Value, Vectorization, make_vec,
    vector::{Actions, AutoresetMode, StepBuffers, VectorEnv as _},
};
use serde_json::Value as Json;

use crate::builder;

/// Returns what `rollout.py` prints, a line each.
pub(crate) fn rollout(arguments: &[&str]) -> Vec<Json> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/rollout.py");
    let python = match std::env::var("VIRTUAL_ENV") {
        Ok(root) => format!("{root}/bin/python"),
        Err(_) => "python3".to_owned(),
    };
    let output = Command::new(&python).arg(script).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{python}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).expect("it prints text");
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("it prints JSON")
}

/// Returns the bytes of an array's elements in hexadecimal.
fn hex(array: &Array) -> String {
    let bytes: Vec<u8> = match array.data() {
        ArrayData::Bool(elements) => elements.iter().map(|element| u8::from(*element)).collect(),
        ArrayData::U8(elements) => elements.clone(),
        ArrayData::F32(elements) => elements
            .iter()
            .flat_map(|element| element.to_le_bytes())
            .collect(),
        ArrayData::F64(elements) => elements
            .iter()
            .flat_map(|element| element.to_le_bytes())
            .collect(),
        ArrayData::I8(elements) => elements
            .iter()
            .flat_map(|element| element.to_le_bytes())
            .collect(),
        ArrayData::I64(elements) => elements
            .iter()
            .flat_map(|element| element.to_le_bytes())
            .collect(),
        other => panic!("no environment here has {:?}", other.dtype()),
    };
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns a value as `rollout.py` prints it.
fn plain(value: &Value) -> Json {
    match value {
        Value::Bool(value) => Json::from(*value),
        Value::Int(value) => Json::from(*value),
        Value::Float(value) => Json::from(*value),
        Value::Text(value) => Json::from(value.as_str()),
        Value::Array(array) => Json::from(hex(array)),
        Value::List(values) => values.iter().map(plain).collect(),
        Value::Map(values) => all(values),
        other => panic!("no environment here has {other:?}"),
    }
}

fn all(info: &Info) -> Json {
    info.iter()
        .map(|(name, value)| (name.clone(), plain(value)))
        .collect()
}

pub(crate) fn numbers(line: &Json, name: &str) -> Vec<f64> {
    let list = line[name].as_array().expect("a list");
    list.iter()
        .map(|number| number.as_f64().expect("a number"))
        .collect()
}

fn truths(line: &Json, name: &str) -> Vec<bool> {
    let list = line[name].as_array().expect("a list");
    list.iter()
        .map(|truth| truth.as_bool().expect("a truth"))
        .collect()
}

/// Compares an episode's every observation, reward, flag and info; returns how many episodes ended.
fn plays_alike(id: &str, steps: usize) -> usize {
    let lines = rollout(&[id, "7", &steps.to_string()]);
    let mut env = builder(&format!("gym:{id}")).build().expect(id);
    let actions = env.action_space();
    let (mut seed, mut ends) = (Some(7), 0);
    for (at, line) in lines.iter().enumerate() {
        let Some(action) = line.get("action") else {
            let (observation, info) = env.reset(seed.take(), &Options::new()).expect("a reset");
            assert_eq!(plain(&observation), line["observation"], "{id}: line {at}");
            assert_eq!(all(&info), line["info"], "{id}: line {at}");
            continue;
        };
        let numbers = numbers(line, "action");
        let action = match &actions {
            Space::Discrete(_) => Value::Int(action[0].as_i64().expect("a choice")),
            Space::Box(space) => {
                let elements = ArrayData::from_f64(space.dtype, numbers);
                Array::new(space.shape.clone(), elements)
                    .expect("it fits")
                    .into()
            }
            other => panic!("no environment here has {other}"),
        };
        let step = env.step(&action).expect("a step");
        assert_eq!(
            plain(&step.observation),
            line["observation"],
            "{id}: line {at}"
        );
        assert_eq!(Json::from(step.reward), line["reward"], "{id}: line {at}");
        assert_eq!(
            Json::from(step.terminated),
            line["terminated"],
            "{id}: line {at}"
        );
        assert_eq!(
            Json::from(step.truncated),
            line["truncated"],
            "{id}: line {at}"
        );
        assert_eq!(all(&step.info), line["info"], "{id}: line {at}");
        ends += usize::from(step.terminated || step.truncated);
    }
    assert!(lines.len() > steps, "{id}");
    ends
}

#[test]
fn classic_and_toy_episodes_are_those_of_python() {
    assert!(plays_alike("CartPole-v1", 200) > 2);
    assert!(
        plays_alike("Blackjack-v1", 50) > 10,
        "tuples are observations too"
    );
    assert_eq!(
        plays_alike("Pendulum-v1", 450),
        2,
        "the limit of 200 steps cuts"
    );
}

#[test]
fn box2d_episodes_are_those_of_python() {
    assert!(plays_alike("LunarLander-v3", 300) > 1);
}

#[test]
fn atari_frames_are_those_of_python() {
    plays_alike("ALE/Pong-v5", 60);
}

#[test]
fn mujoco_episodes_are_those_of_python() {
    assert_eq!(plays_alike("HalfCheetah-v5", 200), 0);
    assert!(plays_alike("Hopper-v5", 200) > 1);
}

/// Returns rows of f32 from the bytes of a batch of observations.
fn rows(line: &Json) -> Vec<f32> {
    floats(line["observation"].as_str().expect("bytes"))
}

fn floats(hex: &str) -> Vec<f32> {
    let byte = |at: usize| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).expect("hexadecimal");
    (0..hex.len() / 8)
        .map(|at| f32::from_le_bytes(std::array::from_fn(|part| byte(at * 4 + part))))
        .collect()
}

/// Compares four environments stepped together with Gymnasium's own vector environment; returns how many
/// episodes ended.
fn steps_alike(id: &str, mode: AutoresetMode, name: &str) -> usize {
    let lines = rollout(&[id, "3", "160", name, "4"]);
    let mut envs = make_vec(&format!("gym:{id}"), 4, mode).expect(id);
    let mut out = StepBuffers::for_env(&*envs);
    let d = envs.observation_len();
    let mut over = vec![true; 4];
    let mut ends = 0;
    envs.reset(Some(3), &mut out.obs).expect("a reset");
    for (at, line) in lines.iter().enumerate() {
        if line.get("action").is_none() {
            if at > 0 {
                envs.reset_where(&over, &mut out.obs).expect("a reset");
            }
            assert_eq!(out.obs, rows(line), "{name}: line {at}");
            continue;
        }
        let numbers = numbers(line, "action");
        let choices = numbers
            .iter()
            .map(|number| *number as i64)
            .collect::<Vec<_>>();
        let values = numbers
            .iter()
            .map(|number| *number as f32)
            .collect::<Vec<_>>();
        let actions = match envs.single_action_space() {
            Space::Discrete(_) => Actions::Discrete(&choices),
            _ => Actions::Continuous(&values),
        };
        envs.step(actions, &mut out).expect("a step");
        assert_eq!(out.obs, rows(line), "{name}: line {at}");
        assert_eq!(
            out.rewards,
            self::numbers(line, "reward"),
            "{name}: line {at}"
        );
        assert_eq!(
            out.terminated,
            truths(line, "terminated"),
            "{name}: line {at}"
        );
        assert_eq!(
            out.truncated,
            truths(line, "truncated"),
            "{name}: line {at}"
        );
        over = (0..4)
            .map(|env| out.terminated[env] || out.truncated[env])
            .collect();
        ends += over.iter().filter(|over| **over).count();
        for env in 0..4 {
            let last = line["final"].get(env).and_then(Json::as_str);
            assert_eq!(out.has_final[env], last.is_some(), "{name}: line {at}");
            if let Some(last) = last {
                assert_eq!(
                    out.final_obs[env * d..][..d],
                    floats(last),
                    "{name}: line {at}"
                );
            }
        }
    }
    ends
}

#[test]
fn four_environments_reset_themselves_as_gymnasiums_do() {
    for (mode, name) in [
        (AutoresetMode::NextStep, "NEXT_STEP"),
        (AutoresetMode::SameStep, "SAME_STEP"),
        (AutoresetMode::Disabled, "DISABLED"),
    ] {
        assert!(steps_alike("CartPole-v1", mode, name) > 10, "{name}");
        assert!(
            steps_alike("LunarLanderContinuous-v3", mode, name) > 2,
            "{name}"
        );
    }
}

#[test]
fn a_row_has_the_bytes_of_a_frame() {
    let mut envs = make_vec("gym:ALE/Pong-v5", 2, AutoresetMode::SameStep).expect("it is there");
    let mut out = StepBuffers::for_env(&*envs);
    envs.reset(Some(1), &mut out.obs).expect("a reset");
    envs.step(Actions::Discrete(&[2, 3]), &mut out)
        .expect("a step");
    for (env, choice) in [(0, 2), (1, 3)] {
        let mut alone = builder("gym:ALE/Pong-v5").build().expect("it is there");
        alone
            .reset(Some(1 + env as u64), &Options::new())
            .expect("a reset");
        let step = alone.step(&Value::Int(choice)).expect("a step");
        let frame = step.observation.as_array().expect("a frame").to_f64();
        let row = &out.obs[env * frame.len()..][..frame.len()];
        assert!(
            row.iter()
                .zip(&frame)
                .all(|(row, frame)| f64::from(*row) == *frame)
        );
        assert!(frame.iter().any(|byte| *byte > 0.0));
    }
}

#[test]
fn threads_write_the_rows_that_one_thread_does() {
    let make = |vectorization| {
        let builder = builder("gym:HalfCheetah-v5").vectorization(vectorization);
        let envs = builder.build_vec(4, AutoresetMode::SameStep);
        envs.expect("it is there")
    };
    let mut forms = [make(Vectorization::Sync), make(Vectorization::Threads(2))];
    let mut outs = [
        StepBuffers::for_env(&*forms[0]),
        StepBuffers::for_env(&*forms[1]),
    ];
    for (envs, out) in forms.iter_mut().zip(&mut outs) {
        envs.reset(Some(5), &mut out.obs).expect("a reset");
        for at in 0..20 {
            let actions = [at as f32 / 20.0; 4 * 6];
            envs.step(Actions::Continuous(&actions), out)
                .expect("a step");
        }
    }
    let [one, several] = outs;
    assert_eq!(one.obs, several.obs);
    assert_eq!(one.rewards, several.rewards);
}
