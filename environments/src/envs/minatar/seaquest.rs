//! MinAtar Seaquest: rescue divers with a submarine that runs out of oxygen.
//!
//! # Description
//! Enemy submarines and fish cross the rows below the surface, and so do divers, whom the player takes on
//! board, six at most. The player shoots ahead; enemy submarines shoot too. Oxygen is refilled at the surface
//! for the price of one diver; with six on board all are delivered. Each visit makes the game faster. Young
//! and Tian, "MinAtar" (2019).
//!
//! # Action space
//! `Discrete(6)`: none (0), left (1), up (2), right (3), down (4), fire (5); all are in the minimal set.
//!
//! # Observation space
//! `Box(10, 10, 10)` of truths: front and back of the submarine, friendly bullet, trail, enemy bullet, enemy
//! fish, enemy submarine, oxygen gauge, diver gauge, diver.
//!
//! # Rewards
//! 1 for each enemy shot; for delivering six divers, a tenth of the oxygen left in percent.
//!
//! # Starting state
//! The submarine at the surface, column 5, looking left, with 200 steps of oxygen.
//!
//! # Episode end
//! Terminated when something hits the submarine, when oxygen runs out, and when it comes up without a diver.
//!
//! # Arguments
//! `sticky_action_prob`, 0.1; `difficulty_ramping`: whether visits at the surface make the game faster, true;
//! `use_minimal_action_set`.
//!
//! # Version history
//! v0 and v1: six actions.

use super::{
    Move,
    board::{Plane, behind, cell, row},
    game::Game,
    saved::{Reader, Saver},
    swimmer::{Cell, MOVE_INTERVAL, SHOT_INTERVAL, Swimmer, take_at},
};
use crate::{EnvError, rng::Rng};

/// The game's state.
#[derive(Clone, Debug)]
pub struct Seaquest {
    at: Cell,
    looks_right: bool,
    oxygen: i32,
    /// Divers on board; the original goes below 0 after six are delivered, and so does this.
    divers_on_board: i32,
    bullets: Vec<Swimmer>,
    enemy_bullets: Vec<Swimmer>,
    fish: Vec<Swimmer>,
    submarines: Vec<Swimmer>,
    divers: Vec<Swimmer>,
    spawn_speed: i32,
    spawn_timer: i32,
    diver_timer: i32,
    move_speed: i32,
    ramp_index: i32,
    shot_timer: i32,
    is_at_surface: bool,
    is_ramping: bool,
    is_over: bool,
}

impl Seaquest {
    /// Returns the start of an episode, without room for what will swim.
    fn start(is_ramping: bool) -> Seaquest {
        Seaquest {
            at: Cell { row: 0, column: 5 },
            looks_right: false,
            oxygen: OXYGEN_MAX,
            divers_on_board: 0,
            bullets: Vec::new(),
            enemy_bullets: Vec::new(),
            fish: Vec::new(),
            submarines: Vec::new(),
            divers: Vec::new(),
            spawn_speed: SPAWN_SPEED,
            spawn_timer: SPAWN_SPEED,
            diver_timer: DIVER_INTERVAL,
            move_speed: MOVE_INTERVAL,
            ramp_index: 0,
            shot_timer: 0,
            is_at_surface: true,
            is_ramping,
            is_over: false,
        }
    }

    /// Lets an enemy enter, unless one comes the other way in its row.
    fn spawn_enemy(&mut self, rng: &mut Rng) {
        let moves_right = rng.unit() < 1.0 / 2.0;
        let is_submarine = rng.unit() < 1.0 / 3.0;
        let swimmer = self.entering(moves_right, self.move_speed, rng);
        let meets = |other: &Swimmer| {
            other.at.row == swimmer.at.row && other.moves_right != swimmer.moves_right
        };
        if self.submarines.iter().chain(&self.fish).any(meets) {
            return;
        }
        if is_submarine {
            self.submarines.push(swimmer);
        } else {
            self.fish.push(swimmer);
        }
    }

    fn spawn_diver(&mut self, rng: &mut Rng) {
        let moves_right = rng.unit() < 1.0 / 2.0;
        let diver = self.entering(moves_right, MOVE_INTERVAL, rng);
        self.divers.push(diver);
    }

    /// Returns a swimmer at the edge of a random row.
    fn entering(&self, moves_right: bool, move_timer: i32, rng: &mut Rng) -> Swimmer {
        Swimmer {
            at: Cell {
                row: rng.below(8) as i32 + 1,
                column: if moves_right { 0 } else { 9 },
            },
            moves_right,
            move_timer,
            shot_timer: SHOT_INTERVAL,
        }
    }

    fn steer(&mut self, action: Move) {
        match action {
            Move::Fire if self.shot_timer == 0 => {
                self.bullets.push(Swimmer {
                    at: self.at,
                    moves_right: self.looks_right,
                    move_timer: 0,
                    shot_timer: 0,
                });
                self.shot_timer = COOL_DOWN;
            }
            Move::Left => {
                self.at.column = (self.at.column - 1).max(0);
                self.looks_right = false;
            }
            Move::Right => {
                self.at.column = (self.at.column + 1).min(9);
                self.looks_right = true;
            }
            Move::Up => self.at.row = (self.at.row - 1).max(0),
            Move::Down => self.at.row = (self.at.row + 1).min(8),
            Move::None | Move::Fire => {}
        }
    }

    /// Moves the player's bullets; returns how many enemies they hit.
    fn move_bullets(&mut self) -> i32 {
        let mut hits = 0;
        for index in (0..self.bullets.len()).rev() {
            let bullet = &mut self.bullets[index];
            bullet.advance();
            let at = bullet.at;
            if bullet.is_gone() {
                self.bullets.remove(index);
            } else if take_at(&mut self.fish, at) || take_at(&mut self.submarines, at) {
                self.bullets.remove(index);
                hits += 1;
            }
        }
        hits
    }

    fn move_divers(&mut self) {
        for index in (0..self.divers.len()).rev() {
            let has_room = self.divers_on_board < DIVERS_MAX;
            let diver = &mut self.divers[index];
            let mut is_taken = diver.at == self.at && has_room;
            if !is_taken {
                if diver.move_timer > 0 {
                    diver.move_timer -= 1;
                    continue;
                }
                diver.move_timer = MOVE_INTERVAL;
                diver.advance();
                is_taken = diver.at == self.at && has_room;
            }
            self.divers_on_board += i32::from(is_taken);
            if is_taken || diver.is_gone() {
                self.divers.remove(index);
            }
        }
    }

    /// Moves the enemy submarines and lets them shoot; returns how many ran into bullets.
    fn move_submarines(&mut self) -> i32 {
        let mut hits = 0;
        for index in (0..self.submarines.len()).rev() {
            let mut submarine = self.submarines[index];
            let fate = self.move_enemy(&mut submarine);
            // One that has just left or been hit still shoots, as in the original.
            if submarine.shot_timer == 0 {
                submarine.shot_timer = SHOT_INTERVAL;
                self.enemy_bullets.push(submarine);
            } else {
                submarine.shot_timer -= 1;
            }
            self.submarines[index] = submarine;
            if fate != Fate::Stays {
                self.submarines.remove(index);
            }
            hits += i32::from(fate == Fate::Hit);
        }
        hits
    }

    /// Moves the fish; returns how many ran into bullets.
    fn move_fish(&mut self) -> i32 {
        let mut hits = 0;
        for index in (0..self.fish.len()).rev() {
            let mut fish = self.fish[index];
            let fate = self.move_enemy(&mut fish);
            self.fish[index] = fish;
            if fate != Fate::Stays {
                self.fish.remove(index);
            }
            hits += i32::from(fate == Fate::Hit);
        }
        hits
    }

    /// Moves one enemy, which ends the game where it meets the player.
    fn move_enemy(&mut self, enemy: &mut Swimmer) -> Fate {
        self.is_over |= enemy.at == self.at;
        if enemy.move_timer > 0 {
            enemy.move_timer -= 1;
            return Fate::Stays;
        }
        enemy.move_timer = self.move_speed;
        enemy.advance();
        if enemy.is_gone() {
            return Fate::Gone;
        }
        if enemy.at == self.at {
            self.is_over = true;
            return Fate::Stays;
        }
        if take_at(&mut self.bullets, enemy.at) {
            return Fate::Hit;
        }
        Fate::Stays
    }

    fn move_enemy_bullets(&mut self) {
        for index in (0..self.enemy_bullets.len()).rev() {
            let bullet = &mut self.enemy_bullets[index];
            self.is_over |= bullet.at == self.at;
            bullet.advance();
            self.is_over |= bullet.at == self.at;
            if bullet.is_gone() {
                self.enemy_bullets.remove(index);
            }
        }
    }

    /// Uses oxygen below the surface and refills it there; returns the reward.
    fn breathe(&mut self) -> i32 {
        self.is_over |= self.oxygen <= 0;
        if self.at.row > 0 {
            self.oxygen -= 1;
            self.is_at_surface = false;
            return 0;
        }
        if self.is_at_surface {
            return 0;
        }
        if self.divers_on_board == 0 {
            self.is_over = true;
            return 0;
        }
        self.come_up()
    }

    fn come_up(&mut self) -> i32 {
        self.is_at_surface = true;
        let mut reward = 0;
        if self.divers_on_board == DIVERS_MAX {
            self.divers_on_board = 0;
            reward = self.oxygen * 10 / OXYGEN_MAX;
        }
        self.oxygen = OXYGEN_MAX;
        self.divers_on_board -= 1;
        if self.is_ramping && (self.spawn_speed > 1 || self.move_speed > 2) {
            if self.move_speed > 2 && self.ramp_index % 2 == 1 {
                self.move_speed -= 1;
            }
            if self.spawn_speed > 1 {
                self.spawn_speed -= 1;
            }
            self.ramp_index += 1;
        }
        reward
    }

    fn swimmers(&self) -> [&Vec<Swimmer>; 5] {
        [
            &self.bullets,
            &self.enemy_bullets,
            &self.fish,
            &self.submarines,
            &self.divers,
        ]
    }
}

/// What became of an enemy that moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    /// It left the board.
    Gone,
    /// It ran into a bullet.
    Hit,
}

impl Game<10> for Seaquest {
    const MINIMAL: &'static [Move] = &Move::ALL;
    const CHANNELS: [&'static str; 10] = [
        "sub_front",
        "sub_back",
        "friendly_bullet",
        "trail",
        "enemy_bullet",
        "enemy_fish",
        "enemy_sub",
        "oxygen_guage",
        "diver_guage",
        "diver",
    ];

    fn new(is_ramping: bool) -> Seaquest {
        let room = || Vec::with_capacity(ROOM);
        Seaquest {
            bullets: room(),
            enemy_bullets: room(),
            fish: room(),
            submarines: room(),
            divers: room(),
            ..Seaquest::start(is_ramping)
        }
    }

    fn reset(&mut self, _rng: &mut Rng) {
        // The lists keep their memory, so that episodes begin without allocating.
        let emptied = |swimmers: &mut Vec<Swimmer>| {
            swimmers.clear();
            std::mem::take(swimmers)
        };
        *self = Seaquest {
            bullets: emptied(&mut self.bullets),
            enemy_bullets: emptied(&mut self.enemy_bullets),
            fish: emptied(&mut self.fish),
            submarines: emptied(&mut self.submarines),
            divers: emptied(&mut self.divers),
            ..Seaquest::start(self.is_ramping)
        };
    }

    fn act(&mut self, action: Move, rng: &mut Rng) -> i32 {
        if self.spawn_timer == 0 {
            self.spawn_enemy(rng);
            self.spawn_timer = self.spawn_speed;
        }
        if self.diver_timer == 0 {
            self.spawn_diver(rng);
            self.diver_timer = DIVER_INTERVAL;
        }
        self.steer(action);
        let mut reward = self.move_bullets();
        self.move_divers();
        reward += self.move_submarines();
        self.move_enemy_bullets();
        reward += self.move_fish();
        self.spawn_timer = (self.spawn_timer - 1).max(0);
        self.diver_timer = (self.diver_timer - 1).max(0);
        self.shot_timer = (self.shot_timer - 1).max(0);
        reward + self.breathe()
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn planes(&self) -> [Plane; 10] {
        let union = |swimmers: &[Swimmer]| {
            swimmers.iter().fold(0, |plane, swimmer| {
                plane | cell(swimmer.at.row, swimmer.at.column)
            })
        };
        let trails = [&self.fish, &self.submarines, &self.divers]
            .into_iter()
            .flatten()
            .fold(0, |plane, swimmer| {
                plane | behind(swimmer.at.row, swimmer.at.column, swimmer.moves_right)
            });
        // Columns of the last row from 0 on, and up to the last but one.
        let oxygen = self.oxygen.max(0) * 10 / OXYGEN_MAX;
        let divers = self.divers_on_board.max(0);
        let bar = |from: i32, to: i32| row(9) & ((1 << (90 + to)) - (1 << (90 + from)));
        [
            cell(self.at.row, self.at.column),
            behind(self.at.row, self.at.column, self.looks_right),
            union(&self.bullets),
            trails,
            union(&self.enemy_bullets),
            union(&self.fish),
            union(&self.submarines),
            bar(0, oxygen),
            bar(9 - divers, 9),
            union(&self.divers),
        ]
    }

    fn save(&self, to: &mut Saver) {
        to.int(self.at.row)
            .int(self.at.column)
            .flag(self.looks_right)
            .int(self.oxygen)
            .int(self.divers_on_board)
            .int(self.spawn_speed)
            .int(self.spawn_timer)
            .int(self.diver_timer)
            .int(self.move_speed)
            .int(self.ramp_index)
            .int(self.shot_timer)
            .flag(self.is_at_surface)
            .flag(self.is_over);
        for swimmers in self.swimmers() {
            to.int(swimmers.len() as i32);
            for swimmer in swimmers {
                swimmer.save(to);
            }
        }
    }

    fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), EnvError> {
        self.at = Cell {
            row: from.int(0..=8)?,
            column: from.int(0..=9)?,
        };
        self.looks_right = from.flag()?;
        self.oxygen = from.int(-1..=OXYGEN_MAX)?;
        self.divers_on_board = from.int(i32::MIN / 2..=DIVERS_MAX)?;
        self.spawn_speed = from.int(1..=SPAWN_SPEED)?;
        self.spawn_timer = from.int(0..=SPAWN_SPEED)?;
        self.diver_timer = from.int(0..=DIVER_INTERVAL)?;
        self.move_speed = from.int(2..=MOVE_INTERVAL)?;
        self.ramp_index = from.int(0..=i32::MAX / 2)?;
        self.shot_timer = from.int(0..=COOL_DOWN)?;
        self.is_at_surface = from.flag()?;
        self.is_over = from.flag()?;
        for swimmers in [
            &mut self.bullets,
            &mut self.enemy_bullets,
            &mut self.fish,
            &mut self.submarines,
            &mut self.divers,
        ] {
            swimmers.clear();
            for _ in 0..from.int(0..=SWIMMERS_MAX)? {
                swimmers.push(Swimmer::restore(from)?);
            }
        }
        Ok(())
    }
}

const OXYGEN_MAX: i32 = 200;
const DIVERS_MAX: i32 = 6;
/// Steps from one enemy to the next, at first.
const SPAWN_SPEED: i32 = 20;
/// Steps from one diver to the next.
const DIVER_INTERVAL: i32 = 30;
/// Steps from one shot of the player to the next.
const COOL_DOWN: i32 = 5;
/// How many of a kind there is room for before a list grows.
const ROOM: usize = 32;
/// More of a kind than any game has.
const SWIMMERS_MAX: i32 = 1_000;
