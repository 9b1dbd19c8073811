//! Episodes recorded with Gymnasium 1.4.0, replayed from the same states.

use environments::{
    Env, EnvError, Info, Options, Space, State, Step,
    envs::CartPole,
    vector::{Actions, AutoresetMode, StepBuffers, SyncVectorEnv, VectorEnv as _},
};
use serde_json::Value;

fn load(text: &str) -> Value {
    serde_json::from_str(text).expect("a trace file")
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .expect("numbers")
        .iter()
        .map(|number| number.as_f64().expect("a number"))
        .collect()
}

fn close(found: &[f32], expected: &[f64], tolerance: f64) -> bool {
    found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(found, expected)| (f64::from(*found) - expected).abs() <= tolerance)
}

#[test]
fn cartpole_episodes_equal_gymnasiums() {
    let file = load(include_str!("traces/CartPole-v0.json"));
    let tolerance = file["tolerance"].as_f64().expect("a tolerance");
    for (number, trace) in file["traces"]
        .as_array()
        .expect("traces")
        .iter()
        .enumerate()
    {
        let sutton_barto = trace["kwargs"]["sutton_barto_reward"]
            .as_bool()
            .unwrap_or(false);
        let mut env = CartPole::v0().sutton_barto_reward(sutton_barto);
        env.reset(Some(0), &Options::new()).expect("a reset");
        env.set_state(&State {
            values: numbers(&trace["init_state"]),
            ..env.state()
        })
        .expect("a state");
        for (at, action) in trace["actions"]
            .as_array()
            .expect("actions")
            .iter()
            .enumerate()
        {
            let step = env
                .step(&action.as_i64().expect("an action"))
                .expect("a step");
            assert!(
                close(&step.observation, &numbers(&trace["obs"][at]), tolerance),
                "trace {number}, step {at}"
            );
            assert_eq!(
                step.reward,
                trace["rewards"][at].as_f64().expect("a reward"),
                "trace {number}, step {at}"
            );
            assert_eq!(
                step.terminated,
                trace["terminated"].as_u64() == Some(at as u64),
                "trace {number}, step {at}"
            );
            assert_eq!(
                step.truncated,
                trace["truncated"].as_u64() == Some(at as u64),
                "trace {number}, step {at}"
            );
        }
    }
}

/// CartPole whose resets take their states from a list.
struct Scripted {
    inner: CartPole,
    states: Vec<Vec<f64>>,
}

impl Env for Scripted {
    type Observation = [f32; 4];
    type Action = i64;

    fn observation_space(&self) -> Space {
        self.inner.observation_space()
    }

    fn action_space(&self) -> Space {
        self.inner.action_space()
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<([f32; 4], Info), EnvError> {
        self.inner.reset(seed, options)?;
        let values = self.states.remove(0);
        let observation = std::array::from_fn(|at| values[at] as f32);
        self.inner.set_state(&State {
            values,
            ..self.inner.state()
        })?;
        Ok((observation, Info::new()))
    }

    fn step(&mut self, action: &i64) -> Result<Step<[f32; 4]>, EnvError> {
        self.inner.step(action)
    }

    fn state(&self) -> State {
        self.inner.state()
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        self.inner.set_state(state)
    }
}

#[test]
fn vector_autoreset_equals_gymnasiums_in_each_mode() {
    let file = load(include_str!("traces/vector-autoreset-CartPole-v1.json"));
    let tolerance = file["tolerance"].as_f64().expect("a tolerance");
    let mut modes = Vec::new();
    for trace in file["traces"].as_array().expect("traces") {
        let name = trace["autoreset_mode"].as_str().expect("a mode");
        let mode = match name {
            "NextStep" => AutoresetMode::NextStep,
            "SameStep" => AutoresetMode::SameStep,
            "Disabled" => AutoresetMode::Disabled,
            other => panic!("mode {other}"),
        };
        modes.push(name.to_owned());
        let scripts = trace["reset_states_per_env"].as_array().expect("states");
        let mut envs = SyncVectorEnv::new(scripts.len(), mode, |at| Scripted {
            inner: CartPole::new(),
            states: scripts[at]
                .as_array()
                .expect("states")
                .iter()
                .map(numbers)
                .collect(),
        });
        let mut out = StepBuffers::for_env(&envs);
        envs.reset(Some(0), &mut out.obs).expect("a reset");
        let manual = &trace["manual_reset_mask"];
        for (at, actions) in trace["actions"]
            .as_array()
            .expect("actions")
            .iter()
            .enumerate()
        {
            let actions = actions
                .as_array()
                .expect("a row")
                .iter()
                .map(|action| action.as_i64().expect("an action"));
            envs.step(Actions::Discrete(&actions.collect::<Vec<_>>()), &mut out)
                .expect("a step");
            let expected = trace["obs"][at].as_array().expect("rows");
            let expected = if expected.first().is_some_and(Value::is_array) {
                expected.iter().flat_map(numbers).collect::<Vec<_>>()
            } else {
                numbers(&trace["obs"][at])
            };
            assert!(close(&out.obs, &expected, tolerance), "{name}, step {at}");
            assert_eq!(
                out.rewards,
                numbers(&trace["rewards"][at]),
                "{name}, step {at}"
            );
            let flags = |value: &Value| -> Vec<bool> {
                value
                    .as_array()
                    .expect("flags")
                    .iter()
                    .map(|flag| flag.as_bool().expect("a flag"))
                    .collect()
            };
            assert_eq!(
                out.terminated,
                flags(&trace["terminated"][at]),
                "{name}, step {at}"
            );
            assert_eq!(
                out.truncated,
                flags(&trace["truncated"][at]),
                "{name}, step {at}"
            );
            if let Some(finals) = trace["final_obs"][at].as_array() {
                for (env, row) in finals.iter().enumerate() {
                    assert_eq!(out.has_final[env], !row.is_null(), "{name}, step {at}");
                    if !row.is_null() {
                        assert!(
                            close(&out.final_obs[env * 4..][..4], &numbers(row), tolerance),
                            "{name}, step {at}"
                        );
                    }
                }
            }
            if let Some(mask) = manual.get(at).filter(|mask| mask.is_array()) {
                envs.reset_where(&flags(mask), &mut out.obs)
                    .expect("a reset");
            }
        }
    }
    assert!(!modes.is_empty());
}
