//! A head that takes up where an earlier one left off: nodes come back, detached actors are where they were.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use ray_engine::{
    control::actors::DirectoryState,
    failure::WorkerExit,
    ids::{ActorId, JobId, ProcessId},
    time::Time,
};

use super::{
    actors::{ActorNotes, ActorOnRecord, Host, restarts_left, spec_of},
    jobs::Wish,
    names::NameOnRecord,
    role::{ControlRole, ControlState, Outbox},
    roster::NodeOnRecord,
};
use crate::{
    runtime::Runtime,
    wire::{GroupCreation, JobSpec, Message, ReunionMessage, Variables},
};

impl ControlRole {
    /// Takes up the nodes, detached actors and groups of the head before; nodes have `within` to come back.
    pub(crate) fn restore(
        &self,
        runtime: &Arc<Runtime>,
        generation: u64,
        nodes: &[NodeOnRecord],
        actors: BTreeMap<ActorId, ActorOnRecord>,
        groups: Vec<GroupCreation>,
        within: Duration,
    ) {
        let now = runtime.now();
        self.with_state(runtime, |state, _| {
            state.generation = generation;
            state.returning = nodes.iter().map(|node| ProcessId(node.process)).collect();
            for node in nodes {
                let process = ProcessId(node.process);
                state.admitted.insert(process, node.job.is_some());
                let Some(job) = node.job.map(JobId) else {
                    continue;
                };
                let back = state
                    .jobs
                    .on_driver_connected(job, process, process.node(), now);
                if let Err(failure) = back {
                    tracing::error!(%job, ?failure, "a driver of the head before cannot come back");
                }
            }
            for actor in actors.into_values() {
                state.restore_actor(actor, now);
            }
            for group in groups {
                state.restore_group(group, now);
            }
            state.returns_until = Some(now + within);
        });
    }

    /// Holds the names of the head before for their actors, until those who created them have spoken.
    pub(crate) fn hold_names(&self, runtime: &Arc<Runtime>, names: Vec<NameOnRecord>) {
        self.with_state(runtime, |state, _| state.names.restore(names));
    }

    /// A process that was let in may not take part any more: a node is told to end, a driver is cut off, and
    /// everybody refuses them.
    pub(crate) fn expel(&self, runtime: &Arc<Runtime>, process: ProcessId) {
        self.with_state(runtime, |state, out| {
            let now = runtime.now();
            let processes = vec![process];
            for node in state.nodes.alive() {
                let processes = processes.clone();
                if node != process {
                    out.push((node, Message::Revoked { processes }));
                }
            }
            match state.admitted.remove(&process) {
                // It is gone already; its certificate is not.
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
            job,
        } = actor;
        let host = Host {
            addr,
            lease,
            devices,
        };
        self.hosts.insert(worker, host);
        self.restored.insert(worker);
        let left = match creation.recipe {
            Some(_) => restarts_left(creation.max_restarts, incarnation),
            None => 0,
        };
        self.actors
            .insert(creation.actor, ActorNotes::of(&creation, job.as_ref()));
        let spec = spec_of(creation, owner);
        self.on_record.insert(spec.actor);
        self.directory
            .restore(spec, incarnation, left, (worker, lease), now);
    }

    /// A process that nobody knows says that it lives: a node of the head before may come back.
    ///
    /// What it runs for jobs that ended with that head it must end; detached actors stay, and so does what
    /// runs for drivers that may come back.
    pub(super) fn on_stranger(&mut self, from: ProcessId, out: &mut Outbox) {
        let Some(only_drives) = self.admitted.get(&from) else {
            return self.fenced.push(from);
        };
        // A driver has lost its connection and asks whether its head is there.
        let is_new = !only_drives || !self.nodes.is_alive(from);
        let hosts = self.hosts.keys();
        let keep = hosts.filter(|worker| worker.node_process() == from);
        let keep = keep.copied().collect();
        let jobs = self.jobs.list().filter(|job| !job.state.is_ended());
        let jobs = jobs.map(|job| job.job).collect();
        out.push((
            from,
            Message::Reunion(ReunionMessage::Introduce { keep, jobs, is_new }),
        ));
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

    /// Gives up the nodes, drivers and actors that did not come back in time.
    pub(super) fn on_returns_over(&mut self, now: Time, out: &mut Outbox) {
        if self.returns_until.is_none_or(|until| now < until) {
            return;
        }
        self.returns_until = None;
        self.lookups.on_returns_over();
        self.names.on_end();
        for process in std::mem::take(&mut self.returning) {
            self.admitted.remove(&process);
            // Somebody may have asked about their actors, of which nobody has told.
            let asked_for = self.directory.actors().map(|(spec, ..)| spec.owner);
            let owners: BTreeSet<ProcessId> = asked_for
                .filter(|owner| owner.node_process() == process)
                .collect();
            for owner in owners {
                self.directory.on_owner_died(owner, now);
            }
            self.wish(Wish::ForgetNode(process));
            self.nodes
                .tell_others(process, out, &|| Message::NodeDied { process });
            self.jobs.on_node_died(process.node(), now);
        }
        self.on_claims_over(now, out);
        for worker in std::mem::take(&mut self.restored) {
            self.lose_host(worker, now);
        }
    }

    pub(super) fn lose_host(&mut self, worker: ProcessId, now: Time) {
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
        let (Some(detached), Some(host)) = (&notes.detached, self.hosts.get(&worker)) else {
            return;
        };
        let record = ActorOnRecord {
            creation: detached.creation.clone(),
            owner: actor.owner,
            worker,
            addr: host.addr,
            lease: host.lease,
            devices: host.devices.clone(),
            incarnation,
            // The values of a submitter's variables are in no store.
            job: detached.job.clone().map(|job| JobSpec {
                env: Variables::default(),
                ..job
            }),
        };
        self.wish(Wish::KeepActor(Box::new(record)));
        self.on_record.insert(actor);
    }

    /// Detached actors that are dead need not be found again; with the last one of a job that is over, nodes
    /// forget the job.
    pub(super) fn forget_dead_actors(&mut self, here: ProcessId, out: &mut Outbox) {
        let dead = |actor: &&ActorId| {
            let state = self.directory.state(**actor);
            state.is_none_or(|state| matches!(state, DirectoryState::Dead { .. }))
        };
        let dead: Vec<ActorId> = self.on_record.iter().filter(dead).copied().collect();
        if dead.is_empty() {
            return;
        }
        let before = self.outlived_jobs(here);
        for actor in dead {
            self.on_record.remove(&actor);
            self.wish(Wish::ForgetActor(actor));
        }
        let left = self.outlived_jobs(here);
        let is_left = |job: JobId| left.iter().any(|other| other.job == job);
        for JobSpec { job, .. } in before {
            if !is_left(job) {
                for node in self.nodes.alive() {
                    out.push((node, Message::JobEnded { job }));
                }
            }
        }
    }
}
