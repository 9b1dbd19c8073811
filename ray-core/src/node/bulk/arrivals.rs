//! Parts that arrive: straight from what QUIC holds to their place in the arena, and checked there.
//!
//! The hash follows the bytes a step behind them, while they are still in the processor's cache. A part counts
//! once all of it is there and its hash is right; before that nobody is given its bytes.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use ray_engine::ids::{ObjectId, ProcessId};
use ray_net::{CloseReason, FrameBatch, Handler, Header, Peer, Piece, Refusal};
use rkyv::rancor;

use crate::{
    config::CHUNK_BYTES,
    node::{
        NodeRole,
        copies::{Landed, Landing},
    },
    runtime::Runtime,
    wire::{ArchivedChunkMeta, ChunkMeta},
};

/// Takes what arrives over the second endpoint.
pub(super) struct Arrivals {
    runtime: Weak<Runtime>,
    /// The part that each peer is sending, if it is wanted.
    parts: Mutex<BTreeMap<u64, Incoming>>,
}

/// A part on its way.
struct Incoming {
    from: ProcessId,
    object: ObjectId,
    chunk: u32,
    hash: blake3::Hash,
    landing: Landing,
    /// Where the part begins in the object, and how long it must be.
    start: usize,
    len: usize,
    /// How much of it is there, and how much of that is in the hash.
    written: usize,
    hashed: usize,
    hasher: blake3::Hasher,
}

/// What became of a part.
enum Outcome {
    Right,
    Wrong,
    /// Another writes the part now, or nobody wants it any more.
    Unwanted,
}

impl Arrivals {
    pub(super) fn new(runtime: &Arc<Runtime>) -> Arrivals {
        Arrivals {
            runtime: Arc::downgrade(runtime),
            parts: Mutex::default(),
        }
    }

    fn take(
        &self,
        runtime: &Arc<Runtime>,
        node: &NodeRole,
        peer: &Peer,
        piece: Piece,
    ) -> Result<(), String> {
        let from = peer.process();
        match piece {
            Piece::Begin(header, meta) => {
                if let Some(incoming) = node.begin_part(runtime, peer, &header, &meta)? {
                    self.parts.lock().insert(from, incoming);
                }
            }
            Piece::Body(bytes) => {
                if let Some(incoming) = self.parts.lock().get_mut(&from) {
                    incoming.write(&bytes);
                }
            }
            Piece::End => {
                let ended = self.parts.lock().remove(&from);
                if let Some(incoming) = ended {
                    node.end_part(runtime, incoming);
                }
            }
        }
        Ok(())
    }
}

impl Handler for Arrivals {
    fn on_frames(&self, peer: &Peer, _frames: &mut FrameBatch<'_>) {
        peer.close("parts of objects come in pieces");
    }

    fn on_pieces(&self, peer: &Peer, pieces: Vec<Piece>) {
        let Some(runtime) = self.runtime.upgrade() else {
            return;
        };
        let Some(node) = &runtime.node_role else {
            return;
        };
        for piece in pieces {
            if let Err(reason) = self.take(&runtime, node, peer, piece) {
                tracing::warn!(peer = peer.process(), %reason, "closing a connection that sent nonsense");
                peer.close(&reason);
                return;
            }
        }
    }

    fn on_hello(&self, peer: &Peer, hello: &[u8]) -> Result<(), Refusal> {
        if let Some(runtime) = self.runtime.upgrade() {
            runtime.revoked.check(ProcessId(peer.process()))?;
        }
        crate::runtime::inbound::check_daemon_hello(hello)
    }

    fn on_connected(&self, _: &Peer) {}

    fn on_closed(&self, peer: &Peer, reason: &CloseReason) {
        tracing::debug!(peer = peer.process(), %reason, "a connection for parts of objects closed");
        self.parts.lock().remove(&peer.process());
        let Some(runtime) = self.runtime.upgrade() else {
            return;
        };
        if let Some(node) = &runtime.node_role
            && !matches!(reason, CloseReason::Local(_))
        {
            // What was on its way is asked for again; who is dead, the control role says.
            let from = ProcessId(peer.process()).node();
            node.with_state(&runtime, |state, _| {
                state.ask_others(from, runtime.now());
            });
        }
    }
}

impl NodeRole {
    /// A part begins to arrive; `None` when nobody wants it.
    fn begin_part(
        &self,
        runtime: &Arc<Runtime>,
        peer: &Peer,
        header: &Header,
        meta: &[u8],
    ) -> Result<Option<Incoming>, String> {
        let ChunkMeta {
            object,
            chunk,
            hash,
        } = rkyv::access::<ArchivedChunkMeta, rancor::Error>(meta)
            .and_then(rkyv::deserialize::<ChunkMeta, rancor::Error>)
            .map_err(|error| format!("a part of an object that cannot be read: {error}"))?;
        let from = ProcessId(peer.process());
        let Some(landing) = self.landing_of(object, chunk) else {
            return Ok(None);
        };
        let Some(place) = landing.lock().begin(chunk, from) else {
            return Ok(None);
        };
        let hash = blake3::Hash::from_bytes(hash);
        let incoming = Incoming::new(from, (object, chunk), hash, landing, place);
        if header.body_bytes() != incoming.len {
            self.settle_part(runtime, &incoming, false);
            return Ok(None);
        }
        Ok(Some(incoming))
    }

    /// All of a part has come.
    fn end_part(&self, runtime: &Arc<Runtime>, mut incoming: Incoming) {
        match incoming.end() {
            Outcome::Right => self.settle_part(runtime, &incoming, true),
            Outcome::Wrong => self.settle_part(runtime, &incoming, false),
            Outcome::Unwanted => {}
        }
    }

    fn settle_part(&self, runtime: &Arc<Runtime>, incoming: &Incoming, is_right: bool) {
        let Incoming { object, chunk, .. } = *incoming;
        let from = incoming.from.node();
        if !is_right {
            tracing::warn!(%object, chunk, %from, "a part of an object is not what its hash says; another node is asked");
        }
        self.with_state(runtime, |state, _| {
            let now = runtime.now();
            let pulls = &mut state.copies.pulls;
            if is_right {
                state.copies.fetched_bytes += incoming.len as u64;
                pulls.on_chunk(object, chunk, from, now);
            } else {
                pulls.on_chunk_corrupt(object, chunk, from, now);
            }
        });
    }
}

impl Incoming {
    fn new(
        from: ProcessId,
        (object, chunk): (ObjectId, u32),
        hash: blake3::Hash,
        landing: Landing,
        place: Range<usize>,
    ) -> Incoming {
        Incoming {
            from,
            object,
            chunk,
            hash,
            landing,
            start: place.start,
            len: place.len(),
            written: 0,
            hashed: 0,
            hasher: blake3::Hasher::new(),
        }
    }

    /// Writes the next bytes to their place; those that nobody wants any more go nowhere.
    fn write(&mut self, bytes: &[u8]) {
        let mut landed = self.landing.lock();
        let Some(place) = landed.place_for(self.chunk, self.from) else {
            return;
        };
        let part = &mut place[self.start..self.start + self.len];
        let Some(room) = part.get_mut(self.written..self.written + bytes.len()) else {
            return;
        };
        room.copy_from_slice(bytes);
        self.written += bytes.len();
        let whole_steps = self.written - self.written % HASH_STEP_BYTES;
        if whole_steps > self.hashed {
            self.hasher.update(&part[self.hashed..whole_steps]);
            self.hashed = whole_steps;
        }
    }

    fn end(&mut self) -> Outcome {
        let mut landed = self.landing.lock();
        let Some(place) = landed.place_for(self.chunk, self.from) else {
            return Outcome::Unwanted;
        };
        let part = &place[self.start..self.start + self.len];
        self.hasher.update(&part[self.hashed..self.written]);
        let is_right = self.written == self.len && self.hasher.finalize() == self.hash;
        landed.end(self.chunk);
        if is_right {
            Outcome::Right
        } else {
            Outcome::Wrong
        }
    }
}

impl Landed {
    /// Somebody begins to send a part, in place of who did before; returns where it belongs.
    fn begin(&mut self, chunk: u32, from: ProcessId) -> Option<Range<usize>> {
        let Landed::Open { guard, writers } = self else {
            return None;
        };
        let place = place_of(chunk, guard.len())?;
        if let Err(error) = guard.populate(place.clone()) {
            // The bytes are written all the same, a page at a time.
            tracing::warn!(%error, "pages for a part of an object could not be made ahead");
        }
        writers.insert(chunk, from);
        Some(place)
    }

    /// Returns the room of the object, to whoever sends this part now.
    fn place_for(&mut self, chunk: u32, from: ProcessId) -> Option<&mut [u8]> {
        match self {
            Landed::Open { guard, writers } if writers.get(&chunk) == Some(&from) => Some(guard),
            Landed::Open { .. } | Landed::Sealed(_) | Landed::GivenUp => None,
        }
    }

    /// Nobody sends a part any more.
    fn end(&mut self, chunk: u32) {
        if let Landed::Open { writers, .. } = self {
            writers.remove(&chunk);
        }
    }
}

/// Returns where a part of an object belongs; `None` for one that it has not.
fn place_of(chunk: u32, len: usize) -> Option<Range<usize>> {
    let chunk_bytes = CHUNK_BYTES as usize;
    let start = (chunk as usize).checked_mul(chunk_bytes)?;
    let is_inside = start < len || (len == 0 && chunk == 0);
    is_inside.then(|| start..len.min(start + chunk_bytes))
}

/// The hash takes so many bytes at a time, which are still in the cache then.
const HASH_STEP_BYTES: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use ray_shm::{Arena, ArenaOwner, SEGMENT_BYTES, Writer};

    use super::*;

    const A: ProcessId = ProcessId(1);
    const B: ProcessId = ProcessId(2);
    const LEN: usize = 300_000;

    /// Returns room for an object of one part.
    fn landing() -> (ArenaOwner, Landing) {
        let mut owner = ArenaOwner::create(4 * SEGMENT_BYTES).expect("a memfd");
        let fd = owner.fd().try_clone_to_owned().expect("a descriptor");
        let writer = Writer::new(Arena::map(fd, 1).expect("a map"));
        let range = owner.grant(LEN as u64, 1).expect("room");
        writer.add_segments(range).expect("a map");
        let guard = writer.alloc(LEN).expect("room");
        let writers = BTreeMap::new();
        (owner, Arc::new(Mutex::new(Landed::Open { guard, writers })))
    }

    fn begin(landing: &Landing, from: ProcessId, bytes: &[u8]) -> Incoming {
        let place = landing.lock().begin(0, from).expect("it has a place");
        let part = (ObjectId::default(), 0);
        Incoming::new(from, part, blake3::hash(bytes), landing.clone(), place)
    }

    fn bytes(seed: usize) -> Vec<u8> {
        (0..LEN).map(|at| (at * 7 + seed) as u8).collect()
    }

    #[test]
    fn pieces_go_to_their_place_and_are_checked() {
        let (_owner, landing) = landing();
        let right = bytes(0);
        let mut incoming = begin(&landing, A, &right);
        right.chunks(6_400).for_each(|piece| incoming.write(piece));
        assert!(matches!(incoming.end(), Outcome::Right));
        let mut landed = landing.lock();
        assert_eq!(landed.begin(0, B), Some(0..LEN));
        assert_eq!(landed.place_for(0, B), Some(&mut right.clone()[..]));
    }

    #[test]
    fn bytes_that_are_not_those_of_the_hash_are_wrong() {
        let (_owner, landing) = landing();
        let mut wrong = bytes(0);
        wrong[LEN / 2] ^= 1;
        let mut incoming = begin(&landing, A, &bytes(0));
        wrong.chunks(6_400).for_each(|piece| incoming.write(piece));
        assert!(matches!(incoming.end(), Outcome::Wrong));
        let mut short = begin(&landing, A, &bytes(0));
        short.write(&bytes(0)[..LEN - 1]);
        assert!(matches!(short.end(), Outcome::Wrong), "one byte is missing");
    }

    #[test]
    fn who_is_asked_later_takes_the_place_of_who_was_late() {
        let (_owner, landing) = landing();
        let right = bytes(0);
        let mut late = begin(&landing, A, &right);
        late.write(&right[..LEN / 2]);
        let mut other = begin(&landing, B, &right);
        right.chunks(6_400).for_each(|piece| other.write(piece));
        late.write(&bytes(9)[LEN / 2..]);
        assert!(matches!(other.end(), Outcome::Right));
        assert!(matches!(late.end(), Outcome::Unwanted));
    }

    #[test]
    fn what_nobody_wants_goes_nowhere() {
        let (_owner, landing) = landing();
        let right = bytes(0);
        let mut incoming = begin(&landing, A, &right);
        incoming.write(&right[..LEN / 2]);
        *landing.lock() = Landed::GivenUp;
        incoming.write(&right[LEN / 2..]);
        assert!(matches!(incoming.end(), Outcome::Unwanted));
        assert_eq!(landing.lock().begin(0, B), None);
    }

    #[test]
    fn a_part_has_one_place_or_none() {
        let chunk = CHUNK_BYTES as usize;
        assert_eq!(place_of(0, chunk + 10), Some(0..chunk));
        assert_eq!(place_of(1, chunk + 10), Some(chunk..chunk + 10));
        assert_eq!(place_of(2, chunk + 10), None, "behind the end");
        assert_eq!(place_of(0, 0), Some(0..0), "an empty object has one part");
        assert_eq!(place_of(1, chunk), None);
        assert_eq!(place_of(u32::MAX, 10), None);
    }
}
