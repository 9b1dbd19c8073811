//! Tasks that follow their arguments: which node has most of them, and a shape of its own for that.
//!
//! Leases are kept by shape. A task whose arguments are large and lie on another node asks for its lease
//! near that node, so it cannot share leases with tasks that run anywhere: it gets another shape, which
//! stands for the first one near that node.

use std::collections::BTreeMap;

use super::{Owner, ShapeId, leases::Lease, tasks::Kind};
use crate::ids::{LeaseId, NodeId};

/// Where a value lies and how large it is; `None` for one that travels with the call.
pub type Locate<V> = fn(&V) -> Option<(NodeId, u64)>;

/// The shapes that stand for others near a node.
pub(super) struct Near<V> {
    locate: Option<Locate<V>>,
    by_base: BTreeMap<(ShapeId, NodeId), ShapeId>,
    bases: BTreeMap<ShapeId, (ShapeId, NodeId)>,
}

impl<V> Default for Near<V> {
    fn default() -> Near<V> {
        Near {
            locate: None,
            by_base: BTreeMap::new(),
            bases: BTreeMap::new(),
        }
    }
}

impl<P: Clone, V: Clone> Owner<P, V> {
    /// Lets tasks of [`Owner::fresh_shape`]s that follow go where their arguments are.
    pub fn locate_with(&mut self, locate: Locate<V>) {
        self.near.locate = Some(locate);
    }

    /// Returns a shape that no task has yet; `follows` when its tasks may go where their arguments are.
    pub fn fresh_shape(&mut self, follows: bool) -> ShapeId {
        let shape = ShapeId(u32::try_from(self.shapes.len()).expect("fewer than 2^32 shapes"));
        self.queue_of(shape).follows = follows;
        shape
    }

    /// Returns what a shape stands for: another one near a node, or itself anywhere.
    pub fn base_of(&self, shape: ShapeId) -> (ShapeId, Option<NodeId>) {
        match self.near.bases.get(&shape) {
            Some((base, node)) => (*base, Some(*node)),
            None => (shape, None),
        }
    }

    /// Gives a task whose arguments are all there the shape by which it finds its lease.
    pub(super) fn settle_shape(&mut self, index: u64) {
        let Some(locate) = self.near.locate else {
            return;
        };
        let Some(task) = self.tasks.get(index) else {
            return;
        };
        let Kind::Task { shape, lease } = task.kind else {
            return;
        };
        let arguments = &task.held[..task.arguments as usize];
        if arguments.is_empty() || !self.shapes[shape.0 as usize].follows {
            return;
        }
        let mut bytes_on: BTreeMap<NodeId, u64> = BTreeMap::new();
        for object in arguments {
            if let super::ObjectState::Ready(value) = self.state(*object)
                && let Some((node, bytes)) = locate(value)
            {
                *bytes_on.entry(node).or_default() += bytes;
            }
        }
        let most = bytes_on.into_iter().max_by_key(|(_, bytes)| *bytes);
        let Some((node, _)) = most.filter(|(_, bytes)| *bytes >= self.limits.near_bytes) else {
            return;
        };
        if node == self.process.node() {
            return;
        }
        let shape = match self.near.by_base.get(&(shape, node)) {
            Some(near) => *near,
            None => {
                let near = self.fresh_shape(false);
                self.near.by_base.insert((shape, node), near);
                self.near.bases.insert(near, (shape, node));
                near
            }
        };
        if let Some(task) = self.tasks.get_mut(index) {
            task.kind = Kind::Task { shape, lease };
        }
    }

    /// Takes over an idle lease of the same resources that a kin of the shape has where this one's tasks may run.
    pub(super) fn borrow_idle(&mut self, shape: ShapeId) -> Option<LeaseId> {
        let (kin, node) = match self.near.bases.get(&shape) {
            Some((base, node)) => (vec![*base], Some(*node)),
            None => {
                let all = (shape, NodeId(u64::MIN))..=(shape, NodeId(u64::MAX));
                (
                    self.near
                        .by_base
                        .range(all)
                        .map(|(_, near)| *near)
                        .collect(),
                    None,
                )
            }
        };
        let is_meant = |lease: &Lease| {
            let is_free = lease.in_flight.is_empty() && !lease.is_recalled && !lease.is_blocked;
            is_free && node.is_none_or(|node| lease.worker.node() == node)
        };
        let leases = kin
            .iter()
            .flat_map(|kin| &self.shapes[kin.0 as usize].leases);
        let found = leases
            .copied()
            .find(|id| self.leases.get(id).is_some_and(is_meant))?;
        let lease = self.leases.get_mut(&found)?;
        let before = std::mem::replace(&mut lease.shape, shape);
        self.shapes[before.0 as usize]
            .leases
            .retain(|other| *other != found);
        self.shapes[shape.0 as usize].leases.push(found);
        Some(found)
    }

    /// Queues a task whose arguments are all there, and sends what can be sent.
    pub(super) fn on_arguments_ready(&mut self, index: u64) {
        self.settle_shape(index);
        self.enqueue(index, false);
        if let Some(task) = self.tasks.get(index)
            && let Kind::Task { shape, .. } = task.kind
        {
            self.dispatch(shape, self.now);
        }
    }
}
