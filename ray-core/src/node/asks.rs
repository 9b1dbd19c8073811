//! What processes ask for of other nodes' objects: served together, held until it is given back.
//!
//! An ask is answered once all that it names is here, and holds it until it is released. One of a `wait` holds
//! nothing: it ends with its answer. What is given up goes on arriving for a moment, since who polls asks again.

use std::collections::{BTreeMap, BTreeSet};

use ray_engine::{
    failure::Failure,
    ids::{ObjectId, ProcessId},
    pull::{Priority, PullId},
    time::Time,
};

use super::{NodeState, Outbox, copies::Place};
use crate::{
    config::GIVEN_UP_LINGERS,
    wire::{FetchFor, Message, WantedObject},
};

/// A process and the number of its question.
pub(super) type AskId = (ProcessId, u64);

/// Every ask that has not ended.
#[derive(Default)]
pub(super) struct Asks(BTreeMap<AskId, Ask>);

/// Objects that a process wants to read, together.
struct Ask {
    purpose: FetchFor,
    /// In the order of the answer.
    wanted: Vec<ObjectId>,
    /// Those that are not here.
    left: BTreeSet<ObjectId>,
    /// Those that were not given back.
    held: BTreeSet<ObjectId>,
}

impl Asks {
    /// Returns how much an ask weighs.
    pub(super) fn priority_of(&self, ask: AskId) -> Option<Priority> {
        self.0.get(&ask).map(|ask| match ask.purpose {
            FetchFor::Get => Priority::Get,
            FetchFor::Wait => Priority::Wait,
            FetchFor::Arguments => Priority::Arguments,
        })
    }

    /// Forgets who used a copy of a job that has ended.
    pub(super) fn forget(&mut self, users: &BTreeMap<AskId, Option<PullId>>) {
        self.0.retain(|ask, _| !users.contains_key(ask));
    }

    fn of(&self, process: ProcessId) -> Vec<AskId> {
        let its = self.0.range((process, 0)..=(process, u64::MAX));
        its.map(|(ask, _)| *ask).collect()
    }
}

impl NodeState {
    /// A process wants to read objects of other nodes.
    pub(super) fn on_fetch(
        &mut self,
        ask: AskId,
        purpose: FetchFor,
        wanted: &[WantedObject],
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        if !self.jobs.contains_key(&self.job_of(ask.0)) || self.copies.asks.0.contains_key(&ask) {
            return;
        }
        let objects = wanted.iter().map(|wanted| wanted.object);
        let left: BTreeSet<ObjectId> = objects.clone().collect();
        let asked = Ask {
            purpose,
            wanted: objects.collect(),
            held: left.clone(),
            left,
        };
        self.copies.asks.0.insert(ask, asked);
        for wanted in wanted {
            // The first that cannot be had ends the whole ask.
            if self.copies.asks.0.contains_key(&ask) {
                self.want_copy(wanted, ask, here, now, out);
            }
        }
    }

    /// An object that an ask names is here; the last of them answers it.
    pub(super) fn on_wanted_here(
        &mut self,
        id: AskId,
        object: ObjectId,
        now: Time,
        out: &mut Outbox,
    ) {
        let Some(ask) = self.copies.asks.0.get_mut(&id) else {
            return;
        };
        if !ask.left.remove(&object) || !ask.left.is_empty() {
            return;
        }
        let by_object = &self.copies.by_object;
        let places = ask.wanted.iter().map(|object| {
            let place = by_object.get(object).map(|copy| &copy.place);
            let Some(Place::Here(slot)) = place else {
                unreachable!("what an ask holds stays here");
            };
            (slot.offset, slot.len)
        });
        let outcome = Ok(places.collect());
        let is_over = ask.purpose == FetchFor::Wait;
        out.push((id.0, fetched(id, outcome)));
        if is_over {
            self.end_ask(id, None, now, out);
        }
    }

    /// An object that an ask names will not come.
    pub(super) fn fail_ask(
        &mut self,
        id: AskId,
        object: ObjectId,
        failure: &Failure,
        now: Time,
        out: &mut Outbox,
    ) {
        out.push((id.0, fetched(id, Err((object, failure.clone())))));
        self.end_ask(id, None, now, out);
    }

    /// A process reads a copy no more.
    pub(super) fn on_copy_released(
        &mut self,
        id: AskId,
        object: ObjectId,
        now: Time,
        out: &mut Outbox,
    ) {
        let Some(ask) = self.copies.asks.0.get_mut(&id) else {
            return;
        };
        if !ask.held.remove(&object) {
            return;
        }
        if ask.held.is_empty() {
            self.copies.asks.0.remove(&id);
        }
        self.leave_copy(id, object, None, now, out);
    }

    /// A process waits for its ask no more, or has no use for its answer.
    pub(super) fn on_fetch_cancelled(&mut self, id: AskId, now: Time, out: &mut Outbox) {
        self.end_ask(id, Some(now + GIVEN_UP_LINGERS), now, out);
    }

    /// Ends an ask; what nobody else wants goes on arriving until `linger`, if that is given.
    fn end_ask(&mut self, id: AskId, linger: Option<Time>, now: Time, out: &mut Outbox) {
        let Some(ask) = self.copies.asks.0.remove(&id) else {
            return;
        };
        for object in ask.held {
            self.leave_copy(id, object, linger, now, out);
        }
    }

    /// An ask has no use for a copy any more.
    fn leave_copy(
        &mut self,
        id: AskId,
        object: ObjectId,
        linger: Option<Time>,
        now: Time,
        out: &mut Outbox,
    ) {
        let Some(copy) = self.copies.by_object.get_mut(&object) else {
            return;
        };
        let Some(pull) = copy.users.remove(&id) else {
            return;
        };
        let is_last = copy.users.is_empty();
        match (pull, linger) {
            (Some(pull), Some(until)) if is_last && !copy.is_unwanted => {
                copy.lingering = Some((pull, until));
            }
            (pull, _) => {
                if let Some(pull) = pull {
                    self.copies.pulls.cancel(pull, now);
                }
                if is_last {
                    self.give_up_arrival(object, now, out);
                }
            }
        }
        self.settle_copy(object, now);
    }

    /// A process of this node is gone, and with it what it read and waited for.
    pub(super) fn on_reader_gone(&mut self, process: ProcessId, now: Time, out: &mut Outbox) {
        for ask in self.copies.asks.of(process) {
            self.end_ask(ask, None, now, out);
        }
    }

    /// Ends arrivals that were given up some time ago.
    pub(super) fn end_lingering(&mut self, now: Time, out: &mut Outbox) {
        let copies = self.copies.by_object.iter();
        let is_over = |until: Time| until <= now;
        let over: Vec<ObjectId> = copies
            .filter(|(_, copy)| copy.lingering.is_some_and(|(_, until)| is_over(until)))
            .map(|(object, _)| *object)
            .collect();
        for object in over {
            self.give_up_arrival(object, now, out);
        }
    }

    /// Returns when [`NodeState::end_lingering`] has something to do.
    pub(super) fn lingering_timeout(&self) -> Option<Time> {
        let copies = self.copies.by_object.values();
        copies
            .filter_map(|copy| copy.lingering.map(|(_, until)| until))
            .min()
    }
}

fn fetched((_, request): AskId, outcome: Result<Vec<(u64, u64)>, (ObjectId, Failure)>) -> Message {
    Message::Fetched { request, outcome }
}
