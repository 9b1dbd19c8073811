//! Work goes only where it may: to nodes that are there, are large enough and are meant.

use ray_engine::{
    ids::NodeId,
    spec::{Demand, Strategy},
};

use crate::{control::Control, world::World};

/// Watches where the control role sends work.
#[derive(Default)]
pub struct PlacementRules;

impl PlacementRules {
    /// The control role hands a request to a node.
    ///
    /// # Errors
    /// When that node is gone, too small, or another one than the strategy names.
    pub fn on_forward(
        &self,
        control: &Control,
        node: NodeId,
        demand: &Demand,
    ) -> Result<(), String> {
        let row = control.nodes.get(&node.process());
        if row.is_none_or(|row| !row.is_alive || row.is_driver) {
            return Err(format!("{demand:?} goes to {node}, which runs no work"));
        }
        let Some(view) = control.scheduler.view().get(node) else {
            return Err(format!(
                "{demand:?} goes to {node}, which is not in the view"
            ));
        };
        if demand.bundle.is_none() && !view.is_feasible(&demand.shape) {
            return Err(format!(
                "{demand:?} goes to {node}, which has {}",
                view.total
            ));
        }
        let is_meant = match &demand.strategy {
            Strategy::NodeAffinity { node: tied, soft } => *soft || *tied == node,
            Strategy::Labels {
                hard, fallbacks, ..
            } => {
                hard.matches(&view.labels)
                    || fallbacks.iter().any(|other| other.matches(&view.labels))
            }
            Strategy::Default | Strategy::Spread => true,
        };
        if is_meant {
            Ok(())
        } else {
            Err(format!("{demand:?} goes to {node}, which is not meant"))
        }
    }
}

/// Returns that the control role knows what the nodes that live have free.
///
/// # Errors
/// When its guess was never put right, so that work would wait for room that is there.
pub fn check_view(world: &World) -> Result<(), String> {
    for id in world.control.working_nodes() {
        let (Some(node), Some(view)) = (
            world.nodes.get(&id),
            world.control.scheduler.view().get(id.node()),
        ) else {
            return Err(format!("{id} is not in the view"));
        };
        let free = node.scheduler.available();
        if view.available != free || view.is_exhausted {
            return Err(format!("{id} has {free} free and counts as {view:?}"));
        }
    }
    Ok(())
}
