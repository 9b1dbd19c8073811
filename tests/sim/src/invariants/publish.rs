//! An object is published once, with the value of the attempt that its owner sent last.

use std::collections::BTreeMap;

use ray_engine::ids::{ObjectId, ProcessId, TaskId};

use crate::wire::Value;

/// What is known of published objects.
#[derive(Default)]
pub struct Publish {
    /// The first outcome of each object that anybody saw; `None` for a failure at its owner.
    seen: BTreeMap<ObjectId, Option<Value>>,
    /// The last attempt of each task and who got it.
    sent: BTreeMap<TaskId, (u32, ProcessId)>,
}

impl Publish {
    /// An owner sends an attempt.
    pub fn on_sent(&mut self, task: TaskId, attempt: u32, to: ProcessId) {
        self.sent.insert(task, (attempt, to));
    }

    /// Somebody sees a value.
    ///
    /// # Errors
    /// When it is not the one that everybody else saw.
    pub fn on_value(
        &mut self,
        object: ObjectId,
        at: ProcessId,
        value: &Value,
    ) -> Result<(), String> {
        if value.object.index != 0 && value.object != object {
            return Err(format!(
                "{at} sees for {object} a value made for {}",
                value.object
            ));
        }
        match self.seen.get(&object) {
            Some(Some(first)) if first != value => Err(format!(
                "{at} sees {value:?} for {object}, and it was {first:?}"
            )),
            Some(Some(_)) => Ok(()),
            Some(None) => Err(format!(
                "{at} sees {value:?} for {object}, which had failed"
            )),
            None => {
                self.seen.insert(object, Some(value.clone()));
                self.check_attempt(object, value)
            }
        }
    }

    /// Published values come from the attempt that was sent last.
    fn check_attempt(&self, object: ObjectId, value: &Value) -> Result<(), String> {
        let made_by = self
            .sent
            .range(
                ..=TaskId {
                    owner: object.owner,
                    index: object.index,
                },
            )
            .next_back()
            .filter(|(task, _)| task.owner == object.owner);
        match made_by {
            Some((task, (attempt, worker)))
                if value.object.index != 0
                    && (value.attempt, value.maker) != (*attempt, *worker) =>
            {
                Err(format!(
                    "{object} got the value of attempt {} at {}, and attempt {attempt} of {task} is at {worker}",
                    value.attempt, value.maker
                ))
            }
            _ => Ok(()),
        }
    }

    /// Somebody sees a failure; only an owner's is final, borrowers may have lost their owner.
    pub fn on_failure(&mut self, object: ObjectId, at: ProcessId) {
        if object.owner == at {
            self.seen.entry(object).or_insert(None);
        }
    }
}
