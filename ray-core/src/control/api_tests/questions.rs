//! What may be asked by whom, and what is answered and written down.

use super::*;

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
