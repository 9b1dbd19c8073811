//! What work asks of the cluster: strategies, labels, bundles, demands.

#![allow(
    missing_docs,
    reason = "rkyv's derives repeat the types without their documentation"
)]

use std::collections::BTreeMap;

use rkyv::{Archive, Deserialize, Serialize};

use crate::{
    env::RuntimeEnv,
    ids::{ActorId, GroupId, JobId, NodeId},
    resources::{Amount, Resources},
};

/// What a node says of itself, as keys and values.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(pub BTreeMap<String, String>);

impl Labels {
    /// Returns an empty set.
    pub fn new() -> Labels {
        Labels::default()
    }

    /// Returns the set with `key` set to `value`.
    pub fn with(mut self, key: &str, value: &str) -> Labels {
        self.0.insert(key.to_owned(), value.to_owned());
        self
    }
}

/// One condition on a node's labels.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// The key is there and has one of these values.
    In { key: String, values: Vec<String> },
    /// The key is absent or has none of these values.
    NotIn { key: String, values: Vec<String> },
    /// The key is there.
    Exists { key: String },
    /// The key is not there.
    Absent { key: String },
}

impl Condition {
    fn holds(&self, labels: &Labels) -> bool {
        match self {
            Condition::In { key, values } => labels
                .0
                .get(key)
                .is_some_and(|value| values.contains(value)),
            Condition::NotIn { key, values } => !labels
                .0
                .get(key)
                .is_some_and(|value| values.contains(value)),
            Condition::Exists { key } => labels.0.contains_key(key),
            Condition::Absent { key } => !labels.0.contains_key(key),
        }
    }
}

/// Conditions that must hold together; an empty one takes every node.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector(pub Vec<Condition>);

impl LabelSelector {
    /// Returns whether a node with these labels is meant.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|condition| condition.holds(labels))
    }
}

/// How a node is chosen for work.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Near its arguments and its submitter while that node is less than half full, then elsewhere.
    #[default]
    Default,
    /// One node after the other.
    Spread,
    /// This node; when it is gone, fails, or goes elsewhere if `soft`.
    NodeAffinity { node: NodeId, soft: bool },
    /// Nodes that match `hard`, better those that match `soft`; else the first of `fallbacks` that can.
    Labels {
        hard: LabelSelector,
        soft: LabelSelector,
        fallbacks: Vec<LabelSelector>,
    },
}

/// How the bundles of a placement group lie to each other.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlacementStrategy {
    /// On as few nodes as possible.
    #[default]
    Pack,
    /// On as many nodes as possible.
    Spread,
    /// On one node, or not at all.
    StrictPack,
    /// Each on a node of its own, or not at all.
    StrictSpread,
}

/// A place in a placement group.
#[derive(
    Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub struct BundleRef {
    /// Which group.
    pub group: GroupId,
    /// Which of its bundles; `None` for any that has room.
    pub index: Option<u32>,
}

/// Where work is to run, when its submitter says so, and in what environment.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Placement {
    /// How the node is chosen.
    pub strategy: Strategy,
    /// The placement group it draws from, if it does.
    pub bundle: Option<BundleRef>,
    /// What its process is started with; every node can do that.
    pub env: RuntimeEnv,
    /// Whether what runs is lost when its process ends: where memory is short, others go first.
    pub runs_once: bool,
}

impl Placement {
    /// Returns whether nothing is said of where.
    pub fn is_default(&self) -> bool {
        self.bundle.is_none() && self.strategy == Strategy::Default
    }
}

/// A bundle of a placement group and where it is.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct PlacedBundle {
    /// What it reserves.
    pub shape: Resources,
    /// Where; `None` while it has no place.
    pub node: Option<NodeId>,
}

/// What one request asks of the cluster.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Whose code it runs.
    pub job: JobId,
    /// What it takes of a node.
    pub shape: Resources,
    /// How the node is chosen.
    pub strategy: Strategy,
    /// How many bytes of its arguments lie where.
    pub locality: Vec<(NodeId, u64)>,
    /// The actor it is for and what that holds once it runs, if it is for one.
    pub actor: Option<(ActorId, Resources)>,
    /// The placement group it draws from, if it does.
    pub bundle: Option<BundleRef>,
    /// The node that was asked first.
    pub origin: Option<NodeId>,
    /// What its process is started with.
    pub env: RuntimeEnv,
    /// Whether what runs is lost when its process ends.
    pub runs_once: bool,
}

impl Demand {
    /// Returns the demand of a plain task.
    pub fn task(shape: Resources) -> Demand {
        Demand {
            shape,
            ..Demand::default()
        }
    }

    /// Returns the demand of a worker that is to host an actor, which then holds `running`.
    pub fn actor(
        actor: ActorId,
        job: JobId,
        placement: Placement,
        (shape, running): (Resources, Resources),
    ) -> Demand {
        Demand {
            job,
            strategy: placement.strategy,
            bundle: placement.bundle,
            env: placement.env,
            runs_once: placement.runs_once,
            actor: Some((actor, running)),
            origin: Some(actor.owner.node()),
            ..Demand::task(shape)
        }
    }
}

/// What a node tells the control process about itself, each time with a higher version.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeReport {
    /// Counts up; an older one than what is known is of no interest.
    pub version: u64,
    /// What no lease and no bundle holds.
    pub available: Resources,
    /// How many requests wait there.
    pub queue_len: u32,
    /// How many of them have waited for a while and could run elsewhere.
    pub overdue: u32,
}

/// A part of one accelerator.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceShare {
    /// Which device of the node, from 0.
    pub index: u32,
    /// How much of it; at most one.
    pub amount: Amount,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(condition: Condition) -> LabelSelector {
        LabelSelector(vec![condition])
    }

    #[test]
    fn conditions_look_at_key_and_value() {
        let labels = Labels::new().with("zone", "a");
        let (zone, disk) = ("zone".to_owned(), "disk".to_owned());
        let values = vec!["a".to_owned()];
        let holds = |condition| one(condition).matches(&labels);
        assert!(holds(Condition::In {
            key: zone.clone(),
            values: values.clone()
        }));
        assert!(!holds(Condition::NotIn {
            key: zone.clone(),
            values: values.clone()
        }));
        assert!(!holds(Condition::In {
            key: disk.clone(),
            values: values.clone()
        }));
        assert!(holds(Condition::NotIn {
            key: disk.clone(),
            values
        }));
        assert!(holds(Condition::Exists { key: zone.clone() }));
        assert!(!holds(Condition::Exists { key: disk.clone() }));
        assert!(holds(Condition::Absent { key: disk }));
        assert!(!holds(Condition::Absent { key: zone }));
        assert!(LabelSelector::default().matches(&labels));
    }
}
