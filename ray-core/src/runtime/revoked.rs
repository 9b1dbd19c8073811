//! Who may not take part any more, although its certificate has not ended: it is refused, and cut off.
//!
//! The head tells the nodes, and each node its workers. Whoever hears of it closes what connections there are
//! and refuses every hello that comes later; a certificate stands for the processes of one node, so that all of
//! them are meant.

use std::{collections::BTreeSet, sync::Arc};

use parking_lot::RwLock;
use ray_engine::ids::ProcessId;
use ray_net::{Net, Refusal};

use super::Runtime;
use crate::wire::Message;

/// The nodes whose certificates count no more, by the processes that speak for them.
#[derive(Default)]
pub(crate) struct Revoked(RwLock<BTreeSet<ProcessId>>);

/// What a refused process is told, and one that is cut off.
const TEXT: &str = "its certificate was revoked; join again with another token";

impl Revoked {
    /// Adds nodes; returns those that were not known.
    fn add(&self, nodes: &[ProcessId]) -> Vec<ProcessId> {
        let mut known = self.0.write();
        let is_new = |node: &&ProcessId| known.insert(node.node_process());
        let fresh: Vec<&ProcessId> = nodes.iter().filter(is_new).collect();
        fresh.into_iter().map(|node| node.node_process()).collect()
    }

    /// Takes over those that an earlier head had revoked.
    pub(crate) fn restore(&self, nodes: &[ProcessId]) {
        let fresh = self.add(nodes);
        tracing::debug!(count = fresh.len(), "certificates were revoked before");
    }

    /// Returns all of them.
    pub(crate) fn all(&self) -> Vec<ProcessId> {
        self.0.read().iter().copied().collect()
    }

    /// Judges who says hello.
    ///
    /// # Errors
    /// When its certificate counts no more.
    pub(crate) fn check(&self, process: ProcessId) -> Result<(), Refusal> {
        match self.0.read().contains(&process.node_process()) {
            true => Err(Refusal::new(TEXT)),
            false => Ok(()),
        }
    }
}

impl Runtime {
    /// Some may not take part any more.
    pub(crate) fn on_revoked(self: &Arc<Self>, from: ProcessId, nodes: &[ProcessId]) {
        if from != self.control_process && from != self.node_process {
            return tracing::warn!(%from, "somebody else than the head or the node revokes certificates");
        }
        let fresh = self.revoked.add(nodes);
        if fresh.is_empty() {
            return;
        }
        for process in &fresh {
            tracing::warn!(node = %process.node(), "its certificate was revoked: it is cut off");
            // Nothing is said to it any more, either.
            self.with_core(|core, now| core.on_node_died(*process, now));
            if let Some(node) = &self.node_role {
                node.on_remote_node_died(self, *process);
            }
            self.collectives.on_node_gone(self, *process);
        }
        self.cut_off(&fresh);
        if let Some(node) = &self.node_role {
            for worker in node.ready_processes() {
                let processes = fresh.clone();
                self.send(worker, Message::Revoked { processes });
            }
        }
    }

    fn cut_off(&self, nodes: &[ProcessId]) {
        close_all(&self.net, nodes);
        if let Some(bulk) = self.node_role.as_ref().and_then(|node| node.bulk_if_any()) {
            close_all(&bulk, nodes);
        }
    }
}

fn close_all(net: &Net, nodes: &[ProcessId]) {
    for peer in net.peers() {
        if nodes.contains(&ProcessId(peer.process()).node_process()) {
            peer.close(TEXT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revoked_node_is_refused_with_all_its_processes_and_others_are_not() {
        let revoked = Revoked::default();
        let node = ProcessId(7 << 32).node_process();
        assert_eq!(revoked.add(&[node]), [node]);
        assert_eq!(revoked.add(&[node]), [], "it is known");
        assert!(revoked.check(node).is_err());
        assert!(revoked.check(node.started(3)).is_err());
        let other = ProcessId(9 << 32).node_process();
        assert!(other != node && revoked.check(other).is_ok());
        assert_eq!(revoked.all(), [node]);
    }
}
