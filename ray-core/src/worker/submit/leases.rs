//! Leases that nodes grant, and what came with them.

use std::net::SocketAddr;

use ray_engine::{
    failure::Failure,
    ids::{GroupId, LeaseId, ProcessId, RequestId},
    time::Time,
};

use super::{Core, Granted};
use crate::wire::Message;

impl Core {
    /// Notes that this process removes a group: workers that end now were made to.
    pub(crate) fn note_removed(&mut self, group: GroupId) {
        self.own_groups.remove(&group);
        for granted in self.granted.values_mut() {
            granted.is_removed |= granted.group == Some(group);
        }
    }

    pub(super) fn devices_of(&self, worker: ProcessId) -> Vec<u32> {
        let granted = self.granted.get(&worker);
        granted.map_or_else(Vec::new, |granted| granted.devices.clone())
    }

    /// A lease came from the node.
    pub(crate) fn on_lease(
        &mut self,
        from: ProcessId,
        request: u64,
        lease: LeaseId,
        (worker, addr): (ProcessId, SocketAddr),
        devices: Vec<u32>,
        now: Time,
    ) {
        self.asked.remove(&request);
        let group = self.placed.remove(&request).flatten();
        if group.is_some() || !devices.is_empty() {
            let granted = Granted {
                devices,
                group,
                is_removed: false,
            };
            self.granted.insert(worker, granted);
        } else {
            self.granted.remove(&worker);
        }
        if from != self.node_process {
            self.lease_nodes.insert(lease, from);
        }
        self.on_address(worker, addr);
        self.owner
            .on_lease_granted(RequestId(request), lease, worker, now);
    }

    /// A lease will never come.
    pub(crate) fn on_lease_refused(&mut self, request: u64, failure: Failure, now: Time) {
        self.asked.remove(&request);
        self.placed.remove(&request);
        self.owner
            .on_lease_refused(RequestId(request), failure, now);
    }

    /// Tells the control role that a request which it handed to a node has its answer here.
    pub(crate) fn settle_placed(&mut self, node: ProcessId, request: u64, was_placed: bool) {
        if was_placed {
            let node = node.node();
            self.send_to_control(Message::LeaseSettled { node, request });
        }
    }
}
