//! Impulses and corrections that keep bodies out of the ground (Catto 2006, sequential impulses).

use super::{
    body::{Body, Velocity},
    collision::{Manifold, Reference},
    contact::Contact,
    math::{Transform, Vec2, clamp, max, min},
    shape::{LINEAR_SLOP, SKIN},
};

/// The contacts of one island; the buffers stay for the next one.
#[derive(Clone, Debug, Default)]
pub(crate) struct ContactSolver {
    constraints: Vec<Constraint>,
}

#[derive(Clone, Debug)]
struct Constraint {
    contact: usize,
    body: usize,
    friction: f32,
    inverse_mass: f32,
    inverse_inertia: f32,
    local_center: Vec2,
    manifold: Manifold,
    /// In the world, out of the ground.
    normal: Vec2,
    points: [Point; 2],
    count: usize,
    /// `[k11 k12; k12 k22]` from impulses at both points to velocities.
    k: [f32; 3],
    /// Its inverse.
    normal_mass: [f32; 3],
}

#[derive(Clone, Copy, Debug, Default)]
struct Point {
    /// From the centre of mass.
    arm: Vec2,
    normal_impulse: f32,
    tangent_impulse: f32,
    normal_mass: f32,
    tangent_mass: f32,
}

impl ContactSolver {
    /// Makes the buffer large enough for this many contacts.
    pub fn reserve(&mut self, contacts: usize) {
        self.constraints.clear();
        self.constraints.reserve(contacts);
    }

    /// Takes the contacts of an island, with their last impulses scaled by `warm_start`.
    pub fn prepare(
        &mut self,
        contacts: &[Contact],
        island: &[usize],
        bodies: &[Body],
        warm_start: f32,
    ) {
        self.constraints.clear();
        for at in island {
            let contact = &contacts[*at];
            let body = &bodies[contact.body];
            let mut points = [Point::default(); 2];
            for (point, known) in points.iter_mut().zip(contact.manifold.points()) {
                point.normal_impulse = warm_start * known.normal_impulse;
                point.tangent_impulse = warm_start * known.tangent_impulse;
            }
            self.constraints.push(Constraint {
                contact: *at,
                body: contact.body,
                friction: contact.friction,
                inverse_mass: body.inverse_mass,
                inverse_inertia: body.inverse_inertia,
                local_center: body.sweep.local_center,
                manifold: contact.manifold,
                normal: Vec2::ZERO,
                points,
                count: contact.manifold.points().len(),
                k: [0.0; 3],
                normal_mass: [0.0; 3],
            });
        }
    }

    /// Computes what the velocity iterations need from where the bodies are.
    pub fn prepare_velocities(&mut self, bodies: &[Body]) {
        for constraint in &mut self.constraints {
            constraint.prepare_velocity(&bodies[constraint.body]);
        }
    }

    /// Applies the impulses that the solver starts with.
    pub fn warm_start(&self, velocities: &mut [Velocity]) {
        for constraint in &self.constraints {
            let tangent = constraint.normal.right();
            let velocity = &mut velocities[constraint.body];
            for point in &constraint.points[..constraint.count] {
                let impulse =
                    constraint.normal * point.normal_impulse + tangent * point.tangent_impulse;
                velocity.angular += constraint.inverse_inertia * point.arm.cross(impulse);
                velocity.linear += impulse * constraint.inverse_mass;
            }
        }
    }

    /// Does one velocity iteration: friction, then the normals.
    pub fn solve_velocities(&mut self, velocities: &mut [Velocity]) {
        for constraint in &mut self.constraints {
            let mut velocity = velocities[constraint.body];
            constraint.solve_friction(&mut velocity);
            if constraint.count == 1 {
                constraint.solve_one_normal(&mut velocity);
            } else {
                constraint.solve_two_normals(&mut velocity);
            }
            velocities[constraint.body] = velocity;
        }
    }

    /// Hands the impulses to the contacts, for the next step to start with.
    pub fn store_impulses(&self, contacts: &mut [Contact]) {
        for constraint in &self.constraints {
            let points = contacts[constraint.contact].manifold.points_mut();
            for (stored, point) in points
                .iter_mut()
                .zip(&constraint.points[..constraint.count])
            {
                stored.normal_impulse = point.normal_impulse;
                stored.tangent_impulse = point.tangent_impulse;
            }
        }
    }

    /// Does one position iteration with this share of each overlap; returns the deepest overlap.
    pub fn solve_positions(&self, bodies: &mut [Body], share: f32) -> f32 {
        let mut deepest = 0.0;
        for constraint in &self.constraints {
            let sweep = &mut bodies[constraint.body].sweep;
            let (mut center, mut angle) = (sweep.center, sweep.angle);
            for at in 0..constraint.manifold.points().len() {
                let transform = Transform::around(center, angle, constraint.local_center);
                let (normal, point, separation) = overlap(&constraint.manifold, transform, at);
                let arm = point - center;
                deepest = min(deepest, separation);
                let error = clamp(
                    share * (separation + LINEAR_SLOP),
                    -MAX_LINEAR_CORRECTION,
                    0.0,
                );
                let across = arm.cross(normal);
                let k = constraint.inverse_mass + constraint.inverse_inertia * across * across;
                let impulse = normal * if k > 0.0 { -error / k } else { 0.0 };
                center += impulse * constraint.inverse_mass;
                angle += constraint.inverse_inertia * arm.cross(impulse);
            }
            (sweep.center, sweep.angle) = (center, angle);
        }
        deepest
    }
}

impl Constraint {
    fn prepare_velocity(&mut self, body: &Body) {
        let sweep = &body.sweep;
        let transform = Transform::around(sweep.center, sweep.angle, self.local_center);
        let (m, i) = (self.inverse_mass, self.inverse_inertia);
        let (normal, points) = world_points(&self.manifold, transform);
        self.normal = normal;
        let tangent = normal.right();
        for (point, in_world) in self.points[..self.count].iter_mut().zip(points) {
            point.arm = in_world - sweep.center;
            point.normal_mass = effective_mass(m, i, point.arm.cross(normal));
            point.tangent_mass = effective_mass(m, i, point.arm.cross(tangent));
        }
        if self.count == 2 {
            let across = self.points.map(|point| point.arm.cross(normal));
            let k11 = m + i * across[0] * across[0];
            let k22 = m + i * across[1] * across[1];
            let k12 = m + i * across[0] * across[1];
            if k11 * k11 < MAX_CONDITION * (k11 * k22 - k12 * k12) {
                let determinant = k11 * k22 - k12 * k12;
                let inverse = 1.0 / determinant;
                self.k = [k11, k12, k22];
                self.normal_mass = [inverse * k22, -inverse * k12, inverse * k11];
            } else {
                // The points say the same twice.
                self.count = 1;
            }
        }
    }

    fn apply(&self, velocity: &mut Velocity, arm: Vec2, impulse: Vec2) {
        velocity.linear += impulse * self.inverse_mass;
        velocity.angular += self.inverse_inertia * arm.cross(impulse);
    }

    fn solve_friction(&mut self, velocity: &mut Velocity) {
        let tangent = self.normal.right();
        for at in 0..self.count {
            let point = self.points[at];
            let sliding = velocity.at(point.arm).dot(tangent);
            let most = self.friction * point.normal_impulse;
            let wanted = point.tangent_impulse + point.tangent_mass * -sliding;
            let impulse = clamp(wanted, -most, most);
            self.points[at].tangent_impulse = impulse;
            self.apply(
                velocity,
                point.arm,
                tangent * (impulse - point.tangent_impulse),
            );
        }
    }

    fn solve_one_normal(&mut self, velocity: &mut Velocity) {
        let point = self.points[0];
        let approach = velocity.at(point.arm).dot(self.normal);
        let impulse = max(point.normal_impulse + -point.normal_mass * approach, 0.0);
        self.points[0].normal_impulse = impulse;
        self.apply(
            velocity,
            point.arm,
            self.normal * (impulse - point.normal_impulse),
        );
    }

    /// Solves both normals at once: impulses and velocities that are not negative, and of each point one is
    /// zero (Murty's total enumeration). Nothing happens in the rare case that there is no solution.
    fn solve_two_normals(&mut self, velocity: &mut Velocity) {
        let [p1, p2] = self.points;
        let [k11, k12, k22] = self.k;
        let old = Vec2::new(p1.normal_impulse, p2.normal_impulse);
        let b = Vec2::new(
            velocity.at(p1.arm).dot(self.normal) - (k11 * old.x + k12 * old.y),
            velocity.at(p2.arm).dot(self.normal) - (k12 * old.x + k22 * old.y),
        );
        let [n11, n12, n22] = self.normal_mass;
        let both = -Vec2::new(n11 * b.x + n12 * b.y, n12 * b.x + n22 * b.y);
        let first = Vec2::new(-p1.normal_mass * b.x, 0.0);
        let second = Vec2::new(0.0, -p2.normal_mass * b.y);
        let new = if both.x >= 0.0 && both.y >= 0.0 {
            both
        } else if first.x >= 0.0 && k12 * first.x + b.y >= 0.0 {
            first
        } else if second.y >= 0.0 && k12 * second.y + b.x >= 0.0 {
            second
        } else if b.x >= 0.0 && b.y >= 0.0 {
            Vec2::ZERO
        } else {
            return;
        };
        let change = new - old;
        let (impulse1, impulse2) = (self.normal * change.x, self.normal * change.y);
        velocity.linear += (impulse1 + impulse2) * self.inverse_mass;
        velocity.angular +=
            self.inverse_inertia * (p1.arm.cross(impulse1) + p2.arm.cross(impulse2));
        self.points[0].normal_impulse = new.x;
        self.points[1].normal_impulse = new.y;
    }
}

fn effective_mass(inverse_mass: f32, inverse_inertia: f32, across: f32) -> f32 {
    let k = inverse_mass + inverse_inertia * across * across;
    if k > 0.0 { 1.0 / k } else { 0.0 }
}

/// Returns the normal out of the ground and the points halfway between the skins.
fn world_points(manifold: &Manifold, transform: Transform) -> (Vec2, [Vec2; 2]) {
    let mut points = [Vec2::ZERO; 2];
    match manifold.reference {
        Reference::Ground => {
            let normal = manifold.local_normal;
            for (point, local) in points.iter_mut().zip(manifold.points()) {
                let clipped = transform.apply(local.local_point);
                let depth = SKIN - (clipped - manifold.local_point).dot(normal);
                *point = ((clipped + normal * depth) + (clipped - normal * SKIN)) * 0.5;
            }
            (normal, points)
        }
        Reference::Body => {
            let normal = transform.rotation.apply(manifold.local_normal);
            let plane = transform.apply(manifold.local_point);
            for (point, local) in points.iter_mut().zip(manifold.points()) {
                let clipped = local.local_point;
                let depth = SKIN - (clipped - plane).dot(normal);
                *point = ((clipped - normal * SKIN) + (clipped + normal * depth)) * 0.5;
            }
            (-normal, points)
        }
    }
}

/// Returns the normal out of the ground, a point and how far it is from touching.
fn overlap(manifold: &Manifold, transform: Transform, at: usize) -> (Vec2, Vec2, f32) {
    let local = manifold.points()[at].local_point;
    match manifold.reference {
        Reference::Ground => {
            let normal = manifold.local_normal;
            let point = transform.apply(local);
            let separation = (point - manifold.local_point).dot(normal) - SKIN - SKIN;
            (normal, point, separation)
        }
        Reference::Body => {
            let normal = transform.rotation.apply(manifold.local_normal);
            let plane = transform.apply(manifold.local_point);
            let separation = (local - plane).dot(normal) - SKIN - SKIN;
            (-normal, local, separation)
        }
    }
}

/// The furthest that a position iteration moves a body; m.
const MAX_LINEAR_CORRECTION: f32 = 0.2;
/// How alike two points may be and still be solved at once.
const MAX_CONDITION: f32 = 1000.0;
