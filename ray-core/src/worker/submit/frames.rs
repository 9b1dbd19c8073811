//! Calls and answers as frames: where each argument lies, and what travels with it.

use ray_engine::{
    failure::Failure,
    ids::{ObjectId, ProcessId, TaskId},
    owner::ObjectState,
};
use ray_net::{HeaderFields, Peer};
use rkyv::{api::high::HighSerializer, rancor, ser::allocator::ArenaHandle};
use smallvec::SmallVec;

use super::Core;
use crate::{
    __private::{ArgSlot, Arguments},
    config::BETWEEN_JOBS_BYTES_MAX,
    object_ref::AnyRef,
    store::{AlignedBytes, Value},
    wire::{AnswerMeta, ArgMeta, CallMeta, CallTarget, Message, Place, kind},
};

impl Core {
    pub(super) fn send_call(
        &mut self,
        task: TaskId,
        attempt: u32,
        to: ProcessId,
        target: CallTarget,
    ) {
        let Some(payload) = self.owner.payload(task).cloned() else {
            tracing::error!(%task, "a call without its payload was to be sent");
            return;
        };
        if to == self.process && !self.peers.contains_key(&to) {
            let itself = self.peer_at(to, self.net.local_addr());
            itself.set_tag(self.job.0);
        }
        let Some(peer) = self.peers.get(&to).cloned() else {
            // The process is gone; its death is on the way and settles the call.
            tracing::debug!(%task, process = %to, "no connection for a call");
            return;
        };
        let mut parts = Parts::new(&payload.args.body);
        let args = self.arg_metas(&payload.args, to, &mut parts);
        let inside = payload.inside().cloned();
        let shape = self.owner.shape(task);
        let meta = CallMeta {
            task,
            job: self.job,
            attempt,
            backpressure: payload.backpressure,
            method: payload.method.id,
            parent: self.owner.parent(task),
            deadline_ms: 0,
            target,
            args,
            chain: payload.chain.to_vec(),
            devices: match target {
                CallTarget::Task { .. } => self.devices_of(to),
                _ => Vec::new(),
            },
            inside: inside.map(Box::new),
            resources: shape.and_then(|shape| self.resources_of(shape)),
        };
        let incarnation = match target {
            CallTarget::Method { incarnation, .. } | CallTarget::Create { incarnation, .. } => {
                incarnation
            }
            CallTarget::Task { .. } => 0,
        };
        let header = HeaderFields {
            kind: kind::CALL,
            request: task.index,
            incarnation,
            trace: trace_of(task),
        };
        push_frame(&peer, &header, &meta, &parts.slices());
        self.in_flight += 1;
        *self.sent.entry(to).or_default() += 1;
        self.touch(&peer);
    }

    pub(super) fn arg_metas<'a>(
        &mut self,
        args: &'a Arguments,
        to: ProcessId,
        parts: &mut Parts<'a>,
    ) -> Vec<ArgMeta> {
        let mut metas = Vec::with_capacity(args.slots.len());
        for slot in &args.slots {
            let meta = match slot {
                ArgSlot::Inline {
                    offset,
                    len,
                    contained,
                    layout,
                } => {
                    let contained = contained.iter().map(AnyRef::id).collect::<Vec<_>>();
                    for id in &contained {
                        self.owner.send_reference(*id, to);
                    }
                    ArgMeta {
                        place: Place::Body {
                            offset: *offset,
                            len: *len,
                        },
                        layout: *layout,
                        contained,
                    }
                }
                ArgSlot::Object(reference) => match self.owner.argument(reference.id()) {
                    ObjectState::Ready(value) => {
                        let place = self.place_of(reference.id(), value, to, parts);
                        let layout = value.layout();
                        let contained = self.owner.contained(reference.id()).to_vec();
                        for id in &contained {
                            self.owner.send_reference(*id, to);
                        }
                        ArgMeta {
                            place,
                            layout,
                            contained,
                        }
                    }
                    other => {
                        unreachable!("a call is sent when its arguments are there, not {other:?}")
                    }
                },
            };
            metas.push(meta);
        }
        metas
    }

    /// Says where a value is; another job cannot read this one's arena, so it is sent the bytes.
    pub(super) fn place_of(
        &self,
        object: ObjectId,
        value: &Value,
        to: ProcessId,
        parts: &mut Parts<'_>,
    ) -> Place {
        let Some((slot, writer)) = value.arena() else {
            return parts.add(value.clone());
        };
        // Before it has said hello it may be of any job.
        let is_of_this_job = self
            .peers
            .get(&to)
            .is_some_and(|peer| peer.tag() == self.job.0);
        let fits = parts.len as u64 + slot.len <= BETWEEN_JOBS_BYTES_MAX as u64;
        if !is_of_this_job
            && fits
            && value.missing().is_none()
            && let Ok(pin) = value.pin(&self.arena)
        {
            parts.pins.extend(pin);
            return parts.add(value.clone());
        }
        Place::Arena {
            object,
            offset: slot.offset,
            len: slot.len,
            writer,
        }
    }

    /// Answers a borrower's question about an object that is ready, failed or gone.
    pub(super) fn answer(&mut self, to: ProcessId, object: ObjectId) {
        let mut empty = AlignedBytes::new();
        let mut parts = Parts::new(&empty);
        let outcome = match self.owner.state(object) {
            ObjectState::Ready(value) => {
                let place = self.place_of(object, value, to, &mut parts);
                let layout = value.layout();
                let contained = self.owner.contained(object).to_vec();
                for id in &contained {
                    self.owner.send_reference(*id, to);
                }
                Ok(ArgMeta {
                    place,
                    layout,
                    contained,
                })
            }
            ObjectState::Failed(failure) => Err((*failure).clone()),
            ObjectState::Pending => return,
            ObjectState::Unknown => Err(Failure::ObjectFreed(object)),
        };
        let Some(peer) = self.peers.get(&to).cloned() else {
            return;
        };
        let header = HeaderFields {
            kind: kind::ANSWER,
            request: object.index,
            incarnation: 0,
            trace: 0,
        };
        push_frame(
            &peer,
            &header,
            &AnswerMeta { object, outcome },
            &parts.slices(),
        );
        self.touch(&peer);
        drop(parts);
        empty.clear();
    }
}

/// The pieces of a frame's body, each at a multiple of 16.
pub(super) struct Parts<'a> {
    first: &'a [u8],
    more: Vec<Value>,
    /// What keeps those of the arena in memory.
    pins: Vec<ray_shm::Pin>,
    len: usize,
}

pub(super) const PADDING: [u8; 16] = [0; 16];

impl<'a> Parts<'a> {
    pub(super) fn new(first: &'a AlignedBytes) -> Parts<'a> {
        Parts {
            first,
            more: Vec::new(),
            pins: Vec::new(),
            len: first.len().next_multiple_of(16),
        }
    }

    pub(super) fn add(&mut self, value: Value) -> Place {
        let place = Place::Body {
            offset: u32::try_from(self.len).expect("inline values are limited"),
            len: u32::try_from(value.bytes().len()).expect("inline values are limited"),
        };
        self.len += value.bytes().len().next_multiple_of(16);
        self.more.push(value);
        place
    }

    pub(super) fn slices(&self) -> SmallVec<[&[u8]; 3]> {
        let mut slices = SmallVec::with_capacity(1 + 2 * self.more.len());
        slices.push(self.first);
        let mut end = self.first.len();
        for value in &self.more {
            slices.push(&PADDING[..end.next_multiple_of(16) - end]);
            slices.push(value.bytes());
            end = end.next_multiple_of(16) + value.bytes().len();
        }
        slices
    }
}

pub(super) fn trace_of(task: TaskId) -> u128 {
    (u128::from(task.owner.0) << 64) | u128::from(task.index)
}

thread_local! {
    static META: std::cell::RefCell<AlignedBytes> = std::cell::RefCell::new(AlignedBytes::new());
}

/// What a frame says beside its body.
pub(crate) trait Meta:
    for<'a> rkyv::Serialize<HighSerializer<AlignedBytes, ArenaHandle<'a>, rancor::Error>>
{
}

impl<M> Meta for M where
    M: for<'a> rkyv::Serialize<HighSerializer<AlignedBytes, ArenaHandle<'a>, rancor::Error>>
{
}

/// Archives `meta` and pushes the frame onto the peer's outgoing queue.
pub(crate) fn push_frame(peer: &Peer, header: &HeaderFields, meta: &impl Meta, body: &[&[u8]]) {
    with_archived(meta, |meta| {
        peer.push(header, meta, body);
    });
}

/// Archives `meta` and pushes a frame whose body stays where it is until the other side has it.
pub(crate) fn push_frame_whole(
    peer: &Peer,
    header: &HeaderFields,
    meta: &impl Meta,
    body: bytes::Bytes,
) {
    with_archived(meta, |meta| {
        peer.push_whole(header, meta, body);
    });
}

fn with_archived(meta: &impl Meta, push: impl FnOnce(&[u8])) {
    META.with_borrow_mut(|buffer| {
        buffer.clear();
        match rkyv::api::high::to_bytes_in::<_, rancor::Error>(meta, std::mem::take(buffer)) {
            Ok(bytes) => {
                push(&bytes);
                *buffer = bytes;
            }
            Err(error) => tracing::error!(%error, "could not archive a message"),
        }
    });
}

/// Pushes a control message onto the peer's outgoing queue.
pub(crate) fn push_message(peer: &Peer, message: &Message) {
    let header = HeaderFields {
        kind: kind::CONTROL,
        request: 0,
        incarnation: 0,
        trace: 0,
    };
    push_frame(peer, &header, message, &[]);
}
