//! What goes on in a file when memory is full of what is in use.
//!
//! The file has no name and lies in the folder that objects are spilled to. The machine in `ray_engine::cache` decides
//! who goes there; here the disk sets room aside before it is lent, and gets it back, on the threads that spill. What
//! lies there stays there until nobody needs it: it is neither evicted nor spilled.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use ray_engine::{
    failure::Failure,
    ids::{JobId, ProcessId},
    time::Time,
};
use ray_shm::{ArenaOwner, NotLent, SEGMENT_BYTES, SegmentRange};

use super::{
    NodeState, Outbox,
    segments::{Asker, SegmentRequest},
    spill_io::{Job, nameless_file},
};

/// What is lent of the file behind a job's arena.
pub(super) struct Overflow {
    job: JobId,
    dir: PathBuf,
    /// Why there is no file.
    fault: Option<String>,
    /// By the first segment.
    lent: BTreeMap<u32, Lent>,
    jobs: Vec<Job>,
    was_told: bool,
}

struct Lent {
    range: SegmentRange,
    holder: ProcessId,
    stage: Stage,
}

enum Stage {
    /// The disk sets its room aside for somebody, who may have given up meanwhile.
    Reserving(Option<Box<Refusable>>),
    InUse,
    /// The disk gets its room back.
    Leaving,
}

/// Somebody who waits for room in the file, and why there is none in memory.
struct Refusable {
    asked: SegmentRequest,
    failure: Failure,
}

/// Who need not wait any more.
type Answer = (SegmentRequest, Result<SegmentRange, Failure>);

impl Overflow {
    /// Makes the file of an arena; without one a full store is an error as soon as memory is.
    pub(super) fn new(job: JobId, arena: &mut ArenaOwner, dir: &Path) -> Overflow {
        let made = nameless_file(dir).and_then(|file| arena.with_file(file.into()));
        let fault = made.err().map(|error| error.to_string());
        if let Some(fault) = &fault {
            let dir = dir.display();
            tracing::info!(%fault, %dir, "no file takes what memory has no room for");
        }
        Overflow {
            job,
            dir: dir.to_owned(),
            fault,
            lent: BTreeMap::new(),
            jobs: Vec::new(),
            was_told: false,
        }
    }

    pub(super) fn has_file(&self) -> bool {
        self.fault.is_none()
    }

    /// Has the disk set room aside for somebody; or returns why not.
    fn begin(
        &mut self,
        arena: &mut ArenaOwner,
        bytes: u64,
        (holder, waiting): (ProcessId, Box<Refusable>),
    ) -> Option<Answer> {
        let Some(room) = arena.grant_in_file(bytes) else {
            return Some((waiting.asked, Err(waiting.failure)));
        };
        let range = room.range();
        let stage = Stage::Reserving(Some(waiting));
        self.lent.insert(
            range.first,
            Lent {
                range,
                holder,
                stage,
            },
        );
        let job = self.job;
        self.jobs.push(Job::Reserve { job, room });
        None
    }

    /// The disk has set room aside, or has not; returns who is to hear of it.
    pub(super) fn on_reserved(
        &mut self,
        arena: &mut ArenaOwner,
        range: SegmentRange,
        reserved: io::Result<()>,
    ) -> Option<Answer> {
        let lent = self.lent.get_mut(&range.first)?;
        let Stage::Reserving(waiting) = &mut lent.stage else {
            return None;
        };
        let (holder, waiting) = (lent.holder, waiting.take());
        match (reserved, waiting) {
            (Ok(()), Some(waiting)) => {
                lent.stage = Stage::InUse;
                if !std::mem::replace(&mut self.was_told, true) {
                    let (dir, job) = (self.dir.display(), self.job);
                    tracing::warn!(
                        %dir, %job,
                        "the object store is full of values in use: some go on in a file, which is slower"
                    );
                }
                Some((waiting.asked, Ok(range)))
            }
            (Ok(()), None) => {
                self.give_back(arena, range);
                None
            }
            (Err(error), waiting) => {
                self.forget(arena, range);
                let waiting = waiting?;
                let least = waiting.asked.least.max(1).next_multiple_of(SEGMENT_BYTES);
                if least < range.len() {
                    return self.begin(arena, least, (holder, waiting));
                }
                let failure = self.out_of_disk(arena, &waiting, &error);
                Some((waiting.asked, Err(failure)))
            }
        }
    }

    fn out_of_disk(&self, arena: &ArenaOwner, waiting: &Refusable, error: &io::Error) -> Failure {
        let (needed, capacity) = (waiting.asked.least, arena.capacity());
        let holders = match &waiting.failure {
            Failure::ObjectStoreFull { holders, .. } => holders.as_str(),
            _ => "",
        };
        let hint = match error.kind() {
            io::ErrorKind::Unsupported => " (its file system cannot set room aside)",
            _ => "",
        };
        Failure::OutOfDisk(format!(
            "{needed} bytes do not fit into a store of {capacity} that is in use, and a file in {} cannot take \
             them: {error}{hint}; drop references or views, make space there, or choose another folder with \
             `Config::spill_dir` or more memory with `object_store_memory`{holders}",
            self.dir.display()
        ))
    }

    /// Says in a refusal that there is no file either.
    pub(super) fn explain(&self, failure: Failure) -> Failure {
        match (failure, &self.fault) {
            (
                Failure::ObjectStoreFull {
                    needed,
                    capacity,
                    holders,
                },
                Some(fault),
            ) => Failure::ObjectStoreFull {
                needed,
                capacity,
                holders: format!(
                    "{holders}; no file in {} can take it either: {fault}",
                    self.dir.display()
                ),
            },
            (failure, _) => failure,
        }
    }

    /// Takes segments back, as they were lent.
    pub(super) fn release(
        &mut self,
        arena: &mut ArenaOwner,
        range: SegmentRange,
    ) -> Result<(), NotLent> {
        let lent = self.lent.get(&range.first);
        let is_it = |lent: &Lent| lent.range == range && matches!(lent.stage, Stage::InUse);
        if !lent.is_some_and(is_it) {
            return Err(NotLent(range));
        }
        self.give_back(arena, range);
        Ok(())
    }

    fn give_back(&mut self, arena: &mut ArenaOwner, range: SegmentRange) {
        let lent = self.lent.get_mut(&range.first);
        if let (Some(lent), Some(room)) = (lent, arena.file_room(range)) {
            lent.stage = Stage::Leaving;
            let job = self.job;
            self.jobs.push(Job::GiveBack { job, room });
        }
    }

    /// The disk has its room back, or keeps it until it is lent again.
    pub(super) fn on_given_back(
        &mut self,
        arena: &mut ArenaOwner,
        range: SegmentRange,
        given: io::Result<()>,
    ) {
        if let Err(error) = given {
            let dir = self.dir.display();
            tracing::error!(%error, %dir, "the disk keeps the room of what was dropped");
        }
        self.forget(arena, range);
    }

    fn forget(&mut self, arena: &mut ArenaOwner, range: SegmentRange) {
        self.lent.remove(&range.first);
        if let Err(error) = arena.release_in_file(range) {
            tracing::error!(%error, "segments of a file could not be taken back");
        }
    }

    /// Somebody does not wait any more.
    pub(super) fn cancel(&mut self, is_meant: impl Fn(Asker) -> bool) {
        for lent in self.lent.values_mut() {
            if let Stage::Reserving(waiting) = &mut lent.stage
                && waiting
                    .as_ref()
                    .is_some_and(|waiting| is_meant(waiting.asked.asker))
            {
                *waiting = None;
            }
        }
    }

    /// Returns what is lent to a process, as it was lent.
    pub(super) fn ranges_of(&self, holder: ProcessId) -> impl Iterator<Item = SegmentRange> {
        let lent = self.lent.values();
        lent.filter(move |lent| lent.holder == holder && matches!(lent.stage, Stage::InUse))
            .map(|lent| lent.range)
    }

    /// Returns what the threads are to do.
    pub(super) fn take_jobs(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.jobs)
    }
}

impl NodeState {
    /// Somebody goes on in a file, since memory is full of what is in use.
    pub(super) fn overflow_segments(
        &mut self,
        asked: SegmentRequest,
        failure: Failure,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        let Some(job) = self.jobs.get_mut(&asked.job) else {
            return;
        };
        let (bytes, holder) = (asked.bytes, asked.asker.holder(here));
        let waiting = Box::new(Refusable { asked, failure });
        let answer = job.overflow.begin(&mut job.arena, bytes, (holder, waiting));
        self.answer_overflow(answer, here, now, out);
    }

    /// The disk has set room aside for somebody, or has not.
    pub(super) fn on_room_reserved(
        &mut self,
        id: JobId,
        (range, reserved): (SegmentRange, io::Result<()>),
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let answer = job.overflow.on_reserved(&mut job.arena, range, reserved);
        self.answer_overflow(answer, here, now, out);
    }

    fn answer_overflow(
        &mut self,
        answer: Option<Answer>,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        if let Some((asked, outcome)) = answer {
            self.give_segments(asked.asker, outcome, here, now, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use ray_engine::priority::Priority;

    use super::*;

    const ASKER: ProcessId = ProcessId(7);
    const LEASE: u64 = 4 * SEGMENT_BYTES;

    struct Store {
        arena: ArenaOwner,
        overflow: Overflow,
        dir: tempfile::TempDir,
    }

    fn store() -> Store {
        let dir = tempfile::tempdir().expect("a folder");
        let mut arena = ArenaOwner::create(LEASE).expect("a memfd");
        let overflow = Overflow::new(JobId(1), &mut arena, dir.path());
        assert!(overflow.has_file());
        Store {
            arena,
            overflow,
            dir,
        }
    }

    fn full() -> Failure {
        Failure::ObjectStoreFull {
            needed: 1,
            capacity: LEASE,
            holders: "; held by many".into(),
        }
    }

    impl Store {
        /// Asks for a lease of which one segment is enough.
        fn ask(&mut self) -> Option<Answer> {
            let asker = Asker::Process(ASKER, 1);
            let asked =
                SegmentRequest::new(asker, JobId(1), (LEASE, 1), Priority::Get, Time::default());
            let failure = full();
            let waiting = Box::new(Refusable { asked, failure });
            self.overflow
                .begin(&mut self.arena, LEASE, (ASKER, waiting))
        }

        /// Returns the only job, and whether room is to be given back by it.
        fn job(&mut self) -> (ray_shm::FileRoom, bool) {
            let mut jobs = self.overflow.take_jobs();
            assert_eq!(jobs.len(), 1);
            match jobs.remove(0) {
                Job::Reserve { room, .. } => (room, false),
                Job::GiveBack { room, .. } => (room, true),
                _ => panic!("nothing is spilled here"),
            }
        }

        fn reserved(&mut self, range: SegmentRange, reserved: io::Result<()>) -> Option<Answer> {
            self.overflow.on_reserved(&mut self.arena, range, reserved)
        }
    }

    #[test]
    fn room_is_lent_once_the_disk_has_it_and_anew_once_it_has_it_back() {
        let mut store = store();
        assert!(store.ask().is_none());
        let (room, _) = store.job();
        let range = room.range();
        room.reserve().expect("the disk has room");
        assert_eq!(store.overflow.ranges_of(ASKER).count(), 0, "not lent yet");
        let early = store.overflow.release(&mut store.arena, range);
        assert_eq!(early, Err(NotLent(range)));
        let (_, outcome) = store.reserved(range, Ok(())).expect("somebody waits");
        assert_eq!(outcome, Ok(range));
        assert_eq!(store.overflow.ranges_of(ASKER).collect::<Vec<_>>(), [range]);
        let released = store.overflow.release(&mut store.arena, range);
        assert_eq!(released, Ok(()));
        let twice = store.overflow.release(&mut store.arena, range);
        assert_eq!(twice, Err(NotLent(range)));
        let (room, is_back) = store.job();
        assert!(is_back && room.disk_bytes().expect("known") >= LEASE);
        assert_eq!(store.arena.file_bytes(), LEASE, "until the disk has it");
        room.give_back().expect("punched");
        store
            .overflow
            .on_given_back(&mut store.arena, range, Ok(()));
        assert_eq!(store.arena.file_bytes(), 0);
        assert_eq!(room.disk_bytes().expect("known"), 0);
    }

    #[test]
    fn who_gives_up_meanwhile_leaves_no_room_behind() {
        let mut store = store();
        store.ask();
        let (room, _) = store.job();
        store
            .overflow
            .cancel(|asker| asker == Asker::Process(ASKER, 1));
        assert!(store.reserved(room.range(), Ok(())).is_none());
        let (back, is_back) = store.job();
        assert!(is_back);
        assert_eq!(back.range(), room.range());
    }

    #[test]
    fn a_disk_without_room_for_a_lease_may_have_enough_for_the_value() {
        let mut store = store();
        store.ask();
        let (room, _) = store.job();
        let refused = || Err(io::Error::from(io::ErrorKind::StorageFull));
        assert!(store.reserved(room.range(), refused()).is_none());
        let (less, _) = store.job();
        assert_eq!(less.range().len(), SEGMENT_BYTES);
        let (_, outcome) = store
            .reserved(less.range(), refused())
            .expect("somebody waits");
        let Err(Failure::OutOfDisk(text)) = outcome else {
            panic!("not an error of the disk: {outcome:?}");
        };
        let dir = store.dir.path().display().to_string();
        assert!(
            text.contains(&dir) && text.contains("held by many"),
            "{text}"
        );
        assert_eq!(store.arena.file_bytes(), 0);
        assert!(store.overflow.take_jobs().is_empty());
    }

    #[test]
    fn a_folder_that_takes_no_file_is_named_in_the_refusal() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut arena = ArenaOwner::create(LEASE).expect("a memfd");
        let overflow = Overflow::new(JobId(1), &mut arena, file.path());
        assert!(!overflow.has_file());
        let Failure::ObjectStoreFull { holders, .. } = overflow.explain(full()) else {
            panic!("it is of another kind");
        };
        let dir = file.path().display().to_string();
        assert!(holders.contains(&dir), "{holders}");
    }
}
