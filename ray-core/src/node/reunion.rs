//! What a head that was started again asks of a node, and what the node tells it.

use std::sync::Arc;

use ray_engine::{
    failure::ExitKind,
    ids::{JobId, ProcessId},
};

use super::{NodeRole, NodeState, Worker};
use crate::{
    Error,
    runtime::Runtime,
    wire::{HostedActor, JobSpec, Message},
};

impl NodeRole {
    /// A head that was started again takes this node in: what ran for jobs that did not outlive the head
    /// before ends, and so do actors on their way, whose creators ask for them again.
    pub(crate) fn on_new_head(&self, runtime: &Arc<Runtime>, keep: &[ProcessId], jobs: &[JobId]) {
        tracing::info!("the head was started again; this node joins it");
        let head = runtime.control_process();
        self.with_state(runtime, |state, out| {
            let now = runtime.now();
            for (id, job) in &mut state.jobs {
                job.has_ended |= !jobs.contains(id);
            }
            for (job, _) in state.jobs.iter().filter(|(_, job)| job.has_ended) {
                state.scheduler.on_job_ended(*job, now);
            }
            for (group, attempt) in state.scheduler.held_bundles() {
                state.scheduler.return_bundles(group, attempt, now);
            }
            state.placements.on_new_control(&mut state.scheduler, now);
            for process in state.scheduler.requesters() {
                if process.node_process() == head {
                    state.on_process_gone(process, now);
                }
            }
            state.folders.on_new_control(head, out);
            state.on_holder_gone(head, now, out);
            state.on_mourner_gone(head, runtime.process(), now, out);
            let stays = |process: &ProcessId, worker: &Worker| {
                let is_on_its_way = worker
                    .hosting
                    .as_ref()
                    .is_some_and(|hosting| hosting.incarnation.is_none());
                keep.contains(process) || (jobs.contains(&worker.job) && !is_on_its_way)
            };
            for (process, worker) in &mut state.workers {
                if !stays(process, worker) {
                    let detail = "nobody who came back to the head has a use for it";
                    worker.ends(ExitKind::IntendedSystemExit, detail);
                    self.start.kill(worker.pid);
                }
            }
            state.forget_ended_jobs(now);
        });
    }

    /// Tells the control role what is free and which workers there are, whether or not that has changed.
    pub(crate) fn report(&self, runtime: &Arc<Runtime>) {
        self.with_state(runtime, |state, _| state.placements.on_bundles());
    }

    /// Returns the actors that run here.
    pub(crate) fn hosted_actors(&self) -> Vec<HostedActor> {
        let state = self.state.lock();
        let hosted = |(process, worker): (&ProcessId, &Worker)| {
            let hosting = worker.hosting.as_ref()?;
            Some(HostedActor {
                actor: hosting.actor,
                incarnation: hosting.incarnation?,
                worker: *process,
                addr: worker.addr?,
                lease: hosting.lease,
                devices: hosting.devices.clone(),
            })
        };
        state.workers.iter().filter_map(hosted).collect()
    }

    /// Returns the job that this process is the driver of.
    pub(crate) fn own_job(&self) -> Option<JobSpec> {
        let state = self.state.lock();
        let job = state.jobs.get(&state.own_job)?;
        Some(job.spec.clone())
    }
}

impl NodeState {
    /// A worker says how its actor is: a head that is started again wants to know.
    pub(super) fn note_hosted(&mut self, worker: ProcessId, said: &Message) {
        let Some(worker) = self.workers.get_mut(&worker) else {
            return;
        };
        match said {
            Message::ActorExit { cause, .. } => {
                worker.ends(ExitKind::IntendedUserExit, cause);
            }
            Message::ActorStartFailed { failure, .. } => {
                let detail = format!("its constructor failed: {}", Error::from(failure.clone()));
                worker.ends(ExitKind::UserError, detail);
            }
            _ => {}
        }
        match (said, &mut worker.hosting) {
            (Message::ActorStarted { incarnation, .. }, Some(hosting)) => {
                hosting.incarnation = Some(*incarnation);
            }
            // It has ended, or never began.
            _ => worker.hosting = None,
        }
    }
}
