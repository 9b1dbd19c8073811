//! What is said to the node: by its workers, by other nodes, by the control role.

use std::{net::SocketAddr, sync::Arc};

use ray_engine::{
    failure::{ExitKind, Failure},
    ids::{ObjectId, ProcessId, RequestId},
    spec::Demand,
};
use ray_net::Peer;
use ray_shm::SegmentRange;

use super::{NodeRole, NodeState, requests::NEAR_BYTES, segments::Asker, serve::Wanted};
use crate::{
    runtime::Runtime,
    wire::{
        BundleMessage, ExecutableMessage, GroupMessage, LeaveMessage, Message, QuestionMessage,
    },
};

impl NodeRole {
    /// Handles a message for the node.
    pub(crate) fn on_message(
        &self,
        runtime: &Arc<Runtime>,
        from: ProcessId,
        peer: Option<&Peer>,
        message: Message,
    ) {
        let now = runtime.now();
        let message = match self.on_bulk_message(runtime, from, peer, message) {
            Some(message) => message,
            None => return,
        };
        self.with_state(runtime, |state, out| match message {
            Message::RequestLease {
                request,
                job,
                shape,
                placement,
                near,
            } => {
                let job = state.job_asked_for(runtime, from, job);
                let demand = Demand {
                    job,
                    strategy: placement.strategy,
                    bundle: placement.bundle,
                    env: placement.env,
                    runs_once: placement.runs_once,
                    origin: Some(runtime.node()),
                    locality: near.map(|node| (node, NEAR_BYTES)).into_iter().collect(),
                    ..Demand::task(shape)
                };
                state.on_request(runtime, (from, RequestId(request)), demand, out)
            }
            Message::CancelLeaseRequest {
                request,
                was_placed,
            } => {
                let key = (from, RequestId(request));
                let NodeState {
                    placements,
                    scheduler,
                    ..
                } = state;
                if placements.on_cancel(scheduler, key, was_placed, now) {
                    let message = Message::CancelSpilled {
                        requester: from,
                        request,
                    };
                    out.push((runtime.control_process(), message));
                }
            }
            Message::PlaceLease {
                requester,
                request,
                job,
                demand,
                is_bound,
            } => {
                let request = RequestId(request);
                state.on_placed(from, (requester, request), job, demand, is_bound, now, out);
            }
            Message::ShareWaiting { room } => state.on_share(from, &room, now, out),
            Message::CancelPlaced { requester, request } => {
                let key = (requester, RequestId(request));
                let scheduler = &mut state.scheduler;
                state.placements.on_placed_cancelled(scheduler, key, now)
            }
            Message::Leaving(LeaveMessage::Drain { within }) => {
                if from == runtime.control_process() {
                    state.on_drain(from, within, now, out);
                }
            }
            Message::Leaving(LeaveMessage::LeaveAmong { others, takers }) => {
                if from == runtime.control_process() {
                    state.on_leave_among(others, takers, runtime.process(), out);
                }
            }
            Message::Leaving(LeaveMessage::NodeLeaves { takers }) => {
                state.on_node_leaves(from, &takers, runtime.process(), out)
            }
            Message::Leaving(LeaveMessage::ObjectsMoved {
                leaving,
                moved,
                left,
            }) => state.on_objects_moved(from, leaving, (moved, left), out),
            Message::Leaving(LeaveMessage::NodeMoved { moved, left }) => {
                state.on_node_moved(from, moved, left)
            }
            Message::ReturnLease { lease } => state.scheduler.return_lease(lease, now),
            Message::RetireWorker { lease } => {
                let worker = state.scheduler.retire_lease(lease, now);
                if let Some(worker) = worker.and_then(|worker| state.workers.get_mut(&worker)) {
                    let detail = "a function has run in it as often as its `max_calls` says";
                    worker.ends(ExitKind::IntendedSystemExit, detail);
                }
            }
            Message::Groups(GroupMessage::MakeRoom { bundles }) => {
                state.scheduler.make_room(&bundles, now)
            }
            Message::Bundles(BundleMessage::Prepare {
                group,
                attempt,
                bundles,
            }) => {
                state.placements.on_bundles();
                let held = state
                    .scheduler
                    .prepare_bundles(group, attempt, &bundles, now);
                let answer = match held {
                    Ok(()) => Message::Bundles(BundleMessage::Prepared { group, attempt }),
                    Err(_) => Message::Bundles(BundleMessage::Refused { group, attempt }),
                };
                out.push((from, answer));
            }
            Message::Bundles(BundleMessage::Commit { group, attempt }) => {
                state.placements.on_bundles();
                let answer = match state.scheduler.commit_bundles(group, attempt, now) {
                    Ok(()) => Message::Bundles(BundleMessage::Committed { group, attempt }),
                    Err(_) => Message::Bundles(BundleMessage::Refused { group, attempt }),
                };
                out.push((from, answer));
            }
            Message::Bundles(BundleMessage::Return { group, attempt }) => {
                state.scheduler.return_bundles(group, attempt, now)
            }
            Message::WorkerReady { pid, addr } => {
                // The worker listens on the port it connects from; where it really is, the connection says.
                let addr = peer.map_or(addr, |peer| SocketAddr::new(peer.addr().ip(), addr.port()));
                if let Some(worker) = state.workers.get_mut(&from) {
                    worker.addr = Some(addr);
                    worker.ready = true;
                    tracing::debug!(worker = %from, pid, "worker ready");
                    state.scheduler.on_worker_ready(from, now);
                    let processes = runtime.revoked.all();
                    if !processes.is_empty() {
                        out.push((from, Message::Revoked { processes }));
                    }
                }
                runtime.note_worker_ready();
            }
            Message::Blocked => {
                state.copies.asks.on_blocked(from);
                state.scheduler.on_worker_blocked(from, now)
            }
            Message::Unblocked => {
                state.copies.asks.on_unblocked(from);
                state.scheduler.on_worker_unblocked(from, now)
            }
            Message::StayedBusy => {
                if let Some(worker) = state.workers.get_mut(&from) {
                    worker.ending = None;
                }
                state.scheduler.on_worker_stayed(from, now)
            }
            Message::KillWorker { worker } => {
                if let Some(worker) = state.workers.get_mut(&worker) {
                    let detail = "a call that it ran was cancelled by force";
                    worker.ends(ExitKind::IntendedSystemExit, detail);
                    self.start.kill(worker.pid);
                }
            }
            Message::EndWorker {
                worker,
                kind,
                detail,
            } => {
                if let Some(worker) = state.workers.get_mut(&worker) {
                    worker.ends(kind, detail);
                    self.start.kill(worker.pid);
                }
            }
            Message::ActorRunning { lease } => state.scheduler.on_actor_started(lease, now),
            Message::StopWorkersActor { worker, actor } => {
                if let Some(worker) = state.workers.get_mut(&worker) {
                    let detail = "the last handle of its actor is gone";
                    worker.ends(ExitKind::IntendedSystemExit, detail);
                }
                out.push((worker, Message::StopActor { actor }))
            }
            said @ (Message::ActorStarted { .. }
            | Message::ActorStartFailed { .. }
            | Message::ActorExit { .. }) => {
                state.note_hosted(from, &said);
                out.push((
                    runtime.control_process(),
                    Message::OfWorker {
                        worker: from,
                        message: Box::new(said),
                    },
                ))
            }
            Message::JobAnnounced { job } => state.on_job(job, runtime.process()),
            Message::JobEnded { job } => {
                state.scheduler.on_job_ended(job, now);
                if let Some(ended) = state.jobs.get_mut(&job) {
                    ended.has_ended = true;
                } else {
                    state.folders.forget(job);
                }
                state.forget_ended_jobs(now);
            }
            Message::Executables(ExecutableMessage::Keep { job }) => {
                if let Some(job) = state.jobs.get_mut(&job) {
                    job.is_code_wanted = true;
                }
            }
            Message::Executables(ExecutableMessage::Fetch { job, hash, offset }) => {
                state.on_code_wanted(from, (job, hash), offset, out)
            }
            Message::Executables(ExecutableMessage::Part { job, offset, bytes }) => {
                state.on_executable_part(from, job, offset, &bytes, now, out)
            }
            Message::Folders(said) => state.on_folder_message(from, said, (runtime, now), out),
            Message::RequestSegments {
                request,
                bytes,
                least,
            } => {
                let asker = (from, request);
                state.on_segments_wanted(asker, bytes, least, runtime.process(), now, out)
            }
            Message::CancelSegments { request } => {
                let asker = Asker::Process(from, request);
                state.unqueue_segments(|other| other == asker, now)
            }
            Message::BringBack { request, offset } => {
                state.on_bring_back((from, request), offset, runtime.process(), now, out)
            }
            Message::ReturnSegments { first, count } => {
                let range = SegmentRange { first, count };
                state.on_segments_returned(from, range, runtime.process(), now, out)
            }
            Message::ObjectLocated { object, outcome } => {
                state.on_located(object, outcome, runtime.process(), now)
            }
            Message::ChunkRefused {
                object,
                chunk,
                is_busy,
            } => {
                let pulls = &mut state.copies.pulls;
                match is_busy {
                    true => pulls.on_holder_busy(object, chunk, from.node(), now),
                    false => pulls.on_chunk_refused(object, chunk, from.node(), now),
                }
            }
            Message::DropCopy { object } => state.on_copy_unwanted(object, now, out),
            Message::KeepCopy { object } => state.on_copy_is_last(object, out),
            Message::Questions(QuestionMessage::QueryStore { request }) => {
                let store = state.store_row(from);
                out.push((
                    from,
                    Message::Questions(QuestionMessage::Store { request, store }),
                ));
            }
            Message::ReleaseCopy { request, object } => {
                state.on_copy_released((from, request), object, now, out)
            }
            Message::CancelFetch { request } => state.on_fetch_cancelled((from, request), now, out),
            // The writer is gone; its segments come back whole, once nobody reads them.
            Message::FreeSlot { .. } => {}
            Message::DeathTold { process, nodes } => {
                state.on_death_told(process, nodes, runtime.process(), now, out)
            }
            Message::Quiesced { dead } => {
                state.on_quiesced(dead, from, runtime.process(), now, out)
            }
            other => tracing::warn!(%from, ?other, "the node has no use for this message"),
        });
    }

    /// Handles what needs the second endpoint; gives everything else back.
    fn on_bulk_message(
        &self,
        runtime: &Arc<Runtime>,
        from: ProcessId,
        peer: Option<&Peer>,
        message: Message,
    ) -> Option<Message> {
        let (now, here) = (runtime.now(), runtime.process());
        match message {
            Message::Fetch {
                request,
                purpose,
                wanted,
            } => {
                let net = self.bulk_net(runtime);
                self.with_state(runtime, |state, out| match net {
                    Ok(net) => {
                        state.copies.port = net.local_addr().port();
                        state.on_fetch((from, request), purpose, wanted, here, now, out);
                    }
                    Err(reason) => {
                        let text = format!("no endpoint for objects of other nodes: {reason}");
                        let object = wanted
                            .first()
                            .map_or_else(ObjectId::default, |wanted| wanted.object);
                        let outcome = Err((object, Failure::System(text)));
                        out.push((from, Message::Fetched { request, outcome }));
                    }
                });
            }
            Message::TakeOver {
                leaving,
                job,
                wanted,
            } => {
                let net = self.bulk_net(runtime);
                self.with_state(runtime, |state, out| match net {
                    Ok(net) => {
                        state.copies.port = net.local_addr().port();
                        state.on_take_over((from, leaving), job, wanted, here, now, out);
                    }
                    Err(reason) => out.push((
                        from,
                        Message::TakenOver {
                            leaving,
                            object: wanted.object,
                            refusal: Some(format!("no endpoint for objects: {reason}")),
                        },
                    )),
                });
            }
            Message::ReadChunk {
                job,
                object,
                offset,
                len,
                writer,
                chunk,
                port,
            } => {
                let source = ray_shm::Slot { offset, len };
                let wanted = Wanted {
                    job,
                    object,
                    source,
                    writer,
                    chunk,
                };
                // The port is on the machine that the asker connects from.
                let addr = peer.map(|peer| SocketAddr::new(peer.addr().ip(), port))?;
                if let Err(reason) = self.bulk_net(runtime) {
                    tracing::error!(%reason, "no endpoint for objects of this node");
                    return None;
                }
                let part = self.with_state(runtime, |state, out| {
                    state.on_chunk_wanted(from, &wanted, here, now, out)
                });
                if let Some(part) = part {
                    self.send_part(part, addr);
                }
            }
            Message::CancelChunk { object, chunk } => {
                if let Some(part) = self.take_part_back(object, chunk, from) {
                    self.with_state(runtime, |state, _| state.on_part_sent(&part, now));
                }
            }
            other => return Some(other),
        }
        None
    }
}
