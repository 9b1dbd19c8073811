//! A soft cap on running workers of one shape.
//!
//! Work that takes no CPU would otherwise start a process for every task at once. A cap alone could
//! deadlock tasks that wait for others of their shape by other means than `get`, so it gives way by one
//! worker after a delay that doubles each time.

use std::{collections::BTreeMap, time::Duration};

use super::NodeScheduler;
use crate::{resources::Resources, time::Time};

/// Numbers of the soft cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerCap {
    /// How long a shape at its cap waits for one worker more. Default 1 s.
    pub delay: Duration,
    /// What the delay doubles up to. Default 10 s.
    pub delay_max: Duration,
}

impl Default for WorkerCap {
    fn default() -> WorkerCap {
        WorkerCap {
            delay: Duration::from_secs(1),
            delay_max: Duration::from_secs(10),
        }
    }
}

/// How far the cap of a shape has given way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relaxation {
    extra: u64,
    delay: Duration,
    due: Time,
}

pub(super) type Relaxations = BTreeMap<Resources, Relaxation>;

impl NodeScheduler {
    /// Returns whether one more task of the shape may run; at its cap the shape begins to wait.
    pub(super) fn is_under_cap(&mut self, shape: &Resources, now: Time) -> bool {
        let Some(cap) = self
            .member
            .as_ref()
            .and_then(|member| member.config.worker_cap)
        else {
            return true;
        };
        let running = self
            .leases
            .values()
            .filter(|lease| lease.actor.is_none() && !lease.is_lent && lease.shape == *shape)
            .count() as u64;
        let total = self.pool.total().amount(Resources::CPU).0;
        let each = match shape.amount(Resources::CPU).0 {
            0 => crate::resources::Amount::ONE.0,
            each => each,
        };
        let base = (total / each).max(1);
        if running < base {
            self.relaxations.remove(shape);
            return true;
        }
        let relaxation = self
            .relaxations
            .entry(shape.clone())
            .or_insert_with(|| Relaxation {
                extra: 0,
                delay: cap.delay,
                due: now + cap.delay,
            });
        running < base + relaxation.extra
    }

    /// Lets caps give way whose delay is over; returns whether any did.
    pub(super) fn relax_caps(&mut self, now: Time) -> bool {
        let Some(cap) = self
            .member
            .as_ref()
            .and_then(|member| member.config.worker_cap)
        else {
            return false;
        };
        let requests = &self.requests;
        self.relaxations
            .retain(|shape, _| requests.iter().any(|request| request.shape == *shape));
        let mut did_relax = false;
        for relaxation in self.relaxations.values_mut() {
            if relaxation.due <= now {
                relaxation.extra += 1;
                relaxation.delay = (relaxation.delay * 2).min(cap.delay_max);
                relaxation.due = now + relaxation.delay;
                did_relax = true;
            }
        }
        did_relax
    }

    /// Returns when the next cap gives way.
    pub(super) fn next_relaxation(&self) -> Option<Time> {
        self.relaxations
            .values()
            .map(|relaxation| relaxation.due)
            .min()
    }
}
