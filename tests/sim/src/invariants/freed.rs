//! What is freed by hand: reading it fails, its bytes stay while a call looks at them, and then they go.

use std::collections::{BTreeMap, BTreeSet};

use ray_engine::{
    ids::{ObjectId, ProcessId},
    owner::ObjectState,
};

use super::references::References;
use crate::world::World;

/// What was freed, and which bytes are gone.
#[derive(Default)]
pub struct Freed {
    /// Who wished it; a crash may keep the wish from the owner.
    asked: BTreeMap<ObjectId, BTreeSet<ProcessId>>,
    gone: BTreeSet<ObjectId>,
    /// Freed objects that a process still refers to at its end, to be judged when all is at rest.
    held: Vec<(ProcessId, ObjectId)>,
}

impl Freed {
    /// User code frees an object.
    pub fn on_free(&mut self, object: ObjectId, by: ProcessId) {
        self.asked.entry(object).or_default().insert(by);
    }

    /// Returns whether user code freed the object.
    pub fn contains(&self, object: ObjectId) -> bool {
        self.asked.contains_key(&object)
    }

    /// Keeps a reference to a freed object until everything else has ended; returns whether it is one.
    pub fn keep(&mut self, at: ProcessId, object: ObjectId) -> bool {
        let is_freed = self.contains(object);
        if is_freed {
            self.held.push((at, object));
        }
        is_freed
    }

    /// An owner gives the bytes of one of its objects back.
    ///
    /// # Errors
    /// When it has done so before.
    pub fn on_gone(&mut self, object: ObjectId) -> Result<(), String> {
        match self.gone.insert(object) {
            true => Ok(()),
            false => Err(format!("the bytes of {object} are given back twice")),
        }
    }

    /// A process reads the bytes of an object, for a caller when it runs a call.
    ///
    /// # Errors
    /// When they are gone, and their owner had no reason to believe that nobody reads them: of a caller that is
    /// gone it knows that it reads nothing, whatever still runs for it.
    pub fn on_look(
        &self,
        object: ObjectId,
        (at, caller): (ProcessId, ProcessId),
        references: &References,
    ) -> Result<(), String> {
        let is_excused = references.has_crashed(at)
            || references.has_crashed(caller)
            || references.has_ended(caller)
            || references.has_crashed(object.owner)
            || references.may_be_lost(object);
        if is_excused || !self.gone.contains(&object) {
            return Ok(());
        }
        Err(format!(
            "{at} looks at {object} for {caller}, and its bytes are gone"
        ))
    }
}

impl World {
    /// Judges what is freed and still referred to, and lets it go; returns whether there was anything.
    pub(crate) fn lets_freed_go(&mut self) -> bool {
        let held = std::mem::take(&mut self.invariants.freed.held);
        let references = &self.invariants.references;
        let excused = references.excused(&self.processes);
        let asked = &self.invariants.freed.asked;
        let is_known = |object| {
            let by: &BTreeSet<ProcessId> = &asked[object];
            by.iter().any(|by| !references.has_crashed(*by))
        };
        let judged = held
            .iter()
            .filter(|(_, object)| is_known(object) && !excused.contains(object));
        for (_, object) in judged.copied().collect::<Vec<_>>() {
            let owner = self.processes.get(&object.owner);
            let is_there = owner.is_some_and(|process| {
                matches!(process.owner.argument(object), ObjectState::Ready(_))
            });
            if is_there {
                let text = format!("{object} is freed, nothing runs, and its bytes are there");
                self.fail("what is freed is gone", text);
            }
        }
        for (at, object) in &held {
            if self.processes.contains_key(at) {
                self.drop_handle(*at, *object);
            }
        }
        !held.is_empty()
    }
}
