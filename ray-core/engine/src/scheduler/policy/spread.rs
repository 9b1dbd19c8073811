//! One node after the other among those with room.

use super::{Candidate, Choice, none_of};
use crate::{ids::NodeId, resources::Resources};

/// Chooses the first node with room after `last`, in the order of ids and round again.
pub fn choose(nodes: &[Candidate<'_>], shape: &Resources, last: Option<NodeId>) -> Choice {
    let mut open = nodes
        .iter()
        .filter(|(_, view)| view.has_room(shape))
        .map(|(node, _)| *node)
        .collect::<Vec<_>>();
    open.sort_unstable();
    let after = open
        .iter()
        .find(|node| last.is_none_or(|last| **node > last));
    match after.or(open.first()) {
        Some(node) => Choice::Take(*node),
        None => none_of(nodes, shape),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cpus, view_of};
    use super::*;

    fn pick(nodes: &[(u64, u64)], last: Option<u64>) -> Choice {
        let view = view_of(nodes);
        let nodes = view.usable().collect::<Vec<_>>();
        choose(&nodes, &cpus(1), last.map(NodeId))
    }

    #[test]
    fn nodes_take_turns() {
        let nodes = [(1, 0), (1, 0), (1, 0)];
        assert_eq!(pick(&nodes, None), Choice::Take(NodeId(1)));
        assert_eq!(pick(&nodes, Some(1)), Choice::Take(NodeId(2)));
        assert_eq!(pick(&nodes, Some(3)), Choice::Take(NodeId(1)));
    }

    #[test]
    fn full_nodes_are_passed_over() {
        assert_eq!(
            pick(&[(1, 0), (1, 1), (1, 0)], Some(1)),
            Choice::Take(NodeId(3))
        );
        assert_eq!(pick(&[(1, 1), (1, 1)], None), Choice::Busy);
        assert_eq!(pick(&[], None), Choice::Infeasible);
    }
}
