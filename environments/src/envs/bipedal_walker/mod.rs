//! BipedalWalker: two legs with knees, to be walked over rough ground.
//!
//! # Description
//! A hull on two legs of two parts each, with motors at hips and knees. The plain form has a slightly uneven
//! terrain, the hardcore form stumps, stairs and pits too. Rigid-body physics equal to Box2D's in f32; at 50
//! steps a second. Every episode has a new world; Gymnasium reuses one, whose contacts are solved in another
//! order after the first episode.
//!
//! # Action space
//! `Box(4)` in ±1: for hip and knee of the first leg, then of the second, the direction of the motor (4 rad/s
//! at the hip, 6 at the knee) by the sign and its torque by the size, of 80 Nm. Values beyond are clipped.
//!
//! # Observation space
//! `Box(24)`: angle of the hull, its angular velocity, horizontal and vertical velocity; for each leg the
//! angle and speed of the hip and of the knee and whether the foot touches the ground; the fractions of
//! 5.33 m at which ten rays of a lidar meet the ground.
//!
//! # Rewards
//! Forward motion, 300 in all to the far end, less 5 for each radian the hull is turned and 0.028 for each
//! motor at full torque. -100 in the step in which the hull touches the ground or leaves to the left.
//!
//! # Starting state
//! Standing at the left end, pushed by a small random force, on a random terrain. One step without torque is
//! done. Steps draw nothing.
//!
//! # Episode end
//! Terminated when the hull touches the ground, leaves to the left, or reaches the far end; truncated after
//! 1,600 steps (hardcore: 2,000).
//!
//! # Arguments
//! `hardcore` (false).

mod heuristic;
mod picture;
mod terrain;
mod walker;

pub use heuristic::BipedalWalkerHeuristic;

use walker::{Outcome, Walker};

use crate::{
    BoxSpace, Env, EnvError, EnvSpec, Frame, Info, Kwargs, MakeError, Metadata, Options,
    RenderMode, Space, State, Step, rng::Rng,
};

pub(super) fn specs() -> Vec<EnvSpec> {
    let make = |kwargs: &mut Kwargs| -> Result<BipedalWalker, MakeError> {
        Ok(BipedalWalker {
            is_hardcore: kwargs.take_bool("hardcore")?.unwrap_or(false),
            ..BipedalWalker::unlimited()
        })
    };
    vec![
        EnvSpec::new("BipedalWalker-v3", make)
            .max_episode_steps(LIMIT)
            .reward_threshold(300.0),
        EnvSpec::new("BipedalWalkerHardcore-v3", make)
            .kwarg("hardcore", true)
            .max_episode_steps(HARDCORE_LIMIT)
            .reward_threshold(300.0),
    ]
}

/// The environment; the state's values are documented only as what `state` returns.
#[derive(Clone, Debug)]
pub struct BipedalWalker {
    walker: Walker,
    is_hardcore: bool,
    elapsed: u32,
    limit: Option<u32>,
    is_started: bool,
    rng: Rng,
}

impl Default for BipedalWalker {
    fn default() -> Self {
        BipedalWalker::new()
    }
}

impl BipedalWalker {
    /// Returns BipedalWalker-v3 with its limit of 1,600 steps built in.
    pub fn new() -> BipedalWalker {
        BipedalWalker {
            limit: Some(LIMIT),
            ..BipedalWalker::unlimited()
        }
    }

    /// Returns BipedalWalkerHardcore-v3 with its limit of 2,000 steps built in.
    pub fn hardcore() -> BipedalWalker {
        BipedalWalker {
            limit: Some(HARDCORE_LIMIT),
            is_hardcore: true,
            ..BipedalWalker::unlimited()
        }
    }

    /// Returns the plain form without a limit, for a caller that counts.
    pub fn unlimited() -> BipedalWalker {
        BipedalWalker {
            walker: Walker::default(),
            is_hardcore: false,
            elapsed: 0,
            limit: None,
            is_started: false,
            rng: Rng::from_entropy(),
        }
    }
}

impl Env for BipedalWalker {
    type Observation = [f32; 24];
    type Action = [f32; 4];

    fn observation_space(&self) -> Space {
        let pi = std::f32::consts::PI;
        let leg = [pi, 5.0, pi, 5.0, 5.0];
        let mut high = vec![pi, 5.0, 5.0, 5.0];
        high.extend([leg, leg].concat());
        high.extend([1.0; 10]);
        let mut low = high.iter().map(|bound| -bound).collect::<Vec<_>>();
        (low[8], low[13]) = (0.0, 0.0);
        Space::Box(BoxSpace::new(low, high))
    }

    fn action_space(&self) -> Space {
        Space::Box(BoxSpace::new(vec![-1.0; 4], vec![1.0; 4]))
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<([f32; 24], Info), EnvError> {
        if let Some(name) = options.keys().next() {
            return Err(EnvError::InvalidOption {
                option: name.clone(),
                reason: "this environment takes none".into(),
            });
        }
        if let Some(seed) = seed {
            self.rng = Rng::new(seed);
        }
        self.elapsed = 0;
        self.is_started = true;
        let outcome = self.walker.reset(self.is_hardcore, &mut self.rng);
        Ok((outcome.observation, Info::new()))
    }

    fn step(&mut self, action: &[f32; 4]) -> Result<Step<[f32; 24]>, EnvError> {
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        if action.iter().any(|value| value.is_nan()) {
            return Err(EnvError::invalid_action(
                format_args!("{action:?}"),
                self.action_space(),
            ));
        }
        let Outcome {
            observation,
            reward,
            terminated,
        } = self
            .walker
            .step(&action.map(|value| value.clamp(-1.0, 1.0)));
        self.elapsed = self.elapsed.saturating_add(1);
        Ok(Step {
            observation,
            reward,
            terminated,
            truncated: self.limit.is_some_and(|limit| self.elapsed >= limit),
            info: Info::new(),
        })
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        if mode != RenderMode::RgbArray {
            return Err(EnvError::not_drawn("BipedalWalker", mode));
        }
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        Ok(picture::draw(&self.walker).into_frame())
    }

    fn metadata(&self) -> Metadata {
        Metadata::new(&[RenderMode::RgbArray], 50)
    }

    fn state(&self) -> State {
        State {
            values: if self.is_started {
                self.walker.save()
            } else {
                Vec::new()
            },
            elapsed: u64::from(self.elapsed),
            rng: self.rng.save(),
            ..State::default()
        }
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        let elapsed = u32::try_from(state.elapsed)
            .map_err(|error| EnvError::InvalidState(error.to_string()))?;
        if !state.values.is_empty() {
            self.walker = Walker::restore(&state.values).ok_or_else(|| {
                EnvError::InvalidState("its values are not of this environment".into())
            })?;
        }
        self.is_started = !state.values.is_empty();
        self.elapsed = elapsed;
        state.restore_rng(&mut self.rng);
        Ok(())
    }

    fn max_episode_steps(&self) -> Option<u32> {
        self.limit
    }

    fn rng_mut(&mut self) -> Option<&mut Rng> {
        Some(&mut self.rng)
    }
}

/// Pixels a metre.
const SCALE: f64 = 30.0;
/// The view; m.
const VIEW_WIDTH: f64 = 600.0 / SCALE;
const VIEW_HEIGHT: f64 = 400.0 / SCALE;
const LIMIT: u32 = 1600;
const HARDCORE_LIMIT: u32 = 2000;
