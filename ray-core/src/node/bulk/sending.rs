//! Parts that leave: hashed once, then read by QUIC where they lie, until the other side has them.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use bytes::Bytes;
use ray_engine::ids::ProcessId;
use ray_net::{Flush, HeaderFields, Net, Peer};
use ray_shm::{ObjectBytes, Pin, Slot};

use super::{Next, Queue};
use crate::{
    config::BULK_QUEUE_BYTES,
    node::{
        NodeRole,
        copies::Landed,
        serve::{Part, Source},
    },
    runtime::Runtime,
    wire::{ChunkMeta, kind},
    worker::submit::push_frame_whole,
};

/// Sends parts in their order until the node ends.
pub(super) fn send_parts(queue: &Arc<Queue>, weak: &Weak<Runtime>, net: &Net) {
    let mut peers: BTreeMap<ProcessId, Peer> = BTreeMap::new();
    while let Some(next) = queue.next(&peers) {
        if let Next::WaitFor(peer) = &next {
            let soon = Instant::now() + Duration::from_millis(2);
            // Another may take more by then.
            let _is_below = net.wait_below(peer, BULK_QUEUE_BYTES, Some(soon));
            continue;
        }
        let Some(runtime) = weak.upgrade() else {
            return;
        };
        let Some(node) = &runtime.node_role else {
            return;
        };
        match next {
            Next::Send(part, addr) => {
                let peer = net.connect(part.to.0, addr);
                peers.retain(|_, peer| !peer.is_closed());
                peers.insert(part.to, peer.clone());
                match node.read_part(&part) {
                    Some(held) => push(queue, &peer, part, held),
                    None => {
                        let refusal = (part.to, part.refused());
                        node.with_state(&runtime, |_, out| out.push(refusal));
                        queue.end(part);
                    }
                }
                peer.flush_hint(Flush::Now);
            }
            Next::End(parts) => {
                let now = runtime.now();
                node.with_state(&runtime, |state, _| {
                    parts.iter().for_each(|part| state.on_part_sent(part, now));
                });
            }
            Next::WaitFor(_) => {}
        }
    }
}

impl NodeRole {
    /// Returns the bytes of a part, held in memory; `None` when they are gone.
    fn read_part(&self, part: &Part) -> Option<Held> {
        match &part.source {
            Source::Whole(slot) => self.read_whole(part, *slot),
            Source::Arriving(landing) => {
                let landed = landing.lock();
                match &*landed {
                    Landed::Open { guard, .. } => {
                        Some(Held::Copied(guard.get(part.range.clone())?.to_vec()))
                    }
                    Landed::Sealed(slot) => {
                        let slot = *slot;
                        drop(landed);
                        self.read_whole(part, slot)
                    }
                    Landed::GivenUp => None,
                }
            }
        }
    }

    /// Returns a part of a whole object, from memory or from where it was spilled to.
    fn read_whole(&self, part: &Part, slot: Slot) -> Option<Held> {
        // It may come back, or leave, between the two looks.
        for _ in 0..SOURCE_LOOKS {
            if let Some(pin) = part.arena.pin(slot) {
                if part.arena.is_in_file(slot) {
                    return read_file(part, slot);
                }
                let bytes = part.arena.slice(slot)?;
                let range = part.range.clone();
                bytes.get(range.clone())?;
                return Some(Held::InArena {
                    bytes,
                    range,
                    _pin: pin,
                });
            }
            let saved = self.state.lock().saved(part.job, slot.offset);
            let Some((file, saved, within)) = saved else {
                continue;
            };
            let start = within + part.range.start as u64;
            match saved.read(&file, start..start + part.range.len() as u64) {
                Ok(bytes) => return Some(Held::Copied(bytes)),
                Err(error) => {
                    let object = part.object;
                    tracing::error!(%error, %object, "a spilled object cannot be read for another node");
                    return None;
                }
            }
        }
        None
    }
}

/// Copies a part that lies in the job's file, which a process of the job may have cut short.
fn read_file(part: &Part, slot: Slot) -> Option<Held> {
    match part.arena.read_file(slot, part.range.clone()) {
        Ok(bytes) => Some(Held::Copied(bytes)),
        Err(error) => {
            let (object, job) = (part.object, part.job);
            tracing::error!(%error, %object, %job, "an object in a file cannot be read for another node");
            None
        }
    }
}

/// The bytes of a part.
enum Held {
    InArena {
        bytes: ObjectBytes,
        range: Range<usize>,
        _pin: Pin,
    },
    Copied(Vec<u8>),
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        match self {
            Held::InArena { bytes, range, .. } => &bytes[range.clone()],
            Held::Copied(bytes) => bytes,
        }
    }
}

/// A part that the connection may have to send again; its end is noted when it is dropped.
struct OnItsWay {
    held: Held,
    part: Option<Part>,
    queue: Arc<Queue>,
}

impl AsRef<[u8]> for OnItsWay {
    fn as_ref(&self) -> &[u8] {
        self.held.as_ref()
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        if let Some(part) = self.part.take() {
            self.queue.end(part);
        }
    }
}

fn push(queue: &Arc<Queue>, peer: &Peer, part: Part, held: Held) {
    let mut hasher = blake3::Hasher::new();
    for step in held.as_ref().chunks(HASH_STEP_BYTES) {
        hasher.update(step);
    }
    let header = HeaderFields {
        kind: kind::CHUNK,
        request: part.object.index,
        incarnation: 0,
        trace: 0,
    };
    let meta = ChunkMeta {
        object: part.object,
        chunk: part.chunk,
        hash: *hasher.finalize().as_bytes(),
    };
    let body = Bytes::from_owner(OnItsWay {
        held,
        part: Some(part),
        queue: queue.clone(),
    });
    push_frame_whole(peer, &header, &meta, body);
}

/// How often a part is looked for in memory and on disk.
const SOURCE_LOOKS: usize = 8;
/// Between two pieces of this size the sending thread sees to the connections; bytes.
const HASH_STEP_BYTES: usize = 1 << 20;
