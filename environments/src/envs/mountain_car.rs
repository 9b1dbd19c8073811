//! MountainCar: a car in a valley, too weak to drive straight up.
//!
//! # Description
//! The problem of Moore (1990): the car must swing back and forth to gather speed for the hill on the right.
//!
//! # Action space
//! `Discrete(3)`: accelerate to the left (0), not at all (1), to the right (2).
//!
//! # Observation space
//! `Box(2)`: position in -1.2..0.6, velocity in ±0.07, as f32 of a state in f64.
//!
//! # Rewards
//! -1 for every step, the last included.
//!
//! # Starting state
//! Position uniform in -0.6..-0.4, velocity 0; options `low` and `high` of reset change the bounds.
//!
//! # Episode end
//! Terminated at a position of 0.5 or more with a velocity of `goal_velocity` or more; truncated after 200
//! steps.
//!
//! # Arguments
//! `goal_velocity`: the least velocity at the flag, 0.
//!
//! # Version history
//! v0: the first.

use super::cartpole::bounds;
use crate::{
    BoxSpace, Discrete, Env, EnvError, EnvSpec, Frame, Info, Kwargs, MakeError, Metadata, Options,
    RenderMode, Space, State, Step,
    render::{Canvas, Color},
    rng::Rng,
    vector::lanes::{LanesVectorEnv, MountainCarLanes},
};

pub(super) fn specs() -> Vec<EnvSpec> {
    let goal_velocity = |kwargs: &mut Kwargs| -> Result<f64, MakeError> {
        Ok(kwargs.take_float("goal_velocity")?.unwrap_or(0.0))
    };
    let spec = EnvSpec::new("MountainCar-v0", move |kwargs| {
        Ok(MountainCar::new().goal_velocity(goal_velocity(kwargs)?))
    });
    let spec = spec.vector_entry_point(move |kwargs, config| {
        let goal_velocity = goal_velocity(kwargs)?;
        Ok(LanesVectorEnv::new(
            MountainCarLanes { goal_velocity },
            config,
        ))
    });
    vec![spec.max_episode_steps(200).reward_threshold(-110.0)]
}

/// The environment; state order: position, velocity.
#[derive(Clone, Debug)]
pub struct MountainCar {
    state: [f64; 2],
    goal_velocity: f64,
    is_started: bool,
    rng: Rng,
}

impl Default for MountainCar {
    fn default() -> Self {
        MountainCar::new()
    }
}

impl MountainCar {
    /// Returns MountainCar-v0, whose flag may be passed at any speed.
    pub fn new() -> MountainCar {
        MountainCar {
            state: [0.0; 2],
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

/// Advances one state by one step; `action` is 0, 1 or 2. Returns whether the car is past the flag.
fn advance(state: &mut [f64; 2], action: i64, goal_velocity: f64) -> bool {
    let [position, velocity] = *state;
    *state = moved(position, velocity, action as f64, (3.0 * position).cos());
    is_past(state[0], state[1], goal_velocity)
}

/// Returns position and velocity after a step; `slope` is the cosine of three times the position.
#[inline(always)]
pub(crate) fn moved(position: f64, velocity: f64, action: f64, slope: f64) -> [f64; 2] {
    let pull = (action - 1.0) * FORCE + slope * -GRAVITY;
    let velocity = (velocity + pull).clamp(-SPEED_MAX, SPEED_MAX);
    let position = (position + velocity).clamp(POSITION_MIN, POSITION_MAX);
    let hits_wall = (position == POSITION_MIN) & (velocity < 0.0);
    [position, if hits_wall { 0.0 } else { velocity }]
}

/// Returns whether the car is past the flag.
#[inline(always)]
pub(crate) fn is_past(position: f64, velocity: f64, goal_velocity: f64) -> bool {
    (position >= GOAL) & (velocity >= goal_velocity)
}

impl Env for MountainCar {
    type Observation = [f32; 2];
    type Action = i64;

    fn observation_space(&self) -> Space {
        observation_space()
    }

    fn action_space(&self) -> Space {
        Space::Discrete(Discrete::new(3))
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
        self.is_started = true;
        Ok((self.observation(), Info::new()))
    }

    fn step(&mut self, action: &i64) -> Result<Step<[f32; 2]>, EnvError> {
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        if !(0..3).contains(action) {
            return Err(EnvError::invalid_action(action, "Discrete(3)"));
        }
        let terminated = advance(&mut self.state, *action, self.goal_velocity);
        Ok(Step {
            observation: self.observation(),
            reward: -1.0,
            terminated,
            truncated: false,
            info: Info::new(),
        })
    }

    fn state(&self) -> State {
        State {
            values: self.state.to_vec(),
            rng: self.rng.save(),
            ..State::default()
        }
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        self.state = state.numbers()?;
        state.restore_rng(&mut self.rng);
        self.is_started = true;
        Ok(())
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        match mode {
            RenderMode::RgbArray => Ok(draw(self.state[0], GOAL).into_frame()),
            _ => Err(EnvError::not_drawn("MountainCar", mode)),
        }
    }

    fn metadata(&self) -> Metadata {
        Metadata::new(&[RenderMode::RgbArray], 30)
    }

    fn rng_mut(&mut self) -> Option<&mut Rng> {
        Some(&mut self.rng)
    }
}

/// Draws the car in its valley, and the flag at `goal`.
pub(super) fn draw(position: f64, goal: f64) -> Canvas {
    let mut canvas = Canvas::new(600, 400, Color::WHITE);
    let scale = 600.0 / (POSITION_MAX - POSITION_MIN);
    let ground = |position: f64| {
        let height = (3.0 * position).sin() * 0.45 + 0.55;
        ((position - POSITION_MIN) * scale, 400.0 - height * scale)
    };
    let width = POSITION_MAX - POSITION_MIN;
    let hill = (0..=100).map(|at| ground(POSITION_MIN + width * f64::from(at) / 100.0));
    canvas.polyline(&hill.collect::<Vec<_>>(), 2.0, Color::BLACK);
    let (x, y) = ground(goal);
    canvas.line((x, y), (x, y - 50.0), 2.0, Color::BLACK);
    canvas.polygon(
        &[(x, y - 50.0), (x, y - 40.0), (x + 25.0, y - 45.0)],
        Color(204, 204, 0),
    );
    // The car stands on the slope: right is along it, up is square to it.
    let (x, y) = ground(position);
    let (sin, cos) = (3.0 * position).cos().sin_cos();
    let at = |right: f64, up: f64| {
        (
            x + right * cos - up * sin,
            y - 10.0 - right * sin - up * cos,
        )
    };
    canvas.polygon(
        &[
            at(-20.0, 0.0),
            at(-20.0, 20.0),
            at(20.0, 20.0),
            at(20.0, 0.0),
        ],
        Color::BLACK,
    );
    for wheel in [-10.0, 10.0] {
        canvas.circle(at(wheel, 0.0), 8.0, Color::GRAY);
    }
    canvas
}

/// Returns where positions and velocities are.
pub(crate) fn observation_space() -> Space {
    Space::Box(BoxSpace::new(
        vec![POSITION_MIN as f32, -SPEED_MAX as f32],
        vec![POSITION_MAX as f32, SPEED_MAX as f32],
    ))
}

pub(crate) const POSITION_MIN: f64 = -1.2;
pub(crate) const POSITION_MAX: f64 = 0.6;
pub(crate) const SPEED_MAX: f64 = 0.07;
pub(crate) const GRAVITY: f64 = 0.0025;
const FORCE: f64 = 0.001;
const GOAL: f64 = 0.5;
