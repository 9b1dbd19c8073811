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
    Transition, TransitionTable, painted,
    play::{Play, outcome_of, probability_info, step_of},
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
        let at = Place::decode(self.play.state());
        let stand = at.stand();
        [
            at.row < SIDE - 1,
            at.row > 0,
            opens_east(at.row, at.column),
            at.column > 0 && opens_east(at.row, at.column - 1),
            at.passenger < IN_TAXI && stand == Some(at.passenger),
            at.passenger == IN_TAXI && stand.is_some(),
        ]
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
        match mode {
            RenderMode::Ansi => Ok(Frame::Ansi(self.ansi())),
            RenderMode::RgbArray => Err(EnvError::NotSupported("no image yet".into())),
        }
    }

    fn metadata(&self) -> Metadata {
        Metadata::new(&[RenderMode::Ansi], 4)
    }

    fn rng_mut(&mut self) -> Option<&mut Rng> {
        Some(&mut self.play.rng)
    }
}

/// A state in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    row: usize,
    column: usize,
    /// The stand where the passenger waits, or [`IN_TAXI`].
    passenger: usize,
    destination: usize,
}

impl Place {
    fn decode(state: usize) -> Place {
        Place {
            row: state / 100,
            column: state / 20 % 5,
            passenger: state / 4 % 5,
            destination: state % 4,
        }
    }

    fn encode(self) -> usize {
        ((self.row * SIDE + self.column) * 5 + self.passenger) * 4 + self.destination
    }

    /// Returns the stand where the taxi is.
    fn stand(self) -> Option<usize> {
        STANDS
            .iter()
            .position(|stand| *stand == (self.row, self.column))
    }

    /// Returns the place after a move in a direction, the same when a wall is in the way.
    fn moved(self, direction: usize) -> Place {
        let mut to = self;
        match direction {
            0 => to.row = (self.row + 1).min(SIDE - 1),
            1 => to.row = self.row.saturating_sub(1),
            2 if opens_east(self.row, self.column) => to.column += 1,
            3 if self.column > 0 && opens_east(self.row, self.column - 1) => to.column -= 1,
            _ => {}
        }
        to
    }
}

fn transitions(config: &TaxiConfig) -> TransitionTable {
    let mut initial = vec![0.0; STATES];
    for (state, share) in initial.iter_mut().enumerate() {
        let place = Place::decode(state);
        if place.passenger < IN_TAXI && place.passenger != place.destination {
            *share = 1.0 / STARTS as f64;
        }
    }
    TransitionTable::build(initial, ACTIONS, |state, action| {
        let place = Place::decode(state);
        let certain = |to: Place, reward: f64, terminated: bool| Transition {
            probability: 1.0,
            next: to.encode(),
            reward,
            terminated,
        };
        match action {
            PICK_UP => vec![picked_up(place, certain)],
            DROP_OFF => vec![dropped_off(place, certain)],
            _ if config.is_rainy => slid(place, action, config.rainy_probability),
            _ => vec![certain(place.moved(action), -1.0, false)],
        }
    })
}

fn picked_up(place: Place, certain: impl Fn(Place, f64, bool) -> Transition) -> Transition {
    if place.passenger < IN_TAXI && place.stand() == Some(place.passenger) {
        let passenger = IN_TAXI;
        certain(Place { passenger, ..place }, -1.0, false)
    } else {
        certain(place, -10.0, false)
    }
}

fn dropped_off(place: Place, certain: impl Fn(Place, f64, bool) -> Transition) -> Transition {
    match place.stand() {
        Some(passenger) if place.passenger == IN_TAXI => {
            let is_delivered = passenger == place.destination;
            let reward = if is_delivered { 20.0 } else { -1.0 };
            certain(Place { passenger, ..place }, reward, is_delivered)
        }
        _ => certain(place, -10.0, false),
    }
}

/// Returns where a move in the rain may lead: ahead, to its left, to its right. A wall ahead stops all three.
fn slid(place: Place, direction: usize, ahead_probability: f64) -> Vec<Transition> {
    let ahead = place.moved(direction);
    let side_probability = (1.0 - ahead_probability) / 2.0;
    let (left, right) = match direction {
        _ if ahead == place => (place, place),
        0 => (place.moved(2), place.moved(3)),
        1 => (place.moved(3), place.moved(2)),
        2 => (place.moved(1), place.moved(0)),
        _ => (place.moved(0), place.moved(1)),
    };
    [
        (ahead_probability, ahead),
        (side_probability, left),
        (side_probability, right),
    ]
    .map(|(probability, to)| Transition {
        probability,
        next: to.encode(),
        reward: -1.0,
        terminated: false,
    })
    .to_vec()
}

/// Returns whether there is no wall to the east of a cell.
fn opens_east(row: usize, column: usize) -> bool {
    MAP[row + 1].as_bytes()[2 * column + 2] == b':'
}

const MAP: [&str; 7] = [
    "+---------+",
    "|R: | : :G|",
    "| : | : : |",
    "| : : : : |",
    "| | : | : |",
    "|Y| : |B: |",
    "+---------+",
];
const STANDS: [(usize, usize); 4] = [(0, 0), (0, 4), (4, 0), (4, 3)];
const ACTION_NAMES: [&str; ACTIONS] = ["South", "North", "East", "West", "Pickup", "Dropoff"];
const ACTIONS: usize = 6;
const PICK_UP: usize = 4;
const DROP_OFF: usize = 5;
const IN_TAXI: usize = 4;
const SIDE: usize = 5;
const STATES: usize = 500;
/// States that an episode may begin in.
const STARTS: usize = 300;
