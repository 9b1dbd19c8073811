//! The nodes of the cluster as the control role sees them.

use std::collections::BTreeMap;

use ray_engine::{failure::Failure, ids::ProcessId, resources::Resources};

use crate::wire::{Message, NodeRow};

/// Every node by the process that speaks for it.
#[derive(Default)]
pub(super) struct Nodes(BTreeMap<ProcessId, Node>);

struct Node {
    row: NodeRow,
    available: Resources,
}

impl Nodes {
    /// A node introduces itself.
    pub(super) fn on_up(&mut self, row: NodeRow) {
        let available = row.resources.clone();
        self.0.insert(row.node.process(), Node { row, available });
    }

    /// A node says what is free.
    pub(super) fn on_view(&mut self, node: ProcessId, available: Resources, workers: u32) {
        if let Some(node) = self.0.get_mut(&node) {
            node.available = available;
            node.row.workers = workers;
        }
    }

    /// Returns one row a node.
    pub(super) fn rows(&self) -> Vec<NodeRow> {
        self.0.values().map(|node| node.row.clone()).collect()
    }

    /// Returns everything that the living nodes have, and what of it is free.
    pub(super) fn resources(&self) -> (Resources, Resources) {
        let (mut total, mut available) = (Resources::new(), Resources::new());
        for node in self.0.values().filter(|node| node.row.alive) {
            total.give(&node.row.resources);
            available.give(&node.available);
        }
        (total, available)
    }

    /// Returns the node for a shape.
    ///
    /// # Errors
    /// `Unschedulable` when no node is large enough.
    pub(super) fn choose(&self, shape: &Resources) -> Result<ProcessId, Failure> {
        let fits = |node: &&Node| node.row.alive && node.row.resources.covers(shape);
        let candidates = self.0.values().filter(fits).collect::<Vec<_>>();
        candidates
            .iter()
            .find(|node| node.available.covers(shape))
            .or(candidates.first())
            .map(|node| node.row.node.process())
            .ok_or_else(|| Failure::Unschedulable {
                demand: shape.to_string(),
                reason: match self.0.len() {
                    1 => format!("the only node has {} in all", self.resources().0),
                    count => format!("none of the {count} nodes has that much"),
                },
            })
    }

    /// Adds a message for every living node but one.
    pub(super) fn tell_others(
        &self,
        but: ProcessId,
        out: &mut Vec<(ProcessId, Message)>,
        message: &dyn Fn() -> Message,
    ) {
        for (node, _) in self
            .0
            .iter()
            .filter(|(id, node)| **id != but && node.row.alive)
        {
            out.push((*node, message()));
        }
    }
}
