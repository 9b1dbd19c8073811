//! Nodes by their labels.

use super::{Candidate, Choice, hybrid, none_of};
use crate::{ids::NodeId, resources::Resources, spec::LabelSelector};

/// Chooses among the nodes of the first selector that has one with room: `hard`, then the fallbacks.
///
/// Among those, nodes that match `soft` and have room come first; the default policy decides the rest.
pub fn choose(
    nodes: &[Candidate<'_>],
    shape: &Resources,
    (hard, soft, fallbacks): (&LabelSelector, &LabelSelector, &[LabelSelector]),
    preferred: Option<NodeId>,
    config: hybrid::HybridConfig,
    draw: u64,
) -> Choice {
    let mut verdict = Choice::Infeasible;
    for selector in std::iter::once(hard).chain(fallbacks) {
        let matching = nodes
            .iter()
            .filter(|(_, view)| selector.matches(&view.labels))
            .copied()
            .collect::<Vec<_>>();
        let better = matching
            .iter()
            .filter(|(_, view)| soft.matches(&view.labels))
            .copied()
            .collect::<Vec<_>>();
        for set in [&better, &matching] {
            let choice = hybrid::choose(set, shape, preferred, config, draw);
            if matches!(choice, Choice::Take(_)) {
                return choice;
            }
        }
        if none_of(&matching, shape) == Choice::Busy {
            verdict = Choice::Busy;
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::super::testing::cpus;
    use super::*;
    use crate::{
        spec::{Condition, Labels},
        view::ClusterView,
    };

    fn is(key: &str, value: &str) -> LabelSelector {
        LabelSelector(vec![Condition::In {
            key: key.into(),
            values: vec![value.into()],
        }])
    }

    /// Returns a view of node 1 in zone a, nodes 2 and 3 in zone b, 3 with a fast disk; one CPU each.
    fn view() -> ClusterView {
        let mut view = ClusterView::new();
        view.join(NodeId(1), cpus(1), Labels::new().with("zone", "a"));
        view.join(NodeId(2), cpus(1), Labels::new().with("zone", "b"));
        let fast = Labels::new().with("zone", "b").with("disk", "fast");
        view.join(NodeId(3), cpus(1), fast);
        view
    }

    fn pick(
        view: &ClusterView,
        hard: LabelSelector,
        soft: LabelSelector,
        fallbacks: &[LabelSelector],
    ) -> Choice {
        let nodes = view.usable().collect::<Vec<_>>();
        let config = hybrid::HybridConfig::default();
        choose(&nodes, &cpus(1), (&hard, &soft, fallbacks), None, config, 0)
    }

    #[test]
    fn hard_conditions_exclude_and_soft_ones_prefer() {
        let mut view = view();
        let any = LabelSelector::default;
        assert_eq!(
            pick(&view, is("zone", "b"), any(), &[]),
            Choice::Take(NodeId(2))
        );
        assert_eq!(
            pick(&view, is("zone", "b"), is("disk", "fast"), &[]),
            Choice::Take(NodeId(3))
        );
        view.debit(NodeId(3), &cpus(1));
        assert_eq!(
            pick(&view, is("zone", "b"), is("disk", "fast"), &[]),
            Choice::Take(NodeId(2))
        );
    }

    #[test]
    fn fallbacks_are_tried_in_order() {
        let mut view = view();
        let any = LabelSelector::default;
        let fallbacks = [is("zone", "d"), is("zone", "a"), is("zone", "b")];
        assert_eq!(
            pick(&view, is("zone", "c"), any(), &fallbacks),
            Choice::Take(NodeId(1))
        );
        view.debit(NodeId(1), &cpus(1));
        assert_eq!(
            pick(&view, is("zone", "c"), any(), &fallbacks),
            Choice::Take(NodeId(2))
        );
    }

    #[test]
    fn no_match_is_infeasible_and_a_full_match_is_busy() {
        let mut view = view();
        let any = LabelSelector::default;
        assert_eq!(pick(&view, is("zone", "c"), any(), &[]), Choice::Infeasible);
        view.debit(NodeId(1), &cpus(1));
        assert_eq!(pick(&view, is("zone", "a"), any(), &[]), Choice::Busy);
    }
}
