//! What the walker walks on: a line of 200 points, and in the hard form blocks and pits.

use std::f64::consts::TAU;

use crate::{envs::draw::draw_integer, rng::Rng};

/// The terrain in metres.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Terrain {
    /// The height at each step of the line.
    pub heights: Vec<f64>,
    /// The corners of stumps, stairs and the walls of pits.
    pub blocks: Vec<[(f64, f64); 4]>,
    /// The corners of clouds, which only a picture shows: a saved state is without them.
    pub clouds: Vec<[(f64, f64); 5]>,
}

/// A stretch of terrain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stretch {
    Grass,
    Stump,
    Stairs,
    Pit,
}

impl Terrain {
    /// Draws a terrain: grass, and with `is_hardcore` obstacles between.
    pub fn draw(&mut self, is_hardcore: bool, rng: &mut Rng) {
        self.heights.clear();
        self.blocks.clear();
        self.blocks.reserve(LENGTH);
        let mut stretch = Stretch::Grass;
        // Whether the stretch has just begun.
        let mut begins = false;
        let mut left = START_PAD;
        let (mut velocity, mut y) = (0.0, HEIGHT);
        let mut original_y = 0.0;
        let mut stairs = Stairs::default();
        for at in 0..LENGTH {
            let x = at as f64 * STEP;
            match (stretch, begins) {
                (Stretch::Grass, false) => {
                    velocity = 0.8 * velocity + 0.01 * sign(HEIGHT - y);
                    if at as i64 > START_PAD {
                        velocity += rng.uniform(-1.0, 1.0) / super::SCALE;
                    }
                    y += velocity;
                }
                (Stretch::Grass, true) | (Stretch::Stump, false) => {}
                (Stretch::Stump, true) => {
                    left = draw_integer(rng, 1, 3);
                    let size = left as f64 * STEP;
                    self.blocks
                        .push([(x, y), (x + size, y), (x + size, y + size), (x, y + size)]);
                }
                (Stretch::Stairs, true) => {
                    stairs = Stairs::draw(rng);
                    original_y = y;
                    self.blocks.extend(stairs.blocks(x, y));
                    left = stairs.count * stairs.width;
                }
                (Stretch::Stairs, false) => {
                    y = original_y + stairs.rise(left);
                }
                (Stretch::Pit, true) => {
                    left = draw_integer(rng, 3, 5);
                    let wall = |x: f64| {
                        let bottom = y - 4.0 * STEP;
                        [(x, y), (x + STEP, y), (x + STEP, bottom), (x, bottom)]
                    };
                    let near = wall(x);
                    let width = STEP * left as f64;
                    self.blocks.push(near);
                    self.blocks.push(near.map(|(x, y)| (x + width, y)));
                    left += 2;
                    original_y = y;
                }
                (Stretch::Pit, false) => {
                    y = original_y;
                    if left > 1 {
                        y -= 4.0 * STEP;
                    }
                }
            }
            begins = false;
            self.heights.push(y);
            left -= 1;
            if left == 0 {
                left = draw_integer(rng, GRASS / 2, GRASS);
                stretch = match stretch {
                    Stretch::Grass if is_hardcore => match draw_integer(rng, 1, 4) {
                        1 => Stretch::Stump,
                        2 => Stretch::Stairs,
                        _ => Stretch::Pit,
                    },
                    _ => Stretch::Grass,
                };
                begins = true;
            }
        }
    }
}

impl Terrain {
    /// Draws ten clouds.
    pub fn draw_clouds(&mut self, rng: &mut Rng) {
        self.clouds.clear();
        for _ in 0..LENGTH / 20 {
            let x = rng.uniform(0.0, LENGTH as f64) * STEP;
            let y = super::VIEW_HEIGHT * 3.0 / 4.0;
            self.clouds.push(std::array::from_fn(|corner| {
                let angle = TAU * corner as f64 / 5.0;
                let right = rng.uniform(0.0, 5.0 * STEP);
                let up = rng.uniform(0.0, 5.0 * STEP);
                (
                    x + 15.0 * STEP * angle.sin() + right,
                    y + 5.0 * STEP * angle.cos() + up,
                )
            }));
        }
    }
}

/// Stairs up or down.
#[derive(Clone, Copy, Debug, Default)]
struct Stairs {
    /// 1 for up, -1 for down.
    direction: i64,
    /// The width of one; steps of the line.
    width: i64,
    count: i64,
}

impl Stairs {
    fn draw(rng: &mut Rng) -> Stairs {
        Stairs {
            direction: if rng.unit() > 0.5 { 1 } else { -1 },
            width: draw_integer(rng, 4, 5),
            count: draw_integer(rng, 3, 5),
        }
    }

    fn blocks(self, x: f64, y: f64) -> impl Iterator<Item = [(f64, f64); 4]> {
        let at_x = move |stairs: i64| x + (stairs * self.width) as f64 * STEP;
        (0..self.count).map(move |stair| {
            let top = y + (stair * self.direction) as f64 * STEP;
            let bottom = y + (-1 + stair * self.direction) as f64 * STEP;
            let (start, end) = (at_x(stair), at_x(1 + stair));
            [(start, top), (end, top), (end, bottom), (start, bottom)]
        })
    }

    /// Returns how much higher the line is with `left` of the stairs' steps to go.
    fn rise(self, left: i64) -> f64 {
        let done = self.count * self.width - left - self.direction;
        let stairs = done as f64 / self.width as f64;
        (stairs * self.direction as f64) * STEP
    }
}

/// Returns -1, 0 or 1.
fn sign(value: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value.signum() }
}

/// The distance of the line's points; m.
pub(super) const STEP: f64 = 14.0 / super::SCALE;
/// How many points the line has.
pub(super) const LENGTH: usize = 200;
/// The height at the start; m.
pub(super) const HEIGHT: f64 = super::VIEW_HEIGHT / 4.0;
/// The longest stretch of grass between obstacles; steps.
pub(super) const GRASS: i64 = 10;
/// The level stretch at the start; steps.
pub(super) const START_PAD: i64 = 20;
