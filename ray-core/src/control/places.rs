//! Places for work that its own node cannot run, as the scheduler of the cluster chooses them.

use std::sync::Arc;

use ray_engine::{
    ids::{JobId, ProcessId, RequestId},
    scheduler::cluster::Command as PlaceCommand,
    spec::Demand,
    time::Time,
};

use super::role::{ControlState, Outbox};
use crate::{runtime::Runtime, wire::Message};

impl ControlState {
    pub(super) fn place(
        &mut self,
        requester: ProcessId,
        request: RequestId,
        job: JobId,
        demand: Demand,
        now: Time,
    ) {
        self.wanted.insert((requester, request), job);
        self.scheduler.place(requester, request, demand, now);
    }

    pub(super) fn forget(&mut self, requester: ProcessId, request: RequestId, now: Time) {
        self.wanted.remove(&(requester, request));
        self.scheduler.cancel(requester, request, now);
    }

    pub(super) fn run_placement(
        &mut self,
        command: PlaceCommand,
        runtime: &Arc<Runtime>,
        out: &mut Outbox,
    ) {
        match command {
            PlaceCommand::Forward {
                node,
                requester,
                request,
                demand,
                is_bound,
            } => {
                let job = self.wanted.get(&(requester, request)).copied();
                let Some(job) = job else {
                    self.scheduler.on_settled(node, requester, request);
                    return;
                };
                let request = request.0;
                out.push((
                    node.process(),
                    Message::PlaceLease {
                        requester,
                        request,
                        job,
                        demand,
                        is_bound,
                    },
                ));
            }
            PlaceCommand::CancelForwarded {
                node,
                requester,
                request,
            } => {
                let request = request.0;
                out.push((node.process(), Message::CancelPlaced { requester, request }));
            }
            PlaceCommand::Share { node, room } => {
                out.push((node.process(), Message::ShareWaiting { room }));
            }
            PlaceCommand::Refuse {
                requester,
                request,
                failure,
                actor,
            } => {
                self.wanted.remove(&(requester, request));
                if actor.is_some() {
                    self.directory
                        .on_lease_refused(request, failure, runtime.now());
                } else {
                    let request = request.0;
                    let was_placed = false;
                    out.push((
                        requester,
                        Message::LeaseRefused {
                            request,
                            failure,
                            was_placed,
                        },
                    ));
                }
            }
        }
    }
}
