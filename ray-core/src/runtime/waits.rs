//! `wait`: counts values that are on this node and has the others brought here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ray_engine::ids::ObjectId;

use super::{
    Runtime,
    waiters::{WaitCell, time_limit},
};
use crate::{Result, store::Value, wire::FetchFor};

/// What one `wait` has asked its node for; dropping it takes back what has not come.
struct Bringing<'a> {
    runtime: &'a Arc<Runtime>,
    /// The question for each value, by its object.
    asked: BTreeMap<ObjectId, (u64, Value)>,
}

impl Bringing<'_> {
    /// Asks for a value, unless that was done; the answer counts for the cell.
    fn bring(&mut self, object: ObjectId, value: Value, cell: &Arc<WaitCell>) {
        if let Some(wanted) = value.missing()
            && !self.asked.contains_key(&object)
        {
            let request = self.runtime.begin_fetch(cell, vec![wanted], FetchFor::Wait);
            self.asked.insert(object, (request, value));
        }
    }

    /// Notes which values are here by now, or will never be.
    fn take_answers(&mut self) {
        let Bringing { runtime, asked } = self;
        asked.retain(|_, (request, value)| {
            let is_answered = runtime.requests.is_answered(*request);
            if is_answered {
                // Why there is none, whoever gets it is told.
                let _places = runtime.end_fetch(*request);
                value.note_brought();
            }
            !is_answered
        });
    }
}

impl Drop for Bringing<'_> {
    fn drop(&mut self) {
        self.take_answers();
        for (request, _) in self.asked.values() {
            let _none = self.runtime.end_fetch(*request);
        }
    }
}

/// How one look at the objects ends.
struct Look {
    ready: Vec<bool>,
    /// Those without an outcome.
    missing: Vec<ObjectId>,
    /// Those whose value is on another node.
    elsewhere: Vec<(ObjectId, Value)>,
}

impl Runtime {
    /// Waits until `num_returns` of the objects are on this node, or will never be; returns which are.
    pub(crate) fn wait_here(
        self: &Arc<Self>,
        ids: &[ObjectId],
        num_returns: usize,
        timeout: Option<Duration>,
    ) -> Result<Vec<bool>> {
        let deadline = timeout.map(time_limit);
        let cell = WaitCell::for_bytes();
        let mut bringing = Bringing {
            runtime: self,
            asked: BTreeMap::new(),
        };
        loop {
            cell.begin_round();
            bringing.take_answers();
            let look = self.look_at(ids, num_returns, &cell);
            let count = look.ready.iter().filter(|ready| **ready).count();
            if count >= num_returns {
                return Ok(look.ready);
            }
            cell.expect(num_returns - count);
            for (object, value) in look.elsewhere {
                bringing.bring(object, value, &cell);
            }
            let ended = self.block(&cell, deadline);
            if !look.missing.is_empty() {
                self.with_core(|core, _| {
                    for id in &look.missing {
                        core.waiters.remove(*id, &cell);
                    }
                });
            }
            if !ended? {
                bringing.take_answers();
                return Ok(self.look_at(ids, 0, &cell).ready);
            }
        }
    }

    /// Looks which objects are here; has the cell told of the others when fewer than `enough` are.
    fn look_at(&self, ids: &[ObjectId], enough: usize, cell: &Arc<WaitCell>) -> Look {
        self.with_core(|core, _| {
            let mut look = Look {
                ready: Vec::with_capacity(ids.len()),
                missing: Vec::new(),
                elsewhere: Vec::new(),
            };
            let mut count = 0;
            for id in ids {
                let outcome = core.outcome(*id);
                let is_ready = match outcome {
                    None => {
                        look.missing.push(*id);
                        false
                    }
                    Some(Ok(value)) if value.is_elsewhere() => {
                        look.elsewhere.push((*id, value));
                        false
                    }
                    Some(_) => true,
                };
                count += usize::from(is_ready);
                look.ready.push(is_ready);
            }
            if count < enough {
                for id in &look.missing {
                    core.watch(*id, cell);
                }
            }
            look
        })
    }
}
