//! Values of other nodes: copied into this node's arena before they are read.

use std::{sync::Arc, task::Waker, time::Instant};

use ray_engine::{
    failure::Failure,
    ids::{JobId, ObjectId, ProcessId},
};
use ray_net::{Flush, Frame, HeaderFields, Peer};
use rkyv::rancor;

use super::Runtime;
use crate::{
    Error, Result,
    config::FETCH_TIMEOUT,
    store::Value,
    wire::{ArchivedChunkMeta, ChunkMeta, Message, kind},
    worker::submit::push_frame,
};

impl Runtime {
    /// Sees to it that the bytes of a value are on this node.
    ///
    /// # Errors
    /// `GetTimeout` at the deadline; `ObjectLost` when the node that had it is gone.
    pub(crate) fn localize(
        self: &Arc<Self>,
        value: &Value,
        deadline: Option<Instant>,
    ) -> Result<()> {
        if let Some((object, slot, writer)) = value.missing() {
            let fetched = self.fetch(object, slot, writer, deadline)?;
            value.set_copy(fetched);
        }
        match value.fetch_failure() {
            Some(failure) => Err(failure.into()),
            None => Ok(()),
        }
    }

    /// Fetches a value on a thread of its own and wakes a future then; returns whether it is here already.
    pub(crate) fn localize_for(self: &Arc<Self>, value: &Value, waker: &Waker) -> Result<bool> {
        if value.missing().is_none() {
            return self.localize(value, None).map(|()| true);
        }
        let (runtime, value, waker) = (self.clone(), value.clone(), waker.clone());
        if value.begin_fetch() {
            std::thread::Builder::new()
                .name("ray-fetch".into())
                .spawn(move || {
                    if let Err(error) = runtime.localize(&value, None) {
                        value.set_copy(Err(Failure::System(error.to_string())));
                    }
                    waker.wake();
                })
                .map_err(|error| Error::System(format!("could not start a thread: {error}")))?;
        }
        Ok(false)
    }

    fn fetch(
        self: &Arc<Self>,
        object: ObjectId,
        slot: ray_shm::Slot,
        writer: ProcessId,
        deadline: Option<Instant>,
    ) -> Result<Result<Value, Failure>> {
        let left = deadline.map_or(FETCH_TIMEOUT, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        let reply = self.request(left, |request| Message::Fetch {
            request,
            object,
            offset: slot.offset,
            len: slot.len,
            writer,
        });
        match reply {
            Ok(Message::Fetched {
                outcome: Ok((offset, len)),
                ..
            }) => {
                let slot = ray_shm::Slot { offset, len };
                Ok(self.mapped_value(slot, self.node_process, Some(object), 0))
            }
            Ok(Message::Fetched {
                outcome: Err(failure),
                ..
            }) => Ok(Err(failure)),
            Ok(other) => Err(Error::System(format!(
                "asked for an object and got {other:?}"
            ))),
            Err(_) => Err(Error::GetTimeout(left)),
        }
    }

    /// Sends a part of an object that lies in this node's arena.
    pub(super) fn serve_chunk(
        &self,
        to: ProcessId,
        job: JobId,
        object: ObjectId,
        slot: ray_shm::Slot,
        from: u64,
        len: u32,
    ) {
        let Some(peer) = self.net.peer(to.0) else {
            return;
        };
        let arena = self.node_role.as_ref().and_then(|node| node.arena_of(job));
        let bytes = arena.and_then(|arena| arena.slice(slot));
        let wanted = bytes.as_ref().and_then(|bytes| {
            let end = from.checked_add(u64::from(len.min(CHUNK_BYTES)))?;
            bytes.get(usize::try_from(from).ok()?..usize::try_from(end).ok()?)
        });
        let meta = |hash, failure| ChunkMeta {
            object,
            from,
            hash,
            failure,
        };
        let header = HeaderFields {
            kind: kind::CHUNK,
            request: object.index,
            incarnation: 0,
            trace: 0,
        };
        match wanted {
            Some(part) => {
                let hash = *blake3::hash(part).as_bytes();
                push_frame(&peer, &header, &meta(hash, None), &[part]);
            }
            None => {
                let failure = Failure::ObjectLost {
                    object,
                    reason: "the node that had it keeps it no more".into(),
                };
                push_frame(&peer, &header, &meta([0; 32], Some(failure)), &[]);
            }
        }
        peer.flush_hint(Flush::Now);
    }

    /// A part of an object arrived that this node is copying.
    pub(super) fn on_chunk(self: &Arc<Self>, peer: &Peer, frame: &Frame<'_>) -> Result<(), String> {
        let meta: ChunkMeta = rkyv::access::<ArchivedChunkMeta, rancor::Error>(frame.meta)
            .and_then(rkyv::deserialize::<ChunkMeta, rancor::Error>)
            .map_err(|error| format!("a part of an object that cannot be read: {error}"))?;
        if meta.failure.is_none() && blake3::hash(frame.body) != blake3::Hash::from_bytes(meta.hash)
        {
            return Err("a part of an object is not what its hash says".into());
        }
        if let Some(node) = &self.node_role {
            node.on_chunk(self, ProcessId(peer.process()), &meta, frame.body);
        }
        Ok(())
    }
}

/// Bytes of one part of an object on its way between nodes.
pub(crate) const CHUNK_BYTES: u32 = 1 << 20;
/// What is asked for ahead of what has arrived, per object; parts.
pub(crate) const CHUNKS_AHEAD: usize = 4;
