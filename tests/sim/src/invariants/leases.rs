//! Leases return: in the end nobody has one, and no worker beyond those that are kept is left.

use crate::world::World;

/// Returns that nothing is leased any more.
///
/// # Errors
/// When a holder or a node still has a lease.
pub fn check(world: &World) -> Result<(), String> {
    for (id, process) in &world.processes {
        let held = process.owner.held_leases();
        if held > 0 {
            return Err(format!("{id} still has {held} leases"));
        }
    }
    for (id, node) in &world.nodes {
        let (granted, waiting) = (node.scheduler.leases(), node.scheduler.waiting_requests());
        if (granted, waiting) != (0, 0) {
            return Err(format!(
                "the node {id} still knows {granted} leases and {waiting} requests: {}",
                node.scheduler.describe().join("; ")
            ));
        }
    }
    Ok(())
}
