//! Copies of other nodes' objects: fetched in parts, shared by every process of the node, kept while
//! there is room.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use ray_engine::{
    failure::Failure,
    ids::{JobId, ObjectId, ProcessId},
};
use ray_shm::{Arena, Slot, WriteGuard, Writer};

use super::{JobOnNode, NodeRole, NodeState, Outbox};
use crate::{
    config::SEGMENT_LEASE_BYTES,
    runtime::{
        Runtime,
        fetch::{CHUNK_BYTES, CHUNKS_AHEAD},
    },
    wire::{ChunkMeta, Message},
};

/// Every copy of this node, and which of them nobody reads.
#[derive(Default)]
pub(super) struct Copies {
    by_object: BTreeMap<ObjectId, Copy>,
    /// Those without readers, the longest unread first.
    idle: VecDeque<ObjectId>,
}

struct Copy {
    job: JobId,
    state: State,
    /// How many values of each process are this copy.
    readers: BTreeMap<ProcessId, u32>,
}

enum State {
    Arriving(Arriving),
    Here(Slot),
}

/// A copy of which parts have arrived.
struct Arriving {
    holder: ProcessId,
    source: Slot,
    guard: WriteGuard,
    /// The parts that are asked for and not here, by where they begin.
    asked: BTreeSet<u64>,
    /// Where the next part to ask for begins.
    next: u64,
    waiting: Vec<(ProcessId, u64)>,
}

impl Arriving {
    /// Asks for as much as may be on its way at once.
    fn ask(&mut self, job: JobId, object: ObjectId, out: &mut Outbox) {
        while self.asked.len() < CHUNKS_AHEAD && self.next < self.source.len {
            let from = self.next;
            let len = (self.source.len - from).min(u64::from(CHUNK_BYTES));
            self.asked.insert(from);
            self.next += len;
            out.push((
                self.holder,
                Message::ReadChunk {
                    job,
                    object,
                    slot_offset: self.source.offset,
                    slot_len: self.source.len,
                    from,
                    len: len as u32,
                },
            ));
        }
    }
}

impl JobOnNode {
    /// Returns the job's arena, mapped in this process.
    fn mapped(&mut self) -> std::io::Result<&(Arena, Writer)> {
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
    /// Returns the arena of a job on this node.
    pub(crate) fn arena_of(&self, job: JobId) -> Option<Arena> {
        let mut state = self.state.lock();
        Some(state.jobs.get_mut(&job)?.mapped().ok()?.0.clone())
    }

    /// A part of an object arrived.
    pub(crate) fn on_chunk(
        &self,
        runtime: &Arc<Runtime>,
        from: ProcessId,
        meta: &ChunkMeta,
        bytes: &[u8],
    ) {
        self.with_state(runtime, |state, out| {
            state.on_chunk(from, meta, bytes, out);
        });
    }
}

impl NodeState {
    /// A process wants to read an object of another node.
    pub(super) fn on_fetch(
        &mut self,
        asker: (ProcessId, u64),
        object: ObjectId,
        source: Slot,
        writer: ProcessId,
        here: ProcessId,
        out: &mut Outbox,
    ) {
        let (process, request) = asker;
        let id = self.job_of(process);
        if let Some(copy) = self.copies.by_object.get_mut(&object) {
            match &mut copy.state {
                State::Here(slot) => {
                    *copy.readers.entry(process).or_default() += 1;
                    let outcome = Ok((slot.offset, slot.len));
                    self.copies.idle.retain(|idle| *idle != object);
                    out.push((
                        process,
                        Message::Fetched {
                            request,
                            object,
                            outcome,
                        },
                    ));
                }
                State::Arriving(arriving) => arriving.waiting.push(asker),
            }
            return;
        }
        let Some(guard) = self.room_for_copy(id, source.len, here) else {
            let capacity = self.jobs.get(&id).map_or(0, |job| job.arena.capacity());
            let failure = Failure::ObjectStoreFull {
                needed: source.len,
                capacity,
                holders: "; the copy of an object of another node found no room".into(),
            };
            out.push((
                process,
                Message::Fetched {
                    request,
                    object,
                    outcome: Err(failure),
                },
            ));
            return;
        };
        let mut arriving = Arriving {
            holder: writer.node_process(),
            source,
            guard,
            asked: BTreeSet::new(),
            next: 0,
            waiting: vec![asker],
        };
        arriving.ask(id, object, out);
        self.copies.by_object.insert(
            object,
            Copy {
                job: id,
                state: State::Arriving(arriving),
                readers: BTreeMap::new(),
            },
        );
    }

    /// Finds room for a copy, if need be by dropping copies that nobody reads.
    fn room_for_copy(&mut self, id: JobId, len: u64, here: ProcessId) -> Option<WriteGuard> {
        let len = usize::try_from(len).ok()?;
        loop {
            if let Some(guard) = self.jobs.get_mut(&id)?.alloc(len, here) {
                return Some(guard);
            }
            if !self.drop_idle_copy(id) {
                return None;
            }
        }
    }

    /// Drops the copy of a job that has been unread the longest; returns whether there was one.
    pub(super) fn drop_idle_copy(&mut self, id: JobId) -> bool {
        let position = self.copies.idle.iter().position(|object| {
            self.copies
                .by_object
                .get(object)
                .is_some_and(|copy| copy.job == id)
        });
        let Some(object) = position.and_then(|position| self.copies.idle.remove(position)) else {
            return false;
        };
        if let Some(copy) = self.copies.by_object.remove(&object)
            && let State::Here(slot) = copy.state
            && let Some(job) = self.jobs.get_mut(&id)
            && let Ok((_, writer)) = job.mapped()
        {
            let writer = writer.clone();
            if let Err(error) = writer.free(slot) {
                tracing::error!(%error, %object, "a copy could not be dropped");
            }
            for range in writer.take_empty() {
                if let Err(error) = job.arena.release(range) {
                    tracing::error!(%error, "segments of copies could not be given back");
                }
            }
        }
        true
    }

    fn on_chunk(&mut self, from: ProcessId, meta: &ChunkMeta, bytes: &[u8], out: &mut Outbox) {
        let object = meta.object;
        let Some(copy) = self.copies.by_object.get_mut(&object) else {
            return;
        };
        let State::Arriving(arriving) = &mut copy.state else {
            return;
        };
        if arriving.holder != from {
            return;
        }
        if let Some(failure) = &meta.failure {
            return self.fail_copy(object, failure, out);
        }
        let end = meta.from.saturating_add(bytes.len() as u64);
        if end > arriving.source.len || !arriving.asked.remove(&meta.from) {
            return;
        }
        arriving.guard[meta.from as usize..end as usize].copy_from_slice(bytes);
        if !arriving.asked.is_empty() || arriving.next < arriving.source.len {
            return arriving.ask(copy.job, object, out);
        }
        let slot = Slot { offset: 0, len: 0 };
        let State::Arriving(arriving) = std::mem::replace(&mut copy.state, State::Here(slot))
        else {
            return;
        };
        let slot = arriving.guard.seal();
        copy.state = State::Here(slot);
        for (process, request) in arriving.waiting {
            *copy.readers.entry(process).or_default() += 1;
            let outcome = Ok((slot.offset, slot.len));
            out.push((
                process,
                Message::Fetched {
                    request,
                    object,
                    outcome,
                },
            ));
        }
        if copy.readers.is_empty() {
            self.copies.idle.push_back(object);
        }
    }

    fn fail_copy(&mut self, object: ObjectId, failure: &Failure, out: &mut Outbox) {
        let Some(copy) = self.copies.by_object.remove(&object) else {
            return;
        };
        if let State::Arriving(arriving) = copy.state {
            for (process, request) in arriving.waiting {
                out.push((
                    process,
                    Message::Fetched {
                        request,
                        object,
                        outcome: Err(failure.clone()),
                    },
                ));
            }
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
        if copy.readers.is_empty() && matches!(copy.state, State::Here(_)) {
            self.copies.idle.push_back(object);
        }
    }

    /// A process of this node is gone, and with it what it read and waited for.
    pub(super) fn on_reader_gone(&mut self, process: ProcessId) {
        let Copies { by_object, idle } = &mut self.copies;
        for (object, copy) in by_object {
            let was_reading = copy.readers.remove(&process).is_some();
            match &mut copy.state {
                State::Arriving(arriving) => {
                    arriving.waiting.retain(|(waiting, _)| *waiting != process)
                }
                State::Here(_) if was_reading && copy.readers.is_empty() => idle.push_back(*object),
                State::Here(_) => {}
            }
        }
    }

    /// A node is gone from which copies were on their way.
    pub(super) fn on_holder_gone(&mut self, node: ProcessId, out: &mut Outbox) {
        let lost: Vec<ObjectId> = self
            .copies
            .by_object
            .iter()
            .filter(|(_, copy)| {
                matches!(&copy.state, State::Arriving(arriving) if arriving.holder == node)
            })
            .map(|(object, _)| *object)
            .collect();
        for object in lost {
            let failure = Failure::ObjectLost {
                object,
                reason: format!("the only copy was on node {}, which is gone", node.node()),
            };
            self.fail_copy(object, &failure, out);
        }
    }

    /// Drops every copy of a job that has ended.
    pub(super) fn forget_copies_of(&mut self, id: JobId) {
        self.copies.by_object.retain(|_, copy| copy.job != id);
        let Copies { by_object, idle } = &mut self.copies;
        idle.retain(|object| by_object.contains_key(object));
    }
}
