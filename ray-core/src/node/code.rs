//! Jobs as they come and go, and the executables that they run.

use std::path::Path;

use ray_engine::{
    ids::{JobId, ProcessId},
    time::Time,
};
use ray_shm::ArenaOwner;

use super::{
    NodeState, Outbox,
    jobs::{self, Code, JobOnNode, Progress},
};
use crate::wire::{ExecutableMessage, JobSpec, Message};

impl NodeState {
    /// A job is announced: its workers can be started from now on.
    pub(super) fn on_job(&mut self, spec: JobSpec, here: ProcessId) {
        if let Some(known) = self.jobs.get_mut(&spec.job) {
            if spec.driver != known.spec.driver {
                // Its driver is gone, and something of it outlives it: the code is had from elsewhere now.
                known.has_ended = false;
                let is_here = matches!(known.code, Code::Here(_));
                let is_on_its_way = matches!(known.code, Code::Arriving(_)) && spec.driver == here;
                if !is_on_its_way {
                    known.spec.driver = spec.driver;
                }
                if !is_here && !is_on_its_way {
                    known.code = Code::Absent;
                }
            }
            return;
        }
        let job = spec.job;
        match ArenaOwner::create(self.settings.store_bytes)
            .and_then(|arena| JobOnNode::new(spec, None, arena, here, &self.settings.spill_dir))
        {
            Ok(mut made) => {
                let hash = blake3::Hash::from_bytes(made.spec.executable.hash);
                made.code_use = Some(self.settings.cache.using(&hash.to_hex()));
                self.jobs.insert(job, made);
            }
            Err(error) => tracing::error!(%error, %job, "no object store could be made for a job"),
        }
    }

    pub(super) fn on_executable_part(
        &mut self,
        from: ProcessId,
        job: JobId,
        offset: u64,
        bytes: &[u8],
        now: Time,
        out: &mut Outbox,
    ) {
        let Some(job) = self.jobs.get_mut(&job) else {
            return;
        };
        let Code::Arriving(arriving) = &mut job.code else {
            return;
        };
        if job.spec.driver != from {
            return;
        }
        match arriving.take(offset, bytes) {
            Ok(Progress::GoOn(offset)) => {
                let hash = job.spec.executable.hash;
                let job = job.spec.job;
                out.push((
                    from,
                    Message::Executables(ExecutableMessage::Fetch { job, hash, offset }),
                ));
            }
            Ok(Progress::Done(path)) => {
                job.answer_code_askers(&path, out);
                job.code = Code::Here(path);
            }
            Err(reason) => {
                tracing::error!(%reason, "a job's executable could not be fetched");
                let job = job.spec.job;
                self.on_code_broken(job, reason, now, out);
            }
        }
    }

    /// A job's executable cannot be had: who waits for it is told.
    pub(super) fn on_code_broken(
        &mut self,
        job: JobId,
        reason: String,
        now: Time,
        out: &mut Outbox,
    ) {
        let Some(job) = self.jobs.get_mut(&job) else {
            return;
        };
        job.answer_code_askers(Path::new(""), out);
        job.code = Code::Broken(reason);
        for process in std::mem::take(&mut job.waiting) {
            self.workers.remove(&process);
            self.scheduler.on_spawn_failed(process, now);
        }
    }

    /// A node is gone from which executables were on their way.
    pub(super) fn on_code_source_gone(&mut self, node: ProcessId, now: Time, out: &mut Outbox) {
        let is_lost = |job: &JobOnNode| {
            job.spec.driver.node_process() == node && matches!(job.code, Code::Arriving(_))
        };
        let lost = self.jobs.iter().filter(|(_, job)| is_lost(job));
        let lost: Vec<JobId> = lost.map(|(id, _)| *id).collect();
        for job in lost {
            let reason = format!("{node} is gone, from which it was on its way");
            self.on_code_broken(job, reason, now, out);
        }
    }

    /// Another node wants an executable that this one has, or has soon.
    pub(super) fn on_code_wanted(
        &mut self,
        from: ProcessId,
        (job, hash): (JobId, [u8; 32]),
        offset: u64,
        out: &mut Outbox,
    ) {
        if let Some(known) = self.jobs.get_mut(&job)
            && matches!(known.code, Code::Arriving(_))
        {
            return known.code_askers.push(from);
        }
        let path = match job == self.own_job && job.0 != 0 {
            true => std::env::current_exe(),
            false => Ok(jobs::cached(self.settings.cache.folder(), hash)),
        };
        let part = path.and_then(|path| jobs::read_part(&path, offset));
        let bytes = part.unwrap_or_else(|error| {
            tracing::error!(%error, %job, "a job's executable cannot be read");
            Vec::new()
        });
        out.push((
            from,
            Message::Executables(ExecutableMessage::Part { job, offset, bytes }),
        ));
    }

    /// Gives up what was kept for jobs that have ended and have no process here.
    pub(super) fn forget_ended_jobs(&mut self, now: Time) {
        let is_over = |id: &JobId, job: &JobOnNode| {
            job.has_ended && !self.workers.values().any(|worker| worker.job == *id)
        };
        let over: Vec<JobId> = self
            .jobs
            .iter()
            .filter(|(id, job)| is_over(id, job))
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.jobs.remove(&id);
            self.folders.forget(id);
            self.forget_copies_of(id, now);
        }
    }
}
