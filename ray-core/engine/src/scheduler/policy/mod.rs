//! How one node is chosen among many: pure functions, one file a policy.

pub mod affinity;
pub mod hybrid;
pub mod labels;
pub mod spread;

use crate::{ids::NodeId, resources::Resources, view::NodeView};

/// A node that may be chosen.
pub type Candidate<'a> = (NodeId, &'a NodeView);

/// What a policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This node has room.
    Take(NodeId),
    /// This node and no other, whether or not it has room now.
    Queue(NodeId),
    /// Nodes that could run it are full.
    Busy,
    /// No node could ever run it.
    Infeasible,
}

/// Says why nothing was chosen.
fn none_of(nodes: &[Candidate<'_>], shape: &Resources) -> Choice {
    if nodes.iter().any(|(_, view)| view.is_feasible(shape)) {
        Choice::Busy
    } else {
        Choice::Infeasible
    }
}

#[cfg(test)]
pub(super) mod testing {
    use crate::{
        ids::NodeId,
        resources::{Amount, Resources},
        spec::Labels,
        view::ClusterView,
    };

    pub(crate) fn cpus(count: u64) -> Resources {
        Resources::new().with(Resources::CPU, Amount(count * 10_000))
    }

    /// Returns a view of nodes 1, 2, … with this many CPUs in all and in use.
    pub(crate) fn view_of(nodes: &[(u64, u64)]) -> ClusterView {
        let mut view = ClusterView::new();
        for (position, (total, used)) in nodes.iter().enumerate() {
            let node = NodeId(position as u64 + 1);
            view.join(node, cpus(*total), Labels::new());
            view.debit(node, &cpus(*used));
        }
        view
    }
}
