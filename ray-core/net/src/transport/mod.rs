//! The QUIC state of a process: endpoint, connections, timers; bytes in, frames out.

mod connection;
mod datagrams;
mod lanes;
mod progress;
mod reading;
mod window;

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use parking_lot::Mutex;
use quinn_proto::{
    ClientConfig, ConnectionHandle, Endpoint, EndpointConfig, HashedConnectionIdGenerator,
    IdleTimeout, ServerConfig, TransportConfig, VarInt,
};
use quinn_udp::{UdpSockRef, UdpSocketState};
use rkyv::util::AlignedVec;
use rustc_hash::FxHashMap;

use self::{connection::Connection, window::FixedWindow};
use crate::{
    CloseReason,
    config::{NetConfig, NetError, NetStats},
    lane::{LaneIn, Lanes},
    peer::Peer,
    pieces::{Cutter, Piece},
    poll::Shared,
    tls::Identity,
};

/// Something for the handler, in the order in which it happened.
pub(crate) enum Arrival {
    Frames(Peer, AlignedVec<16>),
    Pieces(Peer, Vec<Piece>),
    Hello(Peer, Vec<u8>),
    Closed(Peer, CloseReason),
}

/// Lanes that a process reads.
pub(crate) type LanesIn = Arc<Mutex<Vec<Arc<LaneIn>>>>;

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
    is_bulk: bool,
    /// Whether the socket may hold more than was taken.
    has_more: bool,
    net: Weak<Shared>,
    lanes: Option<Arc<dyn Lanes>>,
    /// The lanes that this process reads; looked at without the lock as well.
    pub(crate) lanes_in: LanesIn,
    /// When the socket was last looked at.
    looked: Instant,
    bind: IpAddr,
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
        if let Some(secret) = config.reset_secret {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
            // Only packets that were meant for a life of this process are answered.
            let mark = ring::hmac::sign(&key, b"connection ids");
            let mark = u64::from_le_bytes(*mark.as_ref().first_chunk().expect("32 bytes"));
            endpoint_config
                .reset_key(Arc::new(key))
                .cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(mark)));
        }
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
            is_bulk: config.is_bulk,
            has_more: false,
            net: Weak::new(),
            lanes: config.lanes.clone(),
            lanes_in: LanesIn::default(),
            looked: Instant::now(),
            bind: config.bind.ip(),
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

    /// Returns the peers of all connections, also of those that another has taken the place of.
    pub(crate) fn all_peers(&self) -> Vec<Peer> {
        let connected = self.connections.values();
        let connected = connected.filter_map(|connection| connection.peer.clone());
        connected.chain(self.peers()).collect()
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
                let connection = Connection::new(quic, Some(peer.clone()), now, self.cutter());
                self.connections.insert(handle, connection);
            }
            Err(error) => self.lose(&peer, CloseReason::Lost(error.to_string())),
        }
        peer
    }

    /// Returns what cuts the stream of a new connection into pieces, where that is done.
    fn cutter(&self) -> Option<Cutter> {
        self.is_bulk.then(|| Cutter::new(self.limit))
    }

    /// Returns whether the socket was left before all was taken; whoever pumps does so again.
    pub(crate) fn has_more(&self) -> bool {
        self.has_more
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
            .any(|connection| connection.unsent.is_some() || connection.owes_bell)
    }

    /// Receives, lets connections act, and transmits; returns whether anything happened.
    ///
    /// While lanes are read, the socket is looked at when `look` says so or it is time.
    pub(crate) fn pump(&mut self, dirty: &mut Vec<Peer>, look: Look) -> bool {
        let now = Instant::now();
        let is_time = look == Look::Socket
            || now.duration_since(self.looked) >= LOOK_AFTER
            || self.lanes_in.lock().is_empty();
        let received = is_time && self.receive(now);
        if is_time {
            self.looked = now;
        }
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
            let has_news = connection.has_lane_news();
            connection.active |= due || connection.unsent.is_some() || connection.owes_bell;
            connection.is_due |= has_output || has_news || connection.is_stuck_in_lane();
            touched |= due || has_news;
        }
        dirty.clear();
        if touched
            || self
                .connections
                .values()
                .any(|connection| connection.active || connection.is_due)
        {
            let active = self
                .connections
                .iter()
                .filter(|(_, connection)| connection.active || connection.is_due)
                .map(|(handle, _)| *handle)
                .collect::<Vec<_>>();
            for handle in active {
                if !self.advance_by_lane(handle) {
                    self.advance(handle, now);
                }
            }
        }
        touched
    }

    /// Lets what this process sent itself arrive.
    fn loop_back(&mut self, peer: &Peer) {
        let mut frames = self.spare.pop().unwrap_or_default();
        loop {
            let out = peer.0.out.lock().take();
            if out.is_empty() {
                break;
            }
            frames.extend_from_slice(&out);
        }
        peer.0.queued.fetch_sub(frames.len(), Ordering::AcqRel);
        self.arrivals
            .push_back(Arrival::Frames(peer.clone(), frames));
    }
}

/// Whether a pump must look at the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Socket,
    /// A while without is fine.
    Rarely,
}

/// Begins a close text that is a refusal of the other side's hello.
pub(crate) const REFUSAL_MARK: &str = "\u{1}refused\u{1}";

/// While lanes are read, the socket is looked at this often.
pub(crate) const LOOK_AFTER: Duration = Duration::from_micros(20);
/// Wakes a process for what is in a lane; no packet of QUIC is that short.
const BELL: [u8; 1] = [0];
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
/// Larger receive buffers are not kept; bytes.
const SPARE_BYTES_MAX: usize = 256 << 10;
