//! How many worker processes there are at most, and what happens when nobody there can go on.
//!
//! Processes that host actors do not count: an actor may idle for as long as it likes, and must not keep
//! tasks from running. Nor do those that only wait for what they own to be done with. At the limit an idle process of
//! other work makes place. When every process that counts waits for results of others, an actor may yet have the
//! answer: as long as one is there the limit gives way, by one process at a time after a delay that doubles.
//! Without one nobody would ever run the rest, and it is refused.

use std::time::Duration;

use super::{Command, NodeScheduler, WorkerState};
use crate::{failure::Failure, time::Time};

/// How far the limit has given way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Relief {
    extra: usize,
    /// How often it has given way since there was room last.
    times: u32,
    due: Option<Time>,
}

impl NodeScheduler {
    fn workers_allowed(&self) -> usize {
        self.config.workers_max + self.relief.extra
    }

    /// Returns how many processes more may be started while so many actors wait for one.
    pub(super) fn room_for_workers(&self, actors: usize) -> usize {
        let counted = self
            .workers
            .iter()
            .filter(|(process, worker)| {
                worker.state != WorkerState::Retired && !self.hosts_actor(**process)
            })
            .count();
        // Those of the actors count until the actors have them.
        (self.workers_allowed() + actors).saturating_sub(counted + self.spawning.len())
    }

    /// Returns how many more tasks may be given a process at once.
    pub(super) fn room_for_tasks(&self) -> usize {
        let leases = self.leases.values();
        let tasks = leases.filter(|lease| lease.actor.is_none()).count();
        self.workers_allowed().saturating_sub(tasks)
    }

    /// Everything that waits for a process can have one.
    pub(super) fn on_room(&mut self) {
        self.relief = Relief::default();
    }

    /// Tasks wait for processes, and no more may be started for them.
    pub(super) fn on_no_room(&mut self, now: Time) {
        let mut goes_on = false;
        let mut has_actor = false;
        for (process, worker) in &self.workers {
            if self.hosts_actor(*process) {
                has_actor = true;
            } else if worker.state != WorkerState::Retired {
                goes_on |= worker.blocked == 0;
            }
        }
        if goes_on || !self.spawning.is_empty() {
            self.relief.due = None;
        } else if has_actor && self.relief.extra < self.config.workers_max {
            let delay = RELIEF_DELAY * 2_u32.saturating_pow(self.relief.times);
            let due = now + delay.min(RELIEF_DELAY_MAX);
            self.relief.due.get_or_insert(due);
        } else {
            self.refuse_deadlocked();
        }
    }

    /// Returns when an idle process is to end, and how many may go by then.
    pub(super) fn surplus(&self) -> Option<(Time, usize)> {
        let idle = self.idle_workers();
        let kept = self.config.workers_kept;
        let over = idle.len().saturating_sub(kept);
        // Where there is no room one that is not needed makes place for one that is.
        let over = over.max(usize::from(self.is_short));
        let (since, _) = idle.first().filter(|_| over > 0)?;
        Some((Time(since.0 + self.config.idle_nanos), over))
    }

    /// Stops processes that have been idle for long and are not to be kept.
    pub(super) fn stop_surplus(&mut self, now: Time) {
        let Some((_, surplus)) = self.surplus() else {
            return;
        };
        for (since, process) in self.idle_workers().into_iter().take(surplus) {
            if now.since(since).as_nanos() >= u128::from(self.config.idle_nanos) {
                if let Some(worker) = self.workers.get_mut(&process) {
                    worker.state = WorkerState::Stopping;
                }
                self.commands.push_back(Command::StopWorker { process });
            }
        }
    }

    /// Returns when the limit gives way.
    pub(super) fn next_relief(&self) -> Option<Time> {
        self.relief.due
    }

    /// Lets the limit give way when that is due.
    pub(super) fn relieve(&mut self, now: Time) {
        if self.relief.due.is_some_and(|due| due <= now) {
            self.relief = Relief {
                extra: self.relief.extra + 1,
                times: self.relief.times + 1,
                due: None,
            };
            self.schedule(now);
        }
    }

    /// With every process blocked and none allowed any more, nobody would ever run the rest.
    fn refuse_deadlocked(&mut self) {
        let count = self.workers.len();
        for request in std::mem::take(&mut self.requests) {
            let failure = Failure::WouldDeadlock(format!(
                "all {count} worker processes wait for results of others, and no more may be started"
            ));
            self.give_up_on(request, failure);
        }
    }
}

/// How long all processes wait before the limit first gives way.
const RELIEF_DELAY: Duration = Duration::from_millis(250);
/// What the delay doubles up to.
const RELIEF_DELAY_MAX: Duration = Duration::from_secs(10);
