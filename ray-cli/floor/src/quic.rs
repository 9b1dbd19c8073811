//! Raw quinn between two processes: one stream, 64-byte frames, nothing else.

use std::{net::Ipv4Addr, sync::Arc, time::Instant};

use quinn::{ConnectionError, Endpoint, ReadError, RecvStream, SendStream, TransportConfig};
use tokio::io::AsyncWriteExt as _;

use crate::{FloorError, median, sides};

/// Bytes of a frame: the header of ours.
const FRAME: usize = 64;
/// Bytes written at once when frames are pipelined.
const CHUNK: usize = 8 << 10;

/// What raw quinn reaches.
#[derive(Clone, Copy, Debug)]
pub struct QuicFloor {
    /// A frame there and back, one at a time; median, microseconds.
    pub call_us: f64,
    /// Frames there and back a second, as many in flight as flow control lets.
    pub pipelined_per_s: f64,
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

fn transport() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config.send_window(8 << 20);
    config.stream_receive_window((8u32 << 20).into());
    config.receive_window((16u32 << 20).into());
    Arc::new(config)
}

/// Echoes every byte of one connection's stream; prints its certificate and port, ends with its peer.
///
/// # Errors
/// What the socket or the peer's connection reported.
pub fn echo_server() -> Result<(), FloorError> {
    runtime()?.block_on(async {
        let here = |config| Ok(Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into())?);
        let (connection, _endpoint) = sides::serve(transport(), here).await?;
        let (mut send, mut receive) = connection.accept_bi().await?;
        let mut buffer = vec![0u8; 64 << 10];
        loop {
            match receive.read(&mut buffer).await {
                Ok(Some(read)) => send.write_all(&buffer[..read]).await?,
                // The measuring side closes the connection when it is done.
                Ok(None)
                | Err(ReadError::ConnectionLost(ConnectionError::ApplicationClosed(_))) => {
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    })
}

/// Starts `argv`, which must call [`echo_server`], and measures against it.
///
/// # Errors
/// What the process, the socket or the connection reported.
pub fn measure_quic(argv: &[String], calls: usize, frames: usize) -> Result<QuicFloor, FloorError> {
    runtime()?.block_on(async {
        let server = sides::start(argv, transport())?;
        let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
        let connection = server.connect(&mut endpoint).await?;
        let (mut send, mut receive) = connection.open_bi().await?;
        let call_us = sync_calls(&mut send, &mut receive, calls).await?;
        let pipelined_per_s = pipelined(send, receive, frames).await?;
        server.end(connection, endpoint).await?;
        Ok(QuicFloor {
            call_us,
            pipelined_per_s,
        })
    })
}

async fn sync_calls(
    send: &mut SendStream,
    receive: &mut RecvStream,
    calls: usize,
) -> Result<f64, FloorError> {
    let mut frame = [0u8; FRAME];
    let warm = (calls / 10).max(100);
    let mut samples = Vec::with_capacity(calls);
    for call in 0..calls + warm {
        let start = Instant::now();
        send.write_all(&frame).await?;
        receive.read_exact(&mut frame).await?;
        if call >= warm {
            samples.push(start.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok(median(&mut samples))
}

async fn pipelined(
    mut send: SendStream,
    mut receive: RecvStream,
    frames: usize,
) -> Result<f64, FloorError> {
    let bytes = (frames * FRAME).next_multiple_of(CHUNK);
    let start = Instant::now();
    let write = async {
        let chunk = [1u8; CHUNK];
        for _ in 0..bytes / CHUNK {
            send.write_all(&chunk).await?;
        }
        send.flush().await?;
        Ok::<(), FloorError>(())
    };
    let read = async {
        let mut left = bytes;
        let mut buffer = vec![0u8; 64 << 10];
        while left > 0 {
            let read = receive
                .read(&mut buffer)
                .await?
                .ok_or("the echo ended early")?;
            left -= read;
        }
        Ok::<(), FloorError>(())
    };
    tokio::try_join!(write, read)?;
    Ok((bytes / FRAME) as f64 / start.elapsed().as_secs_f64())
}
