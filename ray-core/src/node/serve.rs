//! Parts of objects for other nodes: who is served now, who is sent to newer holders.

use std::collections::BTreeMap;

use ray_engine::{
    ids::{JobId, NodeId, ObjectId, ProcessId},
    time::Time,
};
use ray_shm::{Arena, Slot};

use super::{
    NodeState, Outbox,
    copies::{Landing, Place},
};
use crate::{
    config::{CHUNK_BYTES, RELAYED_AT_ONCE, SERVED_AT_ONCE, SERVED_PAUSE},
    wire::Message,
};

/// Whom this node sends parts of which object.
#[derive(Default)]
pub(super) struct Serving(BTreeMap<ObjectId, BTreeMap<NodeId, Served>>);

struct Served {
    /// Parts that are queued or on their way.
    parts: u32,
    last: Time,
}

/// A part that another node asked for.
pub(super) struct Wanted {
    pub(super) job: JobId,
    pub(super) object: ObjectId,
    /// Where the object lies at the node of its writer.
    pub(super) source: Slot,
    pub(super) writer: ProcessId,
    pub(super) chunk: u32,
}

/// A part to be sent.
pub(super) struct Part {
    pub(super) to: ProcessId,
    pub(super) object: ObjectId,
    pub(super) chunk: u32,
    pub(super) job: JobId,
    pub(super) arena: Arena,
    pub(super) source: Source,
    pub(super) range: std::ops::Range<usize>,
    /// Whether it is of a copy, which stays until the part is sent.
    pub(super) is_of_copy: bool,
}

/// Where the bytes of a part are.
pub(super) enum Source {
    Whole(Slot),
    /// In a copy of which this part has arrived.
    Arriving(Landing),
}

impl Part {
    /// Returns what tells the asker that the part is gone.
    pub(super) fn refused(&self) -> Message {
        refused(self.object, self.chunk, false)
    }
}

fn refused(object: ObjectId, chunk: u32, is_busy: bool) -> Message {
    Message::ChunkRefused {
        object,
        chunk,
        is_busy,
    }
}

impl Serving {
    /// Lets a node in, unless `enough` others are served this object.
    fn admit(&mut self, object: ObjectId, node: NodeId, enough: usize, now: Time) -> bool {
        let served = self.0.entry(object).or_default();
        served.retain(|_, served| served.parts > 0 || served.last + SERVED_PAUSE > now);
        if !served.contains_key(&node) && served.len() >= enough {
            return false;
        }
        let served = served.entry(node).or_insert(Served {
            parts: 0,
            last: now,
        });
        served.parts += 1;
        served.last = now;
        true
    }

    fn end(&mut self, object: ObjectId, node: NodeId, now: Time) {
        if let Some(served) = self.0.get_mut(&object)
            && let Some(entry) = served.get_mut(&node)
        {
            entry.parts = entry.parts.saturating_sub(1);
            entry.last = now;
        }
        self.0.retain(|_, served| {
            served.retain(|_, served| served.parts > 0 || served.last + SERVED_PAUSE > now);
            !served.is_empty()
        });
    }
}

impl NodeState {
    /// Another node wants a part; returns it, or has told why not.
    pub(super) fn on_chunk_wanted(
        &mut self,
        from: ProcessId,
        wanted: &Wanted,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) -> Option<Part> {
        let (object, chunk) = (wanted.object, wanted.chunk);
        let Some((source, len)) = self.source_of(wanted, here) else {
            out.push((from, refused(object, chunk, false)));
            return None;
        };
        let start = u64::from(chunk).checked_mul(CHUNK_BYTES)?;
        let end = start.saturating_add(CHUNK_BYTES).min(len);
        let range = usize::try_from(start).ok()?..usize::try_from(end).ok()?;
        let is_inside = range.start < range.end || (len == 0 && chunk == 0);
        let enough = match source {
            Source::Whole(_) => SERVED_AT_ONCE,
            Source::Arriving(_) => RELAYED_AT_ONCE,
        };
        let serving = &mut self.copies.serving;
        if !is_inside || !serving.admit(object, from.node(), enough, now) {
            out.push((from, refused(object, chunk, is_inside)));
            return None;
        }
        let arena = self.jobs.get_mut(&wanted.job)?.mapped().ok()?.0.clone();
        let copy = self.copies.by_object.get_mut(&object);
        let is_of_copy = copy.is_some();
        if let Some(copy) = copy {
            copy.serving += 1;
        }
        self.copies.served_bytes += range.len() as u64;
        Some(Part {
            to: from,
            object,
            chunk,
            job: wanted.job,
            arena,
            source,
            range,
            is_of_copy,
        })
    }

    /// Finds the bytes of a wanted part: in a copy, in one that arrives, or where they were made.
    fn source_of(&mut self, wanted: &Wanted, here: ProcessId) -> Option<(Source, u64)> {
        let object = wanted.object;
        let slot = match self.copies.by_object.get(&object) {
            Some(copy) => match &copy.place {
                Place::Here(slot) => *slot,
                Place::Homeless => return None,
                Place::Arriving(landing) => {
                    let held = self.copies.pulls.held_chunks(object)?;
                    let landing = landing.clone();
                    return held
                        .contains(wanted.chunk)
                        .then_some((Source::Arriving(landing), copy.source.len));
                }
            },
            None if wanted.writer.node_process() == here => wanted.source,
            None => return None,
        };
        Some((Source::Whole(slot), slot.len))
    }

    /// A part has left, or its receiver is gone.
    pub(super) fn on_part_sent(&mut self, part: &Part, now: Time) {
        self.copies.serving.end(part.object, part.to.node(), now);
        if part.is_of_copy
            && let Some(copy) = self.copies.by_object.get_mut(&part.object)
        {
            copy.serving = copy.serving.saturating_sub(1);
            self.settle_copy(part.object, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: ObjectId = ObjectId {
        owner: ProcessId(1),
        index: 1,
    };

    #[test]
    fn so_many_nodes_are_served_one_object_at_a_time() {
        let mut serving = Serving::default();
        let admit = |serving: &mut Serving, object, node, now| serving.admit(object, node, 2, now);
        for node in 0..2 {
            assert!(admit(&mut serving, OBJECT, NodeId(node), Time(0)));
        }
        let late = NodeId(99);
        assert!(!admit(&mut serving, OBJECT, late, Time(0)));
        assert!(
            admit(&mut serving, OBJECT, NodeId(0), Time(0)),
            "it goes on"
        );
        let other = ObjectId { index: 2, ..OBJECT };
        assert!(admit(&mut serving, other, late, Time(0)));
        serving.end(OBJECT, NodeId(1), Time(0));
        let later = Time(0) + SERVED_PAUSE;
        assert!(
            admit(&mut serving, OBJECT, late, later),
            "one has all it wanted"
        );
        assert!(!admit(&mut serving, OBJECT, NodeId(1), later));
    }

    #[test]
    fn nothing_is_kept_of_who_was_served() {
        let mut serving = Serving::default();
        assert!(serving.admit(OBJECT, NodeId(1), 2, Time(0)));
        serving.end(OBJECT, NodeId(1), Time(0));
        let other = ObjectId { index: 2, ..OBJECT };
        let later = Time(0) + SERVED_PAUSE;
        assert!(serving.admit(other, NodeId(1), 2, later));
        serving.end(other, NodeId(1), later + SERVED_PAUSE);
        assert!(serving.0.keys().all(|object| *object == other));
    }
}
