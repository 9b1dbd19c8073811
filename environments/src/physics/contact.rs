//! A piece of the ground and a body whose boxes overlap.

use super::{
    body::Body,
    broad_phase::Ground,
    collision::{Manifold, collide},
};

/// A contact that may touch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Contact {
    /// The piece of the ground.
    pub piece: usize,
    pub body: usize,
    pub friction: f32,
    pub manifold: Manifold,
    pub is_touching: bool,
    /// False after an impact that was none, until the next update.
    pub is_enabled: bool,
    pub in_island: bool,
    /// When in the step they touch first, once computed; 1 for never.
    pub impact: Option<f32>,
    /// How many impacts were solved in this step.
    pub impacts: u32,
}

/// A body began or ceased to touch a piece of the ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContactEvent {
    Begin { body: usize },
    End { body: usize },
}

impl Contact {
    pub fn new(piece: usize, body: usize, friction: f32) -> Contact {
        Contact {
            piece,
            body,
            friction,
            manifold: Manifold::default(),
            is_touching: false,
            is_enabled: true,
            in_island: false,
            impact: None,
            impacts: 0,
        }
    }

    /// Finds the touching points anew; those that stay keep their impulses.
    pub fn update(&mut self, ground: &Ground, body: &mut Body, events: &mut Vec<ContactEvent>) {
        self.is_enabled = true;
        let shape = &ground.piece(self.piece).shape;
        let mut manifold = collide(shape, &body.polygon, body.transform);
        for point in manifold.points_mut() {
            let mut known = self.manifold.points().iter();
            if let Some(old) = known.find(|old| old.feature == point.feature) {
                point.normal_impulse = old.normal_impulse;
                point.tangent_impulse = old.tangent_impulse;
            }
        }
        let is_touching = !manifold.points().is_empty();
        if is_touching != self.is_touching {
            body.wake();
            let body = self.body;
            events.push(if is_touching {
                ContactEvent::Begin { body }
            } else {
                ContactEvent::End { body }
            });
        }
        self.is_touching = is_touching;
        self.manifold = manifold;
    }
}
