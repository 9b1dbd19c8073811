//! What arrives: frames are parsed, checked and given to the role they are for.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use ray_engine::{
    failure::{Failure, WorkerExit},
    ids::{ObjectId, ProcessId, TaskId},
};
use ray_net::{CloseReason, Frame, FrameBatch, Handler, Peer, Refusal};
use rkyv::rancor;

use super::Runtime;
use crate::{
    __private::{self, ArgData, Call},
    config::{BETWEEN_JOBS_BYTES_MAX, INLINE_RESULT_BYTES_MAX},
    node::workers,
    object_ref::AnyRef,
    store::{AlignedBytes, Value, WriterLive},
    wire::{
        AnswerMeta, ArchivedAnswerMeta, ArchivedCallMeta, ArchivedDoneMeta, ArchivedHello,
        ArchivedMessage, ArgMeta, CallMeta, DoneMeta, Hello, Location, Message, Place,
        WIRE_VERSION, kind,
    },
    worker::{execute::Execution, items::Flow},
};

/// Receives for a runtime that is made after it.
pub(crate) struct Inbound {
    runtime: Mutex<Weak<Runtime>>,
    hello: Hello,
}

/// A finished call as it came off the wire.
struct Done {
    task: TaskId,
    attempt: u32,
    worker: ProcessId,
    exec_nanos: u64,
    outcome: Result<Vec<(Value, Vec<ObjectId>)>, Failure>,
}

impl Inbound {
    pub(crate) fn new(hello: Hello) -> Arc<Inbound> {
        Arc::new(Inbound {
            runtime: Mutex::new(Weak::new()),
            hello,
        })
    }

    pub(crate) fn hello_bytes(&self) -> Vec<u8> {
        self.hello.to_bytes()
    }

    pub(crate) fn attach(&self, runtime: &Arc<Runtime>) {
        *self.runtime.lock() = Arc::downgrade(runtime);
    }

    fn runtime(&self) -> Option<Arc<Runtime>> {
        self.runtime.lock().upgrade()
    }
}

impl Handler for Inbound {
    fn on_frames(&self, peer: &Peer, frames: &mut FrameBatch<'_>) {
        let Some(runtime) = self.runtime() else {
            return;
        };
        let mut calls = Vec::new();
        let mut done = Vec::new();
        let mut items = Vec::new();
        for frame in frames {
            let parsed = match frame.header.kind {
                kind::CALL => runtime
                    .parse_call(peer, &frame)
                    .map(|execution| calls.push(execution)),
                kind::DONE => runtime
                    .parse_done(peer, &frame)
                    .map(|ended| done.push(ended)),
                kind::ITEM => runtime
                    .parse_item(peer, &frame)
                    .map(|item| items.push(item)),
                kind::PART => runtime.on_part(peer, &frame),
                kind::CONTROL | kind::ANSWER => {
                    // A control message speaks about the frames before it.
                    runtime.take_calls(&mut calls);
                    runtime.take_items(&mut items);
                    runtime.take_done(&mut done);
                    runtime.on_control(peer, &frame)
                }
                other => Err(format!("frame kind {other} is unknown")),
            };
            if let Err(reason) = parsed {
                tracing::warn!(peer = peer.process(), %reason, "closing a connection that sent nonsense");
                peer.close(&reason);
                break;
            }
        }
        runtime.take_calls(&mut calls);
        // The end of a call comes after its items.
        runtime.take_items(&mut items);
        runtime.take_done(&mut done);
    }

    fn on_hello(&self, peer: &Peer, hello: &[u8]) -> Result<(), Refusal> {
        let theirs = parse_hello(hello)?;
        tracing::debug!(peer = peer.process(), table = theirs.table.len(), "hello");
        peer.set_tag(theirs.job.0);
        check_hello(&self.hello, &theirs).map_err(Refusal::new)
    }

    fn on_connected(&self, peer: &Peer) {
        if let Some(runtime) = self.runtime() {
            if peer.process() == runtime.control_process().0 {
                runtime.note_head_found();
            }
            runtime.with_core(|core, _| core.on_peer(peer));
        }
    }

    fn on_closed(&self, peer: &Peer, reason: &CloseReason) {
        if let Some(runtime) = self.runtime() {
            runtime.on_closed(ProcessId(peer.process()), reason);
        }
    }
}

/// Compares what both sides of a connection say about themselves.
fn check_hello(ours: &Hello, theirs: &Hello) -> Result<(), String> {
    if ours.wire != theirs.wire {
        return Err(format!(
            "wire version {} meets wire version {}",
            ours.wire, theirs.wire
        ));
    }
    let daemon = ours.table_hash == 0 || theirs.table_hash == 0;
    if daemon || ours.job != theirs.job || ours.table_hash == theirs.table_hash {
        return Ok(());
    }
    let difference = ours
        .table
        .iter()
        .zip(&theirs.table)
        .find(|(our, their)| our != their)
        .map(|(our, their)| format!("`{our}` against `{their}`"))
        .unwrap_or_else(|| {
            let longer = if ours.table.len() > theirs.table.len() {
                &ours.table
            } else {
                &theirs.table
            };
            let at = ours.table.len().min(theirs.table.len());
            longer.get(at).map_or_else(
                || "an unnamed function".to_owned(),
                |line| format!("`{line}` on one side only"),
            )
        });
    Err(format!(
        "two builds of one job disagree about their functions; the first difference: {difference}"
    ))
}

/// Judges what a process says about itself that will send nothing but parts of objects.
pub(crate) fn check_daemon_hello(hello: &[u8]) -> Result<(), Refusal> {
    let theirs = parse_hello(hello)?;
    check_hello(&Hello::of_a_daemon(), &theirs).map_err(Refusal::new)
}

fn parse_hello(hello: &[u8]) -> Result<Hello, Refusal> {
    let mut bytes = AlignedBytes::new();
    bytes.extend_from_slice(hello);
    rkyv::access::<ArchivedHello, rancor::Error>(&bytes)
        .and_then(rkyv::deserialize::<Hello, rancor::Error>)
        .map_err(|_| Refusal::new("the first message is not a hello of this version"))
}

/// Says why a value in the arena of another job cannot be read.
pub(crate) fn out_of_reach(len: u64) -> Failure {
    Failure::System(format!(
        "a value of {len} bytes lies in the memory of another job; between jobs values of up to {} MiB travel, \
         when the process that sends them has them in memory: send it in parts",
        BETWEEN_JOBS_BYTES_MAX >> 20
    ))
}

impl Hello {
    /// Describes a process that runs nobody's code.
    pub(crate) fn of_a_daemon() -> Hello {
        Hello {
            wire: WIRE_VERSION,
            job: ray_engine::ids::JobId(0),
            table_hash: 0,
            table: Vec::new(),
        }
    }

    /// Describes this process.
    pub(crate) fn of_this_process(job: ray_engine::ids::JobId) -> crate::Result<Hello> {
        let table = __private::table();
        if let Some(conflict) = table.conflict() {
            return Err(crate::Error::System(conflict.to_owned()));
        }
        Ok(Hello {
            wire: WIRE_VERSION,
            job,
            table_hash: table.hash(),
            table: table.describe(),
        })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        rkyv::to_bytes::<rancor::Error>(self)
            .expect("a hello has nothing that cannot be archived")
            .to_vec()
    }
}

impl Runtime {
    fn parse_call(self: &Arc<Self>, peer: &Peer, frame: &Frame<'_>) -> Result<Execution, String> {
        let meta: CallMeta = rkyv::access::<ArchivedCallMeta, rancor::Error>(frame.meta)
            .and_then(rkyv::deserialize::<CallMeta, rancor::Error>)
            .map_err(|error| format!("a call that cannot be read: {error}"))?;
        let mut failure = None;
        let mut args = Vec::with_capacity(meta.args.len());
        let mut received = Vec::new();
        for arg in &meta.args {
            received.extend_from_slice(&arg.contained);
            args.push(match arg.place {
                Place::Body { offset, len } => {
                    if (offset as usize)
                        .checked_add(len as usize)
                        .is_none_or(|end| end > frame.body.len())
                    {
                        return Err("an argument lies outside its frame".into());
                    }
                    ArgData::Inline {
                        offset,
                        len,
                        layout: arg.layout,
                    }
                }
                Place::Arena { len, .. } if self.is_of_another_job(peer) => {
                    failure = Some(out_of_reach(len));
                    ArgData::Inline {
                        offset: 0,
                        len: 0,
                        layout: 0,
                    }
                }
                Place::Arena {
                    object,
                    offset,
                    len,
                    writer,
                } => match self.shared_value(
                    object,
                    ray_shm::Slot { offset, len },
                    writer,
                    arg.layout,
                ) {
                    Ok(value) => ArgData::Value(value),
                    Err(failed) => {
                        failure = Some(failed);
                        ArgData::Inline {
                            offset: 0,
                            len: 0,
                            layout: 0,
                        }
                    }
                },
            });
        }
        let held = self.receive(&received);
        let method = __private::table().find(meta.method);
        let flow = method
            .filter(|method| method.streams)
            .map(|_| Flow::new(meta.backpressure));
        let inline_limit = if self.is_of_another_job(peer) {
            BETWEEN_JOBS_BYTES_MAX / usize::from(method.map_or(1, |method| method.returns.max(1)))
        } else {
            INLINE_RESULT_BYTES_MAX
        };
        let mut body = AlignedBytes::new();
        if !frame.body.is_empty() {
            body.reserve_exact(frame.body.len());
            body.extend_from_slice(frame.body);
        }
        Ok(Execution {
            caller: peer.clone(),
            task: meta.task,
            attempt: meta.attempt,
            method,
            flow,
            target: meta.target,
            chain: meta.chain.into(),
            // Most calls have none, and the empty list is shared.
            devices: if meta.devices.is_empty() {
                Arc::default()
            } else {
                meta.devices.into()
            },
            call: failure.map_or_else(|| Ok(Call::new(body, args, inline_limit)), Err),
            held,
            cancelled: Arc::new(AtomicBool::new(false)),
        })
    }

    /// Takes over references that came with a frame, one credit each.
    fn receive(&self, ids: &[ObjectId]) -> Vec<AnyRef> {
        if ids.is_empty() {
            return Vec::new();
        }
        self.with_core(|core, _| {
            for id in ids {
                core.owner.receive_reference(*id, 1);
            }
        });
        ids.iter().map(|id| AnyRef::counted(*id)).collect()
    }

    fn take_calls(self: &Arc<Self>, calls: &mut Vec<Execution>) {
        if calls.is_empty() {
            return;
        }
        match &self.executor {
            Some(executor) => {
                executor.enqueue(self, calls.drain(..));
                if executor.has_waiting() {
                    self.clock
                        .arm(self.now() + std::time::Duration::from_millis(5));
                }
            }
            None => {
                for execution in calls.drain(..) {
                    let failure = Failure::System("this process runs no calls".into());
                    self.reply(
                        &execution.caller,
                        execution.task,
                        execution.attempt,
                        0,
                        Err(failure),
                        true,
                    );
                }
            }
        }
    }

    fn parse_done(&self, peer: &Peer, frame: &Frame<'_>) -> Result<Done, String> {
        let meta: DoneMeta = rkyv::access::<ArchivedDoneMeta, rancor::Error>(frame.meta)
            .and_then(rkyv::deserialize::<DoneMeta, rancor::Error>)
            .map_err(|error| format!("an answer that cannot be read: {error}"))?;
        let outcome = match meta.outcome {
            Err(failure) => Err(*failure),
            Ok(values) => match values.iter().find_map(|arg| self.unreachable(peer, arg)) {
                Some(failure) => Err(failure),
                None => values
                    .into_iter()
                    .map(|arg| Ok((self.value_at(&arg, frame.body)?, arg.contained)))
                    .collect::<Result<Vec<_>, String>>()
                    .map(Ok)?,
            },
        };
        Ok(Done {
            task: meta.task,
            attempt: meta.attempt,
            worker: ProcessId(peer.process()),
            exec_nanos: meta.exec_nanos,
            outcome,
        })
    }

    /// Returns whether a process runs for another job, whose memory this one does not share.
    pub(crate) fn is_of_another_job(&self, peer: &Peer) -> bool {
        let job = peer.tag();
        job != 0 && job != self.job.0
    }

    /// Returns why a value cannot be read here that lies in the memory of another job.
    pub(super) fn unreachable(&self, peer: &Peer, arg: &ArgMeta) -> Option<Failure> {
        match arg.place {
            Place::Arena { len, .. } if self.is_of_another_job(peer) => Some(out_of_reach(len)),
            _ => None,
        }
    }

    pub(super) fn value_at(&self, arg: &ArgMeta, body: &[u8]) -> Result<Value, String> {
        match arg.place {
            Place::Body { offset, len } => {
                let bytes = body
                    .get(offset as usize..)
                    .and_then(|rest| rest.get(..len as usize))
                    .ok_or("a value lies outside its frame")?;
                let mut aligned = AlignedBytes::new();
                if !bytes.is_empty() {
                    aligned.reserve_exact(bytes.len());
                    aligned.extend_from_slice(bytes);
                }
                Ok(Value::heap(aligned, arg.layout))
            }
            Place::Arena {
                object,
                offset,
                len,
                writer,
            } => self
                .shared_value(object, ray_shm::Slot { offset, len }, writer, arg.layout)
                .map_err(|failure| format!("{failure:?}")),
        }
    }

    fn take_done(&self, done: &mut Vec<Done>) {
        if done.is_empty() {
            return;
        }
        self.with_core(|core, now| {
            for ended in done.drain(..) {
                core.on_call_back(ended.worker);
                let mut received = Vec::new();
                if let Ok(values) = &ended.outcome {
                    for id in values.iter().flat_map(|(_, contained)| contained) {
                        core.owner.receive_reference(*id, 1);
                        received.push(*id);
                    }
                }
                core.owner.on_task_done(
                    ended.task,
                    ended.attempt,
                    ended.worker,
                    ended.outcome,
                    ended.exec_nanos,
                    now,
                );
                for id in received {
                    core.owner.drop_handle(id);
                }
            }
        });
    }

    fn on_control(self: &Arc<Self>, peer: &Peer, frame: &Frame<'_>) -> Result<(), String> {
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
        let Some(this) = super::CURRENT
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
                }
            }
            Message::Shutdown => self.end_worker(&this, "the job ended"),
            Message::StopIdle => {
                let is_needed = self.with_core(|core, _| {
                    core.owner.pending_tasks() > 0 || core.owner.owned_objects() > 0
                });
                if is_needed {
                    self.send_to_node(Message::StayedBusy);
                } else {
                    self.end_worker(&this, "it was idle");
                }
            }
            Message::RecallSegments => self.return_segments(true),
            Message::RenewCertificate { public_key } => {
                self.on_renew_certificate(from, &public_key)
            }
            Message::CertificateRenewed { delegation } => {
                this.on_certificate_renewed(from, delegation)
            }
            Message::NewIdentity { identity } => self.on_new_identity(from, &identity),
            Message::Introduce { keep } => {
                if let Some(node) = &self.node_role
                    && from == self.control_process()
                {
                    node.on_new_head(&this, &keep);
                    node.join(&this);
                }
            }
            Message::ProbeNode { target, addr } => self.with_core(|core, _| {
                core.know(target, addr);
                core.send(target, Message::Ping);
            }),
            Message::Ping => self.send(from, Message::Pong),
            Message::Pong => self.send_to_control(Message::ProbeReached { target: from }),
            Message::Gather {
                request,
                wants_objects,
            } => this.on_gather(from, request, wants_objects),
            Message::Gathered { .. } if self.control_role.is_none() => {
                // A worker's answer, on its way to whoever asked.
                self.send_to_control(message);
            }
            Message::ReadLog { request, file } => {
                if from == self.control_process() {
                    self.on_read_log(from, request, file);
                }
            }
            Message::CollectiveJoined { request, outcome } => {
                self.collectives.on_joined(self, request, outcome)
            }
            Message::CollectiveLeft { group, rank } => self.collectives.on_left(group, rank),
            Message::CollectiveBroken {
                group,
                rank,
                reason,
            } => self.collectives.on_broken(group, rank, &reason),
            Message::CreateActorReply { request, .. }
            | Message::LogRead { request, .. }
            | Message::LookupActorReply { request, .. }
            | Message::GroupReply { request, .. }
            | Message::SegmentsGranted { request, .. }
            | Message::Fetched { request, .. }
            | Message::Resources { request, .. }
            | Message::Store { request, .. }
            | Message::BroughtBack { request, .. }
            | Message::Nodes { request, .. } => match self.requests.on_reply(request, message) {
                Some(Message::SegmentsGranted {
                    outcome: Ok((first, count)),
                    ..
                }) => self.send_to_node(Message::ReturnSegments { first, count }),
                Some(Message::Fetched {
                    object,
                    outcome: Ok(_),
                    ..
                }) => self.send_to_node(Message::ReleaseCopy { object }),
                _ => {}
            },
            Message::LocateObject { object } => {
                self.with_core(|core, _| core.locate_object(object, from));
            }
            Message::CopyHeld { object, held } => self.with_core(|core, _| {
                if core.owner.on_holder(object, from.node(), held) {
                    core.keep_last_copy(object);
                } else {
                    core.send(from, Message::DropCopy { object });
                }
            }),
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

    fn locate(&self, process: ProcessId) -> Location {
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
    fn end_worker(&self, this: &Arc<Runtime>, cause: &str) {
        self.closed.store(true, Ordering::Release);
        if let Some(executor) = &self.executor {
            executor.stop(crate::worker::execute::Stop::Now(cause.to_owned()), this);
            executor.interrupt_blocked();
        }
    }

    /// A process is gone.
    pub(crate) fn on_process_died(&self, process: ProcessId, exit: WorkerExit) {
        if let Some(executor) = &self.executor {
            executor.on_caller_gone(process);
        }
        self.collectives
            .on_process_gone(self, process, "its process ended");
        self.with_core(|core, now| core.on_process_died(process, exit, now));
        if self
            .writers
            .lock()
            .entry(process)
            .or_insert_with(|| WriterLive::new(process))
            .on_death()
        {
            self.send_to_node(Message::Quiesced { dead: process });
        }
    }

    /// The connection to the control role is gone: a head that is started again has the same id and port,
    /// so it is dialed anew. A driver's place in the cluster went with the head.
    fn on_control_closed(&self, reason: &CloseReason) {
        tracing::warn!(%reason, "the connection to the head is gone");
        self.with_core(|core, now| {
            core.on_control_lost();
            if self.executor.is_none() && !self.is_daemon() {
                core.give_up_control(now);
            }
        });
        if self.executor.is_none() {
            self.note_head_lost(reason.to_string());
        }
    }

    fn on_closed(&self, process: ProcessId, reason: &CloseReason) {
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        if self.node_role.is_none() && process == self.node_process() {
            tracing::info!(%reason, "the node is gone; this worker ends");
            std::process::exit(1);
        }
        tracing::debug!(%process, %reason, "a connection closed");
        if process == self.control_process() {
            return self.on_control_closed(reason);
        }
        if let Some(control) = &self.control_role
            && let Ok(this) = super::current()
        {
            let said_goodbye = matches!(reason, CloseReason::Closed(_));
            control.on_connection_lost(&this, process, said_goodbye);
        }
        if let Some(node) = &self.node_role
            && process.node_process() == self.process
        {
            node.on_connection_lost(process, reason);
        } else {
            if let Some(executor) = &self.executor {
                executor.on_caller_gone(process);
            }
            if !matches!(reason, CloseReason::Closed(_)) {
                // Its node decides who is dead: whoever cannot be reached must not live on.
                let node = process.node_process();
                if process != node {
                    self.send(node, Message::KillWorker { worker: process });
                }
            }
            self.collectives.on_process_gone(
                self,
                process,
                &format!("the connection to it is gone: {reason}"),
            );
            self.with_core(|core, now| {
                core.on_process_died(
                    process,
                    WorkerExit {
                        worker: process,
                        ..WorkerExit::default()
                    },
                    now,
                );
            });
        }
    }
}
