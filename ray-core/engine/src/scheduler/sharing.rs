//! What waits at a node and could as well run at another.

use std::time::Duration;

use super::{LeaseKind, NodeScheduler, Request};
use crate::{
    ids::{ProcessId, RequestId},
    resources::Resources,
    spec::{Demand, Strategy},
    time::Time,
};

impl NodeScheduler {
    /// Returns since when each request waits that another node could run.
    pub(super) fn shareable(&self) -> impl Iterator<Item = Time> {
        let shareable = self
            .requests
            .iter()
            .filter(|request| self.may_run_elsewhere(request));
        shareable.map(|request| request.terms.since)
    }

    /// Takes out of the queue what has waited so long and fits in `room`, all together; the oldest first.
    pub(super) fn take_overdue(
        &mut self,
        room: &Resources,
        now: Time,
        after: Duration,
    ) -> Vec<(ProcessId, RequestId, Demand)> {
        let mut left = room.clone();
        let mut taken = Vec::new();
        for request in std::mem::take(&mut self.requests) {
            let goes = request.terms.since + after <= now
                && self.may_run_elsewhere(&request)
                && left.take(&request.shape);
            if goes {
                let actor = match request.kind {
                    LeaseKind::Task => None,
                    LeaseKind::Actor { actor, running } => Some((actor, running)),
                };
                let demand = Demand {
                    job: request.job,
                    shape: request.shape,
                    strategy: request.terms.strategy,
                    locality: request.terms.locality,
                    actor,
                    env: request.terms.env,
                    runs_once: request.terms.runs_once,
                    ..Demand::default()
                };
                taken.push((request.requester, request.request, demand));
            } else {
                self.requests.push_back(request);
            }
        }
        taken
    }

    /// Returns whether a request could as well wait at another node, which nothing says it may not.
    fn may_run_elsewhere(&self, request: &Request) -> bool {
        let is_tied = matches!(
            request.terms.strategy,
            Strategy::NodeAffinity { .. } | Strategy::Labels { .. }
        );
        request.terms.bundle.is_none() && !is_tied && !self.fits(request)
    }
}
