//! The lander's world: what reset builds and a step does.

use super::LunarLanderConfig;
use crate::envs::draw::draw_integer;
use crate::{
    physics::{Body, ContactEvent, Edge, Polygon, RevoluteJoint, Shape, StepConfig, Vec2, World},
    rng::Rng,
};

/// The lander on its moon.
#[derive(Clone, Debug, Default)]
pub(super) struct Lander {
    world: World,
    /// Heights as drawn; the middle five are replaced by the pad's.
    heights: [f64; CHUNKS + 1],
    wind_at: i64,
    turbulence_at: i64,
    leg_touches: [bool; 2],
    is_crashed: bool,
    last_shaping: Option<f64>,
}

/// What the engines do in a step; powers from 0 to 1, `direction` is -1 for the left one and 1 for the right.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Thrust {
    pub main: f64,
    pub side: f64,
    pub direction: f64,
}

/// What a step led to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    pub observation: [f64; 8],
    pub reward: f64,
    pub terminated: bool,
}

impl Lander {
    /// Builds moon and lander, pushes it, and does a first step without engines.
    ///
    /// The draws are 12 heights, two forces, with wind two indexes, then those of the step.
    pub fn reset(&mut self, config: &LunarLanderConfig, rng: &mut Rng) -> Outcome {
        for height in &mut self.heights {
            *height = rng.uniform(0.0, HEIGHT / 2.0);
        }
        self.build(config);
        let x = rng.uniform(-INITIAL_RANDOM, INITIAL_RANDOM);
        let y = rng.uniform(-INITIAL_RANDOM, INITIAL_RANDOM);
        self.world.bodies[LANDER].apply_force(Vec2::from_f64(x, y));
        if config.enable_wind {
            self.wind_at = draw_integer(rng, -9999, 9999);
            self.turbulence_at = draw_integer(rng, -9999, 9999);
        }
        self.step(Thrust::default(), config, rng)
    }

    /// Builds the world from the heights.
    fn build(&mut self, config: &LunarLanderConfig) {
        let world = &mut self.world;
        world.clear(Vec2::from_f64(0.0, config.gravity), CHUNKS + 1);
        let moon = world.add_ground_body();
        let mut add_edge = |from: (f64, f64), to: (f64, f64), friction| {
            let vertices = [from, to].map(|(x, y)| Vec2::from_f64(x, y));
            world.add_ground(moon, Shape::Edge(Edge { vertices }), friction);
        };
        add_edge((0.0, 0.0), (WIDTH, 0.0), DEFAULT_FRICTION);
        let surface = surface(&self.heights);
        for ends in surface.windows(2) {
            add_edge(ends[0], ends[1], 0.1);
        }
        let (x, y) = (WIDTH / 2.0, HEIGHT);
        let outline = LANDER_OUTLINE.map(|(x, y)| Vec2::from_f64(x / SCALE, y / SCALE));
        let start = Vec2::from_f64(x, y);
        world.add_body(Body::new(Polygon::hull(&outline), 5.0, 0.1, start, 0.0));
        for side in [-1.0, 1.0] {
            let polygon = Polygon::rectangle((2.0 / SCALE) as f32, (8.0 / SCALE) as f32);
            let position = Vec2::from_f64(x - side * LEG_AWAY / SCALE, y);
            let angle = (side * 0.05) as f32;
            let leg = world.add_body(Body::new(polygon, 1.0, DEFAULT_FRICTION, position, angle));
            let anchor = Vec2::from_f64(side * LEG_AWAY / SCALE, LEG_DOWN / SCALE);
            let limits = if side < 0.0 {
                [0.9 - 0.5, 0.9]
            } else {
                [-0.9, -0.9 + 0.5]
            }
            .map(|angle: f64| angle as f32);
            let anchors = [Vec2::ZERO, anchor];
            let mut joint = RevoluteJoint::new(&world.bodies, [LANDER, leg], anchors, limits);
            joint.motor_speed = (0.3 * side) as f32;
            joint.max_motor_torque = LEG_SPRING_TORQUE;
            world.add_joint(joint);
        }
        self.leg_touches = [false; 2];
        self.is_crashed = false;
        self.last_shaping = None;
    }

    /// Does a step; its two draws are how the engines' points of force are dispersed.
    pub fn step(&mut self, thrust: Thrust, config: &LunarLanderConfig, rng: &mut Rng) -> Outcome {
        if config.enable_wind && self.leg_touches == [false; 2] {
            self.blow(config);
        }
        let dispersion = [(); 2].map(|()| rng.uniform(-1.0, 1.0) / SCALE);
        self.fire(thrust, dispersion);
        self.world.step(&STEP);
        for event in self.world.events() {
            match *event {
                ContactEvent::Begin { body: LANDER } => self.is_crashed = true,
                ContactEvent::End { body: LANDER } => {}
                ContactEvent::Begin { body } => self.leg_touches[body - 1] = true,
                ContactEvent::End { body } => self.leg_touches[body - 1] = false,
            }
        }
        let observation = self.observation();
        let shaping = shaping(&observation);
        let mut reward = self.last_shaping.map_or(0.0, |last| shaping - last);
        self.last_shaping = Some(shaping);
        reward -= thrust.main * 0.3;
        reward -= thrust.side * 0.03;
        let mut terminated = false;
        if self.is_crashed || observation[0].abs() >= 1.0 {
            terminated = true;
            reward = -100.0;
        }
        if !self.world.bodies[LANDER].is_awake {
            terminated = true;
            reward = 100.0;
        }
        Outcome {
            observation,
            reward,
            terminated,
        }
    }

    /// Applies wind and turbulence: a wave that never repeats, of the index.
    fn blow(&mut self, config: &LunarLanderConfig) {
        let wave = |at: i64| {
            let at = at as f64;
            ((0.02 * at).sin() + (std::f64::consts::PI * 0.01 * at).sin()).tanh()
        };
        let wind = wave(self.wind_at) * config.wind_power;
        let turbulence = wave(self.turbulence_at) * config.turbulence_power;
        self.wind_at += 1;
        self.turbulence_at += 1;
        let lander = &mut self.world.bodies[LANDER];
        lander.apply_force(Vec2::from_f64(wind, 0.0));
        lander.apply_torque(turbulence as f32);
    }

    fn fire(&mut self, thrust: Thrust, dispersion: [f64; 2]) {
        let lander = &mut self.world.bodies[LANDER];
        let angle = f64::from(lander.angle());
        let tip = [angle.sin(), angle.cos()];
        let side = [-tip[1], tip[0]];
        let (x, y) = (
            f64::from(lander.position().x),
            f64::from(lander.position().y),
        );
        if thrust.main > 0.0 {
            let down = MAIN_ENGINE_Y / SCALE + 2.0 * dispersion[0];
            let ox = tip[0] * down + side[0] * dispersion[1];
            let oy = -tip[1] * down - side[1] * dispersion[1];
            lander.apply_impulse(
                Vec2::from_f64(
                    -ox * MAIN_ENGINE_POWER * thrust.main,
                    -oy * MAIN_ENGINE_POWER * thrust.main,
                ),
                Vec2::from_f64(x + ox, y + oy),
            );
        }
        if thrust.side > 0.0 {
            let away = 3.0 * dispersion[1] + thrust.direction * SIDE_ENGINE_AWAY / SCALE;
            let ox = tip[0] * dispersion[0] + side[0] * away;
            let oy = -tip[1] * dispersion[0] - side[1] * away;
            // 17 and 14 are the original's; that they differ makes the torque depend on the angle.
            let point = Vec2::from_f64(
                x + ox - tip[0] * 17.0 / SCALE,
                y + oy + tip[1] * 14.0 / SCALE,
            );
            lander.apply_impulse(
                Vec2::from_f64(
                    -ox * SIDE_ENGINE_POWER * thrust.side,
                    -oy * SIDE_ENGINE_POWER * thrust.side,
                ),
                point,
            );
        }
    }

    fn observation(&self) -> [f64; 8] {
        let lander = &self.world.bodies[LANDER];
        let position = lander.position();
        let velocity = lander.velocity;
        let [left, right] = self.leg_touches.map(|touches| f64::from(u8::from(touches)));
        [
            (f64::from(position.x) - WIDTH / 2.0) / (WIDTH / 2.0),
            (f64::from(position.y) - (PAD_Y + LEG_DOWN / SCALE)) / (HEIGHT / 2.0),
            f64::from(velocity.linear.x) * (WIDTH / 2.0) / FPS,
            f64::from(velocity.linear.y) * (HEIGHT / 2.0) / FPS,
            f64::from(lander.angle()),
            20.0 * f64::from(velocity.angular) / FPS,
            left,
            right,
        ]
    }

    /// Returns the moon's corners, from the left; m.
    pub fn surface(&self) -> [(f64, f64); CHUNKS] {
        surface(&self.heights)
    }

    /// Returns the corners of the lander, then of its legs; m.
    pub fn outlines(&self) -> impl Iterator<Item = Vec<(f64, f64)>> {
        self.world.bodies.iter().map(Body::outline)
    }

    /// Returns where a point given in the lander's frame is; m.
    pub fn in_world(&self, x: f64, y: f64) -> (f64, f64) {
        self.world.bodies[LANDER].in_world(x, y)
    }

    /// Returns everything that later steps depend on: 12 heights, the indexes of wind and turbulence, both
    /// legs' contacts, whether it crashed, the last shaping (twice 0 for none), then the world.
    pub fn save(&self) -> Vec<f64> {
        let flag = |value: bool| f64::from(u8::from(value));
        let mut values = self.heights.to_vec();
        values.extend([self.wind_at as f64, self.turbulence_at as f64]);
        values.extend(self.leg_touches.map(flag));
        values.extend([
            flag(self.is_crashed),
            flag(self.last_shaping.is_some()),
            self.last_shaping.unwrap_or(0.0),
        ]);
        self.world.save(&mut values);
        values
    }

    /// Returns the lander that [`Lander::save`] was called on; `None` for anything else.
    pub fn restore(values: &[f64], config: &LunarLanderConfig) -> Option<Lander> {
        let (heights, rest) = values.split_first_chunk()?;
        let (flags, world) = rest.split_first_chunk::<7>()?;
        if heights.iter().chain(flags).any(|value| !value.is_finite()) {
            return None;
        }
        let mut lander = Lander {
            heights: *heights,
            ..Lander::default()
        };
        lander.build(config);
        let [wind, turbulence, left, right, crashed, shaped, shaping] = *flags;
        (lander.wind_at, lander.turbulence_at) = (wind as i64, turbulence as i64);
        lander.leg_touches = [left == 1.0, right == 1.0];
        lander.is_crashed = crashed == 1.0;
        lander.last_shaping = (shaped == 1.0).then_some(shaping);
        lander.world.restore(world)?;
        Some(lander)
    }
}

/// Returns the moon's corners, from the left: heights smoothed over three, the pad in the middle.
fn surface(heights: &[f64; CHUNKS + 1]) -> [(f64, f64); CHUNKS] {
    let mut heights = *heights;
    heights[CHUNKS / 2 - 2..=CHUNKS / 2 + 2].fill(PAD_Y);
    std::array::from_fn(|at| {
        let before = heights[at.checked_sub(1).unwrap_or(CHUNKS)];
        let y = 0.33 * (before + heights[at] + heights[at + 1]);
        (WIDTH / (CHUNKS - 1) as f64 * at as f64, y)
    })
}

/// Returns what rewards are the differences of: closer, slower and more upright is more.
fn shaping(observation: &[f64; 8]) -> f64 {
    let [x, y, vx, vy, angle, _, left, right] = *observation;
    -100.0 * (x * x + y * y).sqrt() - 100.0 * (vx * vx + vy * vy).sqrt() - 100.0 * angle.abs()
        + 10.0 * left
        + 10.0 * right
}

/// How many corners the moon has.
pub(super) const CHUNKS: usize = 11;
/// Pixels a metre.
pub(super) const SCALE: f64 = 30.0;
pub(super) const WIDTH: f64 = 600.0 / SCALE;
pub(super) const HEIGHT: f64 = 400.0 / SCALE;
pub(super) const PAD_Y: f64 = HEIGHT / 4.0;

const FPS: f64 = 50.0;
const STEP: StepConfig = StepConfig {
    dt_s: (1.0 / FPS) as f32,
    velocity_iterations: 6 * 30,
    position_iterations: 2 * 30,
};
/// The lander's index among the bodies; the legs' come after it.
const LANDER: usize = 0;
const LANDER_OUTLINE: [(f64, f64); 6] = [
    (-14.0, 17.0),
    (-17.0, 0.0),
    (-17.0, -10.0),
    (17.0, -10.0),
    (17.0, 0.0),
    (14.0, 17.0),
];
const LEG_AWAY: f64 = 20.0;
const LEG_DOWN: f64 = 18.0;
const LEG_SPRING_TORQUE: f32 = 40.0;
const MAIN_ENGINE_POWER: f64 = 13.0;
const MAIN_ENGINE_Y: f64 = 4.0;
const SIDE_ENGINE_POWER: f64 = 0.6;
const SIDE_ENGINE_AWAY: f64 = 12.0;
/// The first push is up to this force in each direction; N.
const INITIAL_RANDOM: f64 = 1000.0;
/// Box2D's own.
const DEFAULT_FRICTION: f32 = 0.2;
