//! Who is let in, and by which tokens.

use super::*;

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
