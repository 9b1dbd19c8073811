//! What an owner knows of one object, its own or another's.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    failure::Failure,
    ids::{ObjectId, ProcessId},
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
    pub(super) local: u32,
    /// Unfinished tasks of this process that use it.
    pub(super) dependents: u32,
    pub(super) is_watched: bool,
    /// What most objects have nothing of.
    pub(super) more: Option<Box<More>>,
}

/// What hangs on an object besides handles of this process.
#[derive(Default)]
pub(super) struct More {
    /// Credits that others have; signed, see the documentation of [`super`].
    pub(super) credits: Vec<(ProcessId, i64)>,
    pub(super) contained: Vec<ObjectId>,
    pub(super) asks: Vec<ProcessId>,
    /// Tasks that wait for it.
    pub(super) waiting: Vec<u64>,
}

/// An object of another process.
pub(super) struct Borrowed<V> {
    pub(super) outcome: Option<Outcome<V>>,
    pub(super) local: u32,
    /// How many of these are of calls of this process.
    pub(super) dependents: u32,
    pub(super) credits: u32,
    pub(super) contained: Vec<ObjectId>,
    pub(super) is_asked: bool,
    pub(super) is_watched: bool,
    pub(super) waiting: Vec<u64>,
}

impl<V> Borrowed<V> {
    pub(super) fn outcome(&self) -> &Option<Outcome<V>> {
        &self.outcome
    }

    pub(super) fn handles(&self) -> u32 {
        self.local
    }

    pub(super) fn new() -> Borrowed<V> {
        Borrowed {
            outcome: None,
            local: 0,
            dependents: 0,
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

    /// Returns how many references others were given and have not given back.
    pub(super) fn lent(&self) -> u64 {
        let open = self.credits().iter().map(|(_, sum)| (*sum).max(0));
        open.sum::<i64>().unsigned_abs()
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

    pub(super) fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    pub(super) fn credits(&self) -> &[(ProcessId, i64)] {
        self.more.as_deref().map_or(&[], |more| &more.credits)
    }

    pub(super) fn contained(&self) -> &[ObjectId] {
        self.more.as_deref().map_or(&[], |more| &more.contained)
    }

    pub(super) fn set_contained(&mut self, contained: Vec<ObjectId>) {
        if !contained.is_empty() {
            self.more().contained = contained;
        }
    }

    pub(super) fn add_credit(&mut self, process: ProcessId, count: i64) {
        let credits = &mut self.more().credits;
        match credits.iter_mut().find(|(other, _)| *other == process) {
            Some((_, sum)) => *sum += count,
            None => credits.push((process, count)),
        }
        credits.retain(|(_, sum)| *sum != 0);
    }

    /// Returns who has credits.
    pub(super) fn borrowers(&self) -> BTreeSet<ProcessId> {
        let credits = self.credits().iter().filter(|(_, sum)| *sum > 0);
        credits.map(|(process, _)| *process).collect()
    }

    /// Takes out what the value contained.
    pub(super) fn take_contained(&mut self) -> Vec<ObjectId> {
        let more = self.more.as_deref_mut();
        more.map(|more| std::mem::take(&mut more.contained))
            .unwrap_or_default()
    }

    pub(super) fn is_unreferenced(&self) -> bool {
        self.local == 0 && self.dependents == 0 && self.credits().iter().all(|(_, sum)| *sum <= 0)
    }
}
