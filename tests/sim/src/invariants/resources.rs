//! What is held and what is free make the total, at every moment; in the end all of it is free.

use ray_engine::{ids::ProcessId, scheduler::NodeScheduler};

use crate::world::World;

/// Checks a node's resources.
#[derive(Default)]
pub struct WholeResources;

impl WholeResources {
    /// Returns that nothing was lost or made.
    ///
    /// # Errors
    /// When the sum is not the total.
    pub fn check(&self, at: ProcessId, scheduler: &NodeScheduler) -> Result<(), String> {
        if scheduler.adds_up() {
            Ok(())
        } else {
            Err(format!(
                "what is held and what is free do not make the total of {at}: {}",
                scheduler.describe().join("; ")
            ))
        }
    }
}

/// Returns that nothing is held any more.
///
/// # Errors
/// When something is.
pub fn check_whole(world: &World) -> Result<(), String> {
    for (id, node) in &world.nodes {
        let available = node.scheduler.available();
        if available != node.total {
            let total = &node.total;
            return Err(format!(
                "in the end {available} of {total} are free at {id}"
            ));
        }
    }
    Ok(())
}
