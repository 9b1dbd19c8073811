//! The default policy: pack while nodes are less than half full, then balance.

use super::{Candidate, Choice, none_of};
use crate::{ids::NodeId, resources::Resources};

/// Numbers of the default policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HybridConfig {
    /// The share in use below which nodes count as empty; 10,000 is all. Default 5,000.
    pub threshold_steps: u64,
    /// Nodes that one is drawn from, as a share of all; percent. Default 20.
    pub top_percent: usize,
    /// Nodes that one is drawn from, at least. Default 1.
    pub top_min: usize,
}

impl Default for HybridConfig {
    fn default() -> HybridConfig {
        HybridConfig {
            threshold_steps: 5_000,
            top_percent: 20,
            top_min: 1,
        }
    }
}

/// Chooses the preferred node when none is emptier, else one of the emptiest by `draw`.
///
/// A node under the threshold counts as empty. Work that needs no GPU keeps off nodes with GPUs while
/// others have room.
pub fn choose(
    nodes: &[Candidate<'_>],
    shape: &Resources,
    preferred: Option<NodeId>,
    config: HybridConfig,
    draw: u64,
) -> Choice {
    let mut open = nodes
        .iter()
        .filter(|(_, view)| view.has_room(shape))
        .copied()
        .collect::<Vec<_>>();
    let has_gpu = |(_, view): &Candidate<'_>| view.total.amount(Resources::GPU).0 > 0;
    if shape.amount(Resources::GPU).0 == 0 && open.iter().any(|node| !has_gpu(node)) {
        open.retain(|node| !has_gpu(node));
    }
    let mut scored = open
        .iter()
        .map(|(node, view)| {
            let used = view.use_steps();
            let score = if used < config.threshold_steps {
                0
            } else {
                used
            };
            (score, view.queue_len, *node)
        })
        .collect::<Vec<_>>();
    scored.sort_unstable();
    let Some((best, ..)) = scored.first().copied() else {
        return none_of(nodes, shape);
    };
    if let Some(preferred) = preferred
        && scored
            .iter()
            .any(|(score, _, node)| *node == preferred && *score == best)
    {
        return Choice::Take(preferred);
    }
    let top = (nodes.len() * config.top_percent / 100)
        .max(config.top_min)
        .clamp(1, scored.len());
    Choice::Take(scored[(draw % top as u64) as usize].2)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cpus, view_of};
    use super::*;
    use crate::{resources::Amount, spec::Labels};

    fn pick(nodes: &[(u64, u64)], preferred: u64, draw: u64) -> Choice {
        let view = view_of(nodes);
        let nodes = view.usable().collect::<Vec<_>>();
        let config = HybridConfig::default();
        choose(&nodes, &cpus(1), Some(NodeId(preferred)), config, draw)
    }

    #[test]
    fn the_preferred_node_fills_to_half_before_another_is_used() {
        assert_eq!(pick(&[(10, 0), (10, 4)], 2, 0), Choice::Take(NodeId(2)));
        assert_eq!(pick(&[(10, 0), (10, 5)], 2, 0), Choice::Take(NodeId(1)));
    }

    #[test]
    fn above_half_the_emptier_node_wins_and_ties_stay() {
        assert_eq!(pick(&[(10, 6), (10, 7)], 2, 0), Choice::Take(NodeId(1)));
        assert_eq!(pick(&[(10, 7), (10, 7)], 2, 0), Choice::Take(NodeId(2)));
    }

    #[test]
    fn one_of_the_emptiest_fifth_is_drawn() {
        let nodes = [(4, 0); 10];
        assert_eq!(pick(&nodes, 99, 0), Choice::Take(NodeId(1)));
        assert_eq!(pick(&nodes, 99, 1), Choice::Take(NodeId(2)));
        assert_eq!(pick(&nodes, 99, 2), Choice::Take(NodeId(1)));
    }

    #[test]
    fn full_nodes_are_busy_and_small_ones_infeasible() {
        assert_eq!(pick(&[(1, 1), (1, 1)], 1, 0), Choice::Busy);
        assert_eq!(pick(&[(0, 0)], 1, 0), Choice::Infeasible);
    }

    #[test]
    fn work_without_gpu_keeps_off_gpu_nodes_while_it_can() {
        let mut view = view_of(&[(0, 0), (2, 1)]);
        let total = cpus(8).with(Resources::GPU, Amount::ONE);
        view.join(NodeId(3), total.clone(), Labels::new());
        let config = HybridConfig::default();
        let pick = |view: &crate::view::ClusterView, shape: &Resources| {
            let nodes = view.usable().collect::<Vec<_>>();
            choose(&nodes, shape, Some(NodeId(3)), config, 0)
        };
        assert_eq!(pick(&view, &cpus(1)), Choice::Take(NodeId(2)));
        assert_eq!(pick(&view, &total), Choice::Take(NodeId(3)));
        view.debit(NodeId(2), &cpus(1));
        assert_eq!(pick(&view, &cpus(1)), Choice::Take(NodeId(3)));
    }
}
