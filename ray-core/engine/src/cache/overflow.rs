//! Who goes on in a file when memory is full of what is in use.

use super::{Cache, Command, Place, Purpose, RoomId, Waiting};
use crate::{priority::Priority, time::Time};

impl Cache {
    /// The same as [`Cache::need`] for somebody whom a file serves as well as memory, when there is no memory.
    ///
    /// The answer may be [`Command::Overflow`]; a file's bytes are none of this store's.
    pub fn need_or_overflow(&mut self, room: RoomId, bytes: u64, priority: Priority, now: Time) {
        self.ask(Waiting {
            may_overflow: true,
            ..Waiting::new(Purpose::Create(room), bytes, priority, now)
        });
    }

    /// Returns whether nothing in memory can make way, nor is about to.
    fn is_all_held(&self) -> bool {
        let is_returning = |place| matches!(place, Place::Restoring(_));
        self.spillable.is_empty()
            && self.droppable.is_empty()
            && self.spilling.is_empty()
            && self.granted.is_empty()
            && !self.entries.values().any(|entry| is_returning(entry.place))
    }

    /// Sends those to a file who would wait for what others hold, once it has been held for long enough.
    pub(super) fn overflow(&mut self, now: Time) {
        if !self.waiting.iter().any(|waiting| waiting.may_overflow) {
            return;
        }
        if !self.is_all_held() {
            self.held_since = None;
            return;
        }
        let since = *self.held_since.get_or_insert(now);
        if since + self.config.held_grace > now {
            return;
        }
        while let Some(at) = self.waiting.iter().position(|waiting| waiting.may_overflow) {
            let waiting = self.waiting.remove(at).expect("found above");
            let failure = self.failure_for(waiting.bytes);
            if let Purpose::Create(room) = waiting.purpose {
                self.commands.push_back(Command::Overflow { room, failure });
            }
        }
    }

    /// Returns when somebody goes on in a file, if all stays as it is.
    pub(super) fn overflow_due(&self) -> Option<Time> {
        let since = self.held_since?;
        let mut waiting = self.waiting.iter();
        waiting
            .any(|waiting| waiting.may_overflow)
            .then(|| since + self.config.held_grace)
    }
}
