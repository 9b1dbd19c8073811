//! Every wait ends: when nothing is left to happen, nobody waits.

use crate::world::World;

/// Returns that nobody waits and nothing is pending.
///
/// # Errors
/// When somebody does.
pub fn check(world: &World) -> Result<(), String> {
    for (id, process) in &world.processes {
        let pending = process.owner.describe_tasks();
        if !pending.is_empty() {
            return Err(format!(
                "calls of {id} have not ended: {}; {}",
                pending.join("; "),
                describe(world)
            ));
        }
    }
    for (id, process) in &world.processes {
        if let Some((number, context)) = process.contexts.first_key_value() {
            let wait = context.describe_wait().unwrap_or_default();
            return Err(format!("code {number} of {id} has not ended: {wait}"));
        }
    }
    let mut askers = world.requests.values().map(|(id, ..)| id);
    if let Some(id) = askers.find(|id| world.processes.contains_key(id)) {
        return Err(format!("a question of {id} was never answered"));
    }
    let scheduler = &world.control.scheduler;
    if scheduler.demand().count() > 0 || scheduler.unsettled() > 0 {
        return Err(format!("requests are left: {}", describe(world)));
    }
    Ok(())
}

fn describe(world: &World) -> String {
    let nodes = world.nodes.iter().map(|(id, node)| {
        let (free, knows) = (node.scheduler.available(), node.scheduler.describe());
        format!("{id} has {free} free and {}", knows.join(", "))
    });
    let scheduler = &world.control.scheduler;
    let waiting = scheduler.demand().map(|pending| format!("{pending:?}"));
    format!(
        "nodes: {}; the control role waits with {} and has {:?} at nodes; it sees {:?}",
        nodes.collect::<Vec<_>>().join("; "),
        waiting.collect::<Vec<_>>().join(", "),
        scheduler.forwarded().collect::<Vec<_>>(),
        scheduler.view(),
    )
}
