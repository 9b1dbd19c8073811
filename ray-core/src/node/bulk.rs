//! Connections that carry nothing but parts of objects, so that these never delay a call.
//!
//! A second endpoint of the node's process, made when it is first needed. Parts are hashed and sent by
//! a thread of their own and checked and stored by the endpoint's watch thread: neither holds a lock of
//! the node meanwhile.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use ray_engine::ids::{ObjectId, ProcessId};
use ray_net::{
    CloseReason, Flush, Frame, FrameBatch, Handler, HeaderFields, Net, NetConfig, Peer, Refusal,
};
use ray_shm::Slot;
use rkyv::rancor;

use super::{
    NodeRole,
    copies::Landed,
    serve::{Part, Source},
};
use crate::{
    config::{BULK_QUEUE_BYTES, CHUNK_BYTES, CLUSTER_SILENCE},
    runtime::Runtime,
    wire::{ArchivedChunkMeta, ChunkMeta, Hello, kind},
    worker::submit::push_frame,
};

/// The second endpoint, and what waits to be sent over it.
#[derive(Default)]
pub(super) struct Bulk {
    net: Mutex<Option<Net>>,
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    parts: Mutex<Parts>,
    changed: Condvar,
}

#[derive(Default)]
struct Parts {
    waiting: VecDeque<(Part, SocketAddr)>,
    has_ended: bool,
}

impl NodeRole {
    /// Returns the second endpoint, starting it when it is first needed.
    ///
    /// # Errors
    /// What the system refused.
    pub(super) fn bulk_net(&self, runtime: &Arc<Runtime>) -> Result<Net, String> {
        let mut slot = self.bulk.net.lock();
        if let Some(net) = &*slot {
            return Ok(net.clone());
        }
        let process = runtime.process();
        let identity = self.start.ca.issue(process.0);
        let identity = identity.map_err(|error| error.to_string())?;
        let mut config = NetConfig::new(process.0, identity, kind::bulk_limit);
        config.bind = SocketAddr::new(runtime.net().local_addr().ip(), 0);
        config.hello = Hello::of_a_daemon().to_bytes();
        config.idle_timeout = CLUSTER_SILENCE;
        config.keep_alive = CLUSTER_SILENCE / 6;
        config.is_bulk = true;
        let handler = Arc::new(Arrivals(Arc::downgrade(runtime)));
        let net = Net::start(config, handler).map_err(|error| error.to_string())?;
        let (queue, weak, sender) = (
            self.bulk.queue.clone(),
            Arc::downgrade(runtime),
            net.clone(),
        );
        std::thread::Builder::new()
            .name("ray-bulk".into())
            .spawn(move || send_parts(&queue, &weak, &sender))
            .map_err(|error| format!("could not start a thread: {error}"))?;
        *slot = Some(net.clone());
        Ok(net)
    }

    /// Returns the second endpoint when it was needed already.
    pub(crate) fn bulk_if_any(&self) -> Option<Net> {
        self.bulk.net.lock().clone()
    }

    /// Queues a part for the node that asked for it.
    pub(super) fn send_part(&self, part: Part, to: SocketAddr) {
        self.bulk.queue.parts.lock().waiting.push_back((part, to));
        self.bulk.queue.changed.notify_one();
    }

    /// Takes back a part that is not wanted any more, if it has not left.
    pub(super) fn take_part_back(
        &self,
        object: ObjectId,
        chunk: u32,
        to: ProcessId,
    ) -> Option<Part> {
        let mut parts = self.bulk.queue.parts.lock();
        let is_it = |part: &Part| (part.object, part.chunk, part.to) == (object, chunk, to);
        let position = parts.waiting.iter().position(|(part, _)| is_it(part))?;
        parts.waiting.remove(position).map(|(part, _)| part)
    }

    /// Ends the second endpoint, if there is one.
    pub(crate) fn end_bulk(&self) {
        self.bulk.queue.parts.lock().has_ended = true;
        self.bulk.queue.changed.notify_all();
        self.spill_io.end();
        let net = self.bulk.net.lock().take();
        if let Some(net) = net {
            net.shutdown(Duration::ZERO);
        }
    }

    /// A part arrived: checks it and puts it where it belongs.
    fn on_part(
        &self,
        runtime: &Arc<Runtime>,
        peer: &Peer,
        frame: &Frame<'_>,
    ) -> Result<(), String> {
        let meta: ChunkMeta = rkyv::access::<ArchivedChunkMeta, rancor::Error>(frame.meta)
            .and_then(rkyv::deserialize::<ChunkMeta, rancor::Error>)
            .map_err(|error| format!("a part of an object that cannot be read: {error}"))?;
        let ChunkMeta {
            object,
            chunk,
            hash,
        } = meta;
        let from = ProcessId(peer.process()).node();
        let Some(landing) = self.landing_of(object, chunk) else {
            return Ok(());
        };
        let is_right = blake3::hash(frame.body) == blake3::Hash::from_bytes(hash)
            && match &mut *landing.lock() {
                Landed::Open(guard) => put(guard, chunk, frame.body),
                Landed::Sealed(_) | Landed::GivenUp => return Ok(()),
            };
        if !is_right {
            tracing::warn!(%object, chunk, %from, "a part of an object is not what its hash says; another node is asked");
        }
        let bytes = frame.body.len() as u64;
        self.with_state(runtime, |state, _| {
            let now = runtime.now();
            let pulls = &mut state.copies.pulls;
            if is_right {
                state.copies.fetched_bytes += bytes;
                pulls.on_chunk(object, chunk, from, now);
            } else {
                pulls.on_chunk_corrupt(object, chunk, from, now);
            }
        });
        Ok(())
    }
}

/// Writes a part to its place; returns whether it is as long as it must be.
fn put(place: &mut [u8], chunk: u32, bytes: &[u8]) -> bool {
    let chunk_bytes = CHUNK_BYTES as usize;
    let Some(rest) = place.get_mut(chunk as usize * chunk_bytes..) else {
        return false;
    };
    let len = rest.len().min(chunk_bytes);
    if len != bytes.len() {
        return false;
    }
    rest[..len].copy_from_slice(bytes);
    true
}

/// Takes what arrives over the second endpoint.
struct Arrivals(Weak<Runtime>);

impl Handler for Arrivals {
    fn on_frames(&self, peer: &Peer, frames: &mut FrameBatch<'_>) {
        let Some(runtime) = self.0.upgrade() else {
            return;
        };
        let Some(node) = &runtime.node_role else {
            return;
        };
        for frame in frames {
            if let Err(reason) = node.on_part(&runtime, peer, &frame) {
                tracing::warn!(peer = peer.process(), %reason, "closing a connection that sent nonsense");
                peer.close(&reason);
                return;
            }
        }
    }

    fn on_hello(&self, peer: &Peer, hello: &[u8]) -> Result<(), Refusal> {
        if let Some(runtime) = self.0.upgrade() {
            runtime.revoked.check(ProcessId(peer.process()))?;
        }
        crate::runtime::inbound::check_daemon_hello(hello)
    }

    fn on_connected(&self, _: &Peer) {}

    fn on_closed(&self, peer: &Peer, reason: &CloseReason) {
        tracing::debug!(peer = peer.process(), %reason, "a connection for parts of objects closed");
        let Some(runtime) = self.0.upgrade() else {
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

/// Sends parts in their order until the node ends.
fn send_parts(queue: &Queue, weak: &Weak<Runtime>, net: &Net) {
    let mut peers: BTreeMap<ProcessId, Peer> = BTreeMap::new();
    while let Some(next) = queue.next(&peers) {
        let (part, addr) = match next {
            Next::Send(part, addr) => (part, addr),
            Next::WaitFor(peer) => {
                let soon = Instant::now() + Duration::from_millis(2);
                // Another may take more by then.
                let _is_below = net.wait_below(&peer, BULK_QUEUE_BYTES, Some(soon));
                continue;
            }
        };
        let peer = net.connect(part.to.0, addr);
        peers.retain(|_, peer| !peer.is_closed());
        peers.insert(part.to, peer.clone());
        let Some(runtime) = weak.upgrade() else {
            return;
        };
        let Some(node) = &runtime.node_role else {
            return;
        };
        let was_sent = node.push_part(&peer, &part);
        peer.flush_hint(Flush::Now);
        let now = runtime.now();
        node.with_state(&runtime, |state, out| {
            state.on_part_sent(&part, now);
            if !was_sent {
                out.push((part.to, part.refused()));
            }
        });
    }
}

/// What the sending thread does next.
enum Next {
    Send(Part, SocketAddr),
    /// Every node for which there is a part has enough in its queue.
    WaitFor(Peer),
}

impl Queue {
    /// Waits for something to do; `None` at the end.
    fn next(&self, peers: &BTreeMap<ProcessId, Peer>) -> Option<Next> {
        let mut parts = self.parts.lock();
        while parts.waiting.is_empty() && !parts.has_ended {
            self.changed.wait(&mut parts);
        }
        if parts.has_ended {
            return None;
        }
        // More would only lie in memory; whoever is slow holds nobody else up.
        let is_full = |part: &Part| {
            let peer = peers.get(&part.to)?;
            let is_full = peer.queued_bytes() >= BULK_QUEUE_BYTES && !peer.is_closed();
            is_full.then(|| peer.clone())
        };
        let free = parts
            .waiting
            .iter()
            .position(|(part, _)| is_full(part).is_none());
        match free {
            Some(position) => {
                let (part, addr) = parts.waiting.remove(position)?;
                Some(Next::Send(part, addr))
            }
            None => {
                let (part, addr) = parts.waiting.pop_front()?;
                match is_full(&part) {
                    Some(peer) => {
                        parts.waiting.push_front((part, addr));
                        Some(Next::WaitFor(peer))
                    }
                    None => Some(Next::Send(part, addr)),
                }
            }
        }
    }
}

impl NodeRole {
    /// Pushes a part; returns false when its bytes are gone.
    fn push_part(&self, peer: &Peer, part: &Part) -> bool {
        match &part.source {
            Source::Whole(slot) => self.push_whole(peer, part, *slot),
            Source::Arriving(landing) => {
                let landed = landing.lock();
                match &*landed {
                    Landed::Open(guard) => push(peer, part, &guard[part.range.clone()]),
                    Landed::Sealed(slot) => {
                        let slot = *slot;
                        drop(landed);
                        return self.push_whole(peer, part, slot);
                    }
                    Landed::GivenUp => return false,
                }
                true
            }
        }
    }

    /// Pushes a part of a whole object, from memory or from where it was spilled to.
    fn push_whole(&self, peer: &Peer, part: &Part, slot: Slot) -> bool {
        // It may come back, or leave, between the two looks.
        for _ in 0..SOURCE_LOOKS {
            if let Some(pin) = part.arena.pin(slot) {
                let bytes = part.arena.slice(slot);
                let wanted = bytes
                    .as_ref()
                    .and_then(|bytes| bytes.get(part.range.clone()));
                if let Some(wanted) = wanted {
                    push(peer, part, wanted);
                }
                drop(pin);
                return wanted.is_some();
            }
            let saved = self.state.lock().saved(part.job, slot.offset);
            let Some((file, saved, within)) = saved else {
                continue;
            };
            let start = within + part.range.start as u64;
            match saved.read(&file, start..start + part.range.len() as u64) {
                Ok(bytes) => {
                    push(peer, part, &bytes);
                    return true;
                }
                Err(error) => {
                    let object = part.object;
                    tracing::error!(%error, %object, "a spilled object cannot be read for another node");
                    return false;
                }
            }
        }
        false
    }
}

fn push(peer: &Peer, part: &Part, bytes: &[u8]) {
    let header = HeaderFields {
        kind: kind::CHUNK,
        request: part.object.index,
        incarnation: 0,
        trace: 0,
    };
    let meta = ChunkMeta {
        object: part.object,
        chunk: part.chunk,
        hash: *blake3::hash(bytes).as_bytes(),
    };
    push_frame(peer, &header, &meta, &[bytes]);
}

/// How often a part is looked for in memory and on disk.
const SOURCE_LOOKS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_goes_to_its_place_or_nowhere() {
        let chunk = CHUNK_BYTES as usize;
        let mut place = vec![0; chunk + 10];
        assert!(put(&mut place, 1, &[7; 10]));
        assert_eq!(
            (place[chunk - 1], place[chunk], place[chunk + 9]),
            (0, 7, 7)
        );
        assert!(!put(&mut place, 1, &[7; 9]), "too short");
        assert!(!put(&mut place, 0, &[7; 10]), "too short");
        assert!(!put(&mut place, 2, &[7; 1]), "behind the end");
        assert!(put(&mut place, 0, &vec![5; chunk]));
        assert_eq!((place[chunk - 1], place[chunk]), (5, 7));
    }
}
