//! Taxi: fetch a passenger and bring them where they want to go.
//!
//! # Description
//! The problem of Dietterich (2000): a grid of 5 by 5 with some walls and four stands, red, green, yellow and
//! blue. The passenger waits at one and wants to go to another.
//!
//! # Action space
//! `Discrete(6)`: go south (0), north (1), east (2), west (3), pick up (4), drop off (5).
//!
//! # Observation space
//! `Discrete(500)`: `((row * 5 + column) * 5 + passenger) * 4 + destination`, with the passenger at a stand
//! (0 to 3) or in the taxi (4).
//!
//! # Rewards
//! 20 for delivering the passenger, -10 for a pick-up or drop-off where there is nothing to, else -1.
//!
//! # Starting state
//! Each as likely in which the passenger is at a stand that is not the destination.
//!
//! # Episode end
//! Terminated when the passenger is delivered; truncated after 200 steps.
//!
//! # Information
//! `prob`: how likely the transition was; `action_mask`: which actions change the state.
//!
//! # Arguments
//! `is_rainy`: whether the taxi slides to either side, false, and `rainy_probability` how likely it does not,
//! 0.8; `fickle_passenger`: whether a passenger may change their mind on the first move after the pick-up,
//! false, and `fickle_probability` how likely one does, 0.3.
//!
//! # Version history
//! v4: rain and fickle passengers as in the paper. v3: dry dynamics are the same.

use std::sync::{Arc, LazyLock};

use super::{
    Transition, TransitionTable, draw, painted,
    play::{Play, outcome_of, probability_info, step_of},
    taxi_streets::{ACTIONS, IN_TAXI, MAP, Place, STANDS, transitions},
};
use crate::{
    Array, ArrayData, Env, EnvError, EnvSpec, Frame, Info, Kwargs, MakeError, Metadata, Options,
    Outcome, RenderMode, Space, State, Step, Value, rng::Rng,
};

/// Returns the spec of Taxi-v4.
pub(super) fn specs() -> Vec<EnvSpec> {
    vec![
        EnvSpec::new("Taxi-v4", from_kwargs)
            .max_episode_steps(200)
            .reward_threshold(8.0),
    ]
}

pub(super) fn from_kwargs(kwargs: &mut Kwargs) -> Result<Taxi, MakeError> {
    let usual = TaxiConfig::default();
    Ok(Taxi::with_config(&TaxiConfig {
        is_rainy: kwargs.take_bool("is_rainy")?.unwrap_or(usual.is_rainy),
        rainy_probability: kwargs
            .take_float("rainy_probability")?
            .unwrap_or(usual.rainy_probability),
        fickle_passenger: kwargs
            .take_bool("fickle_passenger")?
            .unwrap_or(usual.fickle_passenger),
        fickle_probability: kwargs
            .take_float("fickle_probability")?
            .unwrap_or(usual.fickle_probability),
    })?)
}

/// What weather and passengers are like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TaxiConfig {
    /// Whether the taxi slides; default false.
    pub is_rainy: bool,
    /// How likely it does not slide in the rain; default 0.8.
    pub rainy_probability: f64,
    /// Whether passengers may change their minds; default false.
    pub fickle_passenger: bool,
    /// How likely one does; default 0.3.
    pub fickle_probability: f64,
}

impl Default for TaxiConfig {
    fn default() -> Self {
        TaxiConfig {
            is_rainy: false,
            rainy_probability: 0.8,
            fickle_passenger: false,
            fickle_probability: 0.3,
        }
    }
}

/// The environment; state order: the encoded state.
#[derive(Clone, Debug)]
pub struct Taxi {
    play: Play,
    config: TaxiConfig,
    /// Whether this episode's passenger is going to change their mind.
    will_change: bool,
}

impl Default for Taxi {
    fn default() -> Self {
        Taxi::new()
    }
}

impl Taxi {
    /// Returns Taxi-v4, dry and with steadfast passengers.
    pub fn new() -> Taxi {
        static TABLE: LazyLock<Arc<TransitionTable>> =
            LazyLock::new(|| Arc::new(transitions(&TaxiConfig::default())));
        Taxi::with_table(TABLE.clone(), TaxiConfig::default())
    }

    /// Returns a taxi in other weather, or with other passengers.
    ///
    /// # Errors
    /// A probability outside 0..=1.
    pub fn with_config(config: &TaxiConfig) -> Result<Taxi, EnvError> {
        for (option, value) in [
            ("rainy_probability", config.rainy_probability),
            ("fickle_probability", config.fickle_probability),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(EnvError::InvalidOption {
                    option: option.into(),
                    reason: format!("{value} is not in 0..=1"),
                });
            }
        }
        if !config.is_rainy {
            return Ok(Taxi {
                config: *config,
                ..Taxi::new()
            });
        }
        Ok(Taxi::with_table(Arc::new(transitions(config)), *config))
    }

    fn with_table(table: Arc<TransitionTable>, config: TaxiConfig) -> Taxi {
        Taxi {
            play: Play::new(table),
            config,
            will_change: false,
        }
    }

    /// Returns the dynamics, passengers' changes of mind apart.
    pub fn table(&self) -> &TransitionTable {
        self.play.table()
    }

    /// Returns which actions change the state.
    pub fn action_mask(&self) -> [bool; ACTIONS] {
        Place::decode(self.play.state()).action_mask()
    }

    fn begin(&mut self, seed: Option<u64>) {
        self.play.reset(seed);
        self.will_change =
            self.config.fickle_passenger && self.play.rng.unit() < self.config.fickle_probability;
    }

    #[inline]
    fn advance(&mut self, action: i64) -> Result<Transition, EnvError> {
        let before = self.play.state();
        let transition = self.play.step(action)?;
        if self.will_change {
            self.change_mind(Place::decode(before));
        }
        Ok(transition)
    }

    fn info(&self, probability: f64) -> Info {
        let mask = Taxi::action_mask(self).map(i8::from).to_vec();
        let mask = Array::new([ACTIONS], ArrayData::I8(mask)).expect("as many as actions");
        let mut info = probability_info(probability);
        info.insert("action_mask".into(), Value::Array(mask));
        info
    }

    /// Lets the passenger change their mind on the first move after the pick-up.
    fn change_mind(&mut self, before: Place) {
        let mut now = Place::decode(self.play.state());
        let has_moved = (now.row, now.column) != (before.row, before.column);
        if before.passenger == IN_TAXI && has_moved {
            self.will_change = false;
            let other = self.play.rng.below(STANDS.len() as u64 - 1) as usize;
            now.destination = other + usize::from(other >= before.destination);
            self.play.divert(now.encode());
        }
    }

    fn ansi(&self) -> String {
        let at = Place::decode(self.play.state());
        let mut grid = MAP.map(|row| row.chars().map(String::from).collect::<Vec<_>>());
        let under_taxi = &mut grid[at.row + 1][2 * at.column + 1];
        if at.passenger == IN_TAXI && under_taxi == " " {
            *under_taxi = "_".into();
        }
        let mut paint = |(row, column): (usize, usize), attributes: &str| {
            let cell = &mut grid[row + 1][2 * column + 1];
            *cell = painted(cell, attributes);
        };
        if at.passenger < IN_TAXI {
            paint((at.row, at.column), "43");
            paint(STANDS[at.passenger], "34;1");
        } else {
            paint((at.row, at.column), "42");
        }
        paint(STANDS[at.destination], "35");
        let mut text = grid.map(|row| row.concat()).join("\n");
        text.push('\n');
        text.push_str(&match self.play.last_action() {
            Some(action) => format!("  ({})\n", ACTION_NAMES[action]),
            None => "\n".to_owned(),
        });
        text
    }
}

impl Env for Taxi {
    type Observation = i64;
    type Action = i64;

    fn observation_space(&self) -> Space {
        self.play.observation_space()
    }

    fn action_space(&self) -> Space {
        self.play.action_space()
    }

    fn reset(&mut self, seed: Option<u64>, _options: &Options) -> Result<(i64, Info), EnvError> {
        self.begin(seed);
        Ok((self.play.state() as i64, self.info(1.0)))
    }

    fn step(&mut self, action: &i64) -> Result<Step<i64>, EnvError> {
        let transition = self.advance(*action)?;
        let info = self.info(transition.probability);
        Ok(step_of(self.play.state(), transition, info))
    }

    fn state(&self) -> State {
        let mut state = self.play.save();
        state
            .extra
            .insert("will_change".into(), Value::Bool(self.will_change));
        state
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        self.play.restore(state)?;
        self.will_change = state.extra.get("will_change") == Some(&Value::Bool(true));
        Ok(())
    }

    fn reset_into(
        &mut self,
        seed: Option<u64>,
        _options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        self.begin(seed);
        row[0] = self.play.state() as f32;
        Ok(())
    }

    #[inline]
    fn step_into(&mut self, action: &i64, row: &mut [f32]) -> Result<Outcome, EnvError> {
        let transition = self.advance(*action)?;
        row[0] = self.play.state() as f32;
        Ok(outcome_of(transition))
    }

    fn action_mask(&self, mask: &mut [bool]) -> bool {
        mask.copy_from_slice(&Taxi::action_mask(self));
        true
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        Ok(match mode {
            RenderMode::Ansi => Frame::Ansi(self.ansi()),
            RenderMode::RgbArray => {
                draw::taxi(Place::decode(self.play.state()), self.play.last_action()).into_frame()
            }
            _ => return Err(EnvError::not_drawn("Taxi", mode)),
        })
    }

    fn metadata(&self) -> Metadata {
        Metadata::new(&[RenderMode::Ansi, RenderMode::RgbArray], 4)
    }

    fn rng_mut(&mut self) -> Option<&mut Rng> {
        Some(&mut self.play.rng)
    }
}

const ACTION_NAMES: [&str; ACTIONS] = ["South", "North", "East", "West", "Pickup", "Dropoff"];
