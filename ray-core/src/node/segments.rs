//! Pieces of the arenas: who has them, who waits for some.
//!
//! Who asks is served by priority and then in order. When there is no room, idle copies of other nodes' objects give way, then
//! every process is asked for what it has leased and does not use, and after a moment objects go to disk.

use ray_engine::{
    cache::RoomId,
    failure::Failure,
    ids::{JobId, ObjectId, ProcessId},
    priority::Priority,
    time::Time,
};
use ray_shm::SegmentRange;

use super::{
    JobOnNode, NodeState, Outbox,
    spill::Wish,
    spill_io::{Job, Outcome},
};
use crate::{
    config::{FETCH_TIMEOUT, PRESSURE_LOOK, RECALL_PAUSE},
    wire::Message,
};

/// Somebody waits for room in the arena.
pub(super) struct SegmentRequest {
    pub(super) asker: Asker,
    pub(super) job: JobId,
    pub(super) bytes: u64,
    pub(super) least: u64,
    pub(super) priority: Priority,
    since: Time,
    /// When the processes were asked for what they do not use.
    recalled: Option<Time>,
    /// The question for room that is to be made.
    room: Option<RoomId>,
}

impl SegmentRequest {
    pub(super) fn new(
        asker: Asker,
        job: JobId,
        (bytes, least): (u64, u64),
        priority: Priority,
        now: Time,
    ) -> SegmentRequest {
        SegmentRequest {
            asker,
            job,
            bytes,
            least,
            priority,
            since: now,
            recalled: None,
            room: None,
        }
    }
}

/// For whom room is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// A process and its question.
    Process(ProcessId, u64),
    /// A copy of another node's object.
    Copy(ObjectId),
}

impl NodeState {
    pub(super) fn job_of(&self, process: ProcessId) -> JobId {
        self.workers
            .get(&process)
            .map_or(self.own_job, |worker| worker.job)
    }

    pub(super) fn on_segments_wanted(
        &mut self,
        asker: (ProcessId, u64),
        bytes: u64,
        least: u64,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        let job = self.job_of(asker.0);
        let asker = Asker::Process(asker.0, asker.1);
        self.queue_segments(asker, job, (bytes, least), Priority::Get, now);
        self.grant_segments(job, here, now, out);
    }

    /// Queues a question for `bytes`, or at least for `least`, before those of lower priority.
    pub(super) fn queue_segments(
        &mut self,
        asker: Asker,
        job: JobId,
        (bytes, least): (u64, u64),
        priority: Priority,
        now: Time,
    ) {
        self.queue(SegmentRequest::new(
            asker,
            job,
            (bytes, least),
            priority,
            now,
        ));
    }

    fn queue(&mut self, request: SegmentRequest) {
        let queue = self.segment_queue.iter();
        let before = queue.take_while(|asked| asked.priority <= request.priority);
        self.segment_queue.insert(before.count(), request);
    }

    /// Takes questions for room back.
    pub(super) fn unqueue_segments(&mut self, is_meant: impl Fn(Asker) -> bool, now: Time) {
        let jobs = &mut self.jobs;
        self.segment_queue.retain(|asked| {
            if is_meant(asked.asker) {
                if let (Some(room), Some(job)) = (asked.room, jobs.get_mut(&asked.job)) {
                    job.spill.cancel(room, now);
                }
                return false;
            }
            true
        });
        for job in self.jobs.values_mut() {
            job.overflow.cancel(&is_meant);
        }
    }

    pub(super) fn on_segments_returned(
        &mut self,
        from: ProcessId,
        range: SegmentRange,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        let id = self.job_of(from);
        if let Some(job) = self.jobs.get_mut(&id)
            && let Err(error) = job.release(range, now)
        {
            tracing::error!(%error, %from, "segments came back that were not lent");
        }
        self.grant_segments(id, here, now, out);
    }

    /// Lends what there is to those who wait, in their order; makes room when it is not enough.
    pub(super) fn grant_segments(
        &mut self,
        id: JobId,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        loop {
            self.run_spill(id, here, now, out);
            let is_next = |asked: &SegmentRequest| asked.job == id && asked.room.is_none();
            let Some(position) = self.segment_queue.iter().position(is_next) else {
                return;
            };
            let Some(job) = self.jobs.get_mut(&id) else {
                return;
            };
            let asked = &mut self.segment_queue[position];
            let holder = asked.asker.holder(here);
            let lent = job
                .lend_now(asked.bytes, holder, now)
                .or_else(|| job.lend_now(asked.least, holder, now));
            if let Some(range) = lent {
                let asker = asked.asker;
                self.segment_queue.remove(position);
                self.give_segments(asker, Ok(range), here, now, out);
                continue;
            }
            let recalled = asked.recalled;
            match recalled {
                // Copies of other nodes' objects give way to what is made here.
                _ if self.drop_idle_copy(id, now, out) => {}
                None => {
                    self.segment_queue[position].recalled = Some(now);
                    self.recall_segments(id, here, out);
                    return;
                }
                Some(since) if since + RECALL_PAUSE > now => return,
                Some(_) => {
                    let asked = &mut self.segment_queue[position];
                    if let Some(job) = self.jobs.get_mut(&id) {
                        asked.room = Some(job.ask(asked, now));
                    }
                }
            }
        }
    }

    /// Asks every process of a job on this node for what it has leased and does not use.
    fn recall_segments(&self, id: JobId, here: ProcessId, out: &mut Outbox) {
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
    }

    /// Tells who asked for room what became of it.
    pub(super) fn give_segments(
        &mut self,
        asker: Asker,
        outcome: Result<SegmentRange, Failure>,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        self.has_lent = true;
        match asker {
            Asker::Process(process, request) => {
                let outcome = outcome.map(|range| (range.first, range.count));
                out.push((process, Message::SegmentsGranted { request, outcome }));
            }
            Asker::Copy(object) => match outcome {
                Ok(range) => self.on_room_for_copy(object, range, here, now, out),
                Err(failure) => self.fail_copy(object, &failure, now, out),
            },
        }
    }

    /// Carries out what a job's memory wishes.
    pub(super) fn run_spill(&mut self, id: JobId, here: ProcessId, now: Time, out: &mut Outbox) {
        let dir = self.settings.spill_dir.clone();
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let wishes = job.spill.run(&mut job.arena, &dir, now);
        self.carry_out_wishes(id, wishes, here, now, out);
    }

    fn carry_out_wishes(
        &mut self,
        id: JobId,
        wishes: Vec<Wish>,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        for wish in wishes {
            match wish {
                Wish::Granted(room) => self.on_room(id, room, here, now, out),
                Wish::Refused(room, failure) => {
                    if let Some(asked) = self.take_asked(id, room) {
                        self.refuse_segments(asked, failure, here, now, out);
                    }
                }
                Wish::Overflow(room, failure) => {
                    if let Some(asked) = self.take_asked(id, room) {
                        self.overflow_segments(asked, failure, here, now, out);
                    }
                }
                Wish::Answer(waiting, outcome) => {
                    for (process, request) in waiting {
                        let outcome = outcome.clone();
                        out.push((process, Message::BroughtBack { request, outcome }));
                    }
                }
                Wish::Io(job) => self.spill_jobs.push(job),
            }
        }
    }

    /// Tells who asked for room that there is none; arguments wait for those who hold it.
    fn refuse_segments(
        &mut self,
        asked: SegmentRequest,
        failure: Failure,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        let may_wait = asked.priority == Priority::Arguments
            && matches!(failure, Failure::ObjectStoreFull { .. })
            && now < asked.since + FETCH_TIMEOUT;
        if may_wait {
            self.queue(SegmentRequest {
                recalled: None,
                room: None,
                ..asked
            });
        } else {
            let job = self.jobs.get(&asked.job);
            let failure = match job {
                Some(job) => job.overflow.explain(failure),
                None => failure,
            };
            self.give_segments(asked.asker, Err(failure), here, now, out);
        }
    }

    fn take_asked(&mut self, id: JobId, room: RoomId) -> Option<SegmentRequest> {
        let is_it = |asked: &SegmentRequest| asked.job == id && asked.room == Some(room);
        let position = self.segment_queue.iter().position(is_it)?;
        self.segment_queue.remove(position)
    }

    /// Room was made for somebody who waits.
    fn on_room(&mut self, id: JobId, room: RoomId, here: ProcessId, now: Time, out: &mut Outbox) {
        // Room that was there at once was taken at once.
        let Some(asked) = self.take_asked(id, room) else {
            return;
        };
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let holder = asked.asker.holder(here);
        let bytes = asked.least.max(1).next_multiple_of(ray_shm::SEGMENT_BYTES);
        let lent = job.spill.lend(&mut job.arena, room, bytes, holder, now);
        let outcome = lent.ok_or_else(|| {
            let lent = job.arena.lent_bytes();
            Failure::ObjectStoreFull {
                needed: bytes,
                capacity: job.arena.capacity(),
                holders: format!(
                    "; {lent} bytes are held in memory and on disk, and no more can be"
                ),
            }
        });
        self.give_segments(asked.asker, outcome, here, now, out);
    }

    /// A process finds a value away that it wants to read.
    pub(super) fn on_bring_back(
        &mut self,
        asker: (ProcessId, u64),
        offset: u64,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        let (process, request) = asker;
        let id = self.job_of(process);
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let outcome = match job.spill.bring_back(&job.arena, offset, asker, now) {
            Ok(true) => return self.grant_segments(id, here, now, out),
            Ok(false) => Ok(()),
            Err(failure) => Err(failure),
        };
        out.push((process, Message::BroughtBack { request, outcome }));
    }

    /// The threads have written or read something.
    pub(super) fn on_spill_io(
        &mut self,
        id: JobId,
        outcome: Outcome,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        match outcome {
            Outcome::Reserved { range, reserved } => {
                self.on_room_reserved(id, (range, reserved), here, now, out);
            }
            Outcome::GivenBack { range, given } => {
                job.overflow.on_given_back(&mut job.arena, range, given);
            }
            Outcome::Written { file, written } => {
                job.spill.on_written(file, written, now);
            }
            Outcome::Read { id: range, read } => {
                let wishes = job.spill.on_read(&mut job.arena, range, read, now);
                self.carry_out_wishes(id, wishes, here, now, out);
            }
        }
        self.grant_segments(id, here, now, out);
    }

    /// Returns the jobs for the threads that write and read.
    pub(super) fn take_spill_jobs(&mut self) -> Vec<Job> {
        let mut jobs = std::mem::take(&mut self.spill_jobs);
        for job in self.jobs.values_mut() {
            jobs.append(&mut job.overflow.take_jobs());
        }
        jobs
    }

    /// Lets time pass for those who wait for room.
    pub(super) fn on_pressure_timeout(&mut self, here: ProcessId, now: Time, out: &mut Outbox) {
        for id in self.jobs.keys().copied().collect::<Vec<_>>() {
            if let Some(job) = self.jobs.get_mut(&id)
                && job.spill.is_under_pressure()
            {
                job.spill.on_timeout(&job.arena, now);
            }
            self.grant_segments(id, here, now, out);
        }
    }

    /// Returns when [`NodeState::on_pressure_timeout`] has something to do.
    pub(super) fn pressure_timeout(&self, now: Time) -> Option<Time> {
        let is_waited_for = !self.segment_queue.is_empty();
        let jobs = self.jobs.values();
        let is_pressed = is_waited_for || jobs.clone().any(|job| job.spill.is_under_pressure());
        let look = is_pressed.then(|| now + PRESSURE_LOOK);
        jobs.filter_map(|job| job.spill.next_timeout())
            .chain(look)
            .min()
    }
}

impl JobOnNode {
    /// Asks for room that is to be made; a process can go on in a file, a copy waits for memory.
    fn ask(&mut self, asked: &SegmentRequest, now: Time) -> RoomId {
        let (bytes, priority) = (asked.least, asked.priority);
        match asked.asker {
            Asker::Process(..) if self.overflow.has_file() => {
                self.spill
                    .ask_or_overflow(&self.arena, bytes, priority, now)
            }
            Asker::Process(..) | Asker::Copy(_) => {
                self.spill.ask(&self.arena, bytes, priority, now)
            }
        }
    }
}

impl Asker {
    /// Returns who writes into what is lent.
    pub(super) fn holder(self, here: ProcessId) -> ProcessId {
        match self {
            Asker::Process(process, _) => process,
            Asker::Copy(_) => here,
        }
    }
}
