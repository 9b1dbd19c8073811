//! A ring of bytes from one process to another: what a pair on one host says goes through memory.
//!
//! # Protocol
//! The writer makes the ring and describes it to the reader over a way that is private to both; whoever knows
//! the description and runs as the same user can map it. The bytes of a ring continue a stream that began
//! elsewhere: the reader says that it has the ring (`opened`), and only then the writer says after how many bytes
//! of that stream the ring goes on (`begins_at`).
//!
//! Each side writes its own counter only, ever growing: the writer `head`, the reader `tail`; `head - tail` bytes
//! wait. Before it sleeps the reader sets `asleep` and looks once more; the writer looks at `asleep` after it has
//! moved `head`. Both are sequentially consistent, so at least one sees the other, and the writer wakes the reader
//! by whatever both have agreed on. `full` is the same the other way round.
//!
//! # Trust
//! Each side keeps its own counter in memory of its own and checks the other's, so a peer that breaks the rules gets
//! an error. The bytes are copied out before anybody looks at them.

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::PathBuf,
    ptr,
    sync::atomic::{AtomicU32, AtomicU64, Ordering, fence},
};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};

use crate::arena::Mapping;

/// Bytes that a ring holds; a power of two.
pub const RING_BYTES: usize = 256 << 10;

/// Where the words lie; bytes. Each side's lie in lines of the cache that the other does not write.
const SECRET: usize = 0;
const BEGINS_AT: usize = 64;
const HEAD: usize = 72;
const FULL: usize = 128;
const TAIL: usize = 192;
const OPENED: usize = 200;
const ASLEEP: usize = 256;
/// Where the bytes begin.
const BODY: usize = 4096;
const NAME: &str = "ray-ring";

/// What the reader needs to find a ring.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RingPlace {
    pid: u32,
    fd: i32,
    secret: [u8; 16],
}

impl RingPlace {
    /// Length of the written form; bytes.
    pub const LEN: usize = 24;

    /// Returns the written form.
    pub fn to_bytes(self) -> [u8; RingPlace::LEN] {
        let mut bytes = [0; RingPlace::LEN];
        bytes[..4].copy_from_slice(&self.pid.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.fd.to_le_bytes());
        bytes[8..].copy_from_slice(&self.secret);
        bytes
    }

    /// Reads the written form.
    pub fn from_bytes(bytes: &[u8; RingPlace::LEN]) -> RingPlace {
        let [pid, fd] = [0, 4].map(|at| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let mut secret = [0; 16];
        secret.copy_from_slice(&bytes[8..]);
        RingPlace {
            pid: u32::from_le_bytes(pid),
            fd: i32::from_le_bytes(fd),
            secret,
        }
    }

    fn path(self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", self.pid, self.fd))
    }
}

/// The words and bytes, as both sides reach them.
struct Ring(Mapping);

impl Ring {
    fn map(fd: &OwnedFd) -> io::Result<Ring> {
        Mapping::new(fd.as_fd(), 0, BODY + RING_BYTES, true).map(Ring)
    }

    fn long(&self, offset: usize) -> &AtomicU64 {
        assert!(offset + size_of::<u64>() <= BODY && offset.is_multiple_of(size_of::<u64>()));
        // SAFETY: the word lies in the mapped first page, is aligned and was zeroed by the kernel; both processes
        // reach the words through atomics only.
        unsafe { self.0.at(offset).cast::<AtomicU64>().as_ref() }
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset + size_of::<u32>() <= BODY && offset.is_multiple_of(size_of::<u32>()));
        // SAFETY: as for `long`.
        unsafe { self.0.at(offset).cast::<AtomicU32>().as_ref() }
    }

    /// Returns the two stretches of the body that `len` bytes from position `at` take.
    fn stretches(at: u64, len: usize) -> [(usize, usize); 2] {
        assert!(len <= RING_BYTES);
        let start = at as usize & (RING_BYTES - 1);
        let first = len.min(RING_BYTES - start);
        [(BODY + start, first), (BODY, len - first)]
    }

    fn put(&self, at: u64, bytes: &[u8]) {
        let mut from = bytes;
        for (offset, len) in Ring::stretches(at, bytes.len()) {
            let (part, rest) = from.split_at(len);
            // SAFETY: the stretch lies in the mapped body, which no reference points into. It is the writer's until
            // it moves `head`: the reader has said through `tail` that it is done with it.
            unsafe { ptr::copy_nonoverlapping(part.as_ptr(), self.0.at(offset).as_ptr(), len) };
            from = rest;
        }
    }

    fn get(&self, at: u64, bytes: &mut [u8]) {
        let mut to = bytes;
        for (offset, len) in Ring::stretches(at, to.len()) {
            let (part, rest) = to.split_at_mut(len);
            // SAFETY: the stretch lies in the mapped body, which no reference points into. It is the reader's until
            // it moves `tail`; a writer that does not keep to that changes what is copied, not what is checked after.
            unsafe { ptr::copy_nonoverlapping(self.0.at(offset).as_ptr(), part.as_mut_ptr(), len) };
            to = rest;
        }
    }
}

/// The other side's counter says what cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other side of a ring in shared memory moved its counter wrongly")]
pub struct BrokenRing;

/// The side that writes.
pub struct RingWriter {
    ring: Ring,
    /// Open until the reader has the ring as well.
    fd: Option<OwnedFd>,
    place: RingPlace,
    head: u64,
    /// The reader's counter when it was last looked at.
    tail: u64,
}

impl RingWriter {
    /// Makes a ring; `secret` is what the reader recognises it by.
    ///
    /// # Errors
    /// What the system refused.
    pub fn create(secret: [u8; 16]) -> io::Result<RingWriter> {
        let fd = rustix::fs::memfd_create(NAME, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&fd, (BODY + RING_BYTES) as u64)?;
        rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let ring = Ring::map(&fd)?;
        let (low, high) = halves(secret);
        ring.long(SECRET).store(low, Ordering::Release);
        ring.long(SECRET + 8).store(high, Ordering::Release);
        let place = RingPlace {
            pid: std::process::id(),
            fd: fd.as_raw_fd(),
            secret,
        };
        Ok(RingWriter {
            ring,
            fd: Some(fd),
            place,
            head: 0,
            tail: 0,
        })
    }

    /// Returns what to tell the reader.
    pub fn place(&self) -> RingPlace {
        self.place
    }

    /// Returns whether the reader has the ring.
    pub fn is_opened(&self) -> bool {
        self.ring.word(OPENED).load(Ordering::Acquire) != 0
    }

    /// Says that the ring goes on after `sent` bytes of the stream.
    ///
    /// # Panics
    /// When `sent` is 0: something came before a ring, the place of it at least.
    pub fn begin(&mut self, sent: u64) {
        assert!(sent > 0, "a ring continues a stream");
        self.ring.long(BEGINS_AT).store(sent, Ordering::Release);
        self.fd = None;
    }

    /// Copies as many bytes into the ring as there is room for; returns how many.
    ///
    /// # Errors
    /// [`BrokenRing`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, BrokenRing> {
        if self.room() < bytes.len() {
            self.look()?;
        }
        let len = self.room().min(bytes.len());
        if len > 0 {
            self.ring.put(self.head, &bytes[..len]);
            self.head += len as u64;
            self.ring.long(HEAD).store(self.head, Ordering::Release);
        }
        Ok(len)
    }

    /// Asks the reader to say when there is room; false when there is some by now.
    ///
    /// # Errors
    /// [`BrokenRing`].
    pub fn wait_for_room(&mut self) -> Result<bool, BrokenRing> {
        self.ring.word(FULL).store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.look()?;
        let is_full = self.room() == 0;
        if !is_full {
            self.ring.word(FULL).store(0, Ordering::SeqCst);
        }
        Ok(is_full)
    }

    /// Returns whether the reader sleeps and must be woken, once.
    pub fn take_sleeper(&self) -> bool {
        fence(Ordering::SeqCst);
        let asleep = self.ring.word(ASLEEP);
        asleep.load(Ordering::SeqCst) != 0 && asleep.swap(0, Ordering::SeqCst) != 0
    }

    fn room(&self) -> usize {
        RING_BYTES - (self.head - self.tail) as usize
    }

    fn look(&mut self) -> Result<(), BrokenRing> {
        let tail = self.ring.long(TAIL).load(Ordering::Acquire);
        if tail < self.tail || tail > self.head {
            return Err(BrokenRing);
        }
        self.tail = tail;
        Ok(())
    }
}

/// The side that reads; one thread at a time reads, any may arm it.
pub struct RingReader {
    ring: Ring,
    /// This side's counter, which the other cannot change.
    tail: AtomicU64,
}

impl RingReader {
    /// Maps a ring that another process of this user on this host made, and says so in it.
    ///
    /// # Errors
    /// What the system refused, as for a process out of reach, or a file that is not that ring.
    pub fn open(place: RingPlace) -> io::Result<RingReader> {
        let wrong = || io::Error::other("the file is not the ring that was described");
        let name = fs::read_link(place.path())?;
        if !name
            .to_string_lossy()
            .starts_with(&format!("/memfd:{NAME}"))
        {
            return Err(wrong());
        }
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = rustix::fs::open(place.path(), flags, Mode::empty())?;
        let seals = rustix::fs::fcntl_get_seals(&fd)?;
        let has_len = rustix::fs::fstat(&fd)?.st_size == (BODY + RING_BYTES) as i64;
        if !has_len || !seals.contains(SealFlags::SHRINK | SealFlags::GROW) {
            return Err(wrong());
        }
        let ring = Ring::map(&fd)?;
        let (low, high) = halves(place.secret);
        let found = [SECRET, SECRET + 8].map(|at| ring.long(at).load(Ordering::Acquire));
        if found != [low, high] {
            return Err(wrong());
        }
        ring.word(OPENED).store(1, Ordering::Release);
        Ok(RingReader {
            ring,
            tail: AtomicU64::new(0),
        })
    }

    /// Returns after how many bytes of the stream the ring goes on, once the writer knows.
    pub fn begins_at(&self) -> Option<u64> {
        let at = self.ring.long(BEGINS_AT).load(Ordering::Acquire);
        (at != 0).then_some(at)
    }

    /// Returns how many bytes wait.
    ///
    /// # Errors
    /// [`BrokenRing`].
    pub fn available(&self) -> Result<usize, BrokenRing> {
        let head = self.ring.long(HEAD).load(Ordering::Acquire);
        let waiting = head.checked_sub(self.tail.load(Ordering::Relaxed));
        match waiting {
            Some(waiting) if waiting <= RING_BYTES as u64 => Ok(waiting as usize),
            _ => Err(BrokenRing),
        }
    }

    /// Copies the next bytes out, as many as `bytes` holds; returns whether the writer waits for room, once.
    ///
    /// # Panics
    /// When fewer bytes wait.
    pub fn read(&self, bytes: &mut [u8]) -> bool {
        let waiting = self.available().unwrap_or(0);
        assert!(bytes.len() <= waiting, "more is read than waits");
        let tail = self.tail.load(Ordering::Relaxed);
        self.ring.get(tail, bytes);
        let tail = tail + bytes.len() as u64;
        self.tail.store(tail, Ordering::Relaxed);
        self.ring.long(TAIL).store(tail, Ordering::Release);
        fence(Ordering::SeqCst);
        let full = self.ring.word(FULL);
        full.load(Ordering::SeqCst) != 0 && full.swap(0, Ordering::SeqCst) != 0
    }

    /// Asks the writer to wake this side with the next bytes; false when some wait by now.
    ///
    /// Only the writer takes the wish back, by waking: another thread of this side may sleep on it by then.
    pub fn arm(&self) -> bool {
        self.ring.word(ASLEEP).store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.available() == Ok(0)
    }
}

fn halves(secret: [u8; 16]) -> (u64, u64) {
    let whole = u128::from_le_bytes(secret);
    (whole as u64, (whole >> 64) as u64)
}
