//! Pendulum: swing a pendulum up and keep it there.
//!
//! # Description
//! A pendulum with a motor at its hinge, too weak to lift it at once.
//!
//! # Action space
//! `Box(-2, 2, 1)`: the torque; values outside are clipped.
//!
//! # Observation space
//! `Box(3)`: cosine and sine of the angle (0 is upright), angular velocity in ±8.
//!
//! # Rewards
//! -(angle² + 0.1 velocity² + 0.001 torque²), with the angle in (-π, π], of the state before the step.
//!
//! # Starting state
//! Angle uniform in ±`x_init` (π), velocity in ±`y_init` (1), both options of reset.
//!
//! # Episode end
//! Truncated after 200 steps.
//!
//! # Arguments
//! `g` (10): the gravity; m/s².

use std::f64::consts::PI;

use crate::{
    BoxSpace, Env, EnvError, EnvSpec, Frame, Info, Kwargs, MakeError, Metadata, Options,
    RenderMode, Space, State, Step, Value,
    render::{Canvas, Color},
    rng::Rng,
    vector::lanes::{LanesVectorEnv, PendulumLanes},
};

pub(super) fn specs() -> Vec<EnvSpec> {
    let gravity = |kwargs: &mut Kwargs| -> Result<f64, MakeError> {
        Ok(kwargs.take_float("g")?.unwrap_or(10.0))
    };
    let spec = EnvSpec::new("Pendulum-v1", move |kwargs| {
        Ok(Pendulum::unlimited().gravity(gravity(kwargs)?))
    });
    let spec = spec.vector_entry_point(move |kwargs, config| {
        let gravity = gravity(kwargs)?;
        Ok(LanesVectorEnv::new(PendulumLanes { gravity }, config))
    });
    vec![spec.max_episode_steps(200)]
}

/// The environment; state order: angle, angular velocity.
#[derive(Clone, Debug)]
pub struct Pendulum {
    angle: f64,
    velocity: f64,
    gravity: f64,
    elapsed: u32,
    limit: Option<u32>,
    is_started: bool,
    rng: Rng,
    /// What the motor did last; only the picture shows it.
    last_torque: Option<f64>,
}

impl Default for Pendulum {
    fn default() -> Self {
        Pendulum::new()
    }
}

impl Pendulum {
    /// Returns Pendulum-v1 with its limit of 200 steps built in, and a gravity of 10 m/s².
    pub fn new() -> Pendulum {
        Pendulum {
            limit: Some(200),
            ..Pendulum::unlimited()
        }
    }

    /// Returns the environment without a limit, for a caller that counts.
    pub fn unlimited() -> Pendulum {
        Pendulum {
            limit: None,
            angle: 0.0,
            velocity: 0.0,
            gravity: 10.0,
            elapsed: 0,
            is_started: false,
            rng: Rng::from_entropy(),
            last_torque: None,
        }
    }

    /// Sets the gravity; m/s².
    pub fn gravity(mut self, value: f64) -> Self {
        self.gravity = value;
        self
    }

    fn observation(&self) -> [f32; 3] {
        observe([self.angle, self.velocity])
    }
}

/// Draws the rod, and the torque as an arc around the hinge.
fn draw(angle: f64, torque: f64) -> Canvas {
    let mut canvas = Canvas::new(500, 500, Color::WHITE);
    let pixels_per_metre = f64::from(canvas.width()) / 4.4;
    let hinge = (250.0, 250.0);
    // Positive angles are counterclockwise from upright.
    let at = |angle: f64, radius: f64| {
        (
            hinge.0 - angle.sin() * radius * pixels_per_metre,
            hinge.1 - angle.cos() * radius * pixels_per_metre,
        )
    };
    let (rod, half_width) = (Color(204, 77, 77), 0.1 * pixels_per_metre);
    canvas.line(hinge, at(angle, 1.0), 2.0 * half_width, rod);
    canvas.circle(hinge, half_width, rod);
    canvas.circle(at(angle, 1.0), half_width, rod);
    let arc = (0..=16)
        .map(|part| at(torque / 2.0 * f64::from(part) / 16.0 * PI * 0.75, 0.3))
        .collect::<Vec<_>>();
    canvas.polyline(&arc, 5.0, Color(70, 90, 160));
    if torque != 0.0 {
        canvas.circle(arc[16], 7.0, Color(70, 90, 160));
    }
    canvas.circle(hinge, 0.05 * pixels_per_metre, Color::BLACK);
    canvas
}

/// Returns what an agent sees of an angle and a velocity.
pub(crate) fn observe([angle, velocity]: [f64; 2]) -> [f32; 3] {
    [angle.cos() as f32, angle.sin() as f32, velocity as f32]
}

fn normalized(angle: f64) -> f64 {
    (angle + PI).rem_euclid(2.0 * PI) - PI
}

/// Draws the angle and the velocity that an episode begins with.
pub(crate) fn start(rng: &mut Rng, options: &Options) -> Result<[f64; 2], EnvError> {
    let read = |name: &str, default: f64| match options.get(name) {
        None => Ok(default),
        Some(Value::Float(value)) if value.is_finite() && *value >= 0.0 => Ok(*value),
        Some(other) => Err(EnvError::InvalidOption {
            option: name.to_owned(),
            reason: format!("{other:?} is not a number from 0 up"),
        }),
    };
    let (x_init, y_init) = (read("x_init", PI)?, read("y_init", 1.0)?);
    Ok([rng.uniform(-x_init, x_init), rng.uniform(-y_init, y_init)])
}

impl Env for Pendulum {
    type Observation = [f32; 3];
    type Action = [f32; 1];

    fn observation_space(&self) -> Space {
        Space::Box(BoxSpace::new(vec![-1.0, -1.0, -8.0], vec![1.0, 1.0, 8.0]))
    }

    fn action_space(&self) -> Space {
        Space::Box(BoxSpace::new(vec![-2.0], vec![2.0]))
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<([f32; 3], Info), EnvError> {
        if let Some(seed) = seed {
            self.rng = Rng::new(seed);
        }
        [self.angle, self.velocity] = start(&mut self.rng, options)?;
        self.elapsed = 0;
        self.is_started = true;
        self.last_torque = None;
        Ok((self.observation(), Info::new()))
    }

    fn step(&mut self, action: &[f32; 1]) -> Result<Step<[f32; 3]>, EnvError> {
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        if action[0].is_nan() {
            return Err(EnvError::invalid_action("NaN", self.action_space()));
        }
        let torque = f64::from(action[0]).clamp(-TORQUE_MAX, TORQUE_MAX);
        let angle = normalized(self.angle);
        let cost =
            angle * angle + 0.1 * (self.velocity * self.velocity) + 0.001 * (torque * torque);
        let acceleration = 3.0 * self.gravity / 2.0 * self.angle.sin() + 3.0 * torque;
        self.velocity = (self.velocity + acceleration * DT).clamp(-SPEED_MAX, SPEED_MAX);
        self.angle += self.velocity * DT;
        self.elapsed += 1;
        self.last_torque = Some(torque);
        Ok(Step {
            observation: self.observation(),
            reward: -cost,
            terminated: false,
            truncated: self.limit.is_some_and(|limit| self.elapsed >= limit),
            info: Info::new(),
        })
    }

    fn metadata(&self) -> Metadata {
        Metadata::new(&[RenderMode::RgbArray], 30)
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        match mode {
            RenderMode::RgbArray => {
                Ok(draw(self.angle, self.last_torque.unwrap_or(0.0)).into_frame())
            }
            _ => Err(EnvError::not_drawn("Pendulum", mode)),
        }
    }

    fn state(&self) -> State {
        State {
            values: vec![self.angle, self.velocity],
            elapsed: u64::from(self.elapsed),
            rng: self.rng.save(),
            ..State::default()
        }
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        [self.angle, self.velocity] = state.numbers()?;
        self.elapsed = u32::try_from(state.elapsed)
            .map_err(|error| EnvError::InvalidState(error.to_string()))?;
        state.restore_rng(&mut self.rng);
        self.is_started = true;
        self.last_torque = None;
        Ok(())
    }

    fn max_episode_steps(&self) -> Option<u32> {
        self.limit
    }

    fn rng_mut(&mut self) -> Option<&mut Rng> {
        Some(&mut self.rng)
    }
}

/// Seconds of a step.
pub(crate) const DT: f64 = 0.05;
pub(crate) const SPEED_MAX: f64 = 8.0;
pub(crate) const TORQUE_MAX: f64 = 2.0;
