//! Bodies that joints connect, and one step of theirs.

use super::{
    body::{Body, Velocity},
    contact::Contact,
    contact_solver::ContactSolver,
    math::{Vec2, min},
    revolute_joint::RevoluteJoint,
    shape::LINEAR_SLOP,
    world::StepConfig,
};

/// The buffers of the solver; what they hold is of one island.
#[derive(Clone, Debug, Default)]
pub(crate) struct Island {
    pub bodies: Vec<usize>,
    pub contacts: Vec<usize>,
    joints: Vec<usize>,
    stack: Vec<usize>,
    in_island: Vec<bool>,
    pub contact_solver: ContactSolver,
    velocities: Vec<Velocity>,
    velocities_before: Vec<Velocity>,
}

/// What a step acts on.
pub(crate) struct Parts<'a> {
    pub bodies: &'a mut [Body],
    pub joints: &'a mut [RevoluteJoint],
    pub contacts: &'a mut [Contact],
}

impl Island {
    /// Makes the buffers large enough for this many contacts, and as many bodies.
    pub fn reserve(&mut self, contacts: usize) {
        for buffer in [
            &mut self.bodies,
            &mut self.contacts,
            &mut self.joints,
            &mut self.stack,
        ] {
            buffer.clear();
            buffer.reserve(contacts);
        }
        self.in_island.clear();
        self.in_island.reserve(contacts);
        for velocities in [&mut self.velocities, &mut self.velocities_before] {
            velocities.clear();
            velocities.reserve(contacts);
        }
        self.contact_solver.reserve(contacts);
    }

    /// Collects what is connected to `seed`: depth first, the newest contact and joint first.
    pub fn collect(&mut self, seed: usize, parts: &mut Parts<'_>) {
        self.bodies.clear();
        self.contacts.clear();
        self.joints.clear();
        self.in_island.clear();
        self.in_island.resize(parts.joints.len(), false);
        self.stack.clear();
        self.stack.push(seed);
        parts.bodies[seed].in_island = true;
        while let Some(body) = self.stack.pop() {
            self.bodies.push(body);
            parts.bodies[body].wake();
            for (at, contact) in parts.contacts.iter_mut().enumerate().rev() {
                let is_solved = contact.is_enabled && contact.is_touching;
                if contact.body == body && is_solved && !contact.in_island {
                    contact.in_island = true;
                    self.contacts.push(at);
                }
            }
            for (at, joint) in parts.joints.iter().enumerate().rev() {
                let other = if joint.body_a == body {
                    joint.body_b
                } else if joint.body_b == body {
                    joint.body_a
                } else {
                    continue;
                };
                if self.in_island[at] {
                    continue;
                }
                self.in_island[at] = true;
                self.joints.push(at);
                if !parts.bodies[other].in_island {
                    parts.bodies[other].in_island = true;
                    self.stack.push(other);
                }
            }
        }
    }

    /// Does the step: velocities, then positions, then sleep.
    pub fn solve(
        &mut self,
        parts: &mut Parts<'_>,
        config: &StepConfig,
        dt_ratio: f32,
        gravity: Vec2,
    ) {
        let dt = config.dt_s;
        self.velocities
            .resize(parts.bodies.len(), Velocity::default());
        for at in &self.bodies {
            let body = &mut parts.bodies[*at];
            body.sweep.center0 = body.sweep.center;
            body.sweep.angle0 = body.sweep.angle;
            let mut velocity = body.velocity;
            velocity.linear += (gravity + body.force * body.inverse_mass) * dt;
            velocity.angular += dt * body.inverse_inertia * body.torque;
            self.velocities[*at] = velocity;
        }
        self.contact_solver
            .prepare(parts.contacts, &self.contacts, parts.bodies, dt_ratio);
        self.contact_solver.prepare_velocities(parts.bodies);
        self.contact_solver.warm_start(&mut self.velocities);
        for at in &self.joints {
            parts.joints[*at].prepare(parts.bodies, &mut self.velocities, dt, dt_ratio);
        }
        self.iterate_velocities(parts.joints, config.velocity_iterations);
        self.contact_solver.store_impulses(parts.contacts);
        for at in &self.bodies {
            parts.bodies[*at].velocity = self.velocities[*at];
            parts.bodies[*at].integrate_position(dt);
        }
        let is_solved = self.iterate_positions(parts, config.position_iterations);
        for at in &self.bodies {
            parts.bodies[*at].update_transform();
        }
        self.sleep_if_still(parts.bodies, dt, is_solved);
    }

    /// Does a part of a step for one body that has just hit the ground: contacts only.
    pub fn solve_impact(
        &mut self,
        contacts: &[Contact],
        bodies: &mut [Body],
        body: usize,
        dt: f32,
        velocity_iterations: u32,
    ) {
        self.joints.clear();
        self.bodies.clear();
        self.bodies.push(body);
        self.contact_solver
            .prepare(contacts, &self.contacts, bodies, 0.0);
        for _ in 0..IMPACT_POSITION_ITERATIONS {
            let deepest = self
                .contact_solver
                .solve_positions(bodies, IMPACT_CORRECTION);
            if deepest >= -1.5 * LINEAR_SLOP {
                break;
            }
        }
        let sweep = &mut bodies[body].sweep;
        sweep.center0 = sweep.center;
        sweep.angle0 = sweep.angle;
        self.velocities[body] = bodies[body].velocity;
        self.contact_solver.prepare_velocities(bodies);
        self.iterate_velocities(&mut [], velocity_iterations);
        bodies[body].velocity = self.velocities[body];
        bodies[body].integrate_position(dt);
        bodies[body].update_transform();
    }

    /// Does the velocity iterations.
    ///
    /// Velocities usually settle in a few of them, and then only the impulses of joints go on growing, by
    /// the same amounts each time. Those iterations are done without computing the amounts again.
    fn iterate_velocities(&mut self, joints: &mut [RevoluteJoint], iterations: u32) {
        let mut is_settled = false;
        for _ in 0..iterations {
            if is_settled && self.joints.iter().all(|at| joints[*at].can_repeat()) {
                for at in &self.joints {
                    joints[*at].repeat();
                }
                continue;
            }
            self.velocities_before.clone_from(&self.velocities);
            for at in &self.joints {
                joints[*at].solve_velocity(&mut self.velocities);
            }
            self.contact_solver.solve_velocities(&mut self.velocities);
            is_settled = self.contacts.is_empty() && self.velocities_before == self.velocities;
        }
    }

    /// Moves bodies out of each other; returns whether the errors are within the slops.
    fn iterate_positions(&self, parts: &mut Parts<'_>, iterations: u32) -> bool {
        for _ in 0..iterations {
            let deepest = self
                .contact_solver
                .solve_positions(parts.bodies, CORRECTION);
            let mut is_solved = deepest >= -3.0 * LINEAR_SLOP;
            for at in &self.joints {
                is_solved &= parts.joints[*at].solve_position(parts.bodies);
            }
            if is_solved {
                return true;
            }
        }
        false
    }

    fn sleep_if_still(&self, bodies: &mut [Body], dt: f32, is_solved: bool) {
        let mut least = f32::MAX;
        for at in &self.bodies {
            let body = &mut bodies[*at];
            let Velocity { linear, angular } = body.velocity;
            let is_still = angular * angular <= ANGULAR_SLEEP * ANGULAR_SLEEP
                && linear.dot(linear) <= LINEAR_SLEEP * LINEAR_SLEEP;
            body.still_s = if is_still { body.still_s + dt } else { 0.0 };
            least = min(least, body.still_s);
        }
        if least >= TIME_TO_SLEEP_S && is_solved {
            for at in &self.bodies {
                bodies[*at].sleep();
            }
        }
    }
}

/// The share of an overlap that a position iteration corrects.
const CORRECTION: f32 = 0.2;
/// The same at an impact.
const IMPACT_CORRECTION: f32 = 0.75;
const IMPACT_POSITION_ITERATIONS: u32 = 20;
/// Below these a body is still; m/s and rad/s.
const LINEAR_SLEEP: f32 = 0.01;
const ANGULAR_SLEEP: f32 = 2.0 / 180.0 * std::f32::consts::PI;
const TIME_TO_SLEEP_S: f32 = 0.5;
