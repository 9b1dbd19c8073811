//! Counts are the reachable set: nothing is freed while somebody holds it, nothing is left at the end.
//!
//! A process that crashes may have passed a reference on without its owner hearing of it, or told the owner
//! and not passed it on. Such an object may be freed early, or stay until the receiver ends.

use std::collections::{BTreeMap, BTreeSet};

use ray_engine::{
    ids::{ObjectId, ProcessId},
    time::Time,
};

use crate::process::Process;

/// Who passed what on, and who crashed.
#[derive(Default)]
pub struct References {
    passed_on: BTreeMap<ObjectId, BTreeSet<ProcessId>>,
    crashed: BTreeSet<ProcessId>,
    /// Objects with a credit of somebody of whose death their owner cannot hear: it came before the owner.
    late: BTreeSet<ObjectId>,
    ended: BTreeMap<ProcessId, Time>,
}

impl References {
    /// A process that does not own the object sent a reference to another.
    pub fn on_passed_on(&mut self, object: ObjectId, by: ProcessId) {
        self.passed_on.entry(object).or_default().insert(by);
    }

    /// A process ended without having said everything.
    pub fn on_crash(&mut self, process: ProcessId) {
        self.crashed.insert(process);
    }

    /// A process is no more.
    pub fn on_end(&mut self, process: ProcessId, now: Time) {
        self.ended.entry(process).or_insert(now);
    }

    /// An owner that began at a time opens a credit.
    ///
    /// Whoever passed the reference on had not heard that the receiver was dead, and the owner never will:
    /// only those hear of a death who live then.
    pub fn on_credit_opened(&mut self, object: ObjectId, receiver: ProcessId, began: Time) {
        if self
            .ended
            .get(&receiver)
            .is_some_and(|ended| *ended < began)
        {
            self.late.insert(object);
        }
    }

    /// Returns whether the process crashed or is about to be killed.
    pub fn has_crashed(&self, process: ProcessId) -> bool {
        self.crashed.contains(&process)
    }

    /// Returns whether the process is no more.
    pub fn has_ended(&self, process: ProcessId) -> bool {
        self.ended.contains_key(&process)
    }

    /// Returns whether any process crashed.
    pub fn has_any_crashed(&self) -> bool {
        !self.crashed.is_empty()
    }

    /// Returns whether a crash may have cost the object a count.
    pub fn may_be_lost(&self, object: ObjectId) -> bool {
        let by_crash = self
            .passed_on
            .get(&object)
            .is_some_and(|by| by.iter().any(|process| self.crashed.contains(process)));
        by_crash || self.late.contains(&object)
    }
}

impl References {
    /// Returns that nothing is left when nobody holds anything.
    ///
    /// # Errors
    /// When an owner table is not empty.
    pub fn check_empty(&self, processes: &BTreeMap<ProcessId, Process>) -> Result<(), String> {
        let excused = self.excused(processes);
        for (id, process) in processes {
            let left = process.owner.objects();
            if left.iter().any(|object| !excused.contains(object)) {
                return Err(format!(
                    "{id} still has {}",
                    process.owner.describe_objects().join("; ")
                ));
            }
        }
        Ok(())
    }

    /// Returns what a message that a crash lost may keep alive, with everything inside.
    pub fn excused(&self, processes: &BTreeMap<ProcessId, Process>) -> BTreeSet<ObjectId> {
        let mut work = self
            .passed_on
            .keys()
            .chain(&self.late)
            .filter(|object| self.may_be_lost(**object))
            .copied()
            .collect::<Vec<_>>();
        let mut excused = BTreeSet::new();
        while let Some(object) = work.pop() {
            if !excused.insert(object) {
                continue;
            }
            for process in processes.values() {
                work.extend_from_slice(process.owner.contained(object));
            }
        }
        excused
    }
}
