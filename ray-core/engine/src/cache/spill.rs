//! Files: what is written to disk and read back, and what follows when that fails.

use super::{Cache, Command, FileId, Place};
use crate::{ids::ObjectId, time::Time};

impl Cache {
    /// Starts as many spills as those who wait need, or the threshold asks for.
    pub(super) fn spill_what_is_needed(&mut self) {
        if self.is_disk_full() {
            return;
        }
        let waiting = self
            .waiting
            .iter()
            .map(|waiting| waiting.bytes)
            .sum::<u64>();
        loop {
            let memory = self.memory_bytes();
            let short = (memory + waiting).saturating_sub(self.config.capacity);
            let is_needed = waiting > 0 && short > self.spilling_bytes();
            let threshold = self.config.capacity / 100 * self.config.spill_percent;
            let is_wise = self.firm.saturating_sub(self.spilling_bytes()) > threshold
                && self.is_worth_a_file();
            if !(is_needed || is_wise) || !self.spill_some() {
                return;
            }
        }
    }

    fn spilling_bytes(&self) -> u64 {
        let objects = self.spilling.values().flatten();
        objects.map(|object| self.entries[object].bytes).sum()
    }

    /// Returns what may be spilled, the longest unused first.
    fn candidates(&self) -> impl Iterator<Item = (ObjectId, u64)> {
        let objects = self.spillable.values();
        objects.map(|object| (*object, self.entries[object].bytes))
    }

    /// Returns whether there is enough for a whole file.
    fn is_worth_a_file(&self) -> bool {
        let (mut count, mut sum) = (0, 0);
        for (_, bytes) in self.candidates() {
            count += 1;
            sum += bytes;
            if sum >= self.config.fuse_bytes || count >= self.config.fuse_objects {
                return true;
            }
        }
        false
    }

    /// Starts to write one file; returns whether it did.
    pub(super) fn spill_some(&mut self) -> bool {
        if self.spilling.len() >= self.config.spills_max {
            return false;
        }
        let mut objects = Vec::new();
        let mut sum = 0;
        for (object, bytes) in self.candidates() {
            if sum >= self.config.fuse_bytes || objects.len() >= self.config.fuse_objects {
                break;
            }
            sum += bytes;
            objects.push(object);
        }
        if objects.is_empty() {
            return false;
        }
        let file = FileId(self.next_file);
        self.next_file += 1;
        for object in &objects {
            let entry = self
                .entries
                .get_mut(object)
                .expect("what is listed is here");
            entry.place = Place::Spilling(file);
            let used = entry.used;
            self.unlist(used);
        }
        self.spilling
            .insert(file, objects.iter().copied().collect());
        self.commands.push_back(Command::Spill { file, objects });
        true
    }

    /// A file is whole on disk.
    pub fn on_spilled(&mut self, file: FileId, now: Time) {
        let Some(objects) = self.spilling.remove(&file) else {
            return;
        };
        if objects.is_empty() {
            // All of them were freed meanwhile.
            self.commands.push_back(Command::DeleteFile { file });
        } else {
            self.move_to(
                &objects.iter().copied().collect::<Vec<_>>(),
                Place::Both(file),
            );
            self.files.insert(file, objects);
        }
        self.on_disk_writable(now);
        self.wait_anew(now);
        self.advance(now);
    }

    /// Somebody began to use an object before it was written: it is not in the file, and is pinned.
    pub fn on_spill_skipped(&mut self, file: FileId, object: ObjectId) {
        let Some(objects) = self.spilling.get_mut(&file) else {
            return;
        };
        if objects.remove(&object) {
            let entry = self
                .entries
                .get_mut(&object)
                .expect("freed ones were taken out");
            entry.place = Place::Memory;
            entry.pins += 1;
        }
    }

    /// Somebody began to use an object before it was dropped: it is in memory as before, and pinned.
    pub fn on_drop_refused(&mut self, object: ObjectId, now: Time) {
        if let Some(entry) = self.entries.get_mut(&object)
            && let Place::Disk(file) = entry.place
        {
            entry.place = Place::Both(file);
            entry.pins += 1;
            self.resident += entry.bytes;
            self.touch(object);
        }
        self.advance(now);
    }

    /// A file could not be written, for want of space or otherwise; what is in memory is whole.
    pub fn on_spill_failed(&mut self, file: FileId, now: Time) {
        let Some(objects) = self.spilling.remove(&file) else {
            return;
        };
        self.commands.push_back(Command::DeleteFile { file });
        self.move_to(&objects.into_iter().collect::<Vec<_>>(), Place::Memory);
        if self.disk_full.is_none() {
            self.wait_anew(now);
        }
        if self.disk_full.replace(now).is_none() {
            self.commands.push_back(Command::Disk { is_full: true });
        }
        self.advance(now);
    }

    /// There is space on the disk again.
    pub fn on_disk_space(&mut self, now: Time) {
        self.on_disk_writable(now);
        self.advance(now);
    }

    fn on_disk_writable(&mut self, _now: Time) {
        if self.disk_full.take().is_some() {
            self.commands.push_back(Command::Disk { is_full: false });
        }
    }

    /// Gives the oldest request its whole grace again: something has moved.
    fn wait_anew(&mut self, now: Time) {
        if let Some(front) = self.waiting.front_mut() {
            front.since = now;
        }
    }

    fn move_to(&mut self, objects: &[ObjectId], place: Place) {
        for object in objects {
            let entry = self
                .entries
                .get_mut(object)
                .expect("freed ones were taken out");
            let was_firm = entry.is_firm();
            entry.place = place;
            if was_firm && !entry.is_firm() {
                self.firm -= entry.bytes;
            }
            // It keeps its place in the order of use.
            self.list(*object);
        }
    }

    /// An object is in memory again.
    pub fn on_restored(&mut self, object: ObjectId, now: Time) {
        if let Some(entry) = self.entries.get_mut(&object)
            && let Place::Restoring(file) = entry.place
        {
            entry.place = Place::Both(file);
            self.touch(object);
        }
        self.advance(now);
    }

    /// An object on disk cannot be read: this copy is lost.
    pub fn on_restore_failed(&mut self, object: ObjectId, reason: String, now: Time) {
        if let Some(entry) = self.entries.get(&object)
            && let Place::Restoring(file) = entry.place
        {
            self.resident -= entry.bytes;
            self.entries.remove(&object);
            self.leave_file(file, object);
            self.commands.push_back(Command::Drop { object });
            self.commands.push_back(Command::Lost { object, reason });
        }
        self.advance(now);
    }
}
