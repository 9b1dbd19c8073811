//! The memory of a job's store on this node: what is lent, what goes to disk and comes back.
//!
//! The unit is the range as it was lent to a writer. The machine in `ray_engine::cache` decides; here its
//! wishes meet the arena, and what happens there meanwhile is told to it: who reads pins in shared memory
//! and says nothing, so the pins are looked at whenever somebody waits for room.

use std::{collections::BTreeMap, fs::File, path::Path, sync::Arc};

use ray_engine::{
    cache::{Cache, CacheConfig, Command, CopyKind, FileId, RoomId},
    failure::Failure,
    ids::{JobId, ObjectId, ProcessId},
    priority::Priority,
    time::Time,
};
use ray_shm::{ArenaOwner, SEGMENT_BYTES, SegmentRange};

use super::spill_io::{Job, Part};
use crate::{
    config::{RESTORED_KEPT, SPILL_FILE_BYTES_MAX, STORE_FULL_TIMEOUT},
    wire::StoreRow,
};

/// What is lent of a job's arena, in memory and on disk.
pub(super) struct Spill {
    job: JobId,
    cache: Cache,
    /// By the first segment.
    lent: BTreeMap<u32, Lent>,
    files: BTreeMap<FileId, Arc<File>>,
    /// Ranges that are being read back, and who waits for them.
    returning: BTreeMap<ObjectId, Vec<(ProcessId, u64)>>,
    /// Ranges that were given back while they were read back.
    leaving: BTreeMap<ObjectId, SegmentRange>,
    next_room: u64,
    next_range: u64,
    /// What the disk said last.
    fault: String,
    spilled_bytes: u64,
    restored_bytes: u64,
}

/// A range as it was lent.
struct Lent {
    id: ObjectId,
    range: SegmentRange,
    /// Whether the machine was told that somebody reads or writes in it.
    is_pinned: bool,
    /// It was read back for somebody, who has until then to take hold of it.
    kept_until: Time,
    /// Where it was written down.
    saved: Option<(FileId, Part)>,
}

/// What the rest of the node does about it.
pub(super) enum Wish {
    Granted(RoomId),
    Refused(RoomId, Failure),
    /// Room in a file is as good, if there is one; else the failure holds.
    Overflow(RoomId, Failure),
    /// These need not wait for a range any more.
    Answer(Vec<(ProcessId, u64)>, Result<(), Failure>),
    Io(Job),
}

impl Spill {
    pub(super) fn new(job: JobId, capacity: u64) -> Spill {
        let config = CacheConfig {
            // Nothing is written before somebody needs the room.
            spill_percent: 100,
            fuse_bytes: (capacity / 8).min(SPILL_FILE_BYTES_MAX),
            grace: STORE_FULL_TIMEOUT,
            ..CacheConfig::new(capacity)
        };
        Spill {
            job,
            cache: Cache::new(config),
            lent: BTreeMap::new(),
            files: BTreeMap::new(),
            returning: BTreeMap::new(),
            leaving: BTreeMap::new(),
            next_room: 0,
            next_range: 0,
            fault: String::new(),
            spilled_bytes: 0,
            restored_bytes: 0,
        }
    }

    fn fresh_room(&mut self) -> RoomId {
        self.next_room += 1;
        RoomId(self.next_room)
    }

    /// Lends `bytes` when there is room and nobody waits for it; `None` when not.
    pub(super) fn lend_now(
        &mut self,
        arena: &mut ArenaOwner,
        bytes: u64,
        holder: ProcessId,
        now: Time,
    ) -> Option<SegmentRange> {
        let bytes = bytes.max(1).next_multiple_of(SEGMENT_BYTES);
        let fits = self.cache.memory_bytes() + bytes <= arena.capacity();
        if !fits || self.cache.is_waited_for() {
            return None;
        }
        let room = self.fresh_room();
        self.cache.need(room, bytes, Priority::Get, now);
        self.lend(arena, room, bytes, holder, now)
    }

    /// Lends what was granted; `None` when no segments in a row have a free number.
    pub(super) fn lend(
        &mut self,
        arena: &mut ArenaOwner,
        room: RoomId,
        bytes: u64,
        holder: ProcessId,
        now: Time,
    ) -> Option<SegmentRange> {
        let Some(range) = arena.grant(bytes, holder.0) else {
            self.cache.cancel(room, now);
            return None;
        };
        self.next_range += 1;
        // Never the same again: answers about an earlier range of these segments are ignored.
        let id = ObjectId {
            owner: holder,
            index: (self.next_range << 32) | u64::from(range.first),
        };
        self.lent.insert(
            range.first,
            Lent {
                id,
                range,
                is_pinned: false,
                kept_until: Time::default(),
                saved: None,
            },
        );
        self.cache
            .on_created(room, id, range.len(), CopyKind::Primary, now);
        Some(range)
    }

    /// Asks for room that is to be made; the answer is a wish.
    pub(super) fn ask(
        &mut self,
        arena: &ArenaOwner,
        bytes: u64,
        priority: Priority,
        now: Time,
    ) -> RoomId {
        self.look_at_pins(arena, now);
        let room = self.fresh_room();
        let bytes = bytes.max(1).next_multiple_of(SEGMENT_BYTES);
        self.cache.need(room, bytes, priority, now);
        room
    }

    /// The same for somebody whom room in a file serves as well.
    pub(super) fn ask_or_overflow(
        &mut self,
        arena: &ArenaOwner,
        bytes: u64,
        priority: Priority,
        now: Time,
    ) -> RoomId {
        self.look_at_pins(arena, now);
        let room = self.fresh_room();
        let bytes = bytes.max(1).next_multiple_of(SEGMENT_BYTES);
        self.cache.need_or_overflow(room, bytes, priority, now);
        room
    }

    pub(super) fn cancel(&mut self, room: RoomId, now: Time) {
        self.cache.cancel(room, now);
    }

    /// Takes a range back, as it was lent.
    pub(super) fn release(
        &mut self,
        arena: &mut ArenaOwner,
        range: SegmentRange,
        now: Time,
    ) -> Result<(), ray_shm::NotLent> {
        let is_it = self
            .lent
            .get(&range.first)
            .is_some_and(|lent| lent.range == range);
        if !is_it {
            return Err(ray_shm::NotLent(range));
        }
        let lent = self.lent.remove(&range.first).expect("found above");
        self.cache.on_freed(lent.id, now);
        if self.returning.contains_key(&lent.id) {
            // Bytes are on their way into it.
            self.leaving.insert(lent.id, range);
            return Ok(());
        }
        arena.release(range)
    }

    /// Returns what is lent to a process, as it was lent.
    pub(super) fn ranges_of(&self, holder: ProcessId) -> Vec<SegmentRange> {
        let lent = self.lent.values();
        let its = lent.filter(|lent| lent.id.owner == holder);
        its.map(|lent| lent.range).collect()
    }

    fn lent_at(&self, offset: u64) -> Option<&Lent> {
        let segment = u32::try_from(offset / SEGMENT_BYTES).ok()?;
        let (_, lent) = self.lent.range(..=segment).next_back()?;
        (offset < lent.range.offset() + lent.range.len()).then_some(lent)
    }

    /// A process needs the range at `offset` in memory; returns false when it is.
    ///
    /// # Errors
    /// When nothing is lent there.
    pub(super) fn bring_back(
        &mut self,
        arena: &ArenaOwner,
        offset: u64,
        asker: (ProcessId, u64),
        now: Time,
    ) -> Result<bool, Failure> {
        let Some(lent) = self.lent_at(offset) else {
            return Err(Failure::System(format!(
                "a value at {offset} is read, where nothing is lent"
            )));
        };
        let id = lent.id;
        if self.cache.is_in_memory(id) {
            return Ok(false);
        }
        self.look_at_pins(arena, now);
        self.returning.entry(id).or_default().push(asker);
        self.cache.restore(id, now);
        Ok(true)
    }

    /// Returns where a stretch of the arena was written down.
    pub(super) fn saved(&self, offset: u64) -> Option<(Arc<File>, Part, u64)> {
        let lent = self.lent_at(offset)?;
        let (file, part) = lent.saved.as_ref()?;
        let within = offset - lent.range.offset();
        Some((self.files.get(file)?.clone(), part.clone(), within))
    }

    /// Tells the machine who reads and writes where, as far as that has changed.
    fn look_at_pins(&mut self, arena: &ArenaOwner, now: Time) {
        for lent in self.lent.values_mut() {
            if arena.take_used(lent.range) {
                self.cache.touch(lent.id);
            }
            let is_pinned = now < lent.kept_until || arena.is_pinned(lent.range);
            match (lent.is_pinned, is_pinned) {
                (false, true) => self.cache.pin(lent.id),
                (true, false) => self.cache.unpin(lent.id, now),
                _ => {}
            }
            lent.is_pinned = is_pinned;
        }
    }

    /// Returns whether somebody waits for room or for a range.
    pub(super) fn is_under_pressure(&self) -> bool {
        self.cache.is_waited_for() || self.cache.is_disk_full()
    }

    pub(super) fn on_timeout(&mut self, arena: &ArenaOwner, now: Time) {
        self.look_at_pins(arena, now);
        self.cache.on_timeout(now);
    }

    /// Carries out what the machine wishes; returns what the rest of the node is to do.
    pub(super) fn run(&mut self, arena: &mut ArenaOwner, dir: &Path, now: Time) -> Vec<Wish> {
        let mut wishes = Vec::new();
        while let Some(command) = self.cache.poll_command() {
            match command {
                Command::Grant { room } => wishes.push(Wish::Granted(room)),
                Command::Refuse { room, failure } => {
                    wishes.push(Wish::Refused(room, self.explain(failure, dir)));
                }
                Command::Overflow { room, failure } => {
                    wishes.push(Wish::Overflow(room, self.explain(failure, dir)));
                }
                Command::Drop { object } => self.drop_range(arena, object, now),
                Command::Spill { file, objects } => {
                    wishes.extend(self.write(arena, file, &objects, dir, now).map(Wish::Io));
                }
                Command::Restore { object, file } => {
                    if let Some(job) = self.read(arena, object, file) {
                        wishes.push(Wish::Io(job));
                    } else {
                        let reason = "its file is not there".to_owned();
                        self.cache.on_restore_failed(object, reason, now);
                    }
                }
                Command::DeleteFile { file } => {
                    self.files.remove(&file);
                }
                Command::Lost { object, reason } => {
                    tracing::error!(range = %object, %reason, "spilled objects are lost");
                    let waiting = self.returning.remove(&object).unwrap_or_default();
                    let failure = Failure::ObjectLost { object, reason };
                    wishes.push(Wish::Answer(waiting, Err(failure)));
                }
                Command::Unreadable { object, reason } => {
                    let waiting = self.returning.remove(&object).unwrap_or_default();
                    let failure = Failure::ObjectStoreFull {
                        needed: 0,
                        capacity: arena.capacity(),
                        holders: format!("; {reason}"),
                    };
                    wishes.push(Wish::Answer(waiting, Err(failure)));
                }
                Command::Disk { is_full: true } => {
                    tracing::warn!(fault = %self.fault, "nothing can be spilled for now");
                }
                Command::Disk { is_full: false } => tracing::info!("objects are spilled again"),
            }
        }
        wishes
    }

    /// Says what the disk said, and what to do.
    fn explain(&self, failure: Failure, dir: &Path) -> Failure {
        match failure {
            Failure::OutOfDisk(text) => Failure::OutOfDisk(format!(
                "{text}: {} in {}; drop references or views, make space there, or choose another \
                 folder with `Config::spill_dir` or more memory with `object_store_memory`",
                self.fault,
                dir.display()
            )),
            Failure::ObjectStoreFull {
                needed,
                capacity,
                holders,
            } => Failure::ObjectStoreFull {
                needed,
                capacity,
                holders: match holders.as_str() {
                    "" => String::new(),
                    _ => format!("; read or written now, and so not spilled: {holders}"),
                },
            },
            other => other,
        }
    }

    fn drop_range(&mut self, arena: &mut ArenaOwner, id: ObjectId, now: Time) {
        let Some(lent) = self.lent_mut(id) else {
            return;
        };
        match arena.send_away(lent.range) {
            Ok(true) => {}
            Ok(false) => {
                lent.is_pinned = true;
                self.cache.on_drop_refused(id, now);
            }
            Err(error) => tracing::error!(%error, "the system keeps the pages of what was spilled"),
        }
    }

    fn lent_mut(&mut self, id: ObjectId) -> Option<&mut Lent> {
        let first = id.index as u32;
        self.lent.get_mut(&first).filter(|lent| lent.id == id)
    }

    /// Closes ranges and returns the job that writes them down.
    fn write(
        &mut self,
        arena: &ArenaOwner,
        file: FileId,
        ids: &[ObjectId],
        dir: &Path,
        now: Time,
    ) -> Option<Job> {
        let mut ranges = Vec::new();
        for id in ids {
            let Some(lent) = self.lent_mut(*id) else {
                continue;
            };
            match arena.close(lent.range) {
                Some(bytes) => ranges.push((*id, bytes)),
                None => {
                    lent.is_pinned = true;
                    self.cache.on_spill_skipped(file, *id);
                }
            }
        }
        if ranges.is_empty() {
            match self.cache.is_disk_full() {
                true => self.cache.on_spill_failed(file, now),
                false => self.cache.on_spilled(file, now),
            }
            return None;
        }
        Some(Job::Write {
            job: self.job,
            file,
            dir: dir.to_owned(),
            ranges,
        })
    }

    fn read(&mut self, arena: &mut ArenaOwner, id: ObjectId, file: FileId) -> Option<Job> {
        let source = self.files.get(&file)?.clone();
        let lent = self.lent_mut(id)?;
        let (_, part) = lent.saved.clone()?;
        let place = arena.begin_return(lent.range);
        self.returning.entry(id).or_default();
        Some(Job::Read {
            job: self.job,
            id,
            file: source,
            part,
            place,
        })
    }

    /// A file was written, or was not.
    pub(super) fn on_written(
        &mut self,
        file: FileId,
        written: std::io::Result<(File, Vec<(ObjectId, Part)>)>,
        now: Time,
    ) {
        match written {
            Ok((source, parts)) => {
                self.files.insert(file, Arc::new(source));
                for (id, part) in parts {
                    self.spilled_bytes += part.len();
                    if let Some(lent) = self.lent_mut(id) {
                        lent.saved = Some((file, part));
                    }
                }
                self.cache.on_spilled(file, now);
            }
            Err(error) => {
                self.fault = error.to_string();
                self.cache.on_spill_failed(file, now);
            }
        }
    }

    /// A range was read back, or was not.
    pub(super) fn on_read(
        &mut self,
        arena: &mut ArenaOwner,
        id: ObjectId,
        read: std::io::Result<u64>,
        now: Time,
    ) -> Vec<Wish> {
        let waiting = self.returning.remove(&id).unwrap_or_default();
        if let Some(range) = self.leaving.remove(&id) {
            if let Err(error) = arena.release(range) {
                tracing::error!(%error, "segments could not be taken back");
            }
            return Vec::new();
        }
        let Some(lent) = self.lent_mut(id) else {
            return Vec::new();
        };
        match read {
            Ok(bytes) => {
                arena.end_return(lent.range);
                lent.is_pinned = true;
                lent.kept_until = now + RESTORED_KEPT;
                self.restored_bytes += bytes;
                self.cache.pin(id);
                self.cache.on_restored(id, now);
                vec![Wish::Answer(waiting, Ok(()))]
            }
            Err(error) => {
                let range = lent.range;
                if let Err(error) = arena.give_up_return(range) {
                    tracing::error!(%error, "the system keeps the pages of what was spilled");
                }
                let reason = format!("it was spilled and cannot be read back: {error}");
                self.returning.insert(id, waiting);
                self.cache.on_restore_failed(id, reason, now);
                Vec::new()
            }
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.cache.poll_timeout()
    }

    pub(super) fn fill_row(&self, row: &mut StoreRow) {
        row.in_memory = self.cache.memory_bytes();
        row.on_disk = self.cache.disk_bytes();
        row.spilled_bytes = self.spilled_bytes;
        row.restored_bytes = self.restored_bytes;
    }
}
