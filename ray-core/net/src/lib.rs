//! Bytes and peers, not tasks: one QUIC endpoint per process, driven by whoever calls.
//!
//! There is no IO thread. A thread that sends drives the endpoint itself; the thread that blocks polls
//! the socket; a watch thread takes over when nobody has polled for a millisecond, so that user code
//! which blocks stalls neither acknowledgements nor other callers. `quinn-proto` is driven directly: its
//! state machine is synchronous, so no waker and no second thread lies on the path of a call. Two processes of one host
//! put the same bytes through memory that both map, see [`Lanes`], when they are given some.
//!
//! Locks, outermost first: dispatch, core (the QUIC state), then a peer's outgoing buffer. The handler
//! runs under the dispatch lock only, in order per peer; it may push, connect, close and notify.

pub mod frame;
pub mod tls;

mod config;
mod lane;
mod outgoing;
mod peer;
mod pieces;
mod poll;
mod transport;
mod waiter;

pub use config::{NetConfig, NetError, NetStats, Spin};
pub use frame::{Frame, FrameBatch, Header, HeaderFields};
pub use lane::{BrokenLane, LaneReader, LaneWriter, Lanes};
pub use peer::{Flush, Peer};
pub use pieces::Piece;
pub use poll::Net;
pub use waiter::Waiter;

use std::fmt;

/// What a process does with what arrives; called by whichever thread drained it.
pub trait Handler: Send + Sync + 'static {
    /// Takes a batch of frames of one peer, in the order in which they were pushed; must not block.
    fn on_frames(&self, peer: &Peer, frames: &mut FrameBatch<'_>);

    /// Takes the next pieces of a peer's frames, in order, at an endpoint for bulk; must not block.
    ///
    /// Who starts no such endpoint is never asked.
    fn on_pieces(&self, peer: &Peer, _pieces: Vec<Piece>) {
        peer.close("this process takes no frames in pieces");
    }

    /// Judges what the other side says about itself before anything else of it is handled.
    ///
    /// # Errors
    /// A refusal closes the connection; its text reaches the other side.
    fn on_hello(&self, peer: &Peer, hello: &[u8]) -> Result<(), Refusal>;

    /// Notes that the hello of the peer was accepted.
    fn on_connected(&self, peer: &Peer);

    /// Notes that the peer is gone; nothing of it follows.
    fn on_closed(&self, peer: &Peer, reason: &CloseReason);
}

/// Why a process does not want to talk to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(String);

impl Refusal {
    /// Wraps the text that the other side will see.
    pub fn new(reason: impl Into<String>) -> Refusal {
        Refusal(reason.into())
    }
}

/// Why a peer is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The other side shut down or closed the connection, with its text.
    Closed(String),
    /// The other side refused this process's hello, with its text.
    Refused(String),
    /// This side closed the connection, with its text.
    Local(String),
    /// The other side broke the protocol, as this text says.
    Protocol(String),
    /// The connection was lost: no answer, wrong certificates, a reset.
    Lost(String),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Closed(text) => write!(f, "closed by the other side: {text}"),
            CloseReason::Refused(text) => write!(f, "refused by the other side: {text}"),
            CloseReason::Local(text) => write!(f, "closed here: {text}"),
            CloseReason::Protocol(text) => write!(f, "the other side broke the protocol: {text}"),
            CloseReason::Lost(text) => write!(f, "connection lost: {text}"),
        }
    }
}
