//! Acrobot: two links that hang from a hinge, to be swung up by the joint between them.
//!
//! # Description
//! The problem of Sutton (1996), with the equations of Sutton and Barto's book (2018, section 11.3 of the
//! first edition): two links of 1 m and 1 kg; only the joint between them has a motor.
//!
//! # Action space
//! `Discrete(3)`: a torque of -1 (0), 0 (1) or 1 N m (2) on the joint.
//!
//! # Observation space
//! `Box(6)`: cosine and sine of the first link's angle (0 hangs down), cosine and sine of the second's
//! relative to it, and their angular velocities, within ±4π and ±9π rad/s.
//!
//! # Rewards
//! -1 for every step, 0 for the one that reaches the height.
//!
//! # Starting state
//! The four values uniform in ±0.1, rounded to f32; options `low` and `high` of reset change the bounds.
//!
//! # Episode end
//! Terminated when the free end is 1 m above the hinge, `-cos θ1 - cos(θ1 + θ2) > 1`; truncated after 500
//! steps.
//!
//! # Arguments
//! `book_or_nips`: `"nips"` takes the equations as the paper of 1996 printed them, without one term.
//!
//! # Version history
//! v1: cosines and sines instead of angles, 500 steps. v0 is not here.

use std::f64::consts::PI;

use super::cartpole::bounds;
use crate::{
    BoxSpace, Discrete, Env, EnvError, EnvSpec, Frame, Info, Kwargs, MakeError, Metadata, Options,
    RenderMode, Space, State, Step,
    render::{Canvas, Color},
    rng::Rng,
    vector::lanes::{AcrobotLanes, LanesVectorEnv},
};

pub(super) fn specs() -> Vec<EnvSpec> {
    let equations = |kwargs: &mut Kwargs| -> Result<Equations, MakeError> {
        match kwargs.take_text("book_or_nips")?.as_deref() {
            None | Some("book") => Ok(Equations::Book),
            Some("nips") => Ok(Equations::Nips),
            Some(other) => Err(MakeError::InvalidArgument {
                argument: "book_or_nips".into(),
                reason: format!("`{other}` is neither `book` nor `nips`"),
            }),
        }
    };
    let spec = EnvSpec::new("Acrobot-v1", move |kwargs| {
        Ok(Acrobot::new().equations(equations(kwargs)?))
    });
    let spec = spec.vector_entry_point(move |kwargs, config| {
        let equations = equations(kwargs)?;
        Ok(LanesVectorEnv::new(AcrobotLanes { equations }, config))
    });
    vec![spec.max_episode_steps(500).reward_threshold(-100.0)]
}

/// The environment; state order: both angles, both angular velocities.
#[derive(Clone, Debug)]
pub struct Acrobot {
    state: [f64; 4],
    equations: Equations,
    is_started: bool,
    rng: Rng,
}

/// Which equations of motion hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Equations {
    /// Those of the book, by which the published results were made.
    #[default]
    Book,
    /// Those that the paper of 1996 printed.
    Nips,
}

impl Default for Acrobot {
    fn default() -> Self {
        Acrobot::new()
    }
}

impl Acrobot {
    /// Returns Acrobot-v1, with the equations of the book.
    pub fn new() -> Acrobot {
        Acrobot {
            state: [0.0; 4],
            equations: Equations::Book,
            is_started: false,
            rng: Rng::from_entropy(),
        }
    }

    /// Sets the equations of motion.
    pub fn equations(mut self, value: Equations) -> Self {
        self.equations = value;
        self
    }

    fn observation(&self) -> [f32; 6] {
        observe(self.state)
    }
}

/// Returns what an agent sees of angles and angular velocities.
pub(crate) fn observe([first, second, first_dot, second_dot]: [f64; 4]) -> [f32; 6] {
    [
        first.cos(),
        first.sin(),
        second.cos(),
        second.sin(),
        first_dot,
        second_dot,
    ]
    .map(|value| value as f32)
}

/// Draws the state that an episode begins in.
pub(crate) fn start(rng: &mut Rng, low: f64, high: f64) -> [f64; 4] {
    std::array::from_fn(|_| f64::from(rng.uniform(low, high) as f32))
}

/// Advances one state by one step of 0.2 s (fourth-order Runge-Kutta); returns whether the height is reached.
fn advance(state: &mut [f64; 4], torque: f64, equations: Equations) -> bool {
    let slope = |at: &[f64; 4]| derivative(at, torque, equations);
    let ahead = |by: f64, slope: &[f64; 4]| std::array::from_fn(|at| state[at] + by * slope[at]);
    let k1 = slope(state);
    let k2 = slope(&ahead(DT / 2.0, &k1));
    let k3 = slope(&ahead(DT / 2.0, &k2));
    let k4 = slope(&ahead(DT, &k3));
    let next: [f64; 4] = std::array::from_fn(|at| {
        state[at] + DT / 6.0 * (k1[at] + 2.0 * k2[at] + 2.0 * k3[at] + k4[at])
    });
    *state = [
        wrapped(next[0]),
        wrapped(next[1]),
        next[2].clamp(-FIRST_SPEED_MAX, FIRST_SPEED_MAX),
        next[3].clamp(-SECOND_SPEED_MAX, SECOND_SPEED_MAX),
    ];
    -state[0].cos() - (state[1] + state[0]).cos() > 1.0
}

/// Returns the rates of change of angles and velocities.
fn derivative(state: &[f64; 4], torque: f64, equations: Equations) -> [f64; 4] {
    let [theta1, theta2, dtheta1, dtheta2] = *state;
    let angles = Trig {
        sin2: theta2.sin(),
        cos2: theta2.cos(),
        across: (theta1 - PI / 2.0).cos(),
        across_both: (theta1 + theta2 - PI / 2.0).cos(),
    };
    let [ddtheta1, ddtheta2] = accelerations(dtheta1, dtheta2, torque, equations, angles);
    [dtheta1, dtheta2, ddtheta1, ddtheta2]
}

/// What the equations of motion need of the angles.
#[derive(Clone, Copy)]
pub(crate) struct Trig {
    /// Of the second angle.
    pub(crate) sin2: f64,
    /// Of the second angle.
    pub(crate) cos2: f64,
    /// The cosine of the first angle less a quarter turn.
    pub(crate) across: f64,
    /// The cosine of both angles less a quarter turn.
    pub(crate) across_both: f64,
}

/// Returns the angular accelerations. Sutton and Barto, "Reinforcement Learning".
#[inline(always)]
pub(crate) fn accelerations(
    dtheta1: f64,
    dtheta2: f64,
    torque: f64,
    equations: Equations,
    angles: Trig,
) -> [f64; 2] {
    let Trig { sin2, cos2, .. } = angles;
    let d1 = MASS * (CENTRE * CENTRE)
        + MASS * (LENGTH * LENGTH + CENTRE * CENTRE + 2.0 * LENGTH * CENTRE * cos2)
        + INERTIA
        + INERTIA;
    let d2 = MASS * (CENTRE * CENTRE + LENGTH * CENTRE * cos2) + INERTIA;
    let phi2 = MASS * CENTRE * GRAVITY * angles.across_both;
    let phi1 = -MASS * LENGTH * CENTRE * (dtheta2 * dtheta2) * sin2
        - 2.0 * MASS * LENGTH * CENTRE * dtheta2 * dtheta1 * sin2
        + (MASS * CENTRE + MASS * LENGTH) * GRAVITY * angles.across
        + phi2;
    let coriolis = match equations {
        Equations::Book => MASS * LENGTH * CENTRE * (dtheta1 * dtheta1) * sin2,
        Equations::Nips => 0.0,
    };
    let ddtheta2 = (torque + d2 / d1 * phi1 - coriolis - phi2)
        / (MASS * (CENTRE * CENTRE) + INERTIA - d2 * d2 / d1);
    let ddtheta1 = -(d2 * ddtheta2 + phi1) / d1;
    [ddtheta1, ddtheta2]
}

/// Brings an angle into ±π by whole turns, one by one as Gymnasium does, so that the rounding is the same.
fn wrapped(mut angle: f64) -> f64 {
    if angle.abs() > TURNS_MAX {
        return angle.rem_euclid(2.0 * PI) - PI;
    }
    while angle > PI {
        angle -= 2.0 * PI;
    }
    while angle < -PI {
        angle += 2.0 * PI;
    }
    angle
}

impl Env for Acrobot {
    type Observation = [f32; 6];
    type Action = i64;

    fn observation_space(&self) -> Space {
        let high = [1.0, 1.0, 1.0, 1.0, FIRST_SPEED_MAX, SECOND_SPEED_MAX];
        Space::Box(BoxSpace::new(
            high.map(|bound| -bound as f32).to_vec(),
            high.map(|bound| bound as f32).to_vec(),
        ))
    }

    fn action_space(&self) -> Space {
        Space::Discrete(Discrete::new(3))
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<([f32; 6], Info), EnvError> {
        if let Some(seed) = seed {
            self.rng = Rng::new(seed);
        }
        let (low, high) = bounds(options, -0.1, 0.1)?;
        self.state = start(&mut self.rng, low, high);
        self.is_started = true;
        Ok((self.observation(), Info::new()))
    }

    fn step(&mut self, action: &i64) -> Result<Step<[f32; 6]>, EnvError> {
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        if !(0..3).contains(action) {
            return Err(EnvError::invalid_action(action, "Discrete(3)"));
        }
        let terminated = advance(&mut self.state, (*action - 1) as f64, self.equations);
        Ok(Step {
            observation: self.observation(),
            reward: if terminated { 0.0 } else { -1.0 },
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
            RenderMode::RgbArray => Ok(draw(&self.state).into_frame()),
            _ => Err(EnvError::not_drawn("Acrobot", mode)),
        }
    }

    fn metadata(&self) -> Metadata {
        Metadata::new(&[RenderMode::RgbArray], 15)
    }

    fn rng_mut(&mut self) -> Option<&mut Rng> {
        Some(&mut self.rng)
    }
}

/// Draws the two links, and the height to be reached.
fn draw(state: &[f64; 4]) -> Canvas {
    let mut canvas = Canvas::new(500, 500, Color::WHITE);
    let scale = 500.0 / (2.0 * (2.0 * LENGTH + 0.2));
    let hinge = (250.0, 250.0);
    let end = |(x, y): (f64, f64), angle: f64| {
        (
            x + angle.sin() * LENGTH * scale,
            y + angle.cos() * LENGTH * scale,
        )
    };
    let joint = end(hinge, state[0]);
    let tip = end(joint, state[0] + state[1]);
    canvas.line(
        (0.0, 250.0 - scale),
        (500.0, 250.0 - scale),
        1.5,
        Color::BLACK,
    );
    for (from, to) in [(hinge, joint), (joint, tip)] {
        canvas.line(from, to, 0.2 * scale, Color(0, 204, 204));
        canvas.circle(from, 0.1 * scale, Color(204, 204, 0));
    }
    canvas
}

/// Seconds of a step.
pub(crate) const DT: f64 = 0.2;
const GRAVITY: f64 = 9.8;
const LENGTH: f64 = 1.0;
/// From a link's joint to its centre of mass; m.
const CENTRE: f64 = 0.5;
const MASS: f64 = 1.0;
const INERTIA: f64 = 1.0;
pub(crate) const FIRST_SPEED_MAX: f64 = 4.0 * PI;
pub(crate) const SECOND_SPEED_MAX: f64 = 9.0 * PI;
/// Beyond it turns are taken off at once; no episode comes here, only a state that was set.
const TURNS_MAX: f64 = 1e4;
