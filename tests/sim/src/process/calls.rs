//! Calls and answers on their way out: values collected, credits opened, messages sent.

use ray_engine::{
    failure::Failure,
    ids::{ObjectId, ProcessId, TaskId},
    owner::ObjectState,
};

use crate::{
    wire::{Arg, ArgMeta, Message, Payload, Results, Target},
    world::World,
};

impl World {
    /// Counts one credit more for `to`, which is about to get the reference.
    fn send_reference(&mut self, at: ProcessId, object: ObjectId, to: ProcessId) {
        self.process(at).owner.send_reference(object, to);
        if object.owner != at {
            self.invariants.references.on_passed_on(object, at);
        }
    }

    pub(super) fn send_call(
        &mut self,
        at: ProcessId,
        task: TaskId,
        attempt: u32,
        to: ProcessId,
        target: Target,
    ) {
        let Some(payload) = self.process(at).owner.payload(task).cloned() else {
            return self.fail(
                "no lost result",
                format!("{task} was to be sent without its payload"),
            );
        };
        self.invariants.publish.on_sent(task, attempt, to);
        if to != at && !self.process(at).peers.contains(&to) {
            // The process is gone; its death is on the way and settles the call.
            return;
        }
        if let Some(args) = self.arg_metas(at, &payload, to) {
            self.post(
                at,
                to,
                Message::Call {
                    task,
                    attempt,
                    target,
                    args,
                    payload,
                },
            );
        }
    }

    /// Collects the arguments' values; `None` when one is not there.
    pub(super) fn arg_metas(
        &mut self,
        at: ProcessId,
        payload: &Payload,
        to: ProcessId,
    ) -> Option<Vec<ArgMeta>> {
        let mut metas = Vec::with_capacity(payload.args.len());
        for arg in &payload.args {
            let meta = match arg {
                Arg::Inline(contained) => ArgMeta {
                    object: None,
                    contained: contained.clone(),
                },
                Arg::Object(object) => {
                    let owner = &self.process(at).owner;
                    let ObjectState::Ready(value) = owner.argument(*object) else {
                        let text =
                            format!("{at} sends a call before its argument {object} is there");
                        self.fail("nothing freed while reachable", text);
                        return None;
                    };
                    ArgMeta {
                        object: Some((*object, value.clone())),
                        contained: owner.contained(*object).to_vec(),
                    }
                }
            };
            for object in &meta.contained {
                self.send_reference(at, *object, to);
            }
            metas.push(meta);
        }
        Some(metas)
    }

    pub(super) fn answer(&mut self, at: ProcessId, to: ProcessId, object: ObjectId) {
        let owner = &self.process(at).owner;
        let outcome = match owner.state(object) {
            ObjectState::Ready(value) => Ok((value.clone(), owner.contained(object).to_vec())),
            ObjectState::Failed(failure) => Err((*failure).clone()),
            ObjectState::Pending => return,
            ObjectState::Unknown => Err(Failure::ObjectFreed(object)),
        };
        if let Ok((_, contained)) = &outcome {
            for id in contained {
                self.send_reference(at, *id, to);
            }
        }
        if self.process(at).peers.contains(&to) {
            self.post(at, to, Message::Answer { object, outcome });
        }
    }

    /// Answers the caller of a call that ended here; the caller of this function holds `contained`.
    pub(crate) fn reply(
        &mut self,
        at: ProcessId,
        caller: ProcessId,
        task: TaskId,
        attempt: u32,
        exec_nanos: u64,
        outcome: Result<Results, Failure>,
    ) {
        if let Ok(values) = &outcome {
            for id in values.iter().flat_map(|(_, contained)| contained) {
                self.send_reference(at, *id, caller);
            }
            self.settle(at);
        }
        // A reply goes to the connection of the call; when that is gone it is dropped.
        if caller == at || self.process(at).peers.contains(&caller) {
            self.post(
                at,
                caller,
                Message::Done {
                    task,
                    attempt,
                    exec_nanos,
                    outcome,
                },
            );
        }
    }
}
