//! A read that fails says why, and the reason is one that the seed has.

use std::collections::BTreeSet;

use ray_engine::{
    failure::Failure,
    ids::{ObjectId, ProcessId},
};

use super::{freed::Freed, references::References};

/// What may excuse a failure.
#[derive(Default)]
pub struct Reads {
    has_failed_start: bool,
    /// Processes that ended with their actor.
    ended: BTreeSet<ProcessId>,
}

impl Reads {
    /// A worker process could not be started.
    pub fn on_failed_start(&mut self) {
        self.has_failed_start = true;
    }

    /// A process ends since its actor does.
    pub fn on_actor_ended(&mut self, process: ProcessId) {
        self.ended.insert(process);
    }

    /// User code reads a failure.
    ///
    /// # Errors
    /// When nothing that happened excuses it.
    pub fn on_failure(
        &self,
        at: ProcessId,
        object: ObjectId,
        failure: &Failure,
        (references, freed): (&References, &Freed),
    ) -> Result<(), String> {
        // Whoever lost a connection is about to be ended, and takes the other for dead until then.
        let is_excused = references.has_crashed(at)
            || match failure {
                Failure::ObjectFreed(object) => {
                    freed.contains(*object) || references.may_be_lost(*object)
                }
                Failure::OwnerDied { owner, .. } => {
                    references.has_crashed(*owner) || self.ended.contains(owner)
                }
                Failure::WorkerCrashed(_) => references.has_any_crashed(),
                Failure::System(_) => self.has_failed_start,
                Failure::WouldDeadlock(_) => false,
                _ => true,
            };
        if is_excused {
            Ok(())
        } else {
            Err(format!("a held reference to {object} gives {failure:?}"))
        }
    }
}
