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

#[test]
fn a_newcomer_with_a_token_gets_a_certificate_of_its_own() {
    let running = Running::start();
    let key = NodeKey::generate().expect("a key");
    let client = running.client(Role::Node);
    let admission = client.join(Role::Node, key.public(), "gpu-3");
    let admission = admission.expect("admitted");
    let process = 100 << PROCESS_INDEX_BITS;
    assert_eq!((admission.cluster, admission.process.0), (CLUSTER, process));
    // The head's unspecified address became the one where its desk was found.
    let control = (ProcessId(1), (Ipv4Addr::LOCALHOST, 4242).into());
    assert_eq!(admission.control, control);
    let authority = key.into_authority(CLUSTER, 100, admission.delegation, admission.root);
    let authority = authority.expect("names");
    assert!(authority.issue(process | 1).is_ok());
    assert_eq!(authority.root(), running.double.ca.root());
    join(&running.client(Role::Driver), Role::Driver, "driver").expect("admitted");
    let admitted = running.double.admitted.lock().clone();
    let expected = [(Role::Node, "gpu-3"), (Role::Driver, "driver")];
    assert_eq!(admitted, expected.map(|(role, name)| (role, name.into())));
}

#[test]
fn a_token_that_is_not_good_lets_nobody_in() {
    let running = Running::start();
    let good = running.token(Role::Node);
    let stranger = Token::generate(good.fingerprint()).expect("randomness");
    assert!(running.refused(stranger).contains("no such token"));
    let expired = running
        .tokens
        .create(Role::Node, Some(Duration::ZERO), None);
    assert!(
        running
            .refused(expired.expect("a token"))
            .contains("expired")
    );
    let spent = running.tokens.create(Role::Node, None, Some(0));
    assert!(running.refused(spent.expect("a token")).contains("used up"));
    let driver = running.refused(running.token(Role::Driver));
    assert!(
        driver.contains("role is driver and this takes node"),
        "{driver}"
    );

    // Without any, and with one of another length.
    for secret in [Vec::new(), vec![1; 1000]] {
        let join = Join {
            secret,
            ..join_of(&good)
        };
        let client = Client::new(running.address(), good.clone());
        let joined = client.join_with(join);
        assert!(matches!(joined, Err(Error::Unauthenticated(_))));
    }
    assert!(running.double.admitted.lock().is_empty());
}

#[test]
fn a_token_for_one_process_lets_one_in() {
    let running = Running::start();
    let token = running.tokens.create(Role::Node, None, Some(1));
    let token = token.expect("a token");
    let client = Client::new(running.address(), token.clone());
    running.double.full.store(true, Ordering::Relaxed);
    let failed = join(&client, Role::Node, "a");
    let failed = failed.expect_err("full").to_string();
    assert!(failed.contains("the cluster is full"), "{failed}");
    // That join gave its use back.
    running.double.full.store(false, Ordering::Relaxed);
    join(&client, Role::Node, "a").expect("a use is left");
    assert!(running.refused(token).contains("used up"));
}

#[test]
fn a_token_of_another_cluster_is_never_said() {
    let (ours, theirs) = (Running::start(), Running::start());
    let client = Client::new(theirs.address(), ours.token(Role::Admin));
    match client.status() {
        Err(Error::Unauthenticated(text)) => assert!(text.contains("not the one"), "{text}"),
        other => panic!("trusted: {other:?}"),
    }
}

#[test]
fn a_newcomer_of_another_wire_is_told_both_versions() {
    let running = Running::start();
    let token = running.token(Role::Node);
    let join = Join {
        wire_version: WIRE_VERSION + 1,
        ..join_of(&token)
    };
    match Client::new(running.address(), token).join_with(join) {
        Err(Error::VersionMismatch(text)) => {
            for part in [
                format!(
                    "wire version {WIRE_VERSION} (build {})",
                    env!("CARGO_PKG_VERSION")
                ),
                format!("newcomer {} (build 0.0.1)", WIRE_VERSION + 1),
            ] {
                assert!(text.contains(&part), "{text}");
            }
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_clock_more_than_five_minutes_off_is_named_beside_the_heads() {
    let running = Running::start();
    let token = running.tokens.create(Role::Node, None, Some(1));
    let token = token.expect("a token");
    let client = Client::new(running.address(), token.clone());
    let join_at = |clock_s| {
        client.join_with(Join {
            clock_s,
            ..join_of(&token)
        })
    };
    let text = join_at(1_000_000_000).expect_err("2001").to_string();
    assert!(text.contains("2001-09-09 1:46:40.0 UTC"), "{text}");
    assert!(text.contains(&date(wall_now().0)[..11]), "{text}");
    assert!(join_at(wall_now().0 - 360).is_err());
    // The refused ones spent nothing.
    assert!(join_at(wall_now().0 - 240).is_ok());
}

#[test]
fn each_request_takes_its_role() {
    let running = Running::start();
    let table = Table::Actors;
    let queries = [
        Query::Status,
        Query::List {
            table,
            filters: Vec::new(),
            limit: 1,
        },
        Query::Get {
            table,
            id: "a1".into(),
        },
        Query::Summary { table },
        Query::LogFiles,
        Query::Log {
            file: "head-1.log".into(),
            offset: 0,
        },
    ];
    let worthless = running.token(Role::Viewer);
    let worthless = running.tokens.check(worthless.secret(), Role::Viewer);
    let commands = [
        Command::Stop(StopRequest::Node("n1".into())),
        Command::DrainNode {
            node: "n1".into(),
            deadline_s: Some(1),
        },
        Command::CreateToken {
            role: Role::Viewer,
            ttl_s: None,
            uses: None,
        },
        Command::ListTokens,
        Command::RevokeToken {
            token_id: worthless.expect("good").to_string(),
        },
    ];
    for role in Role::ALL {
        let client = running.client(role);
        for query in &queries {
            let answered = client.query(query.clone());
            assert!(answered.is_ok(), "{role} {query:?}: {answered:?}");
        }
        for command in &commands {
            let answered = client.command(command.clone());
            match role {
                Role::Admin => assert!(answered.is_ok(), "{command:?}: {answered:?}"),
                _ => assert!(matches!(answered, Err(Error::Unauthenticated(_)))),
            }
        }
        let submitted = client.command(Command::SubmitJob(program(b"#!/bin/true")));
        let stopped = client.command(Command::StopJob { job: "j1".into() });
        if role >= Role::Driver {
            assert!(matches!(submitted, Ok(Answer::ExecutableWanted)));
            assert!(matches!(stopped, Err(Error::Refused(_))), "no such job");
        } else {
            assert!(matches!(submitted, Err(Error::Unauthenticated(_))));
            assert!(matches!(stopped, Err(Error::Unauthenticated(_))));
        }
        for (joins, needed) in [(Role::Driver, Role::Driver), (Role::Node, Role::Node)] {
            let joined = join(&client, joins, "n");
            assert_eq!(joined.is_ok(), role >= needed, "{role} joins as {joins}");
        }
        for joins in [Role::Viewer, Role::Admin] {
            assert!(
                join(&client, joins, "n").is_err(),
                "{role} joins as {joins}"
            );
        }
    }
    assert_eq!(running.double.stopped.lock().len(), 1);
    assert_eq!(*running.double.drained.lock(), ["n1"]);
}

/// A request to run a program of this content.
fn program(content: &[u8]) -> JobRequest {
    let mut request = JobRequest::new("program");
    request.executable = blake3::hash(content).to_hex().to_string();
    request.executable_bytes = content.len() as u64;
    request
}

#[test]
fn a_program_reaches_the_cache_by_its_hash_and_from_drivers_only() {
    let running = Running::start();
    let content: Vec<u8> = (0..5_000_000_u32).map(|at| (at % 251) as u8).collect();
    let file = running.logs.path().join("program");
    std::fs::write(&file, &content).expect("written");
    let request = program(&content);
    let submit = |role| {
        running
            .client(role)
            .submit_job(request.clone(), &file)
            .expect_err("nobody is behind this desk who could start it")
    };
    let refused = submit(Role::Viewer);
    assert!(matches!(refused, Error::Unauthenticated(_)), "{refused}");
    let cached = running.double.jobs.cache().join(&request.executable);
    assert!(!cached.exists());
    let failed = submit(Role::Driver).to_string();
    assert!(failed.contains("the head is ending"), "{failed}");
    assert_eq!(std::fs::read(&cached).expect("it is there"), content);
}

#[test]
fn a_program_that_is_not_what_its_hash_says_is_refused() {
    let running = Running::start();
    let token = running.token(Role::Driver);
    let file = running.logs.path().join("program");
    std::fs::write(&file, vec![7; 3 << 20]).expect("written");
    let other = program(&vec![8; 3 << 20]);
    let upload = |secret: &[u8], bytes| {
        let request = Request::Upload {
            secret: secret.to_vec(),
            hash: other.executable.clone(),
            bytes,
        };
        let mut line = serde_json::to_vec(&request).expect("JSON");
        line.push(b'\n');
        match exchange(&running.address(), &token, &line, Some(&file)) {
            Ok((Reply::Refused(refused), _)) => refused.text,
            other => panic!("not refused: {other:?}"),
        }
    };
    assert!(upload(token.secret(), 3 << 20).contains("not what its hash says"));
    assert!(upload(token.secret(), 1 << 20).contains("longer than was announced"));
    assert!(upload(token.secret(), 4 << 20).contains("shorter than was announced"));
    assert!(upload(&[0; 32], 3 << 20).contains("no such token"));
    let kept = std::fs::read_dir(running.double.jobs.cache()).expect("a folder");
    assert_eq!(kept.count(), 0);
    running.assert_serves();
}

#[test]
fn tables_are_listed_found_and_counted() {
    let running = Running::start();
    let client = running.client(Role::Viewer);
    let table = Table::Actors;
    let filters = vec!["state=ALIVE".parse().expect("a filter")];
    let listed = client.query(Query::List {
        table,
        filters,
        limit: 1,
    });
    match listed.expect("an answer") {
        Answer::Rows {
            rows,
            total,
            missing,
        } => {
            assert_eq!((rows.len(), total), (1, 2));
            assert_eq!(missing, ["p9 did not answer"]);
            assert_eq!(rows[0].text("actor_id"), "a1");
        }
        other => panic!("no rows: {other:?}"),
    }
    let found = client.query(Query::Get {
        table,
        id: "b".into(),
    });
    assert!(matches!(found, Ok(Answer::Row(row)) if row.text("state") == "ALIVE"));
    let counted = client.query(Query::Summary { table });
    assert!(matches!(counted, Ok(Answer::Summary(summary)) if summary.lines[0].count == 2));
    let wrong = client.query(Query::Get {
        table,
        id: "zz".into(),
    });
    let text = wrong.expect_err("no such actor").to_string();
    assert!(text.contains("no row of actors"), "{text}");
}

#[test]
fn a_token_made_at_the_desk_works_until_it_is_revoked() {
    let running = Running::start();
    let admin = running.client(Role::Admin);
    let made = admin.command(Command::CreateToken {
        role: Role::Driver,
        ttl_s: Some(900),
        uses: Some(1),
    });
    let Ok(Answer::Token(text)) = made else {
        panic!("no token: {made:?}");
    };
    let client = Client::new(running.address(), text.parse().expect("a token"));
    client.status().expect("a driver may look");
    let Ok(Answer::Tokens(list)) = admin.command(Command::ListTokens) else {
        panic!("no list");
    };
    let info = list.iter().find(|info| info.role == Role::Driver);
    let info = info.expect("it is listed");
    assert_eq!((info.state.as_str(), info.uses_left), ("GOOD", Some(1)));
    let token_id = info.token_id.clone();
    admin
        .command(Command::RevokeToken {
            token_id: token_id.clone(),
        })
        .expect("revoked");
    assert!(matches!(client.status(), Err(Error::Unauthenticated(_))));
    assert!(admin.command(Command::RevokeToken { token_id }).is_err());
}

#[test]
fn a_request_that_is_too_long_or_makes_no_sense_is_refused() {
    let running = Running::start();
    let token = running.token(Role::Admin);
    let refused = |bytes: &[u8]| match exchange(&running.address(), &token, bytes, None) {
        Ok((Reply::Refused(refused), _)) => refused.text,
        other => panic!("not refused: {other:?}"),
    };
    let long = vec![b' '; REQUEST_BYTES_MAX + 1];
    assert!(refused(&long).contains("65536 bytes"));
    assert!(refused(&vec![b' '; 4 << 20]).contains("65536 bytes"));
    let deep = "[".repeat(60_000);
    for bad in [
        &b""[..],
        b"{}",
        b"GET / HTTP/1.1",
        b"{\"Join\":{}}",
        deep.as_bytes(),
        &[0xff; 9],
    ] {
        assert!(refused(bad).contains("makes no sense"));
    }
    running.assert_serves();
}

#[test]
fn garbage_on_the_port_is_ignored() {
    let running = Running::start();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let mut seed = 3u32;
    for round in 0..500 {
        let mut datagram = Vec::new();
        for _ in 0..(round * 7) % 1400 {
            seed = seed.wrapping_mul(1664525).wrapping_add(1013904223);
            datagram.push((seed >> 24) as u8);
        }
        if round % 2 == 0 && !datagram.is_empty() {
            // A long header of QUIC version 1, so that more of it is looked at.
            let head = [0xc0, 0, 0, 0, 1];
            let len = head.len().min(datagram.len());
            datagram[..len].copy_from_slice(&head[..len]);
        }
        socket
            .send_to(&datagram, running.desk.local_addr())
            .expect("sent");
    }
    running.assert_serves();
}

#[test]
fn who_sends_nothing_is_dropped_while_others_are_served() {
    let running = Running::with(Limits {
        request: Duration::from_millis(300),
        ..Limits::default()
    });
    misbehave(async |endpoint| {
        let silent = running.connect(&endpoint).await;
        let slow = running.connect(&endpoint).await;
        let (mut send, _receive) = slow.open_bi().await.expect("a stream");
        send.write_all(b"{").await.expect("a byte goes out");
        running.assert_serves();
        // Both end without anything done on this side.
        silent.closed().await;
        slow.closed().await;
    });
    running.assert_serves();
}

#[test]
fn a_crowd_of_silent_connections_keeps_nobody_out() {
    let running = Running::with(Limits {
        connections: 8,
        ..Limits::default()
    });
    misbehave(async |endpoint| {
        let mut crowd = Vec::new();
        for _ in 0..40 {
            crowd.push(running.connect(&endpoint).await);
        }
        running.assert_serves();
        // The oldest gave way.
        crowd[0].closed().await;
        assert!(crowd[39].close_reason().is_none());
    });
}

#[test]
fn where_nobody_listens_the_error_says_so() {
    let token = Token::generate([0; 32]).expect("randomness");
    let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let address = free.local_addr().expect("bound");
    drop(free);
    let asked = Client::new(address.to_string(), token.clone()).status();
    let text = asked.expect_err("nobody is there").to_string();
    assert!(
        text.contains(&format!("nothing listens on UDP {address}")),
        "{text}"
    );
    let asked = Client::new("no-such-host.invalid:6379", token).status();
    let text = asked.expect_err("no such name").to_string();
    assert!(text.contains("`no-such-host.invalid`"), "{text}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let running = Running::start();
    let ca = ClusterCa::generate(2).expect("keys");
    let config = FrontDeskConfig {
        bind: running.desk.local_addr(),
        identity: ca.issue_desk().expect("a certificate"),
        logs: PathBuf::new(),
    };
    let second = FrontDesk::start(config, running.tokens.clone(), running.double.clone());
    let text = second.err().expect("the port is taken").to_string();
    assert!(
        text.contains(&format!("UDP {} is taken", running.desk.local_addr())),
        "{text}"
    );
}

#[test]
fn a_desk_that_is_closed_answers_no_more() {
    let running = Running::start();
    let client = running.client(Role::Admin);
    client
        .command(Command::Stop(StopRequest::Cluster))
        .expect("begun");
    assert_eq!(*running.double.stopped.lock(), [StopRequest::Cluster]);
    running.desk.stop();
    assert!(matches!(client.status(), Err(Error::Unreachable { .. })));
}

#[test]
fn who_did_what_is_written_down_without_secrets() {
    let running = Running::start();
    let token = running.token(Role::Node);
    let client = Client::new(running.address(), token.clone());
    join(&client, Role::Node, "gpu-3").expect("admitted");
    let refused = client.command(Command::ListTokens);
    assert!(refused.is_err());
    let admin = running.client(Role::Admin);
    let stop = Command::Stop(StopRequest::Node("n1".into()));
    admin.command(stop).expect("begun");
    admin.status().expect("looking is not written down");

    let text = std::fs::read_to_string(running.logs.path().join("audit.jsonl"));
    let text = text.expect("a file");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    let secret = crate::control::hex::encode(token.secret());
    assert!(!text.contains(&secret) && !text.contains(&token.expose()));
    for (line, parts) in lines.iter().zip([
        ["\"event\":\"joined\"", "\"node_name\":\"gpu-3\""],
        ["\"event\":\"refused\"", "this takes admin"],
        ["\"event\":\"command\"", "{\"Stop\":{\"Node\":\"n1\"}}"],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
}
