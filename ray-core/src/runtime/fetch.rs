//! Values of other nodes: copied into this node's arena before they are read.

use std::{sync::Arc, task::Waker, time::Instant};

use ray_shm::Pin;

use ray_engine::{failure::Failure, ids::ObjectId};

use super::{Runtime, waiters::WaitCell};
use crate::{
    Error, Result,
    config::FETCH_TIMEOUT,
    store::{HeldValue, Value},
    wire::{FetchFor, Message, WantedObject},
};

/// The copies of objects, or which of them cannot be had.
type Fetched = Result<Vec<(ObjectId, Value)>, (ObjectId, Failure)>;

impl Runtime {
    /// Sees to it that the bytes of a value are on this node, in memory, and keeps them there.
    ///
    /// # Errors
    /// `GetTimeout` at the deadline; `ObjectLost` when the node that had it is gone or its disk is broken.
    pub(crate) fn localize(
        self: &Arc<Self>,
        value: &Value,
        deadline: Option<Instant>,
    ) -> Result<Option<Pin>> {
        if let Some(wanted) = value.missing() {
            let fetched = self.fetch(&[wanted], FetchFor::Get, deadline)?;
            self.take_copies(&[value], fetched)?;
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
        let pin = self.localize(&value, deadline)?;
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
                    if let Err(error) = runtime.localize(&value, None) {
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

    /// Brings the arguments of a call here, all of them together, and keeps them in memory.
    ///
    /// # Errors
    /// Why one of them cannot be had.
    pub(crate) fn bring_arguments<'a>(
        self: &Arc<Self>,
        values: impl Iterator<Item = &'a Value>,
        purpose: FetchFor,
    ) -> Result<Vec<Option<Pin>>, Failure> {
        let values = values.collect::<Vec<_>>();
        let mut wanted: Vec<WantedObject> = Vec::new();
        for missing in values.iter().filter_map(|value| value.missing()) {
            if wanted.iter().all(|other| other.object != missing.object) {
                wanted.push(missing);
            }
        }
        let to_failure = |error: Error| Failure::System(error.to_string());
        if !wanted.is_empty() {
            let fetched = self.fetch(&wanted, purpose, None).map_err(to_failure)?;
            self.take_copies(&values, fetched)?;
        }
        let pins = values.iter().map(|value| match value.fetch_failure() {
            Some(failure) => Err(failure),
            None => self.bring_back(value, None).map_err(to_failure),
        });
        pins.collect()
    }

    /// Asks for copies of objects and waits for all of them.
    fn fetch(
        self: &Arc<Self>,
        wanted: &[WantedObject],
        purpose: FetchFor,
        deadline: Option<Instant>,
    ) -> Result<Fetched> {
        let timeout = deadline.map_or(FETCH_TIMEOUT, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        let cell = WaitCell::new(1, false);
        let request = self.begin_fetch(&cell, wanted.to_vec(), purpose);
        self.net()
            .wait(&cell.waiter, Some(Instant::now() + timeout));
        let Some(places) = self.end_fetch(request) else {
            return Err(Error::GetTimeout(timeout));
        };
        Ok(places.and_then(|places| {
            let copies = wanted.iter().zip(places).map(|(wanted, (offset, len))| {
                let (object, slot) = (wanted.object, ray_shm::Slot { offset, len });
                let copy = self.mapped_value(slot, self.node_process, Some((object, request)), 0);
                copy.map(|copy| (object, copy))
                    .map_err(|failure| (object, failure))
            });
            copies.collect()
        }))
    }

    /// Gives values of other nodes the copies that were fetched for them.
    ///
    /// # Errors
    /// Why there are none; a value that will never have one remembers it.
    fn take_copies(&self, values: &[&Value], fetched: Fetched) -> Result<(), Failure> {
        let of = |object: ObjectId| {
            let values = values.iter();
            values.filter(move |value| {
                value
                    .missing()
                    .is_some_and(|missing| missing.object == object)
            })
        };
        match fetched {
            Ok(copies) => {
                for (object, copy) in copies {
                    of(object).for_each(|value| value.set_copy(Ok(copy.clone())));
                }
                Ok(())
            }
            Err((object, failure)) => {
                let may_pass = matches!(
                    failure,
                    Failure::ObjectStoreFull { .. } | Failure::OutOfDisk(_)
                );
                if !may_pass {
                    of(object).for_each(|value| value.set_copy(Err(failure.clone())));
                }
                Err(failure)
            }
        }
    }

    /// Asks the node for copies; the answer counts for the cell.
    pub(super) fn begin_fetch(
        self: &Arc<Self>,
        cell: &Arc<WaitCell>,
        wanted: Vec<WantedObject>,
        purpose: FetchFor,
    ) -> u64 {
        let request = self.requests.open(cell);
        self.send_to_node(Message::Fetch {
            request,
            purpose,
            wanted,
        });
        request
    }

    /// Takes the answer of the node; takes the question back when there is none yet.
    pub(super) fn end_fetch(
        self: &Arc<Self>,
        request: u64,
    ) -> Option<Result<Vec<(u64, u64)>, (ObjectId, Failure)>> {
        match self.requests.close(request) {
            Some(Message::Fetched { outcome, .. }) => Some(outcome),
            Some(other) => {
                let text = format!("asked for an object and got {other:?}");
                Some(Err((ObjectId::default(), Failure::System(text))))
            }
            None => {
                self.send_to_node(Message::CancelFetch { request });
                None
            }
        }
    }
}
