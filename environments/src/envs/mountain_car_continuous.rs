//! MountainCarContinuous: a car in a valley whose engine is throttled at will.
//!
//! # Description
//! The valley of [`MountainCar`](super::MountainCar) with a force in place of three choices.
//!
//! # Action space
//! `Box(-1, 1, 1)`: the force; values outside are clipped for the motion, and cost as they are.
//!
//! # Observation space
//! `Box(2)`: position in -1.2..0.6, velocity in ±0.07, as f32.
//!
//! # Rewards
//! -0.1 times the square of the action, and 100 for the step that reaches the flag.
//!
//! # Starting state
//! Position uniform in -0.6..-0.4, velocity 0; options `low` and `high` of reset change the bounds.
//!
//! # Episode end
//! Terminated at a position of 0.45 or more with a velocity of `goal_velocity` or more; truncated after 999
//! steps.
//!
//! # Arguments
//! `goal_velocity`: the least velocity at the flag, 0.
//!
//! # Version history
//! v0: the first.
//!
//! A start state is in f64 and every later one in f32, as Gymnasium keeps them; the arithmetic follows, so
//! that episodes are equal bit for bit.

use super::{
    cartpole::bounds,
    mountain_car::{GRAVITY, POSITION_MAX, POSITION_MIN, SPEED_MAX, draw, observation_space},
};
use crate::{
    BoxSpace, Env, EnvError, EnvSpec, Frame, Info, Kwargs, MakeError, Metadata, Options,
    RenderMode, Space, State, Step, Value, rng::Rng,
};

pub(super) fn specs() -> Vec<EnvSpec> {
    let make = |kwargs: &mut Kwargs| -> Result<MountainCarContinuous, MakeError> {
        let goal_velocity = kwargs.take_float("goal_velocity")?.unwrap_or(0.0);
        Ok(MountainCarContinuous::new().goal_velocity(goal_velocity))
    };
    vec![
        EnvSpec::new("MountainCarContinuous-v0", make)
            .max_episode_steps(999)
            .reward_threshold(90.0),
    ]
}

/// The environment; state order: position, velocity.
#[derive(Clone, Debug)]
pub struct MountainCarContinuous {
    state: [f64; 2],
    /// Whether the state is a start, in f64; later ones are f32.
    is_start: bool,
    goal_velocity: f64,
    is_started: bool,
    rng: Rng,
}

impl Default for MountainCarContinuous {
    fn default() -> Self {
        MountainCarContinuous::new()
    }
}

impl MountainCarContinuous {
    /// Returns MountainCarContinuous-v0, whose flag may be passed at any speed.
    pub fn new() -> MountainCarContinuous {
        MountainCarContinuous {
            state: [0.0; 2],
            is_start: true,
            goal_velocity: 0.0,
            is_started: false,
            rng: Rng::from_entropy(),
        }
    }

    /// Sets the least velocity at the flag.
    pub fn goal_velocity(mut self, value: f64) -> Self {
        self.goal_velocity = value;
        self
    }

    fn observation(&self) -> [f32; 2] {
        self.state.map(|value| value as f32)
    }
}

/// Returns what an action and the slope add to the velocity.
///
/// A force within its bounds is an f32 and makes the sum one; a clipped force is exact.
fn pull(position: f64, action: f32) -> f64 {
    let slope = GRAVITY * position.cos();
    if action.abs() > 1.0 {
        f64::from(action.signum()) * POWER - slope
    } else {
        f64::from(action * POWER as f32 - slope as f32)
    }
}

/// Advances a start state; returns whether the car is past the flag.
fn advance_start([position, velocity]: &mut [f64; 2], action: f32, goal_velocity: f64) -> bool {
    *velocity = (*velocity + pull(3.0 * *position, action)).clamp(-SPEED_MAX, SPEED_MAX);
    *position = (*position + *velocity).clamp(POSITION_MIN, POSITION_MAX);
    if *position == POSITION_MIN && *velocity < 0.0 {
        *velocity = 0.0;
    }
    *position >= GOAL && *velocity >= goal_velocity
}

/// Advances a later state; returns whether the car is past the flag.
fn advance([position, velocity]: &mut [f32; 2], action: f32, goal_velocity: f64) -> bool {
    let (least, most, speed) = (POSITION_MIN as f32, POSITION_MAX as f32, SPEED_MAX as f32);
    let pull = pull(f64::from(3.0 * *position), action) as f32;
    *velocity = (*velocity + pull).clamp(-speed, speed);
    *position = (*position + *velocity).clamp(least, most);
    if *position == least && *velocity < 0.0 {
        *velocity = 0.0;
    }
    *position >= GOAL as f32 && *velocity >= goal_velocity as f32
}

impl Env for MountainCarContinuous {
    type Observation = [f32; 2];
    type Action = [f32; 1];

    fn observation_space(&self) -> Space {
        observation_space()
    }

    fn action_space(&self) -> Space {
        Space::Box(BoxSpace::new(vec![-1.0], vec![1.0]))
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<([f32; 2], Info), EnvError> {
        if let Some(seed) = seed {
            self.rng = Rng::new(seed);
        }
        let (low, high) = bounds(options, -0.6, -0.4)?;
        self.state = [self.rng.uniform(low, high), 0.0];
        self.is_start = true;
        self.is_started = true;
        Ok((self.observation(), Info::new()))
    }

    fn step(&mut self, action: &[f32; 1]) -> Result<Step<[f32; 2]>, EnvError> {
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        let action = action[0];
        if !action.is_finite() {
            return Err(EnvError::invalid_action(action, self.action_space()));
        }
        let mut state = self.observation();
        let terminated = if self.is_start {
            let terminated = advance_start(&mut self.state, action, self.goal_velocity);
            state = self.observation();
            terminated
        } else {
            advance(&mut state, action, self.goal_velocity)
        };
        self.state = state.map(f64::from);
        self.is_start = false;
        let bonus = if terminated { 100.0 } else { 0.0 };
        Ok(Step {
            observation: state,
            reward: bonus - f64::from(action) * f64::from(action) * 0.1,
            terminated,
            truncated: false,
            info: Info::new(),
        })
    }

    fn state(&self) -> State {
        let mut state = State {
            values: self.state.to_vec(),
            rng: self.rng.save(),
            ..State::default()
        };
        state
            .extra
            .insert("is_start".into(), Value::Bool(self.is_start));
        state
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        self.state = state.numbers()?;
        state.restore_rng(&mut self.rng);
        self.is_start = state.extra.get("is_start") != Some(&Value::Bool(false));
        self.is_started = true;
        Ok(())
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        match mode {
            RenderMode::RgbArray => Ok(draw(self.state[0], GOAL).into_frame()),
            _ => Err(EnvError::not_drawn("MountainCarContinuous", mode)),
        }
    }

    fn metadata(&self) -> Metadata {
        Metadata::new(&[RenderMode::RgbArray], 30)
    }

    fn rng_mut(&mut self) -> Option<&mut Rng> {
        Some(&mut self.rng)
    }
}

const POWER: f64 = 0.0015;
const GOAL: f64 = 0.45;
