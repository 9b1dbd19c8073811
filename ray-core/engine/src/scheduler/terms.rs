//! What comes with a request, and what a node and the control process say to each other about it.

use std::time::Duration;

use super::{
    WorkerCap,
    bundles::{BUNDLE_LEASE, BundleKey},
};
use crate::{
    env::RuntimeEnv,
    ids::{NodeId, ProcessId, RequestId},
    spec::{BundleRef, Demand, DeviceShare, Labels, Strategy},
    time::Time,
};

/// Numbers of a node that is one of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberConfig {
    /// Its id.
    pub node: NodeId,
    /// What it says of itself.
    pub labels: Labels,
    /// A wait, estimated or real, that sends work elsewhere. Default 100 ms.
    pub spill_after: Duration,
    /// Bytes of arguments elsewhere, at least, that send a task there. Default 100 KiB.
    pub locality_bytes_min: u64,
    /// How long a prepared bundle waits for its commit. Default 10 s.
    pub bundle_lease: Duration,
    /// The soft cap on running workers of one shape; `None` for no cap.
    pub worker_cap: Option<WorkerCap>,
    /// How often small changes are reported, at most. Default 100 ms.
    pub report_interval: Duration,
}

impl MemberConfig {
    /// Returns the defaults for a node.
    pub fn new(node: NodeId) -> MemberConfig {
        MemberConfig {
            node,
            labels: Labels::new(),
            spill_after: Duration::from_millis(100),
            locality_bytes_min: 100 << 10,
            bundle_lease: BUNDLE_LEASE,
            worker_cap: Some(WorkerCap::default()),
            report_interval: Duration::from_millis(100),
        }
    }
}

/// How a request came to this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrival {
    /// It was asked here first.
    #[default]
    Local,
    /// The control process believes that there is room.
    Forwarded,
    /// The control process wants it to wait here.
    Bound,
}

/// Why a request is sent elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpillReason {
    /// This node could never run it.
    Infeasible,
    /// It would wait, or has waited, too long.
    Overloaded,
    /// Its strategy or its labels mean other nodes.
    Strategy,
    /// Its arguments are elsewhere.
    Locality,
    /// Its bundle is not here.
    Bundle,
    /// This node takes no new work.
    Draining,
}

/// What the node tells the control process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Another node is to serve a request.
    Spill {
        /// Who asked.
        requester: ProcessId,
        /// Its question.
        request: RequestId,
        /// What is asked.
        demand: Box<Demand>,
        /// Why it goes elsewhere.
        reason: SpillReason,
    },
    /// A forwarded request cannot be served here.
    Reject {
        /// Who asked.
        requester: ProcessId,
        /// Its question.
        request: RequestId,
    },
    /// A requester takes a question back that does not wait here.
    CancelElsewhere {
        /// Who asked.
        requester: ProcessId,
        /// Its question.
        request: RequestId,
    },
}

/// What a request asks beyond its shape, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) arrival: Arrival,
    pub(super) since: Time,
    pub(super) bundle: Option<BundleRef>,
    pub(super) strategy: Strategy,
    pub(super) locality: Vec<(NodeId, u64)>,
    pub(super) env: RuntimeEnv,
    pub(super) runs_once: bool,
}

impl Terms {
    /// Returns the terms of plain work that was asked here.
    pub(super) fn local(since: Time) -> Terms {
        Terms {
            since,
            ..Terms::default()
        }
    }

    /// Returns whether another node could serve it.
    pub(super) fn may_leave(&self, node: NodeId) -> bool {
        let is_tied =
            matches!(self.strategy, Strategy::NodeAffinity { node: tied, .. } if tied == node);
        self.arrival != Arrival::Bound && self.bundle.is_none() && !is_tied
    }
}

/// Where a lease draws from, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) bundle: Option<BundleKey>,
    pub(super) devices: Vec<DeviceShare>,
    pub(super) since: Time,
    /// Whether what runs under it is lost when its process ends.
    pub(super) runs_once: bool,
}
