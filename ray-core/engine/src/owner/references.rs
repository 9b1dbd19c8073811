//! Objects: states, counts, credits.

use std::sync::Arc;

use super::{Command, ObjectState, Owner};
use crate::{
    failure::Failure,
    ids::{ObjectId, ProcessId},
    planted::{Bug, is_planted},
    time::Time,
};

pub(super) enum Outcome<V> {
    Ready(V),
    Failed(Arc<Failure>),
}

/// An object of this process.
pub(super) struct Owned<V> {
    pub(super) outcome: Option<Outcome<V>>,
    /// The task that makes it, 0 for a put.
    pub(super) task: u64,
    /// Handles in this process, containing objects of this process counted.
    local: u32,
    /// Unfinished tasks of this process that use it.
    dependents: u32,
    is_watched: bool,
    /// What most objects have nothing of.
    more: Option<Box<More>>,
}

/// What hangs on an object besides handles of this process.
#[derive(Default)]
struct More {
    /// Credits that others have; signed, see the documentation of [`super`].
    credits: Vec<(ProcessId, i64)>,
    contained: Vec<ObjectId>,
    asks: Vec<ProcessId>,
    /// Tasks that wait for it.
    waiting: Vec<u64>,
}

/// An object of another process.
pub(super) struct Borrowed<V> {
    outcome: Option<Outcome<V>>,
    local: u32,
    credits: u32,
    contained: Vec<ObjectId>,
    is_asked: bool,
    is_watched: bool,
    waiting: Vec<u64>,
}

impl<V> Borrowed<V> {
    pub(super) fn outcome(&self) -> &Option<Outcome<V>> {
        &self.outcome
    }

    pub(super) fn handles(&self) -> u32 {
        self.local
    }

    fn new() -> Borrowed<V> {
        Borrowed {
            outcome: None,
            local: 0,
            credits: 0,
            contained: Vec::new(),
            is_asked: false,
            is_watched: false,
            waiting: Vec::new(),
        }
    }
}

impl<V> Owned<V> {
    pub(super) fn handles(&self) -> u32 {
        self.local
    }

    /// Returns how many calls that have not ended use it.
    pub(super) fn users(&self) -> u32 {
        self.dependents
    }

    pub(super) fn new(task: u64) -> Owned<V> {
        Owned {
            outcome: None,
            task,
            local: 1,
            dependents: 0,
            is_watched: false,
            more: None,
        }
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    fn credits(&self) -> &[(ProcessId, i64)] {
        self.more.as_deref().map_or(&[], |more| &more.credits)
    }

    fn contained(&self) -> &[ObjectId] {
        self.more.as_deref().map_or(&[], |more| &more.contained)
    }

    fn set_contained(&mut self, contained: Vec<ObjectId>) {
        if !contained.is_empty() {
            self.more().contained = contained;
        }
    }

    fn add_credit(&mut self, process: ProcessId, count: i64) {
        let credits = &mut self.more().credits;
        match credits.iter_mut().find(|(other, _)| *other == process) {
            Some((_, sum)) => *sum += count,
            None => credits.push((process, count)),
        }
        credits.retain(|(_, sum)| *sum != 0);
    }

    fn is_unreferenced(&self) -> bool {
        self.local == 0 && self.dependents == 0 && self.credits().iter().all(|(_, sum)| *sum <= 0)
    }
}

impl<P: Clone, V: Clone> Owner<P, V> {
    /// Stores a value; the caller holds what it contains, and one handle of the result.
    pub fn put(&mut self, value: V, contained: &[ObjectId]) -> ObjectId {
        let index = self.take_indexes(1);
        for id in contained {
            self.add_handle(*id);
        }
        let mut owned = Owned::new(0);
        owned.outcome = Some(Outcome::Ready(value));
        owned.set_contained(contained.to_vec());
        self.owned.insert(index, owned);
        ObjectId {
            owner: self.process,
            index,
        }
    }

    /// Makes an object that has failed from the start.
    pub fn put_failed(&mut self, failure: Failure) -> ObjectId {
        let index = self.take_indexes(1);
        let mut owned = Owned::new(0);
        owned.outcome = Some(Outcome::Failed(Arc::new(failure)));
        self.owned.insert(index, owned);
        ObjectId {
            owner: self.process,
            index,
        }
    }

    /// Counts one more handle in this process.
    pub fn add_handle(&mut self, object: ObjectId) {
        if object.owner == self.process {
            if let Some(owned) = self.owned.get_mut(object.index) {
                owned.local += 1;
            }
        } else {
            self.borrowed
                .entry(object)
                .or_insert_with(Borrowed::new)
                .local += 1;
        }
    }

    /// Counts one handle less.
    pub fn drop_handle(&mut self, object: ObjectId) {
        // Containers form no cycles, but chains of them may be long: a list instead of recursion.
        let mut work = Vec::new();
        self.drop_one(object, &mut work);
        while let Some(object) = work.pop() {
            self.drop_one(object, &mut work);
        }
    }

    fn drop_one(&mut self, object: ObjectId, work: &mut Vec<ObjectId>) {
        if object.owner == self.process {
            if let Some(owned) = self.owned.get_mut(object.index) {
                owned.local = owned.local.saturating_sub(1);
                if owned.local == 0 {
                    self.free_if_unreferenced(object.index, work);
                }
            }
        } else if let Some(borrowed) = self.borrowed.get_mut(&object) {
            borrowed.local = borrowed.local.saturating_sub(1);
            if borrowed.local == 0 {
                self.release(object, work);
            }
        }
    }

    fn release(&mut self, object: ObjectId, work: &mut Vec<ObjectId>) {
        let Some(borrowed) = self.borrowed.remove(&object) else {
            return;
        };
        work.extend(borrowed.contained);
        if borrowed.credits > 0 {
            let owner = object.owner;
            self.commands.push_back(Command::ReleaseCredits {
                owner,
                object,
                credits: borrowed.credits,
            });
        }
    }

    fn free_if_unreferenced(&mut self, index: u64, work: &mut Vec<ObjectId>) {
        let Some(owned) = self.owned.get(index) else {
            return;
        };
        // Without an outcome the task still runs; its end frees the object.
        if !owned.is_unreferenced() || owned.outcome.is_none() {
            return;
        }
        let owned = self.owned.remove(index).expect("found above");
        work.extend(owned.contained());
        if owned.task != 0 {
            // Only the token of a stream has an outcome and names a task.
            self.drop_stream(owned.task, work);
        }
        if let Some(Outcome::Ready(value)) = owned.outcome {
            let object = ObjectId {
                owner: self.process,
                index,
            };
            self.commands.push_back(Command::Free { object, value });
        }
    }

    fn settle(&mut self, index: u64) {
        let mut work = Vec::new();
        self.free_if_unreferenced(index, &mut work);
        for object in work {
            self.drop_handle(object);
        }
    }

    /// A frame brought a reference with `credits` credits; one more handle exists here.
    ///
    /// A reference that comes home brings none: its sender holds it until after the frame.
    pub fn receive_reference(&mut self, object: ObjectId, credits: u32) {
        if object.owner == self.process {
            if let Some(owned) = self.owned.get_mut(object.index) {
                owned.local += 1;
            }
        } else {
            let borrowed = self.borrowed.entry(object).or_insert_with(Borrowed::new);
            borrowed.local += 1;
            borrowed.credits += credits;
        }
    }

    /// A frame with a reference, which this process holds, is about to leave for `to`.
    pub fn send_reference(&mut self, object: ObjectId, to: ProcessId) {
        if object.owner == to {
            return;
        }
        if object.owner == self.process {
            self.open_credit(object.index, to);
        } else {
            self.commands.push_back(Command::OpenCredit {
                owner: object.owner,
                object,
                receiver: to,
            });
        }
    }

    /// A holder of the object is about to send it to `receiver`.
    pub fn on_open_credit(&mut self, object: ObjectId, receiver: ProcessId) {
        self.open_credit(object.index, receiver);
        self.settle(object.index);
    }

    /// Counts a credit of a process, unless it is gone and will never give it back.
    fn open_credit(&mut self, index: u64, receiver: ProcessId) {
        let is_dead = self.is_dead(receiver);
        if let Some(owned) = self.owned.get_mut(index)
            && !is_dead
        {
            owned.add_credit(receiver, 1);
            self.borrowers.insert(receiver);
        }
    }

    /// A borrower gave credits back.
    pub fn on_release_credits(&mut self, object: ObjectId, from: ProcessId, credits: u32) {
        if self.is_dead(from) {
            return;
        }
        if let Some(owned) = self.owned.get_mut(object.index) {
            owned.add_credit(from, -i64::from(credits));
            self.settle(object.index);
        }
    }

    /// Returns every object in the table, owned ones first, in the order of their ids.
    pub fn objects(&self) -> Vec<ObjectId> {
        let mut owned = self
            .owned
            .indexes()
            .into_iter()
            .map(|index| ObjectId {
                owner: self.process,
                index,
            })
            .collect::<Vec<_>>();
        let mut borrowed = self.borrowed.keys().copied().collect::<Vec<_>>();
        borrowed.sort_unstable();
        owned.extend(borrowed);
        owned
    }

    /// Returns a line an object, owned ones first, in the order of their ids: who holds what how often.
    pub fn describe_objects(&self) -> Vec<String> {
        let mut owned = self.owned.iter().collect::<Vec<_>>();
        owned.sort_unstable_by_key(|(index, _)| *index);
        let mut borrowed = self.borrowed.iter().collect::<Vec<_>>();
        borrowed.sort_unstable_by_key(|(object, _)| **object);
        let owned = owned.into_iter().map(|(index, owned)| {
            format!(
                "o{:x}.{index}: {} handles, {} dependents, credits {:?}",
                self.process.0,
                owned.local,
                owned.dependents,
                owned.credits()
            )
        });
        let borrowed = borrowed.into_iter().map(|(object, borrowed)| {
            format!(
                "{object}: {} handles, {} credits",
                borrowed.local, borrowed.credits
            )
        });
        owned.chain(borrowed).collect()
    }

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

    fn resolve_borrowed(&mut self, object: ObjectId, outcome: Outcome<V>) {
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
        self.settle(index);
    }

    /// Holds an object for a task; returns whether the task must wait for it, or why it cannot run.
    pub(super) fn depend(&mut self, task: u64, object: ObjectId) -> Result<bool, Arc<Failure>> {
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
        match &borrowed.outcome {
            None if is_orphan => return Err(Arc::new(owner_died(object))),
            None => borrowed.waiting.push(task),
            Some(Outcome::Ready(_)) => return Ok(false),
            Some(Outcome::Failed(failure)) => return Err(failure.clone()),
        }
        self.ask(object);
        Ok(true)
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
            self.drop_handle(object);
        }
    }

    pub(super) fn forget_borrower(&mut self, process: ProcessId) {
        if !self.borrowers.remove(&process) || is_planted(Bug::CreditsKeptOnDeath) {
            return;
        }
        let mut touched = Vec::new();
        for (index, owned) in self.owned.iter_mut() {
            let Some(more) = &mut owned.more else {
                continue;
            };
            more.asks.retain(|asker| *asker != process);
            let before = more.credits.len();
            more.credits.retain(|(borrower, _)| *borrower != process);
            if more.credits.len() < before {
                touched.push(index);
            }
        }
        touched.sort_unstable();
        for index in touched {
            self.settle(index);
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
