//! Streams on both sides of the wire: items that leave, items that arrive, and who waits for the next.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use ray_engine::{
    failure::Failure,
    ids::{ObjectId, ProcessId, TaskId},
    owner::NextItem,
};
use ray_net::{Flush, Frame, HeaderFields, Peer};
use rkyv::rancor;

use super::{
    Runtime,
    waiters::{WaitCell, time_limit},
};
use crate::{
    __private::{Encoded, EncodedValue},
    Error, Result,
    object_ref::AnyRef,
    store::Value,
    wire::{ArchivedItemMeta, ArgMeta, ItemMeta, Place, kind},
    worker::submit::push_frame,
};

/// An item as it came off the wire.
pub(super) struct Item {
    task: TaskId,
    attempt: u32,
    worker: ProcessId,
    position: u64,
    value: Value,
    contained: Vec<ObjectId>,
}

impl Runtime {
    /// Sends one item of a stream to the owner of the call.
    pub(crate) fn send_item(
        &self,
        caller: &Peer,
        task: TaskId,
        attempt: u32,
        position: u64,
        item: EncodedValue,
        flush: Flush,
    ) {
        let EncodedValue {
            data,
            layout,
            contained,
        } = item;
        let ids = contained.iter().map(AnyRef::id).collect::<Vec<_>>();
        if !ids.is_empty() {
            let to = ProcessId(caller.process());
            self.with_core(|core, _| {
                for id in &ids {
                    core.owner.send_reference(*id, to);
                }
            });
        }
        let (place, bytes) = match &data {
            Encoded::Inline(bytes) => {
                let len = u32::try_from(bytes.len()).expect("inline results are limited");
                (Place::Body { offset: 0, len }, &bytes[..])
            }
            Encoded::Shared(slot) => {
                // The owner names the item when it arrives; until then it has a name of this process.
                let object = ObjectId {
                    owner: self.process,
                    index: self.with_core(|core, _| core.owner.take_indexes(1)),
                };
                let place = Place::Arena {
                    object,
                    offset: slot.offset,
                    len: slot.len,
                    writer: self.process,
                };
                (place, &[][..])
            }
        };
        let header = HeaderFields {
            kind: kind::ITEM,
            request: task.index,
            incarnation: 0,
            trace: 0,
        };
        let meta = ItemMeta {
            task,
            attempt,
            position,
            item: ArgMeta {
                place,
                layout,
                contained: ids,
            },
        };
        push_frame(caller, &header, &meta, &[bytes]);
        caller.flush_hint(flush);
    }

    pub(super) fn parse_item(&self, peer: &Peer, frame: &Frame<'_>) -> Result<Item, String> {
        let meta: ItemMeta = rkyv::access::<ArchivedItemMeta, rancor::Error>(frame.meta)
            .and_then(rkyv::deserialize::<ItemMeta, rancor::Error>)
            .map_err(|error| format!("an item that cannot be read: {error}"))?;
        Ok(Item {
            task: meta.task,
            attempt: meta.attempt,
            worker: ProcessId(peer.process()),
            position: meta.position,
            value: self.value_at(&meta.item, frame.body)?,
            contained: meta.item.contained,
        })
    }

    pub(super) fn take_items(&self, items: &mut Vec<Item>) {
        if items.is_empty() {
            return;
        }
        self.with_core(|core, _| {
            for item in items.drain(..) {
                for id in &item.contained {
                    core.owner.receive_reference(*id, 1);
                }
                // Nodes look for a copy under the name that its owner gives it.
                let value = match core.owner.arriving_item(item.task) {
                    Some(object) => item.value.named(object),
                    None => item.value,
                };
                core.owner.on_item(
                    item.task,
                    item.attempt,
                    item.worker,
                    item.position,
                    (value, item.contained.clone()),
                );
                for id in item.contained {
                    core.owner.drop_handle(id);
                }
            }
        });
    }

    /// Makes a stream with one item, which fails; returns its end and its token.
    pub(crate) fn failed_stream(&self, failure: Failure) -> (AnyRef, AnyRef) {
        self.with_core(|core, _| {
            let completed = core.owner.put_failed(failure);
            let task = TaskId {
                owner: completed.owner,
                index: completed.index,
            };
            let token = core.owner.open_stream(task, 0);
            (AnyRef::counted(completed), AnyRef::counted(token))
        })
    }

    /// Waits for the next item of a stream and takes it; `None` at its end.
    pub(crate) fn next_item(
        self: &Arc<Self>,
        stream: TaskId,
        timeout: Option<Duration>,
    ) -> Result<Option<AnyRef>> {
        let deadline = timeout.map(time_limit);
        loop {
            let head = match self.with_core(|core, _| core.owner.take_item(stream)) {
                NextItem::Taken(item) => return Ok(Some(AnyRef::counted(item))),
                NextItem::Ended => return Ok(None),
                NextItem::Pending(head) => head,
            };
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if !self.wait_values(&[head], 1, left)?.contains(&true) {
                return Err(Error::GetTimeout(timeout.unwrap_or_default()));
            }
        }
    }

    /// Polls a stream for its next item.
    pub(crate) fn poll_item(
        self: &Arc<Self>,
        stream: TaskId,
        waiting: &mut Option<(ObjectId, Arc<WaitCell>)>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<AnyRef>> {
        self.with_core(|core, _| match core.owner.take_item(stream) {
            NextItem::Taken(item) => {
                *waiting = None;
                Poll::Ready(Some(AnyRef::counted(item)))
            }
            NextItem::Ended => {
                *waiting = None;
                Poll::Ready(None)
            }
            NextItem::Pending(head) => {
                if waiting.as_ref().is_none_or(|(object, _)| *object != head) {
                    let cell = WaitCell::new(1, false);
                    core.watch(head, &cell);
                    *waiting = Some((head, cell));
                }
                if let Some((_, cell)) = waiting {
                    cell.set_waker(cx.waker());
                }
                Poll::Pending
            }
        })
    }

    /// Returns a reference to the next item, whether it is there or not.
    pub(crate) fn peek_item(&self, stream: TaskId) -> Option<AnyRef> {
        self.with_core(|core, _| {
            let id = core.owner.peek_item(stream)?;
            core.owner.add_handle(id);
            Some(AnyRef::counted(id))
        })
    }

    /// Returns whether the object stands for the end of a stream.
    pub(crate) fn is_end_of_stream(&self, id: ObjectId) -> bool {
        self.with_core(|core, _| matches!(core.outcome(id), Some(Err(Failure::StreamEnded))))
    }

    /// Makes a reference that fails as the wait for an item did.
    pub(crate) fn failed_item(&self, error: &Error) -> AnyRef {
        let failure = match error {
            Error::Cancelled => Failure::Cancelled,
            other => Failure::System(other.to_string()),
        };
        AnyRef::counted(self.with_core(|core, _| core.owner.put_failed(failure)))
    }
}
