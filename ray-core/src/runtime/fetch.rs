//! Values of other nodes: copied into this node's arena before they are read.

use std::{sync::Arc, task::Waker, time::Instant};

use ray_shm::Pin;

use ray_engine::failure::Failure;

use super::{Runtime, waiters::WaitCell};
use crate::{
    Error, Result,
    config::FETCH_TIMEOUT,
    store::{HeldValue, Value},
    wire::{FetchFor, Message, WantedObject},
};

impl Runtime {
    /// Sees to it that the bytes of a value are on this node, in memory, and keeps them there.
    ///
    /// # Errors
    /// `GetTimeout` at the deadline; `ObjectLost` when the node that had it is gone or its disk is broken.
    pub(crate) fn localize(
        self: &Arc<Self>,
        value: &Value,
        purpose: FetchFor,
        deadline: Option<Instant>,
    ) -> Result<Option<Pin>> {
        if let Some(wanted) = value.missing() {
            let fetched = self.fetch(wanted, purpose, deadline)?;
            value.set_copy(fetched);
        }
        match value.fetch_failure() {
            Some(failure) => Err(failure.into()),
            None => self.bring_back(value, deadline),
        }
    }

    /// Keeps a value of this node in memory, from disk if need be.
    fn bring_back(
        self: &Arc<Self>,
        value: &Value,
        deadline: Option<Instant>,
    ) -> Result<Option<Pin>> {
        loop {
            let offset = match value.pin(&self.arena) {
                Ok(pin) => return Ok(pin),
                Err(offset) => offset,
            };
            let left = deadline.map_or(FETCH_TIMEOUT, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            match self.request(left, |request| Message::BringBack { request, offset }) {
                // It may have left again before it was seen: then it is asked for again.
                Ok(Message::BroughtBack {
                    outcome: Ok(()), ..
                }) => {}
                Ok(Message::BroughtBack {
                    outcome: Err(failure),
                    ..
                }) => return Err(failure.into()),
                Ok(other) => {
                    return Err(Error::System(format!(
                        "asked for spilled bytes and got {other:?}"
                    )));
                }
                Err(_) => return Err(Error::GetTimeout(left)),
            }
        }
    }

    /// Returns the value, here and held.
    pub(crate) fn hold(
        self: &Arc<Self>,
        value: Value,
        deadline: Option<Instant>,
    ) -> Result<HeldValue> {
        let pin = self.localize(&value, FetchFor::Get, deadline)?;
        Ok(HeldValue::new(value, pin))
    }

    /// Fetches a value on a thread of its own and wakes the futures that wait for it then; returns it when it is here already.
    pub(crate) fn localize_for(
        self: &Arc<Self>,
        value: &Value,
        waker: &Waker,
    ) -> Result<Option<HeldValue>> {
        if value.missing().is_none() {
            if let Some(failure) = value.fetch_failure() {
                return Err(failure.into());
            }
            if let Some(failure) = value.take_fault() {
                return Err(failure.into());
            }
            if let Ok(pin) = value.pin(&self.arena) {
                return Ok(Some(HeldValue::new(value.clone(), pin)));
            }
        }
        let (runtime, value, waker) = (self.clone(), value.clone(), waker.clone());
        let key = value.key();
        let is_first = {
            let mut awaited = self.awaited.lock();
            let wakers = awaited.entry(key).or_default();
            wakers.push(waker);
            wakers.len() == 1
        };
        if is_first {
            std::thread::Builder::new()
                .name("ray-fetch".into())
                .spawn(move || {
                    if let Err(error) = runtime.localize(&value, FetchFor::Get, None) {
                        let failure = Failure::System(error.to_string());
                        if value.missing().is_some() {
                            value.set_copy(Err(failure));
                        } else {
                            value.set_fault(failure);
                        }
                    }
                    // The futures look again; what left meanwhile is brought back again.
                    let wakers = runtime.awaited.lock().remove(&value.key());
                    wakers.into_iter().flatten().for_each(Waker::wake);
                })
                .map_err(|error| {
                    self.awaited.lock().remove(&key);
                    Error::System(format!("could not start a thread: {error}"))
                })?;
        }
        Ok(None)
    }

    fn fetch(
        self: &Arc<Self>,
        wanted: WantedObject,
        purpose: FetchFor,
        deadline: Option<Instant>,
    ) -> Result<Result<Value, Failure>> {
        let timeout = deadline.map_or(FETCH_TIMEOUT, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        let cell = WaitCell::new(1, false);
        let request = self.begin_fetch(&cell, wanted, purpose);
        self.net()
            .wait(&cell.waiter, Some(Instant::now() + timeout));
        let Some(places) = self.end_fetch(request) else {
            return Err(Error::GetTimeout(timeout));
        };
        Ok(places.and_then(|places| {
            let place = places.first().copied().ok_or_else(|| {
                Failure::System("the node answered for none of the objects it was asked for".into())
            });
            let (offset, len) = place?;
            let slot = ray_shm::Slot { offset, len };
            self.mapped_value(slot, self.node_process, Some((wanted.object, request)), 0)
        }))
    }

    /// Asks the node for a copy; the answer counts for the cell.
    pub(super) fn begin_fetch(
        self: &Arc<Self>,
        cell: &Arc<WaitCell>,
        wanted: WantedObject,
        purpose: FetchFor,
    ) -> u64 {
        let request = self.requests.open(cell);
        self.send_to_node(Message::Fetch {
            request,
            purpose,
            wanted: vec![wanted],
        });
        request
    }

    /// Takes the answer of the node; takes the question back when there is none yet.
    pub(super) fn end_fetch(
        self: &Arc<Self>,
        request: u64,
    ) -> Option<Result<Vec<(u64, u64)>, Failure>> {
        match self.requests.close(request) {
            Some(Message::Fetched { outcome, .. }) => Some(outcome.map_err(|(_, failure)| failure)),
            Some(other) => Some(Err(Failure::System(format!(
                "asked for an object and got {other:?}"
            )))),
            None => {
                self.send_to_node(Message::CancelFetch { request });
                None
            }
        }
    }
}
