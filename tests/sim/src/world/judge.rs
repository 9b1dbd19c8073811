//! What is judged: outcomes as they are seen, queues at every step, everything when nothing is left to do.

use std::time::Duration;

use ray_engine::{
    failure::Failure,
    ids::{ObjectId, ProcessId},
    owner::ObjectState,
};

use super::{HEAD, World};
use crate::{
    Violation,
    process::Process,
    wire::{Message, Value},
};

impl World {
    /// Returns whether nothing happens any more but that workers say that others need what they own.
    ///
    /// A reference that was lost with a crash keeps an object until its receiver ends.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.driver_goes_on() && self.now.since(self.last_act) > REST
    }

    /// Looks at an object's outcome as user code or an owner sees it.
    pub(crate) fn observe(&mut self, at: ProcessId, object: ObjectId) {
        let failure = match self.process(at).owner.state(object) {
            ObjectState::Pending => return,
            ObjectState::Ready(value) => {
                let value = value.clone();
                self.look(object, (at, at));
                return self.check_value(at, object, &value);
            }
            ObjectState::Failed(failure) => (*failure).clone(),
            ObjectState::Unknown => Failure::ObjectFreed(object),
        };
        let invariants = &mut self.invariants;
        if failure != Failure::ObjectFreed(object) {
            // What is freed had its value before.
            invariants.publish.on_failure(object, at);
        }
        let excuses = (&invariants.references, &invariants.freed);
        let verdict = invariants.reads.on_failure(at, object, &failure, excuses);
        self.judge("nothing freed while reachable", verdict);
    }

    /// A process reads a value, for a caller when it runs a call.
    pub(crate) fn look(&mut self, object: ObjectId, who: (ProcessId, ProcessId)) {
        let references = &self.invariants.references;
        let verdict = self.invariants.freed.on_look(object, who, references);
        self.judge("nothing freed while reachable", verdict);
    }

    /// Looks at an object's value, if it has one; perhaps nobody holds it any more.
    pub(crate) fn observe_value(&mut self, at: ProcessId, object: ObjectId) {
        if let ObjectState::Ready(value) = self.process(at).owner.state(object) {
            let value = value.clone();
            self.check_value(at, object, &value);
        }
    }

    pub(crate) fn check_value(&mut self, at: ProcessId, object: ObjectId, value: &Value) {
        let verdict = self.invariants.publish.on_value(object, at, value);
        self.judge("published once", verdict);
    }

    /// Notes the first broken promise.
    pub(crate) fn fail(&mut self, invariant: &'static str, text: String) {
        self.violation.get_or_insert(Violation { invariant, text });
    }

    pub(crate) fn judge(&mut self, invariant: &'static str, verdict: Result<(), String>) {
        if let Err(text) = verdict {
            self.fail(invariant, text);
        }
    }

    pub(super) fn check_each_step(&mut self) {
        let in_flight = self.network.in_flight();
        let verdict = self
            .invariants
            .queues
            .check(&self.processes, &self.nodes, in_flight);
        self.judge("queues are bounded", verdict);
    }

    pub(super) fn judge_the_end(&mut self) {
        let verdict = crate::invariants::waits_end::check(self);
        self.judge("every wait ends", verdict);
        if self.driver_goes_on() {
            let text = format!("threads of drivers have not ended: {:?}", self.roots_left);
            self.fail("every wait ends", text);
        }
        let verdict = self.invariants.references.check_empty(&self.processes);
        self.judge("counts are the reachable set", verdict);
        self.judge_rest();
    }

    /// Ends actors whose handles were lost with a process that crashed; returns whether there were any.
    pub(super) fn ends_what_is_kept_alive(&mut self) -> bool {
        let excused = self.invariants.references.excused(&self.processes);
        let holds = self.processes.values().flat_map(|process| {
            let holds = process.actor_holds.iter();
            holds.filter(|(hold, _)| excused.contains(hold))
        });
        let actors = holds.map(|(_, actor)| *actor);
        let kept = actors.filter(|actor| {
            let hosts = self.processes.values().filter_map(Process::hosted);
            hosts.into_iter().any(|hosted| hosted == *actor)
        });
        let kept = kept.collect::<Vec<_>>();
        for actor in &kept {
            let driver = self.drivers[0];
            self.send(driver, HEAD, Message::KillActor(*actor, true));
        }
        !kept.is_empty()
    }

    /// Judges what must hold whenever nothing is left to happen.
    pub(super) fn judge_rest(&mut self) {
        let verdict = crate::invariants::leases::check(self);
        self.judge("leases return", verdict);
        let verdict = crate::invariants::resources::check_whole(self);
        self.judge("resources add up", verdict);
        let verdict = crate::invariants::placement::check_view(self);
        self.judge("the control role knows what is free", verdict);
        let verdict = crate::invariants::groups::check_over(self);
        self.judge("bundles are reserved once and returned", verdict);
    }
}

/// Longer than anything waits before it acts.
const REST: Duration = Duration::from_secs(60);
