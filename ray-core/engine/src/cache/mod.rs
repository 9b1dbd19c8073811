//! What a node's store keeps in memory, spills to disk, drops.
//!
//! Whoever creates or restores an object asks for room first and is served by priority, then in order. Room is
//! made by dropping what is unpinned and exists elsewhere too (secondary copies, copies on disk), the longest
//! unused first; then by spilling unpinned primary copies, many small ones in one file. Above a
//! threshold spilling begins before anybody waits, and what was spilled stays in memory until the room
//! is needed. When nothing more can be done the oldest request waits for a grace, in which somebody may
//! let go of something, and then fails with a reason, or goes on in a file if that is as good for it. Where all of
//! memory is held and nothing can make way, the latter come to that after a shorter grace.
//!
//! A full disk is a state: nothing is spilled until there is space again, which is tried now and then.

mod overflow;
mod room;
mod spill;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use crate::{
    failure::Failure,
    ids::ObjectId,
    planted::{Bug, is_planted},
    priority::Priority,
    time::Time,
};

/// Numbers of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Bytes in memory, at most.
    pub capacity: u64,
    /// The share of the capacity in primary copies at which spilling begins; percent. Default 80.
    pub spill_percent: u64,
    /// Bytes that one file is filled up to. Default 100 MB.
    pub fuse_bytes: u64,
    /// Objects in one file, at most. Default 2,000.
    pub fuse_objects: usize,
    /// Files that are written at a time. Default 4.
    pub spills_max: usize,
    /// How long the oldest request waits when nothing can be done. Default 2 s.
    pub grace: Duration,
    /// How long everything in memory is held before those go on in a file who may. Default 500 ms.
    pub held_grace: Duration,
    /// How often a full disk is tried again. Default 1 s.
    pub disk_retry: Duration,
}

impl CacheConfig {
    /// Returns the defaults for a store of `capacity` bytes.
    pub fn new(capacity: u64) -> CacheConfig {
        CacheConfig {
            capacity,
            spill_percent: 80,
            fuse_bytes: 100_000_000,
            fuse_objects: 2_000,
            spills_max: 4,
            grace: Duration::from_secs(2),
            held_grace: Duration::from_millis(500),
            disk_retry: Duration::from_secs(1),
        }
    }
}

/// A file of spilled objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(pub u64);

/// Somebody's question for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoomId(pub u64);

/// Whether the cluster relies on a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyKind {
    /// It must not be lost.
    Primary,
    /// There is another.
    Secondary,
}

/// What the store's memory wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// There is room: the object may be created.
    Grant {
        /// Whose question.
        room: RoomId,
    },
    /// There will be no room.
    Refuse {
        /// Whose question.
        room: RoomId,
        /// Why.
        failure: Failure,
    },
    /// There will be no room in memory: the object may be created in a file.
    Overflow {
        /// Whose question.
        room: RoomId,
        /// Why, for when there is no file either.
        failure: Failure,
    },
    /// Give the memory of an object back.
    Drop {
        /// Which.
        object: ObjectId,
    },
    /// Write objects to a new file; the answer is `on_spilled` or `on_spill_failed`.
    Spill {
        /// To which.
        file: FileId,
        /// What, in this order.
        objects: Vec<ObjectId>,
    },
    /// Read an object back; the answer is `on_restored` or `on_restore_failed`.
    Restore {
        /// Which.
        object: ObjectId,
        /// From where.
        file: FileId,
    },
    /// Remove a file, or what was written of it.
    DeleteFile {
        /// Which.
        file: FileId,
    },
    /// Tell the owner that this node has no copy (any more).
    Lost {
        /// Of what.
        object: ObjectId,
        /// Why.
        reason: String,
    },
    /// Tell whoever waits for it that an object stays on disk for now.
    Unreadable {
        /// Which.
        object: ObjectId,
        /// Why.
        reason: String,
    },
    /// Raise or end the alarm that nothing can be spilled.
    Disk {
        /// Whether the disk is full or does not work.
        is_full: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Memory,
    /// In memory and being written.
    Spilling(FileId),
    /// In memory and on disk.
    Both(FileId),
    Disk(FileId),
    /// Waits for room to be read back.
    Wanted(FileId),
    /// Has room and is being read back.
    Restoring(FileId),
}

impl Place {
    fn file(self) -> Option<FileId> {
        match self {
            Place::Memory | Place::Spilling(_) => None,
            Place::Both(file)
            | Place::Disk(file)
            | Place::Wanted(file)
            | Place::Restoring(file) => Some(file),
        }
    }

    fn takes_memory(self) -> bool {
        !matches!(self, Place::Disk(_) | Place::Wanted(_))
    }
}

struct Entry {
    bytes: u64,
    copy: CopyKind,
    pins: u32,
    /// Its place in the order of use.
    used: u64,
    place: Place,
}

impl Entry {
    /// Returns an object in memory that nobody holds.
    fn new(bytes: u64, copy: CopyKind) -> Entry {
        Entry {
            bytes,
            copy,
            pins: 0,
            used: 0,
            place: Place::Memory,
        }
    }

    /// Returns whether the cluster relies on memory for it.
    fn is_firm(&self) -> bool {
        self.copy == CopyKind::Primary && matches!(self.place, Place::Memory | Place::Spilling(_))
    }
}

/// What room is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Create(RoomId),
    Restore(ObjectId),
}

struct Waiting {
    purpose: Purpose,
    priority: Priority,
    bytes: u64,
    /// Whether a file serves it as well as memory.
    may_overflow: bool,
    /// Since when it is the oldest and nothing has moved.
    since: Time,
}

impl Waiting {
    /// Returns the question of somebody whom only memory serves.
    fn new(purpose: Purpose, bytes: u64, priority: Priority, now: Time) -> Waiting {
        Waiting {
            purpose,
            priority,
            bytes,
            may_overflow: false,
            since: now,
        }
    }
}

/// The state machine.
pub struct Cache {
    config: CacheConfig,
    entries: BTreeMap<ObjectId, Entry>,
    /// What may be dropped, the longest unused first: unpinned, and not the only copy.
    droppable: BTreeMap<u64, ObjectId>,
    /// What may be spilled, the longest unused first: unpinned, and the only copy.
    spillable: BTreeMap<u64, ObjectId>,
    uses: u64,
    /// Bytes of what is in memory.
    resident: u64,
    /// Bytes of primary copies that are in memory only.
    firm: u64,
    /// Room that was granted and not filled.
    granted: BTreeMap<RoomId, u64>,
    waiting: VecDeque<Waiting>,
    /// Which objects each whole file still has.
    files: BTreeMap<FileId, BTreeSet<ObjectId>>,
    /// Files that are being written, and what of them is still wanted.
    spilling: BTreeMap<FileId, BTreeSet<ObjectId>>,
    next_file: u64,
    /// When a full disk was tried last, while it is full.
    disk_full: Option<Time>,
    /// Since when nothing in memory can make way, as far as somebody has waited for it.
    held_since: Option<Time>,
    commands: VecDeque<Command>,
}

impl Cache {
    /// Returns an empty store.
    pub fn new(config: CacheConfig) -> Cache {
        Cache {
            config,
            entries: BTreeMap::new(),
            droppable: BTreeMap::new(),
            spillable: BTreeMap::new(),
            uses: 0,
            resident: 0,
            firm: 0,
            granted: BTreeMap::new(),
            waiting: VecDeque::new(),
            files: BTreeMap::new(),
            spilling: BTreeMap::new(),
            next_file: 1,
            disk_full: None,
            held_since: None,
            commands: VecDeque::new(),
        }
    }

    /// Returns the next wish.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Returns when [`Cache::on_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        let grace = self
            .waiting
            .front()
            .filter(|_| self.spilling.is_empty())
            .map(|front| front.since + self.config.grace);
        let disk = self.disk_full.map(|tried| tried + self.config.disk_retry);
        let overflow = self.overflow_due();
        grace.into_iter().chain(disk).chain(overflow).min()
    }

    /// Returns how many bytes are in memory or granted.
    pub fn memory_bytes(&self) -> u64 {
        self.resident + self.granted.values().sum::<u64>()
    }

    /// Returns whether what was counted is what is there.
    pub fn adds_up(&self) -> bool {
        let sum_of = |is_meant: &dyn Fn(&Entry) -> bool| {
            let entries = self.entries.values().filter(|entry| is_meant(entry));
            entries.map(|entry| entry.bytes).sum::<u64>()
        };
        self.resident == sum_of(&|entry| entry.place.takes_memory())
            && self.firm == sum_of(&Entry::is_firm)
    }

    /// Returns how many bytes are on disk, copies in memory or not.
    pub fn disk_bytes(&self) -> u64 {
        let entries = self.entries.values();
        let spilled = entries.filter(|entry| entry.place.file().is_some());
        spilled.map(|entry| entry.bytes).sum()
    }

    /// Returns whether an object can be read at once.
    pub fn is_in_memory(&self, object: ObjectId) -> bool {
        self.entries.get(&object).is_some_and(|entry| {
            entry.place.takes_memory() && !matches!(entry.place, Place::Restoring(_))
        })
    }

    /// Returns whether there is a copy, in memory or on disk.
    pub fn contains(&self, object: ObjectId) -> bool {
        self.entries.contains_key(&object)
    }

    /// Returns whether somebody waits for room.
    pub fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns whether the disk is known to be full.
    pub fn is_disk_full(&self) -> bool {
        self.disk_full.is_some()
    }

    /// An object was made in the room that was granted for it.
    pub fn on_created(
        &mut self,
        room: RoomId,
        object: ObjectId,
        bytes: u64,
        copy: CopyKind,
        now: Time,
    ) {
        self.fill(room, object, Entry::new(bytes, copy), now);
    }

    /// The same for one that somebody waits for: it is pinned once from the start.
    ///
    /// Otherwise others who wait for room would have it dropped before its first reader can hold it.
    pub fn on_created_pinned(
        &mut self,
        room: RoomId,
        object: ObjectId,
        bytes: u64,
        copy: CopyKind,
        now: Time,
    ) {
        let entry = Entry {
            pins: 1,
            ..Entry::new(bytes, copy)
        };
        self.fill(room, object, entry, now);
    }

    fn fill(&mut self, room: RoomId, object: ObjectId, entry: Entry, now: Time) {
        self.granted.remove(&room);
        self.resident += entry.bytes;
        self.firm += if entry.is_firm() { entry.bytes } else { 0 };
        let before = self.entries.insert(object, entry);
        assert!(before.is_none(), "an object is created once on a node");
        self.touch(object);
        self.advance(now);
    }

    /// Somebody reads an object: it was used last.
    pub fn touch(&mut self, object: ObjectId) {
        let Some(entry) = self.entries.get_mut(&object) else {
            return;
        };
        self.uses += 1;
        let before = std::mem::replace(&mut entry.used, self.uses);
        self.unlist(before);
        self.list(object);
    }

    fn unlist(&mut self, used: u64) {
        self.droppable.remove(&used);
        self.spillable.remove(&used);
    }

    /// Lists an object that is not listed where it may be taken from, if it may.
    fn list(&mut self, object: ObjectId) {
        let entry = &self.entries[&object];
        if entry.pins > 0 {
            return;
        }
        if matches!(entry.place, Place::Both(_) | Place::Memory) {
            self.held_since = None;
        }
        match (entry.place, entry.copy) {
            (Place::Both(_), _) | (Place::Memory, CopyKind::Secondary) => {
                self.droppable.insert(entry.used, object);
            }
            (Place::Memory, CopyKind::Primary) if is_planted(Bug::LastCopyDropped) => {
                self.droppable.insert(entry.used, object);
            }
            (Place::Memory, CopyKind::Primary) => {
                self.spillable.insert(entry.used, object);
            }
            _ => {}
        }
    }

    /// Somebody holds the memory of an object, or will once it is restored.
    pub fn pin(&mut self, object: ObjectId) {
        if let Some(entry) = self.entries.get_mut(&object) {
            entry.pins += 1;
            self.touch(object);
        }
    }

    /// Somebody lets go of an object.
    pub fn unpin(&mut self, object: ObjectId, now: Time) {
        if let Some(entry) = self.entries.get_mut(&object) {
            entry.pins = entry.pins.saturating_sub(1);
            self.touch(object);
            self.advance(now);
        }
    }

    /// The other copies are gone: the cluster relies on this one.
    pub fn on_promoted(&mut self, object: ObjectId, now: Time) {
        let Some(entry) = self.entries.get_mut(&object) else {
            return;
        };
        if entry.copy == CopyKind::Secondary && !is_planted(Bug::PromotionForgotten) {
            entry.copy = CopyKind::Primary;
            self.firm += if entry.is_firm() { entry.bytes } else { 0 };
            let used = entry.used;
            self.unlist(used);
            self.list(object);
            self.advance(now);
        }
    }

    /// Nobody needs an object any more, anywhere.
    ///
    /// The memory goes at once; who still holds a view of it was told not to.
    pub fn on_freed(&mut self, object: ObjectId, now: Time) {
        let Some(entry) = self.entries.remove(&object) else {
            return;
        };
        self.unlist(entry.used);
        self.firm -= if entry.is_firm() { entry.bytes } else { 0 };
        self.waiting
            .retain(|waiting| waiting.purpose != Purpose::Restore(object));
        if entry.place.takes_memory() {
            self.resident -= entry.bytes;
            self.commands.push_back(Command::Drop { object });
        }
        if let Place::Spilling(file) = entry.place
            && let Some(wanted) = self.spilling.get_mut(&file)
        {
            wanted.remove(&object);
        }
        if let Some(file) = entry.place.file() {
            self.leave_file(file, object);
        }
        self.advance(now);
    }

    fn leave_file(&mut self, file: FileId, object: ObjectId) {
        let Some(objects) = self.files.get_mut(&file) else {
            return;
        };
        objects.remove(&object);
        if objects.is_empty() {
            self.files.remove(&file);
            self.commands.push_back(Command::DeleteFile { file });
        }
    }
}
