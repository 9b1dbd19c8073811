//! FrozenLake: cross a frozen lake without falling into a hole.
//!
//! # Description
//! A grid of frozen tiles and holes, with a start and a goal. On slippery ice the walker may move at a right
//! angle to where it meant to go.
//!
//! # Action space
//! `Discrete(4)`: go left (0), down (1), right (2), up (3).
//!
//! # Observation space
//! `Discrete(rows * columns)`: `row * columns + column`.
//!
//! # Rewards
//! 1 at the goal, 0 in a hole, 0 elsewhere; `reward_schedule` changes them.
//!
//! # Starting state
//! The tile `S`; one of them, each as likely, when there are several.
//!
//! # Episode end
//! Terminated at the goal and in a hole; truncated after 100 steps (8x8: 200).
//!
//! # Information
//! `prob`: how likely the transition was.
//!
//! # Arguments
//! `map_name`: `4x4` or `8x8`; `desc`: a map of one's own, [`random_map`] makes some; `is_slippery`: whether
//! the walker slides, true; `success_rate`: how likely it goes where it meant to on slippery ice, 1/3;
//! `reward_schedule`: rewards of goal, hole and frozen tiles.
//!
//! # Version history
//! v1: rewards are right. v0 is not here.

use std::sync::Arc;

use super::{
    Transition, TransitionTable, draw, painted,
    play::{Play, plays_its_table},
};
use crate::{Env, EnvError, EnvSpec, Frame, Kwargs, MakeError, RenderMode, Value, rng::Rng};

/// Returns the specs of FrozenLake-v1 and FrozenLake8x8-v1.
pub(super) fn specs() -> Vec<EnvSpec> {
    let spec = |id| {
        let spec = EnvSpec::new(id, from_kwargs);
        spec.vector_entry_point(|kwargs, config| {
            let given = kwargs.clone();
            let first = from_kwargs(kwargs)?;
            let is_random = given.get("map_name").and_then(Value::as_text) == Some("random");
            config.sync(|_| match is_random {
                true => from_kwargs(&mut given.clone()),
                false => Ok(first.another()),
            })
        })
    };
    vec![
        spec("FrozenLake-v1")
            .kwarg("map_name", "4x4")
            .max_episode_steps(100)
            .reward_threshold(0.7),
        spec("FrozenLake8x8-v1")
            .kwarg("map_name", "8x8")
            .max_episode_steps(200)
            .reward_threshold(0.85),
    ]
}

pub(super) fn from_kwargs(kwargs: &mut Kwargs) -> Result<FrozenLake, MakeError> {
    let mut config = FrozenLakeConfig::default();
    let map_name = kwargs.take_text("map_name")?;
    let wrong = |argument: &str, reason: String| MakeError::InvalidArgument {
        argument: argument.into(),
        reason,
    };
    config.desc = match kwargs.take("desc") {
        Some(Value::List(rows)) => rows
            .iter()
            .map(|row| row.as_text().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| wrong("desc", "its rows are texts".into()))?,
        Some(other) => return Err(wrong("desc", format!("{other:?} is no list of texts"))),
        None => match map_name.as_deref() {
            Some("4x4") | None => MAP_4X4.map(str::to_owned).to_vec(),
            Some("8x8") => MAP_8X8.map(str::to_owned).to_vec(),
            Some("random") => random_map(8, 0.8, &mut Rng::from_entropy())?,
            Some(name) => {
                let reason = format!("`{name}` is not one of 4x4, 8x8, random");
                return Err(wrong("map_name", reason));
            }
        },
    };
    if let Some(value) = kwargs.take_bool("is_slippery")? {
        config.is_slippery = value;
    }
    if let Some(value) = kwargs.take_float("success_rate")? {
        config.success_rate = value;
    }
    if let Some(value) = kwargs.take("reward_schedule") {
        config.reward_schedule = value
            .as_list()
            .and_then(|rewards| {
                rewards
                    .iter()
                    .map(Value::as_float)
                    .collect::<Option<Vec<_>>>()
            })
            .and_then(|rewards| rewards.try_into().ok())
            .ok_or_else(|| wrong("reward_schedule", format!("{value:?} is not 3 numbers")))?;
    }
    Ok(FrozenLake::with_config(&config)?)
}

/// What a lake is like.
#[derive(Clone, Debug, PartialEq)]
pub struct FrozenLakeConfig {
    /// Rows of `S` (start), `F` (frozen), `H` (hole) and `G` (goal), all of one length.
    pub desc: Vec<String>,
    /// Whether the walker slides; default true.
    pub is_slippery: bool,
    /// How likely it goes where it meant to on slippery ice; default 1/3.
    pub success_rate: f64,
    /// What goal, hole and frozen tiles earn; default 1, 0, 0.
    pub reward_schedule: [f64; 3],
}

impl Default for FrozenLakeConfig {
    fn default() -> Self {
        FrozenLakeConfig {
            desc: MAP_4X4.map(str::to_owned).to_vec(),
            is_slippery: true,
            success_rate: 1.0 / 3.0,
            reward_schedule: [1.0, 0.0, 0.0],
        }
    }
}

/// The environment; state order: the tile's number.
#[derive(Clone, Debug)]
pub struct FrozenLake {
    play: Play,
    desc: Arc<[String]>,
}

impl Default for FrozenLake {
    fn default() -> Self {
        FrozenLake::new()
    }
}

impl FrozenLake {
    /// Returns FrozenLake-v1: the slippery 4x4 lake.
    pub fn new() -> FrozenLake {
        FrozenLake::with_config(&FrozenLakeConfig::default()).expect("the 4x4 map is sound")
    }

    /// Returns FrozenLake8x8-v1: the slippery 8x8 lake.
    pub fn large() -> FrozenLake {
        FrozenLake::with_config(&FrozenLakeConfig {
            desc: MAP_8X8.map(str::to_owned).to_vec(),
            ..FrozenLakeConfig::default()
        })
        .expect("the 8x8 map is sound")
    }

    /// Returns a lake of one's own.
    ///
    /// # Errors
    /// A map that is empty, ragged, without a start or with other letters; a rate outside 0..=1.
    pub fn with_config(config: &FrozenLakeConfig) -> Result<FrozenLake, EnvError> {
        let table = transitions(config)?;
        Ok(FrozenLake {
            play: Play::new(Arc::new(table)),
            desc: config.desc.clone().into(),
        })
    }

    /// Returns another walker on the same lake, whose map and table both share.
    fn another(&self) -> FrozenLake {
        FrozenLake {
            play: self.play.another(),
            desc: self.desc.clone(),
        }
    }

    /// Returns the dynamics.
    pub fn table(&self) -> &TransitionTable {
        self.play.table()
    }

    fn ansi(&self) -> String {
        let columns = self.desc[0].len();
        let (row, column) = (self.play.state() / columns, self.play.state() % columns);
        let mut text = match self.play.last_action() {
            Some(action) => format!("  ({})\n", ["Left", "Down", "Right", "Up"][action]),
            None => "\n".to_owned(),
        };
        for (at_row, line) in self.desc.iter().enumerate() {
            for (at_column, tile) in line.chars().enumerate() {
                if (at_row, at_column) == (row, column) {
                    text.push_str(&painted(&tile.to_string(), "41"));
                } else {
                    text.push(tile);
                }
            }
            text.push('\n');
        }
        text
    }
}

impl Env for FrozenLake {
    type Observation = i64;
    type Action = i64;

    plays_its_table!();

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        Ok(match mode {
            RenderMode::Ansi => Frame::Ansi(self.ansi()),
            RenderMode::RgbArray => draw::lake(&self.desc, self.play.state()).into_frame(),
            _ => return Err(EnvError::not_drawn("FrozenLake", mode)),
        })
    }
}

fn transitions(config: &FrozenLakeConfig) -> Result<TransitionTable, EnvError> {
    let wrong = |option: &str, reason: String| EnvError::InvalidOption {
        option: option.into(),
        reason,
    };
    let rows = config.desc.len();
    let columns = config.desc.first().map_or(0, String::len);
    if columns == 0 || config.desc.iter().any(|row| row.len() != columns) {
        return Err(wrong("desc", "rows must be of one length, not 0".into()));
    }
    if let Some(row) = config
        .desc
        .iter()
        .find(|row| row.contains(|tile| !"SFHG".contains(tile)))
    {
        return Err(wrong(
            "desc",
            format!("`{row}` has tiles other than S, F, H, G"),
        ));
    }
    if !(0.0..=1.0).contains(&config.success_rate) {
        let reason = format!("{} is not in 0..=1", config.success_rate);
        return Err(wrong("success_rate", reason));
    }
    let tiles = config.desc.concat().into_bytes();
    let starts = tiles.iter().filter(|tile| **tile == b'S').count();
    if starts == 0 {
        return Err(wrong("desc", "there is no start, S".into()));
    }
    let initial = tiles
        .iter()
        .map(|tile| {
            if *tile == b'S' {
                1.0 / starts as f64
            } else {
                0.0
            }
        })
        .collect();
    let moved = |state: usize, direction: usize| {
        let (row, column) = (state / columns, state % columns);
        match direction {
            0 => row * columns + column.saturating_sub(1),
            1 => (row + 1).min(rows - 1) * columns + column,
            2 => row * columns + (column + 1).min(columns - 1),
            _ => row.saturating_sub(1) * columns + column,
        }
    };
    let [goal, hole, frozen] = config.reward_schedule;
    let outcome = |probability: f64, next: usize| Transition {
        probability,
        next,
        reward: match tiles[next] {
            b'G' => goal,
            b'H' => hole,
            _ => frozen,
        },
        terminated: matches!(tiles[next], b'G' | b'H'),
    };
    let slide = (1.0 - config.success_rate) / 2.0;
    Ok(TransitionTable::build(initial, 4, |state, action| {
        if matches!(tiles[state], b'G' | b'H') {
            return vec![Transition {
                probability: 1.0,
                next: state,
                reward: 0.0,
                terminated: true,
            }];
        }
        if !config.is_slippery {
            return vec![outcome(1.0, moved(state, action))];
        }
        vec![
            outcome(slide, moved(state, (action + 3) % 4)),
            outcome(config.success_rate, moved(state, action)),
            outcome(slide, moved(state, (action + 1) % 4)),
        ]
    }))
}

/// Draws a map of `size` by `size` tiles that has a way from start to goal.
///
/// `frozen` is how likely a tile is frozen, 0.8 in Gymnasium.
///
/// # Errors
/// A size below 2, or no map with a way among many: a larger `frozen` helps.
pub fn random_map(size: usize, frozen: f64, rng: &mut Rng) -> Result<Vec<String>, EnvError> {
    if size < 2 {
        return Err(EnvError::InvalidOption {
            option: "size".into(),
            reason: format!("{size} leaves no room for start and goal"),
        });
    }
    for _ in 0..TRIES {
        let mut tiles = (0..size * size)
            .map(|_| if rng.unit() < frozen { b'F' } else { b'H' })
            .collect::<Vec<_>>();
        tiles[0] = b'S';
        tiles[size * size - 1] = b'G';
        if has_way(&tiles, size) {
            return Ok(tiles
                .chunks(size)
                .map(|row| row.iter().copied().map(char::from).collect())
                .collect());
        }
    }
    Err(EnvError::InvalidOption {
        option: "p".into(),
        reason: format!("{frozen} gave no map with a way to the goal in {TRIES} tries"),
    })
}

/// Returns whether the goal is reached from the start, by searching depth first.
fn has_way(tiles: &[u8], size: usize) -> bool {
    let mut seen = vec![false; tiles.len()];
    let mut frontier = vec![0];
    while let Some(tile) = frontier.pop() {
        if tiles[tile] == b'G' {
            return true;
        }
        if tiles[tile] == b'H' || std::mem::replace(&mut seen[tile], true) {
            continue;
        }
        let (row, column) = (tile / size, tile % size);
        if row > 0 {
            frontier.push(tile - size);
        }
        if row + 1 < size {
            frontier.push(tile + size);
        }
        if column > 0 {
            frontier.push(tile - 1);
        }
        if column + 1 < size {
            frontier.push(tile + 1);
        }
    }
    false
}

/// How many maps are drawn before giving up.
const TRIES: u32 = 10_000;

/// The map `4x4`.
pub(crate) const MAP_4X4: [&str; 4] = ["SFFF", "FHFH", "FFFH", "HFFG"];

/// The map `8x8`.
pub(crate) const MAP_8X8: [&str; 8] = [
    "SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF", "FFFHFFFF", "FHHFFFHF", "FHFFHFHF", "FFFHFFFG",
];
