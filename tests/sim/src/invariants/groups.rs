//! Placement groups: what counts as placed is really set aside, once; a removed group holds nothing.

use std::collections::BTreeMap;

use ray_engine::{control::groups::GroupState, ids::GroupId};

use crate::world::World;

/// What groups have been.
#[derive(Default)]
pub struct Groups(BTreeMap<GroupId, GroupState>);

impl Groups {
    /// Somebody asks for a group.
    pub fn on_created(&mut self, group: GroupId) {
        self.0.entry(group).or_insert(GroupState::Pending);
    }

    /// The control role says how a group is.
    pub fn on_state(&mut self, group: GroupId, state: GroupState) {
        self.0.insert(group, state);
    }
}

/// Returns that every group was removed and that no node sets anything aside.
///
/// # Errors
/// When one was not, or some node does.
pub fn check_over(world: &World) -> Result<(), String> {
    for (id, node) in &world.nodes {
        let held = node.scheduler.held_bundles();
        if !held.is_empty() {
            return Err(format!("{id} still holds bundles of {held:?}"));
        }
    }
    let mut groups = world.invariants.groups.0.iter();
    match groups.find(|(_, state)| **state != GroupState::Removed) {
        Some((group, state)) => Err(format!("{group} is {state:?}")),
        None => Ok(()),
    }
}

/// Returns that the nodes of a group that counts as placed hold its bundles.
///
/// # Errors
/// When a node that lives does not.
pub fn check_placed(world: &World, group: GroupId) -> Result<(), String> {
    for placed in world.control.groups.bundles(group).unwrap_or_default() {
        let node = placed.node.and_then(|id| world.nodes.get(&id.process()));
        let Some(node) = node else { continue };
        let held = node.scheduler.held_bundles();
        if !held.iter().any(|(other, _)| *other == group) {
            return Err(format!(
                "{group} counts as placed on {:?}, which holds {held:?}",
                placed.node
            ));
        }
    }
    Ok(())
}
