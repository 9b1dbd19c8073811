//! What the integration tests share: tokens between processes, counts that survive a crash.

mod cluster;
mod lab;
mod relay;
mod small_disk;

pub use cluster::Cluster;
pub use lab::{Lab, Machine};
pub use relay::{Counts, Faults, Relay, Side};
pub use small_disk::SmallDisk;

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::fd::AsFd as _,
    path::Path,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::Mode,
    process::{Pid, Signal},
};
use tempfile::TempDir;

/// No test waits longer than this for something that should happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A semaphore between processes, a FIFO whose bytes are the tokens: no test sleeps to be in time.
pub struct Tokens {
    path: String,
    file: File,
    _dir: TempDir,
}

impl Tokens {
    /// Makes a semaphore without tokens.
    pub fn new() -> Tokens {
        let dir = TempDir::new().expect("a folder");
        let path = dir.path().join("tokens");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR).expect("a FIFO");
        let path = path.to_str().expect("a UTF-8 path").to_owned();
        let file = open(&path);
        Tokens {
            path,
            file,
            _dir: dir,
        }
    }

    /// Returns the name by which other processes use it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Adds `count` tokens.
    pub fn add(&self, count: usize) {
        (&self.file)
            .write_all(&vec![1; count])
            .expect("room for tokens");
    }

    /// Takes a token, waiting for it.
    ///
    /// # Panics
    /// When none comes for a minute.
    pub fn take(&self) {
        take_from(&self.file);
    }

    /// Returns whether a token is there.
    pub fn is_empty(&self) -> bool {
        !has_byte(&self.file, Duration::ZERO)
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Tokens::new()
    }
}

/// Adds a token to the semaphore behind `path`.
pub fn add_token(path: &str) {
    open(path).write_all(&[1]).expect("room for a token");
}

/// Takes a token from the semaphore behind `path`, waiting for it.
pub fn take_token(path: &str) {
    take_from(&open(path));
}

fn open(path: &str) -> File {
    // Opened for both, neither side waits for the other here.
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("the FIFO of the test")
}

fn has_byte(file: &File, limit: Duration) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN)];
    let limit = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).expect("a short limit"),
        tv_nsec: i64::from(limit.subsec_nanos()),
    };
    rustix::event::poll(&mut fds, Some(&limit)).expect("a FIFO can be polled") > 0
}

fn take_from(mut file: &File) {
    assert!(has_byte(file, PATIENCE), "no token came within a minute");
    file.read_exact(&mut [0]).expect("a token");
}

/// A count that processes add to and that outlives them.
pub struct Tally {
    path: String,
    _dir: TempDir,
}

impl Tally {
    /// Starts at zero.
    pub fn new() -> Tally {
        let dir = TempDir::new().expect("a folder");
        let path = dir.path().join("tally");
        File::create(&path).expect("a file");
        Tally {
            path: path.to_str().expect("a UTF-8 path").to_owned(),
            _dir: dir,
        }
    }

    /// Returns the name by which other processes add to it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns how often [`tally`] was called.
    pub fn count(&self) -> u64 {
        count_at(&self.path)
    }
}

impl Default for Tally {
    fn default() -> Self {
        Tally::new()
    }
}

/// Adds one to the count behind `path`; returns how many came before.
pub fn tally(path: &str) -> u64 {
    let before = count_at(path);
    OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(b"."))
        .expect("the tally of the test");
    before
}

fn count_at(path: &str) -> u64 {
    std::fs::metadata(path)
        .expect("the tally of the test")
        .len()
}

/// Ends a process as nobody can prevent.
///
/// # Panics
/// When there is no such process.
pub fn kill9(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("a process id");
    rustix::process::kill_process(pid, Signal::KILL).expect("the process is there");
}

/// Returns whether a process runs (a zombie does not).
pub fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap_or("Z").starts_with('Z'))
}

/// Waits until `what` holds, looking every few milliseconds; false after a minute.
pub fn eventually(mut what: impl FnMut() -> bool) -> bool {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !what() {
        if std::time::Instant::now() > deadline {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(3));
    }
    true
}

/// Returns whether a path exists; a shorthand for conditions.
pub fn exists(path: &str) -> bool {
    Path::new(path).exists()
}
