//! What arrives: messages given to the owner table or the executor.

use ray_engine::{
    failure::Failure,
    ids::{ActorId, ObjectId, ProcessId, RequestId, TaskId},
    owner::ActorState,
};

use crate::{
    wire::{Message, Results, Status, Value},
    world::{HEAD, World},
};

impl World {
    fn on_actor_status(&mut self, at: ProcessId, actor: ActorId, status: Status) {
        let now = self.now;
        let state = match status {
            Status::Pending => ActorState::Pending,
            Status::Alive(process, incarnation) => {
                self.on_address(at, process);
                ActorState::Alive {
                    process,
                    incarnation,
                }
            }
            Status::Restarting => ActorState::Restarting,
            Status::Dead(failure) => {
                self.forget_creation(at, actor);
                ActorState::Dead(std::sync::Arc::new(failure))
            }
        };
        if state != ActorState::Pending {
            self.on_constructed(at, actor);
        }
        self.process(at).owner.on_actor_state(actor, state, now);
        self.settle(at);
    }

    fn on_done(
        &mut self,
        at: ProcessId,
        from: ProcessId,
        task: TaskId,
        attempt: u32,
        exec_nanos: u64,
        outcome: Result<Results, Failure>,
    ) {
        let now = self.now;
        let results = outcome.as_ref().map_or(0, |values| values.len() as u64);
        let owner = &mut self.process(at).owner;
        let received = outcome
            .iter()
            .flatten()
            .flat_map(|(_, contained)| contained)
            .copied()
            .collect::<Vec<_>>();
        for object in &received {
            owner.receive_reference(*object, 1);
        }
        owner.on_task_done(task, attempt, from, outcome, exec_nanos, now);
        for position in 0..results {
            self.observe_value(at, task.result(position));
        }
        let owner = &mut self.process(at).owner;
        for object in received {
            owner.drop_handle(object);
        }
        self.settle(at);
    }

    fn on_answer(
        &mut self,
        at: ProcessId,
        object: ObjectId,
        outcome: Result<(Value, Vec<ObjectId>), Failure>,
    ) {
        let now = self.now;
        let owner = &mut self.process(at).owner;
        let contained = outcome
            .as_ref()
            .map(|(_, contained)| contained.clone())
            .unwrap_or_default();
        for id in &contained {
            owner.receive_reference(*id, 1);
        }
        owner.on_value(object, outcome, now);
        for id in contained {
            owner.drop_handle(id);
        }
        self.settle(at);
    }

    /// Tells the control role that a request which it handed to a node has its answer here.
    fn settle_placed(
        &mut self,
        at: ProcessId,
        node: ProcessId,
        request: RequestId,
        was_placed: bool,
    ) {
        if was_placed {
            self.send(at, HEAD, Message::LeaseSettled(node.node(), request));
        }
    }

    /// Handles a message for the submitting side or the executor; gives back what is for a role.
    pub(crate) fn on_message(
        &mut self,
        at: ProcessId,
        from: ProcessId,
        message: Message,
    ) -> Option<Message> {
        let now = self.now;
        let process = self.process(at);
        let owner = &mut process.owner;
        match message {
            Message::LeaseGranted {
                request,
                lease,
                worker,
                was_placed,
            } => {
                self.on_lease(at, from, request, lease, worker);
                self.settle_placed(at, from, request, was_placed);
            }
            Message::LeaseRefused(request, failure, was_placed) => {
                process.placed.remove(&request);
                owner.on_lease_refused(request, failure, now);
                self.settle_placed(at, from, request, was_placed);
            }
            Message::RecallLease(lease) => owner.on_lease_recalled(lease, now),
            Message::HandedBack(task, attempt) => {
                owner.on_task_handed_back(task, attempt, from, now);
            }
            Message::OpenCredit(object, receiver) => {
                owner.on_open_credit(object, receiver);
                let began = process.began;
                let references = &mut self.invariants.references;
                references.on_credit_opened(object, receiver, began);
            }
            Message::ReleaseCredits(object, credits) => {
                owner.on_release_credits(object, from, credits);
            }
            Message::Ask(object) => owner.on_ask(object, from),
            Message::FreeObject(object) if object.owner == at => owner.free(object),
            Message::FreeObject(object) => owner.on_freed(object),
            Message::ObjectLetGo(object) => owner.on_let_go(object, from),
            Message::CancelObject {
                object,
                force,
                recursive,
            } => {
                // A refused cancel is only logged.
                let _refused = owner.cancel(object, force, recursive, now);
            }
            Message::Done {
                task,
                attempt,
                exec_nanos,
                outcome,
            } => self.on_done(at, from, task, attempt, exec_nanos, outcome),
            Message::Answer { object, outcome } => self.on_answer(at, object, outcome),
            Message::ActorState(actor, status) => self.on_actor_status(at, actor, status),
            Message::Construct {
                actor,
                worker,
                incarnation,
            } => self.construct(at, actor, worker, incarnation),
            Message::Located(process, is_there) => self.on_located(at, process, is_there),
            Message::Locate(process) => self.on_locate(at, from, process),
            Message::ProcessDied(dead, evicted_from) => {
                if self.nodes.contains_key(&at) && dead.node_process() != at {
                    self.on_remote_process_died(at, dead, evicted_from);
                }
                self.on_process_died(at, dead, evicted_from);
            }
            Message::NodeDied(node) => {
                if self.nodes.contains_key(&at) {
                    self.on_remote_node_died(at, node);
                }
                self.on_node_died(at, node);
            }
            Message::GroupReply(request, outcome) => self.on_group_reply(at, request, outcome),
            Message::Call {
                task,
                attempt,
                target,
                args,
                payload,
            } => self.on_call(at, from, task, attempt, target, args, payload),
            Message::Cancel { task, recursive } => {
                self.cancel_running(at, task, from);
                if recursive && self.processes.contains_key(&at) {
                    self.process(at).owner.cancel_children(task, now);
                }
            }
            Message::StopActor(_) => self.stop_gracefully(at, "its last handle is gone"),
            Message::StopIdle => self.on_stop_idle(at),
            Message::CreateActorReply(request, outcome) => {
                self.on_create_reply(at, request, outcome);
            }
            Message::LookupActorReply(request, outcome) => {
                self.on_lookup_reply(at, request, outcome);
            }
            for_a_role => return Some(for_a_role),
        }
        if self.processes.contains_key(&at) {
            self.settle(at);
        }
        None
    }
}
