//! Requests for workers: what is run here and what the control role has to place.

use std::sync::Arc;

use ray_engine::{
    ids::{JobId, ProcessId, RequestId},
    resources::Resources,
    scheduler::Shared,
    spec::{Demand, Placement},
    time::Time,
};

use super::{Drain, NodeState, Outbox};
use crate::{runtime::Runtime, wire::Message};

impl NodeState {
    /// Returns for whose job a process of this node may ask.
    pub(super) fn job_asked_for(
        &self,
        runtime: &Arc<Runtime>,
        from: ProcessId,
        said: JobId,
    ) -> JobId {
        match self.workers.get(&from) {
            Some(worker) => worker.job,
            None if from == runtime.process() => self.own_job,
            None => said,
        }
    }

    /// A process of this node wants a worker: here if there can be one soon and no other node has the
    /// arguments, else anywhere.
    pub(super) fn on_request(
        &mut self,
        runtime: &Arc<Runtime>,
        (from, request): (ProcessId, RequestId),
        demand: Demand,
        out: &mut Outbox,
    ) {
        let asked = (from, request);
        let now = runtime.now();
        let is_draining = self.drain != Drain::No;
        let (job, shape) = (demand.job, &demand.shape);
        let placement = Placement {
            strategy: demand.strategy.clone(),
            bundle: demand.bundle,
            env: demand.env.clone(),
            runs_once: demand.runs_once,
        };
        let NodeState {
            placements,
            scheduler,
            ..
        } = self;
        // Large arguments on another node are for the control role to weigh.
        if !is_draining
            && demand.locality.is_empty()
            && !placements.on_request(scheduler, asked, job, shape, &placement, now)
        {
            return;
        }
        out.push((
            runtime.control_process(),
            Message::SpillLease {
                requester: from,
                request: request.0,
                job: demand.job,
                demand,
            },
        ));
    }

    /// Another node has room for what waits here.
    pub(super) fn on_share(
        &mut self,
        control: ProcessId,
        room: &Resources,
        now: Time,
        out: &mut Outbox,
    ) {
        let NodeState {
            placements,
            scheduler,
            ..
        } = self;
        for shared in placements.share(scheduler, room, now) {
            let message = match shared {
                Shared::Own {
                    requester,
                    request,
                    demand,
                } => Message::SpillLease {
                    requester,
                    request: request.0,
                    job: demand.job,
                    demand: *demand,
                },
                Shared::Placed { requester, request } => {
                    let request = request.0;
                    Message::LeaseRejected { requester, request }
                }
            };
            out.push((control, message));
        }
    }

    /// The control role hands a request to this node.
    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of one message, its sender and where answers go"
    )]
    pub(super) fn on_placed(
        &mut self,
        control: ProcessId,
        (requester, request): (ProcessId, RequestId),
        job: JobId,
        demand: Demand,
        is_bound: bool,
        now: Time,
        out: &mut Outbox,
    ) {
        let asked = (requester, request);
        let demand = Demand { job, ..demand };
        let is_draining = self.drain != Drain::No;
        let NodeState {
            placements,
            scheduler,
            ..
        } = self;
        if is_draining || !placements.on_placed(scheduler, asked, demand, is_bound, now) {
            let request = request.0;
            out.push((control, Message::LeaseRejected { requester, request }));
        }
    }
}

/// Stands for the bytes of a task's arguments on the node that has most of them: enough to follow.
pub(super) const NEAR_BYTES: u64 = 1 << 20;
