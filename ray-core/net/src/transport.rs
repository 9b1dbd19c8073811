//! The QUIC state of a process: endpoint, connections, timers; bytes in, frames out.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use quinn_proto::{
    ClientConfig, ConnectionError, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig,
    Event, IdleTimeout, ReadError, ServerConfig, StreamEvent, StreamId, Transmit, TransportConfig,
    VarInt, WriteError,
};
use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use rkyv::util::AlignedVec;
use rustc_hash::FxHashMap;
use rustls::pki_types::CertificateDer;

use crate::{
    CloseReason,
    frame::{self, FrameBatch, HeaderFields, KIND_HELLO},
    peer::Peer,
    poll::{NetConfig, NetError, NetStats, Shared},
    tls::Identity,
};

/// Something for the handler, in the order in which it happened.
pub(crate) enum Arrival {
    Frames(Peer, AlignedVec<16>),
    Hello(Peer, Vec<u8>),
    Closed(Peer, CloseReason),
}

/// Endpoint and connections, behind one lock.
pub(crate) struct Transport {
    endpoint: Endpoint,
    client: Arc<quinn_proto::crypto::rustls::QuicClientConfig>,
    transport: Arc<TransportConfig>,
    identity: Identity,
    process: u64,
    hello: Vec<u8>,
    limit: fn(u8) -> u32,
    handshake_timeout: Duration,
    net: Weak<Shared>,
    socket: UdpSocket,
    udp: UdpSocketState,
    /// Boxed, since they are large and leave the map while they act.
    connections: BTreeMap<ConnectionHandle, Box<Connection>>,
    peers: FxHashMap<u64, Peer>,
    receive: Vec<Vec<u8>>,
    datagrams: BytesMut,
    response: Vec<u8>,
    outgoing: Vec<u8>,
    spare: Vec<AlignedVec<16>>,
    pub(crate) arrivals: VecDeque<Arrival>,
    pub(crate) stats: NetStats,
}

struct Connection {
    quic: quinn_proto::Connection,
    /// Who it is; unknown at an accepting side before the hello.
    peer: Option<Peer>,
    /// Whether this side's frames to the peer go over this connection.
    sends: bool,
    opened: Instant,
    established: bool,
    send: Option<StreamId>,
    receive: Option<StreamId>,
    /// Bytes on their way into the stream.
    pending: Option<Bytes>,
    /// Whether `pending` is still this side's hello.
    hello_left: bool,
    /// Whether this side has ended its stream.
    has_finished: bool,
    /// Whether the other side's hello was read.
    was_greeted: bool,
    inbox: AlignedVec<16>,
    /// A datagram that the socket had no room for.
    unsent: Option<(Transmit, Vec<u8>)>,
    closing: Option<CloseReason>,
    timeout: Option<Instant>,
    active: bool,
}

/// What a close means; the text goes with it.
mod code {
    pub(super) const CLOSED: u32 = 0;
    pub(super) const REFUSED: u32 = 1;
    pub(super) const PROTOCOL: u32 = 2;
}

/// A congestion window that loopback and a datacentre's switch can take: socket buffers stay above it.
#[derive(Clone, Debug)]
struct FixedWindow(u64);

impl quinn_proto::congestion::Controller for FixedWindow {
    fn on_congestion_event(
        &mut self,
        _now: Instant,
        _sent: Instant,
        _persistent: bool,
        _lost_bytes: u64,
    ) {
    }

    fn on_mtu_update(&mut self, _new_mtu: u16) {}

    fn window(&self) -> u64 {
        self.0
    }

    fn clone_box(&self) -> Box<dyn quinn_proto::congestion::Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.0
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any> {
        self
    }
}

impl quinn_proto::congestion::ControllerFactory for FixedWindow {
    fn build(
        self: Arc<Self>,
        _now: Instant,
        _mtu: u16,
    ) -> Box<dyn quinn_proto::congestion::Controller> {
        Box::new((*self).clone())
    }
}

impl Transport {
    pub(crate) fn new(config: &NetConfig) -> Result<Transport, NetError> {
        let socket = UdpSocket::bind(config.bind).map_err(|error| NetError::Bind {
            addr: config.bind,
            error,
        })?;
        socket.set_nonblocking(true).map_err(NetError::Socket)?;
        let udp = UdpSocketState::new(UdpSockRef::from(&socket)).map_err(NetError::Socket)?;
        for raised in [
            udp.set_send_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER_BYTES),
            udp.set_recv_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER_BYTES),
        ] {
            if let Err(error) = raised {
                tracing::debug!(%error, "the socket keeps its small buffers");
            }
        }
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            .max_concurrent_uni_streams(VarInt::from_u32(1))
            .max_idle_timeout(Some(
                IdleTimeout::try_from(config.idle_timeout)
                    .map_err(|error| NetError::Config(format!("idle_timeout: {error}")))?,
            ))
            .keep_alive_interval(Some(config.keep_alive))
            .stream_receive_window(VarInt::from_u32(WINDOW_BYTES))
            .receive_window(VarInt::from_u32(WINDOW_BYTES))
            .send_window(u64::from(WINDOW_BYTES))
            .datagram_receive_buffer_size(None);
        let mut endpoint_config = EndpointConfig::default();
        let mut receive_bytes = 1500 * udp.gro_segments().max(1);
        if config.bind.ip().is_loopback() {
            transport.congestion_controller_factory(Arc::new(FixedWindow(LOOPBACK_WINDOW_BYTES)));
            if config.is_bulk {
                transport
                    .initial_mtu(LOOPBACK_MTU)
                    .mtu_discovery_config(None);
                let allowed = endpoint_config.max_udp_payload_size(LOOPBACK_MTU);
                allowed.map_err(|error| NetError::Config(format!("loopback's MTU: {error}")))?;
                receive_bytes = receive_bytes.max(usize::from(u16::MAX));
            }
        }
        let transport = Arc::new(transport);
        let wrong = |error: crate::tls::TlsError| NetError::Config(error.to_string());
        let mut server = ServerConfig::with_crypto(config.identity.server().map_err(wrong)?);
        server
            .transport_config(transport.clone())
            .max_incoming(1024)
            .migration(false);
        let endpoint = Endpoint::new(
            Arc::new(endpoint_config),
            Some(Arc::new(server)),
            !udp.may_fragment(),
            None,
        );
        Ok(Transport {
            endpoint,
            client: config.identity.client().map_err(wrong)?,
            transport,
            identity: config.identity.clone(),
            process: config.process,
            hello: config.hello.clone(),
            limit: config.limit,
            handshake_timeout: config.handshake_timeout,
            net: Weak::new(),
            socket,
            udp,
            connections: BTreeMap::new(),
            peers: FxHashMap::default(),
            receive: (0..RECEIVE_BATCH).map(|_| vec![0; receive_bytes]).collect(),
            datagrams: BytesMut::new(),
            response: Vec::new(),
            outgoing: Vec::new(),
            spare: Vec::new(),
            arrivals: VecDeque::new(),
            stats: NetStats::default(),
        })
    }

    /// Lets peers find their way back.
    pub(crate) fn attach(&mut self, net: Weak<Shared>) {
        self.net = net;
    }

    pub(crate) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    pub(crate) fn peer(&self, process: u64) -> Option<Peer> {
        self.peers.get(&process).cloned()
    }

    pub(crate) fn peers(&self) -> Vec<Peer> {
        self.peers.values().cloned().collect()
    }

    /// Shows another certificate from now on; connections that are there go on.
    pub(crate) fn renew(&mut self, identity: Identity) -> Result<(), NetError> {
        let wrong = |error: crate::tls::TlsError| NetError::Config(error.to_string());
        let mut server = ServerConfig::with_crypto(identity.server().map_err(wrong)?);
        server
            .transport_config(self.transport.clone())
            .max_incoming(1024)
            .migration(false);
        self.client = identity.client().map_err(wrong)?;
        self.endpoint.set_server_config(Some(Arc::new(server)));
        self.identity = identity;
        Ok(())
    }

    /// Dials a process unless it is known; what this process sends itself arrives without a connection.
    pub(crate) fn connect(&mut self, process: u64, addr: SocketAddr) -> Peer {
        if let Some(peer) = self.peers.get(&process) {
            return peer.clone();
        }
        let peer = Peer::new(process, self.process, addr, self.net.clone());
        self.peers.insert(process, peer.clone());
        if process == self.process {
            peer.0.admitted.store(true, Ordering::Release);
            return peer;
        }
        let mut client = ClientConfig::new(self.client.clone());
        client.transport_config(self.transport.clone());
        let now = Instant::now();
        match self
            .endpoint
            .connect(now, client, addr, &self.identity.name_of(process))
        {
            Ok((handle, quic)) => {
                let connection = Connection::new(quic, Some(peer.clone()), now);
                self.connections.insert(handle, connection);
            }
            Err(error) => self.lose(&peer, CloseReason::Lost(error.to_string())),
        }
        peer
    }

    fn lose(&mut self, peer: &Peer, reason: CloseReason) {
        if !peer.0.closed.swap(true, Ordering::AcqRel) {
            self.peers.remove(&peer.0.process);
            peer.0.out.lock().clear();
            peer.0.queued.store(0, Ordering::Release);
            // A second connection of the same peer goes with it.
            for connection in self.connections.values_mut() {
                connection.active |= connection
                    .peer
                    .as_ref()
                    .is_some_and(|other| Arc::ptr_eq(&other.0, &peer.0));
            }
            self.arrivals
                .push_back(Arrival::Closed(peer.clone(), reason));
        }
    }

    /// Gives a receive buffer back for the next batch.
    pub(crate) fn recycle(&mut self, mut buffer: AlignedVec<16>) {
        if self.spare.len() < 16 && buffer.capacity() <= SPARE_BYTES_MAX {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// Returns when some timer is due.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.connections
            .values()
            .filter_map(|connection| connection.timeout)
            .min()
    }

    /// Returns whether the socket should be waited for to become writable.
    pub(crate) fn wants_writable(&self) -> bool {
        self.connections
            .values()
            .any(|connection| connection.unsent.is_some())
    }

    /// Receives, lets connections act, and transmits; returns whether anything happened.
    pub(crate) fn pump(&mut self, dirty: &mut Vec<Peer>) -> bool {
        let now = Instant::now();
        let received = self.receive(now);
        for peer in dirty.iter() {
            peer.0.dirty.store(false, Ordering::Release);
            if peer.0.process == self.process {
                self.loop_back(peer);
            }
        }
        let mut touched = received || !dirty.is_empty();
        for connection in self.connections.values_mut() {
            let due = connection.timeout.is_some_and(|timeout| timeout <= now);
            let has_output = connection.sends
                && connection
                    .peer
                    .as_ref()
                    .is_some_and(|peer| dirty.iter().any(|other| Arc::ptr_eq(&other.0, &peer.0)));
            connection.active |= due || has_output || connection.unsent.is_some();
            touched |= due;
        }
        dirty.clear();
        if touched
            || self
                .connections
                .values()
                .any(|connection| connection.active)
        {
            let active = self
                .connections
                .iter()
                .filter(|(_, connection)| connection.active)
                .map(|(handle, _)| *handle)
                .collect::<Vec<_>>();
            for handle in active {
                self.advance(handle, now);
            }
        }
        touched
    }

    /// Lets what this process sent itself arrive.
    fn loop_back(&mut self, peer: &Peer) {
        let out = peer.0.out.lock().split();
        let mut frames = self.spare.pop().unwrap_or_default();
        frames.extend_from_slice(&out);
        peer.0.queued.fetch_sub(out.len(), Ordering::AcqRel);
        self.arrivals
            .push_back(Arrival::Frames(peer.clone(), frames));
    }

    fn receive(&mut self, now: Instant) -> bool {
        let mut received = false;
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
                self.connections
                    .insert(handle, Connection::new(quic, None, now));
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

    /// Lets one connection do all that it can do now.
    fn advance(&mut self, handle: ConnectionHandle, now: Instant) {
        let Some(mut connection) = self.connections.remove(&handle) else {
            return;
        };
        connection.active = false;
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
        frame::append(
            &mut hello,
            self.process,
            target,
            &fields,
            &[],
            &[&self.hello],
        );
        connection.pending = Some(hello.freeze());
    }

    fn read(&mut self, connection: &mut Connection) -> Result<(), String> {
        let Some(stream) = connection.receive else {
            return Ok(());
        };
        let before = connection.inbox.len();
        let mut ended = false;
        let mut was_reset = false;
        {
            let mut receive = connection.quic.recv_stream(stream);
            let Ok(mut chunks) = receive.read(true) else {
                return Ok(());
            };
            loop {
                match chunks.next(usize::MAX) {
                    Ok(Some(chunk)) => connection.inbox.extend_from_slice(&chunk.bytes),
                    Ok(None) => {
                        ended = true;
                        break;
                    }
                    Err(ReadError::Blocked) => break,
                    Err(ReadError::Reset(_)) => {
                        was_reset = true;
                        break;
                    }
                }
            }
            let _flow_control = chunks.finalize();
        }
        if connection.inbox.len() > before {
            self.stats.bytes_in += (connection.inbox.len() - before) as u64;
            self.split(connection)?;
        }
        if ended && connection.inbox.is_empty() {
            // Everything was said; the other side closes once it knows that it arrived.
            connection.receive = None;
            Ok(())
        } else if ended || was_reset {
            Err("the stream of frames ended inside a frame".into())
        } else {
            Ok(())
        }
    }

    /// Takes the whole frames out of the inbox.
    fn split(&mut self, connection: &mut Connection) -> Result<(), String> {
        if !connection.was_greeted {
            let Some(len) = self.greet(connection)? else {
                return Ok(());
            };
            connection.take_front(len, self.spare.pop());
        }
        let (whole, fault) = frame::whole_frames(&connection.inbox, self.limit);
        if whole > 0 {
            let Some(peer) = connection.peer.clone() else {
                return Err("frames before a hello".into());
            };
            let frames = connection.take_front(whole, self.spare.pop());
            // Nothing follows a close, not even over the pair's other connection.
            if !peer.is_closed() {
                self.arrivals.push_back(Arrival::Frames(peer, frames));
            }
        }
        fault.map_or(Ok(()), Err)
    }

    /// Reads the hello; returns its length once all of it is there.
    fn greet(&mut self, connection: &mut Connection) -> Result<Option<usize>, String> {
        let Some(header) = connection.inbox.first_chunk() else {
            return Ok(None);
        };
        let header = frame::Header::parse(header, self.limit)?;
        if header.kind != KIND_HELLO {
            return Err("the first frame is not a hello".into());
        }
        let len = header.frame_bytes();
        if connection.inbox.len() < len {
            return Ok(None);
        }
        let claimed = header.source;
        let certificates = connection.quic.crypto_session().peer_identity();
        let certificates = certificates
            .and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok())
            .ok_or("the other side has no certificate")?;
        let is_genuine = certificates
            .first()
            .is_some_and(|certificate| self.identity.is_of(certificate, claimed));
        if !is_genuine {
            return Err(format!("a process that is not p{claimed:x} says it is"));
        }
        let peer = match &connection.peer {
            Some(peer) if peer.0.process == claimed => peer.clone(),
            Some(peer) => {
                return Err(format!(
                    "p{:x} was dialed and p{claimed:x} answered",
                    peer.0.process
                ));
            }
            None => {
                let known = self.peers.get(&claimed).cloned();
                let is_new = known.is_none();
                let addr = connection.quic.remote_address();
                let peer = known
                    .unwrap_or_else(|| Peer::new(claimed, self.process, addr, self.net.clone()));
                // When both dialed at once, each side keeps sending where it began.
                connection.sends = is_new;
                self.peers.insert(claimed, peer.clone());
                connection.peer = Some(peer.clone());
                peer
            }
        };
        connection.was_greeted = true;
        let mut batch = AlignedVec::<16>::new();
        batch.extend_from_slice(&connection.inbox[..len]);
        let hello = FrameBatch::new(&batch, self.limit)
            .next()
            .map(|frame| frame.body.to_vec())
            .unwrap_or_default();
        self.arrivals.push_back(Arrival::Hello(peer.clone(), hello));
        Ok(Some(len))
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
    fn write_out(&mut self, connection: &mut Connection, peer: &Peer) {
        loop {
            if connection.pending.is_none() {
                let out = peer.0.out.lock().split();
                if out.is_empty() {
                    return;
                }
                connection.pending = Some(out.freeze());
            }
            let was_hello = connection.hello_left;
            let written = connection.write_pending(&mut self.stats);
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

    fn transmit(&mut self, connection: &mut Connection, now: Instant) {
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

impl Connection {
    fn new(quic: quinn_proto::Connection, peer: Option<Peer>, now: Instant) -> Box<Connection> {
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
            unsent: None,
            closing: None,
            timeout: None,
            active: true,
        })
    }

    fn close(&mut self, now: Instant, code: u32, reason: &str) {
        self.quic.close(
            now,
            VarInt::from_u32(code),
            Bytes::copy_from_slice(reason.as_bytes()),
        );
    }

    /// Writes what is pending into the stream; returns how much it took.
    fn write_pending(&mut self, stats: &mut NetStats) -> usize {
        let (Some(stream), Some(bytes)) = (self.send, self.pending.take()) else {
            return 0;
        };
        let mut chunks = [bytes];
        match self.quic.send_stream(stream).write_chunks(&mut chunks) {
            Ok(written) => {
                stats.bytes_out += written.bytes as u64;
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
    fn finish_if_wanted(&mut self, peer: &Peer) {
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
    fn take_front(&mut self, len: usize, spare: Option<AlignedVec<16>>) -> AlignedVec<16> {
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

fn close_reason(error: ConnectionError) -> CloseReason {
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

/// Begins a close text that is a refusal of the other side's hello.
pub(crate) const REFUSAL_MARK: &str = "\u{1}refused\u{1}";

/// Receive buffers of one system call.
const RECEIVE_BATCH: usize = 4;
/// Asked for; the system may allow less. Bytes.
const SOCKET_BUFFER_BYTES: usize = 8 << 20;
/// Flow control, below what the socket buffers hold of real payload; bytes.
const WINDOW_BYTES: u32 = 4 << 20;
/// Loopback has no congestion, only buffers that overflow; bytes.
const LOOPBACK_WINDOW_BYTES: u64 = 2 << 20;
/// Ten packets of this size are the most that one send takes; bytes.
const LOOPBACK_MTU: u16 = 6500;
/// Connections of one process at most.
const CONNECTIONS_MAX: usize = 4096;
/// With more segments a send is over 65,507 bytes and vanishes.
const MAX_TRANSMIT_SEGMENTS: usize = 10;
/// What datagrams are copied to for QUIC; bytes.
const DATAGRAM_SLAB_BYTES: usize = 64 << 10;
/// Larger receive buffers are not kept; bytes.
const SPARE_BYTES_MAX: usize = 256 << 10;
