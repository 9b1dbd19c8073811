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
    Connection, Endpoint, EndpointConfig, Incoming, ReadToEndError, RecvStream, SendStream,
    ServerConfig, TokioRuntime, TransportConfig,
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

/// Turns a request's bytes into its answer's.
pub(super) type AnswerFn = dyn Fn(&[u8], SocketAddr) -> Vec<u8> + Send + Sync;

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
        answer: Arc<AnswerFn>,
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
            .spawn(move || run(socket, config, limits, answer, stopped, &ready))
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
        .stream_receive_window((REQUEST_BYTES_MAX as u32 + 1).into())
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
    answer: Arc<AnswerFn>,
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
            answer,
            at_once: Arc::new(Semaphore::new(DESK_REQUESTS_MAX)),
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
    answer: Arc<AnswerFn>,
    at_once: Arc<Semaphore>,
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
        let reading = receive.read_to_end(REQUEST_BYTES_MAX);
        let bytes = match timeout(self.limits.request, reading).await {
            Ok(Ok(bytes)) => Some(bytes),
            Ok(Err(ReadToEndError::TooLong)) => None,
            Ok(Err(_)) => return false,
            Err(_) => {
                connection.close(CLOSED_LATE.into(), b"the request did not arrive in time");
                return false;
            }
        };
        let Ok(_permit) = self.at_once.acquire().await else {
            return false;
        };
        let reply = match bytes {
            None => {
                receive.stop(CLOSED_TOO_LONG.into()).ok();
                too_long()
            }
            Some(bytes) => {
                let (answer, from) = (self.answer.clone(), connection.remote_address());
                match tokio::task::spawn_blocking(move || answer(&bytes, from)).await {
                    Ok(reply) => reply,
                    Err(error) => {
                        tracing::error!(%error, "a request could not be answered");
                        return false;
                    }
                }
            }
        };
        let sending = async {
            send.write_all(&reply).await.ok()?;
            send.finish().ok()?;
            // Until the other side has it all: what follows may be the end of this process.
            send.stopped().await.ok()
        };
        timeout(self.limits.request, sending).await.is_ok()
    }
}

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
