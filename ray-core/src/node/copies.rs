//! Copies of other nodes' objects: fetched in parts, shared by every process of the node, kept while
//! there is room and their owner has a use for them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use ray_engine::{
    failure::Failure,
    ids::{JobId, NodeId, ObjectId, ProcessId},
    pull::{Priority, PullConfig, PullId, Pulls},
    time::Time,
};
use ray_shm::{Arena, ObjectBytes, Slot, WriteGuard, Writer};

use super::{JobOnNode, NodeRole, NodeState, Outbox, serve::Serving};
use crate::{
    config::{CHUNK_BYTES, SEGMENT_LEASE_BYTES},
    wire::{FetchFor, Message, StoreRow},
};

/// Every copy of this node, which of them nobody reads, and those on their way.
pub(super) struct Copies {
    pub(super) by_object: BTreeMap<ObjectId, Copy>,
    /// Those without readers, the longest unread first.
    idle: VecDeque<ObjectId>,
    pub(super) pulls: Pulls,
    next_pull: u64,
    pub(super) serving: Serving,
    /// Nodes and owners that are gone; an id is never used twice.
    pub(super) dead: BTreeSet<ProcessId>,
    /// The port of the connections that carry parts; 0 before there are any.
    pub(super) port: u16,
    pub(super) fetched_bytes: u64,
    pub(super) served_bytes: u64,
}

/// A copy of an object of another node.
pub(super) struct Copy {
    pub(super) job: JobId,
    /// Where the object lies at the node of its writer.
    pub(super) source: Slot,
    pub(super) writer: ProcessId,
    pub(super) place: Place,
    /// How many values of each process are this copy.
    readers: BTreeMap<ProcessId, u32>,
    /// Parts of it that are on their way out.
    pub(super) serving: u32,
    /// Whether its owner relies on it.
    is_last: bool,
    /// Whether its owner has no use for it.
    is_unwanted: bool,
}

/// Where a copy lies, and whether all of it is there.
pub(super) enum Place {
    Arriving(Arriving),
    Here(Slot),
}

/// A copy of which parts have arrived.
pub(super) struct Arriving {
    pub(super) landing: Landing,
    waiting: Vec<(ProcessId, u64)>,
    pulls: Vec<PullId>,
}

/// The room of a copy, shared with who writes parts into it and who passes them on.
pub(super) type Landing = Arc<Mutex<Landed>>;

/// How far a copy is.
pub(super) enum Landed {
    Open(WriteGuard),
    Sealed(ObjectBytes),
    /// Nobody wants it any more.
    GivenUp,
}

/// What a process wants to read.
pub(super) struct Wish {
    pub(super) asker: (ProcessId, u64),
    pub(super) object: ObjectId,
    pub(super) source: Slot,
    pub(super) writer: ProcessId,
    pub(super) purpose: FetchFor,
}

impl Copies {
    pub(super) fn new(node: NodeId) -> Copies {
        let config = PullConfig {
            chunk_bytes: CHUNK_BYTES,
            ..PullConfig::default()
        };
        let mut pulls = Pulls::new(config, node.0);
        // A place is made before the pull begins: the pulls themselves need not wait for room.
        pulls.on_room(u64::MAX, Time::default());
        Copies {
            by_object: BTreeMap::new(),
            idle: VecDeque::new(),
            pulls,
            next_pull: 0,
            serving: Serving::default(),
            dead: BTreeSet::new(),
            port: 0,
            fetched_bytes: 0,
            served_bytes: 0,
        }
    }

    /// Returns whether nobody needs a copy here, now.
    fn is_idle(&self, object: ObjectId) -> bool {
        self.by_object.get(&object).is_some_and(|copy| {
            copy.readers.is_empty() && copy.serving == 0 && matches!(copy.place, Place::Here(_))
        })
    }

    pub(super) fn fill_row(&self, row: &mut StoreRow) {
        row.copies = self.by_object.len() as u64;
        let copies = self.by_object.values();
        row.copied_bytes = copies.map(|copy| copy.source.len).sum();
        row.fetched_bytes = self.fetched_bytes;
        row.served_bytes = self.served_bytes;
    }
}

impl JobOnNode {
    /// Returns the job's arena, mapped in this process.
    pub(super) fn mapped(&mut self) -> std::io::Result<&(Arena, Writer)> {
        if self.mapped.is_none() {
            let arena = Arena::map(self.arena_fd.try_clone()?)?;
            self.mapped = Some((arena.clone(), Writer::new(arena)));
        }
        Ok(self.mapped.as_ref().expect("made above"))
    }

    /// Takes room in the arena for this process; `None` when there is none.
    fn alloc(&mut self, len: usize, here: ProcessId) -> Option<WriteGuard> {
        let writer = self.mapped().ok()?.1.clone();
        loop {
            let needed = match writer.alloc(len) {
                Ok(guard) => return Some(guard),
                Err(needed) => needed.bytes,
            };
            let range = self
                .arena
                .grant(needed.max(SEGMENT_LEASE_BYTES), here.0)
                .or_else(|| self.arena.grant(needed, here.0))?;
            if let Err(error) = writer.add_segments(range) {
                tracing::error!(%error, "segments could not be mapped");
                return None;
            }
        }
    }
}

impl NodeRole {
    /// Returns where a part of an object on its way belongs; `None` when it is not wanted.
    pub(super) fn landing_of(&self, object: ObjectId, chunk: u32) -> Option<Landing> {
        let state = self.state.lock();
        let copy = state.copies.by_object.get(&object)?;
        let held = state.copies.pulls.held_chunks(object)?;
        match &copy.place {
            Place::Arriving(arriving) if !held.contains(chunk) => Some(arriving.landing.clone()),
            Place::Arriving(_) | Place::Here(_) => None,
        }
    }
}

impl NodeState {
    /// A process wants to read an object of another node.
    pub(super) fn on_fetch(&mut self, wish: Wish, here: ProcessId, now: Time, out: &mut Outbox) {
        let (process, request) = wish.asker;
        let (id, object) = (self.job_of(process), wish.object);
        if let Some(copy) = self.copies.by_object.get_mut(&object) {
            match &mut copy.place {
                Place::Here(slot) => {
                    *copy.readers.entry(process).or_default() += 1;
                    let outcome = Ok((slot.offset, slot.len));
                    self.copies.idle.retain(|idle| *idle != object);
                    out.push((process, fetched(request, object, outcome)));
                }
                Place::Arriving(arriving) => {
                    arriving.waiting.push(wish.asker);
                    self.begin_pull(object, wish.purpose, now);
                }
            }
            return;
        }
        let Some(guard) = self.room_for_copy(id, wish.source.len, here, out) else {
            let capacity = self.jobs.get(&id).map_or(0, |job| job.arena.capacity());
            let failure = Failure::ObjectStoreFull {
                needed: wish.source.len,
                capacity,
                holders: "; the copy of an object of another node found no room".into(),
            };
            out.push((process, fetched(request, object, Err(failure))));
            return;
        };
        let arriving = Arriving {
            landing: Arc::new(Mutex::new(Landed::Open(guard))),
            waiting: vec![wish.asker],
            pulls: Vec::new(),
        };
        self.copies.by_object.insert(
            object,
            Copy {
                job: id,
                source: wish.source,
                writer: wish.writer,
                place: Place::Arriving(arriving),
                readers: BTreeMap::new(),
                serving: 0,
                is_last: false,
                is_unwanted: false,
            },
        );
        self.begin_pull(object, wish.purpose, now);
        let (pulls, node) = (&mut self.copies.pulls, wish.writer.node());
        let is_there = !self.copies.dead.contains(&wish.writer.node_process());
        if is_there && wish.writer.node_process() != here {
            let all = ray_engine::chunks::Chunks::all(pulls.chunk_count(wish.source.len));
            pulls.on_holder(object, node, all, now);
        }
    }

    /// Pulls an object for one more purpose; a weightier one moves it forward.
    fn begin_pull(&mut self, object: ObjectId, purpose: FetchFor, now: Time) {
        let copies = &mut self.copies;
        let Some(copy) = copies.by_object.get_mut(&object) else {
            return;
        };
        let Place::Arriving(arriving) = &mut copy.place else {
            return;
        };
        copies.next_pull += 1;
        let pull = PullId(copies.next_pull);
        arriving.pulls.push(pull);
        let wanted = ray_engine::pull::Wanted {
            object,
            bytes: copy.source.len,
        };
        let priority = match purpose {
            FetchFor::Get => Priority::Get,
            FetchFor::Wait => Priority::Wait,
            FetchFor::Arguments => Priority::Arguments,
        };
        copies.pulls.pull(pull, &[wanted], priority, now);
    }

    /// Finds room for a copy, if need be by dropping copies that nobody reads.
    fn room_for_copy(
        &mut self,
        id: JobId,
        len: u64,
        here: ProcessId,
        out: &mut Outbox,
    ) -> Option<WriteGuard> {
        let len = usize::try_from(len).ok()?;
        loop {
            if let Some(guard) = self.jobs.get_mut(&id)?.alloc(len, here) {
                return Some(guard);
            }
            if !self.drop_idle_copy(id, out) {
                return None;
            }
        }
    }

    /// Drops the copy of a job that has been unread the longest; returns whether there was one.
    ///
    /// One that is the last of its object stays.
    pub(super) fn drop_idle_copy(&mut self, id: JobId, out: &mut Outbox) -> bool {
        let position = self.copies.idle.iter().position(|object| {
            let copy = self.copies.by_object.get(object);
            let may_go = copy.is_some_and(|copy| copy.job == id && !copy.is_last);
            may_go && self.copies.is_idle(*object)
        });
        let Some(object) = position.and_then(|position| self.copies.idle.remove(position)) else {
            return false;
        };
        self.drop_copy(object);
        out.push((object.owner, Message::CopyDropped { object }));
        true
    }

    /// Gives the room of a copy back.
    fn drop_copy(&mut self, object: ObjectId) {
        let Some(copy) = self.copies.by_object.remove(&object) else {
            return;
        };
        self.copies.idle.retain(|idle| *idle != object);
        let Some(job) = self.jobs.get_mut(&copy.job) else {
            return;
        };
        let Ok((_, writer)) = job.mapped() else {
            return;
        };
        let writer = writer.clone();
        match copy.place {
            Place::Here(slot) => {
                if let Err(error) = writer.free(slot) {
                    tracing::error!(%error, %object, "a copy could not be dropped");
                }
            }
            Place::Arriving(arriving) => *arriving.landing.lock() = Landed::GivenUp,
        }
        for range in writer.take_empty() {
            if let Err(error) = job.arena.release(range) {
                tracing::error!(%error, "segments of copies could not be given back");
            }
        }
    }

    /// All parts of a copy are here.
    pub(super) fn seal_copy(&mut self, object: ObjectId, out: &mut Outbox) {
        let Some(copy) = self.copies.by_object.get_mut(&object) else {
            return;
        };
        let Place::Arriving(arriving) = &mut copy.place else {
            return;
        };
        let Some(job) = self.jobs.get_mut(&copy.job) else {
            return;
        };
        let mut landed = arriving.landing.lock();
        let Landed::Open(guard) = std::mem::replace(&mut *landed, Landed::GivenUp) else {
            return;
        };
        let slot = guard.seal();
        if let Some(bytes) = job.mapped().ok().and_then(|(arena, _)| arena.slice(slot)) {
            *landed = Landed::Sealed(bytes);
        }
        drop(landed);
        let waiting = std::mem::take(&mut arriving.waiting);
        copy.place = Place::Here(slot);
        for (process, request) in waiting {
            *copy.readers.entry(process).or_default() += 1;
            let outcome = Ok((slot.offset, slot.len));
            out.push((process, fetched(request, object, outcome)));
        }
        out.push((object.owner, Message::CopyHeld { object, held: None }));
        self.settle_copy(object);
    }

    /// A copy will not arrive.
    pub(super) fn fail_copy(&mut self, object: ObjectId, failure: &Failure, out: &mut Outbox) {
        if let Some(copy) = self.copies.by_object.get_mut(&object)
            && let Place::Arriving(arriving) = &mut copy.place
        {
            for (process, request) in std::mem::take(&mut arriving.waiting) {
                out.push((process, fetched(request, object, Err(failure.clone()))));
            }
            self.drop_copy(object);
        }
    }

    /// A process reads its copy no more.
    pub(super) fn on_copy_released(&mut self, process: ProcessId, object: ObjectId) {
        let Some(copy) = self.copies.by_object.get_mut(&object) else {
            return;
        };
        if let Some(count) = copy.readers.get_mut(&process) {
            *count -= 1;
            if *count == 0 {
                copy.readers.remove(&process);
            }
        }
        self.settle_copy(object);
    }

    /// Lists a copy as idle, or drops it, when nobody reads it any more.
    pub(super) fn settle_copy(&mut self, object: ObjectId) {
        if !self.copies.is_idle(object) {
            return;
        }
        if self.copies.by_object[&object].is_unwanted {
            self.drop_copy(object);
        } else if !self.copies.idle.contains(&object) {
            self.copies.idle.push_back(object);
        }
    }

    /// The owner says that nobody needs an object any more.
    pub(super) fn on_copy_unwanted(&mut self, object: ObjectId, now: Time) {
        if let Some(copy) = self.copies.by_object.get_mut(&object) {
            copy.is_unwanted = true;
            self.settle_copy(object);
            self.cancel_if_unread(object, now);
        }
    }

    /// The owner says that the other copies of an object are gone.
    pub(super) fn on_copy_is_last(&mut self, object: ObjectId, out: &mut Outbox) {
        match self.copies.by_object.get_mut(&object) {
            Some(copy) => copy.is_last = true,
            None => out.push((object.owner, Message::CopyDropped { object })),
        }
    }

    /// Ends the pull of a copy that nobody waits for.
    fn cancel_if_unread(&mut self, object: ObjectId, now: Time) {
        if let Some(copy) = self.copies.by_object.get(&object)
            && let Place::Arriving(arriving) = &copy.place
            && arriving.waiting.is_empty()
        {
            for pull in arriving.pulls.clone() {
                self.copies.pulls.cancel(pull, now);
            }
            self.drop_copy(object);
        }
    }

    /// A process of this node is gone, and with it what it read and waited for.
    pub(super) fn on_reader_gone(&mut self, process: ProcessId, now: Time) {
        let mut touched = Vec::new();
        for (object, copy) in &mut self.copies.by_object {
            copy.readers.remove(&process);
            if let Place::Arriving(arriving) = &mut copy.place {
                arriving.waiting.retain(|(waiting, _)| *waiting != process);
            }
            touched.push(*object);
        }
        for object in touched {
            self.settle_copy(object);
            self.cancel_if_unread(object, now);
        }
    }

    /// Drops every copy of a job that has ended.
    pub(super) fn forget_copies_of(&mut self, id: JobId, now: Time) {
        let copies = &mut self.copies;
        for copy in copies.by_object.values().filter(|copy| copy.job == id) {
            if let Place::Arriving(arriving) = &copy.place {
                for pull in &arriving.pulls {
                    copies.pulls.cancel(*pull, now);
                }
            }
        }
        copies.by_object.retain(|_, copy| copy.job != id);
        let Copies {
            by_object, idle, ..
        } = copies;
        idle.retain(|object| by_object.contains_key(object));
    }
}

fn fetched(request: u64, object: ObjectId, outcome: Result<(u64, u64), Failure>) -> Message {
    Message::Fetched {
        request,
        object,
        outcome,
    }
}
