//! Dead actors that nobody counts on any more: the newest are kept to look at, of older ones only that they were.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    failure::Failure,
    ids::{ActorId, ProcessId},
};

/// Dead actors without handles of which everything is kept.
pub const DEAD_KEPT: usize = 1_000;

/// Which actors have ended for good, in the order in which they did.
#[derive(Default)]
pub(super) struct Ended {
    newest: VecDeque<ActorId>,
    /// The indexes of older ones: a question about one must not be taken for one that comes early.
    older: BTreeMap<ProcessId, BTreeSet<u64>>,
}

impl Ended {
    /// Notes one more; returns one that is not to be kept any more.
    pub(super) fn add(&mut self, actor: ActorId) -> Option<ActorId> {
        self.newest.push_back(actor);
        let oldest = (self.newest.len() > DEAD_KEPT).then(|| self.newest.pop_front())??;
        let older = self.older.entry(oldest.owner).or_default();
        older.insert(oldest.index);
        Some(oldest)
    }

    /// Returns how an actor ended of which nothing else is known any more.
    pub(super) fn of(&self, actor: ActorId) -> Option<Failure> {
        let older = self.older.get(&actor.owner)?;
        older.contains(&actor.index).then(|| Failure::ActorDied {
            actor,
            incarnation: 0,
            cause: "it ended long ago, when its last handle was gone".into(),
        })
    }

    /// Forgets the actors of a process that is gone itself, which says as much.
    pub(super) fn forget_those_of(&mut self, owner: ProcessId) {
        self.older.remove(&owner);
    }
}
