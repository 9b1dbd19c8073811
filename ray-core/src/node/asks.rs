//! What processes ask for of other nodes' objects: served together, held until it is given back.
//!
//! An ask is answered once all that it names is here, and holds it until it is released. One of a `wait` holds
//! nothing: it ends with its answer. What is given up goes on arriving for a moment, since who polls asks again.
//! The arguments of tasks are let in while they hold no more than their share of the store.

use std::collections::{BTreeMap, BTreeSet};

use ray_engine::{
    failure::Failure,
    ids::{JobId, ObjectId, ProcessId},
    pull::{Arguments, Priority, Wanted},
    time::Time,
};

use super::{NodeState, Outbox, copies::Place, leave::Drain};
use crate::{
    config::{ARGUMENTS_PERCENT_MAX, GIVEN_UP_LINGERS},
    wire::{FetchFor, Message, WantedObject},
};

/// A process and the number of its question.
pub(super) type AskId = (ProcessId, u64);

/// Every ask that has not ended.
#[derive(Default)]
pub(super) struct Asks {
    by_id: BTreeMap<AskId, Ask>,
    taken_over: u64,
    /// What the tasks of each job may hold.
    arguments: BTreeMap<JobId, Arguments>,
}

/// Objects that a process wants to read, together.
struct Ask {
    purpose: FetchFor,
    job: JobId,
    /// The leaving node whose object is taken over for its owner, who asks.
    leaving: Option<ProcessId>,
    /// In the order of the answer.
    wanted: Vec<WantedObject>,
    /// Those that are not here.
    left: BTreeSet<ObjectId>,
    /// Those that were not given back.
    held: BTreeSet<ObjectId>,
}

impl Asks {
    /// Returns how much an ask weighs.
    pub(super) fn priority_of(&self, ask: AskId) -> Option<Priority> {
        self.by_id.get(&ask).map(|ask| match ask.purpose {
            FetchFor::Get => Priority::Get,
            FetchFor::Wait => Priority::Wait,
            FetchFor::Arguments | FetchFor::MethodArguments => Priority::Arguments,
        })
    }

    /// Takes an ask out; what it held of its job's share goes to others.
    fn take(&mut self, id: AskId) -> Option<Ask> {
        let ask = self.by_id.remove(&id)?;
        if let Some(arguments) = self.arguments.get_mut(&ask.job) {
            arguments.end(id);
        }
        Some(ask)
    }

    /// What a process runs waits for others.
    pub(super) fn on_blocked(&mut self, process: ProcessId) {
        let machines = self.arguments.values_mut();
        machines.for_each(|arguments| arguments.on_blocked(process));
    }

    /// What a process runs goes on, or the process is gone.
    pub(super) fn on_unblocked(&mut self, process: ProcessId) {
        let machines = self.arguments.values_mut();
        machines.for_each(|arguments| arguments.on_unblocked(process));
    }

    /// Forgets what the processes of a job that has ended have asked for.
    pub(super) fn forget(&mut self, job: JobId) {
        self.by_id.retain(|_, ask| ask.job != job);
        self.arguments.remove(&job);
    }

    /// Returns whose arena an ask is for.
    pub(super) fn job_of(&self, ask: AskId) -> Option<JobId> {
        self.by_id.get(&ask).map(|ask| ask.job)
    }

    fn of(&self, process: ProcessId) -> Vec<AskId> {
        let its = self.by_id.range((process, 0)..=(process, u64::MAX));
        its.map(|(ask, _)| *ask).collect()
    }
}

impl NodeState {
    /// A process wants to read objects of other nodes.
    pub(super) fn on_fetch(
        &mut self,
        ask: AskId,
        purpose: FetchFor,
        wanted: Vec<WantedObject>,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        let job = self.job_of(ask.0);
        let Some(on_node) = self.jobs.get(&job) else {
            return;
        };
        let asks = &mut self.copies.asks;
        if asks.by_id.contains_key(&ask) {
            return;
        }
        let left: BTreeSet<ObjectId> = wanted.iter().map(|wanted| wanted.object).collect();
        let asked = Ask {
            purpose,
            job,
            leaving: None,
            held: left.clone(),
            left,
            wanted,
        };
        if purpose == FetchFor::Arguments {
            let limit = on_node.arena.capacity() / 100 * ARGUMENTS_PERCENT_MAX;
            let arguments = asks.arguments.entry(job);
            let arguments = arguments.or_insert_with(|| Arguments::new(limit));
            let sizes = asked.wanted.iter().map(|wanted| Wanted {
                object: wanted.object,
                bytes: wanted.len,
            });
            arguments.ask(ask, &sizes.collect::<Vec<_>>());
            asks.by_id.insert(ask, asked);
        } else {
            asks.by_id.insert(ask, asked);
            self.begin_ask(ask, here, now, out);
        }
    }

    /// An owner wants its object kept here, since the node that has it leaves.
    pub(super) fn on_take_over(
        &mut self,
        (owner, leaving): (ProcessId, ProcessId),
        job: JobId,
        wanted: WantedObject,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        let object = wanted.object;
        if !self.jobs.contains_key(&job) || self.drain != Drain::No {
            let refusal = Some("that node has no store for it".to_owned());
            return out.push((
                owner,
                Message::TakenOver {
                    leaving,
                    object,
                    refusal,
                },
            ));
        }
        let asks = &mut self.copies.asks;
        asks.taken_over += 1;
        // Apart from the numbers that processes give.
        let id = (owner, u64::MAX - asks.taken_over);
        let only = BTreeSet::from([object]);
        let asked = Ask {
            purpose: FetchFor::MethodArguments,
            job,
            leaving: Some(leaving),
            wanted: vec![wanted],
            left: only.clone(),
            held: only,
        };
        asks.by_id.insert(id, asked);
        self.begin_ask(id, here, now, out);
    }

    /// Begins what was let in since.
    pub(super) fn begin_admitted(&mut self, here: ProcessId, now: Time, out: &mut Outbox) {
        let next = |asks: &mut Asks| {
            let mut machines = asks.arguments.values_mut();
            machines.find_map(Arguments::poll_admitted)
        };
        while let Some(ask) = next(&mut self.copies.asks) {
            self.begin_ask(ask, here, now, out);
        }
    }

    fn begin_ask(&mut self, id: AskId, here: ProcessId, now: Time, out: &mut Outbox) {
        let asked = self.copies.asks.by_id.get(&id);
        let wanted = asked.map(|ask| ask.wanted.clone()).unwrap_or_default();
        for wanted in wanted {
            // The first that cannot be had ends the whole ask.
            if self.copies.asks.by_id.contains_key(&id) {
                self.want_copy(&wanted, id, here, now, out);
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
        let Some(ask) = self.copies.asks.by_id.get_mut(&id) else {
            return;
        };
        if !ask.left.remove(&object) || !ask.left.is_empty() {
            return;
        }
        if let Some(leaving) = ask.leaving {
            if let Some(copy) = self.copies.by_object.get_mut(&object) {
                copy.is_last = true;
            }
            let refusal = None;
            let taken = Message::TakenOver {
                leaving,
                object,
                refusal,
            };
            out.push((id.0, taken));
            return self.end_ask(id, None, now, out);
        }
        let by_object = &self.copies.by_object;
        let places = ask.wanted.iter().map(|wanted| {
            let place = by_object.get(&wanted.object).map(|copy| &copy.place);
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
        let ask = self.copies.asks.by_id.get(&id);
        let answer = match ask.and_then(|ask| ask.leaving) {
            Some(leaving) => Message::TakenOver {
                leaving,
                object,
                refusal: Some(crate::Error::from(failure.clone()).to_string()),
            },
            None => fetched(id, Err((object, failure.clone()))),
        };
        out.push((id.0, answer));
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
        let Some(ask) = self.copies.asks.by_id.get_mut(&id) else {
            return;
        };
        if !ask.held.remove(&object) {
            return;
        }
        if ask.held.is_empty() {
            self.copies.asks.take(id);
        }
        self.leave_copy(id, object, None, now, out);
    }

    /// A process waits for its ask no more, or has no use for its answer.
    pub(super) fn on_fetch_cancelled(&mut self, id: AskId, now: Time, out: &mut Outbox) {
        self.end_ask(id, Some(now + GIVEN_UP_LINGERS), now, out);
    }

    /// Ends an ask; what nobody else wants goes on arriving until `linger`, if that is given.
    fn end_ask(&mut self, id: AskId, linger: Option<Time>, now: Time, out: &mut Outbox) {
        let Some(ask) = self.copies.asks.take(id) else {
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
        self.copies.asks.on_unblocked(process);
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
