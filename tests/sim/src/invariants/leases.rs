//! Leases return: in the end nobody has one, and no worker beyond those that are kept is left.

use std::collections::BTreeMap;

use ray_engine::ids::ProcessId;

use crate::{node::Node, process::Process};

/// Returns that nothing is leased any more.
///
/// # Errors
/// When a holder or the node still has a lease.
pub fn check(processes: &BTreeMap<ProcessId, Process>, node: &Node) -> Result<(), String> {
    for (id, process) in processes {
        let held = process.owner.held_leases();
        if held > 0 {
            return Err(format!("{id} still has {held} leases"));
        }
    }
    let (granted, waiting) = (node.scheduler.leases(), node.scheduler.waiting_requests());
    if (granted, waiting) != (0, 0) {
        return Err(format!(
            "the node still knows {granted} leases and {waiting} requests: {}",
            node.scheduler.describe().join("; ")
        ));
    }
    Ok(())
}
