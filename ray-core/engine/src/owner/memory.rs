//! Tasks whose workers were ended for want of memory: they are tried again later, each time after a longer pause.

use std::{sync::Arc, time::Duration};

use super::{
    Owner,
    tasks::{Kind, Stage},
};
use crate::{failure::Failure, time::Time};

impl<P: Clone, V: Clone> Owner<P, V> {
    /// The worker of a running task was ended for want of memory; that uses up none of its other retries.
    pub(super) fn on_out_of_memory(&mut self, index: u64, failure: &Failure, now: Time) {
        let limit = u32::try_from(self.limits.oom_retries).ok();
        let Some(task) = self.tasks.get_mut(index) else {
            return;
        };
        if !task.may_rerun || limit.is_some_and(|limit| task.oom_deaths >= limit) {
            return self.fail_task(index, &Arc::new(failure.clone()));
        }
        let pause = PAUSE * 2_u32.saturating_pow(task.oom_deaths);
        task.oom_deaths += 1;
        task.attempt += 1;
        task.stage = Stage::Waiting;
        self.delayed.insert((now + pause.min(PAUSE_MAX), index));
    }

    /// Queues the tasks whose pause is over.
    pub(super) fn resume_delayed(&mut self, now: Time) {
        while let Some((due, index)) = self.delayed.first().copied() {
            if due > now {
                return;
            }
            self.delayed.pop_first();
            // It may have been cancelled meanwhile.
            let Some(task) = self.tasks.get(index) else {
                continue;
            };
            if let Kind::Task { shape, .. } = task.kind {
                self.enqueue(index, true);
                self.dispatch(shape, now);
            }
        }
    }
}

/// How long a task waits after the first time.
const PAUSE: Duration = Duration::from_secs(1);
/// What the pause doubles up to.
const PAUSE_MAX: Duration = Duration::from_secs(60);
