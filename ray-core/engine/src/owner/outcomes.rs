//! Outcomes of objects: who waits for one, who asks for one, and who is told.

use std::sync::Arc;

use super::{
    Command, ObjectState, Owner,
    object::{Outcome, Owned},
};
use crate::{
    failure::Failure,
    ids::{ObjectId, ProcessId},
    time::Time,
};

impl<P: Clone, V: Clone> Owner<P, V> {
    /// Returns what is known of an object.
    pub fn state(&self, object: ObjectId) -> ObjectState<'_, V> {
        let outcome = if object.owner == self.process {
            match self.owned.get(object.index) {
                Some(owned) => &owned.outcome,
                None => return ObjectState::Unknown,
            }
        } else {
            match self.borrowed.get(&object) {
                Some(borrowed) => &borrowed.outcome,
                None => return ObjectState::Unknown,
            }
        };
        match outcome {
            None => ObjectState::Pending,
            Some(Outcome::Ready(value)) => ObjectState::Ready(value),
            Some(Outcome::Failed(failure)) => ObjectState::Failed(failure.clone()),
        }
    }

    /// Returns the references inside an object's value.
    pub fn contained(&self, object: ObjectId) -> &[ObjectId] {
        if object.owner == self.process {
            self.owned.get(object.index).map_or(&[], Owned::contained)
        } else {
            self.borrowed
                .get(&object)
                .map_or(&[], |borrowed| &borrowed.contained)
        }
    }

    /// Asks for [`Command::Resolved`] once the object has an outcome.
    pub fn watch(&mut self, object: ObjectId) {
        if object.owner == self.process {
            match self.owned.get_mut(object.index) {
                Some(owned) if owned.outcome.is_none() => owned.is_watched = true,
                _ => self.commands.push_back(Command::Resolved { object }),
            }
            return;
        }
        match self.borrowed.get_mut(&object) {
            Some(borrowed) if borrowed.outcome.is_none() => {
                borrowed.is_watched = true;
                self.ask(object);
            }
            _ => self.commands.push_back(Command::Resolved { object }),
        }
    }

    fn ask(&mut self, object: ObjectId) {
        if self.is_dead(object.owner) {
            let failure = Arc::new(owner_died(object));
            return self.resolve_borrowed(object, Outcome::Failed(failure));
        }
        if let Some(borrowed) = self.borrowed.get_mut(&object)
            && !borrowed.is_asked
        {
            borrowed.is_asked = true;
            self.commands.push_back(Command::AskOwner {
                owner: object.owner,
                object,
            });
        }
    }

    /// A borrower asks for an object's outcome; it is answered when there is one.
    pub fn on_ask(&mut self, object: ObjectId, from: ProcessId) {
        if self.is_dead(from) {
            return;
        }
        match self.owned.get_mut(object.index) {
            Some(owned) if owned.outcome.is_none() => owned.more().asks.push(from),
            _ => self
                .commands
                .push_back(Command::Answer { to: from, object }),
        }
    }

    /// An owner answered about a borrowed object.
    pub fn on_value(
        &mut self,
        object: ObjectId,
        outcome: Result<(V, Vec<ObjectId>), Failure>,
        now: Time,
    ) {
        self.now = now;
        if self
            .borrowed
            .get(&object)
            .is_none_or(|borrowed| borrowed.outcome.is_some())
        {
            return;
        }
        let outcome = match outcome {
            Ok((value, contained)) => {
                for id in &contained {
                    self.add_handle(*id);
                }
                if let Some(borrowed) = self.borrowed.get_mut(&object) {
                    borrowed.contained = contained;
                }
                Outcome::Ready(value)
            }
            Err(failure) => Outcome::Failed(Arc::new(failure)),
        };
        self.resolve_borrowed(object, outcome);
    }

    pub(super) fn resolve_borrowed(&mut self, object: ObjectId, outcome: Outcome<V>) {
        let Some(borrowed) = self.borrowed.get_mut(&object) else {
            return;
        };
        borrowed.outcome = Some(outcome);
        let waiting = std::mem::take(&mut borrowed.waiting);
        if std::mem::take(&mut borrowed.is_watched) {
            self.commands.push_back(Command::Resolved { object });
        }
        self.wake_tasks(waiting, object);
    }

    /// Gives an owned object its outcome and tells everyone who waits.
    pub(super) fn publish(
        &mut self,
        index: u64,
        outcome: Result<(V, Vec<ObjectId>), Arc<Failure>>,
    ) {
        let object = ObjectId {
            owner: self.process,
            index,
        };
        let Some(owned) = self.owned.get_mut(index) else {
            return;
        };
        assert!(owned.outcome.is_none(), "an object is published once");
        let contained = match outcome {
            Ok((value, contained)) => {
                owned.outcome = Some(Outcome::Ready(value));
                contained
            }
            Err(failure) => {
                owned.outcome = Some(Outcome::Failed(failure));
                Vec::new()
            }
        };
        owned.task = 0;
        let mut waiting = Vec::new();
        if let Some(more) = &mut owned.more {
            waiting = std::mem::take(&mut more.waiting);
            for from in std::mem::take(&mut more.asks) {
                self.commands
                    .push_back(Command::Answer { to: from, object });
            }
        }
        if std::mem::take(&mut owned.is_watched) {
            self.commands.push_back(Command::Resolved { object });
        }
        if !contained.is_empty() {
            for id in &contained {
                self.add_handle(*id);
            }
            if let Some(owned) = self.owned.get_mut(index) {
                owned.set_contained(contained);
            }
        }
        if !waiting.is_empty() {
            self.wake_tasks(waiting, object);
        }
        self.free_early(index);
        self.settle(index);
    }

    /// Returns the outcome of a borrowed object, if it is one.
    pub(super) fn borrowed_outcome(&mut self, object: ObjectId) -> Option<&mut Option<Outcome<V>>> {
        let borrowed = self.borrowed.get_mut(&object)?;
        Some(&mut borrowed.outcome)
    }

    /// Returns whether calls of this process that have not ended use a borrowed object.
    pub(super) fn is_borrowed_used(&self, object: ObjectId) -> bool {
        let borrowed = self.borrowed.get(&object);
        borrowed.is_some_and(|borrowed| borrowed.dependents > 0)
    }

    /// Holds an object for a task; returns whether the task must wait for it, or why it cannot run.
    pub(super) fn depend(&mut self, task: u64, object: ObjectId) -> Result<bool, Arc<Failure>> {
        if let ObjectState::Failed(failure) = self.state(object)
            && matches!(*failure, Failure::ObjectFreed(_))
        {
            // There is nothing to hold.
            return Err(failure);
        }
        if object.owner == self.process {
            let Some(owned) = self.owned.get_mut(object.index) else {
                return Err(Arc::new(Failure::ObjectFreed(object)));
            };
            owned.dependents += 1;
            match &owned.outcome {
                None => owned.more().waiting.push(task),
                Some(Outcome::Ready(_)) => return Ok(false),
                Some(Outcome::Failed(failure)) => return Err(failure.clone()),
            }
            return Ok(true);
        }
        let is_orphan = self.is_dead(object.owner);
        let Some(borrowed) = self.borrowed.get_mut(&object) else {
            return Err(Arc::new(Failure::ObjectFreed(object)));
        };
        borrowed.local += 1;
        borrowed.dependents += 1;
        match &borrowed.outcome {
            None if is_orphan => return Err(Arc::new(owner_died(object))),
            None => borrowed.waiting.push(task),
            Some(Outcome::Ready(_)) => return Ok(false),
            Some(Outcome::Failed(failure)) => return Err(failure.clone()),
        }
        self.ask(object);
        Ok(true)
    }

    /// Counts a borrowed object as used by a call of this process, which holds it.
    pub(super) fn add_borrowed_dependent(&mut self, object: ObjectId) {
        self.add_handle(object);
        if let Some(borrowed) = self.borrowed.get_mut(&object) {
            borrowed.dependents += 1;
        }
    }

    pub(super) fn add_dependent(&mut self, index: u64) {
        if let Some(owned) = self.owned.get_mut(index) {
            owned.dependents += 1;
        }
    }

    /// Ends a task's hold of an object.
    pub(super) fn undepend(&mut self, object: ObjectId) {
        if object.owner == self.process {
            if let Some(owned) = self.owned.get_mut(object.index) {
                owned.dependents = owned.dependents.saturating_sub(1);
                self.settle(object.index);
            }
        } else {
            if let Some(borrowed) = self.borrowed.get_mut(&object) {
                borrowed.dependents = borrowed.dependents.saturating_sub(1);
            }
            self.end_doomed_borrowed(object);
            self.drop_handle(object);
        }
    }

    pub(super) fn fail_borrowed_of(&mut self, owner: ProcessId) {
        let mut lost = self
            .borrowed
            .iter()
            .filter(|(object, borrowed)| object.owner == owner && borrowed.outcome.is_none())
            .map(|(object, _)| *object)
            .collect::<Vec<_>>();
        lost.sort_unstable();
        for object in lost {
            self.resolve_borrowed(object, Outcome::Failed(Arc::new(owner_died(object))));
        }
    }
}

fn owner_died(object: ObjectId) -> Failure {
    Failure::OwnerDied {
        object,
        owner: object.owner,
    }
}
