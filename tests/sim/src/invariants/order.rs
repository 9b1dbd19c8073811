//! Calls of one process begin in the order of submission, each at most once an incarnation.

use std::collections::{BTreeMap, BTreeSet};

use ray_engine::ids::{ActorId, ProcessId, TaskId};

use crate::wire::CallTraits;

/// What has begun.
#[derive(Default)]
pub struct Order {
    /// The newest ordered call that began, by actor, life and caller.
    newest: BTreeMap<(ActorId, u64, ProcessId), u64>,
    begun: BTreeSet<(TaskId, u32)>,
    begun_once: BTreeSet<TaskId>,
    /// Calls that user code failed: a retry goes to the end.
    tried_again: BTreeSet<TaskId>,
}

impl Order {
    /// User code failed in a call, which may be tried again behind others.
    pub fn on_user_failure(&mut self, task: TaskId) {
        self.tried_again.insert(task);
    }

    /// A method begins at `at`.
    ///
    /// # Errors
    /// When it begins twice, or after one that was submitted later.
    pub fn on_begin(
        &mut self,
        (actor, incarnation, task, attempt): (ActorId, u64, TaskId, u32),
        at: ProcessId,
        call: CallTraits,
    ) -> Result<(), String> {
        if !self.begun.insert((task, attempt)) {
            return Err(format!("attempt {attempt} of {task} begins again, at {at}"));
        }
        let was_tried_again = self.tried_again.contains(&task);
        if !self.begun_once.insert(task) && !call.may_repeat && !was_tried_again {
            return Err(format!("{task} may run once and begins again, at {at}"));
        }
        if !call.is_ordered || was_tried_again {
            return Ok(());
        }
        let newest = self
            .newest
            .entry((actor, incarnation, task.owner))
            .or_default();
        if task.index < *newest {
            return Err(format!(
                "{task} begins at {at} after call {newest} of the same process"
            ));
        }
        *newest = task.index;
        Ok(())
    }
}
