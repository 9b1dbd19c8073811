//! The `ray` command under input that is wrong: it says what and what to do, and ends with 2 for usage, 1 for failure.

mod common;

use std::{
    net::UdpSocket,
    process::{Output, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use common::{User, eventually, text};

/// Checks the exit status and that nothing panicked; returns the complaint.
fn complains(arguments: &[&str], output: &Output, code: i32) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    for word in ["panicked", "RUST_BACKTRACE", "stack backtrace"] {
        assert!(!said.contains(word), "{arguments:?}: {said}");
    }
    said
}

#[test]
fn wrong_usage_is_named_and_ends_with_2() {
    let user = User::new();
    let wrong: &[(&[&str], &str)] = &[
        (&[], "Usage"),
        (&["nonsense"], "unrecognized subcommand"),
        (&["list"], "<TABLE>"),
        (&["list", "cows"], "none of nodes"),
        (&["list", "tasks", "--colour"], "unexpected argument"),
        (&["list", "tasks", "--limit", "many"], "invalid"),
        (&["list", "tasks", "--limit", "-1"], "-1"),
        (&["list", "tasks", "--filter", "state"], "column=value"),
        (&["list", "tasks", "--filter", "=x"], "column=value"),
        (&["list", "tasks", "--format", "xml"], "table, json"),
        (&["list", "tasks", "--address", "http://h:1"], "HOST:PORT"),
        (&["get", "actors"], "<ID>"),
        (&["get", "actors", ""], "is empty"),
        (&["summary", "cows"], "none of nodes"),
        (&["start"], "--head"),
        (&["start", "--head", "--address", "h:1"], "cannot be used"),
        (&["start", "--head", "--num-cpus", "-1"], "not an amount"),
        (&["start", "--head", "--num-gpus", "nan"], "not an amount"),
        (&["start", "--head", "--port", "70000"], "65535"),
        (&["start", "--head", "--bind", "here"], "invalid IP"),
        (&["start", "--head", "--memory", "lots"], "not a size"),
        (&["start", "--head", "--resources", "a=-1"], "not an amount"),
        (&["start", "--head", "--labels", "zone"], "name=value"),
        (&["start", "--head", "--reconnect-within", "0s"], "90s"),
        (
            &["start", "--head", "--daemon", "--block"],
            "cannot be used",
        ),
        (&["start", "--address", "h:port"], "HOST:PORT"),
        (&["stop", "--node", ""], "is empty"),
        (&["drain"], "<NODE>"),
        (&["drain", ""], "is empty"),
        (&["drain", "n1", "--deadline", "soon"], "90s"),
        (&["logs", ""], "is empty"),
        (&["token"], "Usage"),
        (&["token", "create", "--role", "boss"], "none of viewer"),
        (&["token", "create", "--ttl", "1w"], "never"),
        (&["token", "create", "--uses", "many"], "invalid"),
        (&["token", "revoke", ""], "is empty"),
        (&["job", "submit"], "<PROGRAM>"),
        (&["job", "submit", "--env", "A", "--", "true"], "NAME=VALUE"),
        (
            &["job", "submit", "--wait", "--no-wait", "--", "x"],
            "cannot be used",
        ),
        (&["job", "status", ""], "is empty"),
        (&["memory", "--filter", "colour=red"], "kind"),
        (&["timeline", "--limit", "3"], "unexpected argument"),
        (&["doctor", "--port", "0"], "1..=65535"),
        (&["bench", "--repeats", "0"], "1..=1000"),
    ];
    for (arguments, part) in wrong {
        let said = complains(arguments, &user.run(arguments), 2);
        assert!(said.contains(part), "{arguments:?}: no {part:?} in: {said}");
    }
}

/// Commands that ask a cluster, with arguments that are right.
const QUESTIONS: &[&[&str]] = &[
    &["status"],
    &["list", "nodes"],
    &["get", "nodes", "n1"],
    &["summary", "tasks"],
    &["logs"],
    &["timeline", "--output", "-"],
    &["memory"],
    &["stop"],
    &["drain", "n1"],
    &["token", "list"],
    &["token", "create"],
    &["token", "revoke", "x"],
    &["job", "list"],
    &["job", "status", "x"],
];

#[test]
fn without_a_cluster_every_question_says_how_to_get_one() {
    let user = User::new();
    for arguments in QUESTIONS {
        let said = complains(arguments, &user.run(arguments), 1);
        assert!(said.contains("ray start --head"), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    }
    // A note that cannot be read is named.
    let folder = user.dir.path().join("ray-rs");
    std::fs::create_dir(&folder).expect("a folder");
    let own = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&folder, own).expect("a mode");
    let note = folder.join("current.json");
    std::fs::write(&note, "{").expect("written");
    let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&note, own).expect("a mode");
    let said = complains(&["status"], &user.run(&["status"]), 1);
    assert!(said.contains("current.json"), "{said}");
}

#[test]
fn an_address_where_no_head_is_and_a_token_that_is_not_good_are_told_apart() {
    let user = User::new();
    let (head, address) = user.start_head();
    let viewer = ["token", "create", "--role", "viewer", "--uses", "0"];
    let token = user.ok(&viewer);
    let short = user.ok(&["token", "create", "--role", "viewer", "--ttl", "1s"]);
    let stranger = User::new();
    let ask = |address: &str, token: &str| {
        let arguments = ["status", "--address", address, "--token", token.trim()];
        complains(&["status"], &stranger.run(&arguments), 1)
    };
    // Each of these is a second of waiting at most, and no time is measured.
    assert!(eventually(|| {
        let arguments = ["status", "--address", &address, "--token", short.trim()];
        let output = stranger.run(&arguments);
        !output.status.success() && text(&output.stderr).contains("expired")
    }));
    let said = ask(&address, "hunter2");
    assert!(
        said.contains("is no token") && !said.contains("hunter2"),
        "{said}"
    );
    let other = User::new();
    let (_other_head, other_address) = other.start_head();
    let said = ask(&other_address, &token);
    assert!(said.contains("not the one that the token is for"), "{said}");

    user.ok(&["stop"]);
    assert!(head.ends_well());
    let said = ask(&address, &token);
    assert!(said.contains("nothing listens"), "{said}");
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let said = ask(&silent.local_addr().expect("its port").to_string(), &token);
    assert!(said.contains("no answer from UDP"), "{said}");
    let said = ask("no-such-host.invalid:6379", &token);
    assert!(said.contains("does not resolve"), "{said}");

    // What answers and is no head of ours.
    let strange = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = strange.local_addr().expect("its port").to_string();
    strange
        .set_read_timeout(Some(Duration::from_millis(50)))
        .expect("a limit");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                if let Ok((_, from)) = strange.recv_from(&mut [0; 2048]) {
                    strange.send_to(b"HTTP/1.1 400 Bad Request\r\n", from).ok();
                }
            }
        });
        let said = ask(&address, &token);
        is_over.store(true, Ordering::Release);
        assert!(said.contains(&address), "{said}");
    });
}

#[test]
fn a_head_that_cannot_be_started_says_what_stands_in_the_way() {
    let user = User::new();
    let file = user.dir.path().join("file");
    std::fs::write(&file, "no folder").expect("written");
    let file = file.to_str().expect("UTF-8");
    let below = format!("{file}/run");
    for (more, part) in [
        (&["--run-dir", file][..], "run_dir"),
        (&["--run-dir", &below], "run_dir"),
        (&["--bind", "203.0.113.7"], "203.0.113.7"),
        (&["--object-store-memory", "1K"], "object_store_memory"),
        (&["--resources", "CPU=1"], "CPU"),
    ] {
        let mut arguments = vec!["start", "--head", "--port", "0"];
        if !more.contains(&"--object-store-memory") {
            arguments.extend(["--object-store-memory", "32MiB"]);
        }
        arguments.extend(more);
        let said = complains(&arguments, &user.run(&arguments), 1);
        assert!(said.contains(part), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    }
    let joining = ["start", "--address", "127.0.0.1:1", "--token", "hunter2"];
    let said = complains(&joining, &user.run(&joining), 1);
    assert!(said.contains("is no token"), "{said}");
}

#[test]
fn names_that_nothing_has_are_refused_with_a_place_to_look() {
    let user = User::new();
    let (_head, _) = user.start_head();
    for (arguments, part) in [
        (&["get", "actors", "a99"][..], "ray list actors"),
        (&["logs", "nothing.log"], "ray logs"),
        (&["logs", "--node", "nobody"], "ray list nodes"),
        (&["stop", "--node", "nobody"], "ray list nodes"),
        (&["drain", "nobody"], "ray list nodes"),
        (&["token", "revoke", "nothing"], "ray token list"),
        (&["job", "stop", "nothing"], "ray job list"),
        (&["job", "logs", "-f", "nothing"], "ray job list"),
        (&["list", "tasks", "--filter", "colour=red"], "no column"),
        (
            &["timeline", "--output", "/no/such/folder/x"],
            "cannot be written",
        ),
    ] {
        let said = complains(arguments, &user.run(arguments), 1);
        assert!(said.contains(part), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    }
    // The head goes on.
    assert!(user.ok(&["status"]).contains("Nodes: 1 alive"));
}

#[test]
fn a_reader_that_goes_away_is_no_fault_of_the_command() {
    let user = User::new();
    let (_head, _) = user.start_head();
    let more: &[&[&str]] = &[
        &["status", "--format", "json"],
        &["doctor"],
        &["--help"],
        &["list", "--help"],
    ];
    let quiet = [&["stop"][..], &["drain", "n1"], &["get", "nodes", "n1"]];
    let asked = QUESTIONS.iter().filter(|it| !quiet.contains(it));
    let asked = asked.filter(|it| !matches!(it, [_, about, "x"] if *about != "create"));
    for arguments in asked.chain(more) {
        for closes_both in [false, true] {
            let mut command = user.command(arguments);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().expect("it runs");
            drop(child.stdout.take());
            if closes_both {
                drop(child.stderr.take());
            }
            let output = child.wait_with_output().expect("it ends");
            let said = text(&output.stderr);
            assert!(!said.contains("panicked"), "{arguments:?}: {said}");
            let code = output.status.code();
            let is_judgement = arguments[0] == "doctor";
            assert!(
                code == Some(0) || is_judgement && code == Some(1),
                "{arguments:?}: {code:?} {said}"
            );
        }
    }
}

#[test]
fn a_head_outlives_the_reader_of_its_greeting() {
    let user = User::new();
    let mut command = user.command(&["start", "--head", "--port", "0"]);
    command.args(["--object-store-memory", "32MiB", "--num-cpus", "1"]);
    let mut head = command.stdout(Stdio::piped()).spawn().expect("it runs");
    drop(head.stdout.take());
    let is_there = eventually(|| user.run(&["status"]).status.success());
    let stopped = user.run(&["stop"]);
    let ended = head.wait().expect("it ends");
    assert!(is_there && stopped.status.success());
    assert!(ended.success(), "{ended}");
}

#[test]
fn empty_tables_and_narrow_terminals_are_plain() {
    let user = User::new();
    let (_head, _) = user.start_head();
    for table in ["actors", "tasks", "objects", "placement-groups", "jobs"] {
        assert_eq!(user.ok(&["list", table, "--format", "json"]), "", "{table}");
        let shown = user.ok(&["list", table]);
        assert_eq!(shown.lines().count(), 1, "{table}: {shown}");
        assert_eq!(
            user.ok(&["summary", table, "--format", "json"]),
            "",
            "{table}"
        );
    }
    assert_eq!(user.ok(&["memory", "--format", "json"]), "");
    let none = user.ok(&["list", "nodes", "--limit", "0", "--format", "json"]);
    assert_eq!(none, "");
    for arguments in [&["status"][..], &["list", "nodes"], &["--help"], &["start"]] {
        let mut command = user.command(arguments);
        command
            .env("NO_COLOR", "1")
            .env("COLUMNS", "8")
            .env("TERM", "dumb");
        let output = command.output().expect("it runs");
        let shown = text(&output.stdout) + &text(&output.stderr);
        assert!(!shown.contains('\x1b'), "{arguments:?}: {shown}");
        assert!(!shown.is_empty());
    }
}

#[test]
fn a_second_head_of_the_same_user_says_that_it_takes_over() {
    let user = User::new();
    let (first, _) = user.start_head();
    let mut command = user.command(&["start", "--head", "--port", "0", "--daemon"]);
    command.args(["--object-store-memory", "32MiB", "--num-cpus", "1"]);
    let second = command.output().expect("it runs");
    let said = text(&second.stderr);
    let _background = common::Background::of(&text(&second.stdout));
    assert!(said.contains("another head of yours"), "{said}");
    assert!(user.ok(&["stop"]).contains("has ended"));
    // The first is not found any more, and lives.
    first.terminate();
    assert!(first.ends_well());
}

#[test]
fn the_doctor_judges_this_machine_in_lines_and_in_json() {
    let user = User::new();
    let taken = UdpSocket::bind("0.0.0.0:0").expect("a port");
    let port = taken.local_addr().expect("its port").port().to_string();
    let output = user.run(&["doctor", "--port", &port, "--format", "json"]);
    let mut grades = std::collections::BTreeMap::new();
    for line in text(&output.stdout).lines() {
        let finding: serde_json::Value = serde_json::from_str(line).expect("an object a line");
        let grade = finding["grade"].as_str().expect("a grade").to_owned();
        let is_plain = finding["advice"].as_str() == Some("");
        assert_eq!(is_plain, grade == "ok", "{line}");
        grades.insert(finding["check"].as_str().expect("a name").to_owned(), grade);
    }
    assert_eq!(grades["port"], "warn");
    assert_eq!(grades["cluster"], "ok");
    let fails = grades.values().any(|grade| grade == "fail");
    assert_eq!(output.status.code(), Some(i32::from(fails)));
    let shown = text(&user.run(&["doctor"]).stdout);
    assert!(shown.contains("version: ray "), "{shown}");
    let mut command = user.command(&["doctor"]);
    let lost = command
        .env("RAY_ADDRESS", "127.0.0.1:1")
        .output()
        .expect("it runs");
    let said = text(&lost.stdout);
    assert!(
        said.contains("fail cluster") && said.contains("token"),
        "{said}"
    );
    assert_eq!(lost.status.code(), Some(1));
}
