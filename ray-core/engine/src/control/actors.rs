//! The actor directory: who is alive where, names, restarts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::ended::Ended;
use crate::{
    failure::{Failure, WorkerExit},
    ids::{ActorId, LeaseId, ProcessId, RequestId},
    planted::{Bug, is_planted},
    resources::Resources,
    time::Time,
};

/// What is needed to place and restart an actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorSpec {
    /// Its id.
    pub actor: ActorId,
    /// The name of its class.
    pub class: String,
    /// Namespace and name, when it has one.
    pub name: Option<(String, String)>,
    /// What a node must have free to place it.
    pub shape: Resources,
    /// What it holds once it runs.
    pub running_shape: Resources,
    /// Restarts over its life; negative for no limit.
    pub max_restarts: i32,
    /// Who created it and sends its constructor call.
    pub owner: ProcessId,
    /// Whether an actor of that name is as good.
    pub get_if_exists: bool,
    /// Whether it outlives its owner.
    pub detached: bool,
    /// Whether it can be constructed without its owner.
    pub is_durable: bool,
}

/// How an actor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryState {
    /// Waits for a worker or for its constructor.
    Pending,
    /// Takes calls.
    Alive {
        /// Where.
        process: ProcessId,
        /// Which life, from 0.
        incarnation: u64,
    },
    /// Its process died; a new one is on its way.
    Restarting,
    /// Gone for good.
    Dead {
        /// Why.
        failure: Failure,
    },
}

/// What the directory wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ask the scheduler for a worker.
    RequestLease {
        /// The question.
        request: RequestId,
        /// For whom.
        actor: ActorId,
        /// What placing takes.
        shape: Resources,
        /// What it holds once it runs.
        running: Resources,
    },
    /// Take a question back.
    CancelLeaseRequest {
        /// Which.
        request: RequestId,
    },
    /// Have the owner send the constructor call to the worker.
    StartActor {
        /// Which actor.
        actor: ActorId,
        /// Where.
        worker: ProcessId,
        /// Which life.
        incarnation: u64,
        /// Who sends the call.
        owner: ProcessId,
    },
    /// Tell the scheduler that the actor runs.
    ActorRunning {
        /// Its lease.
        lease: LeaseId,
    },
    /// Tell a process how an actor is.
    Publish {
        /// Whom.
        to: ProcessId,
        /// Which actor.
        actor: ActorId,
        /// How it is.
        state: DirectoryState,
    },
    /// End a worker process at once.
    KillWorker {
        /// Which.
        worker: ProcessId,
    },
    /// Let an actor end after what was submitted.
    StopActor {
        /// Which.
        actor: ActorId,
        /// Where it is.
        worker: ProcessId,
    },
    /// Give a lease back that is not needed.
    ReturnLease {
        /// Which.
        lease: LeaseId,
    },
}

struct Actor {
    spec: ActorSpec,
    state: DirectoryState,
    incarnation: u64,
    restarts_left: i32,
    worker: Option<ProcessId>,
    lease: Option<LeaseId>,
    request: Option<RequestId>,
    watchers: BTreeSet<ProcessId>,
    has_no_handles: bool,
    /// Whether it is among those that are forgotten in time.
    is_retired: bool,
}

/// The state machine.
#[derive(Default)]
pub struct ActorDirectory {
    actors: BTreeMap<ActorId, Actor>,
    names: BTreeMap<(String, String), ActorId>,
    /// Processes that are gone: what only they could create or construct is dead.
    gone: BTreeSet<ProcessId>,
    ended: Ended,
    next_request: u64,
    commands: VecDeque<Command>,
}

impl ActorDirectory {
    /// Returns an empty directory.
    pub fn new() -> ActorDirectory {
        ActorDirectory::default()
    }

    /// Counts questions from after `first` on, so that they differ from those of the process it lives in.
    pub fn with_first_request(mut self, first: u64) -> ActorDirectory {
        self.next_request = first;
        self
    }

    /// Returns the next wish.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Returns how an actor is.
    pub fn state(&self, actor: ActorId) -> Option<&DirectoryState> {
        self.actors.get(&actor).map(|actor| &actor.state)
    }

    /// Returns every actor with what it was created with, how it is, and its life, from 0.
    pub fn actors(&self) -> impl Iterator<Item = (&ActorSpec, &DirectoryState, u64)> {
        self.actors
            .values()
            .map(|actor| (&actor.spec, &actor.state, actor.incarnation))
    }

    /// Returns the actor of a name and its class.
    pub fn lookup(&self, namespace: &str, name: &str) -> Option<(ActorId, String)> {
        let actor = self.names.get(&(namespace.to_owned(), name.to_owned()))?;
        Some((*actor, self.actors.get(actor)?.spec.class.clone()))
    }

    /// Notes a new actor and asks for a worker; returns the id under which it is, perhaps an older one.
    ///
    /// # Errors
    /// `NameTaken` when the name belongs to a living actor and `get_if_exists` is not set.
    pub fn create(&mut self, spec: ActorSpec, _now: Time) -> Result<ActorId, Failure> {
        if self.tell_ended(spec.actor, spec.owner) {
            return Ok(spec.actor);
        }
        // Its last handle went before its arguments were there.
        if self.actors.get(&spec.actor).is_some_and(Actor::is_dead) {
            self.publish_to(spec.actor, spec.owner);
            return Ok(spec.actor);
        }
        // The answer was lost, and the question came again.
        if self.is_created(spec.actor) {
            return Ok(spec.actor);
        }
        // It died before its question arrived: nobody is left to call the constructor.
        if self.gone.contains(&spec.owner) {
            let cause = format!("its creator {} died", spec.owner);
            let (id, incarnation) = (spec.actor, 0);
            self.known(id);
            let failure = Failure::ActorDied {
                actor: id,
                incarnation,
                cause,
            };
            self.bury(id, failure);
            return Ok(id);
        }
        if let Some(name) = &spec.name {
            if let Some(taken) = self.names.get(name) {
                return if spec.get_if_exists {
                    Ok(*taken)
                } else {
                    Err(Failure::NameTaken(name.1.clone()))
                };
            }
            self.names.insert(name.clone(), spec.actor);
        }
        let id = spec.actor;
        let actor = Actor {
            state: DirectoryState::Pending,
            incarnation: 0,
            restarts_left: spec.max_restarts,
            worker: None,
            lease: None,
            request: None,
            watchers: BTreeSet::new(),
            has_no_handles: false,
            is_retired: false,
            spec,
        };
        // Somebody may have asked about it before its creation arrived. The creator keeps the
        // constructor's arguments until it hears of the end.
        let mut watchers = self
            .actors
            .remove(&id)
            .map(|earlier| earlier.watchers)
            .unwrap_or_default();
        watchers.insert(actor.spec.owner);
        self.actors.insert(id, Actor { watchers, ..actor });
        self.place(id);
        Ok(id)
    }

    /// Returns whether an actor was created or taken up, and has not died since.
    pub fn is_created(&self, actor: ActorId) -> bool {
        self.actors
            .get(&actor)
            .is_some_and(|actor| actor.request.is_some() || actor.worker.is_some())
    }

    /// Takes up an actor that ran under an earlier directory; without restarts its next death is its last.
    pub fn restore(
        &mut self,
        spec: ActorSpec,
        incarnation: u64,
        restarts_left: i32,
        (process, lease): (ProcessId, LeaseId),
        _now: Time,
    ) {
        if let Some(name) = &spec.name {
            self.names.insert(name.clone(), spec.actor);
        }
        let id = spec.actor;
        let actor = Actor {
            state: DirectoryState::Alive {
                process,
                incarnation,
            },
            incarnation,
            restarts_left,
            worker: Some(process),
            lease: Some(lease),
            request: None,
            watchers: BTreeSet::new(),
            has_no_handles: false,
            is_retired: false,
            spec,
        };
        // Somebody may have asked about it before it was taken up.
        let watchers = self.actors.remove(&id).map(|earlier| earlier.watchers);
        let watchers = watchers.unwrap_or_default();
        self.actors.insert(id, Actor { watchers, ..actor });
        self.publish(id);
    }

    fn place(&mut self, id: ActorId) {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        let Some(actor) = self.actors.get_mut(&id) else {
            return;
        };
        actor.request = Some(request);
        self.commands.push_back(Command::RequestLease {
            request,
            actor: id,
            shape: actor.spec.shape.clone(),
            running: actor.spec.running_shape.clone(),
        });
    }

    fn by_request(&mut self, request: RequestId) -> Option<(ActorId, &mut Actor)> {
        self.actors
            .iter_mut()
            .find(|(_, actor)| actor.request == Some(request))
            .map(|(id, actor)| (*id, actor))
    }

    /// A worker was found.
    pub fn on_lease_granted(
        &mut self,
        request: RequestId,
        lease: LeaseId,
        worker: ProcessId,
        _now: Time,
    ) {
        let Some((id, actor)) = self.by_request(request) else {
            self.commands.push_back(Command::ReturnLease { lease });
            return;
        };
        actor.request = None;
        actor.lease = Some(lease);
        actor.worker = Some(worker);
        let (incarnation, owner) = (actor.incarnation, actor.spec.owner);
        self.commands.push_back(Command::StartActor {
            actor: id,
            worker,
            incarnation,
            owner,
        });
    }

    /// No worker will ever be found.
    pub fn on_lease_refused(&mut self, request: RequestId, failure: Failure, _now: Time) {
        if let Some((id, actor)) = self.by_request(request) {
            actor.request = None;
            self.bury(id, failure);
        }
    }

    /// The constructor has finished.
    pub fn on_started(&mut self, id: ActorId, process: ProcessId, incarnation: u64, _now: Time) {
        let Some(actor) = self.actors.get_mut(&id) else {
            return;
        };
        if actor.worker != Some(process) || actor.incarnation != incarnation || actor.is_dead() {
            return;
        }
        actor.state = DirectoryState::Alive {
            process,
            incarnation,
        };
        if let Some(lease) = actor.lease {
            self.commands.push_back(Command::ActorRunning { lease });
        }
        if actor.has_no_handles {
            self.commands.push_back(Command::StopActor {
                actor: id,
                worker: process,
            });
        }
        self.publish(id);
    }

    /// The constructor failed, or could not be called: the actor is dead.
    pub fn on_start_failed(&mut self, id: ActorId, failure: Failure, _now: Time) {
        if self.ended.of(id).is_some() {
            return;
        }
        let incarnation = self.known(id).incarnation;
        let cause = match failure {
            Failure::Task(task) => format!("its constructor failed: {}", task.message),
            other => format!("its constructor could not run: {other:?}"),
        };
        self.bury(
            id,
            Failure::ActorDied {
                actor: id,
                incarnation,
                cause,
            },
        );
    }

    /// The actor ended on purpose.
    pub fn on_exit(&mut self, id: ActorId, from: ProcessId, cause: String, _now: Time) {
        let Some(actor) = self.actors.get(&id) else {
            return;
        };
        if actor.worker == Some(from) {
            let incarnation = actor.incarnation;
            self.bury(
                id,
                Failure::ActorDied {
                    actor: id,
                    incarnation,
                    cause,
                },
            );
        }
    }

    /// A worker process ended; an actor in it is restarted or dead.
    pub fn on_worker_died(&mut self, worker: ProcessId, exit: WorkerExit, _now: Time) {
        let found = self
            .actors
            .iter()
            .find(|(_, actor)| actor.worker == Some(worker))
            .map(|(id, _)| *id);
        let Some(id) = found else { return };
        let Some(actor) = self.actors.get_mut(&id) else {
            return;
        };
        actor.worker = None;
        actor.lease = None;
        if actor.is_dead() {
            return;
        }
        if let Some(group) = exit.evicted_from {
            return self.bury(id, Failure::PlacementGroupRemoved(group));
        }
        if actor.restarts_left == 0 || actor.has_no_handles {
            let how = match (exit.signal, exit.code) {
                (Some(signal), _) => {
                    format!("its process {} was ended by signal {signal}", exit.pid)
                }
                (None, Some(code)) => format!("its process {} exited with code {code}", exit.pid),
                // Nobody saw it end: what is known of it is the reason.
                (None, None) if exit.pid == 0 && !exit.last_stderr.is_empty() => {
                    exit.last_stderr.clone()
                }
                (None, None) => format!("its process {} ended", exit.pid),
            };
            let last = if exit.last_stderr.is_empty() || exit.pid == 0 {
                String::new()
            } else {
                format!("; its last lines:\n{}", exit.last_stderr)
            };
            let failure = Failure::ActorDied {
                actor: id,
                incarnation: actor.incarnation,
                cause: how + &last,
            };
            self.bury(id, failure);
            return;
        }
        actor.restarts_left -= i32::from(actor.restarts_left > 0);
        actor.incarnation += 1;
        actor.state = DirectoryState::Restarting;
        self.publish(id);
        self.place(id);
    }

    /// Somebody ends the actor, perhaps before its creation arrives.
    pub fn kill(&mut self, id: ActorId, no_restart: bool, _now: Time) {
        let is_known = self.actors.contains_key(&id);
        if !is_known && (!no_restart || self.ended.of(id).is_some()) {
            return;
        }
        let actor = self.known(id);
        if actor.is_dead() {
            return;
        }
        if !no_restart && actor.restarts_left != 0 {
            match actor.worker {
                Some(worker) => self.commands.push_back(Command::KillWorker { worker }),
                // Not placed yet: the kill uses a restart up, and the wait for a worker goes on.
                None => actor.restarts_left -= i32::from(actor.restarts_left > 0),
            }
            return;
        }
        let incarnation = actor.incarnation;
        let cause = "it was killed by `kill`".to_owned();
        self.end_process(id);
        self.bury(
            id,
            Failure::ActorDied {
                actor: id,
                incarnation,
                cause,
            },
        );
    }

    /// Nobody holds a handle any more and no call is pending.
    pub fn on_handles_gone(&mut self, id: ActorId, _now: Time) {
        if self.ended.of(id).is_some() {
            return;
        }
        let actor = self.known(id);
        if actor.is_dead() {
            return self.retire(id);
        }
        if actor.spec.detached {
            return;
        }
        actor.has_no_handles = true;
        match (&actor.state, actor.worker) {
            (DirectoryState::Alive { process, .. }, _) => {
                let worker = *process;
                self.commands
                    .push_back(Command::StopActor { actor: id, worker });
            }
            (_, Some(_)) => {}
            (_, None) => {
                let incarnation = actor.incarnation;
                let cause = "its last handle was dropped before it was placed".to_owned();
                self.bury(
                    id,
                    Failure::ActorDied {
                        actor: id,
                        incarnation,
                        cause,
                    },
                );
            }
        }
    }

    /// A process is gone: its actors go with it, and it watches nothing any more.
    ///
    /// A detached actor goes on; without its owner it has another life only when it is durable.
    pub fn on_owner_died(&mut self, owner: ProcessId, _now: Time) {
        self.gone.insert(owner);
        self.ended.forget_those_of(owner);
        for actor in self.actors.values_mut() {
            actor.watchers.remove(&owner);
            if actor.spec.owner == owner && !actor.spec.is_durable {
                actor.restarts_left = 0;
            }
        }
        let dead = self.actors.iter().filter(|(_, actor)| actor.is_dead());
        let dead = dead.filter(|(_, actor)| actor.spec.owner == owner);
        for id in dead.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.retire(id);
        }
        let orphans = self
            .actors
            .iter()
            .filter(|(_, actor)| {
                let can_go_on =
                    actor.spec.is_durable || matches!(actor.state, DirectoryState::Alive { .. });
                let goes_on = actor.spec.detached && can_go_on;
                actor.spec.owner == owner && !goes_on && !actor.is_dead()
            })
            .map(|(id, actor)| (*id, actor.incarnation))
            .collect::<Vec<_>>();
        for (id, incarnation) in orphans {
            let cause = format!("its creator {owner} died");
            self.end_process(id);
            self.bury(
                id,
                Failure::ActorDied {
                    actor: id,
                    incarnation,
                    cause,
                },
            );
        }
    }

    /// A process wants to know how an actor is, now and from now on.
    pub fn watch(&mut self, id: ActorId, watcher: ProcessId, _now: Time) {
        if self.tell_ended(id, watcher) {
            return;
        }
        let is_known = self.actors.contains_key(&id);
        self.known(id).watchers.insert(watcher);
        if is_known {
            self.publish_to(id, watcher);
        } else if self.gone.contains(&id.owner) {
            let failure = Failure::ActorDied {
                actor: id,
                incarnation: 0,
                cause: format!("its creator {} died", id.owner),
            };
            self.bury(id, failure);
        }
    }

    /// Returns an actor; of one whose creation may still be on its way a place is kept.
    fn known(&mut self, id: ActorId) -> &mut Actor {
        self.actors.entry(id).or_insert_with(|| Actor {
            spec: ActorSpec {
                actor: id,
                class: String::new(),
                name: None,
                shape: Resources::new(),
                running_shape: Resources::new(),
                max_restarts: 0,
                owner: id.owner,
                get_if_exists: false,
                detached: false,
                is_durable: false,
            },
            state: DirectoryState::Pending,
            incarnation: 0,
            restarts_left: 0,
            worker: None,
            lease: None,
            request: None,
            watchers: BTreeSet::new(),
            has_no_handles: false,
            is_retired: false,
        })
    }

    fn end_process(&mut self, id: ActorId) {
        if let Some(worker) = self.actors.get(&id).and_then(|actor| actor.worker) {
            self.commands.push_back(Command::KillWorker { worker });
        }
    }

    /// Marks an actor dead, frees its name, takes its question back and tells its watchers.
    fn bury(&mut self, id: ActorId, failure: Failure) {
        let Some(actor) = self.actors.get_mut(&id) else {
            return;
        };
        if actor.is_dead() {
            return;
        }
        actor.state = DirectoryState::Dead { failure };
        if !is_planted(Bug::PlacementNotCancelled)
            && let Some(request) = actor.request.take()
        {
            self.commands
                .push_back(Command::CancelLeaseRequest { request });
        }
        if let Some(name) = actor.spec.name.clone()
            && self.names.get(&name) == Some(&id)
        {
            self.names.remove(&name);
        }
        let owner = actor.spec.owner;
        let is_counted_on = !actor.has_no_handles && !self.gone.contains(&owner);
        self.publish(id);
        if !is_counted_on {
            self.retire(id);
        }
    }

    /// A dead actor has no handles any more that count; it is forgotten once many have ended after it.
    fn retire(&mut self, id: ActorId) {
        let Some(actor) = self.actors.get_mut(&id) else {
            return;
        };
        if std::mem::replace(&mut actor.is_retired, true) {
            return;
        }
        if let Some(oldest) = self.ended.add(id) {
            self.actors.remove(&oldest);
        }
    }

    /// Tells a process that an actor ended of which nothing else is known; returns whether it did.
    fn tell_ended(&mut self, actor: ActorId, to: ProcessId) -> bool {
        let Some(failure) = self.ended.of(actor) else {
            return false;
        };
        let state = DirectoryState::Dead { failure };
        self.commands
            .push_back(Command::Publish { to, actor, state });
        true
    }

    fn publish(&mut self, id: ActorId) {
        let watchers = self
            .actors
            .get(&id)
            .map(|actor| actor.watchers.iter().copied().collect::<Vec<_>>());
        for to in watchers.unwrap_or_default() {
            self.publish_to(id, to);
        }
    }

    fn publish_to(&mut self, id: ActorId, to: ProcessId) {
        if let Some(actor) = self.actors.get(&id) {
            self.commands.push_back(Command::Publish {
                to,
                actor: id,
                state: actor.state.clone(),
            });
        }
    }
}

impl Actor {
    fn is_dead(&self) -> bool {
        matches!(self.state, DirectoryState::Dead { .. })
    }
}
