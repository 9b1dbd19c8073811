//! Every wait ends: when nothing is left to happen, nobody waits.

use std::collections::BTreeMap;

use ray_engine::ids::ProcessId;

use crate::{node::Node, process::Process};

/// Returns that nobody waits and nothing is pending.
///
/// # Errors
/// When somebody does.
pub fn check(
    processes: &BTreeMap<ProcessId, Process>,
    requests: &BTreeMap<u64, (ProcessId, u64, u64)>,
    node: &Node,
) -> Result<(), String> {
    for (id, process) in processes {
        let pending = process.owner.describe_tasks();
        if !pending.is_empty() {
            return Err(format!(
                "calls of {id} have not ended: {}; the node has {}; {}",
                pending.join("; "),
                node.scheduler.available(),
                node.scheduler.describe().join("; ")
            ));
        }
    }
    for (id, process) in processes {
        if let Some((number, context)) = process.contexts.first_key_value() {
            let wait = context.describe_wait().unwrap_or_default();
            return Err(format!("code {number} of {id} has not ended: {wait}"));
        }
    }
    match requests
        .values()
        .find(|(id, ..)| processes.contains_key(id))
    {
        Some((id, ..)) => Err(format!("a question of {id} was never answered")),
        None => Ok(()),
    }
}
