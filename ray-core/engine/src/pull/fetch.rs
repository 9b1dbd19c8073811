//! Holders and chunks: whom to ask for what, and what to do when that does not come.

use std::time::Duration;

use super::{Asked, Command, Incoming, Pulls};
use crate::{
    chunks::Chunks,
    draws::mix,
    failure::Failure,
    ids::{NodeId, ObjectId},
    time::Time,
};

impl Incoming {
    fn is_missing(&self, chunk: u32) -> bool {
        !self.have.contains(chunk) && !self.asked.contains_key(&chunk)
    }

    /// Returns whether a chunk is missing that nobody is known to have.
    pub(super) fn is_starved(&self) -> bool {
        (0..self.have.count()).any(|chunk| {
            let has = |chunks: &Chunks| chunks.contains(chunk);
            self.is_missing(chunk) && !self.holders.values().any(has)
        })
    }

    /// Returns what was asked of those who have only parts.
    fn asked_of_parts(&self) -> impl Iterator<Item = &Asked> {
        let has_parts = |node| {
            let held = self.holders.get(node);
            held.is_some_and(|chunks| !chunks.is_full())
        };
        self.asked
            .values()
            .filter(move |asked| has_parts(&asked.from))
    }

    /// Returns when who has all of it may be asked for what others were asked for, those times after `now`.
    pub(super) fn slow_at(&self, slow_after: Duration, now: Time) -> Option<Time> {
        let mut missing = self.missing();
        let times = self.asked_of_parts().map(|asked| asked.at + slow_after);
        times
            .filter(|at| *at > now)
            .min()
            .filter(|_| missing.next().is_some())
    }

    /// Returns the missing chunks, in an order that is this node's own.
    fn missing(&self) -> impl Iterator<Item = u32> {
        let count = u64::from(self.have.count());
        let chunks = (0..count).map(move |step| ((self.first + step * self.stride) % count) as u32);
        chunks.filter(|chunk| self.is_missing(*chunk))
    }
}

impl Pulls {
    /// A node has these chunks of an object; what was known of it before is replaced.
    ///
    /// Chunks of another count than the object's are not of this object and are ignored.
    pub fn on_holder(&mut self, object: ObjectId, node: NodeId, chunks: Chunks, now: Time) {
        let Some(incoming) = self.objects.get_mut(&object) else {
            return;
        };
        if chunks.count() == incoming.have.count() && !incoming.distrusted.contains(&node) {
            incoming.holders.insert(node, chunks);
            self.advance(now);
        }
    }

    /// A node says how many chunks it serves for others.
    pub fn on_load(&mut self, node: NodeId, load: u32) {
        self.loads.insert(node, load);
    }

    /// A chunk arrived and is right.
    pub fn on_chunk(&mut self, object: ObjectId, chunk: u32, from: NodeId, now: Time) {
        self.settle(object, chunk, Some(from));
        // Who sends is not late with the rest, however slow the way is.
        let asked = self
            .objects
            .values_mut()
            .flat_map(|incoming| incoming.asked.values_mut());
        for asked in asked.filter(|asked| asked.from == from) {
            asked.at = now;
        }
        let Some(incoming) = self.objects.get_mut(&object) else {
            return;
        };
        if !incoming.is_active || !incoming.have.insert(chunk) {
            return self.advance(now);
        }
        for id in &incoming.pulls {
            let pull = self.pulls.get_mut(id).expect("an object's pull");
            pull.since = now;
        }
        let count = incoming.have.len();
        if incoming.have.is_full() {
            // What is sealed is the store's and takes room for good.
            self.room = self.room.saturating_sub(incoming.bytes);
            self.commands.push_back(Command::Seal { object });
            self.complete(object, now);
        } else if is_worth_telling(count, incoming.have.count()) {
            let chunks = incoming.have.clone();
            self.commands
                .push_back(Command::Announce { object, chunks });
        }
        self.advance(now);
    }

    /// A chunk arrived and is not right: its sender is not asked for this object again.
    pub fn on_chunk_corrupt(&mut self, object: ObjectId, chunk: u32, from: NodeId, now: Time) {
        self.settle(object, chunk, Some(from));
        if let Some(incoming) = self.objects.get_mut(&object) {
            incoming.distrusted.insert(from);
            self.forget_holder(object, from);
        }
        self.advance(now);
    }

    /// A holder does not have a chunk (any more).
    pub fn on_chunk_refused(&mut self, object: ObjectId, chunk: u32, from: NodeId, now: Time) {
        self.settle(object, chunk, Some(from));
        if let Some(incoming) = self.objects.get_mut(&object)
            && let Some(chunks) = incoming.holders.get_mut(&from)
        {
            chunks.remove(chunk);
        }
        self.advance(now);
    }

    /// A holder serves enough others: it is left alone for a moment, and newer holders are looked for.
    pub fn on_holder_busy(&mut self, object: ObjectId, chunk: u32, from: NodeId, now: Time) {
        self.settle(object, chunk, Some(from));
        let busy_for = self.config.busy_for;
        if let Some(incoming) = self.objects.get_mut(&object) {
            incoming.busy.insert(from, now + busy_for);
            if incoming.located + busy_for <= now {
                incoming.located = now;
                self.commands.push_back(Command::Locate { object });
            }
        }
        self.advance(now);
    }

    /// Holders of an object may have gone: its owner is asked again at once.
    pub fn relocate(&mut self, object: ObjectId, now: Time) {
        if let Some(incoming) = self.objects.get_mut(&object) {
            incoming.located = now;
            self.commands.push_back(Command::Locate { object });
        }
    }

    /// The owner says that an object cannot be had any more: every pull that wants it fails.
    pub fn on_lost(&mut self, object: ObjectId, failure: &Failure, now: Time) {
        let Some(incoming) = self.objects.get(&object) else {
            return;
        };
        for pull in incoming.pulls.clone() {
            self.end_pull(pull);
            self.commands.push_back(Command::Fail {
                pull,
                object,
                failure: failure.clone(),
            });
        }
        self.advance(now);
    }

    /// A node is gone: what it was asked for is asked of others.
    pub fn on_node_died(&mut self, node: NodeId, now: Time) {
        for object in self.objects.keys().copied().collect::<Vec<_>>() {
            self.forget_holder(object, node);
        }
        self.outstanding.remove(&node);
        self.loads.remove(&node);
        self.advance(now);
    }

    /// Asks others for what did not come in time, looks for holders, fails what takes too long.
    pub fn on_timeout(&mut self, now: Time) {
        let mut late = Vec::new();
        for (object, incoming) in &self.objects {
            let overdue = incoming
                .asked
                .values()
                .filter(|asked| asked.at + self.config.retry_after <= now);
            late.extend(overdue.map(|asked| (*object, asked.from)));
        }
        for (object, from) in late {
            self.forget_holder(object, from);
        }
        for incoming in self.objects.values_mut() {
            incoming.busy.retain(|_, until| *until > now);
        }
        self.fail_overdue(now);
        self.advance(now);
    }

    fn fail_overdue(&mut self, now: Time) {
        let overdue = self
            .pulls
            .iter()
            .filter(|(_, pull)| pull.since + self.config.fail_after <= now)
            .map(|(id, _)| *id)
            .collect::<Vec<_>>();
        for id in overdue {
            let pull = &self.pulls[&id];
            let object = *pull
                .left
                .first()
                .expect("a pull that is not done wants something");
            let failure = if pull.is_active {
                Failure::ObjectLost {
                    object,
                    reason: format!("nothing came of it in {:?}", self.config.fail_after),
                }
            } else {
                let wanted = pull.left.iter().map(|object| self.objects[object].bytes);
                Failure::ObjectStoreFull {
                    needed: wanted.sum(),
                    capacity: self.room,
                    holders: String::new(),
                }
            };
            self.end_pull(id);
            let pull = id;
            self.commands.push_back(Command::Fail {
                pull,
                object,
                failure,
            });
        }
    }

    /// Does what can be done now: lets pulls in, asks for chunks, looks for holders.
    pub(super) fn advance(&mut self, now: Time) {
        self.now = now;
        self.admit();
        self.fetch(now);
        self.locate(now);
    }

    fn fetch(&mut self, now: Time) {
        let active = self.order.values().filter(|id| self.pulls[id].is_active);
        let objects = active
            .flat_map(|id| self.pulls[id].left.iter().copied())
            .collect::<Vec<_>>();
        for object in objects {
            while let Some((chunk, from)) = self.next_fetch(object, now) {
                let bytes = self.bytes_of(object, chunk);
                let is_first = self.in_flight_bytes == 0;
                if !is_first && self.in_flight_bytes + bytes > self.config.in_flight_bytes_max {
                    return;
                }
                self.in_flight_bytes += bytes;
                *self.outstanding.entry(from).or_default() += 1;
                let incoming = self.objects.get_mut(&object).expect("a pull's object");
                incoming.asked.insert(chunk, Asked { from, at: now });
                self.commands.push_back(Command::Fetch {
                    object,
                    chunk,
                    from,
                });
            }
        }
    }

    /// Returns the chunk of an object to ask for next, and whom.
    ///
    /// Those who have only parts of it are asked first. Those who have all of it are asked for what nobody else
    /// has; for the rest one chunk at a time, when nothing is to come of the others or they are slow. So who made an
    /// object gives each chunk away about once, however many want it.
    fn next_fetch(&self, object: ObjectId, now: Time) -> Option<(u32, NodeId)> {
        let incoming = &self.objects[&object];
        let is_free = |node: &NodeId| !incoming.busy.contains_key(node);
        let asked = |node: &NodeId| self.outstanding.get(node).copied().unwrap_or(0);
        let may_be_asked = |node: &NodeId| asked(node) < self.config.per_holder_max;
        let load = |node: &NodeId| self.loads.get(node).copied().unwrap_or(0) as usize;
        let order = |node: &NodeId| (asked(node) + load(node), mix(self.seed ^ node.0));
        let holders = incoming.holders.iter().filter(|(node, _)| is_free(node));
        let (whole, partial): (Vec<_>, Vec<_>) = holders.partition(|(_, chunks)| chunks.is_full());
        if partial.iter().any(|(node, _)| may_be_asked(node)) {
            let found = incoming.missing().find_map(|chunk| {
                let holders = partial.iter().filter(|(_, held)| held.contains(chunk));
                let nodes = holders.map(|(node, _)| **node).filter(may_be_asked);
                Some((chunk, nodes.min_by_key(order)?))
            });
            if found.is_some() {
                return found;
            }
        }
        // What others were asked for and have not told of yet is fetched twice: the less, the fewer are asked for ahead.
        let most = match partial.is_empty() {
            true => self.config.per_holder_max,
            false => (self.config.per_holder_max / 2).max(1),
        };
        let nodes = whole.iter().map(|(node, _)| **node);
        let nodes = nodes.filter(|node| asked(node) < most);
        let from = nodes.min_by_key(order)?;
        let is_shared = |chunk: u32| partial.iter().any(|(_, held)| held.contains(chunk));
        let chunk = match incoming.missing().find(|chunk| !is_shared(*chunk)) {
            Some(chunk) => chunk,
            None if asked(&from) > 0 => return None,
            None if incoming
                .asked_of_parts()
                .any(|asked| asked.at + self.config.slow_after > now) =>
            {
                return None;
            }
            None => incoming.missing().next()?,
        };
        Some((chunk, from))
    }

    fn locate(&mut self, now: Time) {
        let interval = self.config.locate_interval;
        for (object, incoming) in &mut self.objects {
            if incoming.located + interval <= now && incoming.is_starved() {
                incoming.located = now;
                let object = *object;
                self.commands.push_back(Command::Locate { object });
            }
        }
    }

    fn bytes_of(&self, object: ObjectId, chunk: u32) -> u64 {
        let bytes = self.objects[&object].bytes;
        let start = u64::from(chunk) * self.config.chunk_bytes;
        bytes.saturating_sub(start).min(self.config.chunk_bytes)
    }

    /// Ends a question for a chunk; one to somebody else than `answered` is taken back.
    fn settle(&mut self, object: ObjectId, chunk: u32, answered: Option<NodeId>) {
        let Some(incoming) = self.objects.get_mut(&object) else {
            return;
        };
        let Some(asked) = incoming.asked.get(&chunk).copied() else {
            return;
        };
        incoming.asked.remove(&chunk);
        self.in_flight_bytes -= self.bytes_of(object, chunk);
        if let Some(count) = self.outstanding.get_mut(&asked.from) {
            *count = count.saturating_sub(1);
        }
        if answered != Some(asked.from) {
            self.commands.push_back(Command::CancelFetch {
                object,
                chunk,
                from: asked.from,
            });
        }
    }

    fn forget_holder(&mut self, object: ObjectId, node: NodeId) {
        let Some(incoming) = self.objects.get_mut(&object) else {
            return;
        };
        incoming.holders.remove(&node);
        let asked = incoming.asked.iter();
        let of_node = asked.filter(|(_, asked)| asked.from == node);
        for chunk in of_node.map(|(chunk, _)| *chunk).collect::<Vec<_>>() {
            self.settle(object, chunk, None);
        }
    }

    pub(super) fn cancel_fetches(&mut self, object: ObjectId) {
        let asked = self.objects.get(&object).map(|incoming| &incoming.asked);
        let chunks = asked.map(|asked| asked.keys().copied().collect::<Vec<_>>());
        for chunk in chunks.unwrap_or_default() {
            self.settle(object, chunk, None);
        }
    }
}

/// Returns whether others should hear of so many chunks that are here, of so many in all.
fn is_worth_telling(have: u32, count: u32) -> bool {
    have.is_power_of_two() || have.is_multiple_of((count / ANNOUNCEMENTS_MAX).max(2))
}

/// How often a pull tells how much it has, about.
const ANNOUNCEMENTS_MAX: u32 = 64;
