//! What a node keeps of each job: its code, its arena, the workers that wait for the code.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::{ffi::OsStringExt as _, fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use ray_engine::ids::ProcessId;
use ray_shm::{Arena, ArenaOwner, Writer};

use super::{arena_files::ArenaFiles, overflow::Overflow, spill::Spill};
use crate::{
    runtime::executables::ExecutableUse,
    wire::{Content, ExecutableMessage, JobSpec, Message},
};

/// One job on this node.
pub(crate) struct JobOnNode {
    pub(super) spec: JobSpec,
    pub(super) code: Code,
    pub(super) arena: ArenaOwner,
    pub(super) spill: Spill,
    pub(super) overflow: Overflow,
    /// This process, which writes copies into the arena.
    pub(super) here: ProcessId,
    /// The arena's descriptors, which each worker gets copies of.
    pub(crate) arena_files: ArenaFiles,
    /// The arena in this process, for copies and for what others fetch.
    pub(super) mapped: Option<(Arena, Writer)>,
    /// Workers that are started once the code is here.
    pub(super) waiting: Vec<ProcessId>,
    pub(super) has_ended: bool,
    /// Keeps the code in the cache.
    pub(super) code_use: Option<ExecutableUse>,
    /// Whether the code is to be had before anybody waits for it.
    pub(super) is_code_wanted: bool,
    /// Nodes that want the code from here once it is here.
    pub(super) code_askers: Vec<ProcessId>,
}

/// A job's executable on this node.
pub(super) enum Code {
    /// It is here.
    Here(PathBuf),
    /// Nobody has asked for it.
    Absent,
    /// It arrives in parts.
    Arriving(Arriving),
    /// It cannot be had.
    Broken(String),
}

/// A file of which a part has arrived.
pub(super) struct Arriving {
    file: File,
    partial: PathBuf,
    done: PathBuf,
    hasher: Box<blake3::Hasher>,
    got: u64,
    wanted: Content,
}

impl JobOnNode {
    /// Returns the job with an arena of its own, which goes on in a file in the folder for spilled objects.
    pub(crate) fn new(
        spec: JobSpec,
        code: Option<PathBuf>,
        mut arena: ArenaOwner,
        here: ProcessId,
        spill_dir: &Path,
    ) -> std::io::Result<JobOnNode> {
        Ok(JobOnNode {
            overflow: Overflow::new(spec.job, &mut arena, spill_dir),
            spill: Spill::new(spec.job, arena.capacity()),
            here,
            arena_files: ArenaFiles::of(&arena)?,
            spec,
            code: code.map_or(Code::Absent, Code::Here),
            arena,
            mapped: None,
            waiting: Vec::new(),
            has_ended: false,
            code_use: None,
            is_code_wanted: false,
            code_askers: Vec::new(),
        })
    }

    /// Sends the beginning of the executable to those who asked for it; nothing when it cannot be had.
    pub(super) fn answer_code_askers(&mut self, path: &Path, out: &mut Vec<(ProcessId, Message)>) {
        for asker in std::mem::take(&mut self.code_askers) {
            let bytes = read_part(path, 0).unwrap_or_default();
            let job = self.spec.job;
            let part = Message::Executables(ExecutableMessage::Part {
                job,
                offset: 0,
                bytes,
            });
            out.push((asker, part));
        }
    }

    /// Returns the arguments of the job's processes.
    pub(super) fn args(&self) -> Vec<OsString> {
        self.spec
            .args
            .iter()
            .map(|arg| OsString::from_vec(arg.clone()))
            .collect()
    }
}

impl Code {
    /// Looks the executable up in the cache of this node; otherwise begins to receive it.
    pub(super) fn begin(wanted: &Content, cache: &Path) -> Code {
        let name = blake3::Hash::from_bytes(wanted.hash).to_hex();
        let done = cached(cache, wanted.hash);
        if is_intact(&done, wanted) {
            return Code::Here(done);
        }
        // Two jobs of one program may have it come at once, and either may end before it is whole.
        let number = ARRIVALS.fetch_add(1, Ordering::Relaxed);
        let partial = cache.join(format!("{name}.{}-{number}.part", std::process::id()));
        let file = fs::create_dir_all(cache).and_then(|()| {
            fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o700)
                .open(&partial)
        });
        match file {
            Ok(file) => Code::Arriving(Arriving {
                file,
                partial,
                done,
                hasher: Box::new(blake3::Hasher::new()),
                got: 0,
                wanted: wanted.clone(),
            }),
            Err(error) => Code::Broken(format!("{} cannot be written: {error}", partial.display())),
        }
    }
}

impl Arriving {
    /// Returns how many bytes are here.
    pub(super) fn got(&self) -> u64 {
        self.got
    }

    /// Takes the next part; returns from where to go on, or where the whole file is.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn take(&mut self, offset: u64, bytes: &[u8]) -> Result<Progress, String> {
        if offset != self.got {
            return Ok(Progress::GoOn(self.got));
        }
        let is_too_long = self.got + bytes.len() as u64 > self.wanted.len;
        if bytes.is_empty() || is_too_long {
            return Err("its source has no longer what was announced".into());
        }
        self.file
            .write_all(bytes)
            .map_err(|error| format!("{} cannot be written: {error}", self.partial.display()))?;
        self.hasher.update(bytes);
        self.got += bytes.len() as u64;
        if self.got < self.wanted.len {
            return Ok(Progress::GoOn(self.got));
        }
        if self.hasher.finalize() != blake3::Hash::from_bytes(self.wanted.hash) {
            return Err("it is not what its hash says".into());
        }
        self.file
            .sync_all()
            .and_then(|()| fs::rename(&self.partial, &self.done))
            .map_err(|error| format!("{} cannot be written: {error}", self.done.display()))?;
        Ok(Progress::Done(self.done.clone()))
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        // It has another name once it is whole.
        let _gone = fs::remove_file(&self.partial);
    }
}

/// Counts the executables that began to arrive, so that each is written to a file of its own.
static ARRIVALS: AtomicU64 = AtomicU64::new(0);

/// How far an executable has come.
pub(super) enum Progress {
    /// The next part begins here.
    GoOn(u64),
    /// It is whole and intact.
    Done(PathBuf),
}

/// Returns where an executable is kept.
pub(crate) fn cached(cache: &Path, hash: [u8; 32]) -> PathBuf {
    let name = blake3::Hash::from_bytes(hash).to_hex();
    cache.join(name.as_str())
}

/// Describes an executable by its content.
pub(crate) fn describe(path: &Path) -> std::io::Result<Content> {
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path)?;
    let len = std::io::copy(&mut file, &mut hasher)?;
    Ok(Content {
        hash: *hasher.finalize().as_bytes(),
        len,
    })
}

/// Returns the part of an executable that begins at `offset`; empty behind its end.
pub(crate) fn read_part(path: &Path, offset: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut part = Vec::with_capacity(PART_BYTES as usize);
    file.take(PART_BYTES).read_to_end(&mut part)?;
    Ok(part)
}

fn is_intact(path: &Path, wanted: &Content) -> bool {
    fs::metadata(path).is_ok_and(|found| found.len() == wanted.len)
        && describe(path).is_ok_and(|found| found == *wanted)
}

/// Bytes of an executable in one message.
const PART_BYTES: u64 = 512 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_arrives_in_parts_and_is_checked() {
        let dir = tempfile::tempdir().expect("a folder");
        let source = dir.path().join("source");
        let bytes: Vec<u8> = (0..1_300_000_u32).map(|at| (at % 251) as u8).collect();
        fs::write(&source, &bytes).expect("a file");
        let wanted = describe(&source).expect("a file");
        let cache = dir.path().join("cache");
        let Code::Arriving(mut arriving) = Code::begin(&wanted, &cache) else {
            panic!("it is not there yet");
        };
        let mut offset = 0;
        let mut parts = 0;
        let done = loop {
            let part = read_part(&source, offset).expect("a part");
            parts += 1;
            match arriving.take(offset, &part).expect("a good part") {
                Progress::GoOn(next) => offset = next,
                Progress::Done(path) => break path,
            }
        };
        assert_eq!(parts, 3);
        assert_eq!(fs::read(done).expect("the copy"), bytes);
        assert!(matches!(Code::begin(&wanted, &cache), Code::Here(_)));
    }

    #[test]
    fn one_executable_may_arrive_for_two_jobs_and_be_given_up_for_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let wanted = Content {
            hash: *blake3::hash(b"abcd").as_bytes(),
            len: 4,
        };
        let begin = || match Code::begin(&wanted, dir.path()) {
            Code::Arriving(arriving) => arriving,
            _ => panic!("it is not there yet"),
        };
        let (mut first, mut given_up, mut second) = (begin(), begin(), begin());
        first.take(0, b"ab").expect("a good part");
        given_up.take(0, b"abc").expect("a good part");
        drop(given_up);
        for arriving in [&mut first, &mut second] {
            let offset = arriving.got;
            let done = arriving.take(offset, &b"abcd"[offset as usize..]);
            let Ok(Progress::Done(path)) = done else {
                panic!("it is whole");
            };
            assert_eq!(fs::read(path).expect("the file"), b"abcd");
        }
        drop((first, second));
        let left = fs::read_dir(dir.path()).expect("a folder").count();
        assert_eq!(left, 1, "nothing but the executable stays");
    }

    #[test]
    fn another_content_than_announced_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let wanted = Content {
            hash: *blake3::hash(b"good").as_bytes(),
            len: 4,
        };
        let Code::Arriving(mut arriving) = Code::begin(&wanted, dir.path()) else {
            panic!("it is not there yet");
        };
        assert!(arriving.take(0, b"evil").is_err());
        let Code::Arriving(mut cut) = Code::begin(&wanted, dir.path()) else {
            panic!("it is not there yet");
        };
        assert!(cut.take(0, b"").is_err(), "the file ended early");
    }
}
