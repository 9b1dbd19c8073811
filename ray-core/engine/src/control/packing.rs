//! Which node takes which bundle of a placement group: a pure function.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ids::NodeId,
    resources::{Amount, Resources},
    spec::PlacementStrategy,
};

/// Chooses a node for every bundle, or none at all.
///
/// `nodes` says what is free where; `taken` on which nodes other bundles of the group are already.
/// Spreading strictly finds an assignment whenever there is one; the others are greedy, largest bundle
/// first, and may miss a packing that only a search would find.
pub fn assign(
    strategy: PlacementStrategy,
    bundles: &[Resources],
    nodes: &[(NodeId, Resources)],
    taken: &BTreeSet<NodeId>,
) -> Option<Vec<NodeId>> {
    match strategy {
        PlacementStrategy::StrictPack => {
            let sum = sum_of(bundles.iter());
            let node = nodes
                .iter()
                .filter(|(node, _)| taken.is_empty() || taken.contains(node))
                .filter(|(_, free)| free.covers(&sum))
                .min_by_key(|(node, free)| (slack(free, &sum), *node))?;
            Some(vec![node.0; bundles.len()])
        }
        PlacementStrategy::StrictSpread => spread_strictly(bundles, nodes, taken),
        PlacementStrategy::Pack => pack(bundles, nodes, taken),
        PlacementStrategy::Spread => spread(bundles, nodes, taken),
    }
}

fn sum_of<'a>(bundles: impl Iterator<Item = &'a Resources>) -> Resources {
    let mut sum = Resources::new();
    for bundle in bundles {
        sum.give(bundle);
    }
    sum
}

/// Orders nodes that fit: those without GPUs that nobody asked for first, then the tightest.
fn slack(free: &Resources, needed: &Resources) -> (bool, u64) {
    let wastes_gpu =
        free.amount(Resources::GPU).0 > 0 && needed.amount(Resources::GPU) == Amount(0);
    let cpus = free.amount(Resources::CPU).0;
    (
        wastes_gpu,
        cpus.saturating_sub(needed.amount(Resources::CPU).0),
    )
}

/// Returns positions of bundles, those that are hardest to place first.
fn largest_first(bundles: &[Resources]) -> Vec<usize> {
    let mut order = (0..bundles.len()).collect::<Vec<_>>();
    order.sort_by_key(|at| {
        let bundle = &bundles[*at];
        let gpus = bundle.amount(Resources::GPU);
        let all = bundle.0.values().map(|amount| amount.0).max();
        std::cmp::Reverse((gpus, bundle.amount(Resources::CPU), all))
    });
    order
}

fn pack(
    bundles: &[Resources],
    nodes: &[(NodeId, Resources)],
    taken: &BTreeSet<NodeId>,
) -> Option<Vec<NodeId>> {
    let mut free = nodes.iter().cloned().collect::<BTreeMap<_, _>>();
    let mut left = largest_first(bundles);
    let mut chosen = BTreeMap::new();
    while !left.is_empty() {
        // The node that takes most of what is left, for the fewest nodes in all.
        let (_, node, fitting) = free
            .iter()
            .map(|(node, free)| {
                let fitting = fill(free, bundles, &left);
                let sum = sum_of(fitting.iter().map(|at| &bundles[*at]));
                let is_new = !taken.contains(node);
                let order = (std::cmp::Reverse(fitting.len()), is_new, slack(free, &sum));
                (order, *node, fitting)
            })
            .min_by_key(|(order, node, _)| (*order, *node))?;
        if fitting.is_empty() {
            return None;
        }
        free.remove(&node);
        left.retain(|at| !fitting.contains(at));
        chosen.extend(fitting.into_iter().map(|at| (at, node)));
    }
    Some(chosen.into_values().collect())
}

/// Returns which of the bundles `left` fit into `free` together, taken in their order.
fn fill(free: &Resources, bundles: &[Resources], left: &[usize]) -> Vec<usize> {
    let mut free = free.clone();
    left.iter()
        .filter(|at| free.take(&bundles[**at]))
        .copied()
        .collect()
}

fn spread(
    bundles: &[Resources],
    nodes: &[(NodeId, Resources)],
    taken: &BTreeSet<NodeId>,
) -> Option<Vec<NodeId>> {
    let mut free = nodes
        .iter()
        .map(|(node, free)| (*node, (usize::from(taken.contains(node)), free.clone())))
        .collect::<BTreeMap<_, _>>();
    let mut chosen = BTreeMap::new();
    for at in largest_first(bundles) {
        let bundle = &bundles[at];
        let node = free
            .iter()
            .filter(|(_, (_, free))| free.covers(bundle))
            .min_by_key(|(node, (count, free))| (*count, slack(free, bundle), **node))
            .map(|(node, _)| *node)?;
        let (count, free) = free.get_mut(&node).expect("it was found above");
        *count += 1;
        let did_take = free.take(bundle);
        assert!(did_take, "a node that covers a bundle has it");
        chosen.insert(at, node);
    }
    Some(chosen.into_values().collect())
}

/// Matches bundles and nodes one to one by augmenting paths (Kuhn 1955).
fn spread_strictly(
    bundles: &[Resources],
    nodes: &[(NodeId, Resources)],
    taken: &BTreeSet<NodeId>,
) -> Option<Vec<NodeId>> {
    let mut open = nodes
        .iter()
        .filter(|(node, _)| !taken.contains(node))
        .collect::<Vec<_>>();
    if open.len() < bundles.len() {
        return None;
    }
    open.sort_by_key(|(node, free)| (slack(free, &Resources::new()), *node));
    let fits = bundles
        .iter()
        .map(|bundle| {
            (0..open.len())
                .filter(|at| open[*at].1.covers(bundle))
                .collect::<Vec<_>>()
        })
        .collect::<Vec<_>>();
    let mut bundle_of = vec![None; open.len()];
    for bundle in largest_first(bundles) {
        let mut seen = vec![false; open.len()];
        if !augment(bundle, &fits, &mut bundle_of, &mut seen) {
            return None;
        }
    }
    let mut chosen = BTreeMap::new();
    for (at, bundle) in bundle_of.into_iter().enumerate() {
        chosen.extend(bundle.map(|bundle| (bundle, open[at].0)));
    }
    Some(chosen.into_values().collect())
}

fn augment(
    bundle: usize,
    fits: &[Vec<usize>],
    bundle_of: &mut [Option<usize>],
    seen: &mut [bool],
) -> bool {
    if let Some(node) = fits[bundle].iter().find(|node| bundle_of[**node].is_none()) {
        bundle_of[*node] = Some(bundle);
        return true;
    }
    for node in &fits[bundle] {
        if std::mem::replace(&mut seen[*node], true) {
            continue;
        }
        let other = bundle_of[*node].expect("a free node was taken above");
        if augment(other, fits, bundle_of, seen) {
            bundle_of[*node] = Some(bundle);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::PlacementStrategy::{Pack, Spread, StrictPack, StrictSpread};

    fn cpus(count: u64) -> Resources {
        Resources::new().with(Resources::CPU, Amount(count * 10_000))
    }

    /// Returns the nodes chosen for bundles of so many CPUs among nodes 1, 2, … with so many free.
    fn on(
        strategy: PlacementStrategy,
        bundles: &[u64],
        free: &[u64],
        taken: &[u64],
    ) -> Option<Vec<u64>> {
        let bundles = bundles.iter().map(|count| cpus(*count)).collect::<Vec<_>>();
        let nodes = (1..)
            .map(NodeId)
            .zip(free.iter().map(|count| cpus(*count)))
            .collect::<Vec<_>>();
        let taken = taken.iter().copied().map(NodeId).collect();
        let chosen = assign(strategy, &bundles, &nodes, &taken)?;
        Some(chosen.into_iter().map(|node| node.0).collect())
    }

    #[test]
    fn strict_pack_takes_one_node_the_tightest() {
        assert_eq!(on(StrictPack, &[1, 2], &[2, 8, 3], &[]), Some(vec![3, 3]));
        assert_eq!(on(StrictPack, &[2, 2], &[2, 3], &[]), None);
    }

    #[test]
    fn strict_spread_takes_a_node_each_or_nothing() {
        assert_eq!(on(StrictSpread, &[1, 1], &[4, 4], &[]), Some(vec![1, 2]));
        assert_eq!(on(StrictSpread, &[1, 1, 1], &[4, 4], &[]), None);
        assert_eq!(on(StrictSpread, &[1], &[4, 4], &[1]), Some(vec![2]));
        assert_eq!(on(StrictSpread, &[1], &[4], &[1]), None);
    }

    #[test]
    fn strict_spread_finds_what_a_greedy_choice_misses() {
        let gpu = Resources::new().with(Resources::GPU, Amount::ONE);
        let both = cpus(1).with(Resources::GPU, Amount::ONE);
        // Either bundle fits node 1; only the first fits node 2.
        let nodes = [(NodeId(1), both.clone()), (NodeId(2), cpus(1))];
        let chosen = assign(StrictSpread, &[cpus(1), gpu], &nodes, &BTreeSet::new());
        assert_eq!(chosen, Some(vec![NodeId(2), NodeId(1)]));
    }

    #[test]
    fn pack_uses_few_nodes() {
        assert_eq!(on(Pack, &[1, 1, 1], &[2, 3, 2], &[]), Some(vec![2, 2, 2]));
        assert_eq!(on(Pack, &[2, 2, 1], &[2, 3], &[]), Some(vec![2, 1, 2]));
        assert_eq!(on(Pack, &[1], &[4, 4], &[2]), Some(vec![2]));
        assert_eq!(on(Pack, &[3], &[2, 2], &[]), None);
    }

    #[test]
    fn spread_uses_many_nodes_and_doubles_up_when_it_must() {
        assert_eq!(on(Spread, &[1, 1, 1], &[4, 4], &[]), Some(vec![1, 2, 1]));
        assert_eq!(on(Spread, &[1], &[4, 4], &[1]), Some(vec![2]));
        assert_eq!(on(Spread, &[4, 1], &[1, 1], &[]), None);
    }

    #[test]
    fn bundles_without_gpu_keep_off_gpu_nodes() {
        let nodes = [
            (NodeId(1), cpus(4).with(Resources::GPU, Amount::ONE)),
            (NodeId(2), cpus(8)),
        ];
        for strategy in [Pack, Spread, StrictPack, StrictSpread] {
            let chosen = assign(strategy, &[cpus(1)], &nodes, &BTreeSet::new());
            assert_eq!(chosen, Some(vec![NodeId(2)]), "{strategy:?}");
        }
    }
}
