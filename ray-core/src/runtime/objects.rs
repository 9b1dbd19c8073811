//! Where objects are, and freeing them whoever refers to them.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ray_engine::{
    failure::Failure,
    ids::{NodeId, ObjectId, ProcessId},
    owner::ObjectState,
};

use super::{Runtime, waiters::WaitCell};
use crate::{Error, Result, store::Doom, wire::Message, worker::submit::Core};

/// The nodes that have all of an object, and its size when it has a value.
pub(crate) type Whereabouts = (Vec<NodeId>, Option<u64>);

impl Core {
    /// Returns where an object of this process is.
    fn whereabouts(&self, object: ObjectId) -> Whereabouts {
        let ObjectState::Ready(value) = self.owner.state(object) else {
            return (Vec::new(), None);
        };
        let Some((slot, writer)) = value.arena() else {
            let bytes = value.bytes().len() as u64;
            return (vec![self.process().node()], Some(bytes));
        };
        let copies = self.owner.holders(object).into_iter();
        let whole = copies.filter(|(_, held)| held.is_none());
        let home = Some(writer.node_process()).filter(|home| !self.is_dead(*home));
        let mut nodes: Vec<NodeId> = whole
            .map(|(node, _)| node)
            .chain(home.map(ProcessId::node))
            .collect();
        nodes.sort_unstable();
        nodes.dedup();
        (nodes, Some(slot.len))
    }
}

impl Runtime {
    /// Returns where objects are, in their order.
    ///
    /// # Errors
    /// `OwnerDied` when there is nobody to ask.
    pub(crate) fn whereabouts(self: &Arc<Self>, objects: &[ObjectId]) -> Result<Vec<Whereabouts>> {
        let mut by_owner: BTreeMap<ProcessId, Vec<ObjectId>> = BTreeMap::new();
        for object in objects {
            by_owner.entry(object.owner).or_default().push(*object);
        }
        let mut found = BTreeMap::new();
        for (owner, objects) in by_owner {
            let places = if owner == self.process() {
                self.whereabouts_here(&objects)
            } else {
                self.ask_whereabouts(owner, &objects)?
            };
            found.extend(objects.into_iter().zip(places));
        }
        let places = objects.iter().map(|object| {
            let place = found.get(object).cloned();
            place.ok_or_else(|| Error::System(format!("nothing was said about {object}")))
        });
        places.collect()
    }

    fn whereabouts_here(&self, objects: &[ObjectId]) -> Vec<Whereabouts> {
        self.with_core(|core, _| {
            let objects = objects.iter();
            objects.map(|object| core.whereabouts(*object)).collect()
        })
    }

    /// Asks an owner; looks meanwhile whether it still lives.
    fn ask_whereabouts(
        self: &Arc<Self>,
        owner: ProcessId,
        objects: &[ObjectId],
    ) -> Result<Vec<Whereabouts>> {
        let cell = WaitCell::new(1, false);
        let request = self.requests.open(&cell);
        let objects = objects.to_vec();
        let first = objects.first().copied().unwrap_or_default();
        self.send(owner, Message::QueryObjects { request, objects });
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let mut is_dead = false;
        while !cell.waiter.is_notified() && !is_dead && Instant::now() < deadline {
            let look = deadline.min(Instant::now() + OWNER_LOOK);
            self.net().wait(&cell.waiter, Some(look));
            is_dead =
                self.with_core(|core, _| core.is_dead(owner) || core.is_dead(owner.node_process()));
        }
        match self.requests.close(request) {
            Some(Message::Objects { found, .. }) => Ok(found),
            Some(other) => Err(Error::System(format!(
                "asked where objects are and got {other:?}"
            ))),
            None if is_dead => Err(Failure::OwnerDied {
                object: first,
                owner,
            }
            .into()),
            None => Err(Error::System(format!(
                "{owner} did not say within {ANSWER_TIMEOUT:?} where its objects are"
            ))),
        }
    }

    /// Answers a process that asks where objects of this one are.
    pub(super) fn on_objects_asked(&self, from: ProcessId, request: u64, objects: &[ObjectId]) {
        let found = self.whereabouts_here(objects);
        self.send(from, Message::Objects { request, found });
    }

    /// Frees values, whoever refers to them.
    pub(crate) fn free(&self, objects: &[ObjectId]) {
        self.with_core(|core, _| objects.iter().for_each(|object| core.owner.free(*object)));
    }

    /// A borrower wants an object of this process freed, or an owner has freed one that is borrowed here.
    pub(super) fn on_free_object(&self, from: ProcessId, object: ObjectId) {
        self.with_core(|core, _| {
            if object.owner == core.process() {
                core.owner.free(object);
            } else if object.owner == from {
                core.owner.on_freed(object);
            } else {
                tracing::warn!(%from, %object, "a process that does not own an object says it is freed");
            }
        });
    }

    /// Does what was to follow once nobody here looked at these values any more.
    pub(crate) fn report_doomed(&self) {
        // Taken out first: values are dropped under the core's lock, which sending takes.
        let doomed = std::mem::take(&mut *self.doomed.lock());
        for doom in doomed {
            self.with_core(|core, _| match doom {
                Doom::Free { slot, writer } => core.free_slot(slot, writer),
                Doom::LetGo { object } => core.send(object.owner, Message::ObjectLetGo { object }),
            });
        }
    }
}

/// How long an owner may take to say where its objects are.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Who waits for an owner looks this often whether it lives.
const OWNER_LOOK: Duration = Duration::from_millis(100);
