//! Whom a node ends when too much of its memory is in use.

use std::cmp::Reverse;

use super::{Lease, NodeScheduler};
use crate::ids::ProcessId;

impl NodeScheduler {
    /// Returns the worker that is ended first when memory runs out; one that runs nothing has nothing to lose
    /// and ends by itself.
    ///
    /// What can run again goes before what cannot, tasks before actors, and of these the newest: least is lost, and
    /// who came first gets done.
    pub fn memory_victim(&self) -> Option<ProcessId> {
        let order = |lease: &&Lease| {
            let source = &lease.source;
            let is_actor = lease.actor.is_some();
            (source.runs_once, is_actor, Reverse(source.since))
        };
        let newest_first = self.leases.values().rev();
        newest_first.min_by_key(order).map(|lease| lease.worker)
    }
}
