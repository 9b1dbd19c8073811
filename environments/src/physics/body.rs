//! A rigid body: one polygon with a density.

use super::{
    math::{Rotation, Sweep, Transform, Vec2},
    shape::{Aabb, MassData, Polygon, aabb},
};

/// A body that moves.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Body {
    pub polygon: Polygon,
    pub friction: f32,
    pub inverse_mass: f32,
    pub inverse_inertia: f32,
    pub transform: Transform,
    pub sweep: Sweep,
    pub velocity: Velocity,
    pub force: Vec2,
    pub torque: f32,
    /// How long the body has been still; s.
    pub still_s: f32,
    pub is_awake: bool,
    /// The box that the broad phase knows; it has room to move.
    pub fat_aabb: Aabb,
    /// Whether that box is new since pairs were last looked for.
    pub has_moved: bool,
    /// Whether the body took part in the running step.
    pub in_island: bool,
}

/// Linear velocity of the centre of mass, m/s, and angular velocity, rad/s.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Velocity {
    pub linear: Vec2,
    pub angular: f32,
}

impl Velocity {
    /// Returns the velocity of the point at `arm` from the centre of mass.
    pub fn at(self, arm: Vec2) -> Vec2 {
        self.linear + arm.turned_at(self.angular)
    }
}

impl Body {
    /// Returns a body at rest whose frame's origin is at `position`.
    pub fn new(polygon: Polygon, density: f32, friction: f32, position: Vec2, angle: f32) -> Body {
        let MassData {
            mass,
            center,
            inertia,
        } = polygon.mass(density);
        let inverse_mass = 1.0 / mass;
        let local_center = (center * mass) * inverse_mass;
        let inertia = inertia - mass * local_center.dot(local_center);
        let transform = Transform {
            position,
            rotation: Rotation::new(angle),
        };
        let world_center = transform.apply(local_center);
        Body {
            polygon,
            friction,
            inverse_mass,
            inverse_inertia: 1.0 / inertia,
            transform,
            sweep: Sweep {
                local_center,
                center0: world_center,
                center: world_center,
                angle0: angle,
                angle,
                alpha0: 0.0,
            },
            velocity: Velocity::default(),
            force: Vec2::ZERO,
            torque: 0.0,
            still_s: 0.0,
            is_awake: true,
            fat_aabb: aabb(polygon.vertices(), transform).grown(AABB_MARGIN),
            has_moved: true,
            in_island: false,
        }
    }

    /// Returns where the frame's origin is; m.
    pub fn position(&self) -> Vec2 {
        self.transform.position
    }

    /// Returns the angle; rad, not reduced.
    pub fn angle(&self) -> f32 {
        self.sweep.angle
    }

    /// Returns the corners in the world; m.
    pub fn outline(&self) -> Vec<(f64, f64)> {
        let corners = self.polygon.vertices().iter();
        corners
            .map(|corner| {
                let Vec2 { x, y } = self.transform.apply(*corner);
                (f64::from(x), f64::from(y))
            })
            .collect()
    }

    /// Returns where a point given in the body's frame is; m.
    pub fn in_world(&self, x: f64, y: f64) -> (f64, f64) {
        let Vec2 { x, y } = self.transform.apply(Vec2::from_f64(x, y));
        (f64::from(x), f64::from(y))
    }

    /// Adds a force at the centre of mass for the next step; N.
    pub fn apply_force(&mut self, force: Vec2) {
        self.wake();
        self.force += force;
    }

    /// Adds a torque for the next step; Nm.
    pub fn apply_torque(&mut self, torque: f32) {
        self.wake();
        self.torque += torque;
    }

    /// Changes the velocities at once; Ns at a point of the world.
    pub fn apply_impulse(&mut self, impulse: Vec2, point: Vec2) {
        self.wake();
        self.velocity.linear += impulse * self.inverse_mass;
        self.velocity.angular += self.inverse_inertia * (point - self.sweep.center).cross(impulse);
    }

    pub fn wake(&mut self) {
        if !self.is_awake {
            self.is_awake = true;
            self.still_s = 0.0;
        }
    }

    pub fn sleep(&mut self) {
        self.is_awake = false;
        self.still_s = 0.0;
        self.velocity = Velocity::default();
        self.force = Vec2::ZERO;
        self.torque = 0.0;
    }

    /// Moves the frame to where the sweep ends.
    pub fn update_transform(&mut self) {
        let sweep = &self.sweep;
        self.transform = Transform::around(sweep.center, sweep.angle, sweep.local_center);
    }

    /// Moves the body back to `alpha` of the step.
    pub fn advance(&mut self, alpha: f32) {
        self.sweep.advance(alpha);
        self.sweep.center = self.sweep.center0;
        self.sweep.angle = self.sweep.angle0;
        self.update_transform();
    }

    /// Enlarges the broad phase's box when the motion of this step leaves it.
    pub fn update_aabb(&mut self) {
        let sweep = &self.sweep;
        let start = Transform::around(sweep.center0, sweep.angle0, sweep.local_center);
        let vertices = self.polygon.vertices();
        let swept = aabb(vertices, start).union(&aabb(vertices, self.transform));
        if self.fat_aabb.contains(&swept) {
            return;
        }
        let mut fat = swept.grown(AABB_MARGIN);
        let ahead = (self.transform.position - start.position) * AABB_AHEAD;
        if ahead.x < 0.0 {
            fat.lower.x += ahead.x;
        } else {
            fat.upper.x += ahead.x;
        }
        if ahead.y < 0.0 {
            fat.lower.y += ahead.y;
        } else {
            fat.upper.y += ahead.y;
        }
        self.fat_aabb = fat;
        self.has_moved = true;
    }

    /// Moves by the velocities, which are capped, for `dt` seconds.
    pub fn integrate_position(&mut self, dt: f32) {
        let Velocity {
            linear: mut v,
            angular: mut w,
        } = self.velocity;
        let translation = v * dt;
        if translation.dot(translation) > MAX_TRANSLATION * MAX_TRANSLATION {
            v = v * (MAX_TRANSLATION / translation.length());
        }
        let rotation = dt * w;
        if rotation * rotation > MAX_ROTATION * MAX_ROTATION {
            w *= MAX_ROTATION / rotation.abs();
        }
        self.sweep.center += v * dt;
        self.sweep.angle += dt * w;
        self.velocity = Velocity {
            linear: v,
            angular: w,
        };
    }
}

/// How much larger boxes of the broad phase are; m.
pub(super) const AABB_MARGIN: f32 = 0.1;
/// For how many displacements ahead a box has room.
const AABB_AHEAD: f32 = 2.0;
/// The furthest that a body moves in a step; m.
const MAX_TRANSLATION: f32 = 2.0;
/// The furthest that a body turns in a step; rad.
const MAX_ROTATION: f32 = 0.5 * std::f32::consts::PI;
