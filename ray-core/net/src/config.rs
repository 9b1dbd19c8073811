//! How a process takes part, why it cannot, and what it counts.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use crate::{lane::Lanes, tls::Identity};

/// How long a waiting thread looks at the socket before it sleeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spin {
    /// Not at all.
    Off,
    /// As long as it has paid lately, at most 50 µs.
    #[default]
    Adaptive,
}

/// How a process takes part.
#[derive(Clone)]
pub struct NetConfig {
    /// This process's id.
    pub process: u64,
    /// Its certificate and key.
    pub identity: Identity,
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
    /// What it says about itself first.
    pub hello: Vec<u8>,
    /// Silence after which a sign of life is sent.
    pub keep_alive: Duration,
    /// Silence after which a peer counts as lost.
    pub idle_timeout: Duration,
    /// The most time a handshake may take.
    pub handshake_timeout: Duration,
    /// Whether waiting threads spin.
    pub spin: Spin,
    /// Whether it carries much to few: large packets where the way takes them, frames are handed on in pieces, and the
    /// watch thread alone drives it.
    pub is_bulk: bool,
    /// What a process that is started again under its id has in common with its earlier lives: by it others
    /// learn at once that their connections went with the life before.
    pub reset_secret: Option<[u8; 32]>,
    /// The most payload bytes of each kind of frame; 0 refuses the kind.
    pub limit: fn(u8) -> u32,
    /// Makes memory for frames between processes of one host; all goes through QUIC without it.
    pub lanes: Option<Arc<dyn Lanes>>,
}

impl NetConfig {
    /// Returns the defaults for a process on this machine.
    pub fn new(process: u64, identity: Identity, limit: fn(u8) -> u32) -> NetConfig {
        NetConfig {
            process,
            identity,
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            hello: Vec::new(),
            keep_alive: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(5),
            spin: Spin::default(),
            is_bulk: false,
            reset_secret: None,
            limit,
            lanes: None,
        }
    }
}

impl fmt::Debug for NetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetConfig")
            .field("process", &self.process)
            .field("bind", &self.bind)
            .field("keep_alive", &self.keep_alive)
            .field("idle_timeout", &self.idle_timeout)
            .field("is_bulk", &self.is_bulk)
            .field("has_lanes", &self.lanes.is_some())
            .finish_non_exhaustive()
    }
}

/// Why an endpoint could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The address is taken or not this machine's.
    #[error("could not listen on {addr}: {error}; choose another address or port 0")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The system refused a socket option.
    #[error("could not set up the socket: {0}")]
    Socket(io::Error),
    /// A setting makes no sense.
    #[error("bad network setting: {0}")]
    Config(String),
    /// The watch thread did not start.
    #[error("could not start the watch thread: {0}")]
    Thread(io::Error),
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetStats {
    /// Stream bytes received.
    pub bytes_in: u64,
    /// Stream bytes given to connections.
    pub bytes_out: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Sends, each of up to ten datagrams.
    pub datagrams_out: u64,
    /// Connections that never got through their handshake.
    pub handshake_failures: u64,
    /// Bytes of both directions that went through shared memory; part of the bytes above.
    pub lane_bytes: u64,
    /// Processes woken, or that woke this one, for what lies in shared memory.
    pub bells: u64,
}
