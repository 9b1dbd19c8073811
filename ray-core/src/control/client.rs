//! The newcomer's and the command line's side of the front desk; blocking, one connection a request.

mod submit;

use std::{
    fs::File,
    io::{ErrorKind, Read as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, TransportConfig, VarInt};
use ray_engine::ids::ProcessId;
use ray_net::tls::{CERTIFICATE_LIFE, desk, fingerprint_of};
use tokio::{net::UdpSocket, time::timeout};

use super::{
    api::Admission,
    protocol::{
        ANSWER_BYTES_MAX, Answer, ClusterStatus, Command, Join, Query, RefusalCode, Reply, Request,
    },
    token::{Role, Token},
    token_office::wall_now,
};
use crate::{
    Error, Result,
    config::{DESK_HANDSHAKE_TIMEOUT, DESK_PORT, DESK_REQUEST_TIMEOUT},
    wire::WIRE_VERSION,
};

/// Asks the head of one cluster.
///
/// ```no_run
/// use ray_core::control::Client;
///
/// let client = Client::new("head.example:6379", std::env::var("RAY_TOKEN").unwrap_or_default().parse()?);
/// println!("{} nodes", client.status()?.nodes.len());
/// # Ok::<(), ray_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    address: String,
    token: Token,
}

impl Client {
    /// Makes a client of the head at `HOST:PORT`; the port is 6379 when it is left out.
    pub fn new(address: impl Into<String>, token: Token) -> Client {
        Client {
            address: address.into(),
            token,
        }
    }

    /// Checks that a text has the form of an address; asks nobody.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], which says what the form is.
    pub fn check_address(address: &str) -> Result<()> {
        split(address).map(drop)
    }

    /// Returns where the head is looked for.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns how the cluster is doing.
    ///
    /// # Errors
    /// See [`Client::query`].
    pub fn status(&self) -> Result<ClusterStatus> {
        match self.query(Query::Status)? {
            Answer::Status(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    /// Looks something up.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Unauthenticated`], or what the head answered.
    pub fn query(&self, query: Query) -> Result<Answer> {
        let secret = self.token.secret().to_vec();
        self.ask(&Request::Query { secret, query })
    }

    /// Has something done.
    ///
    /// # Errors
    /// As [`Client::query`].
    pub fn command(&self, command: Command) -> Result<Answer> {
        let secret = self.token.secret().to_vec();
        self.ask(&Request::Command { secret, command })
    }

    /// Joins the cluster with a key, a point of P-256, whose secret half the caller keeps.
    ///
    /// # Errors
    /// As [`Client::query`], and [`Error::VersionMismatch`].
    pub(crate) fn join(
        &self,
        role: Role,
        public_key: Vec<u8>,
        node_name: &str,
    ) -> Result<Admission> {
        self.join_with(Join {
            wire_version: WIRE_VERSION,
            build: env!("CARGO_PKG_VERSION").into(),
            role,
            secret: self.token.secret().to_vec(),
            public_key,
            clock_s: wall_now().0,
            node_name: node_name.to_owned(),
        })
    }

    /// Joins with a request that says what the caller likes.
    pub(super) fn join_with(&self, join: Join) -> Result<Admission> {
        let request = encode(&Request::Join(join))?;
        let (reply, desk) = exchange(&self.address, &self.token, &request, None)?;
        let joined = match reply {
            Reply::Joined(joined) => joined,
            Reply::Answer(other) => return Err(unexpected(&other)),
            Reply::Refused(refused) => return Err(refusal(refused.code, refused.text)),
        };
        if fingerprint_of(&joined.root) != self.token.fingerprint() {
            return Err(Error::Unauthenticated(
                "the head gave the certificate of another cluster".into(),
            ));
        }
        let mut control_address = joined.control_address;
        if control_address.ip().is_unspecified() {
            // The head listens on every address it has, and at one of them the desk was found.
            control_address.set_ip(desk.ip());
        }
        Ok(Admission {
            cluster: joined.cluster,
            process: ProcessId(joined.process),
            delegation: joined.delegation,
            root: joined.root,
            control: (ProcessId(joined.control_process), control_address),
            certificate_life: match joined.certificate_life_s {
                0 => CERTIFICATE_LIFE,
                seconds => Duration::from_secs(seconds),
            },
            job: joined.job,
        })
    }

    fn ask(&self, request: &Request) -> Result<Answer> {
        match exchange(&self.address, &self.token, &encode(request)?, None)?.0 {
            Reply::Answer(answer) => Ok(answer),
            Reply::Refused(refused) => Err(refusal(refused.code, refused.text)),
            Reply::Joined(_) => Err(Error::System("the head answered another question".into())),
        }
    }
}

fn tls(error: impl std::fmt::Display) -> Error {
    Error::Unauthenticated(error.to_string())
}

fn unexpected(answer: &Answer) -> Error {
    let shown = format!("{answer:?}");
    let kind = shown.split([' ', '(']).next().unwrap_or_default();
    Error::System(format!("the head answered another question: {kind}"))
}

fn refusal(code: RefusalCode, text: String) -> Error {
    match code {
        RefusalCode::Token | RefusalCode::Clock => Error::Unauthenticated(text),
        RefusalCode::Version => Error::VersionMismatch(text),
        RefusalCode::Request | RefusalCode::Failed | RefusalCode::Other => Error::Refused(text),
    }
}

fn encode(request: &Request) -> Result<Vec<u8>> {
    serde_json::to_vec(request).map_err(|error| Error::System(error.to_string()))
}

/// Sends one request, and a file after it; returns the answer and where it came from.
pub(super) fn exchange(
    address: &str,
    token: &Token,
    bytes: &[u8],
    file: Option<&Path>,
) -> Result<(Reply, SocketAddr)> {
    // A thread of its own: the caller may itself be a task of a runtime, which must not block.
    let answered = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| Error::System(format!("no runtime to ask with: {error}")))?;
            let answered = runtime.block_on(ask_all(address, token, bytes, file));
            // The resolver's thread may still wait for its server.
            runtime.shutdown_background();
            answered
        });
        asking.join()
    });
    answered.unwrap_or_else(|_| Err(Error::System("the asking thread panicked".into())))
}

/// Tries every address that the name stands for.
async fn ask_all(
    address: &str,
    token: &Token,
    bytes: &[u8],
    file: Option<&Path>,
) -> Result<(Reply, SocketAddr)> {
    let mut last = unreachable_at(address, "its name stands for no address");
    for at in resolve(address).await? {
        let asked = Asked { address, at };
        match asked.ask(token, bytes, file).await {
            Err(error @ Error::Unreachable { .. }) => last = error,
            answered => return answered.map(|reply| (reply, at)),
        }
    }
    Err(last)
}

async fn resolve(address: &str) -> Result<Vec<SocketAddr>> {
    let (host, port) = split(address)?;
    let looked_up = timeout(
        DESK_HANDSHAKE_TIMEOUT,
        tokio::net::lookup_host((host, port)),
    )
    .await;
    match looked_up {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(error)) => Err(unreachable_at(
            address,
            format!(
                "the name `{host}` does not resolve ({error}); check its spelling or give an IP address"
            ),
        )),
        Err(_) => Err(unreachable_at(
            address,
            format!(
                "the name `{host}` did not resolve within {DESK_HANDSHAKE_TIMEOUT:?}; check the name server or give an IP address"
            ),
        )),
    }
}

/// Returns the host and the port, which is the usual one when it is left out.
fn split(address: &str) -> Result<(&str, u16)> {
    let wrong = || Error::InvalidOption {
        option: "address".into(),
        reason: format!("`{address}` is not of the form HOST:PORT"),
    };
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(wrong)?;
        (host, after.strip_prefix(':'))
    } else if address.matches(':').count() > 1 {
        (address, None)
    } else {
        match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        }
    };
    let port = port.map_or(Ok(DESK_PORT), |port| port.parse().map_err(|_| wrong()))?;
    if host.is_empty() || host.contains(['/', ' ', '@']) || port == 0 {
        return Err(wrong());
    }
    Ok((host, port))
}

fn unreachable_at(address: &str, reason: impl Into<String>) -> Error {
    Error::Unreachable {
        address: address.to_owned(),
        reason: reason.into(),
    }
}

/// One try: the address as it was given, and one that it stands for.
struct Asked<'a> {
    address: &'a str,
    at: SocketAddr,
}

impl Asked<'_> {
    async fn ask(&self, token: &Token, bytes: &[u8], file: Option<&Path>) -> Result<Reply> {
        let endpoint = Endpoint::client(any_port(self.at))
            .map_err(|error| self.unreachable(format!("no socket to reach it: {error}")))?;
        let connection = self.dial(&endpoint, token).await?;
        let answered = converse(&connection, bytes, file).await;
        connection.close(0u32.into(), b"done");
        // Lets the close go out, so that the head need not wait for silence.
        timeout(CLOSE_GRACE, endpoint.wait_idle()).await.ok();
        let reply = match answered {
            Ok(reply) => reply,
            Err(text) => return Err(self.unreachable(text)),
        };
        serde_json::from_slice(&reply).map_err(|error| {
            Error::VersionMismatch(format!(
                "the head's answer makes no sense to this build ({}): {error}",
                env!("CARGO_PKG_VERSION")
            ))
        })
    }

    async fn dial(&self, endpoint: &Endpoint, token: &Token) -> Result<Connection> {
        let tls = desk::client(token.fingerprint()).map_err(tls)?;
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(0u32.into())
            .max_concurrent_uni_streams(0u32.into())
            .stream_receive_window(VarInt::from_u32(ANSWER_BYTES_MAX as u32));
        let mut config = ClientConfig::new(tls);
        config.transport_config(Arc::new(transport));
        let connecting = endpoint
            .connect_with(config, self.at, desk::NAME)
            .map_err(|error| self.unreachable(error.to_string()))?;
        tokio::select! {
            connected = timeout(DESK_HANDSHAKE_TIMEOUT, connecting) => match connected {
                Ok(Ok(connection)) => Ok(connection),
                Ok(Err(error)) => Err(self.not_connected(&error)),
                Err(_) => Err(self.silent()),
            },
            () = nobody_listens(self.at) => Err(self.unreachable(format!(
                "nothing listens on UDP {}; start a head there with `ray start --head`, or check the address",
                self.at
            ))),
        }
    }

    fn not_connected(&self, error: &ConnectionError) -> Error {
        let text = error.to_string();
        if text.contains(desk::WRONG_FINGERPRINT) {
            return Error::Unauthenticated(format!(
                "the cluster at {} is not the one that the token is for: {}; take a fresh token from its head",
                self.address,
                desk::WRONG_FINGERPRINT
            ));
        }
        match error {
            ConnectionError::TimedOut => self.silent(),
            _ => self.unreachable(format!(
                "what listens on UDP {} is no head of this kind ({text})",
                self.at
            )),
        }
    }

    fn silent(&self) -> Error {
        self.unreachable(format!(
            "no answer from UDP {} within {DESK_HANDSHAKE_TIMEOUT:?}; is a head running there, and does a firewall let UDP through?",
            self.at
        ))
    }

    fn unreachable(&self, reason: String) -> Error {
        unreachable_at(self.address, reason)
    }
}

/// How long a client stays to see its farewell off; the head needs one packet of it.
const CLOSE_GRACE: Duration = Duration::from_millis(2);

async fn converse(
    connection: &Connection,
    bytes: &[u8],
    file: Option<&Path>,
) -> Result<Vec<u8>, String> {
    let broke = |error: &dyn std::fmt::Display| format!("the connection broke: {error}");
    let (mut send, mut receive) = connection.open_bi().await.map_err(|error| broke(&error))?;
    let late = |_| {
        format!(
            "it took the request and did not answer within {:?}",
            2 * DESK_REQUEST_TIMEOUT
        )
    };
    // A head that refuses early stops reading; its answer says why.
    let sent = timeout(2 * DESK_REQUEST_TIMEOUT, send.write_all(bytes)).await;
    if sent.map_err(late)?.is_ok()
        && let Some(path) = file
    {
        let unreadable = |error| format!("{} cannot be read: {error}", path.display());
        let mut file = File::open(path).map_err(unreadable)?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = file.read(&mut buffer).map_err(unreadable)?;
            let sending = timeout(2 * DESK_REQUEST_TIMEOUT, send.write_all(&buffer[..count]));
            if count == 0 || sending.await.map_err(late)?.is_err() {
                break;
            }
        }
    }
    send.finish().ok();
    let answering = timeout(
        2 * DESK_REQUEST_TIMEOUT,
        receive.read_to_end(ANSWER_BYTES_MAX),
    );
    answering
        .await
        .map_err(late)?
        .map_err(|error| broke(&error))
}

/// Returns when the system says that no process has the port; QUIC itself never hears of it.
async fn nobody_listens(at: SocketAddr) {
    let probe = async {
        let socket = UdpSocket::bind(any_port(at)).await?;
        socket.connect(at).await?;
        socket.send(&[0]).await?;
        socket.recv(&mut [0; 1]).await
    };
    match probe.await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
        // Silence, or an answer: the handshake decides.
        _ => std::future::pending().await,
    }
}

fn any_port(peer: SocketAddr) -> SocketAddr {
    match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_the_usual_port_or_its_own() {
        for (text, host, port) in [
            ("head", "head", DESK_PORT),
            ("head:7000", "head", 7000),
            ("10.0.0.1:7000", "10.0.0.1", 7000),
            ("[::1]:7000", "::1", 7000),
            ("[::1]", "::1", DESK_PORT),
            ("fe80::1", "fe80::1", DESK_PORT),
        ] {
            assert_eq!(split(text).ok(), Some((host, port)), "{text}");
        }
        for text in [
            "",
            ":7000",
            "head:",
            "head:0",
            "head:port",
            "head:70000",
            "quic://head:1",
            "[::1",
        ] {
            assert!(split(text).is_err(), "{text}");
        }
    }
}
