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
use ray_shm::{Arena, NotLent, SegmentRange, Slot, WriteGuard, Writer};

use super::{
    JobOnNode, NodeRole, NodeState, Outbox,
    asks::{AskId, Asks},
    segments::Asker,
    serve::Serving,
};
use crate::{
    config::{CHUNK_BYTES, SEGMENT_LEASE_BYTES},
    wire::{Message, StoreRow, WantedObject},
};

/// Every copy of this node, which of them nobody reads, and those on their way.
pub(super) struct Copies {
    pub(super) by_object: BTreeMap<ObjectId, Copy>,
    /// What processes have asked for and not given back.
    pub(super) asks: Asks,
    /// Those that nobody has asked for any more, the longest unread first.
    pub(super) idle: VecDeque<ObjectId>,
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
    /// Who waits for it or reads it, each with the pull that is under way for them.
    pub(super) users: BTreeMap<AskId, Option<PullId>>,
    /// The pull of the last who waited and gave up, which goes on for a moment.
    pub(super) lingering: Option<(PullId, Time)>,
    /// Parts of it that are on their way out.
    pub(super) serving: u32,
    /// Whether its owner relies on it.
    pub(super) is_last: bool,
    /// Whether its owner has no use for it.
    pub(super) is_unwanted: bool,
}

/// Where a copy lies, and whether all of it is there.
pub(super) enum Place {
    /// There is no room for it yet.
    Homeless,
    Arriving(Landing),
    Here(Slot),
}

/// The room of a copy, shared with who writes parts into it and who passes them on.
pub(super) type Landing = Arc<Mutex<Landed>>;

/// How far a copy is.
pub(super) enum Landed {
    Open {
        guard: WriteGuard,
        /// Which node's process sends each part that arrives.
        writers: BTreeMap<u32, ProcessId>,
    },
    Sealed(Slot),
    /// Nobody wants it any more.
    GivenUp,
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
            asks: Asks::default(),
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
    pub(super) fn is_idle(&self, object: ObjectId) -> bool {
        self.by_object.get(&object).is_some_and(|copy| {
            copy.users.is_empty() && copy.serving == 0 && matches!(copy.place, Place::Here(_))
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
            let arena = self.arena_files.try_clone()?.map_for_node(self.here)?;
            let writer = Writer::beside(&self.arena, arena.clone());
            self.mapped = Some((arena, writer));
        }
        Ok(self.mapped.as_ref().expect("made above"))
    }

    /// Lends room when there is some and nobody waits for it.
    pub(super) fn lend_now(
        &mut self,
        bytes: u64,
        holder: ProcessId,
        now: Time,
    ) -> Option<SegmentRange> {
        self.spill.lend_now(&mut self.arena, bytes, holder, now)
    }

    /// Takes lent room back.
    pub(super) fn release(&mut self, range: SegmentRange, now: Time) -> Result<(), NotLent> {
        match self.arena.is_in_file(range) {
            true => self.overflow.release(&mut self.arena, range),
            false => self.spill.release(&mut self.arena, range, now),
        }
    }

    /// Takes room in the arena for this process; `None` when it must be waited for.
    fn alloc(&mut self, len: usize, now: Time) -> Option<WriteGuard> {
        let writer = self.mapped().ok()?.1.clone();
        loop {
            let needed = match writer.alloc(len) {
                Ok(guard) => return Some(guard),
                Err(needed) => needed.bytes,
            };
            let here = self.here;
            let range = self
                .lend_now(needed.max(SEGMENT_LEASE_BYTES), here, now)
                .or_else(|| self.lend_now(needed, here, now))?;
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
            Place::Arriving(landing) if !held.contains(chunk) => Some(landing.clone()),
            Place::Arriving(_) | Place::Here(_) | Place::Homeless => None,
        }
    }
}

impl NodeState {
    /// Somebody wants an object of another node: it is here, comes, or waits for room.
    pub(super) fn want_copy(
        &mut self,
        wanted: &WantedObject,
        ask: AskId,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        let (object, Some(id)) = (wanted.object, self.copies.asks.job_of(ask)) else {
            return;
        };
        if let Some(copy) = self.copies.by_object.get_mut(&object) {
            copy.users.insert(ask, None);
            match &copy.place {
                Place::Here(_) => {
                    self.copies.idle.retain(|idle| *idle != object);
                    self.on_wanted_here(ask, object, now, out);
                }
                Place::Arriving(_) => self.begin_pull(object, ask, now),
                Place::Homeless => self.hasten_copy(object, ask, here, now, out),
            }
            return;
        }
        self.copies.by_object.insert(
            object,
            Copy {
                job: id,
                source: wanted.slot(),
                writer: wanted.writer,
                place: Place::Homeless,
                users: BTreeMap::from([(ask, None)]),
                lingering: None,
                serving: 0,
                is_last: false,
                is_unwanted: false,
            },
        );
        let len = usize::try_from(wanted.len).unwrap_or(usize::MAX);
        match self.jobs.get_mut(&id).and_then(|job| job.alloc(len, now)) {
            Some(guard) => self.begin_arrival(object, guard, here, now),
            None => {
                let least = wanted.len;
                let bytes = least.max(SEGMENT_LEASE_BYTES);
                let priority = self.copies.asks.priority_of(ask);
                let priority = priority.unwrap_or(Priority::Arguments);
                self.queue_segments(Asker::Copy(object), id, (bytes, least), priority, now);
                self.grant_segments(id, here, now, out);
            }
        }
    }

    /// A copy waits for room and somebody weightier wants it: it goes forward in the queue.
    fn hasten_copy(
        &mut self,
        object: ObjectId,
        ask: AskId,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        let (asker, Some(id)) = (Asker::Copy(object), self.copies.asks.job_of(ask)) else {
            return;
        };
        let queued = self.segment_queue.iter();
        let mut before = queued.filter(|asked| asked.asker == asker);
        let (Some(asked), Some(priority)) = (before.next(), self.copies.asks.priority_of(ask))
        else {
            return;
        };
        if priority < asked.priority {
            let sizes = (asked.bytes, asked.least);
            self.unqueue_segments(|other| other == asker, now);
            self.queue_segments(asker, id, sizes, priority, now);
            self.grant_segments(id, here, now, out);
        }
    }

    /// There is room for a copy that had none.
    pub(super) fn on_room_for_copy(
        &mut self,
        object: ObjectId,
        range: SegmentRange,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        let Some(copy) = self.copies.by_object.get(&object) else {
            return;
        };
        let len = usize::try_from(copy.source.len).unwrap_or(usize::MAX);
        let Some(job) = self.jobs.get_mut(&copy.job) else {
            return;
        };
        let guard = job.mapped().and_then(|(_, writer)| {
            writer.add_segments(range)?;
            writer.alloc(len).map_err(std::io::Error::other)
        });
        match guard {
            Ok(guard) => self.begin_arrival(object, guard, here, now),
            Err(error) => {
                let failure = Failure::System(format!("no place for a copy of {object}: {error}"));
                self.fail_copy(object, &failure, now, out);
            }
        }
    }

    /// Begins to pull a copy into its place.
    fn begin_arrival(&mut self, object: ObjectId, guard: WriteGuard, here: ProcessId, now: Time) {
        let Some(copy) = self.copies.by_object.get_mut(&object) else {
            return;
        };
        let (source, writer) = (copy.source, copy.writer);
        let writers = BTreeMap::new();
        let landing = Landed::Open { guard, writers };
        copy.place = Place::Arriving(Arc::new(Mutex::new(landing)));
        for ask in copy.users.keys().copied().collect::<Vec<_>>() {
            self.begin_pull(object, ask, now);
        }
        let pulls = &mut self.copies.pulls;
        let home = writer.node_process();
        if home != here && !self.copies.dead.contains(&home) {
            let all = ray_engine::chunks::Chunks::all(pulls.chunk_count(source.len));
            pulls.on_holder(object, home.node(), all, now);
        }
    }

    /// Pulls an object for one more who wants it; a weightier one moves it forward.
    fn begin_pull(&mut self, object: ObjectId, ask: AskId, now: Time) {
        let copies = &mut self.copies;
        let (Some(copy), Some(priority)) = (
            copies.by_object.get_mut(&object),
            copies.asks.priority_of(ask),
        ) else {
            return;
        };
        copies.next_pull += 1;
        let pull = PullId(copies.next_pull);
        copy.users.insert(ask, Some(pull));
        let wanted = ray_engine::pull::Wanted {
            object,
            bytes: copy.source.len,
        };
        let lingering = copy.lingering.take();
        copies.pulls.pull(pull, &[wanted], priority, now);
        if let Some((before, _)) = lingering {
            copies.pulls.cancel(before, now);
        }
    }

    /// Drops a copy of a job: one on its way that nobody waits for, or the one unread the longest.
    ///
    /// One that is the last of its object stays. Returns whether there was one.
    pub(super) fn drop_idle_copy(&mut self, id: JobId, now: Time, out: &mut Outbox) -> bool {
        let mut copies = self.copies.by_object.iter();
        let is_given_up = |copy: &Copy| copy.job == id && copy.lingering.is_some();
        if let Some((object, _)) = copies.find(|(_, copy)| is_given_up(copy)) {
            self.give_up_arrival(*object, now, out);
            return true;
        }
        let position = self.copies.idle.iter().position(|object| {
            let copy = self.copies.by_object.get(object);
            let may_go = copy.is_some_and(|copy| copy.job == id && !copy.is_last);
            may_go && self.copies.is_idle(*object)
        });
        let Some(object) = position.and_then(|position| self.copies.idle.remove(position)) else {
            return false;
        };
        self.drop_copy(object, now);
        out.push((object.owner, Message::CopyDropped { object }));
        true
    }

    /// Gives the room of a copy back.
    fn drop_copy(&mut self, object: ObjectId, now: Time) {
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
        let mut empty = None;
        match copy.place {
            Place::Here(slot) => match writer.free(slot) {
                Ok(range) => empty = range,
                Err(error) => tracing::error!(%error, %object, "a copy could not be dropped"),
            },
            Place::Arriving(landing) => *landing.lock() = Landed::GivenUp,
            Place::Homeless => {}
        }
        for range in writer.take_empty().into_iter().chain(empty) {
            if let Err(error) = job.release(range, now) {
                tracing::error!(%error, "segments of copies could not be given back");
            }
        }
    }

    /// All parts of a copy are here.
    pub(super) fn seal_copy(&mut self, object: ObjectId, now: Time, out: &mut Outbox) {
        let Some(copy) = self.copies.by_object.get_mut(&object) else {
            return;
        };
        let Place::Arriving(landing) = &copy.place else {
            return;
        };
        let mut landed = landing.lock();
        let Landed::Open { guard, .. } = std::mem::replace(&mut *landed, Landed::GivenUp) else {
            return;
        };
        let slot = guard.seal();
        *landed = Landed::Sealed(slot);
        drop(landed);
        copy.place = Place::Here(slot);
        copy.lingering = None;
        copy.users.values_mut().for_each(|pull| *pull = None);
        out.push((object.owner, Message::CopyHeld { object, held: None }));
        let users = copy.users.keys().copied().collect::<Vec<_>>();
        for ask in users {
            self.on_wanted_here(ask, object, now, out);
        }
        self.settle_copy(object, now);
    }

    /// A copy will not arrive.
    pub(super) fn fail_copy(
        &mut self,
        object: ObjectId,
        failure: &Failure,
        now: Time,
        out: &mut Outbox,
    ) {
        let Some(copy) = self.copies.by_object.get(&object) else {
            return;
        };
        if matches!(copy.place, Place::Here(_)) {
            return;
        }
        for ask in copy.users.keys().copied().collect::<Vec<_>>() {
            self.fail_ask(ask, object, failure, now, out);
        }
        self.give_up_arrival(object, now, out);
    }

    /// Gives up a copy that is not here, whoever wanted it.
    pub(super) fn give_up_arrival(&mut self, object: ObjectId, now: Time, out: &mut Outbox) {
        let Some(copy) = self.copies.by_object.get_mut(&object) else {
            return;
        };
        if matches!(copy.place, Place::Here(_)) {
            return;
        }
        let lingering = copy.lingering.take().map(|(pull, _)| pull);
        for pull in copy.users.values().copied().flatten().chain(lingering) {
            self.copies.pulls.cancel(pull, now);
        }
        self.unqueue_segments(|asker| asker == Asker::Copy(object), now);
        self.drop_copy(object, now);
        out.push((object.owner, Message::CopyDropped { object }));
    }

    /// Lists a copy as idle, or drops it, when nobody reads it any more.
    pub(super) fn settle_copy(&mut self, object: ObjectId, now: Time) {
        if !self.copies.is_idle(object) {
            return;
        }
        if self.copies.by_object[&object].is_unwanted {
            self.drop_copy(object, now);
        } else if !self.copies.idle.contains(&object) {
            self.copies.idle.push_back(object);
        }
    }

    /// The owner says that nobody needs an object any more.
    pub(super) fn on_copy_unwanted(&mut self, object: ObjectId, now: Time, out: &mut Outbox) {
        if let Some(copy) = self.copies.by_object.get_mut(&object) {
            copy.is_unwanted = true;
            if copy.users.is_empty() {
                self.give_up_arrival(object, now, out);
            }
            self.settle_copy(object, now);
        }
    }

    /// The owner says that the other copies of an object are gone.
    pub(super) fn on_copy_is_last(&mut self, object: ObjectId, out: &mut Outbox) {
        match self.copies.by_object.get_mut(&object) {
            Some(copy) => copy.is_last = true,
            None => out.push((object.owner, Message::CopyDropped { object })),
        }
    }

    /// Drops every copy of a job that has ended.
    pub(super) fn forget_copies_of(&mut self, id: JobId, now: Time) {
        let copies = &mut self.copies;
        for copy in copies.by_object.values().filter(|copy| copy.job == id) {
            let lingering = copy.lingering.map(|(pull, _)| pull);
            for pull in copy.users.values().copied().flatten().chain(lingering) {
                copies.pulls.cancel(pull, now);
            }
        }
        copies.asks.forget(id);
        copies.by_object.retain(|_, copy| copy.job != id);
        let Copies {
            by_object, idle, ..
        } = copies;
        idle.retain(|object| by_object.contains_key(object));
    }
}
