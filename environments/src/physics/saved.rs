//! The state of a world as a list of numbers, for exact resume; shapes are not in it.

use super::{
    body::Body,
    collision::{Feature, Manifold, ManifoldPoint, Reference},
    contact::Contact,
    math::Vec2,
    revolute_joint::{Limit, RevoluteJoint},
    world::World,
};

impl World {
    /// Appends everything that later steps depend on, except the ground and what bodies and joints are made of.
    pub fn save(&self, values: &mut Vec<f64>) {
        let mut writer = Writer { values };
        writer.number(self.inverse_dt);
        for body in &self.bodies {
            writer.body(body);
        }
        for joint in &self.joints {
            writer.joint(joint);
        }
        writer.values.push(self.contacts.len() as f64);
        for contact in &self.contacts {
            writer.contact(contact);
        }
    }

    /// Goes on from what [`World::save`] appended, in a world made of the same parts; `None` if it is not that.
    ///
    /// After `None` the world is part old, part new: reset it.
    pub fn restore(&mut self, values: &[f64]) -> Option<()> {
        let mut reader = Reader { values };
        self.inverse_dt = reader.number()?;
        for body in &mut self.bodies {
            reader.body(body)?;
        }
        for joint in &mut self.joints {
            reader.joint(joint)?;
        }
        let count = reader.index(self.ground.len() * self.bodies.len() + 1)?;
        self.contacts.clear();
        for _ in 0..count {
            let piece = reader.index(self.ground.len())?;
            let body = reader.index(self.bodies.len())?;
            let friction = (self.ground.piece(piece).friction * self.bodies[body].friction).sqrt();
            let mut contact = Contact::new(piece, body, friction);
            reader.contact(&mut contact)?;
            self.contacts.push(contact);
        }
        self.events.clear();
        reader.values.is_empty().then_some(())
    }
}

struct Writer<'a> {
    values: &'a mut Vec<f64>,
}

impl Writer<'_> {
    fn number(&mut self, value: f32) {
        self.values.push(f64::from(value));
    }

    fn flag(&mut self, value: bool) {
        self.values.push(f64::from(u8::from(value)));
    }

    fn vector(&mut self, value: Vec2) {
        self.number(value.x);
        self.number(value.y);
    }

    fn body(&mut self, body: &Body) {
        self.vector(body.transform.position);
        self.number(body.transform.rotation.sin);
        self.number(body.transform.rotation.cos);
        self.vector(body.sweep.center0);
        self.vector(body.sweep.center);
        self.number(body.sweep.angle0);
        self.number(body.sweep.angle);
        self.vector(body.velocity.linear);
        self.number(body.velocity.angular);
        self.vector(body.force);
        self.number(body.torque);
        self.number(body.still_s);
        self.vector(body.fat_aabb.lower);
        self.vector(body.fat_aabb.upper);
        self.flag(body.is_awake);
        self.flag(body.has_moved);
    }

    fn joint(&mut self, joint: &RevoluteJoint) {
        self.number(joint.motor_speed);
        self.number(joint.max_motor_torque);
        self.vector(joint.impulses.point);
        self.number(joint.impulses.limit);
        self.number(joint.impulses.motor);
        self.values.push(match joint.limit {
            Limit::Inactive => 0.0,
            Limit::Lower => 1.0,
            Limit::Upper => 2.0,
        });
    }

    fn contact(&mut self, contact: &Contact) {
        self.values.push(contact.piece as f64);
        self.values.push(contact.body as f64);
        self.flag(contact.is_touching);
        self.flag(contact.is_enabled);
        self.flag(contact.manifold.reference == Reference::Body);
        self.vector(contact.manifold.local_normal);
        self.vector(contact.manifold.local_point);
        self.values.push(contact.manifold.points().len() as f64);
        for point in contact.manifold.points() {
            self.vector(point.local_point);
            self.number(point.normal_impulse);
            self.number(point.tangent_impulse);
            self.values.push(f64::from(point.feature.index_a));
            self.values.push(f64::from(point.feature.index_b));
            self.flag(point.feature.a_is_side);
            self.flag(point.feature.b_is_side);
        }
    }
}

struct Reader<'a> {
    values: &'a [f64],
}

impl Reader<'_> {
    fn value(&mut self) -> Option<f64> {
        let (first, rest) = self.values.split_first()?;
        self.values = rest;
        first.is_finite().then_some(*first)
    }

    fn number(&mut self) -> Option<f32> {
        self.value().map(|value| value as f32)
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.index(2)? == 1)
    }

    /// Reads a whole number below `end`.
    fn index(&mut self, end: usize) -> Option<usize> {
        let value = self.value()?;
        (value >= 0.0 && value < end as f64 && value.fract() == 0.0).then_some(value as usize)
    }

    fn vector(&mut self) -> Option<Vec2> {
        Some(Vec2::new(self.number()?, self.number()?))
    }

    fn body(&mut self, body: &mut Body) -> Option<()> {
        body.transform.position = self.vector()?;
        body.transform.rotation.sin = self.number()?;
        body.transform.rotation.cos = self.number()?;
        body.sweep.center0 = self.vector()?;
        body.sweep.center = self.vector()?;
        body.sweep.angle0 = self.number()?;
        body.sweep.angle = self.number()?;
        body.velocity.linear = self.vector()?;
        body.velocity.angular = self.number()?;
        body.force = self.vector()?;
        body.torque = self.number()?;
        body.still_s = self.number()?;
        body.fat_aabb.lower = self.vector()?;
        body.fat_aabb.upper = self.vector()?;
        body.is_awake = self.flag()?;
        body.has_moved = self.flag()?;
        Some(())
    }

    fn joint(&mut self, joint: &mut RevoluteJoint) -> Option<()> {
        joint.motor_speed = self.number()?;
        joint.max_motor_torque = self.number()?;
        joint.impulses.point = self.vector()?;
        joint.impulses.limit = self.number()?;
        joint.impulses.motor = self.number()?;
        joint.limit = match self.index(3)? {
            0 => Limit::Inactive,
            1 => Limit::Lower,
            _ => Limit::Upper,
        };
        Some(())
    }

    fn contact(&mut self, contact: &mut Contact) -> Option<()> {
        contact.is_touching = self.flag()?;
        contact.is_enabled = self.flag()?;
        let reference = if self.flag()? {
            Reference::Body
        } else {
            Reference::Ground
        };
        let mut manifold = Manifold::new(reference, self.vector()?, self.vector()?);
        for _ in 0..self.index(3)? {
            manifold.push(ManifoldPoint {
                local_point: self.vector()?,
                normal_impulse: self.number()?,
                tangent_impulse: self.number()?,
                feature: Feature {
                    index_a: self.index(256)? as u8,
                    index_b: self.index(256)? as u8,
                    a_is_side: self.flag()?,
                    b_is_side: self.flag()?,
                },
            });
        }
        contact.manifold = manifold;
        Some(())
    }
}
