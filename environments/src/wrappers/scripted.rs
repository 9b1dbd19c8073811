//! An environment for tests that shows and pays what it is told, and remembers what was done.

use crate::{Discrete, Env, EnvError, Info, Options, Space, State, Step, Value};

/// Shows the observations in turn; the episode is over at the last.
#[derive(Clone, Debug)]
pub(crate) struct Scripted {
    pub(crate) observation_space: Space,
    pub(crate) action_space: Space,
    pub(crate) observations: Vec<Value>,
    pub(crate) rewards: Vec<f64>,
    pub(crate) done: Vec<Value>,
    pub(crate) at: usize,
}

impl Scripted {
    pub(crate) fn new(space: impl Into<Space>, observations: Vec<Value>) -> Scripted {
        Scripted {
            observation_space: space.into(),
            action_space: Discrete::new(2).into(),
            rewards: vec![1.0; observations.len()],
            observations,
            done: Vec::new(),
            at: 0,
        }
    }

    /// Pays these rewards, and shows one number that means nothing.
    pub(crate) fn paying(rewards: &[f64]) -> Scripted {
        let observations = vec![Value::Int(0); rewards.len() + 1];
        Scripted {
            rewards: rewards.to_vec(),
            ..Scripted::new(Discrete::new(1), observations)
        }
    }

    /// Takes actions of this space, and shows one number that means nothing.
    pub(crate) fn acted(space: impl Into<Space>) -> Scripted {
        Scripted {
            action_space: space.into(),
            ..Scripted::paying(&[0.0; 200])
        }
    }
}

impl Env for Scripted {
    type Observation = Value;
    type Action = Value;

    fn observation_space(&self) -> Space {
        self.observation_space.clone()
    }

    fn action_space(&self) -> Space {
        self.action_space.clone()
    }

    fn reset(&mut self, _: Option<u64>, _: &Options) -> Result<(Value, Info), EnvError> {
        self.at = 0;
        Ok((self.observations[0].clone(), Info::new()))
    }

    fn step(&mut self, action: &Value) -> Result<Step<Value>, EnvError> {
        self.done.push(action.clone());
        self.at += 1;
        Ok(Step {
            observation: self.observations[self.at].clone(),
            reward: self.rewards[self.at - 1],
            terminated: self.at + 1 == self.observations.len(),
            truncated: false,
            info: Info::new(),
        })
    }

    fn state(&self) -> State {
        State {
            values: vec![self.at as f64],
            ..State::default()
        }
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        match state.values[..] {
            [at] => self.at = at as usize,
            _ => return Err(EnvError::InvalidState("one number".into())),
        }
        Ok(())
    }
}

/// Resets and then steps until the end; returns what was shown.
pub(crate) fn shown(env: &mut impl Env<Observation = Value, Action = Value>) -> Vec<Value> {
    let space = env.observation_space();
    let (first, _) = env.reset(None, &Options::new()).expect("a reset");
    let mut all = vec![first];
    loop {
        let step = env.step(&Value::Int(0)).expect("a step");
        all.push(step.observation);
        if step.terminated || step.truncated {
            break;
        }
    }
    for value in &all {
        assert!(space.contains(value), "{value:?} is not in {space}");
    }
    all
}
