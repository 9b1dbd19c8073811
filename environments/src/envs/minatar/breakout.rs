//! MinAtar Breakout: break bricks with a ball that a paddle returns.
//!
//! # Description
//! Three rows of bricks above, a paddle below. The ball moves along diagonals and is reflected by walls,
//! bricks and the paddle; on the paddle's edge it goes back where it came from. Three new rows come when the
//! last brick is broken. Young and Tian, "MinAtar" (2019).
//!
//! # Action space
//! `Discrete(6)`: none (0), left (1), up (2), right (3), down (4), fire (5); the minimal set has none, left
//! and right.
//!
//! # Observation space
//! `Box(10, 10, 4)` of truths: paddle, ball, trail (where the ball was), brick.
//!
//! # Rewards
//! 1 for each brick.
//!
//! # Starting state
//! The ball at the left or right edge of row 3, the paddle at column 4.
//!
//! # Episode end
//! Terminated when the ball passes the paddle.
//!
//! # Arguments
//! `sticky_action_prob`, 0.1; `difficulty_ramping`, without effect here; `use_minimal_action_set`.
//!
//! # Version history
//! v0: six actions. v1: the minimal set.

use super::{
    Move,
    board::{Plane, cell, row},
    game::Game,
    saved::{Reader, Saver},
};
use crate::{EnvError, rng::Rng};

/// The game's state.
#[derive(Clone, Debug)]
pub struct Breakout {
    ball_row: i32,
    ball_column: i32,
    /// 0 up left, 1 up right, 2 down right, 3 down left.
    direction: usize,
    last_row: i32,
    last_column: i32,
    paddle: i32,
    bricks: Plane,
    /// Whether the ball is passing through bricks since it broke one.
    has_struck: bool,
    is_over: bool,
}

impl Game<4> for Breakout {
    const MINIMAL: &'static [Move] = &[Move::None, Move::Left, Move::Right];
    const CHANNELS: [&'static str; 4] = ["paddle", "ball", "trail", "brick"];

    fn new(_is_ramping: bool) -> Breakout {
        Breakout {
            ball_row: 3,
            ball_column: 0,
            direction: 2,
            last_row: 3,
            last_column: 0,
            paddle: 4,
            bricks: wall(),
            has_struck: false,
            is_over: false,
        }
    }

    fn reset(&mut self, rng: &mut Rng) {
        *self = Breakout::new(false);
        if rng.below(2) == 1 {
            (self.ball_column, self.direction) = (9, 3);
            self.last_column = 9;
        }
    }

    fn act(&mut self, action: Move, _rng: &mut Rng) -> i32 {
        match action {
            Move::Left => self.paddle = (self.paddle - 1).max(0),
            Move::Right => self.paddle = (self.paddle + 1).min(9),
            _ => {}
        }
        (self.last_row, self.last_column) = (self.ball_row, self.ball_column);
        let (down, right) = [(-1, -1), (-1, 1), (1, 1), (1, -1)][self.direction];
        let (mut new_row, mut new_column) = (self.ball_row + down, self.ball_column + right);
        if !(0..=9).contains(&new_column) {
            new_column = new_column.clamp(0, 9);
            self.direction = ACROSS[self.direction];
        }
        let mut reward = 0;
        let mut is_in_brick = false;
        if new_row < 0 {
            new_row = 0;
            self.direction = DOWN_UP[self.direction];
        } else if self.bricks & cell(new_row, new_column) != 0 {
            is_in_brick = true;
            if !self.has_struck {
                reward = 1;
                self.has_struck = true;
                self.bricks &= !cell(new_row, new_column);
                new_row = self.last_row;
                self.direction = DOWN_UP[self.direction];
            }
        } else if new_row == 9 {
            if self.bricks == 0 {
                self.bricks = wall();
            }
            if self.ball_column == self.paddle {
                self.direction = DOWN_UP[self.direction];
                new_row = self.last_row;
            } else if new_column == self.paddle {
                self.direction = BACK[self.direction];
                new_row = self.last_row;
            } else {
                self.is_over = true;
            }
        }
        self.has_struck &= is_in_brick;
        (self.ball_row, self.ball_column) = (new_row, new_column);
        reward
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn planes(&self) -> [Plane; 4] {
        [
            cell(9, self.paddle),
            cell(self.ball_row, self.ball_column),
            cell(self.last_row, self.last_column),
            self.bricks,
        ]
    }

    fn save(&self, to: &mut Saver) {
        to.int(self.ball_row)
            .int(self.ball_column)
            .int(self.direction as i32)
            .int(self.last_row)
            .int(self.last_column)
            .int(self.paddle)
            .plane(self.bricks)
            .flag(self.has_struck)
            .flag(self.is_over);
    }

    fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), EnvError> {
        *self = Breakout {
            ball_row: from.int(0..=9)?,
            ball_column: from.int(0..=9)?,
            direction: from.int(0..=3)? as usize,
            last_row: from.int(0..=9)?,
            last_column: from.int(0..=9)?,
            paddle: from.int(0..=9)?,
            bricks: from.plane()?,
            has_struck: from.flag()?,
            is_over: from.flag()?,
        };
        if self.ball_row == 9 && !self.is_over {
            return Err(EnvError::InvalidState("the ball is past the paddle".into()));
        }
        Ok(())
    }
}

/// Returns three rows of bricks.
fn wall() -> Plane {
    row(1) | row(2) | row(3)
}

/// Directions after a reflection by a side, by a brick or the paddle's middle, and by its edge.
const ACROSS: [usize; 4] = [1, 0, 3, 2];
const DOWN_UP: [usize; 4] = [3, 2, 1, 0];
const BACK: [usize; 4] = [2, 3, 0, 1];
