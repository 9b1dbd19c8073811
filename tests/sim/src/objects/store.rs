//! One node: its store and its pulls, what they wish carried out, and who reads.

use std::collections::{BTreeMap, BTreeSet};

use ray_engine::{
    cache::{Cache, CacheConfig, Command as CacheCommand, CopyKind, FileId, RoomId},
    chunks::Chunks,
    ids::{ObjectId, ProcessId},
    pull::{Command as PullCommand, Priority, PullConfig, PullId, Pulls, Wanted},
    time::Time,
};

use super::{
    CHUNK, Event, Message, OBJECT_BYTES_MAX, World,
    owner::{Holders, Owned},
};

/// A node that lives.
pub(super) struct Store {
    pub(super) cache: Cache,
    pulls: Pulls,
    capacity: u64,
    /// Whether its disk was ever full: then one object at a time may come back although there is no room.
    was_disk_full: bool,
    /// What the room is for that was asked for.
    rooms: BTreeMap<RoomId, Purpose>,
    arriving: BTreeMap<ObjectId, Arriving>,
    reads: BTreeMap<u64, Read>,
    /// Chunks that others wait for until the disk has read them.
    reading: BTreeSet<(ProcessId, ObjectId, u32)>,
    /// What lies here, in memory or on disk.
    cached: BTreeSet<ObjectId>,
    pub(super) owned: BTreeMap<ObjectId, Owned>,
    pub(super) dead: BTreeSet<ProcessId>,
    next: u64,
    tick_at: Option<Time>,
}

enum Purpose {
    /// An object of an owner, and its size.
    Put(ProcessId, u64),
    Copy(ObjectId),
}

/// A copy on its way.
struct Arriving {
    room: RoomId,
    priority: Priority,
    /// Its pull, once there is room.
    pull: Option<PullId>,
}

/// Somebody who wants objects, together.
struct Read {
    priority: Priority,
    /// Those that are in memory and held.
    held: Vec<ObjectId>,
    /// Those that are here and held, and are read back from disk.
    returning: BTreeSet<ObjectId>,
    left: BTreeSet<ObjectId>,
}

impl Store {
    /// Returns an empty node.
    pub(super) fn new(at: ProcessId, config: CacheConfig) -> Store {
        let pull_config = PullConfig {
            chunk_bytes: CHUNK,
            ..PullConfig::default()
        };
        let mut pulls = Pulls::new(pull_config, at.0);
        // Every copy has its room in the store before its pull begins.
        pulls.on_room(u64::MAX / 2, Time(0));
        Store {
            cache: Cache::new(config),
            pulls,
            capacity: config.capacity,
            was_disk_full: false,
            rooms: BTreeMap::new(),
            arriving: BTreeMap::new(),
            reads: BTreeMap::new(),
            reading: BTreeSet::new(),
            cached: BTreeSet::new(),
            owned: BTreeMap::new(),
            dead: BTreeSet::new(),
            next: 1,
            tick_at: None,
        }
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Returns what still waits here.
    pub(super) fn describe_waits(&self) -> Option<String> {
        let reads = self.reads.values().map(|read| &read.left);
        let reads = reads.collect::<Vec<_>>();
        let is_still = reads.is_empty()
            && self.arriving.is_empty()
            && self.rooms.is_empty()
            && self.pulls.in_flight_bytes() == 0
            && self.pulls.reserved_bytes() == 0;
        (!is_still).then(|| {
            let arriving = self.arriving.keys().collect::<Vec<_>>();
            let (asked, reserved) = (self.pulls.in_flight_bytes(), self.pulls.reserved_bytes());
            format!(
                "reads of {reads:?}, copies of {arriving:?}, {} questions for room, {asked} bytes \
                 asked for, {reserved} reserved",
                self.rooms.len(),
            )
        })
    }
}

impl World {
    /// User code makes an object.
    pub(super) fn put(&mut self, at: ProcessId, owner: ProcessId, bytes: u64) {
        let now = self.now;
        let store = self.store(at);
        let room = RoomId(store.fresh());
        store.rooms.insert(room, Purpose::Put(owner, bytes));
        let cache = &mut store.cache;
        cache.need_or_overflow(room, bytes, Priority::Get, now);
    }

    /// User code wants objects here.
    pub(super) fn read(&mut self, at: ProcessId, objects: BTreeSet<ObjectId>, priority: Priority) {
        let store = self.store(at);
        let id = store.fresh();
        let read = Read {
            priority,
            held: Vec::new(),
            returning: BTreeSet::new(),
            left: objects,
        };
        store.reads.insert(id, read);
        self.look_at_reads(at);
    }

    /// Sees to it that a copy of an object comes here.
    fn want(&mut self, at: ProcessId, object: ObjectId, priority: Priority) {
        let now = self.now;
        let bytes = self.sizes.get(&object).copied();
        let store = self.store(at);
        if store.cache.contains(object) || store.arriving.contains_key(&object) {
            return;
        }
        let Some(bytes) = bytes.filter(|_| !store.dead.contains(&object.owner)) else {
            return self.fail_object(at, object);
        };
        let room = RoomId(store.fresh());
        store.rooms.insert(room, Purpose::Copy(object));
        let arriving = Arriving {
            room,
            priority,
            pull: None,
        };
        store.arriving.insert(object, arriving);
        store.cache.need(room, bytes, priority, now);
    }

    /// Gives every read what is in memory by now.
    fn look_at_reads(&mut self, at: ProcessId) {
        let (mut over, mut missing) = (Vec::new(), Vec::new());
        let now = self.now;
        let store = self.store(at);
        for (id, read) in &mut store.reads {
            if read.left.is_empty() && !read.held.is_empty() {
                continue;
            }
            for object in read.left.clone() {
                if !store.cache.contains(object) {
                    read.returning.remove(&object);
                    missing.push((object, read.priority));
                    continue;
                }
                if read.returning.insert(object) {
                    store.cache.pin(object);
                    store.cache.restore(object, now);
                }
                if store.cache.is_in_memory(object) {
                    read.returning.remove(&object);
                    read.left.remove(&object);
                    read.held.push(object);
                }
            }
            if read.left.is_empty() {
                over.push(*id);
            }
        }
        for (object, priority) in missing {
            self.want(at, object, priority);
        }
        for id in over {
            let delay = self.chance.between(1_000, 30_000_000);
            self.schedule(delay, Event::ReadOver(at, id));
        }
    }

    /// A read ends, with its objects or without.
    pub(super) fn end_read(&mut self, at: ProcessId, id: u64) {
        let now = self.now;
        let Some(store) = self.nodes.get_mut(&at) else {
            return;
        };
        let Some(read) = store.reads.remove(&id) else {
            return;
        };
        for object in read.held.into_iter().chain(read.returning) {
            store.cache.unpin(object, now);
        }
        for object in read.left {
            self.forget_unwanted(at, object);
        }
        self.settle(at);
    }

    pub(super) fn cancel_some(&mut self, at: ProcessId) {
        let reads = self.store(at).reads.keys().copied().collect::<Vec<_>>();
        if let Some(position) = self.chance.position(reads.len()) {
            self.end_read(at, reads[position]);
        }
    }

    /// Ends a copy on its way that no read waits for.
    fn forget_unwanted(&mut self, at: ProcessId, object: ObjectId) {
        let mut reads = self.store(at).reads.values();
        if !reads.any(|read| read.left.contains(&object)) {
            self.end_copy(at, object);
        }
    }

    fn end_copy(&mut self, at: ProcessId, object: ObjectId) {
        let now = self.now;
        let store = self.store(at);
        let Some(arriving) = store.arriving.remove(&object) else {
            return;
        };
        store.rooms.remove(&arriving.room);
        if let Some(pull) = arriving.pull {
            store.pulls.cancel(pull, now);
        }
        store.cache.cancel(arriving.room, now);
        self.tell_owner(at, object, Message::HoldsNone(object));
    }

    /// An object will not come: whoever waits for it here gets an error.
    fn fail_object(&mut self, at: ProcessId, object: ObjectId) {
        self.end_copy(at, object);
        let reads = self.store(at).reads.iter();
        let waiting = reads.filter(|(_, read)| read.left.contains(&object));
        for id in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.end_read(at, id);
        }
    }

    fn tell_owner(&mut self, at: ProcessId, object: ObjectId, message: Message) {
        if !self.store(at).dead.contains(&object.owner) {
            self.send(at, object.owner, message);
        }
    }

    pub(super) fn on_message(&mut self, at: ProcessId, from: ProcessId, message: Message) {
        let now = self.now;
        let store = self.store(at);
        match message {
            Message::Made(object, bytes) => self.on_made(at, from, object, bytes),
            Message::Locate(object) => self.on_locate(at, from, object),
            Message::Located(object, Some(holders)) => self.on_located(at, object, holders),
            Message::Located(object, None) => {
                if self.store(at).arriving.contains_key(&object) {
                    self.fail_object(at, object);
                }
            }
            Message::HoldsSome(object, chunks) => self.on_held(at, from, object, Some(chunks)),
            Message::HoldsAll(object) => self.on_held(at, from, object, None),
            Message::HoldsNone(object) => self.on_holds_none(at, from, object),
            Message::Keep(object) => {
                if store.cache.contains(object) {
                    store.cache.on_promoted(object, now);
                    self.kept.insert((object, at));
                }
            }
            Message::Read(object, chunk) => self.serve(at, from, object, chunk),
            Message::CancelRead(object, chunk) => {
                store.reading.remove(&(from, object, chunk));
            }
            Message::Chunk(object, chunk, true) => {
                store.pulls.on_chunk(object, chunk, from.node(), now);
            }
            Message::Chunk(object, chunk, false) => {
                store
                    .pulls
                    .on_chunk_corrupt(object, chunk, from.node(), now);
            }
            Message::Refused(object, chunk) => {
                store
                    .pulls
                    .on_chunk_refused(object, chunk, from.node(), now);
            }
            Message::Free(object) => self.let_go(at, object),
            Message::NodeDied(node) => {
                store.dead.insert(node);
                store.pulls.on_node_died(node.node(), now);
                self.on_holder_died(at, node);
                self.let_go_of_owner(at, node);
            }
        }
    }

    fn on_located(&mut self, at: ProcessId, object: ObjectId, holders: Holders) {
        let (now, bytes) = (self.now, self.sizes.get(&object).copied());
        let store = self.store(at);
        let Some(bytes) = bytes else { return };
        let count = store.pulls.chunk_count(bytes);
        for (node, held) in holders {
            if node.process() != at && !store.dead.contains(&node.process()) {
                let chunks = held.unwrap_or_else(|| Chunks::all(count));
                store.pulls.on_holder(object, node, chunks, now);
            }
        }
    }

    /// Another node wants a chunk.
    fn serve(&mut self, at: ProcessId, to: ProcessId, object: ObjectId, chunk: u32) {
        let store = self.store(at);
        let has_some = |chunks: &Chunks| chunks.contains(chunk);
        if store.cache.is_in_memory(object) || store.pulls.held_chunks(object).is_some_and(has_some)
        {
            let is_intact = !(self.has_faults && self.chance.percent(1));
            self.send(at, to, Message::Chunk(object, chunk, is_intact));
        } else if store.cache.contains(object) {
            // Straight from the file: nodes that waited for each other's memory would wait for ever.
            store.reading.insert((to, object, chunk));
            let delay = self.chance.between(50_000, 10_000_000);
            self.schedule(delay, Event::FileRead(at, to, object, chunk));
        } else {
            self.send(at, to, Message::Refused(object, chunk));
        }
    }

    /// The disk has read a chunk for another node.
    pub(super) fn on_file_read(
        &mut self,
        at: ProcessId,
        to: ProcessId,
        object: ObjectId,
        chunk: u32,
    ) {
        let Some(store) = self.nodes.get_mut(&at) else {
            return;
        };
        if !store.reading.remove(&(to, object, chunk)) {
            // It was taken back.
            return;
        }
        let message = match store.cache.contains(object) {
            true => Message::Chunk(object, chunk, true),
            false => Message::Refused(object, chunk),
        };
        self.send(at, to, message);
    }

    /// Nobody needs an object: its memory goes, and whoever waits for it here gets an error.
    fn let_go(&mut self, at: ProcessId, object: ObjectId) {
        let now = self.now;
        self.kept.remove(&(object, at));
        self.store(at).cache.on_freed(object, now);
        self.fail_object(at, object);
    }

    /// The owner is gone, and with it what it owned.
    fn let_go_of_owner(&mut self, at: ProcessId, owner: ProcessId) {
        let reads = self.store(at).reads.values();
        let wanted = reads.flat_map(|read| read.left.iter().chain(&read.held));
        let wanted = wanted.copied().collect::<Vec<_>>();
        let store = self.store(at);
        let known = store.arriving.keys().copied().chain(wanted);
        let mut objects = known.collect::<BTreeSet<_>>();
        objects.extend(store.cached.iter().copied());
        objects.retain(|object| object.owner == owner);
        for object in objects {
            self.let_go(at, object);
        }
    }

    /// Lets a node act on time.
    pub(super) fn on_tick(&mut self, at: ProcessId) {
        let (now, is_over) = (self.now, self.acts_left == 0);
        let Some(store) = self.nodes.get_mut(&at) else {
            return;
        };
        store.tick_at = None;
        if is_over && store.cache.is_disk_full() {
            store.cache.on_disk_space(now);
        }
        store.cache.on_timeout(now);
        store.pulls.on_timeout(now);
        self.settle(at);
    }

    /// The disk has written a file, or could not.
    pub(super) fn on_written(&mut self, at: ProcessId, file: FileId) {
        let now = self.now;
        let is_full = self.has_faults && self.acts_left > 0 && self.chance.percent(10);
        let Some(store) = self.nodes.get_mut(&at) else {
            return;
        };
        match is_full {
            true => store.cache.on_spill_failed(file, now),
            false => store.cache.on_spilled(file, now),
        }
        self.settle(at);
    }

    /// The disk has read an object back, or could not.
    pub(super) fn on_restored(&mut self, at: ProcessId, object: ObjectId) {
        let now = self.now;
        let is_broken = self.has_faults && self.chance.percent(1);
        let Some(store) = self.nodes.get_mut(&at) else {
            return;
        };
        if is_broken {
            self.endangered.insert(object);
            self.kept.remove(&(object, at));
            let reason = "the disk is broken".to_owned();
            store.cache.on_restore_failed(object, reason, now);
        } else {
            store.cache.on_restored(object, now);
            // Whoever waits for it has it before it can be dropped.
            self.look_at_reads(at);
        }
        self.settle(at);
    }

    /// Carries out what store and pulls wish, until both are still.
    pub(super) fn settle(&mut self, at: ProcessId) {
        while let Some(store) = self.nodes.get_mut(&at) {
            if let Some(command) = store.cache.poll_command() {
                self.run_cache_command(at, command);
            } else if let Some(command) = store.pulls.poll_command() {
                self.run_pull_command(at, command);
            } else {
                break;
            }
        }
        self.look_at_reads(at);
        let Some(store) = self.nodes.get_mut(&at) else {
            return;
        };
        let timeouts = [store.cache.poll_timeout(), store.pulls.poll_timeout()];
        let adds_up = store.cache.adds_up();
        store.was_disk_full |= store.cache.is_disk_full();
        let allowed = match store.was_disk_full {
            true => store.capacity + OBJECT_BYTES_MAX,
            false => store.capacity,
        };
        let is_over = store.cache.memory_bytes() > allowed;
        if let Some(due) = timeouts.into_iter().flatten().min()
            && store.tick_at.is_none_or(|armed| due < armed)
        {
            store.tick_at = Some(due);
            self.schedule_at(due, Event::Tick(at));
        }
        if !adds_up || is_over {
            let text = format!("the store of {at} does not add up, or is over its capacity");
            self.fail("store bytes add up", text);
        }
    }

    fn run_cache_command(&mut self, at: ProcessId, command: CacheCommand) {
        let now = self.now;
        self.trace.note(now, at, 20, 0, || format!("{command:?}"));
        let store = self.store(at);
        match command {
            CacheCommand::Grant { room } => self.on_room(at, room),
            CacheCommand::Refuse { room, .. } => {
                if let Some(Purpose::Copy(object)) = store.rooms.remove(&room) {
                    self.fail_object(at, object);
                }
            }
            CacheCommand::Overflow { room, .. } => {
                // A file holds it from here on, and only who made it: nobody here is told of it.
                if !matches!(store.rooms.remove(&room), Some(Purpose::Put(..))) {
                    let text = format!("{at} sends to a file what nobody here puts");
                    self.fail("only puts go on in a file", text);
                }
            }
            CacheCommand::Drop { object } => {
                if !store.cache.contains(object) {
                    store.cached.remove(&object);
                    self.on_copy_gone(at, object);
                }
            }
            CacheCommand::Spill { file, .. } => {
                let delay = self.chance.between(100_000, 50_000_000);
                self.schedule(delay, Event::Written(at, file));
            }
            CacheCommand::Restore { object, .. } => {
                let delay = self.chance.between(50_000, 20_000_000);
                self.schedule(delay, Event::Restored(at, object));
            }
            CacheCommand::Lost { object, .. } | CacheCommand::Unreadable { object, .. } => {
                self.fail_object(at, object);
            }
            CacheCommand::DeleteFile { .. } | CacheCommand::Disk { .. } => {}
        }
    }

    fn on_copy_gone(&mut self, at: ProcessId, object: ObjectId) {
        if self.kept.contains(&(object, at)) && self.nodes.contains_key(&object.owner) {
            let text = format!("{at} drops {object}, on which its owner relies");
            self.fail("an object is lost only with its last copy", text);
        }
        self.tell_owner(at, object, Message::HoldsNone(object));
    }

    fn on_room(&mut self, at: ProcessId, room: RoomId) {
        let now = self.now;
        let store = self.store(at);
        match store.rooms.remove(&room) {
            Some(Purpose::Put(owner, _)) if store.dead.contains(&owner) => {
                store.cache.cancel(room, now);
            }
            Some(Purpose::Put(owner, bytes)) => {
                let index = self.fresh_number();
                let object = ObjectId { owner, index };
                let store = self.store(at);
                store.cached.insert(object);
                let cache = &mut store.cache;
                cache.on_created(room, object, bytes, CopyKind::Primary, now);
                if owner == at {
                    self.on_made(at, at, object, bytes);
                } else {
                    self.send(at, owner, Message::Made(object, bytes));
                }
            }
            Some(Purpose::Copy(object)) => {
                let bytes = self.sizes.get(&object).copied();
                let store = self.store(at);
                let pull = PullId(store.fresh());
                let Some(arriving) = store.arriving.get_mut(&object) else {
                    return store.cache.cancel(room, now);
                };
                arriving.pull = Some(pull);
                let priority = arriving.priority;
                match bytes {
                    Some(bytes) => {
                        let wanted = [Wanted { object, bytes }];
                        store.pulls.pull(pull, &wanted, priority, now);
                    }
                    // It was freed while there was no room.
                    None => self.fail_object(at, object),
                }
            }
            None => store.cache.cancel(room, now),
        }
    }

    fn run_pull_command(&mut self, at: ProcessId, command: PullCommand) {
        let now = self.now;
        self.trace.note(now, at, 21, 0, || format!("{command:?}"));
        match command {
            PullCommand::Locate { object } => {
                self.tell_owner(at, object, Message::Locate(object));
            }
            PullCommand::Fetch {
                object,
                chunk,
                from,
            } => self.send(at, from.process(), Message::Read(object, chunk)),
            PullCommand::CancelFetch {
                object,
                chunk,
                from,
            } => self.send(at, from.process(), Message::CancelRead(object, chunk)),
            PullCommand::Announce { object, chunks } => {
                self.tell_owner(at, object, Message::HoldsSome(object, chunks));
            }
            PullCommand::Seal { object } => {
                let bytes = self.sizes.get(&object).copied();
                let store = self.store(at);
                let Some(arriving) = store.arriving.remove(&object) else {
                    return;
                };
                let Some(bytes) = bytes else {
                    store.cache.cancel(arriving.room, now);
                    return self.fail_object(at, object);
                };
                store.cached.insert(object);
                let cache = &mut store.cache;
                let (room, copy) = (arriving.room, CopyKind::Secondary);
                // Its readers hold it before it can be dropped.
                cache.on_created_pinned(room, object, bytes, copy, now);
                self.look_at_reads(at);
                self.store(at).cache.unpin(object, now);
                self.tell_owner(at, object, Message::HoldsAll(object));
            }
            PullCommand::Fail { object, .. } => self.fail_object(at, object),
            PullCommand::Create { .. }
            | PullCommand::Abandon { .. }
            | PullCommand::Done { .. }
            | PullCommand::MakeRoom { .. } => {}
        }
    }
}
