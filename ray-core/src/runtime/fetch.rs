//! Values of other nodes: copied into this node's arena before they are read.

use std::{sync::Arc, task::Waker, time::Instant};

use ray_engine::{
    failure::Failure,
    ids::{ObjectId, ProcessId},
};

use super::Runtime;
use crate::{
    Error, Result,
    config::FETCH_TIMEOUT,
    store::Value,
    wire::{FetchFor, Message},
};

impl Runtime {
    /// Sees to it that the bytes of a value are on this node.
    ///
    /// # Errors
    /// `GetTimeout` at the deadline; `ObjectLost` when the node that had it is gone.
    pub(crate) fn localize(
        self: &Arc<Self>,
        value: &Value,
        purpose: FetchFor,
        deadline: Option<Instant>,
    ) -> Result<()> {
        if let Some((object, slot, writer)) = value.missing() {
            let fetched = self.fetch(object, slot, writer, purpose, deadline)?;
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
            return self.localize(value, FetchFor::Get, None).map(|()| true);
        }
        let (runtime, value, waker) = (self.clone(), value.clone(), waker.clone());
        if value.begin_fetch() {
            std::thread::Builder::new()
                .name("ray-fetch".into())
                .spawn(move || {
                    if let Err(error) = runtime.localize(&value, FetchFor::Get, None) {
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
        purpose: FetchFor,
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
            purpose,
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
}
