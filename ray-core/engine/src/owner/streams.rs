//! Streams: calls whose results arrive one by one while they still run.
//!
//! The next item of a stream always has an object, its *head*, before the item exists: waiting for the
//! next item is waiting for the head, by every means there is to wait for objects. An item that arrives
//! becomes the outcome of the head, and a new head follows. When the stream ends, a failure becomes one
//! more item, and the last head fails with `StreamEnded`.
//!
//! Items are numbered within an attempt. An attempt that begins again repeats the numbers: the items
//! that are already there keep their objects, the repeated values are dropped, and an attempt that ends
//! before it has repeated them all fails the stream.
//!
//! The consumer's handle is an object too, the *token*. It can be dropped wherever handles can, and its
//! end says that nobody will ask for items.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Command, ObjectState, Owner,
    object::{Outcome, Owned},
    tasks::Stage,
};
use crate::{
    failure::Failure,
    ids::{ObjectId, ProcessId, TaskId},
};

/// What a consumer that asks for the next item finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextItem {
    /// The item; its handle is the consumer's now.
    Taken(ObjectId),
    /// None yet: wait for this object and ask again.
    Pending(ObjectId),
    /// None, and none will follow.
    Ended,
}

pub(super) struct Stream {
    /// Items that nobody has taken, oldest first.
    items: VecDeque<u64>,
    /// The object of the next item; none when nobody can ask for it.
    head: Option<u64>,
    /// Items that have an object of their own.
    produced: u64,
    taken: u64,
    attempt: u32,
    /// Items of this attempt that arrived.
    arrived: u64,
    /// How many items the producer of this attempt knows to be taken.
    reported: u64,
    /// The producer pauses while this many items are not taken; 0 for never.
    backpressure: u64,
    has_ended: bool,
    is_dropped: bool,
}

impl Stream {
    /// Begins to count again when the call has begun again.
    fn enter(&mut self, attempt: u32) {
        if self.attempt != attempt {
            self.attempt = attempt;
            self.arrived = 0;
            self.reported = 0;
        }
    }

    /// Returns what the producer must hear to go on, if it may be pausing.
    fn news(&mut self) -> Option<u64> {
        let taken = if self.is_dropped {
            u64::MAX
        } else {
            self.taken
        };
        let ahead = self.arrived.saturating_sub(self.reported);
        let may_pause = self.backpressure != 0 && ahead >= self.backpressure;
        if taken <= self.reported || !(may_pause || self.is_dropped) {
            return None;
        }
        self.reported = taken;
        Some(taken)
    }
}

impl<P: Clone, V: Clone> Owner<P, V> {
    /// Makes the results of a call that was just submitted a stream; returns the consumer's token.
    ///
    /// The call's own result tells how the whole call ended.
    pub fn open_stream(&mut self, task: TaskId, backpressure: u64) -> ObjectId {
        let index = task.index;
        let token = self.take_indexes(2);
        let head = token + 1;
        let mut owned = Owned::new(index);
        owned.outcome = Some(Outcome::Failed(Arc::new(Failure::StreamEnded)));
        self.owned.insert(token, owned);
        self.owned.insert(head, Owned::new(index));
        self.streams.insert(
            index,
            Stream {
                items: VecDeque::new(),
                head: Some(head),
                produced: 0,
                taken: 0,
                attempt: 0,
                arrived: 0,
                reported: 0,
                backpressure,
                has_ended: false,
                is_dropped: false,
            },
        );
        match self.tasks.get_mut(index) {
            Some(task) => task.is_stream = true,
            None => {
                let failure = match self.state(task.result(0)) {
                    ObjectState::Failed(failure) => Some(failure),
                    _ => None,
                };
                self.end_stream(index, failure);
            }
        }
        ObjectId {
            owner: self.process,
            index: token,
        }
    }

    /// An item arrived; those of stale attempts and repeated ones are freed.
    pub fn on_item(
        &mut self,
        task: TaskId,
        attempt: u32,
        worker: ProcessId,
        position: u64,
        item: (V, Vec<ObjectId>),
    ) {
        let index = task.index;
        let is_current = self
            .tasks
            .get(index)
            .is_some_and(|found| found.attempt == attempt && found.stage == Stage::Sent(worker));
        let Some(stream) = self.streams.get_mut(&index).filter(|_| is_current) else {
            return self.discard(task, item.0);
        };
        stream.enter(attempt);
        if position != stream.arrived {
            return self.discard(task, item.0);
        }
        stream.arrived += 1;
        if position < stream.produced {
            self.discard(task, item.0);
        } else {
            stream.produced += 1;
            match self.advance(index) {
                Some(head) => self.publish(head, Ok(item)),
                None => self.discard(task, item.0),
            }
        }
        self.tell_producer(index);
    }

    /// Takes the next item.
    pub fn take_item(&mut self, task: TaskId) -> NextItem {
        let object = |index| ObjectId {
            owner: task.owner,
            index,
        };
        let Some(stream) = self.streams.get_mut(&task.index) else {
            return NextItem::Ended;
        };
        match (stream.items.pop_front(), stream.head) {
            (Some(item), _) => {
                stream.taken += 1;
                self.tell_producer(task.index);
                NextItem::Taken(object(item))
            }
            (None, Some(head)) if !stream.has_ended => NextItem::Pending(object(head)),
            (None, _) => NextItem::Ended,
        }
    }

    /// Returns the object that is, or will be, the next item; it fails with `StreamEnded` at the end.
    pub fn peek_item(&self, task: TaskId) -> Option<ObjectId> {
        let stream = self.streams.get(&task.index)?;
        let index = stream.items.front().copied().or(stream.head)?;
        Some(ObjectId {
            owner: task.owner,
            index,
        })
    }

    /// Returns the object that the next item of a stream to arrive will be.
    pub fn arriving_item(&self, task: TaskId) -> Option<ObjectId> {
        let head = self.streams.get(&task.index)?.head?;
        Some(ObjectId {
            owner: task.owner,
            index: head,
        })
    }

    /// Returns how many streams are open here.
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// Takes the head for an outcome, and makes the next one unless nobody can ask for it.
    fn advance(&mut self, index: u64) -> Option<u64> {
        let is_dropped = self.streams.get(&index)?.is_dropped;
        let next = (!is_dropped).then(|| {
            let next = self.take_indexes(1);
            self.owned.insert(next, Owned::new(index));
            next
        });
        let stream = self.streams.get_mut(&index)?;
        let head = std::mem::replace(&mut stream.head, next)?;
        if !is_dropped {
            stream.items.push_back(head);
        }
        Some(head)
    }

    /// Returns why an attempt that ended well cannot be believed, if it cannot.
    pub(super) fn fault_of_replay(&self, index: u64, attempt: u32) -> Option<Arc<Failure>> {
        let stream = self.streams.get(&index)?;
        let replayed = if stream.attempt == attempt {
            stream.arrived
        } else {
            0
        };
        let produced = stream.produced;
        (replayed < produced).then(|| Arc::new(Failure::StreamReplay { produced, replayed }))
    }

    /// The call has ended: nothing follows but its failure.
    pub(super) fn end_stream(&mut self, index: u64, failure: Option<Arc<Failure>>) {
        if let Some(failure) = failure
            && let Some(head) = self.advance(index)
        {
            self.publish(head, Err(failure));
        }
        let Some(stream) = self.streams.get_mut(&index) else {
            return;
        };
        stream.has_ended = true;
        let (head, is_dropped) = (stream.head, stream.is_dropped);
        if is_dropped {
            self.streams.remove(&index);
        }
        if let Some(head) = head {
            self.publish(head, Err(Arc::new(Failure::StreamEnded)));
        }
    }

    /// The consumer's token is gone; what it had not taken goes to `work`.
    pub(super) fn drop_stream(&mut self, index: u64, work: &mut Vec<ObjectId>) {
        let owner = self.process;
        let Some(stream) = self.streams.get_mut(&index) else {
            return;
        };
        stream.is_dropped = true;
        let rest = stream.items.drain(..).chain(stream.head);
        work.extend(rest.map(|index| ObjectId { owner, index }));
        if stream.has_ended {
            self.streams.remove(&index);
        } else {
            self.tell_producer(index);
        }
    }

    fn tell_producer(&mut self, index: u64) {
        let Some(task) = self.tasks.get(index) else {
            return;
        };
        let (Stage::Sent(worker), attempt) = (task.stage, task.attempt) else {
            return;
        };
        let Some(stream) = self.streams.get_mut(&index) else {
            return;
        };
        stream.enter(attempt);
        if let Some(taken) = stream.news() {
            let task = TaskId {
                owner: self.process,
                index,
            };
            self.commands.push_back(Command::ReportTaken {
                worker,
                task,
                taken,
            });
        }
    }

    fn discard(&mut self, task: TaskId, value: V) {
        self.commands.push_back(Command::Free {
            object: task.result(0),
            value,
        });
    }
}
