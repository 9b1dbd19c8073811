//! Threads and futures that wait for objects.

use std::{
    collections::hash_map::Entry,
    sync::{
        Arc,
        atomic::{AtomicIsize, Ordering},
    },
    task::Waker,
};

use parking_lot::Mutex;
use ray_engine::ids::ObjectId;
use ray_net::Waiter;
use rustc_hash::FxHashMap;

/// One waiting thread or future, told when enough of its objects are there.
pub(crate) struct WaitCell {
    pub(crate) waiter: Waiter,
    missing: AtomicIsize,
    /// Whether the first failure ends the wait.
    ends_on_failure: bool,
    waker: Mutex<Option<Waker>>,
}

impl WaitCell {
    /// Waits for `missing` more objects.
    pub(crate) fn new(missing: usize, ends_on_failure: bool) -> Arc<WaitCell> {
        Arc::new(WaitCell {
            waiter: Waiter::new(),
            missing: AtomicIsize::new(isize::try_from(missing).unwrap_or(isize::MAX)),
            ends_on_failure,
            waker: Mutex::new(None),
        })
    }

    /// Wakes this future as well as the thread.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        *self.waker.lock() = Some(waker.clone());
    }

    /// Counts one object as there.
    pub(crate) fn on_resolved(&self, failed: bool) {
        let left = self.missing.fetch_sub(1, Ordering::AcqRel) - 1;
        if left <= 0 || (failed && self.ends_on_failure) {
            self.notify();
        }
    }

    /// Ends the wait.
    pub(crate) fn notify(&self) {
        self.waiter.notify();
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
    }
}

/// Who waits for what.
#[derive(Default)]
pub(crate) struct Waiters(FxHashMap<ObjectId, Vec<Arc<WaitCell>>>);

impl Waiters {
    /// Adds a waiting cell for `object`.
    pub(crate) fn add(&mut self, object: ObjectId, cell: &Arc<WaitCell>) {
        self.0.entry(object).or_default().push(cell.clone());
    }

    /// Takes a cell back that stopped waiting.
    pub(crate) fn remove(&mut self, object: ObjectId, cell: &Arc<WaitCell>) {
        if let Entry::Occupied(mut entry) = self.0.entry(object) {
            entry
                .get_mut()
                .retain(|waiting| !Arc::ptr_eq(waiting, cell));
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }

    /// Ends every wait.
    pub(crate) fn wake_all(&mut self) {
        for cell in std::mem::take(&mut self.0).into_values().flatten() {
            cell.notify();
        }
    }

    /// Tells everyone who waits for `object`.
    pub(crate) fn resolve(&mut self, object: ObjectId, failed: bool) {
        for cell in self.0.remove(&object).unwrap_or_default() {
            cell.on_resolved(failed);
        }
    }
}
