//! What this process, as an owner, tells nodes about the copies of its objects.

use ray_engine::{
    failure::Failure,
    ids::{NodeId, ObjectId, ProcessId},
    owner::{Held, ObjectState},
};

use super::submit::Core;
use crate::wire::Message;

impl Core {
    /// A node asks who has an object of this process.
    pub(crate) fn locate_object(&mut self, object: ObjectId, asker: ProcessId) {
        let outcome = self.holders_of(object);
        self.send(asker, Message::ObjectLocated { object, outcome });
    }

    /// Returns the nodes that have an object, or parts of it.
    fn holders_of(&self, object: ObjectId) -> Result<Vec<(NodeId, Held)>, Failure> {
        let value = match self.owner.argument(object) {
            ObjectState::Ready(value) => value,
            ObjectState::Failed(failure) => return Err((*failure).clone()),
            ObjectState::Pending | ObjectState::Unknown => {
                return Err(Failure::ObjectFreed(object));
            }
        };
        let mut holders = self.owner.holders(object);
        let home = value.arena().map(|(_, writer)| writer.node_process());
        if let Some(home) = home
            && !self.is_dead(home)
        {
            holders.push((home.node(), None));
        }
        if holders.is_empty() {
            let home = home.unwrap_or_default().node();
            let reason = format!("the only copy was on node {home}, which is gone");
            return Err(Failure::ObjectLost { object, reason });
        }
        Ok(holders)
    }

    /// A node has parts of an object of this process, or all of it.
    ///
    /// One that has parts hears who else has, so that those who fetch the object together serve each other.
    pub(crate) fn on_copy_held(&mut self, object: ObjectId, node: NodeId, held: Held) {
        let is_partial = held.is_some();
        if !self.owner.on_holder(object, node, held) {
            return self.send(node.process(), Message::DropCopy { object });
        }
        self.keep_last_copy(object);
        let mut others = self.owner.holders(object);
        others.retain(|(other, _)| *other != node);
        if is_partial && !others.is_empty() {
            let outcome = Ok(others);
            self.send(node.process(), Message::ObjectLocated { object, outcome });
        }
    }

    /// A node has no copy of an object of this process any more.
    pub(crate) fn on_copy_dropped(&mut self, object: ObjectId, node: NodeId) {
        self.owner.on_holder_gone(object, node);
        self.keep_last_copy(object);
    }

    /// Tells a node to keep its copy when the object is nowhere else.
    pub(crate) fn keep_last_copy(&mut self, object: ObjectId) {
        let ObjectState::Ready(value) = self.owner.state(object) else {
            return;
        };
        let Some((_, writer)) = value.arena() else {
            return;
        };
        if self.is_dead(writer.node_process())
            && let Some((node, _)) = self
                .owner
                .holders(object)
                .into_iter()
                .find(|(_, held)| held.is_none())
        {
            self.send(node.process(), Message::KeepCopy { object });
        }
    }
}
