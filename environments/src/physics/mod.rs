//! Rigid bodies in the plane, as far as the lander and the walker need them.
//!
//! Algorithms, constants and order of operations are those of Box2D 2.3 (Erin Catto, zlib licence), so that
//! results in f32 are equal; the code is this crate's own and an altered version, not Box2D. It differs where
//! the result cannot: the broad phase is a sorted list and not a tree, and solver iterations stop when they
//! repeat themselves.
//!
//! What these environments do not use is left out: every body is one polygon that collides with the ground
//! only; the ground is edges and polygons that never move; joints are revolute with a motor and limits; there
//! is no restitution, damping, sensor or kinematic body.

mod body;
mod broad_phase;
mod collision;
mod contact;
mod contact_solver;
mod continuous;
mod island;
mod math;
mod ray_cast;
mod revolute_joint;
mod saved;
mod shape;
mod world;

pub(crate) use body::Body;
pub(crate) use contact::ContactEvent;
pub(crate) use math::Vec2;
pub(crate) use revolute_joint::RevoluteJoint;
pub(crate) use shape::{Edge, Polygon, Shape};
pub(crate) use world::{StepConfig, World};

/// How far a joint may turn past its limit; rad.
const ANGULAR_SLOP: f32 = 2.0 / 180.0 * std::f32::consts::PI;
