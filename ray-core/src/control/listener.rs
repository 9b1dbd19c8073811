//! The QUIC side of the front desk: a thread, its deadlines and its limits.
//!
//! Who comes here has proven nothing yet. So a handshake and a request each have a deadline, a request
//! a length, and when there are too many connections the oldest gives way: a crowd of silent ones
//! cannot keep an honest one out. Past half of the limit a newcomer must first show that its address
//! is its own (QUIC's Retry).

use std::{
    collections::VecDeque,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use quinn::{
    Connection, Endpoint, EndpointConfig, Incoming, RecvStream, SendStream, ServerConfig,
    TokioRuntime, TransportConfig,
};
use ray_net::tls::desk::DeskIdentity;
use tokio::{
    sync::{Semaphore, watch},
    task::AbortHandle,
    time::timeout,
};

use super::protocol::{REQUEST_BYTES_MAX, RefusalCode, Refused, Reply};
use crate::{
    Error, Result,
    config::{
        DESK_CONNECTIONS_MAX, DESK_HANDSHAKE_TIMEOUT, DESK_REQUEST_TIMEOUT, DESK_REQUESTS_MAX,
    },
};

/// Who judges what arrives; may block.
pub(super) trait Attendant: Send + Sync + 'static {
    /// Turns a request's bytes into its answer's.
    fn answer(&self, request: &[u8], from: SocketAddr) -> Vec<u8>;

    /// Judges a request that is followed by bytes; returns who takes them, or the answer.
    fn begin_upload(&self, request: &[u8], from: SocketAddr) -> Result<Box<dyn Upload>, Vec<u8>>;
}

/// Who takes the bytes that follow a request; may block.
pub(super) trait Upload: Send + 'static {
    /// Takes the next bytes, or ends with an answer.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Vec<u8>>;

    /// Returns the answer when all have come.
    fn finish(self: Box<Self>) -> Vec<u8>;
}

/// How long and how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub handshake: Duration,
    pub request: Duration,
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            handshake: DESK_HANDSHAKE_TIMEOUT,
            request: DESK_REQUEST_TIMEOUT,
            connections: DESK_CONNECTIONS_MAX,
        }
    }
}

/// A listening thread; dropping it ends it once its answers are sent.
pub(super) struct Listener {
    local: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    pub(super) fn start(
        bind: SocketAddr,
        identity: &DeskIdentity,
        limits: Limits,
        attendant: Arc<dyn Attendant>,
    ) -> Result<Listener> {
        let socket = UdpSocket::bind(bind).map_err(|error| Error::InvalidOption {
            option: "port".into(),
            reason: match error.kind() {
                std::io::ErrorKind::AddrInUse => format!(
                    "UDP {bind} is taken; another head runs there: stop it or choose another port"
                ),
                _ => format!("cannot listen on UDP {bind}: {error}"),
            },
        })?;
        let failed = |error: &dyn std::fmt::Display| Error::System(format!("front desk: {error}"));
        let local = socket.local_addr().map_err(|error| failed(&error))?;
        let tls = identity.server().map_err(|error| failed(&error))?;
        let config = server_config(tls, limits);
        let (stop, stopped) = watch::channel(false);
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("ray-desk".into())
            .spawn(move || run(socket, config, limits, attendant, stopped, &ready))
            .map_err(|error| failed(&error))?;
        match is_ready.recv() {
            Ok(Ok(())) => Ok(Listener {
                local,
                stop,
                thread: Some(thread),
            }),
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(failed(&"its thread ended")),
        }
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the front desk's thread panicked");
        }
    }
}

fn server_config(
    tls: Arc<quinn::crypto::rustls::QuicServerConfig>,
    limits: Limits,
) -> ServerConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(1u32.into())
        .max_concurrent_uni_streams(0u32.into())
        .datagram_receive_buffer_size(None)
        // What strangers may make it hold, the connection's window limits.
        .stream_receive_window(UPLOAD_WINDOW_BYTES.into())
        .receive_window((2 * REQUEST_BYTES_MAX as u32).into())
        .max_idle_timeout(limits.request.try_into().ok());
    let mut config = ServerConfig::with_crypto(tls);
    config
        .transport_config(Arc::new(transport))
        .migration(false)
        .max_incoming(limits.connections);
    config
}

fn run(
    socket: UdpSocket,
    config: ServerConfig,
    limits: Limits,
    attendant: Arc<dyn Attendant>,
    stopped: watch::Receiver<bool>,
    ready: &mpsc::Sender<std::io::Result<()>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(DESK_REQUESTS_MAX)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            // The starter waits for this; when it is gone, so is the need.
            ready.send(Err(error)).ok();
            return;
        }
    };
    runtime.block_on(async {
        let made = Endpoint::new(
            EndpointConfig::default(),
            Some(config),
            socket,
            Arc::new(TokioRuntime),
        );
        let endpoint = match made {
            Ok(endpoint) => endpoint,
            Err(error) => {
                ready.send(Err(error)).ok();
                return;
            }
        };
        ready.send(Ok(())).ok();
        let service = Service {
            limits,
            attendant,
            at_once: Arc::new(Semaphore::new(DESK_REQUESTS_MAX)),
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
        };
        service.accept(&endpoint, stopped).await;
        // Every permit back means that every answer is out.
        let all = service.at_once.acquire_many(DESK_REQUESTS_MAX as u32);
        timeout(STOP_GRACE, all).await.ok();
        endpoint.close(0u32.into(), b"the head stops");
        timeout(STOP_GRACE, endpoint.wait_idle()).await.ok();
    });
    runtime.shutdown_timeout(STOP_GRACE);
}

/// How long the end of the desk waits for answers that are under way.
const STOP_GRACE: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Service {
    limits: Limits,
    attendant: Arc<dyn Attendant>,
    at_once: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
}

impl Service {
    async fn accept(&self, endpoint: &Endpoint, mut stopped: watch::Receiver<bool>) {
        let mut open: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            let incoming = tokio::select! {
                incoming = endpoint.accept() => incoming,
                _ = stopped.changed() => return,
            };
            let Some(incoming) = incoming else {
                return;
            };
            open.retain(|connection| !connection.is_finished());
            let crowded = open.len() >= self.limits.connections / 2;
            if crowded && !incoming.remote_address_validated() {
                if incoming.may_retry() {
                    incoming.retry().ok();
                }
                continue;
            }
            if open.len() >= self.limits.connections
                && let Some(oldest) = open.pop_front()
            {
                oldest.abort();
            }
            let connection = tokio::spawn(self.clone().attend(incoming));
            open.push_back(connection.abort_handle());
        }
    }

    /// Serves one connection until it is silent for too long.
    async fn attend(self, incoming: Incoming) {
        let Ok(Ok(connection)) = timeout(self.limits.handshake, incoming).await else {
            return;
        };
        loop {
            match timeout(self.limits.request, connection.accept_bi()).await {
                Ok(Ok((send, receive))) => {
                    if !self.serve(&connection, send, receive).await {
                        return;
                    }
                }
                Ok(Err(_)) => return,
                Err(_) => {
                    connection.close(CLOSED_LATE.into(), b"no request came in time");
                    return;
                }
            }
        }
    }

    /// Answers one request; returns whether the connection is still of use.
    async fn serve(
        &self,
        connection: &Connection,
        mut send: SendStream,
        mut receive: RecvStream,
    ) -> bool {
        let reading = read_request(&mut receive);
        let arrived = match timeout(self.limits.request, reading).await {
            Ok(Some(arrived)) => arrived,
            Ok(None) => return false,
            Err(_) => {
                connection.close(CLOSED_LATE.into(), b"the request did not arrive in time");
                return false;
            }
        };
        let from = connection.remote_address();
        let reply = match arrived {
            Arrived::TooLong => {
                receive.stop(CLOSED_TOO_LONG.into()).ok();
                Some(too_long())
            }
            Arrived::Whole(bytes) => {
                let Ok(_permit) = self.at_once.acquire().await else {
                    return false;
                };
                let attendant = self.attendant.clone();
                blocking(move || attendant.answer(&bytes, from)).await
            }
            Arrived::WithMore(request, more) => {
                let Ok(_permit) = self.uploads.acquire().await else {
                    return false;
                };
                self.upload(connection, &mut receive, request, more).await
            }
        };
        let Some(reply) = reply else {
            return false;
        };
        let sending = async {
            send.write_all(&reply).await.ok()?;
            send.finish().ok()?;
            // Until the other side has it all: what follows may be the end of this process.
            send.stopped().await.ok()
        };
        timeout(self.limits.request, sending).await.is_ok()
    }

    /// Takes the bytes that follow a request; returns the answer, unless the sender is gone or asleep.
    async fn upload(
        &self,
        connection: &Connection,
        receive: &mut RecvStream,
        request: Vec<u8>,
        mut bytes: Vec<u8>,
    ) -> Option<Vec<u8>> {
        let (attendant, from) = (self.attendant.clone(), connection.remote_address());
        let mut upload = match blocking(move || attendant.begin_upload(&request, from)).await? {
            Ok(upload) => upload,
            Err(reply) => {
                receive.stop(CLOSED_TOO_LONG.into()).ok();
                return Some(reply);
            }
        };
        // Its token was good.
        connection.set_receive_window(UPLOAD_WINDOW_BYTES.into());
        loop {
            let reading = receive.read_chunk(UPLOAD_WINDOW_BYTES as usize, true);
            let chunk = timeout(self.limits.request, reading).await.ok()?.ok()?;
            let is_last = chunk.is_none();
            bytes.extend_from_slice(&chunk.map(|chunk| chunk.bytes).unwrap_or_default());
            if bytes.len() < UPLOAD_WINDOW_BYTES as usize && !is_last {
                continue;
            }
            let taken = std::mem::take(&mut bytes);
            let more = move || {
                let done = upload.take(&taken);
                done.map(|()| upload)
            };
            match blocking(more).await? {
                Ok(further) if !is_last => upload = further,
                Ok(all) => return blocking(move || all.finish()).await,
                Err(reply) => {
                    receive.stop(CLOSED_TOO_LONG.into()).ok();
                    return Some(reply);
                }
            }
        }
    }
}

/// How much of a request has arrived.
enum Arrived {
    Whole(Vec<u8>),
    /// A request's line, and the first of the bytes that follow it.
    WithMore(Vec<u8>, Vec<u8>),
    TooLong,
}

/// Reads a request: up to its end, or up to the end of its line when more follows.
async fn read_request(receive: &mut RecvStream) -> Option<Arrived> {
    let mut bytes = Vec::new();
    loop {
        let room = REQUEST_BYTES_MAX + 1 - bytes.len();
        let Some(chunk) = receive.read_chunk(room, true).await.ok()? else {
            return Some(Arrived::Whole(bytes));
        };
        let before = bytes.len();
        bytes.extend_from_slice(&chunk.bytes);
        // JSON as we write it has no line's end inside.
        if let Some(end) = bytes[before..].iter().position(|byte| *byte == b'\n') {
            let more = bytes.split_off(before + end + 1);
            bytes.pop();
            return Some(Arrived::WithMore(bytes, more));
        }
        if bytes.len() > REQUEST_BYTES_MAX {
            return Some(Arrived::TooLong);
        }
    }
}

/// Runs what may block on a thread for that; `None` when it panicked.
async fn blocking<R: Send + 'static>(what: impl FnOnce() -> R + Send + 'static) -> Option<R> {
    match tokio::task::spawn_blocking(what).await {
        Ok(result) => Some(result),
        Err(error) => {
            tracing::error!(%error, "a request could not be answered");
            None
        }
    }
}

/// Bytes of an upload that may be under way, once its token was found good.
const UPLOAD_WINDOW_BYTES: u32 = 1 << 20;
/// Uploads at once; others wait.
const UPLOADS_MAX: usize = 4;

/// Codes that a connection is closed with, for whoever reads a trace.
const CLOSED_LATE: u32 = 1;
const CLOSED_TOO_LONG: u32 = 2;

fn too_long() -> Vec<u8> {
    let refused = Refused::new(
        RefusalCode::Request,
        format!("the request is over {REQUEST_BYTES_MAX} bytes, its limit"),
    );
    serde_json::to_vec(&Reply::Refused(refused)).unwrap_or_default()
}
