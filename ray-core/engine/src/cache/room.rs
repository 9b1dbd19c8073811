//! Requests for room, and how they are served or refused.

use super::{Cache, Command, Entry, Place, Purpose, RoomId, Waiting};
use crate::{failure::Failure, ids::ObjectId, priority::Priority, time::Time};

impl Cache {
    /// Somebody is about to create an object of this size; who is of lower priority waits behind.
    pub fn need(&mut self, room: RoomId, bytes: u64, priority: Priority, now: Time) {
        self.ask(Waiting::new(Purpose::Create(room), bytes, priority, now));
    }

    pub(super) fn ask(&mut self, asked: Waiting) {
        let (bytes, limit, now) = (asked.bytes, self.config.capacity, asked.since);
        if let Purpose::Create(room) = asked.purpose
            && bytes > limit
        {
            let failure = Failure::ObjectTooLarge { bytes, limit };
            return self.commands.push_back(Command::Refuse { room, failure });
        }
        let is_before = |waiting: &&Waiting| waiting.priority <= asked.priority;
        let before = self.waiting.iter().take_while(is_before).count();
        self.waiting.insert(before, asked);
        self.advance(now);
    }

    /// Somebody does not need room any more, granted or not.
    pub fn cancel(&mut self, room: RoomId, now: Time) {
        self.granted.remove(&room);
        self.waiting
            .retain(|waiting| waiting.purpose != Purpose::Create(room));
        self.advance(now);
    }

    /// Somebody needs an object in memory; one that is there already is only used.
    pub fn restore(&mut self, object: ObjectId, now: Time) {
        let Some(entry) = self.entries.get_mut(&object) else {
            return;
        };
        if let Place::Disk(file) = entry.place {
            entry.place = Place::Wanted(file);
            let bytes = entry.bytes;
            // Readers first: what they have read can make way for who creates.
            let is_reader = |waiting: &Waiting| matches!(waiting.purpose, Purpose::Restore(_));
            let readers = self.waiting.iter().take_while(|waiting| is_reader(waiting));
            let waiting = Waiting::new(Purpose::Restore(object), bytes, Priority::Get, now);
            self.waiting.insert(readers.count(), waiting);
        }
        self.touch(object);
        self.advance(now);
    }

    /// Refuses what has waited in vain, and tries a full disk again.
    pub fn on_timeout(&mut self, now: Time) {
        if let Some(tried) = self.disk_full
            && tried + self.config.disk_retry <= now
        {
            self.disk_full = Some(now);
            self.spill_some();
        }
        let is_overdue = |waiting: &Waiting, grace| waiting.since + grace <= now;
        while self.spilling.is_empty()
            && self
                .waiting
                .front()
                .is_some_and(|front| is_overdue(front, self.config.grace))
        {
            self.refuse_oldest();
        }
        self.advance(now);
    }

    fn refuse_oldest(&mut self) {
        let Some(waiting) = self.waiting.pop_front() else {
            return;
        };
        let failure = self.failure_for(waiting.bytes);
        match waiting.purpose {
            Purpose::Create(room) if waiting.may_overflow => {
                self.commands.push_back(Command::Overflow { room, failure });
            }
            Purpose::Create(room) => self.commands.push_back(Command::Refuse { room, failure }),
            Purpose::Restore(object) => {
                if let Some(entry) = self.entries.get_mut(&object)
                    && let Place::Wanted(file) = entry.place
                {
                    entry.place = Place::Disk(file);
                    let reason = format!("there is no room to read it back: {failure:?}");
                    self.commands
                        .push_back(Command::Unreadable { object, reason });
                }
            }
        }
    }

    /// Says why there is no room for so many bytes.
    pub(super) fn failure_for(&self, bytes: u64) -> Failure {
        if self.is_disk_full() {
            let capacity = self.config.capacity;
            Failure::OutOfDisk(format!(
                "{bytes} bytes do not fit into a store of {capacity}, and the disk that it spills to is full"
            ))
        } else {
            Failure::ObjectStoreFull {
                needed: bytes,
                capacity: self.config.capacity,
                holders: self.holders(),
            }
        }
    }

    /// Names the largest objects that somebody holds.
    fn holders(&self) -> String {
        let mut pinned = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.pins > 0 && entry.place.takes_memory())
            .map(|(object, entry)| (entry.bytes, *object, entry.pins))
            .collect::<Vec<_>>();
        pinned.sort_unstable();
        let lines = pinned
            .iter()
            .rev()
            .take(HOLDERS_NAMED)
            .map(|(bytes, object, pins)| format!("{object}: {bytes} bytes, held {pins} times"));
        lines.collect::<Vec<_>>().join("; ")
    }

    /// Serves who waits while there is room, makes room for the rest.
    pub(super) fn advance(&mut self, now: Time) {
        let mut did_move = false;
        while let Some(front) = self.waiting.front() {
            let (bytes, purpose) = (front.bytes, front.purpose);
            let capacity = self.config.capacity;
            let firm = self.memory_bytes().saturating_sub(self.droppable_bytes());
            let may_go_over = firm + bytes > capacity && self.may_go_over(purpose);
            if firm + bytes > capacity && self.is_disk_full() && !may_go_over {
                // Nothing more will make way: what was dropped now would be missed for nothing.
                break;
            }
            while self.memory_bytes() + bytes > capacity {
                if !self.drop_one() {
                    break;
                }
                did_move = true;
            }
            let memory = self.memory_bytes();
            if memory + bytes > capacity && !(may_go_over && memory <= capacity) {
                break;
            }
            self.waiting.pop_front();
            did_move = true;
            self.serve(purpose, bytes);
        }
        if did_move && let Some(front) = self.waiting.front_mut() {
            front.since = now;
        }
        self.spill_what_is_needed();
        self.overflow(now);
    }

    /// Returns whether an object comes back although there is no room: when the disk is full nothing can
    /// make way for it, and what is stored must stay readable. One at a time; it is the next to be dropped.
    fn may_go_over(&self, purpose: Purpose) -> bool {
        let is_returning = |entry: &Entry| matches!(entry.place, Place::Restoring(_));
        matches!(purpose, Purpose::Restore(_))
            && self.is_disk_full()
            && !self.entries.values().any(is_returning)
    }

    fn droppable_bytes(&self) -> u64 {
        let objects = self.droppable.values();
        objects.map(|object| self.entries[object].bytes).sum()
    }

    fn serve(&mut self, purpose: Purpose, bytes: u64) {
        match purpose {
            Purpose::Create(room) => {
                self.granted.insert(room, bytes);
                self.commands.push_back(Command::Grant { room });
            }
            Purpose::Restore(object) => {
                let entry = self
                    .entries
                    .get_mut(&object)
                    .expect("freed ones do not wait");
                if let Place::Wanted(file) = entry.place {
                    entry.place = Place::Restoring(file);
                    self.resident += bytes;
                    self.commands.push_back(Command::Restore { object, file });
                }
            }
        }
    }

    /// Drops the longest unused copy that exists elsewhere too; returns whether there was one.
    fn drop_one(&mut self) -> bool {
        let Some((_, object)) = self.droppable.pop_first() else {
            return false;
        };
        self.commands.push_back(Command::Drop { object });
        let entry = self
            .entries
            .get_mut(&object)
            .expect("what is listed is here");
        self.resident -= entry.bytes;
        if let Place::Both(file) = entry.place {
            entry.place = Place::Disk(file);
        } else {
            self.entries.remove(&object);
        }
        true
    }
}

/// Objects that a full store's failure names.
const HOLDERS_NAMED: usize = 5;
