//! MinAtar Space Invaders: shoot down aliens that come closer and shoot back.
//!
//! # Description
//! A cannon at the bottom, a cluster of aliens above that goes from side to side and down at the edges, the
//! faster the fewer are left. The alien nearest to the cannon's column shoots. A new wave comes when all are
//! gone. Young and Tian, "MinAtar" (2019).
//!
//! # Action space
//! `Discrete(6)`: none (0), left (1), up (2), right (3), down (4), fire (5); the minimal set has none, left,
//! right and fire.
//!
//! # Observation space
//! `Box(10, 10, 6)` of truths: cannon, alien, alien going left, alien going right, friendly bullet, enemy
//! bullet.
//!
//! # Rewards
//! 1 for each alien.
//!
//! # Starting state
//! The cannon at column 5, four rows of six aliens.
//!
//! # Episode end
//! Terminated when a bullet or an alien hits the cannon, or the aliens reach the bottom at an edge.
//!
//! # Arguments
//! `sticky_action_prob`, 0.1; `difficulty_ramping`: whether each wave is faster than the last, true;
//! `use_minimal_action_set`.
//!
//! # Version history
//! v0: six actions. v1: the minimal set.

use super::{
    Move,
    board::{FIRST_COLUMN, FULL, Plane, SIDE, cell, row},
    game::Game,
    saved::{Reader, Saver},
};
use crate::{EnvError, rng::Rng};

/// The game's state.
#[derive(Clone, Debug)]
pub struct SpaceInvaders {
    column: i32,
    friendly_bullets: Plane,
    enemy_bullets: Plane,
    aliens: Plane,
    goes_right: bool,
    /// The most steps from one move of the aliens to the next.
    move_interval: i32,
    alien_move_timer: i32,
    alien_shot_timer: i32,
    ramp_index: i32,
    shot_timer: i32,
    is_ramping: bool,
    is_over: bool,
}

impl SpaceInvaders {
    fn move_aliens(&mut self) {
        self.alien_move_timer = (self.aliens.count_ones() as i32).min(self.move_interval);
        let edge = FIRST_COLUMN << if self.goes_right { SIDE - 1 } else { 0 };
        if self.aliens & edge != 0 {
            self.goes_right = !self.goes_right;
            self.is_over |= self.aliens & row(SIDE - 1) != 0;
            // The last row comes in again above, as in the original.
            let below = self.aliens << SIDE;
            self.aliens = (below & FULL) | (below >> (SIDE * SIDE));
        } else if self.goes_right {
            self.aliens <<= 1;
        } else {
            self.aliens >>= 1;
        }
        self.is_over |= self.aliens & cell(9, self.column) != 0;
    }

    /// Lets the lowest alien of the column nearest to the cannon shoot; the left one of two as near.
    fn shoot_back(&mut self) {
        self.alien_shot_timer = SHOT_INTERVAL;
        let columns = (0..SIDE as i32)
            .flat_map(|distance| [self.column - distance, self.column + distance])
            .filter(|column| (0..SIDE as i32).contains(column));
        for column in columns {
            let in_column = self.aliens & (FIRST_COLUMN << column);
            if in_column != 0 {
                self.enemy_bullets |= 1 << (Plane::BITS - 1 - in_column.leading_zeros());
                return;
            }
        }
    }
}

impl Game<6> for SpaceInvaders {
    const MINIMAL: &'static [Move] = &[Move::None, Move::Left, Move::Right, Move::Fire];
    const CHANNELS: [&'static str; 6] = [
        "cannon",
        "alien",
        "alien_left",
        "alien_right",
        "friendly_bullet",
        "enemy_bullet",
    ];

    fn new(is_ramping: bool) -> SpaceInvaders {
        SpaceInvaders {
            column: 5,
            friendly_bullets: 0,
            enemy_bullets: 0,
            aliens: WAVE,
            goes_right: false,
            move_interval: MOVE_INTERVAL,
            alien_move_timer: MOVE_INTERVAL,
            alien_shot_timer: SHOT_INTERVAL,
            ramp_index: 0,
            shot_timer: 0,
            is_ramping,
            is_over: false,
        }
    }

    fn reset(&mut self, _rng: &mut Rng) {
        *self = SpaceInvaders::new(self.is_ramping);
    }

    fn act(&mut self, action: Move, _rng: &mut Rng) -> i32 {
        match action {
            Move::Fire if self.shot_timer == 0 => {
                self.friendly_bullets |= cell(9, self.column);
                self.shot_timer = COOL_DOWN;
            }
            Move::Left => self.column = (self.column - 1).max(0),
            Move::Right => self.column = (self.column + 1).min(9),
            _ => {}
        }
        let cannon = cell(9, self.column);
        self.friendly_bullets >>= SIDE;
        self.enemy_bullets = (self.enemy_bullets << SIDE) & FULL;
        self.is_over |= (self.enemy_bullets | self.aliens) & cannon != 0;
        if self.alien_move_timer == 0 {
            self.move_aliens();
        }
        if self.alien_shot_timer == 0 {
            self.shoot_back();
        }
        let hits = self.aliens & self.friendly_bullets;
        self.aliens &= !hits;
        self.friendly_bullets &= !hits;
        self.shot_timer = (self.shot_timer - 1).max(0);
        self.alien_move_timer -= 1;
        self.alien_shot_timer -= 1;
        if self.aliens == 0 {
            if self.move_interval > LEAST_INTERVAL && self.is_ramping {
                self.move_interval -= 1;
                self.ramp_index += 1;
            }
            self.aliens = WAVE;
        }
        hits.count_ones() as i32
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn planes(&self) -> [Plane; 6] {
        let (left, right) = if self.goes_right {
            (0, self.aliens)
        } else {
            (self.aliens, 0)
        };
        [
            cell(9, self.column),
            self.aliens,
            left,
            right,
            self.friendly_bullets,
            self.enemy_bullets,
        ]
    }

    fn save(&self, to: &mut Saver) {
        to.int(self.column)
            .plane(self.friendly_bullets)
            .plane(self.enemy_bullets)
            .plane(self.aliens)
            .flag(self.goes_right)
            .int(self.move_interval)
            .int(self.alien_move_timer)
            .int(self.alien_shot_timer)
            .int(self.ramp_index)
            .int(self.shot_timer)
            .flag(self.is_over);
    }

    fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), EnvError> {
        *self = SpaceInvaders {
            column: from.int(0..=9)?,
            friendly_bullets: from.plane()?,
            enemy_bullets: from.plane()?,
            aliens: from.plane()?,
            goes_right: from.flag()?,
            move_interval: from.int(LEAST_INTERVAL..=MOVE_INTERVAL)?,
            alien_move_timer: from.int(0..=MOVE_INTERVAL)?,
            alien_shot_timer: from.int(0..=SHOT_INTERVAL)?,
            ramp_index: from.int(0..=i32::MAX / 2)?,
            shot_timer: from.int(0..=COOL_DOWN)?,
            is_ramping: self.is_ramping,
            is_over: from.flag()?,
        };
        if self.aliens == 0 {
            return Err(EnvError::InvalidState("there are no aliens".into()));
        }
        Ok(())
    }
}

/// Four rows of six aliens.
const WAVE: Plane = {
    let line = 0b11_1111 << 2;
    line | line << SIDE | line << (2 * SIDE) | line << (3 * SIDE)
};
/// Steps from one shot of the cannon to the next.
const COOL_DOWN: i32 = 5;
const MOVE_INTERVAL: i32 = 12;
/// The interval that ramping stops at.
const LEAST_INTERVAL: i32 = 6;
/// Steps from one shot of the aliens to the next.
const SHOT_INTERVAL: i32 = 10;
