//! MinAtar Asterix: collect treasure, avoid enemies.
//!
//! # Description
//! Enemies and treasure enter from both sides in eight rows and cross the board; the player moves freely.
//! Young and Tian, "MinAtar" (2019).
//!
//! # Action space
//! `Discrete(6)`: none (0), left (1), up (2), right (3), down (4), fire (5); the minimal set has none, left,
//! up, right and down.
//!
//! # Observation space
//! `Box(10, 10, 4)` of truths: player, enemy, trail (where things were), gold.
//!
//! # Rewards
//! 1 for each treasure.
//!
//! # Starting state
//! The player at row 5, column 5; nothing else.
//!
//! # Episode end
//! Terminated when the player touches an enemy.
//!
//! # Arguments
//! `sticky_action_prob`, 0.1; `difficulty_ramping`: whether things come and move faster by and by, true;
//! `use_minimal_action_set`.
//!
//! # Version history
//! v0: six actions. v1: the minimal set.

use super::{
    Move,
    board::{Plane, behind, cell},
    game::Game,
    saved::{Reader, Saver},
};
use crate::{EnvError, rng::Rng};

/// The game's state.
#[derive(Clone, Debug)]
pub struct Asterix {
    row: i32,
    column: i32,
    /// What crosses the board in rows 1 to 8.
    things: [Option<Thing>; SLOTS],
    spawn_speed: i32,
    spawn_timer: i32,
    move_speed: i32,
    move_timer: i32,
    ramp_timer: i32,
    ramp_index: i32,
    is_ramping: bool,
    is_over: bool,
}

/// An enemy or a treasure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Thing {
    column: i32,
    moves_right: bool,
    is_gold: bool,
}

impl Asterix {
    /// Lets the player take or run into what is in a slot; returns the reward.
    fn touch(&mut self, slot: usize) -> i32 {
        match self.things[slot] {
            Some(thing) if (slot as i32 + 1, thing.column) == (self.row, self.column) => {
                if thing.is_gold {
                    self.things[slot] = None;
                    return 1;
                }
                self.is_over = true;
                0
            }
            _ => 0,
        }
    }

    /// Lets something enter in a free row, if there is one.
    fn spawn(&mut self, rng: &mut Rng) {
        let moves_right = rng.unit() < 1.0 / 2.0;
        let is_gold = rng.unit() < 1.0 / 3.0;
        let free = self.things.iter().filter(|thing| thing.is_none()).count();
        if free == 0 {
            return;
        }
        let chosen = rng.below(free as u64) as usize;
        let slot = self
            .things
            .iter_mut()
            .filter(|thing| thing.is_none())
            .nth(chosen)
            .expect("the choice is below the number of free slots");
        *slot = Some(Thing {
            column: if moves_right { 0 } else { 9 },
            moves_right,
            is_gold,
        });
    }

    fn ramp(&mut self) {
        if !self.is_ramping || (self.spawn_speed <= 1 && self.move_speed <= 1) {
            return;
        }
        if self.ramp_timer >= 0 {
            self.ramp_timer -= 1;
            return;
        }
        if self.move_speed > 1 && self.ramp_index % 2 == 1 {
            self.move_speed -= 1;
        }
        if self.spawn_speed > 1 {
            self.spawn_speed -= 1;
        }
        self.ramp_index += 1;
        self.ramp_timer = RAMP_INTERVAL;
    }
}

impl Game<4> for Asterix {
    const MINIMAL: &'static [Move] = &[Move::None, Move::Left, Move::Up, Move::Right, Move::Down];
    const CHANNELS: [&'static str; 4] = ["player", "enemy", "trail", "gold"];

    fn new(is_ramping: bool) -> Asterix {
        Asterix {
            row: 5,
            column: 5,
            things: [None; SLOTS],
            spawn_speed: SPAWN_SPEED,
            spawn_timer: SPAWN_SPEED,
            move_speed: MOVE_INTERVAL,
            move_timer: MOVE_INTERVAL,
            ramp_timer: RAMP_INTERVAL,
            ramp_index: 0,
            is_ramping,
            is_over: false,
        }
    }

    fn reset(&mut self, _rng: &mut Rng) {
        *self = Asterix::new(self.is_ramping);
    }

    fn act(&mut self, action: Move, rng: &mut Rng) -> i32 {
        if self.spawn_timer == 0 {
            self.spawn(rng);
            self.spawn_timer = self.spawn_speed;
        }
        match action {
            Move::Left => self.column = (self.column - 1).max(0),
            Move::Right => self.column = (self.column + 1).min(9),
            Move::Up => self.row = (self.row - 1).max(1),
            Move::Down => self.row = (self.row + 1).min(8),
            Move::None | Move::Fire => {}
        }
        let mut reward = 0;
        for slot in 0..SLOTS {
            reward += self.touch(slot);
        }
        if self.move_timer == 0 {
            self.move_timer = self.move_speed;
            for slot in 0..SLOTS {
                if let Some(thing) = &mut self.things[slot] {
                    thing.column += if thing.moves_right { 1 } else { -1 };
                    if !(0..=9).contains(&thing.column) {
                        self.things[slot] = None;
                    }
                    reward += self.touch(slot);
                }
            }
        }
        self.spawn_timer -= 1;
        self.move_timer -= 1;
        self.ramp();
        reward
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn planes(&self) -> [Plane; 4] {
        let (mut enemies, mut trails, mut gold) = (0, 0, 0);
        for (slot, thing) in self.things.iter().enumerate() {
            let Some(thing) = thing else { continue };
            let row = slot as i32 + 1;
            let kind = if thing.is_gold {
                &mut gold
            } else {
                &mut enemies
            };
            *kind |= cell(row, thing.column);
            trails |= behind(row, thing.column, thing.moves_right);
        }
        [cell(self.row, self.column), enemies, trails, gold]
    }

    fn save(&self, to: &mut Saver) {
        to.int(self.row).int(self.column);
        for thing in self.things {
            to.int(match thing {
                None => 0,
                Some(thing) => {
                    let kind = 2 * i32::from(thing.moves_right) + i32::from(thing.is_gold);
                    1 + thing.column * 4 + kind
                }
            });
        }
        to.int(self.spawn_speed)
            .int(self.spawn_timer)
            .int(self.move_speed)
            .int(self.move_timer)
            .int(self.ramp_timer)
            .int(self.ramp_index)
            .flag(self.is_over);
    }

    fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), EnvError> {
        (self.row, self.column) = (from.int(1..=8)?, from.int(0..=9)?);
        for thing in &mut self.things {
            let code = from.int(0..=40)? - 1;
            *thing = (code >= 0).then_some(Thing {
                column: code / 4,
                moves_right: code & 2 != 0,
                is_gold: code & 1 != 0,
            });
        }
        self.spawn_speed = from.int(1..=SPAWN_SPEED)?;
        self.spawn_timer = from.int(0..=SPAWN_SPEED)?;
        self.move_speed = from.int(1..=MOVE_INTERVAL)?;
        self.move_timer = from.int(0..=MOVE_INTERVAL)?;
        self.ramp_timer = from.int(-1..=RAMP_INTERVAL)?;
        self.ramp_index = from.int(0..=i32::MAX / 2)?;
        self.is_over = from.flag()?;
        Ok(())
    }
}

/// Rows that something may cross.
const SLOTS: usize = 8;
/// Steps from one change of difficulty to the next, less two.
const RAMP_INTERVAL: i32 = 100;
/// Steps from one arrival to the next, at first.
const SPAWN_SPEED: i32 = 10;
/// Steps from one move of the things to the next, at first.
const MOVE_INTERVAL: i32 = 5;
