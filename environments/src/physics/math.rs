//! Vectors, rotations, transforms and sweeps, in f32 with Box2D's order of operations.

use std::{
    f32::consts::TAU,
    ops::{Add, AddAssign, Mul, Neg, Sub, SubAssign},
};

/// A vector of the plane.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Vec2 {
    pub x: f32,
    pub y: f32,
}

impl Vec2 {
    pub const ZERO: Vec2 = Vec2 { x: 0.0, y: 0.0 };

    pub fn new(x: f32, y: f32) -> Vec2 {
        Vec2 { x, y }
    }

    /// Rounds a point given in f64, as a call from Python into the C++ library does.
    pub fn from_f64(x: f64, y: f64) -> Vec2 {
        Vec2::new(x as f32, y as f32)
    }

    pub fn dot(self, other: Vec2) -> f32 {
        self.x * other.x + self.y * other.y
    }

    pub fn cross(self, other: Vec2) -> f32 {
        self.x * other.y - self.y * other.x
    }

    /// Returns the vector turned by a right angle, clockwise.
    pub fn right(self) -> Vec2 {
        Vec2::new(self.y, -self.x)
    }

    /// Returns the vector turned by a right angle, anticlockwise.
    pub fn left(self) -> Vec2 {
        Vec2::new(-self.y, self.x)
    }

    /// Returns the velocity that turning at `angular` gives to a point at `self` from the centre.
    pub fn turned_at(self, angular: f32) -> Vec2 {
        Vec2::new(-angular * self.y, angular * self.x)
    }

    pub fn length(self) -> f32 {
        self.dot(self).sqrt()
    }

    /// Returns the unit vector and the length; a vector of almost no length stays as it is, with length 0.
    pub fn normalized(self) -> (Vec2, f32) {
        let length = self.length();
        if length < f32::EPSILON {
            return (self, 0.0);
        }
        (self * (1.0 / length), length)
    }

    pub fn min(self, other: Vec2) -> Vec2 {
        Vec2::new(min(self.x, other.x), min(self.y, other.y))
    }

    pub fn max(self, other: Vec2) -> Vec2 {
        Vec2::new(max(self.x, other.x), max(self.y, other.y))
    }
}

impl Add for Vec2 {
    type Output = Vec2;
    fn add(self, other: Vec2) -> Vec2 {
        Vec2::new(self.x + other.x, self.y + other.y)
    }
}

impl AddAssign for Vec2 {
    fn add_assign(&mut self, other: Vec2) {
        *self = *self + other;
    }
}

impl Sub for Vec2 {
    type Output = Vec2;
    fn sub(self, other: Vec2) -> Vec2 {
        Vec2::new(self.x - other.x, self.y - other.y)
    }
}

impl SubAssign for Vec2 {
    fn sub_assign(&mut self, other: Vec2) {
        *self = *self - other;
    }
}

impl Mul<f32> for Vec2 {
    type Output = Vec2;
    fn mul(self, factor: f32) -> Vec2 {
        Vec2::new(self.x * factor, self.y * factor)
    }
}

impl Neg for Vec2 {
    type Output = Vec2;
    fn neg(self) -> Vec2 {
        Vec2::new(-self.x, -self.y)
    }
}

/// Returns the lesser; unlike `f32::min` it is one instruction.
pub(crate) fn min(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// Returns the greater; unlike `f32::max` it is one instruction.
pub(crate) fn max(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// Returns `value` brought into `low..=high`; never panics, whatever the bounds.
pub(crate) fn clamp(value: f32, low: f32, high: f32) -> f32 {
    max(low, min(value, high))
}

/// An angle's sine and cosine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rotation {
    pub sin: f32,
    pub cos: f32,
}

impl Rotation {
    pub fn new(angle: f32) -> Rotation {
        Rotation {
            sin: angle.sin(),
            cos: angle.cos(),
        }
    }

    pub fn apply(self, v: Vec2) -> Vec2 {
        Vec2::new(
            self.cos * v.x - self.sin * v.y,
            self.sin * v.x + self.cos * v.y,
        )
    }

    pub fn apply_inverse(self, v: Vec2) -> Vec2 {
        Vec2::new(
            self.cos * v.x + self.sin * v.y,
            -self.sin * v.x + self.cos * v.y,
        )
    }
}

/// Where a body's frame is: turn, then move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Transform {
    pub position: Vec2,
    pub rotation: Rotation,
}

impl Transform {
    /// The frame of the ground, which is the world's.
    pub const IDENTITY: Transform = Transform {
        position: Vec2::ZERO,
        rotation: Rotation { sin: 0.0, cos: 1.0 },
    };

    /// Returns the frame of a body whose centre of mass, `local_center` in that frame, is at `center`.
    pub fn around(center: Vec2, angle: f32, local_center: Vec2) -> Transform {
        let rotation = Rotation::new(angle);
        Transform {
            position: center - rotation.apply(local_center),
            rotation,
        }
    }

    pub fn apply(self, v: Vec2) -> Vec2 {
        self.rotation.apply(v) + self.position
    }

    pub fn apply_inverse(self, v: Vec2) -> Vec2 {
        self.rotation.apply_inverse(v - self.position)
    }
}

/// The motion of a body during a step: from `(center0, angle0)`, at `alpha0` of the step, to `(center, angle)`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sweep {
    pub local_center: Vec2,
    pub center0: Vec2,
    pub center: Vec2,
    pub angle0: f32,
    pub angle: f32,
    pub alpha0: f32,
}

impl Sweep {
    /// Returns the frame at `beta`, from 0 at the start of the motion to 1 at its end.
    pub fn transform(&self, beta: f32) -> Transform {
        Transform::around(
            self.center0 * (1.0 - beta) + self.center * beta,
            (1.0 - beta) * self.angle0 + beta * self.angle,
            self.local_center,
        )
    }

    /// Moves the start of the motion forward to `alpha` of the step.
    pub fn advance(&mut self, alpha: f32) {
        let beta = (alpha - self.alpha0) / (1.0 - self.alpha0);
        self.center0 = self.center0 * (1.0 - beta) + self.center * beta;
        self.angle0 = (1.0 - beta) * self.angle0 + beta * self.angle;
        self.alpha0 = alpha;
    }

    /// Takes whole turns off the angles.
    pub fn normalize(&mut self) {
        let turns = TAU * (self.angle0 / TAU).floor();
        self.angle0 -= turns;
        self.angle -= turns;
    }
}
