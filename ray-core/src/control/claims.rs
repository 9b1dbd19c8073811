//! Actors of programs that outlived the head before: their creators say which there are, nodes where they run.
//!
//! The two come in any order. An actor is taken up when both are known; one that its node does not have died
//! while the head was away, and goes on as its restarts allow.

use ray_engine::{
    ids::{ActorId, LeaseId, ProcessId},
    time::Time,
};

use super::{
    actors::{ActorNotes, Host, end_worker, restarts_left, spec_of},
    role::{ControlState, Outbox},
};
use crate::{
    actor::CallLimits,
    wire::{ActorClaim, HostedActor},
};

impl ControlState {
    /// A creator tells of an actor of its own.
    pub(super) fn on_claim(&mut self, from: ProcessId, claim: ActorClaim, now: Time) {
        let actor = claim.creation.actor;
        if actor.owner != from || self.directory.is_created(actor) {
            return;
        }
        match (self.hosted.remove(&actor), claim.at) {
            (Some(hosted), _) => self.take_up(claim, Some(hosted), now),
            // Nobody has heard that it runs: it is placed, perhaps again.
            (None, None) => {
                let has_no_handles = claim.has_no_handles;
                if let Err(failure) = self.create_actor(from, claim.creation, now) {
                    self.directory.on_start_failed(actor, failure, now);
                }
                if has_no_handles {
                    self.directory.on_handles_gone(actor, now);
                }
            }
            (None, Some((worker, _))) => {
                if self.reported.contains(&worker.node_process()) || self.returns_until.is_none() {
                    self.take_up(claim, None, now);
                } else {
                    self.claims.insert(actor, claim);
                }
            }
        }
    }

    /// A node tells which actors it hosts.
    pub(super) fn on_hosted(
        &mut self,
        from: ProcessId,
        actors: Vec<HostedActor>,
        now: Time,
        out: &mut Outbox,
    ) {
        self.reported.insert(from);
        for hosted in actors {
            let actor = hosted.actor;
            if hosted.worker.node_process() != from {
                continue;
            }
            if let Some(claim) = self.claims.remove(&actor) {
                self.take_up(claim, Some(hosted), now);
            } else if !self.directory.is_created(actor) {
                self.hosted.insert(actor, hosted);
            } else if !self.hosts.contains_key(&hosted.worker) {
                // Its creator had not heard of this life, and another is on its way.
                let why = "its actor has another life by now";
                out.push((from, end_worker(hosted.worker, why)));
            }
        }
        let is_here = |claim: &ActorClaim| {
            let at = claim.at.map(|(worker, _)| worker.node_process());
            at == Some(from)
        };
        let here = self.claims.iter().filter(|(_, claim)| is_here(claim));
        let gone: Vec<ActorId> = here.map(|(actor, _)| *actor).collect();
        for actor in gone {
            if let Some(claim) = self.claims.remove(&actor) {
                self.take_up(claim, None, now);
            }
        }
    }

    /// Returns an actor of a name that its creator told of and whose node has not yet.
    pub(super) fn claimed(
        &self,
        namespace: &str,
        name: &str,
    ) -> Option<(ActorId, String, CallLimits)> {
        let is_it = |claim: &&ActorClaim| {
            let named = claim.creation.name.as_ref();
            named.is_some_and(|named| (&*named.0, &*named.1) == (namespace, name))
        };
        let creation = &self.claims.values().find(is_it)?.creation;
        Some((creation.actor, creation.class_name.clone(), creation.limits))
    }

    /// Nobody comes back any more: what was claimed and is nowhere is gone, and what nobody claims ends.
    pub(super) fn on_claims_over(&mut self, now: Time, out: &mut Outbox) {
        for claim in std::mem::take(&mut self.claims).into_values() {
            self.take_up(claim, None, now);
        }
        for hosted in std::mem::take(&mut self.hosted).into_values() {
            let worker = hosted.worker;
            let why = "the creator of its actor did not come back to the head";
            out.push((worker.node_process(), end_worker(worker, why)));
        }
    }

    /// Takes up an actor where it runs; one that runs nowhere has died.
    fn take_up(&mut self, claim: ActorClaim, hosted: Option<HostedActor>, now: Time) {
        let ActorClaim {
            creation,
            at,
            has_no_handles,
        } = claim;
        let actor = creation.actor;
        let is_gone = hosted.is_none();
        let (worker, incarnation) = match (&hosted, at) {
            (Some(hosted), _) => (hosted.worker, hosted.incarnation),
            (None, Some(at)) => at,
            (None, None) => return,
        };
        let lease = hosted.as_ref().map_or(LeaseId(0), |hosted| hosted.lease);
        if let Some(hosted) = hosted {
            let host = Host {
                addr: hosted.addr,
                lease: hosted.lease,
                devices: hosted.devices,
            };
            self.hosts.insert(worker, host);
        }
        let left = restarts_left(creation.max_restarts, incarnation);
        let notes = ActorNotes::of(&creation, self.specs.get(&creation.job));
        self.actors.insert(actor, notes);
        self.keep_name(actor, creation.name.as_ref());
        let spec = spec_of(creation, actor.owner);
        let home = (worker, lease);
        self.directory.restore(spec, incarnation, left, home, now);
        self.directory.watch(actor, actor.owner, now);
        if is_gone {
            self.lose_host(worker, now);
        } else {
            self.keep_on_record(actor, worker, incarnation);
        }
        if has_no_handles {
            self.directory.on_handles_gone(actor, now);
        }
    }
}
