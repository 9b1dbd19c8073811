//! Control messages, each given to the role that it is for.

use std::sync::{Arc, atomic::Ordering};

use ray_engine::ids::ProcessId;
use ray_net::{Frame, Peer};
use rkyv::rancor;

use crate::{
    node::workers,
    runtime::Runtime,
    wire::{
        AnswerMeta, ArchivedAnswerMeta, ArchivedMessage, CertificateMessage, CollectiveMessage,
        FolderMessage, GroupMessage, LeaveMessage, Location, LookMessage, Message, QuestionMessage,
        ReunionMessage, kind,
    },
};

impl Runtime {
    pub(super) fn on_control(
        self: &Arc<Self>,
        peer: &Peer,
        frame: &Frame<'_>,
    ) -> Result<(), String> {
        let from = ProcessId(peer.process());
        if frame.header.kind == kind::ANSWER {
            let meta: AnswerMeta = rkyv::access::<ArchivedAnswerMeta, rancor::Error>(frame.meta)
                .and_then(rkyv::deserialize::<AnswerMeta, rancor::Error>)
                .map_err(|error| format!("an answer that cannot be read: {error}"))?;
            if meta.object.owner != from {
                return Err(format!(
                    "an answer about {} from {from}, who does not own it",
                    meta.object
                ));
            }
            let outcome = match meta.outcome {
                Ok(arg) => match self.unreachable(peer, &arg) {
                    Some(failure) => Err(failure),
                    None => Ok((self.value_at(&arg, frame.body)?, arg.contained)),
                },
                Err(failure) => Err(failure),
            };
            self.with_core(|core, now| {
                let contained = outcome
                    .as_ref()
                    .map(|(_, contained)| contained.clone())
                    .unwrap_or_default();
                for id in &contained {
                    core.owner.receive_reference(*id, 1);
                }
                core.owner.on_value(meta.object, outcome, now);
                for id in contained {
                    core.owner.drop_handle(id);
                }
            });
            return Ok(());
        }
        let message: Message = rkyv::access::<ArchivedMessage, rancor::Error>(frame.meta)
            .and_then(rkyv::deserialize::<Message, rancor::Error>)
            .map_err(|error| format!("a message that cannot be read: {error}"))?;
        self.on_message(from, Some(peer), message);
        Ok(())
    }

    /// Gives a control message to the role that it is for.
    pub(crate) fn on_message(&self, from: ProcessId, peer: Option<&Peer>, message: Message) {
        let Some(this) = crate::runtime::CURRENT
            .load_full()
            .filter(|current| std::ptr::eq(&**current, self))
        else {
            return;
        };
        match message {
            Message::LeaseGranted {
                request,
                lease,
                worker,
                addr,
                devices,
                was_placed,
            } => {
                let at = (worker, addr);
                self.with_core(|core, now| {
                    core.on_lease(from, request, lease, at, devices, now);
                    core.settle_placed(from, request, was_placed);
                });
            }
            Message::LeaseRefused {
                request,
                failure,
                was_placed,
            } => self.with_core(|core, now| {
                core.on_lease_refused(request, failure, now);
                core.settle_placed(from, request, was_placed);
            }),
            Message::RecallLease { lease } => {
                self.with_core(|core, now| core.owner.on_lease_recalled(lease, now))
            }
            Message::Retires => self.with_core(|core, now| core.owner.on_worker_retires(from, now)),
            Message::HandedBack { task, attempt } => self.with_core(|core, now| {
                core.on_call_back(from);
                core.owner.on_task_handed_back(task, attempt, from, now);
            }),
            Message::OpenCredit { object, receiver } => {
                self.with_core(|core, _| core.owner.on_open_credit(object, receiver));
            }
            Message::ReleaseCredits { object, credits } => {
                self.with_core(|core, _| core.owner.on_release_credits(object, from, credits));
            }
            Message::Ask { object } => self.with_core(|core, _| core.owner.on_ask(object, from)),
            Message::CancelObject {
                object,
                force,
                recursive,
            } => self.with_core(|core, now| {
                if let Err(failure) = core.owner.cancel(object, force, recursive, now) {
                    tracing::debug!(?failure, "a cancel from elsewhere was refused");
                }
            }),
            Message::ActorState { actor, status } => {
                self.with_core(|core, now| core.on_actor_status(actor, status, now));
            }
            Message::Construct {
                actor,
                worker,
                addr,
                incarnation,
                devices,
            } => {
                self.with_core(|core, _| core.construct(actor, worker, addr, incarnation, devices));
            }
            Message::ConstructDetached {
                actor,
                job,
                worker,
                addr,
                incarnation,
                devices,
                recipe,
            } => {
                if from == self.process {
                    self.with_core(|core, _| {
                        let (life, home) = ((actor, incarnation), (worker, addr));
                        core.construct_by_recipe(life, job, *recipe, home, devices);
                    });
                }
            }
            Message::Locate { process } => {
                let at = self.locate(process);
                self.send(from, Message::Located { process, at });
            }
            Message::Located { process, at } => {
                self.with_core(|core, now| core.on_located(process, at, now))
            }
            Message::ProcessDied { process, exit } => {
                if let Some(node) = &self.node_role
                    && process.node_process() != self.process
                {
                    node.on_remote_process_died(&this, process, &exit);
                }
                self.on_process_died(process, exit);
            }
            Message::NodeDied { process } => {
                // The owner first: the node asks it which copies are left.
                self.with_core(|core, now| core.on_node_died(process, now));
                if let Some(node) = &self.node_role {
                    node.on_remote_node_died(&this, process);
                }
                self.collectives.on_node_gone(self, process);
            }
            Message::Printed {
                pid,
                name,
                is_error,
                text,
            } => {
                let name = format!("{name} node={}", from.node());
                workers::print_line(pid, &name, is_error, &text);
            }
            Message::FreeSlot { offset, len } => self.free_slot(ray_shm::Slot { offset, len }),
            Message::Cancel { task, recursive } => {
                if let Some(executor) = &self.executor {
                    executor.cancel(&this, task, from);
                }
                if recursive {
                    self.with_core(|core, now| core.owner.cancel_children(task, now));
                }
            }
            Message::AfterObject { object, path } => self.on_after_object(object, path),
            Message::AfterTask { task, path } => self.on_after_task(task, path),
            Message::StreamTaken { task, taken } => {
                if let Some(executor) = &self.executor {
                    executor.on_taken(task, from, taken);
                }
            }
            Message::StopActor { .. } => {
                if let Some(executor) = &self.executor {
                    let cause = "its last handle is gone".to_owned();
                    executor.stop(crate::worker::execute::Stop::Graceful(cause), &this);
                }
            }
            Message::Shutdown if self.executor.is_none() => {
                if from == self.control_process() {
                    self.stop_wanted.store(true, Ordering::Release);
                    if !self.is_daemon() {
                        self.give_up_head();
                    }
                }
            }
            Message::Shutdown => self.end_worker(&this, "the job ended"),
            Message::StopIdle => {
                let executor = self.executor.as_ref();
                if executor.is_some_and(|executor| executor.is_retired()) {
                    self.with_core(|core, _| core.owner.retire());
                } else if self.with_core(|core, _| core.owner.is_needed()) {
                    self.send_to_node(Message::StayedBusy);
                } else {
                    self.end_worker(&this, "it was idle");
                }
            }
            Message::RecallSegments => self.return_segments(true),
            Message::Certificates(CertificateMessage::Renew { public_key }) => {
                self.on_renew_certificate(from, &public_key)
            }
            Message::Certificates(CertificateMessage::Renewed { delegation }) => {
                this.on_certificate_renewed(from, delegation)
            }
            Message::Certificates(CertificateMessage::New { identity }) => {
                self.on_new_identity(from, &identity)
            }
            Message::Reunion(ReunionMessage::Introduce { keep, jobs, is_new }) => {
                if from == self.control_process() {
                    this.on_introduce(&keep, &jobs, is_new);
                }
            }
            Message::Revoked { processes } => this.on_revoked(from, &processes),
            Message::Reunion(ReunionMessage::HeadReturned) => this.on_head_returned(from),
            Message::ProbeNode { target, addr } => self.with_core(|core, _| {
                core.know(target, addr);
                core.send(target, Message::Ping);
            }),
            Message::Ping => self.send(from, Message::Pong),
            Message::Pong if from == self.control_process() => {
                if self.with_core(|core, _| core.control_is_away()) {
                    self.resume();
                }
            }
            Message::Pong => self.send_to_control(Message::ProbeReached { target: from }),
            Message::Look(LookMessage::Gather { request, wanted }) => {
                this.on_gather(from, request, wanted)
            }
            Message::Look(LookMessage::Gathered { .. }) if self.control_role.is_none() => {
                // A worker's answer, on its way to whoever asked.
                self.send_to_control(message);
            }
            Message::Look(LookMessage::ReadLog { request, file }) => {
                if from == self.control_process() {
                    self.on_read_log(from, request, file);
                }
            }
            Message::Collective(CollectiveMessage::Joined { request, outcome }) => {
                self.collectives.on_joined(self, request, outcome)
            }
            Message::Collective(CollectiveMessage::Left { group, rank }) => {
                self.collectives.on_left(group, rank)
            }
            Message::Collective(CollectiveMessage::Broken {
                group,
                rank,
                reason,
            }) => self.collectives.on_broken(group, rank, &reason),
            Message::CreateActorReply { request, .. }
            | Message::Look(LookMessage::LogRead { request, .. })
            | Message::LookupActorReply { request, .. }
            | Message::Groups(GroupMessage::GroupReply { request, .. })
            | Message::Groups(GroupMessage::GroupFound { request, .. })
            | Message::Folders(FolderMessage::Offered { request, .. })
            | Message::SegmentsGranted { request, .. }
            | Message::Fetched { request, .. }
            | Message::Questions(QuestionMessage::Resources { request, .. })
            | Message::Questions(QuestionMessage::Store { request, .. })
            | Message::Objects { request, .. }
            | Message::BroughtBack { request, .. }
            | Message::Questions(QuestionMessage::Nodes { request, .. }) => {
                match self.requests.on_reply(request, message) {
                    Some(Message::SegmentsGranted {
                        outcome: Ok((first, count)),
                        ..
                    }) => self.send_to_node(Message::ReturnSegments { first, count }),
                    Some(Message::Fetched {
                        request,
                        outcome: Ok(_),
                    }) => self.send_to_node(Message::CancelFetch { request }),
                    _ => {}
                }
            }
            Message::Leaving(LeaveMessage::MoveObjects { leaving, takers }) => {
                if from == self.node_process {
                    self.with_core(|core, _| core.evacuate(leaving, &takers));
                }
            }
            Message::TakenOver {
                leaving,
                object,
                refusal,
            } => self.with_core(|core, _| {
                core.on_taken_over(leaving, object, from.node(), refusal);
            }),
            Message::LocateObject { object } => {
                self.with_core(|core, _| core.locate_object(object, from));
            }
            Message::CopyHeld { object, held } => {
                self.with_core(|core, _| core.on_copy_held(object, from.node(), held));
            }
            Message::FreeObject { object } => self.on_free_object(from, object),
            Message::ObjectLetGo { object } => {
                self.with_core(|core, _| core.owner.on_let_go(object, from));
            }
            Message::QueryObjects { request, objects } => {
                self.on_objects_asked(from, request, &objects);
            }
            Message::CopyDropped { object } => {
                self.with_core(|core, _| core.on_copy_dropped(object, from.node()));
            }
            for_control if for_control.is_for_control() => match &self.control_role {
                Some(control) => control.on_message(&this, from, for_control),
                None => {
                    tracing::warn!(%from, ?for_control, "a message for the control role went astray")
                }
            },
            for_the_node => match &self.node_role {
                Some(node) => node.on_message(&this, from, peer, for_the_node),
                None => {
                    tracing::warn!(%from, ?for_the_node, "a message for a node reached a worker")
                }
            },
        }
    }

    pub(super) fn locate(&self, process: ProcessId) -> Location {
        if process == self.process {
            Location::At(self.public_addr())
        } else if let (Some(node), true) = (&self.node_role, process.node_process() == self.process)
        {
            node.locate(process)
        } else if let Some(control) = &self.control_role {
            control.locate(process)
        } else {
            Location::Gone
        }
    }

    /// Ends this worker at once.
    pub(super) fn end_worker(&self, this: &Arc<Runtime>, cause: &str) {
        self.closed.store(true, Ordering::Release);
        if let Some(executor) = &self.executor {
            executor.stop(crate::worker::execute::Stop::Now(cause.to_owned()), this);
            executor.interrupt_blocked();
        }
    }
}
