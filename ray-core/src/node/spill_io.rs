//! The threads that write what is spilled and read it back, and the files' form; they also have disks set room aside.
//!
//! A file loses its name as soon as it is made: it goes with the last descriptor, also when the node is
//! killed. It holds whole ranges, one behind the other; BLAKE3 of every segment stays in memory.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    ops::Range,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
};

use parking_lot::Mutex;
use ray_engine::{
    cache::FileId,
    ids::{JobId, ObjectId},
};
use ray_shm::{FileRoom, RangeBytes, RangeFill, SEGMENT_BYTES, SegmentRange};

use crate::{config::SPILL_THREADS, runtime::Runtime};

/// Something for the threads to do.
pub(super) enum Job {
    Write {
        job: JobId,
        file: FileId,
        dir: PathBuf,
        ranges: Vec<(ObjectId, RangeBytes)>,
    },
    Read {
        job: JobId,
        id: ObjectId,
        file: Arc<File>,
        part: Part,
        place: RangeFill,
    },
    /// Room for values that go on in a file.
    Reserve {
        job: JobId,
        room: FileRoom,
    },
    GiveBack {
        job: JobId,
        room: FileRoom,
    },
}

/// How it went.
pub(super) enum Outcome {
    Written {
        file: FileId,
        written: io::Result<(File, Vec<(ObjectId, Part)>)>,
    },
    Read {
        id: ObjectId,
        read: io::Result<u64>,
    },
    Reserved {
        range: SegmentRange,
        reserved: io::Result<()>,
    },
    GivenBack {
        range: SegmentRange,
        given: io::Result<()>,
    },
}

/// A range in a file.
#[derive(Clone)]
pub(super) struct Part {
    offset: u64,
    /// Of each segment.
    hashes: Arc<[blake3::Hash]>,
}

impl Part {
    pub(super) fn len(&self) -> u64 {
        self.hashes.len() as u64 * SEGMENT_BYTES
    }

    /// Reads a stretch of the range and checks every segment that it touches.
    ///
    /// # Errors
    /// What the system said, or that the bytes are not those that were written.
    pub(super) fn read(&self, file: &File, wanted: Range<u64>) -> io::Result<Vec<u8>> {
        let first = wanted.start / SEGMENT_BYTES;
        let start = first * SEGMENT_BYTES;
        let end = wanted.end.next_multiple_of(SEGMENT_BYTES).min(self.len());
        let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        self.fill(file, first as usize, &mut bytes)?;
        let within = (wanted.start - start) as usize..(wanted.end - start) as usize;
        bytes.truncate(within.end);
        bytes.drain(..within.start);
        Ok(bytes)
    }

    /// Reads whole segments from the `first` on.
    fn fill(&self, file: &File, first: usize, place: &mut [u8]) -> io::Result<()> {
        let mut offset = self.offset + first as u64 * SEGMENT_BYTES;
        let segments = place.chunks_mut(SEGMENT_BYTES as usize);
        for (bytes, hash) in segments.zip(&self.hashes[first..]) {
            file.read_exact_at(bytes, offset)?;
            offset += SEGMENT_BYTES;
            if blake3::hash(bytes) != *hash {
                return Err(io::Error::other(
                    "the disk gave other bytes than were written",
                ));
            }
        }
        Ok(())
    }
}

/// The threads, started with the first job.
#[derive(Default)]
pub(super) struct SpillIo(Mutex<Option<mpsc::Sender<Job>>>);

impl SpillIo {
    /// Hands a job to the threads.
    ///
    /// # Errors
    /// The system gave no thread; the job comes back.
    pub(super) fn submit(&self, runtime: &Arc<Runtime>, job: Job) -> Result<(), (Job, io::Error)> {
        let mut slot = self.0.lock();
        if slot.is_none() {
            match start(runtime) {
                Ok(sender) => *slot = Some(sender),
                Err(error) => return Err((job, error)),
            }
        }
        let sender = slot.as_ref().expect("started above");
        let ended = || io::Error::other("the threads have ended");
        sender.send(job).map_err(|unsent| (unsent.0, ended()))
    }

    /// Lets the threads end.
    pub(super) fn end(&self) {
        self.0.lock().take();
    }
}

fn start(runtime: &Arc<Runtime>) -> io::Result<mpsc::Sender<Job>> {
    let (sender, receiver) = mpsc::channel();
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..SPILL_THREADS {
        let (receiver, weak) = (receiver.clone(), Arc::downgrade(runtime));
        std::thread::Builder::new()
            .name("ray-spill".into())
            .spawn(move || work(&receiver, &weak))?;
    }
    Ok(sender)
}

fn work(receiver: &Mutex<mpsc::Receiver<Job>>, weak: &Weak<Runtime>) {
    loop {
        let next = receiver.lock().recv();
        let Ok(job) = next else { return };
        let (job, outcome) = job.carry_out();
        let Some(runtime) = weak.upgrade() else {
            return;
        };
        if let Some(node) = &runtime.node_role {
            node.on_spill_io(&runtime, job, outcome);
        }
    }
}

impl Job {
    fn carry_out(self) -> (JobId, Outcome) {
        match self {
            Job::Write {
                job,
                file,
                dir,
                ranges,
            } => {
                let written = write(&dir, &ranges).map_err(|error| {
                    io::Error::new(
                        error.kind(),
                        format!("{} cannot be written: {error}", dir.display()),
                    )
                });
                (job, Outcome::Written { file, written })
            }
            Job::Read {
                job,
                id,
                file,
                part,
                mut place,
            } => {
                let read = part.fill(&file, 0, &mut place).map(|()| part.len());
                (job, Outcome::Read { id, read })
            }
            Job::Reserve { job, room } => {
                let (range, reserved) = (room.range(), room.reserve());
                (job, Outcome::Reserved { range, reserved })
            }
            Job::GiveBack { job, room } => {
                let (range, given) = (room.range(), room.give_back());
                (job, Outcome::GivenBack { range, given })
            }
        }
    }

    /// Returns what becomes of a job that nobody carries out.
    pub(super) fn failed(self, error: io::Error) -> (JobId, Outcome) {
        match self {
            Job::Write { job, file, .. } => {
                let written = Err(error);
                (job, Outcome::Written { file, written })
            }
            Job::Read { job, id, .. } => (
                job,
                Outcome::Read {
                    id,
                    read: Err(error),
                },
            ),
            Job::Reserve { job, room } => {
                let (range, reserved) = (room.range(), Err(error));
                (job, Outcome::Reserved { range, reserved })
            }
            Job::GiveBack { job, room } => {
                let (range, given) = (room.range(), Err(error));
                (job, Outcome::GivenBack { range, given })
            }
        }
    }
}

fn write(
    dir: &Path,
    ranges: &[(ObjectId, RangeBytes)],
) -> io::Result<(File, Vec<(ObjectId, Part)>)> {
    let mut file = nameless_file(dir)?;
    let mut parts = Vec::with_capacity(ranges.len());
    let mut offset = 0;
    for (id, bytes) in ranges {
        let segments = bytes.chunks(SEGMENT_BYTES as usize);
        let hashes = segments.map(blake3::hash).collect();
        file.write_all(bytes)?;
        parts.push((*id, Part { offset, hashes }));
        offset += bytes.len() as u64;
    }
    Ok((file, parts))
}

/// Makes a file without a name: nothing is left of it when its descriptors are closed.
pub(super) fn nameless_file(dir: &Path) -> io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = dir.join(format!("spill-{}-{number}", std::process::id()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ray_shm::{Arena, ArenaOwner, Writer};

    #[test]
    fn what_was_written_is_read_in_pieces_and_a_changed_byte_is_noticed() {
        let mut owner = ArenaOwner::create(4 * SEGMENT_BYTES).expect("a memfd");
        let fd = owner.fd().try_clone_to_owned().expect("a descriptor");
        let writer = Writer::new(Arena::map(fd, 1).expect("a map"));
        let range = owner.grant(3 * SEGMENT_BYTES, 1).expect("room");
        writer.add_segments(range).expect("mapped");
        let mut guard = writer.alloc(3 * SEGMENT_BYTES as usize).expect("room");
        for (at, byte) in guard.iter_mut().enumerate() {
            *byte = (at % 251) as u8;
        }
        let _slot = guard.seal();
        let bytes = owner.close(range).expect("nobody reads");
        let dir = tempfile::tempdir().expect("a folder");
        let id = ObjectId::default();
        let (file, parts) = write(&dir.path().join("new"), &[(id, bytes)]).expect("written");
        let part = &parts[0].1;
        assert_eq!(part.len(), 3 * SEGMENT_BYTES);
        let from = SEGMENT_BYTES - 10;
        let piece = part.read(&file, from..from + 20).expect("the bytes");
        let expected: Vec<u8> = (from..from + 20).map(|at| (at % 251) as u8).collect();
        assert_eq!(piece, expected);
        file.write_all_at(&[255], 2 * SEGMENT_BYTES)
            .expect("a fault");
        assert!(part.read(&file, from..from + 20).is_ok(), "it lies before");
        let last = part.read(&file, 2 * SEGMENT_BYTES..2 * SEGMENT_BYTES + 1);
        assert!(last.is_err(), "the byte is not the one that was written");
    }
}
