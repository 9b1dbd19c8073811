//! The desk against its real client over loopback; only the control role behind it is a double.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use quinn::{ClientConfig, Connection, Endpoint};
use ray_net::tls::{ClusterCa, NodeKey, PROCESS_INDEX_BITS, desk};

use super::*;
use crate::control::{
    client::{Client, exchange},
    jobs::{JobRequest, OfficePlan},
    protocol::{ClusterStatus, REQUEST_BYTES_MAX},
    rows::ActorState,
    store::{ControlStore, redb::RedbStore},
    tables::Table,
    token::Token,
};
use crate::runtime::executables::Executables;

mod admission;
mod misbehaviour;
mod programs;
mod questions;

const CLUSTER: u64 = 0xc1;

/// A control role that admits whoever comes and remembers it.
struct Double {
    ca: ClusterCa,
    admitted: Mutex<Vec<(Role, String)>>,
    stopped: Mutex<Vec<StopRequest>>,
    drained: Mutex<Vec<String>>,
    full: AtomicBool,
    jobs: Arc<JobOffice>,
}

impl Desk for Double {
    fn admit(&self, newcomer: &Newcomer<'_>) -> Result<Admission, String> {
        let Newcomer {
            role,
            public_key,
            name,
            ..
        } = *newcomer;
        if self.full.load(Ordering::Relaxed) {
            return Err("the cluster is full".into());
        }
        let mut admitted = self.admitted.lock();
        let process = (100 + admitted.len() as u64) << PROCESS_INDEX_BITS;
        let delegation = self.ca.delegate(process >> PROCESS_INDEX_BITS, public_key);
        admitted.push((role, name.to_owned()));
        Ok(Admission {
            cluster: CLUSTER,
            process: ProcessId(process),
            delegation: delegation.map_err(|error| error.to_string())?,
            root: self.ca.root().to_vec(),
            control: (ProcessId(1), (Ipv4Addr::UNSPECIFIED, 4242).into()),
            certificate_life: Duration::from_secs(3600),
            job: None,
        })
    }

    fn query(&self, query: Query) -> Result<Answer, String> {
        match query {
            Query::Status => Ok(Answer::Status(ClusterStatus {
                cluster_id: format!("{CLUSTER:x}"),
                ..ClusterStatus::default()
            })),
            Query::List {
                table: Table::Actors,
                ..
            } => {
                let rows = ["ALIVE", "DEAD", "ALIVE"].iter().zip(["a1", "a2", "b1"]);
                let rows = rows.map(|(state, id)| {
                    ActorState {
                        actor_id: id.into(),
                        class_name: "Counter".into(),
                        state: (*state).into(),
                        ..ActorState::default()
                    }
                    .row()
                });
                let rows: Vec<_> = rows.collect();
                Ok(Answer::Rows {
                    total: rows.len(),
                    rows,
                    missing: vec!["p9 did not answer".into()],
                })
            }
            other => Err(format!("not known here: {other:?}")),
        }
    }

    fn stop(&self, what: StopRequest) -> Result<(), String> {
        self.stopped.lock().push(what);
        Ok(())
    }

    fn on_revoked(&self, _token_id: &str) -> Result<usize, String> {
        Ok(0)
    }

    fn drain(&self, node: &str, _deadline: Option<Duration>) -> Result<(), String> {
        self.drained.lock().push(node.to_owned());
        Ok(())
    }

    fn jobs(&self) -> Option<&JobOffice> {
        Some(&self.jobs)
    }
}

/// A desk that runs, and all that is behind it.
struct Running {
    desk: FrontDesk,
    double: Arc<Double>,
    tokens: Arc<TokenOffice>,
    logs: tempfile::TempDir,
}

impl Running {
    fn start() -> Running {
        Running::with(Limits::default())
    }

    fn with(limits: Limits) -> Running {
        let ca = ClusterCa::generate(CLUSTER).expect("keys");
        let store: Arc<dyn ControlStore> = Arc::new(RedbStore::in_memory().expect("a store"));
        let tokens = TokenOffice::open(ca.fingerprint(), store.clone());
        let tokens = Arc::new(tokens.expect("a book"));
        let logs = tempfile::tempdir().expect("a folder");
        std::fs::write(logs.path().join("head-1.log"), "it began\n").expect("written");
        let config = FrontDeskConfig {
            bind: (Ipv4Addr::LOCALHOST, 0).into(),
            identity: ca.issue_desk().expect("a certificate"),
            logs: logs.path().to_owned(),
        };
        let plan = OfficePlan {
            store,
            tokens: tokens.clone(),
            run_dir: logs.path().join("run"),
            executables: Executables::new(logs.path().join("run").join("executables"), 1 << 30),
        };
        let (jobs, _) = JobOffice::open(plan).expect("a store");
        let double = Arc::new(Double {
            ca,
            admitted: Mutex::default(),
            stopped: Mutex::default(),
            drained: Mutex::default(),
            full: AtomicBool::new(false),
            jobs,
        });
        let desk = FrontDesk::start_with(config, tokens.clone(), double.clone(), limits);
        Running {
            desk: desk.expect("a free port"),
            double,
            tokens,
            logs,
        }
    }

    fn address(&self) -> String {
        self.desk.local_addr().to_string()
    }

    fn token(&self, role: Role) -> Token {
        self.tokens.create(role, None, None).expect("a token")
    }

    fn client(&self, role: Role) -> Client {
        Client::new(self.address(), self.token(role))
    }

    /// Returns the text of the refusal of a join with this token.
    fn refused(&self, token: Token) -> String {
        let joined = join(&Client::new(self.address(), token), Role::Node, "n");
        match joined {
            Err(Error::Unauthenticated(text)) => text,
            other => panic!("not refused for its token: {other:?}"),
        }
    }

    fn assert_serves(&self) {
        let status = self.client(Role::Viewer).status().expect("it answers");
        assert_eq!(status.cluster_id, "c1");
    }

    /// Connects and says nothing.
    async fn connect(&self, endpoint: &Endpoint) -> Connection {
        let token = self.token(Role::Viewer);
        let tls = desk::client(token.fingerprint()).expect("a configuration");
        endpoint
            .connect_with(ClientConfig::new(tls), self.desk.local_addr(), desk::NAME)
            .expect("an address")
            .await
            .expect("a desk")
    }
}

/// Runs what a badly behaved process does.
fn misbehave(what: impl AsyncFnOnce(Endpoint)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket");
        what(endpoint).await;
    });
}

fn public_key() -> Vec<u8> {
    NodeKey::generate().expect("a key").public()
}

fn join(client: &Client, role: Role, name: &str) -> Result<Admission> {
    client.join(role, public_key(), name)
}

fn join_of(token: &Token) -> Join {
    Join {
        wire_version: WIRE_VERSION,
        build: "0.0.1".into(),
        role: Role::Node,
        secret: token.secret().to_vec(),
        public_key: public_key(),
        clock_s: wall_now().0,
        node_name: "n".into(),
    }
}

/// A request to run a program of this content.
fn program(content: &[u8]) -> JobRequest {
    let mut request = JobRequest::new("program");
    request.executable = blake3::hash(content).to_hex().to_string();
    request.executable_bytes = content.len() as u64;
    request
}
