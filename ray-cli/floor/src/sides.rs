//! The two sides of a floor over QUIC: who serves prints where and with which certificate, who measures starts it.

use std::{
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use quinn::{ClientConfig, Connection, Endpoint, ServerConfig, TransportConfig};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
};

use crate::FloorError;

/// A process that serves, how to reach it, and whom to trust.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) config: ClientConfig,
}

/// Serves one connection: prints the port and the certificate, then waits for who was told.
///
/// The endpoint is given back too, since its end is that of the connection.
pub(crate) async fn serve(
    transport: Arc<TransportConfig>,
    endpoint: impl FnOnce(ServerConfig) -> Result<Endpoint, FloorError>,
) -> Result<(Connection, Endpoint), FloorError> {
    let made = rcgen::generate_simple_self_signed(vec![NAME.into()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut config = ServerConfig::with_single_cert(vec![made.cert.der().clone()], key.into())?;
    config.transport_config(transport);
    let endpoint = endpoint(config)?;
    let hex: String = made.cert.der().iter().map(|b| format!("{b:02x}")).collect();
    println!("{} {hex}", endpoint.local_addr()?.port());
    let incoming = tokio::time::timeout(Duration::from_secs(10), endpoint.accept())
        .await?
        .ok_or("the endpoint closed")?;
    Ok((incoming.await?, endpoint))
}

/// Starts a process that calls [`serve`], and reads what it prints.
pub(crate) fn start(
    argv: &[String],
    transport: Arc<TransportConfig>,
) -> Result<Served, FloorError> {
    let mut child = Command::new(&argv[0])
        .args(&argv[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("no pipe from the server")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let (port, hex) = line
        .trim()
        .split_once(' ')
        .ok_or("no line from the server")?;
    let der = (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16))
        .collect::<Result<Vec<u8>, _>>()?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(der))?;
    let mut config = ClientConfig::with_root_certificates(Arc::new(roots))?;
    config.transport_config(transport);
    Ok(Served {
        child,
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?)),
        config,
    })
}

impl Served {
    /// Connects from an endpoint to the process.
    pub(crate) async fn connect(&self, endpoint: &mut Endpoint) -> Result<Connection, FloorError> {
        endpoint.set_default_client_config(self.config.clone());
        Ok(endpoint.connect(self.address, NAME)?.await?)
    }

    /// Says goodbye, and waits until the process has ended.
    pub(crate) async fn end(
        mut self,
        connection: Connection,
        endpoint: Endpoint,
    ) -> Result<(), FloorError> {
        connection.close(0u8.into(), b"done");
        endpoint.wait_idle().await;
        self.child.wait()?;
        Ok(())
    }
}

const NAME: &str = "floor";
