//! The world: bodies, ground, joints and contacts, and the order in which a step treats them.

use super::{
    body::{AABB_MARGIN, Body},
    broad_phase::{Ground, GroundPiece},
    contact::{Contact, ContactEvent},
    island::{Island, Parts},
    math::{Transform, Vec2},
    revolute_joint::RevoluteJoint,
    shape::Shape,
};

/// Everything that moves, and what it moves on.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub gravity: Vec2,
    pub bodies: Vec<Body>,
    pub joints: Vec<RevoluteJoint>,
    /// In the order of their creation.
    pub(super) contacts: Vec<Contact>,
    pub(super) ground: Ground,
    /// How far in the step each ground body is; see `continuous`.
    pub(super) ground_clocks: Vec<f32>,
    /// One over the duration of the last step; 0 before the first.
    pub(super) inverse_dt: f32,
    pub(super) events: Vec<ContactEvent>,
    pub(super) island: Island,
    pub(super) ground_in_island: Vec<usize>,
    pairs: Vec<(usize, usize)>,
}

/// How a step is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StepConfig {
    pub dt_s: f32,
    pub velocity_iterations: u32,
    pub position_iterations: u32,
}

impl World {
    /// Empties the world and keeps its buffers, which are made large enough for any step of a small world.
    pub fn clear(&mut self, gravity: Vec2, ground_pieces: usize) {
        self.gravity = gravity;
        self.bodies.clear();
        self.joints.clear();
        self.contacts.clear();
        self.ground.clear();
        self.ground_clocks.clear();
        self.inverse_dt = 0.0;
        self.events.clear();
        self.ground.reserve(ground_pieces);
        self.ground_clocks.reserve(ground_pieces);
        self.contacts.reserve(CONTACTS);
        self.events.reserve(2 * CONTACTS);
        self.pairs.clear();
        self.pairs.reserve(CONTACTS);
        self.ground_in_island.clear();
        self.ground_in_island.reserve(CONTACTS);
        self.island.reserve(CONTACTS);
    }

    /// Adds a ground body; its pieces come after it.
    pub fn add_ground_body(&mut self) -> usize {
        self.ground_clocks.push(0.0);
        self.ground_clocks.len() - 1
    }

    /// Adds a piece to a ground body, in the world's frame.
    pub fn add_ground(&mut self, body: usize, shape: Shape, friction: f32) {
        self.ground.push(GroundPiece {
            shape,
            friction,
            body,
            fat_aabb: shape.aabb(Transform::IDENTITY).grown(AABB_MARGIN),
        });
    }

    /// Adds a body and returns its index.
    pub fn add_body(&mut self, body: Body) -> usize {
        self.bodies.push(body);
        self.bodies.len() - 1
    }

    /// Adds a joint and returns its index.
    pub fn add_joint(&mut self, joint: RevoluteJoint) -> usize {
        self.joints.push(joint);
        self.joints.len() - 1
    }

    /// Returns what began and ceased to touch in the last step, in order.
    pub fn events(&self) -> &[ContactEvent] {
        &self.events
    }

    /// Lets time pass.
    pub fn step(&mut self, config: &StepConfig) {
        self.events.clear();
        if self.inverse_dt == 0.0 {
            self.find_new_contacts();
        }
        self.update_contacts();
        self.solve(config);
        self.solve_impacts(config.dt_s, config.velocity_iterations);
        self.inverse_dt = 1.0 / config.dt_s;
        for body in &mut self.bodies {
            body.force = Vec2::ZERO;
            body.torque = 0.0;
        }
    }

    /// Updates the contacts of awake bodies, the newest first; ends those whose boxes are apart.
    fn update_contacts(&mut self) {
        for at in (0..self.contacts.len()).rev() {
            let contact = &mut self.contacts[at];
            let body = &mut self.bodies[contact.body];
            if !body.is_awake {
                continue;
            }
            let piece = self.ground.piece(contact.piece);
            if piece.fat_aabb.overlaps(&body.fat_aabb) {
                contact.update(&self.ground, body, &mut self.events);
                continue;
            }
            if contact.is_touching {
                let body = contact.body;
                self.events.push(ContactEvent::End { body });
            }
            self.contacts.remove(at);
        }
    }

    /// Solves each island, from the newest awake body on.
    fn solve(&mut self, config: &StepConfig) {
        let mut parts = Parts {
            bodies: &mut self.bodies,
            joints: &mut self.joints,
            contacts: &mut self.contacts,
        };
        for body in &mut *parts.bodies {
            body.in_island = false;
        }
        for contact in &mut *parts.contacts {
            contact.in_island = false;
        }
        let dt_ratio = self.inverse_dt * config.dt_s;
        for seed in (0..parts.bodies.len()).rev() {
            if parts.bodies[seed].in_island || !parts.bodies[seed].is_awake {
                continue;
            }
            self.island.collect(seed, &mut parts);
            self.island
                .solve(&mut parts, config, dt_ratio, self.gravity);
        }
        for body in &mut self.bodies {
            if body.in_island {
                body.update_aabb();
            }
        }
        self.find_new_contacts();
    }

    /// Makes contacts of bodies that left their boxes with the ground in their new ones.
    pub(super) fn find_new_contacts(&mut self) {
        self.pairs.clear();
        for (at, body) in self.bodies.iter_mut().enumerate() {
            if body.has_moved {
                body.has_moved = false;
                let near = self.ground.candidates(body.fat_aabb);
                self.pairs.extend(near.map(|piece| (piece, at)));
            }
        }
        self.pairs.sort_unstable();
        for (piece, at) in self.pairs.drain(..) {
            let is_known = |known: &Contact| known.piece == piece && known.body == at;
            if self.contacts.iter().any(is_known) {
                continue;
            }
            let body = &mut self.bodies[at];
            let friction = (self.ground.piece(piece).friction * body.friction).sqrt();
            self.contacts.push(Contact::new(piece, at, friction));
            body.wake();
        }
    }
}

/// More contacts than a few bodies have with the ground at once; with still more a step would allocate.
const CONTACTS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::{Edge, Polygon};

    fn box_above_floor(height: f32) -> World {
        let mut world = World::default();
        world.clear(Vec2::new(0.0, -10.0), 1);
        let floor = world.add_ground_body();
        let vertices = [Vec2::new(-10.0, 0.0), Vec2::new(10.0, 0.0)];
        world.add_ground(floor, Shape::Edge(Edge { vertices }), 0.5);
        let polygon = Polygon::rectangle(0.5, 0.5);
        world.add_body(Body::new(polygon, 1.0, 0.5, Vec2::new(0.0, height), 0.0));
        world
    }

    const CONFIG: StepConfig = StepConfig {
        dt_s: 0.02,
        velocity_iterations: 10,
        position_iterations: 10,
    };

    #[test]
    fn a_box_falls_lands_once_and_sleeps_on_the_floor() {
        let mut world = box_above_floor(2.0);
        let mut events = Vec::new();
        for _ in 0..200 {
            world.step(&CONFIG);
            events.extend_from_slice(world.events());
        }
        assert_eq!(events, [ContactEvent::Begin { body: 0 }]);
        let body = &world.bodies[0];
        assert!(!body.is_awake);
        assert!((body.position().y - 0.5).abs() < 0.02, "{body:?}");
    }

    #[test]
    fn a_fast_box_does_not_pass_through_the_floor() {
        let mut world = box_above_floor(3.0);
        world.bodies[0].velocity.linear = Vec2::new(0.0, -90.0);
        for _ in 0..20 {
            world.step(&CONFIG);
            assert!(world.bodies[0].position().y > 0.4);
        }
    }

    #[test]
    fn a_box_that_is_lifted_ends_its_contact_and_wakes() {
        let mut world = box_above_floor(0.51);
        for _ in 0..100 {
            world.step(&CONFIG);
        }
        assert!(!world.bodies[0].is_awake);
        world.bodies[0].apply_impulse(Vec2::new(0.0, 8.0), Vec2::new(0.0, 0.5));
        world.step(&CONFIG);
        world.step(&CONFIG);
        assert!(world.bodies[0].is_awake);
        assert_eq!(world.events(), [ContactEvent::End { body: 0 }]);
    }
}
