//! CartPole: a pole on a cart, to be kept upright.
//!
//! # Description
//! The problem of Barto, Sutton and Anderson (1983): a pole is hinged to a cart on a frictionless track.
//!
//! # Action space
//! `Discrete(2)`: push the cart to the left (0) or to the right (1) with 10 N.
//!
//! # Observation space
//! `Box(4)`: cart position (m), cart velocity (m/s), pole angle (rad), pole angular velocity (rad/s), as f32
//! of a state in f64.
//!
//! # Rewards
//! 1 for every step, the last included. With `sutton_barto_reward`: 0, and -1 for the step that fails.
//!
//! # Starting state
//! Each of the four values uniform in ±0.05; options `low` and `high` of reset change the bounds.
//!
//! # Episode end
//! Terminated when |position| > 2.4 or |angle| > 12°; truncated after 500 steps (v0: 200).
//!
//! # Arguments
//! `sutton_barto_reward` (false).

use crate::{
    BoxSpace, Discrete, Env, EnvError, EnvSpec, Frame, Info, Kwargs, MakeError, Metadata, Options,
    RenderMode, Space, State, Step, Value,
    render::{Canvas, Color},
    rng::Rng,
    vector::lanes::{CartPoleLanes, LanesVectorEnv},
};

pub(super) fn specs() -> Vec<EnvSpec> {
    let has_other_reward = |kwargs: &mut Kwargs| -> Result<bool, MakeError> {
        Ok(kwargs.take_bool("sutton_barto_reward")?.unwrap_or(false))
    };
    let spec = |id: &str| {
        EnvSpec::new(id, move |kwargs| {
            Ok(CartPole::unlimited().sutton_barto_reward(has_other_reward(kwargs)?))
        })
        .vector_entry_point(move |kwargs, config| {
            let sutton_barto_reward = has_other_reward(kwargs)?;
            let dynamics = CartPoleLanes {
                sutton_barto_reward,
            };
            Ok(LanesVectorEnv::new(dynamics, config))
        })
    };
    vec![
        spec("CartPole-v0")
            .max_episode_steps(200)
            .reward_threshold(195.0),
        spec("CartPole-v1")
            .max_episode_steps(500)
            .reward_threshold(475.0),
    ]
}

/// The environment; state order: position, velocity, angle, angular velocity.
#[derive(Clone, Debug)]
pub struct CartPole {
    state: [f64; 4],
    elapsed: u32,
    limit: Option<u32>,
    is_started: bool,
    is_over: bool,
    sutton_barto_reward: bool,
    rng: Rng,
}

impl Default for CartPole {
    fn default() -> Self {
        CartPole::new()
    }
}

impl CartPole {
    /// Returns CartPole-v1 with its limit of 500 steps built in.
    pub fn new() -> CartPole {
        CartPole::with_limit(Some(500))
    }

    /// Returns CartPole-v0 with its limit of 200 steps built in.
    pub fn v0() -> CartPole {
        CartPole::with_limit(Some(200))
    }

    /// Returns the environment without a limit, for a caller that counts.
    pub fn unlimited() -> CartPole {
        CartPole::with_limit(None)
    }

    fn with_limit(limit: Option<u32>) -> CartPole {
        CartPole {
            state: [0.0; 4],
            elapsed: 0,
            limit,
            is_started: false,
            is_over: false,
            sutton_barto_reward: false,
            rng: Rng::from_entropy(),
        }
    }

    /// Sets whether rewards are those of Sutton and Barto.
    pub fn sutton_barto_reward(mut self, value: bool) -> Self {
        self.sutton_barto_reward = value;
        self
    }

    fn observation(&self) -> [f32; 4] {
        self.state.map(|value| value as f32)
    }
}

/// Returns the accelerations of cart and pole. Florian 2007, "Correct equations for the dynamics of the cart-pole
/// system", without friction.
#[inline(always)]
pub(crate) fn accelerations(theta_dot: f64, force: f64, sin: f64, cos: f64) -> (f64, f64) {
    let temp = (force + POLE_MASS_LENGTH * (theta_dot * theta_dot) * sin) / TOTAL_MASS;
    let theta_acc = (GRAVITY * sin - cos * temp)
        / (HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * (cos * cos) / TOTAL_MASS));
    (
        temp - POLE_MASS_LENGTH * theta_acc * cos / TOTAL_MASS,
        theta_acc,
    )
}

/// Advances one state by one step of 20 ms (explicit Euler); returns whether the pole has failed.
fn advance(state: &mut [f64; 4], pushes_right: bool) -> bool {
    let [x, x_dot, theta, theta_dot] = *state;
    let force = if pushes_right { FORCE } else { -FORCE };
    let (x_acc, theta_acc) = accelerations(theta_dot, force, theta.sin(), theta.cos());
    *state = [
        x + TAU * x_dot,
        x_dot + TAU * x_acc,
        theta + TAU * theta_dot,
        theta_dot + TAU * theta_acc,
    ];
    state[0] < -X_LIMIT || state[0] > X_LIMIT || state[2] < -THETA_LIMIT || state[2] > THETA_LIMIT
}

impl Env for CartPole {
    type Observation = [f32; 4];
    type Action = i64;

    fn observation_space(&self) -> Space {
        let high = vec![
            (X_LIMIT * 2.0) as f32,
            f32::INFINITY,
            (THETA_LIMIT * 2.0) as f32,
            f32::INFINITY,
        ];
        Space::Box(BoxSpace::new(
            high.iter().map(|bound| -bound).collect(),
            high,
        ))
    }

    fn action_space(&self) -> Space {
        Space::Discrete(Discrete::new(2))
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<([f32; 4], Info), EnvError> {
        if let Some(seed) = seed {
            self.rng = Rng::new(seed);
        }
        let (low, high) = bounds(options, -0.05, 0.05)?;
        for value in &mut self.state {
            *value = self.rng.uniform(low, high);
        }
        self.elapsed = 0;
        self.is_started = true;
        self.is_over = false;
        Ok((self.observation(), Info::new()))
    }

    fn step(&mut self, action: &i64) -> Result<Step<[f32; 4]>, EnvError> {
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        if !(0..2).contains(action) {
            return Err(EnvError::invalid_action(action, "Discrete(2)"));
        }
        let terminated = advance(&mut self.state, *action == 1);
        self.elapsed += 1;
        let reward = match (self.sutton_barto_reward, terminated) {
            (true, true) => -1.0,
            (true, false) => 0.0,
            // Steps after the end earn nothing.
            (false, _) if self.is_over => 0.0,
            (false, _) => 1.0,
        };
        self.is_over |= terminated;
        Ok(Step {
            observation: self.observation(),
            reward,
            terminated,
            truncated: self.limit.is_some_and(|limit| self.elapsed >= limit),
            info: Info::new(),
        })
    }

    fn metadata(&self) -> Metadata {
        Metadata::new(&[RenderMode::RgbArray], 50)
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        match mode {
            RenderMode::RgbArray => Ok(draw(&self.state).into_frame()),
            _ => Err(EnvError::not_drawn("CartPole", mode)),
        }
    }

    fn state(&self) -> State {
        let mut state = State {
            values: self.state.to_vec(),
            elapsed: u64::from(self.elapsed),
            rng: self.rng.save(),
            ..State::default()
        };
        state
            .extra
            .insert("is_over".into(), Value::Bool(self.is_over));
        state
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        self.state = state.numbers()?;
        self.elapsed = u32::try_from(state.elapsed)
            .map_err(|error| EnvError::InvalidState(error.to_string()))?;
        state.restore_rng(&mut self.rng);
        self.is_over = state.extra.get("is_over") == Some(&Value::Bool(true));
        self.is_started = true;
        Ok(())
    }

    fn max_episode_steps(&self) -> Option<u32> {
        self.limit
    }

    fn rng_mut(&mut self) -> Option<&mut Rng> {
        Some(&mut self.rng)
    }
}

/// Draws a state: the window shows the track between the limits, and the pole at its true length.
fn draw(state: &[f64; 4]) -> Canvas {
    let mut canvas = Canvas::new(600, 400, Color::WHITE);
    let pixels_per_metre = f64::from(canvas.width()) / (2.0 * X_LIMIT);
    let track = 300.0;
    let cart = (300.0 + state[0] * pixels_per_metre, track);
    canvas.line((0.0, track), (600.0, track), 1.5, Color::GRAY);
    canvas.rect(cart.0 - 25.0, cart.1 - 15.0, 50.0, 30.0, Color::BLACK);
    let hinge = (cart.0, cart.1 - 8.0);
    let (sin, cos) = state[2].sin_cos();
    let along = |metres: f64| {
        let pixels = metres * pixels_per_metre;
        (hinge.0 + sin * pixels, hinge.1 - cos * pixels)
    };
    canvas.line(
        along(-0.04),
        along(2.0 * HALF_LENGTH),
        10.0,
        Color(202, 152, 101),
    );
    canvas.circle(hinge, 5.0, Color(129, 132, 203));
    canvas
}

/// Reads the options `low` and `high`.
pub(crate) fn bounds(options: &Options, low: f64, high: f64) -> Result<(f64, f64), EnvError> {
    let read = |name: &str, default: f64| match options.get(name) {
        None => Ok(default),
        Some(Value::Float(value)) if value.is_finite() => Ok(*value),
        Some(Value::Int(value)) => Ok(*value as f64),
        Some(other) => Err(EnvError::InvalidOption {
            option: name.to_owned(),
            reason: format!("{other:?} is not a number"),
        }),
    };
    let (low, high) = (read("low", low)?, read("high", high)?);
    if low > high {
        return Err(EnvError::InvalidOption {
            option: "low".into(),
            reason: format!("{low} is above `high`, {high}"),
        });
    }
    Ok((low, high))
}

const GRAVITY: f64 = 9.8;
const POLE_MASS: f64 = 0.1;
const TOTAL_MASS: f64 = 1.0 + POLE_MASS;
const HALF_LENGTH: f64 = 0.5;
const POLE_MASS_LENGTH: f64 = POLE_MASS * HALF_LENGTH;
pub(crate) const FORCE: f64 = 10.0;
pub(crate) const TAU: f64 = 0.02;
pub(crate) const X_LIMIT: f64 = 2.4;
pub(crate) const THETA_LIMIT: f64 = 12.0 * 2.0 * std::f64::consts::PI / 360.0;
