//! Values that are freed although somebody refers to them.
//!
//! From then on reading one fails. Its bytes go when nobody can look at them any more: calls that have it as an
//! argument have ended, and every borrower has said that it let go. Who borrows is told, and lets go when its
//! own calls with it have ended; until then the value is *doomed*.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Command, ObjectState, Owner, object::Outcome};
use crate::{
    failure::Failure,
    ids::{ObjectId, ProcessId},
    planted::{Bug, is_planted},
};

/// Values whose bytes go soon.
pub(super) struct Doomed<V> {
    owned: BTreeMap<u64, DoomedValue<V>>,
    borrowed: BTreeMap<ObjectId, BorrowedValue<V>>,
    /// Objects that were freed before they had a value.
    early: BTreeSet<u64>,
}

struct DoomedValue<V> {
    value: V,
    /// Borrowers that may look at it.
    awaited: BTreeSet<ProcessId>,
}

struct BorrowedValue<V> {
    value: V,
    /// Whether the owner waits for this process to let go.
    is_told: bool,
}

impl<V> Default for Doomed<V> {
    fn default() -> Doomed<V> {
        Doomed {
            owned: BTreeMap::new(),
            borrowed: BTreeMap::new(),
            early: BTreeSet::new(),
        }
    }
}

impl<P: Clone, V: Clone> Owner<P, V> {
    /// Frees a value, whoever refers to it: reading it fails from now on.
    ///
    /// Calls that were submitted with it run with it. What has no value yet is freed as it gets one. Of another
    /// process's object its owner is told.
    pub fn free(&mut self, object: ObjectId) {
        if object.owner != self.process {
            self.doom_borrowed(object, false);
            self.commands.push_back(Command::ForwardFree {
                owner: object.owner,
                object,
            });
            return;
        }
        match self.owned.get(object.index).map(|owned| &owned.outcome) {
            Some(None) => {
                self.doomed.early.insert(object.index);
            }
            Some(Some(Outcome::Ready(_))) => self.doom(object.index),
            Some(Some(Outcome::Failed(_))) | None => {}
        }
    }

    /// Returns what a call has as an argument, also when it was freed after the call was submitted.
    pub fn argument(&self, object: ObjectId) -> ObjectState<'_, V> {
        let doomed = if object.owner == self.process {
            let doomed = self.doomed.owned.get(&object.index);
            doomed.map(|doomed| &doomed.value)
        } else {
            let doomed = self.doomed.borrowed.get(&object);
            doomed.map(|doomed| &doomed.value)
        };
        match doomed {
            Some(value) => ObjectState::Ready(value),
            None => self.state(object),
        }
    }

    /// Keeps an argument's bytes for a call that is no task of this owner, as a constructor is.
    pub fn hold_argument(&mut self, object: ObjectId) {
        self.hold(object);
    }

    /// The call that was not a task of this owner has ended.
    pub fn let_argument_go(&mut self, object: ObjectId) {
        self.undepend(object);
    }

    fn doom(&mut self, index: u64) {
        let object = ObjectId {
            owner: self.process,
            index,
        };
        let Some(owned) = self.owned.get_mut(index) else {
            return;
        };
        let freed = Outcome::Failed(Arc::new(Failure::ObjectFreed(object)));
        let Some(Outcome::Ready(value)) = owned.outcome.replace(freed) else {
            unreachable!("only what has a value is doomed");
        };
        let awaited = owned.borrowers();
        for to in &awaited {
            self.commands
                .push_back(Command::TellFreed { to: *to, object });
        }
        let doomed = DoomedValue { value, awaited };
        self.doomed.owned.insert(index, doomed);
        self.end_doomed(index);
    }

    /// An object has its value; one that was freed before goes.
    pub(super) fn free_early(&mut self, index: u64) {
        let owned = self.owned.get(index).map(|owned| &owned.outcome);
        let has_value = matches!(owned, Some(Some(Outcome::Ready(_))));
        if self.doomed.early.remove(&index) && has_value {
            self.doom(index);
        }
    }

    /// Lets a doomed value go that nobody looks at any more.
    pub(super) fn end_doomed(&mut self, index: u64) {
        let doomed = self.doomed.owned.get(&index);
        let is_awaited = |doomed: &DoomedValue<V>| !doomed.awaited.is_empty();
        if doomed.is_none_or(is_awaited)
            || self.owned.get(index).is_some_and(|owned| owned.users() > 0)
        {
            return;
        }
        self.let_doomed_go(index);
        let contained = self
            .owned
            .get_mut(index)
            .map(|owned| owned.take_contained());
        for contained in contained.unwrap_or_default() {
            self.drop_handle(contained);
        }
    }

    /// Lets a doomed value go, if there is one.
    pub(super) fn let_doomed_go(&mut self, index: u64) {
        if let Some(doomed) = self.doomed.owned.remove(&index) {
            let object = ObjectId {
                owner: self.process,
                index,
            };
            let value = doomed.value;
            self.commands.push_back(Command::Free { object, value });
        }
    }

    /// A process has one more credit: with an answer that overtook it, it may look at a value that was freed since.
    pub(super) fn tell_of_free(&mut self, index: u64, to: ProcessId) {
        let Some(doomed) = self.doomed.owned.get_mut(&index) else {
            return;
        };
        let is_borrower = self
            .owned
            .get(index)
            .is_some_and(|owned| owned.borrowers().contains(&to));
        if is_borrower && doomed.awaited.insert(to) {
            let object = ObjectId {
                owner: self.process,
                index,
            };
            self.commands.push_back(Command::TellFreed { to, object });
        }
    }

    /// A borrower looks at a freed value no more.
    pub fn on_let_go(&mut self, object: ObjectId, by: ProcessId) {
        if let Some(doomed) = self.doomed.owned.get_mut(&object.index) {
            doomed.awaited.remove(&by);
            self.end_doomed(object.index);
        }
    }

    /// A borrower has given credits back: who has none left looks at nothing.
    pub(super) fn on_released(&mut self, object: ObjectId, by: ProcessId) {
        if self.doomed.owned.contains_key(&object.index)
            && let Some(owned) = self.owned.get(object.index)
            && !owned.borrowers().contains(&by)
        {
            self.on_let_go(object, by);
        }
    }

    /// A borrower is gone and looks at nothing any more.
    pub(super) fn forget_awaited(&mut self, process: ProcessId) {
        let doomed = self.doomed.owned.iter_mut();
        let waited = doomed.filter_map(|(index, doomed)| {
            let was_awaited = doomed.awaited.remove(&process);
            was_awaited.then_some(*index)
        });
        for index in waited.collect::<Vec<_>>() {
            self.end_doomed(index);
        }
    }

    /// The owner of a borrowed object has freed it, and waits for this process to let go.
    pub fn on_freed(&mut self, object: ObjectId) {
        self.doom_borrowed(object, true);
        match self.doomed.borrowed.get_mut(&object) {
            Some(doomed) => {
                doomed.is_told = true;
                self.end_doomed_borrowed(object);
            }
            None => self.commands.push_back(Command::LetGo {
                object,
                value: None,
            }),
        }
    }

    /// Reading a borrowed object fails from now on.
    fn doom_borrowed(&mut self, object: ObjectId, is_told: bool) {
        let freed = Outcome::Failed(Arc::new(Failure::ObjectFreed(object)));
        let Some(outcome) = self.borrowed_outcome(object) else {
            return;
        };
        match outcome {
            Some(Outcome::Failed(_)) => {}
            Some(Outcome::Ready(value)) => {
                let value = value.clone();
                *outcome = Some(freed);
                let doomed = BorrowedValue { value, is_told };
                self.doomed.borrowed.insert(object, doomed);
            }
            None => self.resolve_borrowed(object, freed),
        }
    }

    /// Lets a doomed value of another process go when no call of this one has it any more.
    pub(super) fn end_doomed_borrowed(&mut self, object: ObjectId) {
        let doomed = self.doomed.borrowed.get(&object);
        let is_used = self.is_borrowed_used(object) && !is_planted(Bug::LetGoWhileUsed);
        if doomed.is_some_and(|doomed| doomed.is_told) && !is_used {
            let doomed = self.doomed.borrowed.remove(&object);
            let value = doomed.map(|doomed| doomed.value);
            self.commands.push_back(Command::LetGo { object, value });
        }
    }

    /// The last handle of a borrowed object is gone: what this process gives back tells its owner.
    pub(super) fn forget_doomed_borrowed(&mut self, object: ObjectId) {
        self.doomed.borrowed.remove(&object);
    }
}
