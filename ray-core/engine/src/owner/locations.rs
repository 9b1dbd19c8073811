//! Which nodes hold copies of the objects of this process, beside the one where they were made.

use std::collections::BTreeMap;

use super::{ObjectState, Owner};
use crate::{
    chunks::Chunks,
    ids::{NodeId, ObjectId},
};

/// What of an object a node holds; `None` stands for all of it.
pub type Held = Option<Chunks>;

/// The holders of copies, by object; only objects that have some are in it.
#[derive(Default)]
pub(super) struct Locations(BTreeMap<u64, BTreeMap<NodeId, Held>>);

impl<P: Clone, V: Clone> Owner<P, V> {
    /// A node has chunks of an object of this process, in place of what it had before.
    ///
    /// Returns false when the object is gone, and the copy of no use.
    pub fn on_holder(&mut self, object: ObjectId, node: NodeId, held: Held) -> bool {
        let has_value = matches!(self.argument(object), ObjectState::Ready(_));
        if object.owner != self.process || !has_value {
            return false;
        }
        let holders = self.locations.0.entry(object.index).or_default();
        holders.insert(node, held);
        true
    }

    /// A node has no copy of an object any more.
    pub fn on_holder_gone(&mut self, object: ObjectId, node: NodeId) {
        if let Some(holders) = self.locations.0.get_mut(&object.index) {
            holders.remove(&node);
            if holders.is_empty() {
                self.locations.0.remove(&object.index);
            }
        }
    }

    /// Returns who has copies of an object, in the order of their ids.
    pub fn holders(&self, object: ObjectId) -> Vec<(NodeId, Held)> {
        let holders = self.locations.0.get(&object.index);
        let holders = holders.into_iter().flatten();
        holders.map(|(node, held)| (*node, held.clone())).collect()
    }

    /// Forgets who has copies of a freed object; returns who has.
    pub fn take_holders(&mut self, object: ObjectId) -> Vec<NodeId> {
        let holders = self.locations.0.remove(&object.index).unwrap_or_default();
        holders.into_keys().collect()
    }

    /// Forgets the copies of a node that is gone; returns the objects that have others.
    pub fn on_holding_node_died(&mut self, node: NodeId) -> Vec<ObjectId> {
        self.locations.0.retain(|_, holders| {
            holders.remove(&node);
            !holders.is_empty()
        });
        let left = self.locations.0.keys();
        left.map(|index| ObjectId {
            owner: self.process,
            index: *index,
        })
        .collect()
    }
}
