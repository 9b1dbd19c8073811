//! `ray status`: whether the cluster is well, what it has, and what waits.

use std::collections::BTreeMap;

use ray_core::control::ClusterStatus;

use crate::{
    Failed,
    connect::Connect,
    table::{Format, indented_lines, print, printable, size, span},
};

/// The options of `ray status`.
#[derive(clap::Args)]
pub struct Options {
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `ray status`.
///
/// # Errors
/// What the head refused, or why it cannot be reached.
pub fn run(options: &Options) -> Result<(), Failed> {
    let client = options.connect.client()?;
    let status = client.status()?;
    if options.format == Format::Json {
        return Ok(print([serde_json::to_string(&status)?])?);
    }
    print(describe(client.address(), &status))?;
    Ok(())
}

fn describe(address: &str, status: &ClusterStatus) -> Vec<String> {
    let mut out = vec![format!(
        "cluster {} at {address}, version {}, up {}",
        status.cluster_id,
        status.version,
        span(status.uptime_s)
    )];
    for alarm in &status.alarms {
        out.push(format!("! {}", printable(alarm)));
    }
    let alive = status.nodes.iter().filter(|node| node.state == "ALIVE");
    let alive = alive.count();
    out.push(String::new());
    out.push(format!(
        "Nodes: {alive} alive, {} not",
        status.nodes.len() - alive
    ));
    let rows: Vec<Vec<String>> = status
        .nodes
        .iter()
        .map(|node| {
            vec![
                node.node_id.clone(),
                node.state.clone(),
                node.node_name.clone(),
                node.node_ip.clone(),
                if node.is_head_node { "yes" } else { "" }.to_owned(),
                node.state_message.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let columns = ["node_id", "state", "name", "address", "head", "message"];
    out.extend(indented_lines(&columns, &rows));
    out.push(String::new());
    out.push("Resources in use".into());
    out.extend(resources(status));
    out.push(String::new());
    if status.demands.is_empty() {
        out.push("Nothing waits for resources".into());
    } else {
        out.push("Waiting for resources".into());
    }
    for demand in &status.demands {
        let shape = demand
            .shape
            .iter()
            .map(|(name, amount)| format!("{name}: {amount}"));
        let shape = shape.collect::<Vec<_>>().join(", ");
        let text = format!("  {{{shape}}} x {}: {}", demand.count, demand.reason);
        out.push(format!("  {}", printable(text.trim())));
    }
    out
}

/// Returns a line for each resource of the nodes that live: used of all.
fn resources(status: &ClusterStatus) -> Vec<String> {
    let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for node in status.nodes.iter().filter(|node| node.state == "ALIVE") {
        for (name, total) in &node.resources_total {
            let free = node.resources_available.get(name).copied();
            let sum = sums.entry(name).or_default();
            sum.0 += total - free.unwrap_or(0.0);
            sum.1 += total;
        }
    }
    let shown = sums.iter().filter(|(_, (_, total))| *total > 0.0);
    shown
        .map(|(name, (used, total))| match *name {
            "memory" => format!("  {} of {} memory", size(*used), size(*total)),
            _ => format!("  {used} of {total} {}", printable(name)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ray_core::control::{Demand, NodeState};

    use super::*;

    #[test]
    fn what_is_in_use_is_summed_over_the_nodes_that_live() {
        let node = |state: &str, free: f64| NodeState {
            node_id: "n1".into(),
            state: state.into(),
            resources_total: [("CPU".into(), 4.0), ("memory".into(), 2048.0)].into(),
            resources_available: [("CPU".into(), free), ("memory".into(), 1024.0)].into(),
            ..NodeState::default()
        };
        let status = ClusterStatus {
            cluster_id: "c1".into(),
            nodes: vec![node("ALIVE", 1.0), node("ALIVE", 4.0), node("DEAD", 0.0)],
            demands: vec![Demand {
                shape: [("GPU".into(), 1.0)].into(),
                count: 3,
                reason: "no node has a GPU".into(),
            }],
            ..ClusterStatus::default()
        };
        let text = describe("head:6379", &status).join("\n");
        for part in [
            "cluster c1 at head:6379",
            "Nodes: 2 alive, 1 not",
            "  3 of 8 CPU",
            "  2.0 KiB of 4.0 KiB memory",
            "  {GPU: 1} x 3: no node has a GPU",
        ] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
    }
}
