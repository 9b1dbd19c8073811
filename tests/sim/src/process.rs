//! The submitting side of one process: the owner table, its commands carried out.
//!
//! It follows `ray-core/src/worker/submit.rs` and `runtime/inbound.rs` step by step: who is connected, who
//! is known to be dead, what waits for an address, in which order handles are counted around a message.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ray_engine::{
    failure::{Failure, WorkerExit},
    ids::{ActorId, ObjectId, ProcessId, TaskId},
    owner::{ActorState, Command, Limits, ObjectState, Owner},
};

use crate::{
    executor::Executor,
    user::Context,
    wire::{Arg, ArgMeta, Creation, Message, Payload, Results, Status, Target, Value},
    world::{DRIVER, World},
};

/// One process that lives.
pub struct Process {
    /// Its owner table.
    pub owner: Owner<Rc<Payload>, Value>,
    /// Whom it is connected to.
    pub peers: BTreeSet<ProcessId>,
    /// Messages for processes whose address was asked for.
    locating: BTreeMap<ProcessId, Vec<Message>>,
    /// Processes that it knows to be gone.
    pub dead: BTreeSet<ProcessId>,
    /// Constructors of the actors that it created, with handles of their arguments.
    pub creations: BTreeMap<ActorId, Rc<Payload>>,
    /// The objects whose end means that nobody holds a handle of the actor any more.
    pub actor_holds: BTreeMap<ObjectId, ActorId>,
    /// Creations whose arguments are not there yet.
    unready: Vec<(Creation, Vec<ObjectId>)>,
    /// What it runs; a driver runs nothing.
    pub executor: Option<Executor>,
    /// User code that has begun.
    pub contexts: BTreeMap<u64, Context>,
    /// Which contexts wait for an object.
    pub waiters: BTreeMap<ObjectId, Vec<u64>>,
    /// By how much everything here takes longer.
    pub slowness: u64,
    /// When the owner table is looked at next.
    pub tick_at: Option<ray_engine::time::Time>,
}

impl Process {
    /// Returns a process that has just started.
    pub fn new(id: ProcessId, executor: Option<Executor>, slowness: u64) -> Process {
        Process {
            owner: Owner::new(id, Limits::default()),
            peers: BTreeSet::new(),
            locating: BTreeMap::new(),
            dead: BTreeSet::new(),
            creations: BTreeMap::new(),
            actor_holds: BTreeMap::new(),
            unready: Vec::new(),
            executor,
            contexts: BTreeMap::new(),
            waiters: BTreeMap::new(),
            slowness,
            tick_at: None,
        }
    }

    /// Returns whether others may need something of it, so that it must not be stopped for being idle.
    pub fn is_needed(&self) -> bool {
        self.owner.pending_tasks() > 0 || self.owner.owned_objects() > 0
    }
}

impl World {
    /// Returns a process that the caller knows to be alive.
    pub(crate) fn process(&mut self, id: ProcessId) -> &mut Process {
        self.processes
            .get_mut(&id)
            .expect("the caller knows that it is alive")
    }

    /// Sends a control message as `Core::send` does.
    pub(crate) fn send(&mut self, from: ProcessId, to: ProcessId, message: Message) {
        let process = self.process(from);
        if to == from || process.peers.contains(&to) {
            return self.post(from, to, message);
        }
        if process.dead.contains(&to) {
            return;
        }
        let waiting = process.locating.entry(to).or_default();
        waiting.push(message);
        if waiting.len() == 1 {
            self.send(from, DRIVER, Message::Locate(to));
        }
    }

    /// Notes that a process can be reached; what waited for its address leaves first.
    pub(crate) fn on_address(&mut self, at: ProcessId, other: ProcessId) {
        let process = self.process(at);
        if other == at || process.dead.contains(&other) || !process.peers.insert(other) {
            return;
        }
        for message in process.locating.remove(&other).unwrap_or_default() {
            self.send(at, other, message);
        }
    }

    fn on_located(&mut self, at: ProcessId, other: ProcessId, is_there: bool) {
        if is_there {
            self.on_address(at, other);
        } else {
            self.on_process_died(at, other);
        }
    }

    /// Everything that hung on `dead` ends or is retried.
    pub(crate) fn on_process_died(&mut self, at: ProcessId, dead: ProcessId) {
        let now = self.now;
        let process = self.process(at);
        if !process.dead.insert(dead) {
            return;
        }
        process.locating.remove(&dead);
        process.peers.remove(&dead);
        let exit = WorkerExit {
            worker: dead,
            ..WorkerExit::default()
        };
        process
            .owner
            .on_process_died(dead, Failure::WorkerCrashed(exit), now);
        self.settle(at);
    }

    /// Carries out what the owner table wishes, until it is still.
    pub(crate) fn settle(&mut self, at: ProcessId) {
        while let Some(command) = self.process(at).owner.poll_command() {
            self.run_command(at, command);
        }
        let process = self.process(at);
        if let Some(due) = process.owner.poll_timeout()
            && process.tick_at.is_none_or(|armed| due < armed)
        {
            process.tick_at = Some(due);
            self.wake_owner(at, due);
        }
    }

    fn run_command(&mut self, at: ProcessId, command: Command<Value>) {
        match command {
            Command::SendTask {
                task,
                attempt,
                lease,
                worker,
            } => self.send_call(at, task, attempt, worker, Target::Task(lease)),
            Command::SendCall {
                task,
                attempt,
                actor,
                process,
                incarnation,
                ..
            } => self.send_call(
                at,
                task,
                attempt,
                process,
                Target::Method(actor, incarnation),
            ),
            Command::Resolved { object } => self.on_resolved(at, object),
            Command::Free { object, .. } => {
                if let Some(actor) = self.process(at).actor_holds.remove(&object) {
                    self.send(at, DRIVER, Message::HandlesGone(actor));
                }
            }
            Command::OpenCredit {
                owner,
                object,
                receiver,
            } => self.send(at, owner, Message::OpenCredit(object, receiver)),
            Command::ReleaseCredits {
                owner,
                object,
                credits,
            } => self.send(at, owner, Message::ReleaseCredits(object, credits)),
            Command::AskOwner { owner, object } => self.send(at, owner, Message::Ask(object)),
            Command::Answer { to, object } => self.answer(at, to, object),
            Command::SendCancel {
                worker,
                task,
                force,
                recursive,
            } => {
                if force {
                    self.send(at, DRIVER, Message::KillWorker(worker));
                } else {
                    self.send(at, worker, Message::Cancel { task, recursive });
                }
            }
            Command::ForwardCancel {
                owner,
                object,
                force,
                recursive,
            } => self.send(
                at,
                owner,
                Message::CancelObject {
                    object,
                    force,
                    recursive,
                },
            ),
            Command::RequestLease { request, shape } => {
                self.send(at, DRIVER, Message::RequestLease(request, shape));
            }
            Command::CancelLeaseRequest { request } => {
                self.send(at, DRIVER, Message::CancelLeaseRequest(request));
            }
            Command::ReturnLease { lease } => self.send(at, DRIVER, Message::ReturnLease(lease)),
            Command::WatchActor { actor } => self.send(at, DRIVER, Message::WatchActor(actor)),
        }
    }

    /// Counts one credit more for `to`, which is about to get the reference.
    fn send_reference(&mut self, at: ProcessId, object: ObjectId, to: ProcessId) {
        self.process(at).owner.send_reference(object, to);
        if object.owner != at {
            self.invariants.references.on_passed_on(object, at);
        }
    }

    fn send_call(
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
        if !self.process(at).peers.contains(&to) {
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
    fn arg_metas(
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
                    let ObjectState::Ready(value) = owner.state(*object) else {
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

    fn answer(&mut self, at: ProcessId, to: ProcessId, object: ObjectId) {
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

    /// Asks for an actor's placement once its arguments are there.
    pub(crate) fn create_when_ready(
        &mut self,
        at: ProcessId,
        creation: Creation,
        needed: Vec<ObjectId>,
    ) {
        let process = self.process(at);
        for object in &needed {
            process.owner.watch(*object);
        }
        process.unready.push((creation, needed));
        self.create_ready(at);
        self.settle(at);
    }

    pub(crate) fn create_ready(&mut self, at: ProcessId) {
        for (creation, needed) in std::mem::take(&mut self.process(at).unready) {
            let mut failure = None;
            let mut is_ready = true;
            for object in &needed {
                match self.process(at).owner.state(*object) {
                    ObjectState::Ready(_) => {}
                    ObjectState::Pending => is_ready = false,
                    ObjectState::Failed(failed) => failure = Some((*failed).clone()),
                    ObjectState::Unknown => failure = Some(Failure::ObjectFreed(*object)),
                }
            }
            let actor = creation.actor;
            match failure {
                Some(failure) => {
                    self.send(at, DRIVER, Message::ConstructFailed(actor, failure));
                    self.forget_creation(at, actor);
                }
                None if is_ready => self.send(at, DRIVER, Message::CreateActor(0, creation)),
                None => self.process(at).unready.push((creation, needed)),
            }
        }
    }

    fn construct(&mut self, at: ProcessId, actor: ActorId, worker: ProcessId, incarnation: u64) {
        let Some(payload) = self.process(at).creations.get(&actor).cloned() else {
            // It is dead for good; the directory knows or is about to.
            return;
        };
        self.on_address(at, worker);
        if !self.process(at).peers.contains(&worker) {
            return;
        }
        let task = TaskId {
            owner: at,
            index: 0,
        };
        if let Some(args) = self.arg_metas(at, &payload, worker) {
            self.post(
                at,
                worker,
                Message::Call {
                    task,
                    attempt: incarnation as u32,
                    target: Target::Create(actor, incarnation),
                    args,
                    payload,
                },
            );
        }
        self.settle(at);
    }

    /// Drops the constructor of an actor and the handles of its arguments.
    pub(crate) fn forget_creation(&mut self, at: ProcessId, actor: ActorId) {
        let Some(payload) = self.process(at).creations.remove(&actor) else {
            return;
        };
        for arg in &payload.args {
            match arg {
                Arg::Object(object) => self.drop_handle(at, *object),
                Arg::Inline(contained) => {
                    for object in contained {
                        self.drop_handle(at, *object);
                    }
                }
            }
        }
    }

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

    /// Handles a message for the submitting side or the executor; gives back what is for the node.
    pub(crate) fn on_message(
        &mut self,
        at: ProcessId,
        from: ProcessId,
        message: Message,
    ) -> Option<Message> {
        let now = self.now;
        let owner = &mut self.process(at).owner;
        match message {
            Message::LeaseGranted {
                request,
                lease,
                worker,
            } => {
                self.on_address(at, worker);
                let process = self.process(at);
                process.owner.on_lease_granted(request, lease, worker, now);
            }
            Message::LeaseRefused(request, failure) => {
                owner.on_lease_refused(request, failure, now)
            }
            Message::RecallLease(lease) => owner.on_lease_recalled(lease, now),
            Message::HandedBack(task, attempt) => {
                owner.on_task_handed_back(task, attempt, from, now);
            }
            Message::OpenCredit(object, receiver) => owner.on_open_credit(object, receiver),
            Message::ReleaseCredits(object, credits) => {
                owner.on_release_credits(object, from, credits);
            }
            Message::Ask(object) => owner.on_ask(object, from),
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
            Message::ProcessDied(dead) => self.on_process_died(at, dead),
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
            for_the_node => return Some(for_the_node),
        }
        if self.processes.contains_key(&at) {
            self.settle(at);
        }
        None
    }

    /// Counts one handle less, as dropping an `ObjectRef` does.
    pub(crate) fn drop_handle(&mut self, at: ProcessId, object: ObjectId) {
        self.process(at).owner.drop_handle(object);
        self.settle(at);
    }

    /// Counts one more handle of something that this process holds.
    pub(crate) fn add_handle(&mut self, at: ProcessId, object: ObjectId) {
        self.process(at).owner.add_handle(object);
    }
}
