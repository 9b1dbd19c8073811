//! LunarLander: a rocket to be set down between two flags.
//!
//! # Description
//! A lander with a main engine, two side engines and two sprung legs falls on a moon of random hills with a
//! flat pad in the middle. Rigid-body physics equal to Box2D's in f32; at 50 steps a second.
//!
//! # Action space
//! [`LunarLander`]: `Discrete(4)`: nothing (0), the left engine (1), the main engine (2), the right engine (3).
//! [`LunarLanderContinuous`]: `Box(2)` in ±1; the first value is the main engine's throttle (off below 0, from
//! 50 % to 100 % above), the second the side engines' (off within ±0.5; left below, right above). Values
//! beyond the bounds are clipped.
//!
//! # Observation space
//! `Box(8)`: horizontal and vertical position (0 on the pad, ±1 at the sides), both velocities, angle (rad),
//! angular velocity (times 0.4 s), and for each leg whether it touches the ground (0 or 1).
//!
//! # Rewards
//! The increase of `-100 (distance + speed + |angle|) + 10` for each leg that touches; less 0.3 for each step
//! of the main engine at full throttle and 0.03 of a side engine. 100 for coming to rest, -100 for a crash or
//! leaving the view.
//!
//! # Starting state
//! At the top centre, pushed by a random force; the moon is random too. One step without engines is done.
//! The draws are listed at `reset_draws` of the recorded traces: 12 heights, 2 forces, 2 indexes if there is
//! wind, then 2 dispersions for this and each later step.
//!
//! # Episode end
//! Terminated when the lander's body touches the moon, leaves the view, or sleeps after half a second at rest;
//! truncated after 1,000 steps.
//!
//! # Arguments
//! `gravity` (-10, within -12 and 0), `enable_wind` (false), `wind_power` (15), `turbulence_power` (1.5), and
//! for `make` `continuous` (false).

mod either;
mod heuristic;
mod lander;
mod picture;

pub use heuristic::{lunar_lander_heuristic, lunar_lander_heuristic_continuous};

use either::EitherLunarLander;
use lander::{Lander, Outcome, Thrust};

use crate::{
    BoxSpace, Discrete, Env, EnvError, EnvSpec, Frame, Info, Kwargs, MakeError, Metadata, Options,
    RenderMode, Space, State, Step, rng::Rng,
};

pub(super) fn specs() -> Vec<EnvSpec> {
    ["LunarLander-v3", "LunarLanderContinuous-v3"]
        .into_iter()
        .map(|id| {
            EnvSpec::new(id, EitherLunarLander::make)
                .kwarg("continuous", id.contains("Continuous"))
                .max_episode_steps(LIMIT)
                .reward_threshold(200.0)
        })
        .collect()
}

/// The arguments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LunarLanderConfig {
    /// The vertical acceleration, within -12 and 0; m/s².
    pub gravity: f64,
    /// Whether wind blows while no leg touches the ground.
    pub enable_wind: bool,
    /// The greatest force of the wind; N, 0 to 20 is sensible.
    pub wind_power: f64,
    /// The greatest torque of the wind; Nm, 0 to 2 is sensible.
    pub turbulence_power: f64,
}

impl Default for LunarLanderConfig {
    fn default() -> Self {
        LunarLanderConfig {
            gravity: -10.0,
            enable_wind: false,
            wind_power: 15.0,
            turbulence_power: 1.5,
        }
    }
}

impl LunarLanderConfig {
    fn take(kwargs: &mut Kwargs) -> Result<LunarLanderConfig, MakeError> {
        let default = LunarLanderConfig::default();
        Ok(LunarLanderConfig {
            gravity: kwargs.take_float("gravity")?.unwrap_or(default.gravity),
            enable_wind: kwargs
                .take_bool("enable_wind")?
                .unwrap_or(default.enable_wind),
            wind_power: kwargs
                .take_float("wind_power")?
                .unwrap_or(default.wind_power),
            turbulence_power: kwargs
                .take_float("turbulence_power")?
                .unwrap_or(default.turbulence_power),
        })
    }

    fn check(&self) -> Result<(), MakeError> {
        let refuse = |argument: &str, value: f64, range: &str| {
            Err(MakeError::InvalidArgument {
                argument: argument.into(),
                reason: format!("{value} is not {range}"),
            })
        };
        if !(self.gravity > -12.0 && self.gravity < 0.0) {
            return refuse("gravity", self.gravity, "between -12 and 0");
        }
        if !self.wind_power.is_finite() {
            return refuse("wind_power", self.wind_power, "finite");
        }
        if !self.turbulence_power.is_finite() {
            return refuse("turbulence_power", self.turbulence_power, "finite");
        }
        Ok(())
    }
}

/// What both forms of the environment are made of.
#[derive(Clone, Debug)]
struct Core {
    config: LunarLanderConfig,
    lander: Lander,
    /// The last step's, for the picture.
    thrust: Thrust,
    elapsed: u32,
    limit: Option<u32>,
    is_started: bool,
    rng: Rng,
}

impl Core {
    fn new(config: LunarLanderConfig, limit: Option<u32>) -> Core {
        Core {
            config,
            lander: Lander::default(),
            thrust: Thrust::default(),
            elapsed: 0,
            limit,
            is_started: false,
            rng: Rng::from_entropy(),
        }
    }

    fn observation_space() -> Space {
        let turn = 2.0 * std::f32::consts::PI;
        Space::Box(BoxSpace::new(
            vec![-2.5, -2.5, -10.0, -10.0, -turn, -10.0, 0.0, 0.0],
            vec![2.5, 2.5, 10.0, 10.0, turn, 10.0, 1.0, 1.0],
        ))
    }

    fn reset(&mut self, seed: Option<u64>) -> [f32; 8] {
        if let Some(seed) = seed {
            self.rng = Rng::new(seed);
        }
        self.elapsed = 0;
        self.is_started = true;
        self.thrust = Thrust::default();
        let outcome = self.lander.reset(&self.config, &mut self.rng);
        outcome.observation.map(|value| value as f32)
    }

    fn step(&mut self, thrust: Thrust) -> Step<[f32; 8]> {
        let Outcome {
            observation,
            reward,
            terminated,
        } = self.lander.step(thrust, &self.config, &mut self.rng);
        self.thrust = thrust;
        self.elapsed = self.elapsed.saturating_add(1);
        Step {
            observation: observation.map(|value| value as f32),
            reward,
            terminated,
            truncated: self.limit.is_some_and(|limit| self.elapsed >= limit),
            info: Info::new(),
        }
    }

    fn render(&self, mode: RenderMode) -> Result<Frame, EnvError> {
        if mode != RenderMode::RgbArray {
            return Err(EnvError::not_drawn("LunarLander", mode));
        }
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        Ok(picture::draw(&self.lander, self.thrust).into_frame())
    }

    fn state(&self) -> State {
        State {
            values: if self.is_started {
                self.lander.save()
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
            self.lander = Lander::restore(&state.values, &self.config).ok_or_else(|| {
                EnvError::InvalidState("its values are not of this environment".into())
            })?;
        }
        self.thrust = Thrust::default();
        self.is_started = !state.values.is_empty();
        self.elapsed = elapsed;
        state.restore_rng(&mut self.rng);
        Ok(())
    }
}

fn refuse_options(options: &Options) -> Result<(), EnvError> {
    match options.iter().next() {
        None => Ok(()),
        Some((name, _)) => Err(EnvError::InvalidOption {
            option: name.clone(),
            reason: "this environment takes none".into(),
        }),
    }
}

/// The environment with four actions; the state's values are documented only as what `state` returns.
#[derive(Clone, Debug)]
pub struct LunarLander {
    core: Core,
}

impl Default for LunarLander {
    fn default() -> Self {
        LunarLander::new()
    }
}

impl LunarLander {
    /// Returns LunarLander-v3 with its limit of 1,000 steps built in.
    pub fn new() -> LunarLander {
        LunarLander {
            core: Core::new(LunarLanderConfig::default(), Some(LIMIT)),
        }
    }

    /// Returns the environment with these arguments and without a limit, for a caller that counts.
    ///
    /// # Errors
    /// `InvalidArgument` for a gravity out of range, or a power that is not finite.
    pub fn unlimited(config: LunarLanderConfig) -> Result<LunarLander, MakeError> {
        config.check()?;
        Ok(LunarLander {
            core: Core::new(config, None),
        })
    }
}

impl Env for LunarLander {
    type Observation = [f32; 8];
    type Action = i64;

    fn observation_space(&self) -> Space {
        Core::observation_space()
    }

    fn action_space(&self) -> Space {
        Space::Discrete(Discrete::new(4))
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<([f32; 8], Info), EnvError> {
        refuse_options(options)?;
        Ok((self.core.reset(seed), Info::new()))
    }

    fn step(&mut self, action: &i64) -> Result<Step<[f32; 8]>, EnvError> {
        if !self.core.is_started {
            return Err(EnvError::ResetNeeded);
        }
        let (main, side, direction) = match *action {
            0 => (0.0, 0.0, 0.0),
            1 => (0.0, 1.0, -1.0),
            2 => (1.0, 0.0, 0.0),
            3 => (0.0, 1.0, 1.0),
            _ => {
                return Err(EnvError::invalid_action(action, self.action_space()));
            }
        };
        Ok(self.core.step(Thrust {
            main,
            side,
            direction,
        }))
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        self.core.render(mode)
    }

    fn metadata(&self) -> Metadata {
        METADATA
    }

    fn state(&self) -> State {
        self.core.state()
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        self.core.set_state(state)
    }

    fn max_episode_steps(&self) -> Option<u32> {
        self.core.limit
    }

    fn rng_mut(&mut self) -> Option<&mut Rng> {
        Some(&mut self.core.rng)
    }
}

/// The environment with two throttles.
#[derive(Clone, Debug)]
pub struct LunarLanderContinuous {
    core: Core,
}

impl Default for LunarLanderContinuous {
    fn default() -> Self {
        LunarLanderContinuous::new()
    }
}

impl LunarLanderContinuous {
    /// Returns LunarLanderContinuous-v3 with its limit of 1,000 steps built in.
    pub fn new() -> LunarLanderContinuous {
        LunarLanderContinuous {
            core: Core::new(LunarLanderConfig::default(), Some(LIMIT)),
        }
    }

    /// Returns the environment with these arguments and without a limit, for a caller that counts.
    ///
    /// # Errors
    /// `InvalidArgument` for a gravity out of range, or a power that is not finite.
    pub fn unlimited(config: LunarLanderConfig) -> Result<LunarLanderContinuous, MakeError> {
        config.check()?;
        Ok(LunarLanderContinuous {
            core: Core::new(config, None),
        })
    }
}

impl Env for LunarLanderContinuous {
    type Observation = [f32; 8];
    type Action = [f32; 2];

    fn observation_space(&self) -> Space {
        Core::observation_space()
    }

    fn action_space(&self) -> Space {
        Space::Box(BoxSpace::new(vec![-1.0; 2], vec![1.0; 2]))
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<([f32; 8], Info), EnvError> {
        refuse_options(options)?;
        Ok((self.core.reset(seed), Info::new()))
    }

    fn step(&mut self, action: &[f32; 2]) -> Result<Step<[f32; 8]>, EnvError> {
        if !self.core.is_started {
            return Err(EnvError::ResetNeeded);
        }
        if action.iter().any(|value| value.is_nan()) {
            return Err(EnvError::invalid_action(
                format_args!("{action:?}"),
                self.action_space(),
            ));
        }
        let [main, lateral] = action.map(|value| f64::from(value).clamp(-1.0, 1.0));
        let fires = lateral.abs() > 0.5;
        Ok(self.core.step(Thrust {
            main: if main > 0.0 { (main + 1.0) * 0.5 } else { 0.0 },
            side: if fires { lateral.abs() } else { 0.0 },
            direction: lateral.signum(),
        }))
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        self.core.render(mode)
    }

    fn metadata(&self) -> Metadata {
        METADATA
    }

    fn state(&self) -> State {
        self.core.state()
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        self.core.set_state(state)
    }

    fn max_episode_steps(&self) -> Option<u32> {
        self.core.limit
    }

    fn rng_mut(&mut self) -> Option<&mut Rng> {
        Some(&mut self.core.rng)
    }
}

const LIMIT: u32 = 1000;
const METADATA: Metadata = Metadata::new(&[RenderMode::RgbArray], 50);
