//! The last changes of a store in memory, for those who watch it.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::{Event, Revision, Room, StoreError, StoreResult};

/// Changes kept for watchers that are behind.
const EVENTS_MAX: usize = 16 << 10;

/// Where a store's writer tells its watchers.
pub(super) struct Feed {
    state: Mutex<FeedState>,
    grown: Condvar,
}

struct FeedState {
    events: VecDeque<Event>,
    /// Changes up to here are gone.
    compacted: Revision,
}

impl Feed {
    /// Begins after `revision`: what came before it is not kept.
    pub(super) fn new(revision: Revision) -> Arc<Feed> {
        Arc::new(Feed {
            state: Mutex::new(FeedState {
                events: VecDeque::new(),
                compacted: revision,
            }),
            grown: Condvar::new(),
        })
    }

    /// Takes the changes of one transaction, in the order of the transactions.
    pub(super) fn publish(&self, events: Vec<Event>) {
        let mut state = self.state.lock();
        state.events.extend(events);
        while state.events.len() > EVENTS_MAX {
            let gone = state.events.pop_front().expect("it is over its limit");
            state.compacted = gone.revision;
        }
        drop(state);
        self.grown.notify_all();
    }

    /// Goes on after a failure: changes up to `revision` that were not published are told as lost.
    pub(super) fn resume(&self, revision: Revision) {
        let mut state = self.state.lock();
        let last = state
            .events
            .back()
            .map_or(state.compacted, |event| event.revision);
        if last < revision {
            state.events.clear();
            state.compacted = revision;
            drop(state);
            self.grown.notify_all();
        }
    }

    pub(super) fn watch(self: &Arc<Self>, room: Room, after: Revision) -> StoreResult<Watch> {
        let compacted = self.state.lock().compacted;
        if after < compacted {
            return Err(StoreError::Compacted(compacted.0));
        }
        Ok(Watch {
            feed: self.clone(),
            room,
            seen: after,
        })
    }
}

/// Follows one room of a store.
pub(crate) struct Watch {
    feed: Arc<Feed>,
    room: Room,
    seen: Revision,
}

impl Watch {
    /// Returns the changes since the last call, none when there are none.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] when the watcher fell too far behind.
    pub(crate) fn poll(&mut self) -> StoreResult<Vec<Event>> {
        self.next(Duration::ZERO)
    }

    /// Returns the changes since the last call, waiting up to `limit` for the first.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] when the watcher fell too far behind.
    pub(crate) fn next(&mut self, limit: Duration) -> StoreResult<Vec<Event>> {
        let deadline = Instant::now() + limit;
        let mut state = self.feed.state.lock();
        loop {
            if self.seen < state.compacted {
                return Err(StoreError::Compacted(state.compacted.0));
            }
            // Revisions rise along the queue, so what is new stands together at its end.
            let start = state
                .events
                .partition_point(|event| event.revision <= self.seen);
            let new = state.events.range(start..);
            let events: Vec<Event> = new
                .filter(|event| event.key.room() == self.room)
                .cloned()
                .collect();
            if let Some(last) = state.events.back() {
                self.seen = self.seen.max(last.revision);
            }
            if !events.is_empty() || self.feed.grown.wait_until(&mut state, deadline).timed_out() {
                return Ok(events);
            }
        }
    }
}
