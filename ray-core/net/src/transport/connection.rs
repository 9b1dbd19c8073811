//! One connection: its stream out, its stream in, how it ends.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use bytes::Bytes;
use quinn_proto::{ConnectionError, StreamId, Transmit, VarInt, WriteError};
use rkyv::util::AlignedVec;

use crate::{
    BrokenLane, CloseReason,
    config::NetStats,
    lane::{LaneIn, LaneOut},
    peer::Peer,
    pieces::Cutter,
};

/// What this process knows of one connection.
pub(super) struct Connection {
    pub(super) quic: quinn_proto::Connection,
    /// Who it is; unknown at an accepting side before the hello.
    pub(super) peer: Option<Peer>,
    /// Whether this side's frames to the peer go over this connection.
    pub(super) sends: bool,
    pub(super) opened: Instant,
    pub(super) established: bool,
    pub(super) send: Option<StreamId>,
    pub(super) receive: Option<StreamId>,
    /// Bytes on their way into the stream.
    pub(super) pending: Option<Bytes>,
    /// Whether `pending` is still this side's hello.
    pub(super) hello_left: bool,
    /// Whether this side has ended its stream.
    pub(super) has_finished: bool,
    /// Whether the other side's hello was read.
    pub(super) was_greeted: bool,
    pub(super) inbox: AlignedVec<16>,
    /// Cuts what comes behind the hello into pieces, at endpoints for bulk.
    pub(super) cutter: Option<Cutter>,
    /// A datagram that the socket had no room for.
    pub(super) unsent: Option<(Transmit, Vec<u8>)>,
    pub(super) closing: Option<CloseReason>,
    pub(super) timeout: Option<Instant>,
    /// Whether something happened to it.
    pub(super) active: bool,
    /// Whether there is something to write, or something in its lane.
    pub(super) is_due: bool,
    /// Bytes that QUIC took from this side and gave to it.
    pub(super) sent: u64,
    pub(super) streamed: u64,
    pub(super) lane_out: LaneOut,
    pub(super) lane_in: Option<Arc<LaneIn>>,
    /// Whether the other side must be woken for what is in a lane, and was not yet.
    pub(super) owes_bell: bool,
    /// What is wrong with a lane.
    pub(super) fault: Option<BrokenLane>,
}

/// What a close means; the text goes with it.
pub(super) mod code {
    pub(in crate::transport) const CLOSED: u32 = 0;
    pub(in crate::transport) const REFUSED: u32 = 1;
    pub(in crate::transport) const PROTOCOL: u32 = 2;
}

impl Connection {
    pub(super) fn new(
        quic: quinn_proto::Connection,
        peer: Option<Peer>,
        now: Instant,
        cutter: Option<Cutter>,
    ) -> Box<Connection> {
        Box::new(Connection {
            quic,
            sends: peer.is_some(),
            peer,
            opened: now,
            established: false,
            send: None,
            receive: None,
            pending: None,
            hello_left: true,
            has_finished: false,
            was_greeted: false,
            inbox: AlignedVec::new(),
            cutter,
            unsent: None,
            closing: None,
            timeout: None,
            active: true,
            is_due: false,
            sent: 0,
            streamed: 0,
            lane_out: LaneOut::None,
            lane_in: None,
            owes_bell: false,
            fault: None,
        })
    }

    pub(super) fn close(&mut self, now: Instant, code: u32, reason: &str) {
        self.quic.close(
            now,
            VarInt::from_u32(code),
            Bytes::copy_from_slice(reason.as_bytes()),
        );
    }

    /// Returns whether nothing of an unfinished frame has come.
    pub(super) fn is_between_frames(&self) -> bool {
        self.inbox.is_empty() && self.cutter.as_ref().is_none_or(Cutter::is_between_frames)
    }

    /// Writes what is pending into the stream; returns how much it took.
    pub(super) fn write_pending(&mut self, stats: &mut NetStats) -> usize {
        let (Some(stream), Some(bytes)) = (self.send, self.pending.take()) else {
            return 0;
        };
        let mut chunks = [bytes];
        match self.quic.send_stream(stream).write_chunks(&mut chunks) {
            Ok(written) => {
                stats.bytes_out += written.bytes as u64;
                self.sent += written.bytes as u64;
                if chunks[0].is_empty() {
                    self.hello_left = false;
                } else {
                    let [rest] = chunks;
                    self.pending = Some(rest);
                }
                written.bytes
            }
            Err(WriteError::Blocked) => {
                let [rest] = chunks;
                self.pending = Some(rest);
                0
            }
            // The other side is closing; the loss of the connection follows.
            Err(WriteError::Stopped(_) | WriteError::ClosedStream) => 0,
        }
    }

    /// Ends the stream once all is written, so that its end is acknowledged.
    pub(super) fn finish_if_wanted(&mut self, peer: &Peer) {
        if self.has_finished
            || self.pending.is_some()
            || !peer.0.finish_wanted.load(Ordering::Acquire)
            || !peer.0.out.lock().is_empty()
        {
            return;
        }
        if let Some(stream) = self.send {
            self.has_finished = true;
            // Refused only when the other side no longer listens: then it is at its end as well.
            if self.quic.send_stream(stream).finish().is_err() {
                peer.0.finished.store(true, Ordering::Release);
            }
        }
    }

    /// Takes the first `len` bytes of the inbox as a buffer of their own.
    pub(super) fn take_front(
        &mut self,
        len: usize,
        spare: Option<AlignedVec<16>>,
    ) -> AlignedVec<16> {
        let mut rest = spare.unwrap_or_default();
        rest.extend_from_slice(&self.inbox[len..]);
        let mut front = std::mem::replace(&mut self.inbox, rest);
        front.truncate_to(len);
        front
    }
}

/// Cuts an aligned buffer short.
trait TruncateTo {
    fn truncate_to(&mut self, len: usize);
}

impl TruncateTo for AlignedVec<16> {
    fn truncate_to(&mut self, len: usize) {
        if len < self.len() {
            self.resize(len, 0);
        }
    }
}

/// Says why a connection ended, as its peer hears of it.
pub(super) fn close_reason(error: ConnectionError) -> CloseReason {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let text = String::from_utf8_lossy(&close.reason).into_owned();
            match u32::try_from(close.error_code.into_inner()) {
                Ok(code::REFUSED) => CloseReason::Refused(text),
                Ok(code::PROTOCOL) => CloseReason::Closed(format!("protocol error: {text}")),
                _ => CloseReason::Closed(text),
            }
        }
        ConnectionError::LocallyClosed => CloseReason::Local("closed".into()),
        other => CloseReason::Lost(other.to_string()),
    }
}
