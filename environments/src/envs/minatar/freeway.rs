//! MinAtar Freeway: cross eight lanes of traffic.
//!
//! # Description
//! The chicken moves up and down, once in three steps; cars cross in their lanes and enter again on the other
//! side. A hit takes the chicken back to the bottom; at the top it starts anew and the traffic changes. Young
//! and Tian, "MinAtar" (2019).
//!
//! # Action space
//! `Discrete(6)`: none (0), left (1), up (2), right (3), down (4), fire (5); the minimal set has none, up and
//! down.
//!
//! # Observation space
//! `Box(10, 10, 7)` of truths: chicken, car, and the trail of cars that move every step up to every five.
//!
//! # Rewards
//! 1 for each crossing.
//!
//! # Starting state
//! The chicken at the bottom, the cars in column 0 with random speeds and directions.
//!
//! # Episode end
//! Terminated after 2,500 steps, and one more.
//!
//! # Arguments
//! `sticky_action_prob`, 0.1; `difficulty_ramping`, without effect here; `use_minimal_action_set`.
//!
//! # Version history
//! v0: six actions. v1: the minimal set.

use super::{
    Move,
    board::{Plane, cell},
    game::Game,
    saved::{Reader, Saver},
};
use crate::{EnvError, rng::Rng};

/// The game's state.
#[derive(Clone, Debug)]
pub struct Freeway {
    row: i32,
    cars: [Car; LANES],
    move_timer: i32,
    terminate_timer: i32,
    is_over: bool,
}

/// A car; that of lane `i` is in row `i + 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Car {
    column: i32,
    /// Steps until it moves.
    timer: i32,
    /// Steps from one move to the next, 1 to 5.
    interval: i32,
    moves_right: bool,
}

impl Freeway {
    fn change_traffic(&mut self, rng: &mut Rng) {
        for car in &mut self.cars {
            car.interval = rng.below(5) as i32 + 1;
            car.timer = car.interval;
        }
        for car in &mut self.cars {
            car.moves_right = rng.unit() >= 0.5;
        }
    }

    fn is_hit(&self, lane: usize) -> bool {
        self.cars[lane].column == COLUMN && self.row == lane as i32 + 1
    }
}

impl Game<7> for Freeway {
    const MINIMAL: &'static [Move] = &[Move::None, Move::Up, Move::Down];
    const CHANNELS: [&'static str; 7] = [
        "chicken", "car", "speed1", "speed2", "speed3", "speed4", "speed5",
    ];

    fn new(_is_ramping: bool) -> Freeway {
        let car = Car {
            column: 0,
            timer: 1,
            interval: 1,
            moves_right: true,
        };
        Freeway {
            row: 9,
            cars: [car; LANES],
            move_timer: PLAYER_SPEED,
            terminate_timer: TIME_LIMIT,
            is_over: false,
        }
    }

    fn reset(&mut self, rng: &mut Rng) {
        *self = Freeway::new(false);
        self.change_traffic(rng);
    }

    fn act(&mut self, action: Move, rng: &mut Rng) -> i32 {
        if self.move_timer == 0 && matches!(action, Move::Up | Move::Down) {
            self.move_timer = PLAYER_SPEED;
            let by = if action == Move::Up { -1 } else { 1 };
            self.row = (self.row + by).clamp(0, 9);
        }
        let mut reward = 0;
        if self.row == 0 {
            reward = 1;
            self.change_traffic(rng);
            self.row = 9;
        }
        for lane in 0..LANES {
            if self.is_hit(lane) {
                self.row = 9;
            }
            let car = &mut self.cars[lane];
            if car.timer > 0 {
                car.timer -= 1;
                continue;
            }
            car.timer = car.interval;
            car.column = match (car.moves_right, car.column) {
                (true, 9) => 0,
                (true, column) => column + 1,
                (false, 0) => 9,
                (false, column) => column - 1,
            };
            if self.is_hit(lane) {
                self.row = 9;
            }
        }
        self.move_timer = (self.move_timer - 1).max(0);
        self.terminate_timer -= 1;
        self.is_over = self.terminate_timer < 0;
        reward
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn planes(&self) -> [Plane; 7] {
        let mut planes = [0; 7];
        planes[0] = cell(self.row, COLUMN);
        for (lane, car) in self.cars.iter().enumerate() {
            let row = lane as i32 + 1;
            planes[1] |= cell(row, car.column);
            let back = if car.moves_right { 9 } else { 1 };
            planes[1 + car.interval as usize] |= cell(row, (car.column + back) % 10);
        }
        planes
    }

    fn save(&self, to: &mut Saver) {
        to.int(self.row);
        for car in self.cars {
            to.int(car.column)
                .int(car.timer)
                .int(car.interval)
                .flag(car.moves_right);
        }
        to.int(self.move_timer)
            .int(self.terminate_timer)
            .flag(self.is_over);
    }

    fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), EnvError> {
        self.row = from.int(0..=9)?;
        for car in &mut self.cars {
            *car = Car {
                column: from.int(0..=9)?,
                timer: from.int(0..=5)?,
                interval: from.int(1..=5)?,
                moves_right: from.flag()?,
            };
        }
        self.move_timer = from.int(0..=PLAYER_SPEED)?;
        self.terminate_timer = from.int(-1..=TIME_LIMIT)?;
        self.is_over = from.flag()?;
        Ok(())
    }
}

const LANES: usize = 8;
/// The column that the chicken is in.
const COLUMN: i32 = 4;
/// Steps from one move of the chicken to the next.
const PLAYER_SPEED: i32 = 3;
const TIME_LIMIT: i32 = 2_500;
