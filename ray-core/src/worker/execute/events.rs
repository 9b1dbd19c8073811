//! Calls that have ended: the newest are remembered, for whoever looks at the cluster.
//!
//! Noting a call takes two looks at the clock. Of a method that takes microseconds that would be a good part, so
//! that only one of many of its calls is noted; it says for how many it stands.

use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ray_engine::ids::{ActorId, TaskId};
use rustc_hash::FxHashMap;

use super::{Execution, Executor};
use crate::{
    __private::Method,
    config::EVENTS_KEPT,
    wire::{CallTarget, EventRow},
};

/// What a process remembers of the calls that it ran.
pub(super) struct Events {
    /// The same moment by both clocks.
    epoch: Instant,
    epoch_ns: u64,
    kept: VecDeque<Event>,
    /// How many were forgotten for newer ones.
    forgotten: u64,
    paces: FxHashMap<u64, Pace>,
}

struct Event {
    task: TaskId,
    begun: Begun,
    duration: Duration,
    has_failed: bool,
}

/// A call that is noted and runs.
pub(super) struct Begun {
    at: Instant,
    attempt: u32,
    method: &'static Method,
    actor: Option<ActorId>,
    stands_for: u32,
}

impl Executor {
    /// Returns the newest calls that have ended, and how many older ones are forgotten.
    pub(crate) fn events(&self) -> (Vec<EventRow>, u64) {
        let state = self.state.lock();
        let rows = state
            .events
            .kept
            .iter()
            .map(|event| state.events.row(event));
        (rows.collect(), state.events.forgotten)
    }
}

impl Events {
    pub(super) fn new() -> Events {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Events {
            epoch: Instant::now(),
            epoch_ns: since.map_or(0, nanos),
            kept: VecDeque::new(),
            forgotten: 0,
            paces: FxHashMap::default(),
        }
    }

    /// A call begins, at a moment that is known of tasks; returns what to give back at its end.
    pub(super) fn begin(
        &mut self,
        execution: &Execution,
        started: Option<Instant>,
    ) -> Option<Begun> {
        let method = execution.method.filter(|_| !execution.is_system())?;
        let stands_for = match started {
            Some(_) => 1,
            None => self.paces.entry(method.id).or_default().begin()?,
        };
        Some(Begun {
            at: started.unwrap_or_else(Instant::now),
            attempt: execution.attempt,
            method,
            actor: match execution.target {
                CallTarget::Task { .. } => None,
                CallTarget::Method { actor, .. } | CallTarget::Create { actor, .. } => Some(actor),
            },
            stands_for,
        })
    }

    /// A call that was noted has ended; how long it took is known of tasks.
    pub(super) fn end(
        &mut self,
        task: TaskId,
        begun: Begun,
        has_failed: bool,
        took: Option<Duration>,
    ) {
        let duration = took.unwrap_or_else(|| begun.at.elapsed());
        if let Some(pace) = self.paces.get_mut(&begun.method.id) {
            pace.on_ended(duration);
        }
        if self.kept.len() == EVENTS_KEPT {
            self.kept.pop_front();
            self.forgotten += 1;
        }
        self.kept.push_back(Event {
            task,
            begun,
            duration,
            has_failed,
        });
    }

    fn row(&self, event: &Event) -> EventRow {
        let begun = &event.begun;
        let since = begun.at.saturating_duration_since(self.epoch);
        EventRow {
            task: event.task,
            attempt: begun.attempt,
            function: begun.method.name.chars().take(NAME_CHARS_MAX).collect(),
            actor: begun.actor,
            start_ns: self.epoch_ns.saturating_add(nanos(since)),
            duration_ns: nanos(event.duration),
            has_failed: event.has_failed,
            stands_for: begun.stands_for,
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// How often calls of one method are noted.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// Short calls in a row.
    short: u32,
    /// Calls that were not noted since one was.
    skipped: u32,
}

impl Pace {
    /// A call begins; returns for how many it is noted, if it is.
    fn begin(&mut self) -> Option<u32> {
        if self.short < SHORT_IN_A_ROW || self.skipped + 1 == ONE_OF {
            return Some(std::mem::take(&mut self.skipped) + 1);
        }
        self.skipped += 1;
        None
    }

    fn on_ended(&mut self, duration: Duration) {
        self.short = match duration < SHORT {
            true => self.short.saturating_add(1),
            false => 0,
        };
    }
}

/// A call that takes less is short.
const SHORT: Duration = Duration::from_micros(20);
/// After so many short calls of a method, each is noted no more.
const SHORT_IN_A_ROW: u32 = 64;
/// Of short calls one of this many is noted.
const ONE_OF: u32 = 64;
/// A longer name is cut, so that an answer fits into one message.
const NAME_CHARS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_calls_are_counted_and_one_of_many_is_noted() {
        let mut pace = Pace::default();
        for _ in 0..SHORT_IN_A_ROW {
            assert_eq!(pace.begin(), Some(1));
            pace.on_ended(Duration::from_micros(1));
        }
        let noted: Vec<u32> = (0..3 * ONE_OF).filter_map(|_| pace.begin()).collect();
        assert_eq!(noted, [ONE_OF; 3], "nothing is counted twice or lost");
        // A long one shows that they may all be worth noting.
        pace.on_ended(Duration::from_millis(1));
        assert_eq!(pace.begin(), Some(1));
        assert_eq!(pace.begin(), Some(1));
    }
}
