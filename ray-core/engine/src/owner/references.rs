//! References: handles, credits, and what is freed when there are none.

use std::sync::Arc;

use super::{
    Command, Owner,
    object::{Borrowed, Outcome, Owned},
};
use crate::{
    failure::Failure,
    ids::{ObjectId, ProcessId},
    planted::{Bug, is_planted},
};

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
        self.forget_doomed_borrowed(object);
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
        self.let_doomed_go(index);
    }

    pub(super) fn settle(&mut self, index: u64) {
        self.end_doomed(index);
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
            self.tell_of_free(index, receiver);
        }
    }

    /// A borrower gave credits back.
    pub fn on_release_credits(&mut self, object: ObjectId, from: ProcessId, credits: u32) {
        if self.is_dead(from) {
            return;
        }
        if let Some(owned) = self.owned.get_mut(object.index) {
            owned.add_credit(from, -i64::from(credits));
            self.on_released(object, from);
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
        self.forget_awaited(process);
        touched.sort_unstable();
        for index in touched {
            self.settle(index);
        }
    }
}
