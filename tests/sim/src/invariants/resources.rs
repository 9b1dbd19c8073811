//! What is held and what is free make the total, at every moment; in the end all of it is free.

use ray_engine::scheduler::NodeScheduler;

use crate::{node::Node, scenario::Profile};

/// Checks a node's resources.
#[derive(Default)]
pub struct WholeResources;

impl WholeResources {
    /// Returns that nothing was lost or made.
    ///
    /// # Errors
    /// When the sum is not the total.
    pub fn check(&self, scheduler: &NodeScheduler) -> Result<(), String> {
        if scheduler.adds_up() {
            Ok(())
        } else {
            Err("what is held and what is free do not make the total".into())
        }
    }
}

/// Returns that nothing is held any more.
///
/// # Errors
/// When something is.
pub fn check_whole(profile: &Profile, node: &Node) -> Result<(), String> {
    let available = node.scheduler.available();
    if available == profile.total {
        Ok(())
    } else {
        Err(format!(
            "in the end {available} of {} are free",
            profile.total
        ))
    }
}
