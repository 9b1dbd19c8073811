//! A hinge between two bodies, with a motor and limits.

use super::{
    ANGULAR_SLOP,
    body::{Body, Velocity},
    math::{Rotation, Vec2, clamp},
    shape::LINEAR_SLOP,
};

/// A hinge; what a step remembers for the next one included.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RevoluteJoint {
    pub body_a: usize,
    pub body_b: usize,
    pub local_anchor_a: Vec2,
    pub local_anchor_b: Vec2,
    /// B's angle less A's where the joint's angle is 0; rad.
    pub reference_angle: f32,
    /// The limits of the joint's angle; rad, further apart than two slops.
    pub lower_angle: f32,
    pub upper_angle: f32,
    pub motor_speed: f32,
    pub max_motor_torque: f32,
    pub impulses: Impulses,
    pub limit: Limit,
    prepared: Prepared,
}

/// What the joint did, accumulated over iterations; the next step starts with it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Impulses {
    pub point: Vec2,
    pub limit: f32,
    pub motor: f32,
}

/// Which limit the angle is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Limit {
    #[default]
    Inactive,
    Lower,
    Upper,
}

/// What stays the same during the velocity iterations of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Prepared {
    inverse_mass_a: f32,
    inverse_mass_b: f32,
    inverse_inertia_a: f32,
    inverse_inertia_b: f32,
    arm_a: Vec2,
    arm_b: Vec2,
    mass: EffectiveMass,
    motor_mass: f32,
    motor_impulse_max: f32,
    /// What the last iteration added, if nothing else happened in it.
    last_change: Option<Change>,
}

/// What an iteration adds to the impulses of point and limit.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Change {
    point: Vec2,
    limit: f32,
}

/// The symmetric matrix from velocity errors to impulses, `[xx xy xz; xy yy yz; xz yz zz]`, and its parts
/// that solving needs each time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct EffectiveMass {
    xx: f32,
    xy: f32,
    yy: f32,
    xz: f32,
    yz: f32,
    zz: f32,
    /// One over the determinant of the upper left two rows and columns.
    inverse_determinant2: f32,
    inverse_determinant3: f32,
    /// The cross product of the second and the third column.
    cross: [f32; 3],
}

impl RevoluteJoint {
    /// Returns a joint between two of the bodies that is at angle 0 and has done nothing yet, its motor off.
    pub fn new(
        bodies: &[Body],
        [body_a, body_b]: [usize; 2],
        local_anchors: [Vec2; 2],
        [lower_angle, upper_angle]: [f32; 2],
    ) -> RevoluteJoint {
        RevoluteJoint {
            body_a,
            body_b,
            reference_angle: bodies[body_b].angle() - bodies[body_a].angle(),
            local_anchor_a: local_anchors[0],
            local_anchor_b: local_anchors[1],
            lower_angle,
            upper_angle,
            motor_speed: 0.0,
            max_motor_torque: 0.0,
            impulses: Impulses::default(),
            limit: Limit::Inactive,
            prepared: Prepared::default(),
        }
    }

    /// Sets up the velocity iterations and applies the last step's impulses, scaled by the ratio of the steps.
    pub fn prepare(
        &mut self,
        bodies: &[Body],
        velocities: &mut [Velocity],
        dt: f32,
        dt_ratio: f32,
    ) {
        let (a, b) = (&bodies[self.body_a], &bodies[self.body_b]);
        let arm_a = Rotation::new(a.sweep.angle).apply(self.local_anchor_a - a.sweep.local_center);
        let arm_b = Rotation::new(b.sweep.angle).apply(self.local_anchor_b - b.sweep.local_center);
        let (m_a, m_b) = (a.inverse_mass, b.inverse_mass);
        let (i_a, i_b) = (a.inverse_inertia, b.inverse_inertia);
        self.prepared = Prepared {
            inverse_mass_a: m_a,
            inverse_mass_b: m_b,
            inverse_inertia_a: i_a,
            inverse_inertia_b: i_b,
            arm_a,
            arm_b,
            mass: EffectiveMass::new([m_a, m_b], [i_a, i_b], [arm_a, arm_b]),
            motor_mass: 1.0 / (i_a + i_b),
            motor_impulse_max: dt * self.max_motor_torque,
            last_change: None,
        };
        let angle = b.sweep.angle - a.sweep.angle - self.reference_angle;
        let limit = if angle <= self.lower_angle {
            Limit::Lower
        } else if angle >= self.upper_angle {
            Limit::Upper
        } else {
            Limit::Inactive
        };
        if limit != self.limit || limit == Limit::Inactive {
            self.impulses.limit = 0.0;
        }
        self.limit = limit;
        let impulses = &mut self.impulses;
        impulses.point = impulses.point * dt_ratio;
        impulses.limit *= dt_ratio;
        impulses.motor *= dt_ratio;
        let p = impulses.point;
        let (motor, limit) = (impulses.motor, impulses.limit);
        let v_a = &mut velocities[self.body_a];
        v_a.linear -= p * m_a;
        v_a.angular -= i_a * (arm_a.cross(p) + motor + limit);
        let v_b = &mut velocities[self.body_b];
        v_b.linear += p * m_b;
        v_b.angular += i_b * (arm_b.cross(p) + motor + limit);
    }

    /// Does one velocity iteration: motor, then limit and point.
    pub fn solve_velocity(&mut self, velocities: &mut [Velocity]) {
        let prepared = &mut self.prepared;
        let (mut v_a, mut v_b) = (velocities[self.body_a], velocities[self.body_b]);
        let (i_a, i_b) = (prepared.inverse_inertia_a, prepared.inverse_inertia_b);

        let excess = v_b.angular - v_a.angular - self.motor_speed;
        let (old, most) = (self.impulses.motor, prepared.motor_impulse_max);
        let wanted = old + -prepared.motor_mass * excess;
        // A branch, and not `clamp`: the processor foresees a motor at its limit and need not wait for the
        // velocities, each of which depends on the one before.
        let stays = (wanted >= most && old == most) || (wanted <= -most && old == -most);
        if !stays {
            self.impulses.motor = clamp(wanted, -most, most);
            let motor = self.impulses.motor - old;
            v_a.angular -= i_a * motor;
            v_b.angular += i_b * motor;
        }

        let apart = v_b.at(prepared.arm_b) - v_a.linear - prepared.arm_a.turned_at(v_a.angular);
        let mut change = if self.limit == Limit::Inactive {
            Change {
                point: prepared.mass.solve2(-apart),
                limit: 0.0,
            }
        } else {
            prepared.mass.solve3(apart, v_b.angular - v_a.angular)
        };
        let pulls = self.limit.pulls(self.impulses.limit + change.limit);
        if pulls {
            let push = Vec2::new(prepared.mass.xz, prepared.mass.yz) * self.impulses.limit;
            change.point = prepared.mass.solve2(-apart + push);
            change.limit = -self.impulses.limit;
            self.impulses.limit = 0.0;
        } else {
            self.impulses.limit += change.limit;
        }
        self.impulses.point += change.point;
        let Change { point: p, limit } = change;
        v_a.linear -= p * prepared.inverse_mass_a;
        v_a.angular -= i_a * (prepared.arm_a.cross(p) + limit);
        v_b.linear += p * prepared.inverse_mass_b;
        v_b.angular += i_b * (prepared.arm_b.cross(p) + limit);
        velocities[self.body_a] = v_a;
        velocities[self.body_b] = v_b;
        prepared.last_change = (stays && !pulls).then_some(change);
    }

    /// Returns whether the next iteration, with the same velocities, does what the last one did.
    pub fn can_repeat(&self) -> bool {
        let change = self.prepared.last_change;
        change.is_some_and(|change| !self.limit.pulls(self.impulses.limit + change.limit))
    }

    /// Does what the last iteration did; [`RevoluteJoint::can_repeat`] says when.
    pub fn repeat(&mut self) {
        if let Some(change) = self.prepared.last_change {
            self.impulses.point += change.point;
            self.impulses.limit += change.limit;
        }
    }

    /// Does one position iteration; returns whether the errors are within the slops.
    pub fn solve_position(&self, bodies: &mut [Body]) -> bool {
        let (sweep_a, sweep_b) = (bodies[self.body_a].sweep, bodies[self.body_b].sweep);
        let prepared = &self.prepared;
        let (m_a, m_b) = (prepared.inverse_mass_a, prepared.inverse_mass_b);
        let (i_a, i_b) = (prepared.inverse_inertia_a, prepared.inverse_inertia_b);
        let (mut angle_a, mut angle_b) = (sweep_a.angle, sweep_b.angle);

        let mut angular_error = 0.0;
        if self.limit != Limit::Inactive {
            let angle = angle_b - angle_a - self.reference_angle;
            let correction = if self.limit == Limit::Lower {
                let past = angle - self.lower_angle;
                angular_error = -past;
                clamp(past + ANGULAR_SLOP, -MAX_ANGULAR_CORRECTION, 0.0)
            } else {
                let past = angle - self.upper_angle;
                angular_error = past;
                clamp(past - ANGULAR_SLOP, 0.0, MAX_ANGULAR_CORRECTION)
            };
            let impulse = -prepared.motor_mass * correction;
            angle_a -= i_a * impulse;
            angle_b += i_b * impulse;
        }

        let r_a = Rotation::new(angle_a).apply(self.local_anchor_a - sweep_a.local_center);
        let r_b = Rotation::new(angle_b).apply(self.local_anchor_b - sweep_b.local_center);
        let apart = sweep_b.center + r_b - sweep_a.center - r_a;
        let xx = m_a + m_b + i_a * r_a.y * r_a.y + i_b * r_b.y * r_b.y;
        let xy = -i_a * r_a.x * r_a.y - i_b * r_b.x * r_b.y;
        let yy = m_a + m_b + i_a * r_a.x * r_a.x + i_b * r_b.x * r_b.x;
        let inverse = inverse_or_zero(xx * yy - xy * xy);
        let impulse = -Vec2::new(
            inverse * (yy * apart.x - xy * apart.y),
            inverse * (xx * apart.y - xy * apart.x),
        );
        let sweep = &mut bodies[self.body_a].sweep;
        sweep.center = sweep_a.center - impulse * m_a;
        sweep.angle = angle_a - i_a * r_a.cross(impulse);
        let sweep = &mut bodies[self.body_b].sweep;
        sweep.center = sweep_b.center + impulse * m_b;
        sweep.angle = angle_b + i_b * r_b.cross(impulse);
        apart.length() <= LINEAR_SLOP && angular_error <= ANGULAR_SLOP
    }

    /// Returns the joint's angle; rad.
    pub fn angle(&self, bodies: &[Body]) -> f32 {
        bodies[self.body_b].sweep.angle - bodies[self.body_a].sweep.angle - self.reference_angle
    }

    /// Returns B's angular velocity less A's; rad/s.
    pub fn speed(&self, bodies: &[Body]) -> f32 {
        bodies[self.body_b].velocity.angular - bodies[self.body_a].velocity.angular
    }
}

impl Limit {
    /// Returns whether an impulse would pull towards the limit; it may only push away.
    fn pulls(self, impulse: f32) -> bool {
        match self {
            Limit::Lower => impulse < 0.0,
            Limit::Upper => impulse > 0.0,
            Limit::Inactive => false,
        }
    }
}

impl EffectiveMass {
    fn new(inverse_masses: [f32; 2], inverse_inertias: [f32; 2], arms: [Vec2; 2]) -> Self {
        let [m_a, m_b] = inverse_masses;
        let [i_a, i_b] = inverse_inertias;
        let [r_a, r_b] = arms;
        let xx = m_a + m_b + r_a.y * r_a.y * i_a + r_b.y * r_b.y * i_b;
        let xy = -r_a.y * r_a.x * i_a - r_b.y * r_b.x * i_b;
        let xz = -r_a.y * i_a - r_b.y * i_b;
        let yy = m_a + m_b + r_a.x * r_a.x * i_a + r_b.x * r_b.x * i_b;
        let yz = r_a.x * i_a + r_b.x * i_b;
        let zz = i_a + i_b;
        let cross = cross3([xy, yy, yz], [xz, yz, zz]);
        EffectiveMass {
            xx,
            xy,
            yy,
            xz,
            yz,
            zz,
            inverse_determinant2: inverse_or_zero(xx * yy - xy * xy),
            inverse_determinant3: inverse_or_zero(dot3([xx, xy, xz], cross)),
            cross,
        }
    }

    fn solve2(&self, b: Vec2) -> Vec2 {
        let inverse = self.inverse_determinant2;
        Vec2::new(
            inverse * (self.yy * b.x - self.xy * b.y),
            inverse * (self.xx * b.y - self.xy * b.x),
        )
    }

    /// Returns the impulses against errors of the point and of the angle.
    fn solve3(&self, b: Vec2, z: f32) -> Change {
        let inverse = self.inverse_determinant3;
        let b = [b.x, b.y, z];
        let first = [self.xx, self.xy, self.xz];
        let second = [self.xy, self.yy, self.yz];
        let third = [self.xz, self.yz, self.zz];
        Change {
            point: -Vec2::new(
                inverse * dot3(b, self.cross),
                inverse * dot3(first, cross3(b, third)),
            ),
            limit: -(inverse * dot3(first, cross3(second, b))),
        }
    }
}

fn inverse_or_zero(determinant: f32) -> f32 {
    if determinant == 0.0 {
        0.0
    } else {
        1.0 / determinant
    }
}

fn dot3(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross3(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

/// The furthest that a position iteration turns a body back; rad.
const MAX_ANGULAR_CORRECTION: f32 = 8.0 / 180.0 * std::f32::consts::PI;
