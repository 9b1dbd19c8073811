//! Another process as this one sees it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    frame::{self, HeaderFields},
    outgoing::Outgoing,
    poll::Shared,
};

/// When output leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// At once, sent by this thread.
    Now,
    /// When enough has gathered, somebody waits, or a millisecond is over.
    Lazy,
}

/// A handle of another process; clones are the same.
#[derive(Clone)]
pub struct Peer(pub(crate) Arc<PeerInner>);

pub(crate) struct PeerInner {
    pub(crate) process: u64,
    pub(crate) here: u64,
    pub(crate) addr: SocketAddr,
    pub(crate) net: Weak<Shared>,
    pub(crate) out: Mutex<Outgoing>,
    /// Bytes pushed and not yet taken by QUIC.
    pub(crate) queued: AtomicUsize,
    /// Whether the peer is in the list of those with fresh output.
    pub(crate) dirty: AtomicBool,
    pub(crate) closed: AtomicBool,
    /// What the handler noted of it.
    pub(crate) tag: AtomicU64,
    /// Whether the handler has accepted its hello.
    pub(crate) admitted: AtomicBool,
    /// Whether this process has nothing more to say.
    pub(crate) finish_wanted: AtomicBool,
    /// Whether the other side has everything.
    pub(crate) finished: AtomicBool,
    /// Set by `close` until the connection has been told.
    pub(crate) close_wanted: Mutex<Option<String>>,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Peer(p{:x} at {})", self.0.process, self.0.addr)
    }
}

impl Peer {
    pub(crate) fn new(process: u64, here: u64, addr: SocketAddr, net: Weak<Shared>) -> Peer {
        Peer(Arc::new(PeerInner {
            process,
            here,
            addr,
            net,
            out: Mutex::default(),
            queued: AtomicUsize::new(0),
            dirty: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            tag: AtomicU64::new(0),
            admitted: AtomicBool::new(false),
            finish_wanted: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            close_wanted: Mutex::new(None),
        }))
    }

    /// Returns the process's id.
    pub fn process(&self) -> u64 {
        self.0.process
    }

    /// Notes a number that the handler wants to know of it later.
    pub fn set_tag(&self, tag: u64) {
        self.0.tag.store(tag, Ordering::Release);
    }

    /// Returns the number that was noted, 0 before that.
    pub fn tag(&self) -> u64 {
        self.0.tag.load(Ordering::Acquire)
    }

    /// Returns where it is.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// Returns whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// Returns how many bytes were pushed and not yet taken by the connection.
    pub fn queued_bytes(&self) -> usize {
        self.0.queued.load(Ordering::Acquire)
    }

    /// Appends a frame to the outgoing buffer; never blocks and does no IO.
    ///
    /// Returns false when the peer is gone and the frame was dropped.
    pub fn push(&self, header: &HeaderFields, meta: &[u8], body: &[&[u8]]) -> bool {
        if self.is_closed() {
            return false;
        }
        {
            let mut out = self.0.out.lock();
            let out = out.gathered();
            let before = out.len();
            frame::append(out, self.0.here, self.0.process, header, meta, body);
            self.0
                .queued
                .fetch_add(out.len() - before, Ordering::AcqRel);
        }
        self.mark_dirty();
        true
    }

    /// Appends a frame whose body stays where it is until the other side has it; never blocks and does no IO.
    ///
    /// Returns false when the peer is gone and the frame was dropped. Who gave the body hears of its end when
    /// it is dropped, which may happen under any lock of this crate.
    pub fn push_whole(&self, header: &HeaderFields, meta: &[u8], body: Bytes) -> bool {
        if self.is_closed() {
            return false;
        }
        {
            let mut out = self.0.out.lock();
            let ends = (self.0.here, self.0.process);
            let before = out.gathered().len();
            let padding = frame::append_head(out.gathered(), ends, header, meta, body.len(), 0);
            let head = out.gathered().len() - before;
            self.0
                .queued
                .fetch_add(head + body.len() + padding, Ordering::AcqRel);
            out.append_whole(body);
            out.gathered().extend_from_slice(&frame::PADDING[..padding]);
        }
        self.mark_dirty();
        true
    }

    pub(crate) fn mark_dirty(&self) {
        if !self.0.dirty.swap(true, Ordering::AcqRel)
            && let Some(net) = self.0.net.upgrade()
        {
            net.dirty.lock().push(self.clone());
        }
    }

    /// Sends what was pushed, at once or when it is worth a packet.
    pub fn flush_hint(&self, mode: Flush) {
        let Some(net) = self.0.net.upgrade() else {
            return;
        };
        if mode == Flush::Lazy && self.queued_bytes() < LAZY_BYTES {
            net.arm_lazy();
        } else {
            net.drive();
        }
    }

    /// Closes the connection; the other side sees `reason`.
    pub fn close(&self, reason: &str) {
        self.0
            .close_wanted
            .lock()
            .get_or_insert_with(|| reason.to_owned());
        self.mark_dirty();
        if let Some(net) = self.0.net.upgrade() {
            net.drive();
        }
    }
}

/// Lazy output leaves from this size on; bytes.
const LAZY_BYTES: usize = 8 << 10;
