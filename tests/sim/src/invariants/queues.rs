//! Queues are bounded by what was submitted.

use std::collections::BTreeMap;

use ray_engine::{ids::ProcessId, owner::Limits};

use crate::{node::Node, process::Process};

/// Watches the length of queues.
#[derive(Default)]
pub struct Queues;

impl Queues {
    /// Returns that no queue is longer than its limit.
    ///
    /// # Errors
    /// When one is.
    pub fn check(
        &self,
        processes: &BTreeMap<ProcessId, Process>,
        nodes: &BTreeMap<ProcessId, Node>,
        in_flight: usize,
    ) -> Result<(), String> {
        // A cancelled request may be on its way beside the one that took its place.
        let shapes = processes.values().map(Process::shapes).sum::<usize>();
        let requests_max = 2 * shapes * Limits::default().requests_per_shape + ACTORS_MAX;
        for (id, node) in nodes {
            let waiting = node.scheduler.waiting_requests();
            if waiting > requests_max {
                return Err(format!("{waiting} requests wait at the node {id}"));
            }
        }
        if in_flight > IN_FLIGHT_MAX {
            return Err(format!("{in_flight} messages are in flight"));
        }
        Ok(())
    }
}

/// More actors than any seed creates.
const ACTORS_MAX: usize = 500;
/// More messages than any workload of these explains.
const IN_FLIGHT_MAX: usize = 20_000;
