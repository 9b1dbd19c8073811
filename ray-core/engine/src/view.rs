//! The nodes of a cluster as somebody else last heard of them.
//!
//! What a view says is a moment old. Whoever sends work to a node takes it off the view at once, so that
//! a burst spreads; the node's next report replaces the guess.

use std::collections::BTreeMap;

use crate::{
    ids::NodeId,
    resources::{Amount, Resources},
    spec::{Labels, NodeReport},
};

/// One node as it was last heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// What it has in all.
    pub total: Resources,
    /// What it says of itself.
    pub labels: Labels,
    /// What is probably free.
    pub available: Resources,
    /// How many requests probably wait there.
    pub queue_len: u32,
    /// How many requests there had waited for a while when it was last asked to share.
    pub overdue: u32,
    /// The version of the last report, 0 before the first.
    pub version: u64,
    /// Whether it takes no new work.
    pub is_draining: bool,
    /// Whether it was not heard of for a while.
    pub is_doubted: bool,
    /// Whether it refused work since its last report.
    pub is_exhausted: bool,
}

impl NodeView {
    /// Returns whether the node could ever run the shape.
    pub fn is_feasible(&self, shape: &Resources) -> bool {
        self.total.covers(shape)
    }

    /// Returns whether the node can probably run the shape now.
    pub fn has_room(&self, shape: &Resources) -> bool {
        !self.is_exhausted && self.available.covers(shape)
    }

    /// Returns the share in use of the resource that is used most; 10,000 is all of it.
    pub fn use_steps(&self) -> u64 {
        self.total
            .0
            .iter()
            .filter(|(_, total)| total.0 > 0)
            .map(|(name, total)| {
                let used = total.0.saturating_sub(self.available.amount(name).0);
                let share = u128::from(used) * u128::from(Amount::ONE.0) / u128::from(total.0);
                u64::try_from(share).unwrap_or(u64::MAX)
            })
            .max()
            .unwrap_or(0)
    }
}

/// All nodes, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterView(BTreeMap<NodeId, NodeView>);

impl ClusterView {
    /// Returns a view of nothing.
    pub fn new() -> ClusterView {
        ClusterView::default()
    }

    /// Adds a node of which everything is free; one that is known already stays as it is.
    pub fn join(&mut self, node: NodeId, total: Resources, labels: Labels) {
        self.0.entry(node).or_insert_with(|| NodeView {
            available: total.clone(),
            total,
            labels,
            queue_len: 0,
            overdue: 0,
            version: 0,
            is_draining: false,
            is_doubted: false,
            is_exhausted: false,
        });
    }

    /// Forgets a node; returns whether it was known.
    pub fn leave(&mut self, node: NodeId) -> bool {
        self.0.remove(&node).is_some()
    }

    /// Notes that a node takes no new work.
    pub fn drain(&mut self, node: NodeId) {
        if let Some(view) = self.0.get_mut(&node) {
            view.is_draining = true;
        }
    }

    /// Notes whether a node is in doubt.
    pub fn doubt(&mut self, node: NodeId, is_doubted: bool) {
        if let Some(view) = self.0.get_mut(&node) {
            view.is_doubted = is_doubted;
        }
    }

    /// Takes a report over unless it is stale; returns whether it was new.
    pub fn update(&mut self, node: NodeId, report: NodeReport) -> bool {
        match self.0.get_mut(&node) {
            Some(view) if report.version > view.version => {
                view.version = report.version;
                view.available = report.available;
                view.queue_len = report.queue_len;
                view.overdue = report.overdue;
                view.is_exhausted = false;
                true
            }
            _ => false,
        }
    }

    /// Takes work off a node that was sent there; what is not free queues.
    pub fn debit(&mut self, node: NodeId, shape: &Resources) {
        let Some(view) = self.0.get_mut(&node) else {
            return;
        };
        if !view.available.take(shape) {
            view.queue_len += 1;
        }
    }

    /// Notes that a node was asked to share what waits there: what it has left it reports.
    pub fn asked_to_share(&mut self, node: NodeId) {
        if let Some(view) = self.0.get_mut(&node) {
            view.overdue = 0;
        }
    }

    /// Notes that a node refused work: it is full until it reports.
    pub fn exhaust(&mut self, node: NodeId) {
        if let Some(view) = self.0.get_mut(&node) {
            view.is_exhausted = true;
        }
    }

    /// Returns what is known of a node.
    pub fn get(&self, node: NodeId) -> Option<&NodeView> {
        self.0.get(&node)
    }

    /// Returns all nodes that take new work.
    pub fn usable(&self) -> impl Iterator<Item = (NodeId, &NodeView)> {
        self.0
            .iter()
            .filter(|(_, view)| !view.is_draining && !view.is_doubted)
            .map(|(node, view)| (*node, view))
    }

    /// Returns all nodes.
    pub fn all(&self) -> impl Iterator<Item = (NodeId, &NodeView)> {
        self.0.iter().map(|(node, view)| (*node, view))
    }

    /// Returns the nodes that would take new work if they were heard of.
    pub fn doubted(&self) -> impl Iterator<Item = (NodeId, &NodeView)> {
        self.0
            .iter()
            .filter(|(_, view)| !view.is_draining && view.is_doubted)
            .map(|(node, view)| (*node, view))
    }

    /// Returns how many nodes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(1);

    fn cpus(count: u64) -> Resources {
        Resources::new().with(Resources::CPU, Amount(count * 10_000))
    }

    fn report(version: u64, free: u64) -> NodeReport {
        NodeReport {
            version,
            available: cpus(free),
            queue_len: 0,
            overdue: 0,
        }
    }

    #[test]
    fn a_stale_report_changes_nothing() {
        let mut view = ClusterView::new();
        view.join(NODE, cpus(4), Labels::new());
        assert!(view.update(NODE, report(2, 3)));
        assert!(!view.update(NODE, report(2, 1)));
        assert!(!view.update(NODE, report(1, 0)));
        assert_eq!(view.get(NODE).expect("joined").available, cpus(3));
    }

    #[test]
    fn a_report_replaces_what_was_guessed() {
        let mut view = ClusterView::new();
        view.join(NODE, cpus(4), Labels::new());
        view.debit(NODE, &cpus(3));
        view.debit(NODE, &cpus(3));
        view.exhaust(NODE);
        let node = view.get(NODE).expect("joined");
        assert_eq!((node.available.clone(), node.queue_len), (cpus(1), 1));
        assert!(!node.has_room(&cpus(1)));
        view.update(NODE, report(1, 4));
        let node = view.get(NODE).expect("joined");
        assert!(node.has_room(&cpus(4)) && node.queue_len == 0);
    }

    #[test]
    fn use_is_that_of_the_scarcest_resource() {
        let mut view = ClusterView::new();
        view.join(NODE, cpus(4).with("disk", Amount(10_000)), Labels::new());
        view.debit(NODE, &cpus(1).with("disk", Amount(5_000)));
        assert_eq!(view.get(NODE).expect("joined").use_steps(), 5_000);
    }
}
