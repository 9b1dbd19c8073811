//! One named node, or any other where that is allowed.

use super::{Candidate, Choice};
use crate::{ids::NodeId, resources::Resources};

/// What becomes of work whose node cannot run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// It fails.
    Fail,
    /// It goes elsewhere.
    Elsewhere,
}

/// Chooses `node` when it lives and could run the shape; `None` says that another policy decides.
pub fn choose(
    nodes: &[Candidate<'_>],
    shape: &Resources,
    node: NodeId,
    otherwise: Otherwise,
) -> Option<Choice> {
    let can_run = nodes
        .iter()
        .any(|(id, view)| *id == node && view.is_feasible(shape));
    match (can_run, otherwise) {
        (true, _) => Some(Choice::Queue(node)),
        (false, Otherwise::Fail) => Some(Choice::Infeasible),
        (false, Otherwise::Elsewhere) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cpus, view_of};
    use super::*;

    fn pick(node: u64, need: u64, otherwise: Otherwise) -> Option<Choice> {
        let mut view = view_of(&[(2, 2), (2, 0)]);
        view.drain(NodeId(2));
        let nodes = view.usable().collect::<Vec<_>>();
        choose(&nodes, &cpus(need), NodeId(node), otherwise)
    }

    #[test]
    fn a_busy_node_is_waited_for() {
        assert_eq!(pick(1, 1, Otherwise::Fail), Some(Choice::Queue(NodeId(1))));
    }

    #[test]
    fn a_node_that_is_gone_too_small_or_draining_fails_hard_work_only() {
        for (node, need) in [(7, 1), (1, 3), (2, 1)] {
            assert_eq!(pick(node, need, Otherwise::Fail), Some(Choice::Infeasible));
            assert_eq!(pick(node, need, Otherwise::Elsewhere), None);
        }
    }
}
