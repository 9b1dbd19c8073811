//! Where one demand goes: from its strategy to a policy.

use std::time::Duration;

use super::{ClusterScheduler, Verdict, WaitReason};
use crate::{
    failure::Failure,
    ids::{NodeId, ProcessId},
    resources::{Amount, Resources},
    scheduler::policy::{Candidate, Choice, affinity, hybrid, labels, spread},
    spec::{BundleRef, Demand, Strategy},
};

impl ClusterScheduler {
    pub(super) fn decide(&mut self, requester: ProcessId, demand: &Demand) -> Verdict {
        if let Some(bundle) = demand.bundle {
            return self.decide_bundle(bundle, demand);
        }
        let draw = self.draws.draw();
        let nodes = self.view.usable().collect::<Vec<_>>();
        let shape = &demand.shape;
        let config = self.config.hybrid;
        let near = demand.origin;
        if let Some(verdict) = self.follow_arguments(requester, demand) {
            return verdict;
        }
        let choice = match &demand.strategy {
            Strategy::Default if is_weightless_actor(demand) => {
                spread::choose(&nodes, shape, self.last_spread)
            }
            Strategy::Default => hybrid::choose(&nodes, shape, near, config, draw),
            Strategy::Spread => spread::choose(&nodes, shape, self.last_spread),
            Strategy::NodeAffinity { node, soft } => {
                let otherwise = if *soft {
                    affinity::Otherwise::Elsewhere
                } else {
                    affinity::Otherwise::Fail
                };
                match affinity::choose(&nodes, shape, *node, otherwise) {
                    Some(Choice::Infeasible) if self.could_run_again(Some(*node), shape) => {
                        Choice::Busy
                    }
                    Some(Choice::Infeasible) => {
                        return Verdict::Refuse(self.unschedulable(demand));
                    }
                    Some(choice) => choice,
                    None => hybrid::choose(&nodes, shape, near, config, draw),
                }
            }
            Strategy::Labels {
                hard,
                soft,
                fallbacks,
            } => labels::choose(&nodes, shape, (hard, soft, fallbacks), near, config, draw),
        };
        let is_spread = demand.strategy == Strategy::Spread || is_weightless_actor(demand);
        match choice {
            Choice::Take(node) => {
                if is_spread {
                    self.last_spread = Some(node);
                }
                Verdict::Send {
                    node,
                    is_bound: false,
                }
            }
            Choice::Queue(node) => Verdict::Send {
                node,
                is_bound: true,
            },
            Choice::Busy => match self.shortest_line(requester, demand) {
                Some(node) => Verdict::Line(node),
                None => Verdict::Wait(WaitReason::Busy),
            },
            Choice::Infeasible if self.could_run_again(None, shape) => {
                Verdict::Wait(WaitReason::Busy)
            }
            Choice::Infeasible if self.config.infeasible_grace == Some(Duration::ZERO) => {
                Verdict::Refuse(self.unschedulable(demand))
            }
            Choice::Infeasible => Verdict::Wait(WaitReason::Infeasible),
        }
    }

    /// Returns where work that any node may run stands in line when all of them are full.
    ///
    /// At a node it has its turn among the jobs there, and leases are recalled for it; here it would wait for
    /// ever while others hold on to theirs. Nobody stands in one line twice for the same: that would keep others
    /// out, and no lease is recalled for its own holder.
    fn shortest_line(&self, requester: ProcessId, demand: &Demand) -> Option<NodeId> {
        if !matches!(demand.strategy, Strategy::Default | Strategy::Spread) {
            return None;
        }
        let lines = self.view.usable();
        let lines = lines.filter_map(|(node, view)| {
            let len = self.line_len((node, view), requester, demand)?;
            Some((len, node))
        });
        lines.min().map(|(_, node)| node)
    }

    /// Returns how many stand in line at a node, if one more may.
    fn line_len(
        &self,
        (node, view): Candidate<'_>,
        requester: ProcessId,
        demand: &Demand,
    ) -> Option<usize> {
        if !view.is_feasible(&demand.shape) || view.is_exhausted {
            return None;
        }
        let mut len = 0;
        for ((asker, _), sent) in &self.forwarded {
            if !sent.is_queued || sent.node != node {
                continue;
            }
            if *asker == requester && sent.pending.demand.shape == demand.shape {
                return None;
            }
            len += 1;
        }
        (len < self.config.line_max).then_some(len)
    }

    /// Sends a task where most of its arguments are, if that is much, and has it stand in line there if it must.
    ///
    /// What waits long is moved to a node that is idle, as everything that stands in line.
    fn follow_arguments(&self, requester: ProcessId, demand: &Demand) -> Option<Verdict> {
        let node = self.nearest(demand)?;
        let nodes = self.view.usable();
        let (_, view) = nodes.into_iter().find(|(id, _)| *id == node)?;
        if view.has_room(&demand.shape) {
            let is_bound = false;
            return Some(Verdict::Send { node, is_bound });
        }
        let line = self.line_len((node, view), requester, demand);
        line.map(|_| Verdict::Line(node))
    }

    /// Returns whether a node that is in doubt, or this one of them, could run the shape.
    fn could_run_again(&self, node: Option<NodeId>, shape: &Resources) -> bool {
        let mut doubted = self.view.doubted();
        doubted.any(|(id, view)| node.is_none_or(|node| node == id) && view.is_feasible(shape))
    }

    /// Finds the bundle that a demand draws from; of several that would do the next in turn.
    fn decide_bundle(&mut self, bundle: BundleRef, demand: &Demand) -> Verdict {
        let BundleRef { group, index } = bundle;
        if self.removed_groups.contains(&group) {
            return Verdict::Refuse(Failure::PlacementGroupRemoved(group));
        }
        let Some(bundles) = self.groups.get(&group) else {
            return Verdict::Wait(WaitReason::GroupNotPlaced(group));
        };
        let meant = match index {
            None => &bundles[..],
            Some(index) => match bundles.get(index as usize) {
                Some(one) => std::slice::from_ref(one),
                None => {
                    let reason =
                        format!("there are {} bundles and no number {index}", bundles.len());
                    return Verdict::Refuse(invalid_bundle(reason));
                }
            },
        };
        let fitting = meant
            .iter()
            .filter(|placed| placed.shape.covers(&demand.shape))
            .collect::<Vec<_>>();
        if fitting.is_empty() {
            let reason = format!("{} is more than the bundle reserves", demand.shape);
            return Verdict::Refuse(invalid_bundle(reason));
        }
        let mut nodes = fitting
            .iter()
            .filter_map(|placed| placed.node)
            .collect::<Vec<_>>();
        nodes.sort_unstable();
        nodes.dedup();
        if nodes.is_empty() {
            return Verdict::Wait(WaitReason::GroupNotPlaced(group));
        }
        let node = nodes[(self.draws.draw() % nodes.len() as u64) as usize];
        Verdict::Send {
            node,
            is_bound: true,
        }
    }

    /// Returns the node with most of a task's arguments, when that is much.
    fn nearest(&self, demand: &Demand) -> Option<NodeId> {
        if demand.actor.is_some() || demand.strategy != Strategy::Default {
            return None;
        }
        demand
            .locality
            .iter()
            .filter(|(node, bytes)| {
                *bytes >= self.config.locality_bytes_min && self.view.get(*node).is_some()
            })
            .max_by_key(|(node, bytes)| (*bytes, std::cmp::Reverse(*node)))
            .map(|(node, _)| *node)
    }

    pub(super) fn unschedulable(&self, demand: &Demand) -> Failure {
        let count = self.view.usable().count();
        let reason = match &demand.strategy {
            Strategy::NodeAffinity { node, .. } => match self.view.get(*node) {
                None => format!("node {node} is not in the cluster"),
                Some(view) if view.is_draining => format!("node {node} takes no new work"),
                Some(view) => format!("node {node} has {} in all", view.total),
            },
            Strategy::Labels { .. } => {
                format!("none of the {count} nodes has the labels and is large enough")
            }
            Strategy::Default | Strategy::Spread => {
                format!("none of the {count} nodes is large enough")
            }
        };
        Failure::Unschedulable {
            demand: demand.shape.to_string(),
            reason,
        }
    }
}

/// Returns whether a demand is for an actor that takes no CPU and would otherwise pile up.
fn is_weightless_actor(demand: &Demand) -> bool {
    demand.actor.is_some()
        && demand.strategy == Strategy::Default
        && demand.shape.amount(Resources::CPU) == Amount(0)
}

fn invalid_bundle(reason: String) -> Failure {
    Failure::InvalidOption {
        option: "placement_group".into(),
        reason,
    }
}
