//! How actors end: by themselves, with their process, their creator or their last handle.

use super::{ActorDirectory, Command, DirectoryState};
use crate::{
    failure::{Failure, WorkerExit},
    ids::{ActorId, ProcessId},
    planted::{Bug, is_planted},
    time::Time,
};

impl ActorDirectory {
    /// The actor ended on purpose.
    pub fn on_exit(&mut self, id: ActorId, from: ProcessId, cause: String, _now: Time) {
        let Some(actor) = self.actors.get(&id) else {
            return;
        };
        if actor.worker == Some(from) {
            let incarnation = actor.incarnation;
            self.bury_with(id, incarnation, cause);
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
            let how = exit.describe();
            let last = if exit.last_stderr.is_empty() || exit.pid == 0 {
                String::new()
            } else {
                format!("; its last lines:\n{}", exit.last_stderr)
            };
            let incarnation = actor.incarnation;
            self.bury_with(id, incarnation, how + &last);
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
                Some(worker) => {
                    let cause = KILLED.to_owned();
                    let kill = Command::KillWorker { worker, cause };
                    self.commands.push_back(kill);
                }
                // Not placed yet: the kill uses a restart up, and the wait for a worker goes on.
                None => actor.restarts_left -= i32::from(actor.restarts_left > 0),
            }
            return;
        }
        let incarnation = actor.incarnation;
        let cause = KILLED.to_owned();
        self.end_process(id, &cause);
        self.bury_with(id, incarnation, cause);
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
                self.bury_with(id, incarnation, cause);
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
            self.end_process(id, &cause);
            self.bury_with(id, incarnation, cause);
        }
    }

    fn end_process(&mut self, id: ActorId, cause: &str) {
        if let Some(worker) = self.actors.get(&id).and_then(|actor| actor.worker) {
            let cause = cause.to_owned();
            self.commands
                .push_back(Command::KillWorker { worker, cause });
        }
    }

    /// Marks an actor dead for a reason in words.
    pub(super) fn bury_with(&mut self, actor: ActorId, incarnation: u64, cause: String) {
        let failure = Failure::ActorDied {
            actor,
            incarnation,
            cause,
        };
        self.bury(actor, failure);
    }

    /// Marks an actor dead, frees its name, takes its question back and tells its watchers.
    pub(super) fn bury(&mut self, id: ActorId, failure: Failure) {
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
    pub(super) fn tell_ended(&mut self, actor: ActorId, to: ProcessId) -> bool {
        let Some(failure) = self.ended.of(actor) else {
            return false;
        };
        let state = DirectoryState::Dead { failure };
        self.commands
            .push_back(Command::Publish { to, actor, state });
        true
    }
}

/// Why an actor ends that somebody kills.
const KILLED: &str = "it was killed by `kill`";
