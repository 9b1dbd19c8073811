//! CliffWalking: walk along a cliff from start to goal.
//!
//! # Description
//! Example 6.6 of Sutton and Barto's book: a grid of 4 rows and 12 columns with a cliff along the last row,
//! between the start on its left and the goal on its right. Who steps off the cliff is back at the start.
//!
//! # Action space
//! `Discrete(4)`: go up (0), right (1), down (2), left (3).
//!
//! # Observation space
//! `Discrete(48)`: `row * 12 + column`.
//!
//! # Rewards
//! -1 for every step, -100 for one off the cliff.
//!
//! # Starting state
//! 36, the lower left.
//!
//! # Episode end
//! Terminated at 47, the lower right. Nothing truncates.
//!
//! # Information
//! `prob`: how likely the transition was.
//!
//! # Arguments
//! `is_slippery`: whether each move goes to either side in two of three cases, false; true in
//! CliffWalkingSlippery-v1.
//!
//! # Version history
//! v1: adds the slippery form. v0 is not here.

use std::sync::{Arc, LazyLock};

use super::{
    Transition, TransitionTable, draw,
    play::{Play, plays_its_table},
};
use crate::{Env, EnvError, EnvSpec, Frame, Kwargs, MakeError, RenderMode};

/// Returns the specs of CliffWalking-v1 and CliffWalkingSlippery-v1.
pub(super) fn specs() -> Vec<EnvSpec> {
    vec![
        EnvSpec::new("CliffWalking-v1", from_kwargs),
        EnvSpec::new("CliffWalkingSlippery-v1", from_kwargs).kwarg("is_slippery", true),
    ]
}

pub(super) fn from_kwargs(kwargs: &mut Kwargs) -> Result<CliffWalking, MakeError> {
    Ok(match kwargs.take_bool("is_slippery")? {
        Some(true) => CliffWalking::slippery(),
        _ => CliffWalking::new(),
    })
}

/// The environment; state order: the cell's number.
#[derive(Clone, Debug)]
pub struct CliffWalking {
    play: Play,
}

impl Default for CliffWalking {
    fn default() -> Self {
        CliffWalking::new()
    }
}

impl CliffWalking {
    /// Returns CliffWalking-v1, where moves go where they are meant to.
    pub fn new() -> CliffWalking {
        static TABLE: LazyLock<Arc<TransitionTable>> =
            LazyLock::new(|| Arc::new(transitions(|action| vec![action])));
        CliffWalking {
            play: Play::new(TABLE.clone()),
        }
    }

    /// Returns CliffWalkingSlippery-v1, where moves go to either side as often as ahead.
    pub fn slippery() -> CliffWalking {
        static TABLE: LazyLock<Arc<TransitionTable>> = LazyLock::new(|| {
            let sides = |action: usize| vec![(action + 3) % 4, action, (action + 1) % 4];
            Arc::new(transitions(sides))
        });
        CliffWalking {
            play: Play::new(TABLE.clone()),
        }
    }

    /// Returns the dynamics.
    pub fn table(&self) -> &TransitionTable {
        self.play.table()
    }

    fn ansi(&self) -> String {
        let mut text = String::new();
        for cell in 0..ROWS * COLUMNS {
            text.push(if cell == self.play.state() {
                'x'
            } else if cell == GOAL {
                'T'
            } else if is_cliff(cell) {
                'C'
            } else {
                'o'
            });
            text.push_str(if cell % COLUMNS == COLUMNS - 1 {
                "\n"
            } else {
                "  "
            });
        }
        text.push('\n');
        text
    }
}

impl Env for CliffWalking {
    type Observation = i64;
    type Action = i64;

    plays_its_table!();

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        Ok(match mode {
            RenderMode::Ansi => Frame::Ansi(self.ansi()),
            RenderMode::RgbArray => {
                draw::cliff(self.play.state(), START, GOAL, COLUMNS).into_frame()
            }
            _ => return Err(EnvError::not_drawn("CliffWalking", mode)),
        })
    }
}

/// Builds the table from the directions that each action may take, all as likely.
fn transitions(directions: impl Fn(usize) -> Vec<usize>) -> TransitionTable {
    let mut initial = vec![0.0; ROWS * COLUMNS];
    initial[START] = 1.0;
    TransitionTable::build(initial, 4, |state, action| {
        let directions = directions(action);
        let probability = 1.0 / directions.len() as f64;
        directions.into_iter().map(move |direction| {
            let cell = moved(state, direction);
            Transition {
                probability,
                next: if is_cliff(cell) { START } else { cell },
                reward: if is_cliff(cell) { -100.0 } else { -1.0 },
                terminated: cell == GOAL,
            }
        })
    })
}

fn moved(cell: usize, direction: usize) -> usize {
    let (row, column) = (cell / COLUMNS, cell % COLUMNS);
    let (row, column) = match direction {
        0 => (row.saturating_sub(1), column),
        1 => (row, (column + 1).min(COLUMNS - 1)),
        2 => ((row + 1).min(ROWS - 1), column),
        _ => (row, column.saturating_sub(1)),
    };
    row * COLUMNS + column
}

fn is_cliff(cell: usize) -> bool {
    cell > START && cell < GOAL
}

const ROWS: usize = 4;
const COLUMNS: usize = 12;
const START: usize = 36;
const GOAL: usize = 47;
