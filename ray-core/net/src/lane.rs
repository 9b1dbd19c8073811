//! The shorter way between two processes of one host: memory that both map carries what the stream would.
//!
//! Who sends makes a lane and says where it is in its hello, which only the other side can read. When that side has
//! opened it, the sender's stream goes on in the lane, after a number of bytes that stands in the lane itself: the
//! bytes are the same, so nothing above notices. QUIC stays for the rest: who the other side is, signs of life, the
//! stream's end, the close. A side that sleeps is woken by a datagram of one byte.
//!
//! How the memory comes about is said elsewhere, in an implementation of [`Lanes`].

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Makes and opens lanes.
pub trait Lanes: Send + Sync + 'static {
    /// Makes a lane that its reader recognises by `secret`.
    ///
    /// # Errors
    /// What the system refused; frames go through the stream then.
    fn make(&self, secret: [u8; 16]) -> io::Result<Box<dyn LaneWriter>>;

    /// Opens the lane that another process of this host made, and tells it through the lane.
    ///
    /// # Errors
    /// When it is out of reach or not what was described; frames go through the stream then.
    fn open(&self, place: &[u8]) -> io::Result<Box<dyn LaneReader>>;
}

/// The other side of a lane broke its rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other side broke the rules of the memory that both share")]
pub struct BrokenLane;

/// The side of a lane that sends.
pub trait LaneWriter: Send {
    /// Returns what the reader needs to open it.
    fn place(&self) -> Vec<u8>;

    /// Returns whether the reader has opened it.
    fn is_opened(&self) -> bool;

    /// Says that the lane goes on after `sent` bytes of the stream.
    fn begin(&mut self, sent: u64);

    /// Copies as many bytes as there is room for into the lane; returns how many.
    ///
    /// # Errors
    /// [`BrokenLane`].
    fn write(&mut self, bytes: &[u8]) -> Result<usize, BrokenLane>;

    /// Asks to be woken when there is room; false when there is some by now.
    ///
    /// # Errors
    /// [`BrokenLane`].
    fn wait_for_room(&mut self) -> Result<bool, BrokenLane>;

    /// Returns whether the reader sleeps and must be woken, once.
    fn take_sleeper(&self) -> bool;
}

/// The side of a lane that receives; one thread at a time reads, any may arm it.
pub trait LaneReader: Send + Sync {
    /// Returns after how many bytes of the stream the lane goes on, once the writer knows.
    fn begins_at(&self) -> Option<u64>;

    /// Returns how many bytes wait.
    ///
    /// # Errors
    /// [`BrokenLane`].
    fn available(&self) -> Result<usize, BrokenLane>;

    /// Fills `bytes`, of which there are at most as many as wait; returns whether the writer must be woken.
    fn read(&self, bytes: &mut [u8]) -> bool;

    /// Asks to be woken by the next bytes; false when some wait by now.
    fn arm(&self) -> bool;
}

/// A lane that this process reads, and how much of the stream came before it.
pub(crate) struct LaneIn {
    reader: Box<dyn LaneReader>,
    streamed: AtomicU64,
}

impl LaneIn {
    pub(crate) fn new(reader: Box<dyn LaneReader>, streamed: u64) -> Arc<LaneIn> {
        Arc::new(LaneIn {
            reader,
            streamed: AtomicU64::new(streamed),
        })
    }

    /// Notes how many bytes have come through the stream by now.
    pub(crate) fn set_streamed(&self, bytes: u64) {
        self.streamed.store(bytes, Ordering::Relaxed);
    }

    /// Returns how many bytes can be read now.
    pub(crate) fn available(&self) -> Result<usize, BrokenLane> {
        match self.is_its_turn() {
            true => self.reader.available(),
            false => Ok(0),
        }
    }

    /// Returns whether there is something to do for this lane.
    pub(crate) fn has_news(&self) -> bool {
        self.available() != Ok(0)
    }

    pub(crate) fn read(&self, bytes: &mut [u8]) -> bool {
        self.reader.read(bytes)
    }

    /// Sees to it that the next bytes wake this process; false when there are some.
    pub(crate) fn arm(&self) -> bool {
        // What is before the lane's turn comes by datagram, and wakes as well.
        self.reader.arm() || !self.is_its_turn()
    }

    fn is_its_turn(&self) -> bool {
        let begins = self.reader.begins_at();
        begins.is_some_and(|begins| begins == self.streamed.load(Ordering::Relaxed))
    }
}

/// The lane that this process writes, if the other side is where one can reach.
pub(crate) enum LaneOut {
    None,
    /// Made and described in the hello.
    Offered(Box<dyn LaneWriter>),
    /// Everything goes this way from now on.
    Begun(Box<dyn LaneWriter>),
}

impl LaneOut {
    /// Returns the writer once the stream goes on in the lane, which happens after `sent` bytes at the earliest chance.
    pub(crate) fn writer(&mut self, sent: u64) -> Option<&mut Box<dyn LaneWriter>> {
        if let LaneOut::Offered(writer) = self
            && writer.is_opened()
        {
            let LaneOut::Offered(mut writer) = std::mem::replace(self, LaneOut::None) else {
                return None;
            };
            writer.begin(sent);
            *self = LaneOut::Begun(writer);
        }
        match self {
            LaneOut::Begun(writer) => Some(writer),
            _ => None,
        }
    }

    /// Returns whether everything goes this way.
    pub(crate) fn is_begun(&self) -> bool {
        matches!(self, LaneOut::Begun(_))
    }
}

/// Returns whether a packet to `other` stays on this host, as far as addresses tell.
pub(crate) fn is_same_host(here: IpAddr, other: IpAddr) -> bool {
    other.is_loopback() || other == here
}
