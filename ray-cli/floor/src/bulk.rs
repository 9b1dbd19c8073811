//! Raw quinn as a pipe: many bytes one way over one connection, with the settings that carry most.
//!
//! Packets of 6,500 bytes (ten of them fill one send), a congestion window that does not move and stays below
//! the socket's buffers, and one runtime of two threads in each process, so that encryption and the socket share
//! both cores. The receiver looks at nothing and keeps nothing.

use std::{
    any::Any,
    net::{Ipv4Addr, UdpSocket},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use quinn::{
    Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig,
    congestion::{Controller, ControllerFactory},
};

use crate::{FloorError, sides};

/// The largest packet of which ten fit into one send; bytes.
const MTU: u16 = 6500;
/// Bytes on their way; less than the system's socket buffers hold.
const WINDOW: u64 = 2 << 20;
/// Asked for; the system may allow less. Bytes.
const SOCKET_BUFFER: usize = 8 << 20;
/// Bytes handed to the stream at once.
const CHUNK: usize = 4 << 20;

#[derive(Clone, Debug)]
struct FixedWindow;

impl Controller for FixedWindow {
    fn on_congestion_event(&mut self, _: Instant, _: Instant, _: bool, _: u64) {}

    fn on_mtu_update(&mut self, _: u16) {}

    fn window(&self) -> u64 {
        WINDOW
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(FixedWindow)
    }

    fn initial_window(&self) -> u64 {
        WINDOW
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl ControllerFactory for FixedWindow {
    fn build(self: Arc<Self>, _: Instant, _: u16) -> Box<dyn Controller> {
        Box::new(FixedWindow)
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

fn transport() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .initial_mtu(MTU)
        .mtu_discovery_config(None)
        .congestion_controller_factory(Arc::new(FixedWindow))
        .send_window(8 << 20)
        .stream_receive_window((8u32 << 20).into())
        .receive_window((8u32 << 20).into());
    Arc::new(config)
}

fn endpoint(server: Option<ServerConfig>) -> Result<Endpoint, FloorError> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER)?;
    rustix::net::sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER)?;
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(MTU)?;
    Ok(Endpoint::new(
        config,
        server,
        socket,
        Arc::new(TokioRuntime),
    )?)
}

/// Takes one stream of one connection after the other, and answers each end with a byte.
///
/// # Errors
/// What the socket or the peer's connection reported.
pub fn bulk_server() -> Result<(), FloorError> {
    runtime()?.block_on(async {
        let (connection, _endpoint) =
            sides::serve(transport(), |config| endpoint(Some(config))).await?;
        // The measuring side closes the connection when it is done.
        while let Ok((mut send, mut receive)) = connection.accept_bi().await {
            while receive.read_chunk(usize::MAX, true).await?.is_some() {}
            send.write_all(&[1]).await?;
            send.finish()?;
        }
        Ok(())
    })
}

/// Starts `argv`, which must call [`bulk_server`], and sends it `bytes` so many times; GB/s each.
///
/// # Errors
/// What the process, the socket or the connection reported.
pub fn measure_bulk(argv: &[String], bytes: usize, rounds: usize) -> Result<Vec<f64>, FloorError> {
    runtime()?.block_on(async {
        let server = sides::start(argv, transport())?;
        let mut endpoint = endpoint(None)?;
        let connection = server.connect(&mut endpoint).await?;
        let chunk = Bytes::from(vec![7u8; CHUNK]);
        let mut rates = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let start = Instant::now();
            let (mut send, mut receive) = connection.open_bi().await?;
            let mut left = bytes;
            while left > 0 {
                let part = chunk.slice(..left.min(CHUNK));
                left -= part.len();
                send.write_chunk(part).await?;
            }
            send.finish()?;
            receive.read_to_end(1).await?;
            rates.push(bytes as f64 / 1e9 / start.elapsed().as_secs_f64());
        }
        server.end(connection, endpoint).await?;
        Ok(rates)
    })
}
