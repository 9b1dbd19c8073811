//! An owner's table of its objects: who holds them, who must keep them.

use std::collections::BTreeMap;

use ray_engine::{
    chunks::Chunks,
    ids::{NodeId, ObjectId, ProcessId},
};

use super::{Message, World};

/// Who has what, with the chunks of those who have only some.
pub(super) type Holders = Vec<(NodeId, Option<Chunks>)>;

/// An object as its owner knows it.
#[derive(Default)]
pub(super) struct Owned {
    /// Who has the copy that the owner relies on.
    home: Option<ProcessId>,
    holders: BTreeMap<ProcessId, Option<Chunks>>,
    is_lost: bool,
}

impl Owned {
    /// Returns an object whose only copy is at a node.
    pub(super) fn at(home: ProcessId) -> Owned {
        Owned {
            home: Some(home),
            holders: BTreeMap::from([(home, None)]),
            is_lost: false,
        }
    }
}

impl World {
    /// Returns every object that is not lost, and who must have it.
    pub(super) fn homes(&self) -> Vec<(ObjectId, Option<ProcessId>)> {
        let tables = self.nodes.values().map(|store| &store.owned);
        tables
            .flatten()
            .filter(|(_, owned)| !owned.is_lost)
            .map(|(object, owned)| (*object, owned.home))
            .collect()
    }

    /// An object of this owner was made, perhaps by a node that has ended since.
    pub(super) fn on_made(&mut self, at: ProcessId, by: ProcessId, object: ObjectId, bytes: u64) {
        let maker = self.nodes.get(&by);
        let is_there = maker.is_some_and(|maker| maker.cache.contains(object));
        let store = self.store(at);
        if store.dead.contains(&by) {
            return;
        }
        store.owned.insert(object, Owned::at(by));
        self.sizes.insert(object, bytes);
        if is_there {
            self.kept.insert((object, by));
        } else {
            self.endangered.insert(object);
        }
    }

    /// A node asks who has an object of this owner.
    pub(super) fn on_locate(&mut self, at: ProcessId, from: ProcessId, object: ObjectId) {
        let owned = self.store(at).owned.get(&object);
        let found = owned.filter(|owned| !owned.is_lost).map(|owned| {
            let holders = owned.holders.iter();
            holders
                .map(|(id, held)| (id.node(), held.clone()))
                .collect()
        });
        self.send(at, from, Message::Located(object, found));
    }

    /// A node says what it has.
    pub(super) fn on_held(
        &mut self,
        at: ProcessId,
        from: ProcessId,
        object: ObjectId,
        held: Option<Chunks>,
    ) {
        let store = self.store(at);
        if store.dead.contains(&from) {
            return;
        }
        let Some(owned) = store.owned.get_mut(&object) else {
            // It was freed while the copy was made.
            return self.send(at, from, Message::Free(object));
        };
        let is_partial = held.is_some();
        owned.holders.insert(from, held);
        let others = owned.holders.iter().filter(|(id, _)| **id != from);
        let others = others.map(|(id, held)| (id.node(), held.clone()));
        let others = others.collect::<Holders>();
        self.keep_last_copy(at, object);
        // Those who fetch an object together hear of each other.
        if is_partial && !others.is_empty() {
            self.send(at, from, Message::Located(object, Some(others)));
        }
    }

    /// A node has nothing of an object any more.
    pub(super) fn on_holds_none(&mut self, at: ProcessId, from: ProcessId, object: ObjectId) {
        if let Some(owned) = self.store(at).owned.get_mut(&object) {
            owned.holders.remove(&from);
            if owned.home == Some(from) {
                owned.home = None;
            }
            self.keep_last_copy(at, object);
        }
    }

    /// A node is gone with its copies.
    pub(super) fn on_holder_died(&mut self, at: ProcessId, node: ProcessId) {
        for object in self.store(at).owned.keys().copied().collect::<Vec<_>>() {
            self.on_holds_none(at, node, object);
        }
    }

    /// Has a node keep its copy when nobody does; without any copy the object is lost.
    fn keep_last_copy(&mut self, at: ProcessId, object: ObjectId) {
        let Some(owned) = self.store(at).owned.get_mut(&object) else {
            return;
        };
        if owned.home.is_some() {
            return;
        }
        let whole = owned.holders.iter().find(|(_, held)| held.is_none());
        if let Some(home) = whole.map(|(id, _)| *id) {
            owned.home = Some(home);
            owned.is_lost = false;
            return self.send(at, home, Message::Keep(object));
        }
        if owned.holders.is_empty() {
            owned.is_lost = true;
            self.judge_loss(at, object);
        }
    }

    fn judge_loss(&mut self, at: ProcessId, object: ObjectId) {
        let copy = self.nodes.iter().find(|(id, store)| {
            let news = |message: &Message| {
                matches!(message, Message::HoldsAll(other) | Message::HoldsNone(other)
                    if *other == object)
            };
            store.cache.contains(object) && !self.network.has_in_flight((**id, at), news)
        });
        let text = match copy {
            Some((id, _)) => format!("{object} counts as lost, and {id} has it"),
            None if self.endangered.contains(&object) => return,
            None => format!("{object} is lost, and its node lives"),
        };
        self.fail("an object is lost only with its last copy", text);
    }

    /// The owner lets go of one of its objects.
    pub(super) fn free_some(&mut self, at: ProcessId) {
        let objects = self.store(at).owned.keys().copied().collect::<Vec<_>>();
        if let Some(position) = self.chance.position(objects.len()) {
            self.free(at, objects[position]);
        }
    }

    fn free(&mut self, at: ProcessId, object: ObjectId) {
        let Some(owned) = self.store(at).owned.remove(&object) else {
            return;
        };
        self.sizes.remove(&object);
        self.freed.insert(object);
        self.kept.retain(|(other, _)| *other != object);
        for holder in owned.holders.into_keys() {
            self.send(at, holder, Message::Free(object));
        }
    }

    /// Every owner lets everything go.
    pub(super) fn free_everything(&mut self) {
        for at in self.nodes.keys().copied().collect::<Vec<_>>() {
            for object in self.store(at).owned.keys().copied().collect::<Vec<_>>() {
                self.free(at, object);
            }
        }
    }
}
