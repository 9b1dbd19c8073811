//! Calls and their ends, off the wire.

use std::sync::{Arc, atomic::AtomicBool};

use ray_engine::{
    failure::Failure,
    ids::{ObjectId, ProcessId, TaskId},
};
use ray_net::{Frame, Peer};
use rkyv::rancor;

use crate::{
    __private::{self, ArgData, Call},
    config::{BETWEEN_JOBS_BYTES_MAX, INLINE_RESULT_BYTES_MAX},
    object_ref::AnyRef,
    runtime::Runtime,
    store::{AlignedBytes, Value},
    wire::{ArchivedCallMeta, ArchivedDoneMeta, ArgMeta, CallMeta, DoneMeta, Place},
    worker::{execute::Execution, items::Flow},
};

/// A finished call as it came off the wire.
pub(super) struct Done {
    task: TaskId,
    attempt: u32,
    worker: ProcessId,
    exec_nanos: u64,
    outcome: Result<Vec<(Value, Vec<ObjectId>)>, Failure>,
}

/// Says why a value in the arena of another job cannot be read.
pub(crate) fn out_of_reach(len: u64) -> Failure {
    Failure::System(format!(
        "a value of {len} bytes lies in the memory of another job; between jobs values of up to {} MiB travel, \
         when the process that sends them has them in memory: send it in parts",
        BETWEEN_JOBS_BYTES_MAX >> 20
    ))
}

impl Runtime {
    pub(super) fn parse_call(
        self: &Arc<Self>,
        peer: &Peer,
        frame: &Frame<'_>,
    ) -> Result<Execution, String> {
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
            inside: meta.inside.map(|inside| Arc::new(*inside)),
            resources: meta.resources.map(|resources| Arc::new(*resources)),
            call: failure.map_or_else(|| Ok(Call::new(body, args, inline_limit)), Err),
            held,
            cancelled: Arc::new(AtomicBool::new(false)),
        })
    }

    /// Takes over references that came with a frame, one credit each.
    pub(super) fn receive(&self, ids: &[ObjectId]) -> Vec<AnyRef> {
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

    pub(super) fn take_calls(self: &Arc<Self>, calls: &mut Vec<Execution>) {
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

    pub(super) fn parse_done(&self, peer: &Peer, frame: &Frame<'_>) -> Result<Done, String> {
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
    pub(in crate::runtime) fn unreachable(&self, peer: &Peer, arg: &ArgMeta) -> Option<Failure> {
        match arg.place {
            Place::Arena { len, .. } if self.is_of_another_job(peer) => Some(out_of_reach(len)),
            _ => None,
        }
    }

    pub(in crate::runtime) fn value_at(&self, arg: &ArgMeta, body: &[u8]) -> Result<Value, String> {
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

    pub(super) fn take_done(&self, done: &mut Vec<Done>) {
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
}
