//! The walker's world: what reset builds and a step does.

use super::{
    SCALE, VIEW_HEIGHT, VIEW_WIDTH,
    terrain::{GRASS, HEIGHT, LENGTH, START_PAD, STEP, Terrain},
};
use crate::{
    physics::{Body, ContactEvent, Edge, Polygon, RevoluteJoint, Shape, StepConfig, Vec2, World},
    rng::Rng,
};

/// The walker on its terrain.
#[derive(Clone, Debug, Default)]
pub(super) struct Walker {
    world: World,
    pub terrain: Terrain,
    foot_touches: [bool; 2],
    is_fallen: bool,
    last_shaping: Option<f64>,
}

/// What a step led to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    pub observation: [f32; 24],
    pub reward: f64,
    pub terminated: bool,
}

impl Walker {
    /// Draws a terrain, builds the walker, pushes it, and does a first step without torque.
    ///
    /// The draws are the terrain's, those of ten clouds that only a picture shows, and the force.
    pub fn reset(&mut self, is_hardcore: bool, rng: &mut Rng) -> Outcome {
        self.terrain.draw(is_hardcore, rng);
        self.terrain.draw_clouds(rng);
        self.build();
        let force = rng.uniform(-INITIAL_RANDOM, INITIAL_RANDOM);
        self.world.bodies[HULL].apply_force(Vec2::from_f64(force, 0.0));
        self.step(&[0.0; 4])
    }

    /// Builds the world on the terrain.
    fn build(&mut self) {
        let Walker { world, terrain, .. } = self;
        // There are fewer blocks than steps of the line.
        world.clear(Vec2::new(0.0, -10.0), 2 * LENGTH);
        for block in &terrain.blocks {
            let block = block.map(|(x, y)| Vec2::from_f64(x, y));
            let body = world.add_ground_body();
            world.add_ground(body, Shape::Polygon(Polygon::hull(&block)), GROUND_FRICTION);
        }
        for at in 0..LENGTH - 1 {
            let end = |at: usize| Vec2::from_f64(at as f64 * STEP, terrain.heights[at]);
            let vertices = [end(at), end(at + 1)];
            let body = world.add_ground_body();
            world.add_ground(body, Shape::Edge(Edge { vertices }), GROUND_FRICTION);
        }
        let (x, y) = (STEP * START_PAD as f64 / 2.0, HEIGHT + 2.0 * LEG_HEIGHT);
        let outline = HULL_OUTLINE.map(|(x, y)| Vec2::from_f64(x / SCALE, y / SCALE));
        let start = Vec2::from_f64(x, y);
        world.add_body(Body::new(Polygon::hull(&outline), 5.0, 0.1, start, 0.0));
        for side in [-1.0, 1.0] {
            let angle = (side * 0.05) as f32;
            let mut add_leg = |width: f64, y: f64| {
                let polygon = Polygon::rectangle((width / 2.0) as f32, (LEG_HEIGHT / 2.0) as f32);
                let position = Vec2::from_f64(x, y);
                world.add_body(Body::new(polygon, 1.0, DEFAULT_FRICTION, position, angle))
            };
            let upper = add_leg(LEG_WIDTH, y - LEG_HEIGHT / 2.0 - LEG_DOWN);
            let lower = add_leg(0.8 * LEG_WIDTH, y - LEG_HEIGHT * 3.0 / 2.0 - LEG_DOWN);
            let top = Vec2::from_f64(0.0, LEG_HEIGHT / 2.0);
            let hip = Vec2::from_f64(0.0, LEG_DOWN);
            let knee = Vec2::from_f64(0.0, -LEG_HEIGHT / 2.0);
            let bodies = &world.bodies;
            let hip = RevoluteJoint::new(bodies, [HULL, upper], [hip, top], [-0.8, 1.1]);
            let knee = RevoluteJoint::new(bodies, [upper, lower], [knee, top], [-1.6, -0.1]);
            world.add_joint(hip);
            world.add_joint(knee);
        }
        self.foot_touches = [false; 2];
        self.is_fallen = false;
        self.last_shaping = None;
    }

    /// Does a step; the action is within ±1.
    pub fn step(&mut self, action: &[f32; 4]) -> Outcome {
        for (joint, value) in self.world.joints.iter_mut().zip(action) {
            let is_hip = joint.body_a == HULL;
            let speed = if is_hip { HIP_SPEED } else { KNEE_SPEED };
            let direction = if *value == 0.0 { 0.0 } else { value.signum() };
            joint.motor_speed = speed * direction;
            joint.max_motor_torque = MOTORS_TORQUE * value.abs();
        }
        for body in &mut self.world.bodies {
            body.wake();
        }
        self.world.step(&CONFIG);
        for event in self.world.events() {
            match *event {
                ContactEvent::Begin { body: HULL } => self.is_fallen = true,
                ContactEvent::Begin { body: FOOT_1 } => self.foot_touches[0] = true,
                ContactEvent::Begin { body: FOOT_2 } => self.foot_touches[1] = true,
                ContactEvent::End { body: FOOT_1 } => self.foot_touches[0] = false,
                ContactEvent::End { body: FOOT_2 } => self.foot_touches[1] = false,
                _ => {}
            }
        }
        let hull = &self.world.bodies[HULL];
        let (x, angle) = (f64::from(hull.position().x), f64::from(hull.angle()));
        let shaping = 130.0 * x / SCALE - 5.0 * angle.abs();
        let gain = self.last_shaping.map_or(0.0, |last| shaping - last);
        self.last_shaping = Some(shaping);
        // The cost of the motors is counted in f32, as NumPy does with actions in f32.
        let mut reward = gain as f32;
        for value in action {
            reward -= (0.00035 * f64::from(MOTORS_TORQUE)) as f32 * value.abs();
        }
        let has_failed = self.is_fallen || x < 0.0;
        Outcome {
            observation: self.observation(),
            reward: if has_failed {
                -100.0
            } else {
                f64::from(reward)
            },
            terminated: has_failed || x > (LENGTH as f64 - GRASS as f64) * STEP,
        }
    }

    fn observation(&self) -> [f32; 24] {
        let world = &self.world;
        let hull = &world.bodies[HULL];
        let velocity = hull.velocity;
        let mut observation = [0.0; 24];
        observation[0] = hull.angle();
        observation[1] = (2.0 * f64::from(velocity.angular) / FPS) as f32;
        observation[2] = (0.3 * f64::from(velocity.linear.x) * VIEW_WIDTH / FPS) as f32;
        observation[3] = (0.3 * f64::from(velocity.linear.y) * VIEW_HEIGHT / FPS) as f32;
        for leg in 0..2 {
            let row = &mut observation[4 + 5 * leg..][..5];
            let (hip, knee) = (&world.joints[2 * leg], &world.joints[2 * leg + 1]);
            row[0] = hip.angle(&world.bodies);
            row[1] = (f64::from(hip.speed(&world.bodies)) / f64::from(HIP_SPEED)) as f32;
            row[2] = (f64::from(knee.angle(&world.bodies)) + 1.0) as f32;
            row[3] = (f64::from(knee.speed(&world.bodies)) / f64::from(KNEE_SPEED)) as f32;
            row[4] = f32::from(u8::from(self.foot_touches[leg]));
        }
        for ray in 0..10 {
            let (from, to) = self.ray(ray);
            observation[14 + ray] = world.ray_cast(from, to);
        }
        observation
    }

    /// Returns the ends of one of the ten rays of the lidar, from straight down to nearly straight ahead.
    fn ray(&self, ray: usize) -> (Vec2, Vec2) {
        let from = self.world.bodies[HULL].position();
        let angle = 1.5 * ray as f64 / 10.0;
        let to = Vec2::from_f64(
            f64::from(from.x) + angle.sin() * LIDAR_RANGE,
            f64::from(from.y) - angle.cos() * LIDAR_RANGE,
        );
        (from, to)
    }

    /// Returns a ray of the lidar up to where it meets the ground; m.
    pub fn ray_until_ground(&self, ray: usize) -> ((f64, f64), (f64, f64)) {
        let (from, to) = self.ray(ray);
        let end = from + (to - from) * self.world.ray_cast(from, to);
        let wide = |point: Vec2| (f64::from(point.x), f64::from(point.y));
        (wide(from), wide(end))
    }

    /// Returns how far the hull is from the left end; m.
    pub fn x(&self) -> f64 {
        f64::from(self.world.bodies[HULL].position().x)
    }

    /// Returns the corners of the hull, then of each leg's upper and lower part; m.
    pub fn outlines(&self) -> impl Iterator<Item = Vec<(f64, f64)>> {
        self.world.bodies.iter().map(Body::outline)
    }

    /// Returns everything that later steps depend on: how many blocks, the line's heights, the blocks'
    /// corners, both feet's contacts, whether it fell, the last shaping (twice 0 for none), then the world.
    pub fn save(&self) -> Vec<f64> {
        let flag = |value: bool| f64::from(u8::from(value));
        let mut values = vec![self.terrain.blocks.len() as f64];
        values.extend(&self.terrain.heights);
        let corners = self.terrain.blocks.iter().flatten();
        values.extend(corners.flat_map(|(x, y)| [*x, *y]));
        values.extend(self.foot_touches.map(flag));
        values.extend([
            flag(self.is_fallen),
            flag(self.last_shaping.is_some()),
            self.last_shaping.unwrap_or(0.0),
        ]);
        self.world.save(&mut values);
        values
    }

    /// Returns the walker that [`Walker::save`] was called on; `None` for anything else.
    pub fn restore(values: &[f64]) -> Option<Walker> {
        let (count, rest) = values.split_first()?;
        let (heights, rest) = rest.split_at_checked(LENGTH)?;
        // There are never more blocks than points of the line.
        let count = (0.0..LENGTH as f64)
            .contains(count)
            .then_some(*count as usize)?;
        let (corners, rest) = rest.split_at_checked(8 * count)?;
        let (flags, world) = rest.split_first_chunk::<5>()?;
        let mut numbers = heights.iter().chain(corners).chain(flags);
        if numbers.any(|value| !value.is_finite()) {
            return None;
        }
        let mut walker = Walker::default();
        walker.terrain.heights.extend(heights);
        let (blocks, _) = corners.as_chunks::<8>();
        walker.terrain.blocks.extend(blocks.iter().map(|block| {
            let [x1, y1, x2, y2, x3, y3, x4, y4] = *block;
            [(x1, y1), (x2, y2), (x3, y3), (x4, y4)]
        }));
        walker.build();
        let [foot1, foot2, fallen, shaped, shaping] = *flags;
        walker.foot_touches = [foot1 == 1.0, foot2 == 1.0];
        walker.is_fallen = fallen == 1.0;
        walker.last_shaping = (shaped == 1.0).then_some(shaping);
        walker.world.restore(world)?;
        Some(walker)
    }
}

const FPS: f64 = 50.0;
const CONFIG: StepConfig = StepConfig {
    dt_s: (1.0 / FPS) as f32,
    velocity_iterations: 6 * 30,
    position_iterations: 2 * 30,
};
/// Indexes among the bodies: hull, then for each leg its upper and its lower part.
const HULL: usize = 0;
const FOOT_1: usize = 2;
const FOOT_2: usize = 4;
const HULL_OUTLINE: [(f64, f64); 5] = [
    (-30.0, 9.0),
    (6.0, 9.0),
    (34.0, 1.0),
    (34.0, -8.0),
    (-30.0, -8.0),
];
const LEG_DOWN: f64 = -8.0 / SCALE;
const LEG_WIDTH: f64 = 8.0 / SCALE;
const LEG_HEIGHT: f64 = 34.0 / SCALE;
const MOTORS_TORQUE: f32 = 80.0;
const HIP_SPEED: f32 = 4.0;
const KNEE_SPEED: f32 = 6.0;
const LIDAR_RANGE: f64 = 160.0 / SCALE;
/// The first push is up to this force; N.
const INITIAL_RANDOM: f64 = 5.0;
const GROUND_FRICTION: f32 = 2.5;
/// Box2D's own.
const DEFAULT_FRICTION: f32 = 0.2;
