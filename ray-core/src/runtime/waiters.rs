//! Threads and futures that wait for objects.

use std::{
    sync::{
        Arc,
        atomic::{AtomicIsize, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use ray_engine::{
    ids::{ObjectId, ProcessId},
    table::Table,
};
use ray_net::Waiter;
use rustc_hash::FxHashMap;

/// Returns the moment at which a time limit ends that a user set; one that is longer than time goes on is for ever.
pub(crate) fn time_limit(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit).unwrap_or(now + FOR_EVER)
}

/// A hundred years.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// One waiting thread or future, told when enough of its objects are there.
pub(crate) struct WaitCell {
    pub(crate) waiter: Waiter,
    missing: AtomicIsize,
    /// Whether the first failure ends the wait.
    ends_on_failure: bool,
    /// Whether a value on another node is not there yet, but to be looked at.
    wants_bytes: bool,
    waker: Mutex<Option<Waker>>,
    /// How the objects wait for the one that waits for them, when they do.
    circle: Mutex<Option<String>>,
}

impl WaitCell {
    /// Waits for `missing` more objects.
    pub(crate) fn new(missing: usize, ends_on_failure: bool) -> Arc<WaitCell> {
        Arc::new(WaitCell {
            waiter: Waiter::new(),
            missing: AtomicIsize::new(isize::try_from(missing).unwrap_or(isize::MAX)),
            ends_on_failure,
            wants_bytes: false,
            waker: Mutex::new(None),
            circle: Mutex::new(None),
        })
    }

    /// Waits for values that are on this node; [`WaitCell::expect`] says for how many.
    pub(crate) fn for_bytes() -> Arc<WaitCell> {
        Arc::new(WaitCell {
            waiter: Waiter::new(),
            missing: AtomicIsize::new(0),
            ends_on_failure: false,
            wants_bytes: true,
            waker: Mutex::new(None),
            circle: Mutex::new(None),
        })
    }

    /// Forgets what was counted; what happens from here on counts for the next [`WaitCell::expect`].
    pub(crate) fn begin_round(&self) {
        self.waiter.reset();
        self.missing.store(0, Ordering::Release);
    }

    /// Waits for so many more.
    pub(crate) fn expect(&self, missing: usize) {
        let missing = isize::try_from(missing).unwrap_or(isize::MAX);
        if self.missing.fetch_add(missing, Ordering::AcqRel) + missing <= 0 {
            self.notify();
        }
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

    /// Returns whether nothing is missing any more.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing.load(Ordering::Acquire) <= 0
    }

    /// Ends a wait that would never end.
    pub(crate) fn end_in_circle(&self, circle: String) {
        *self.circle.lock() = Some(circle);
        self.notify();
    }

    /// Returns how the wait goes in a circle, if it was ended for that.
    pub(crate) fn circle(&self) -> Option<String> {
        self.circle.lock().take()
    }

    /// Ends the wait.
    pub(crate) fn notify(&self) {
        self.waiter.notify();
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
    }
}

/// What has become of an object that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// It has a value that can be read here.
    Here,
    /// It has a value on another node.
    Elsewhere,
    Failed,
}

/// Who waits for what.
pub(crate) struct Waiters {
    process: ProcessId,
    /// For objects of this process, by index.
    owned: Table<Cells>,
    borrowed: FxHashMap<ObjectId, Cells>,
}

/// Who waits for one object: mostly one.
enum Cells {
    One(Arc<WaitCell>),
    Many(Vec<Arc<WaitCell>>),
}

impl Cells {
    fn push(&mut self, cell: Arc<WaitCell>) {
        match self {
            Cells::Many(cells) => cells.push(cell),
            Cells::One(first) => *self = Cells::Many(vec![first.clone(), cell]),
        }
    }

    fn as_slice(&self) -> &[Arc<WaitCell>] {
        match self {
            Cells::One(cell) => std::slice::from_ref(cell),
            Cells::Many(cells) => cells,
        }
    }
}

impl Waiters {
    /// Nobody waits yet in `process`.
    pub(crate) fn new(process: ProcessId) -> Waiters {
        Waiters {
            process,
            owned: Table::default(),
            borrowed: FxHashMap::default(),
        }
    }

    fn cells(&mut self, object: ObjectId) -> Option<&mut Cells> {
        if object.owner == self.process {
            self.owned.get_mut(object.index)
        } else {
            self.borrowed.get_mut(&object)
        }
    }

    fn take(&mut self, object: ObjectId) -> Option<Cells> {
        if object.owner == self.process {
            self.owned.remove(object.index)
        } else {
            self.borrowed.remove(&object)
        }
    }

    /// Adds a waiting cell for `object`.
    pub(crate) fn add(&mut self, object: ObjectId, cell: &Arc<WaitCell>) {
        if let Some(cells) = self.cells(object) {
            return cells.push(cell.clone());
        }
        let cells = Cells::One(cell.clone());
        if object.owner == self.process {
            self.owned.insert(object.index, cells);
        } else {
            self.borrowed.insert(object, cells);
        }
    }

    /// Takes a cell back that stopped waiting.
    pub(crate) fn remove(&mut self, object: ObjectId, cell: &Arc<WaitCell>) {
        let Some(cells) = self.cells(object) else {
            return;
        };
        if let Cells::Many(cells) = cells {
            cells.retain(|waiting| !Arc::ptr_eq(waiting, cell));
        }
        let is_empty = match cells {
            Cells::One(waiting) => Arc::ptr_eq(waiting, cell),
            Cells::Many(cells) => cells.is_empty(),
        };
        if is_empty {
            self.take(object);
        }
    }

    /// Ends every wait.
    pub(crate) fn wake_all(&mut self) {
        let borrowed = std::mem::take(&mut self.borrowed);
        for cells in self.owned.drain().chain(borrowed.into_values()) {
            cells.as_slice().iter().for_each(|cell| cell.notify());
        }
    }

    /// Tells everyone who waits for `object`.
    pub(crate) fn resolve(&mut self, object: ObjectId, how: Resolved) {
        if let Some(cells) = self.take(object) {
            for cell in cells.as_slice() {
                match how {
                    Resolved::Elsewhere if cell.wants_bytes => cell.notify(),
                    _ => cell.on_resolved(how == Resolved::Failed),
                }
            }
        }
    }
}
