//! What a connection does when something happened to it.

use std::{sync::atomic::Ordering, time::Instant};

use bytes::BytesMut;
use quinn_proto::{ConnectionHandle, Dir, Event, StreamEvent};

use super::{
    REFUSAL_MARK, Transport,
    connection::{Connection, close_reason, code},
};
use crate::{
    CloseReason,
    frame::{self, HeaderFields, KIND_HELLO},
    peer::Peer,
};

impl Transport {
    /// Lets one connection do all that it can do now.
    pub(super) fn advance(&mut self, handle: ConnectionHandle, now: Instant) {
        let Some(mut connection) = self.connections.remove(&handle) else {
            return;
        };
        connection.active = false;
        connection.is_due = false;
        if connection.timeout.is_some_and(|timeout| timeout <= now) {
            connection.quic.handle_timeout(now);
        }
        if !connection.established
            && connection.closing.is_none()
            && now.duration_since(connection.opened) >= self.handshake_timeout
        {
            self.stats.handshake_failures += 1;
            let reason = CloseReason::Lost("the handshake took too long".into());
            self.end(
                &mut connection,
                now,
                (code::CLOSED, "the handshake took too long"),
                reason,
            );
        }
        let mut lost = self.events(handle, &mut connection, now);
        if lost.is_none() {
            self.take_close_wish(&mut connection, now);
            self.write(&mut connection);
        }
        if connection.owes_bell {
            self.ring_bell(&mut connection);
        }
        self.transmit(&mut connection, now);
        // Sending may have ended the connection or freed the way for more events.
        if lost.is_none() {
            lost = self.events(handle, &mut connection, now);
        }
        connection.timeout = connection.quic.poll_timeout();
        if !connection.established && connection.closing.is_none() {
            let deadline = connection.opened + self.handshake_timeout;
            connection.timeout = Some(
                connection
                    .timeout
                    .map_or(deadline, |timeout| timeout.min(deadline)),
            );
        }
        if lost.is_some() || connection.closing.is_some() {
            self.forget_lanes(&mut connection);
        }
        if let Some(reason) = lost {
            let reason = connection.closing.take().unwrap_or(reason);
            if let Some(peer) = connection.peer.take() {
                self.lose(&peer, reason);
            }
        }
        if !connection.quic.is_drained() {
            self.connections.insert(handle, connection);
        }
    }

    /// Handles what the state machine says; returns why the connection is lost, if it is.
    fn events(
        &mut self,
        handle: ConnectionHandle,
        connection: &mut Connection,
        now: Instant,
    ) -> Option<CloseReason> {
        let mut lost = None;
        loop {
            let mut quiet = true;
            while let Some(event) = connection.quic.poll_endpoint_events() {
                quiet = false;
                if let Some(event) = self.endpoint.handle_event(handle, event) {
                    connection.quic.handle_event(event);
                }
            }
            while let Some(event) = connection.quic.poll() {
                quiet = false;
                match event {
                    Event::Connected => self.on_connected(connection),
                    Event::ConnectionLost { reason } => {
                        if !connection.established {
                            self.stats.handshake_failures += 1;
                        }
                        lost = Some(close_reason(reason));
                    }
                    Event::Stream(StreamEvent::Finished { id }) if connection.send == Some(id) => {
                        if let Some(peer) = &connection.peer {
                            peer.0.finished.store(true, Ordering::Release);
                        }
                    }
                    Event::Stream(StreamEvent::Opened { dir: Dir::Uni }) => {
                        connection.receive = connection
                            .quic
                            .streams()
                            .accept(Dir::Uni)
                            .or(connection.receive);
                    }
                    _ => {}
                }
            }
            // What arrived together with a close came before it.
            if connection.closing.is_none()
                && let Err(reason) = self.read(connection)
                && lost.is_none()
            {
                tracing::debug!(%reason, "closing a connection");
                let told = CloseReason::Protocol(reason.clone());
                self.end(connection, now, (code::PROTOCOL, &reason), told);
            }
            if quiet {
                return lost;
            }
        }
    }

    /// Opens this side's stream and introduces this process.
    fn on_connected(&mut self, connection: &mut Connection) {
        connection.established = true;
        connection.send = connection.quic.streams().open(Dir::Uni);
        let target = connection.peer.as_ref().map_or(0, Peer::process);
        let mut hello = BytesMut::new();
        let fields = HeaderFields {
            kind: KIND_HELLO,
            ..HeaderFields::default()
        };
        let place = self.offer_lane(connection);
        frame::append(
            &mut hello,
            self.process,
            target,
            &fields,
            &place,
            &[&self.hello],
        );
        connection.pending = Some(hello.freeze());
    }
    fn take_close_wish(&mut self, connection: &mut Connection, now: Instant) {
        let Some(peer) = &connection.peer else { return };
        if connection.closing.is_some() {
            return;
        }
        if peer.is_closed() {
            let text = "the other connection of this pair ended";
            let reason = CloseReason::Local(text.into());
            self.end(connection, now, (code::CLOSED, text), reason);
            return;
        }
        let wish = peer.0.close_wanted.lock().clone();
        if let Some(text) = wish {
            if connection.established {
                // What was pushed before the close is part of what the other side should see.
                let peer = peer.clone();
                self.write_out(connection, &peer);
                self.transmit(connection, now);
            }
            let refused = text.strip_prefix(REFUSAL_MARK);
            let close_code = if refused.is_some() {
                code::REFUSED
            } else {
                code::CLOSED
            };
            let text = refused.unwrap_or(&text).to_owned();
            let reason = CloseReason::Local(text.clone());
            self.end(connection, now, (close_code, &text), reason);
        }
    }

    /// Closes a connection from this side; QUIC says nothing more about it.
    fn end(
        &mut self,
        connection: &mut Connection,
        now: Instant,
        (code, text): (u32, &str),
        reason: CloseReason,
    ) {
        connection.close(now, code, text);
        connection.closing = Some(reason.clone());
        if let Some(peer) = connection.peer.clone() {
            self.lose(&peer, reason);
        }
    }

    fn write(&mut self, connection: &mut Connection) {
        if !connection.established {
            return;
        }
        let peer = if connection.sends {
            connection.peer.clone()
        } else {
            None
        };
        match peer {
            Some(peer) => {
                self.write_out(connection, &peer);
                connection.finish_if_wanted(&peer);
            }
            None => {
                connection.write_pending(&mut self.stats);
            }
        }
    }

    /// Moves the peer's outgoing bytes into the stream, as far as it takes them.
    pub(super) fn write_out(&mut self, connection: &mut Connection, peer: &Peer) {
        loop {
            if connection.pending.is_none() {
                let out = peer.0.out.lock().take();
                if out.is_empty() {
                    return;
                }
                connection.pending = Some(out);
            }
            let was_hello = connection.hello_left;
            let written = if !was_hello && self.may_use_lane(connection) {
                self.write_lane(connection)
            } else {
                connection.write_pending(&mut self.stats)
            };
            if !was_hello {
                peer.0
                    .queued
                    .fetch_sub(written.min(peer.queued_bytes()), Ordering::AcqRel);
            }
            if connection.pending.is_some() {
                return;
            }
        }
    }
}
