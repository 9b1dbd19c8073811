//! A head that takes up where an earlier one left off: nodes come back, detached actors are where they were.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ray_engine::{
    control::actors::DirectoryState,
    failure::WorkerExit,
    ids::{ActorId, ProcessId},
    time::Time,
};

use super::{
    actors::{ActorNotes, ActorOnRecord, Host, spec_of},
    jobs::Wish,
    role::{ControlRole, ControlState, Outbox},
    roster::NodeOnRecord,
};
use crate::{runtime::Runtime, wire::Message};

impl ControlRole {
    /// Takes up the nodes and detached actors of the head before; nodes have `within` to come back.
    pub(crate) fn restore(
        &self,
        runtime: &Arc<Runtime>,
        generation: u64,
        nodes: &[NodeOnRecord],
        actors: BTreeMap<ActorId, ActorOnRecord>,
        within: Duration,
    ) {
        let now = runtime.now();
        self.with_state(runtime, |state, _| {
            state.generation = generation;
            state.returning = nodes.iter().map(|node| ProcessId(node.process)).collect();
            let returning = state.returning.iter().map(|node| (*node, false));
            state.admitted.extend(returning.collect::<Vec<_>>());
            for actor in actors.into_values() {
                state.restore_actor(actor, now);
            }
            state.returns_until = Some(now + within);
        });
    }

    /// A process that was let in may not take part any more: a node is told to end, a driver is cut off.
    pub(crate) fn expel(&self, runtime: &Arc<Runtime>, process: ProcessId) {
        self.with_state(runtime, |state, out| {
            let now = runtime.now();
            match state.admitted.remove(&process) {
                None => return,
                Some(true) => state.dismissed.push(process),
                Some(false) => state.fenced.push(process),
            }
            if state.health.state(process.node()).is_some() {
                state.health.on_left(process.node(), now);
            } else {
                state.on_node_lost(process, now, out);
            }
        });
    }
}

impl ControlState {
    fn restore_actor(&mut self, actor: ActorOnRecord, now: Time) {
        let ActorOnRecord {
            creation,
            owner,
            worker,
            addr,
            lease,
            devices,
            incarnation,
        } = actor;
        let host = Host {
            addr,
            lease,
            devices,
        };
        self.hosts.insert(worker, host);
        self.restored.insert(worker);
        self.actors
            .insert(creation.actor, ActorNotes::of(&creation));
        let spec = spec_of(creation, owner);
        self.on_record.insert(spec.actor);
        self.directory
            .restore(spec, incarnation, worker, lease, now);
    }

    /// A process that nobody knows says that it lives: a node of the head before may come back.
    ///
    /// What it runs for jobs that ended with that head it must end; detached actors stay.
    pub(super) fn on_stranger(&mut self, from: ProcessId, out: &mut Outbox) {
        if self.admitted.get(&from) == Some(&false) {
            let hosts = self.hosts.keys();
            let keep = hosts.filter(|worker| worker.node_process() == from);
            let keep = keep.copied().collect();
            out.push((from, Message::Introduce { keep }));
        } else {
            self.fenced.push(from);
        }
    }

    /// A node reports its workers: restored actors whose workers are not among them are dead.
    pub(super) fn check_restored(&mut self, node: ProcessId, now: Time) {
        let theirs = self.restored.iter();
        let theirs = theirs.filter(|worker| worker.node_process() == node);
        let theirs: Vec<ProcessId> = theirs.copied().collect();
        if theirs.is_empty() {
            return;
        }
        let Some(reported) = self.nodes.workers_of(node) else {
            return;
        };
        // From here on their node says so itself when one of them dies.
        self.restored.retain(|worker| worker.node_process() != node);
        let gone = theirs.into_iter();
        let gone: Vec<ProcessId> = gone.filter(|worker| !reported.contains(worker)).collect();
        for worker in gone {
            self.lose_host(worker, now);
        }
    }

    /// Gives up restored actors whose nodes did not come back in time.
    pub(super) fn on_returns_over(&mut self, now: Time) {
        if self.returns_until.is_none_or(|until| now < until) {
            return;
        }
        self.returns_until = None;
        for node in std::mem::take(&mut self.returning) {
            self.admitted.remove(&node);
            self.wish(Wish::ForgetNode(node));
        }
        for worker in std::mem::take(&mut self.restored) {
            self.lose_host(worker, now);
        }
    }

    fn lose_host(&mut self, worker: ProcessId, now: Time) {
        let exit = WorkerExit {
            worker,
            last_stderr: "it was not there when its head came back".into(),
            ..WorkerExit::default()
        };
        self.on_process_died(worker, &exit, now);
    }

    /// A detached actor runs: it must be found again by the next head.
    pub(super) fn keep_on_record(&mut self, actor: ActorId, worker: ProcessId, incarnation: u64) {
        let Some(notes) = self.actors.get(&actor) else {
            return;
        };
        let (Some(creation), Some(host)) = (&notes.detached, self.hosts.get(&worker)) else {
            return;
        };
        let record = ActorOnRecord {
            creation: (**creation).clone(),
            owner: actor.owner,
            worker,
            addr: host.addr,
            lease: host.lease,
            devices: host.devices.clone(),
            incarnation,
        };
        self.wish(Wish::KeepActor(Box::new(record)));
        self.on_record.insert(actor);
    }

    /// Detached actors that are dead need not be found again.
    pub(super) fn forget_dead_actors(&mut self) {
        let dead = |actor: &&ActorId| {
            let state = self.directory.state(**actor);
            state.is_none_or(|state| matches!(state, DirectoryState::Dead { .. }))
        };
        let dead: Vec<ActorId> = self.on_record.iter().filter(dead).copied().collect();
        for actor in dead {
            self.on_record.remove(&actor);
            self.wish(Wish::ForgetActor(actor));
        }
    }
}
