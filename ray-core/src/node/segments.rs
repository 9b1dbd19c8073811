//! Pieces of the arenas: who has them, who waits for some, when a dead writer's come back.

use ray_engine::ids::{JobId, ProcessId};
use ray_shm::SegmentRange;

use super::{NodeState, Outbox};
use crate::wire::Message;

/// Somebody waits for room in the arena.
pub(super) struct SegmentRequest {
    pub(super) asker: ProcessId,
    job: JobId,
    request: u64,
    bytes: u64,
    least: u64,
}

/// A dead writer's values and who has not said that it reads none of them.
pub(super) struct Quiescing {
    job: JobId,
    readers: Vec<ProcessId>,
}

impl NodeState {
    pub(super) fn job_of(&self, process: ProcessId) -> JobId {
        self.workers
            .get(&process)
            .map_or(self.own_job, |worker| worker.job)
    }

    pub(super) fn on_segments_wanted(
        &mut self,
        asker: ProcessId,
        request: u64,
        bytes: u64,
        least: u64,
        out: &mut Outbox,
        here: ProcessId,
    ) {
        let job = self.job_of(asker);
        self.segment_queue.push_back(SegmentRequest {
            asker,
            job,
            request,
            bytes,
            least,
        });
        self.grant_segments(job, out, here);
    }

    pub(super) fn on_segments_unwanted(
        &mut self,
        asker: ProcessId,
        request: u64,
        out: &mut Outbox,
        here: ProcessId,
    ) {
        let job = self.job_of(asker);
        self.segment_queue
            .retain(|asked| (asked.asker, asked.request) != (asker, request));
        self.grant_segments(job, out, here);
    }

    pub(super) fn on_segments_returned(
        &mut self,
        from: ProcessId,
        first: u32,
        count: u32,
        out: &mut Outbox,
        here: ProcessId,
    ) {
        let id = self.job_of(from);
        if let Some(job) = self.jobs.get_mut(&id)
            && let Err(error) = job.arena.release(SegmentRange { first, count })
        {
            tracing::error!(%error, %from, "segments came back that were not lent");
        }
        self.grant_segments(id, out, here);
    }

    /// Lends what there is to those who wait, in their order; asks for empty ones when it is not enough.
    fn grant_segments(&mut self, id: JobId, out: &mut Outbox, here: ProcessId) {
        if !self.jobs.contains_key(&id) {
            return;
        }
        while let Some(position) = self.segment_queue.iter().position(|asked| asked.job == id) {
            let asked = &self.segment_queue[position];
            let (asker, request) = (asked.asker, asked.request);
            let (bytes, least) = (asked.bytes, asked.least);
            let granted = self.jobs.get_mut(&id).and_then(|job| {
                job.arena
                    .grant(bytes, asker.0)
                    .or_else(|| job.arena.grant(least, asker.0))
            });
            match granted {
                Some(range) => {
                    self.has_lent = true;
                    self.segment_queue.remove(position);
                    let outcome = Ok((range.first, range.count));
                    out.push((asker, Message::SegmentsGranted { request, outcome }));
                }
                // Copies of other nodes' objects give way to what is made here.
                None if self.drop_idle_copy(id, out) => {}
                None => {
                    let ready = self
                        .workers
                        .iter()
                        .filter(|(_, worker)| worker.ready && worker.job == id)
                        .map(|(id, _)| *id);
                    out.extend(
                        ready
                            .chain([here])
                            .map(|process| (process, Message::RecallSegments)),
                    );
                    return;
                }
            }
        }
    }

    /// Keeps a dead writer's segments until everyone alive has stopped reading them.
    pub(super) fn orphan(&mut self, dead: ProcessId, id: JobId, here: ProcessId) {
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        if job.arena.ranges_of(dead.0).is_empty() {
            return;
        }
        let readers = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.ready && worker.job == id)
            .map(|(id, _)| *id);
        // Who reads on other nodes says nothing: what they may read stays until the job's end.
        let elsewhere = self.settings.spills.then_some(ProcessId(0));
        let readers = readers.chain([here]).chain(elsewhere).collect();
        self.quiescing.insert(dead, Quiescing { job: id, readers });
    }

    pub(super) fn on_quiesced(
        &mut self,
        dead: ProcessId,
        from: ProcessId,
        out: &mut Outbox,
        here: ProcessId,
    ) {
        let Some(quiescing) = self.quiescing.get_mut(&dead) else {
            return;
        };
        quiescing.readers.retain(|reader| *reader != from);
        if !quiescing.readers.is_empty() {
            return;
        }
        let id = quiescing.job;
        self.quiescing.remove(&dead);
        if let Some(job) = self.jobs.get_mut(&id) {
            for range in job.arena.ranges_of(dead.0) {
                if let Err(error) = job.arena.release(range) {
                    tracing::error!(%error, %dead, "a dead writer's segments could not be taken back");
                }
            }
        }
        self.grant_segments(id, out, here);
    }
}
