//! The actor directory: who is alive where, names, restarts.

mod command;
mod ended;
mod ends;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use self::command::{ActorSpec, Command, DirectoryState};
use self::ended::Ended;
use crate::{
    failure::Failure,
    ids::{ActorId, LeaseId, ProcessId, RequestId},
    resources::Resources,
    time::Time,
};

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

    /// Returns the detached actor whose worker a process is.
    pub fn detached_on(&self, worker: ProcessId) -> Option<ActorId> {
        let is_its = |actor: &&Actor| actor.spec.detached && actor.worker == Some(worker);
        let found = self.actors.values().find(is_its);
        found.map(|actor| actor.spec.actor)
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
            self.bury_with(id, incarnation, cause);
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

    /// The owner cannot call the constructor: the worker that it was for is free for others.
    pub fn on_not_constructed(&mut self, id: ActorId, failure: Failure, now: Time) {
        if let Some(actor) = self.actors.get_mut(&id)
            && matches!(
                actor.state,
                DirectoryState::Pending | DirectoryState::Restarting
            )
            && let Some(lease) = actor.lease.take()
        {
            actor.worker = None;
            self.commands.push_back(Command::ReturnLease { lease });
        }
        self.on_start_failed(id, failure, now);
    }

    /// The constructor failed: the actor is dead, and its worker ends by itself.
    pub fn on_start_failed(&mut self, id: ActorId, failure: Failure, _now: Time) {
        if self.ended.of(id).is_some() {
            return;
        }
        let incarnation = self.known(id).incarnation;
        let cause = match failure {
            Failure::Task(task) => format!("its constructor failed: {}", task.message),
            other => format!("its constructor could not run: {other:?}"),
        };
        self.bury_with(id, incarnation, cause);
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
            self.bury_with(id, 0, format!("its creator {} died", id.owner));
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
