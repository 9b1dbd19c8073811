//! Datagrams: off the socket to connections, and from connections to the socket.

use std::{
    io::{self, IoSliceMut},
    time::Instant,
};

use quinn_proto::{DatagramEvent, Transmit};
use quinn_udp::{RecvMeta, UdpSockRef};

use super::{BELL, RECEIVE_BATCH, Transport, connection::Connection};

impl Transport {
    /// Takes what the socket holds; returns whether there was anything.
    ///
    /// At an endpoint for bulk it stops where answers are due: the other side's window would run dry meanwhile.
    pub(super) fn receive(&mut self, now: Instant) -> bool {
        let mut received = false;
        self.has_more = false;
        loop {
            let mut metas = [RecvMeta::default(); RECEIVE_BATCH];
            let count = {
                let mut buffers = self.receive.iter_mut();
                let mut slices: [IoSliceMut<'_>; RECEIVE_BATCH] = std::array::from_fn(|_| {
                    IoSliceMut::new(buffers.next().expect("one buffer a slot"))
                });
                match self
                    .udp
                    .recv(UdpSockRef::from(&self.socket), &mut slices, &mut metas)
                {
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return received,
                    Err(error) => {
                        // A port unreachable of another peer arrives here; timers settle who is gone.
                        tracing::trace!(%error, "receive");
                        return received;
                    }
                }
            };
            received |= count > 0;
            for (slot, meta) in metas[..count].iter().enumerate() {
                let ecn = meta
                    .ecn
                    .and_then(|ecn| quinn_proto::EcnCodepoint::from_bits(ecn as u8));
                // One large buffer serves many batches: it is used again once QUIC has let go of it.
                if self.datagrams.capacity() < meta.len {
                    self.datagrams.reserve(DATAGRAM_SLAB_BYTES.max(meta.len));
                }
                self.datagrams
                    .extend_from_slice(&self.receive[slot][..meta.len]);
                let mut data = self.datagrams.split();
                while !data.is_empty() {
                    let datagram = data.split_to(meta.stride.min(data.len()));
                    self.stats.datagrams_in += 1;
                    if datagram.len() == BELL.len() {
                        // It has woken this process, which looks at its lanes next.
                        self.stats.bells += 1;
                        continue;
                    }
                    self.response.clear();
                    let event = self.endpoint.handle(
                        now,
                        meta.addr,
                        meta.dst_ip,
                        ecn,
                        datagram,
                        &mut self.response,
                    );
                    match event {
                        Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                            if let Some(connection) = self.connections.get_mut(&handle) {
                                connection.quic.handle_event(event);
                                connection.active = true;
                            }
                        }
                        Some(DatagramEvent::NewConnection(incoming)) => self.accept(incoming, now),
                        Some(DatagramEvent::Response(transmit)) => self.respond(&transmit),
                        None => {}
                    }
                }
            }
            if count < RECEIVE_BATCH {
                return received;
            }
            if self.is_bulk {
                self.has_more = true;
                return received;
            }
        }
    }

    fn accept(&mut self, incoming: quinn_proto::Incoming, now: Instant) {
        self.response.clear();
        if self.connections.len() >= CONNECTIONS_MAX {
            let transmit = self.endpoint.refuse(incoming, &mut self.response);
            self.respond(&transmit);
            return;
        }
        match self
            .endpoint
            .accept(incoming, now, &mut self.response, None)
        {
            Ok((handle, quic)) => {
                let connection = Connection::new(quic, None, now, self.cutter());
                self.connections.insert(handle, connection);
            }
            Err(error) => {
                self.stats.handshake_failures += 1;
                tracing::debug!(cause = %error.cause, "a connection was not accepted");
                if let Some(transmit) = error.response {
                    self.respond(&transmit);
                }
            }
        }
    }

    fn respond(&self, transmit: &Transmit) {
        let sent = self.udp.try_send(
            UdpSockRef::from(&self.socket),
            &datagram(transmit, &self.response),
        );
        if let Err(error) = sent {
            tracing::trace!(%error, "a response was not sent; the other side asks again");
        }
    }

    /// Sends what a connection has to say, as far as the socket takes it.
    pub(super) fn transmit(&mut self, connection: &mut Connection, now: Instant) {
        if let Some((transmit, bytes)) = connection.unsent.take()
            && !self.send(&transmit, &bytes)
        {
            connection.unsent = Some((transmit, bytes));
            return;
        }
        let max_datagrams = self.udp.max_gso_segments().clamp(1, MAX_TRANSMIT_SEGMENTS);
        loop {
            self.outgoing.clear();
            let Some(transmit) =
                connection
                    .quic
                    .poll_transmit(now, max_datagrams, &mut self.outgoing)
            else {
                return;
            };
            let outgoing = std::mem::take(&mut self.outgoing);
            let sent = self.send(&transmit, &outgoing);
            if sent {
                self.outgoing = outgoing;
            } else {
                connection.unsent = Some((transmit, outgoing));
                return;
            }
        }
    }

    /// Sends one batch of datagrams; false when the socket has no room.
    fn send(&mut self, transmit: &Transmit, bytes: &[u8]) -> bool {
        match self
            .udp
            .try_send(UdpSockRef::from(&self.socket), &datagram(transmit, bytes))
        {
            Ok(()) => {
                self.stats.datagrams_out += 1;
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => {
                // QUIC takes it for a loss and sends it again.
                tracing::debug!(%error, "a datagram was not sent");
                true
            }
        }
    }
}

fn datagram<'a>(transmit: &Transmit, bytes: &'a [u8]) -> quinn_udp::Transmit<'a> {
    quinn_udp::Transmit {
        destination: transmit.destination,
        ecn: transmit
            .ecn
            .and_then(|ecn| quinn_udp::EcnCodepoint::from_bits(ecn as u8)),
        contents: &bytes[..transmit.size],
        segment_size: transmit.segment_size,
        src_ip: transmit.src_ip,
    }
}

/// Connections of one process at most.
const CONNECTIONS_MAX: usize = 4096;
/// With more segments a send is over 65,507 bytes and vanishes.
const MAX_TRANSMIT_SEGMENTS: usize = 10;
/// What datagrams are copied to for QUIC; bytes.
const DATAGRAM_SLAB_BYTES: usize = 64 << 10;
