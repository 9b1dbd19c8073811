//! Bodies that would pass into the ground within a step stop at the impact (continuous collision).

use super::{collision::time_of_impact, contact::Contact, world::World};

impl World {
    /// Solves impacts in the order of their times until none is left.
    pub(super) fn solve_impacts(&mut self, dt: f32, velocity_iterations: u32) {
        for body in &mut self.bodies {
            body.in_island = false;
            body.sweep.alpha0 = 0.0;
        }
        self.ground_clocks.fill(0.0);
        for contact in &mut self.contacts {
            contact.in_island = false;
            contact.impact = None;
            contact.impacts = 0;
        }
        while let Some((at, alpha)) = self.first_impact() {
            self.solve_impact(at, alpha, dt, velocity_iterations);
        }
    }

    /// Returns the contact that touches first in what is left of the step, and when.
    fn first_impact(&mut self) -> Option<(usize, f32)> {
        let mut first = None;
        let mut least = 1.0;
        for at in (0..self.contacts.len()).rev() {
            let contact = &self.contacts[at];
            if !contact.is_enabled || contact.impacts > MAX_IMPACTS {
                continue;
            }
            let alpha = match contact.impact {
                Some(alpha) => alpha,
                None if !self.bodies[contact.body].is_awake => continue,
                None => self.compute_impact(at),
            };
            if alpha < least {
                least = alpha;
                first = Some((at, alpha));
            }
        }
        first.filter(|_| least <= 1.0 - 10.0 * f32::EPSILON)
    }

    fn compute_impact(&mut self, at: usize) -> f32 {
        let contact = &mut self.contacts[at];
        let piece = self.ground.piece(contact.piece);
        let body = &mut self.bodies[contact.body];
        // Ground bodies have clocks too: a body must not be behind the ground that it may hit.
        let clock = &mut self.ground_clocks[piece.body];
        if *clock < body.sweep.alpha0 {
            *clock = body.sweep.alpha0;
        } else if body.sweep.alpha0 < *clock {
            body.sweep.advance(*clock);
        }
        let alpha0 = body.sweep.alpha0;
        let alpha = match time_of_impact(&piece.shape, &body.polygon, &body.sweep) {
            Some(beta) => (alpha0 + (1.0 - alpha0) * beta).min(1.0),
            None => 1.0,
        };
        contact.impact = Some(alpha);
        alpha
    }

    fn solve_impact(&mut self, at: usize, alpha: f32, dt: f32, velocity_iterations: u32) {
        let body_at = self.contacts[at].body;
        let ground_at = self.ground.piece(self.contacts[at].piece).body;
        let backup = (self.bodies[body_at].sweep, self.ground_clocks[ground_at]);
        self.bodies[body_at].advance(alpha);
        self.ground_clocks[ground_at] = alpha;
        let (contact, body) = (&mut self.contacts[at], &mut self.bodies[body_at]);
        contact.update(&self.ground, body, &mut self.events);
        contact.impact = None;
        contact.impacts += 1;
        if !contact.is_touching {
            contact.is_enabled = false;
            (body.sweep, self.ground_clocks[ground_at]) = backup;
            body.update_transform();
            return;
        }
        body.wake();
        self.island.contacts.clear();
        self.island.contacts.push(at);
        contact.in_island = true;
        self.collect_touching(body_at, ground_at, alpha);
        self.island.solve_impact(
            &self.contacts,
            &mut self.bodies,
            body_at,
            (1.0 - alpha) * dt,
            velocity_iterations,
        );
        self.bodies[body_at].update_aabb();
        for contact in self.contacts_of(body_at) {
            contact.impact = None;
            contact.in_island = false;
        }
        self.find_new_contacts();
    }

    /// Adds the body's other contacts that touch at this time.
    fn collect_touching(&mut self, body_at: usize, ground_at: usize, alpha: f32) {
        self.ground_in_island.clear();
        self.ground_in_island.push(ground_at);
        for at in (0..self.contacts.len()).rev() {
            let contact = &mut self.contacts[at];
            if contact.body != body_at || contact.in_island {
                continue;
            }
            if self.island.contacts.len() == MAX_IMPACT_CONTACTS {
                break;
            }
            let ground_at = self.ground.piece(contact.piece).body;
            let backup = self.ground_clocks[ground_at];
            let is_known = self.ground_in_island.contains(&ground_at);
            if !is_known {
                self.ground_clocks[ground_at] = alpha;
            }
            contact.update(&self.ground, &mut self.bodies[body_at], &mut self.events);
            if !contact.is_touching {
                self.ground_clocks[ground_at] = backup;
                continue;
            }
            contact.in_island = true;
            self.island.contacts.push(at);
            if !is_known {
                self.ground_in_island.push(ground_at);
            }
        }
    }

    fn contacts_of(&mut self, body: usize) -> impl Iterator<Item = &mut Contact> {
        self.contacts
            .iter_mut()
            .filter(move |contact| contact.body == body)
    }
}

/// How many impacts of one contact are solved in a step, less one.
const MAX_IMPACTS: u32 = 8;
const MAX_IMPACT_CONTACTS: usize = 32;
