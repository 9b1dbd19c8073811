//! What is drawn for worlds of several nodes: the nodes, their faults, placement groups, strategies.

use std::time::Duration;

use ray_engine::{
    ids::NodeId,
    resources::{Amount, Resources},
    spec::{Condition, LabelSelector, Labels, PlacementStrategy, Strategy},
};

use super::Profile;
use crate::{node::Clock, rng::Chance};

/// A node that joins the head.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// What it has in all.
    pub total: Resources,
    /// What it says of itself.
    pub labels: Labels,
    /// When it joins; nanoseconds.
    pub joins_at: u64,
    /// How its clock is off.
    pub clock: Clock,
}

/// The other nodes and what happens to them.
#[derive(Clone, Debug)]
pub struct ClusterPlan {
    /// Driver programs, each with a node that has nothing.
    pub drivers: u64,
    /// Nodes that run work beside the head.
    pub nodes: Vec<NodePlan>,
    /// Time between two nodes that end; nanoseconds, 0 for never.
    pub crash_nanos: u64,
    /// How many of a hundred such ends are an isolation that the node survives for a while.
    pub isolated_percent: u64,
    /// Time between two partitions that heal; nanoseconds, 0 for never.
    pub partition_nanos: u64,
    /// How long what no node can run waits for one that can.
    pub infeasible_grace: Duration,
}

impl Profile {
    /// Draws the profile of a world of several nodes.
    pub fn draw_cluster(chance: &mut Chance) -> Profile {
        let mut profile = Profile::draw(chance);
        let rate = |chance: &mut Chance, percent, first, end| {
            if profile.has_faults && chance.percent(percent) {
                chance.between(first, end)
            } else {
                0
            }
        };
        let crash_nanos = rate(chance, 70, 10_000_000, 150_000_000);
        let partition_nanos = rate(chance, 50, 10_000_000, 100_000_000);
        let mut nodes = (0..chance.between(2, 5))
            .map(|_| some_node(chance, 0))
            .collect::<Vec<_>>();
        // Some come when the program runs already, in the place of those that ended.
        for _ in 0..chance.below(4) {
            let joins_at = chance.between(1_000_000, 200_000_000);
            nodes.push(some_node(chance, joins_at));
        }
        profile.cluster = Some(ClusterPlan {
            drivers: chance.between(1, 3),
            nodes,
            crash_nanos,
            isolated_percent: [0, 30, 100][chance.below(3) as usize],
            partition_nanos,
            infeasible_grace: Duration::from_millis(chance.between(50, 2_000)),
        });
        profile.roots = 1;
        profile.root_steps = chance.between(70, 140) as u32;
        profile
    }
}

/// Actors hold a little of a GPU, so that a node with one would never run what wants a whole one.
fn some_node(chance: &mut Chance, joins_at: u64) -> NodePlan {
    let total = Resources::new()
        .with(Resources::CPU, Amount(10_000 * chance.between(1, 5)))
        .with(Resources::GPU, Amount(20_000 * chance.below(2)))
        .with("disk", Amount(10_000 * chance.below(2)));
    NodePlan {
        total,
        labels: Labels::new().with("zone", ["a", "b"][chance.below(2) as usize]),
        joins_at,
        clock: Clock {
            ahead_nanos: chance.below(5_000_000_000),
            drift_ppm: chance.below(200),
        },
    }
}

/// Draws the bundles of a placement group and how they lie.
pub fn plan_group(chance: &mut Chance) -> (Vec<Resources>, PlacementStrategy) {
    let bundles = (0..chance.between(1, 5))
        .map(|_| {
            let cpus = [5_000, 10_000, 10_000, 20_000][chance.below(4) as usize];
            let gpus = if chance.percent(15) { 10_000 } else { 0 };
            Resources::new()
                .with(Resources::CPU, Amount(cpus))
                .with(Resources::GPU, Amount(gpus))
        })
        .collect();
    let strategy = match chance.below(4) {
        0 => PlacementStrategy::Pack,
        1 => PlacementStrategy::Spread,
        2 => PlacementStrategy::StrictPack,
        _ => PlacementStrategy::StrictSpread,
    };
    (bundles, strategy)
}

/// Draws how a node is chosen, among nodes that have been and one that never was.
pub fn some_strategy(chance: &mut Chance, nodes: &[NodeId]) -> Strategy {
    let zone = |value: &str| {
        LabelSelector(vec![Condition::In {
            key: "zone".into(),
            values: vec![value.into()],
        }])
    };
    match chance.below(10) {
        0..4 => Strategy::Spread,
        4..8 => {
            let node = match chance.position(nodes.len() + 1) {
                Some(position) if position < nodes.len() => nodes[position],
                _ => NodeId(999),
            };
            Strategy::NodeAffinity {
                node,
                soft: chance.percent(50),
            }
        }
        8 => Strategy::Labels {
            hard: zone("a"),
            soft: LabelSelector::default(),
            fallbacks: Vec::new(),
        },
        _ => Strategy::Labels {
            hard: zone("b"),
            soft: zone("b"),
            fallbacks: vec![zone("a")],
        },
    }
}
