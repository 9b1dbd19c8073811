//! `ray job` against a real head: programs that are no drivers of ours do for what the head promises.

mod common;

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf};

use common::{User, eventually, text};
use ray_core::prelude::*;

/// A shell script of its own; no other test uploads the same content.
fn script(user: &User, name: &str, lines: &str) -> PathBuf {
    let path = user.dir.path().join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{lines}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("mine");
    path
}

/// Waits until a command prints what is looked for; bounded by its number of tries.
fn until(user: &User, arguments: &[&str], wanted: &str) -> String {
    for _ in 0..600 {
        let said = user.ok(arguments);
        if said.contains(wanted) {
            return said;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    panic!("{arguments:?} never said {wanted}");
}

#[test]
fn a_job_runs_with_its_arguments_and_variables_and_its_status_is_passed_on() {
    let user = User::new();
    let (_head, address) = user.start_head();
    let program = script(
        &user,
        "program",
        "echo \"$1, $2: $COLOUR at $RAY_ADDRESS\"; echo wrong >&2; exit $3",
    );
    let program = program.to_str().expect("UTF-8");
    let submit = |code: &str| {
        let arguments = ["job", "submit", "--name", "try", "--env", "COLOUR=red"];
        let mut command = user.command(&arguments);
        command.args(["--", program, "a b", "c", code]);
        command.output().expect("it runs")
    };
    let good = submit("0");
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    let expected = format!("a b, c: red at {address}\nwrong\n");
    assert_eq!(text(&good.stdout), expected);
    let bad = submit("7");
    assert_eq!(bad.status.code(), Some(7));
    assert!(text(&bad.stderr).contains("FAILED: it exited with code 7"));

    let failed = [
        "job",
        "list",
        "--filter",
        "status=FAILED",
        "--format",
        "json",
    ];
    let rows = user.ok(&failed);
    assert_eq!(rows.lines().count(), 1, "{rows}");
    for part in ["\"exit_code\":7", "\"submission_id\":\"try\"", "a b"] {
        assert!(rows.contains(part), "{part}: {rows}");
    }
    let several = user.fails(&["job", "status", "try"]);
    assert!(several.contains("could be 2 jobs"), "{several}");
    // Its token went with it.
    assert!(!user.ok(&["token", "list"]).contains("driver"));
}

#[test]
fn a_job_goes_on_without_its_submitter_until_it_is_stopped() {
    let user = User::new();
    let (_head, _) = user.start_head();
    // Only a kill ends it.
    let lines = "trap 'echo asked' TERM; echo begun; while true; do sleep 1; done";
    let program = script(&user, "stubborn", lines);
    let program = program.to_str().expect("UTF-8");
    let said = user.ok(&[
        "job",
        "submit",
        "--no-wait",
        "--name",
        "long",
        "--",
        program,
    ]);
    let job = said.trim();
    until(&user, &["job", "logs", job], "begun");
    assert!(user.ok(&["job", "status", "long"]).contains("RUNNING"));
    assert!(user.ok(&["list", "jobs"]).contains("stubborn"));
    let stopped = user.ok(&["job", "stop", job]);
    assert!(stopped.contains("STOPPED"), "{stopped}");
    assert!(user.ok(&["job", "logs", "--follow", job]).contains("asked"));
    assert!(user.fails(&["job", "stop", job]).contains("is over"));
}

#[test]
fn the_end_of_the_head_is_the_end_of_its_jobs() {
    let user = User::new();
    let folder = user.dir.path().join("run");
    let folder = ["--run-dir", folder.to_str().expect("UTF-8")];
    let (head, _) = user.start_head_with(&folder);
    let program = script(&user, "sleeper", "echo pid $$; exec sleep 1000");
    let program = program.to_str().expect("UTF-8");
    let submitted = [
        "job",
        "submit",
        "--no-wait",
        "--name",
        "sleeper",
        "--",
        program,
    ];
    user.ok(&submitted);
    let said = until(&user, &["job", "logs", "sleeper"], "pid ");
    let pid = said.trim().trim_start_matches("pid ").to_owned();
    user.ok(&["stop"]);
    assert!(head.ends_well());
    assert!(!common::runs(&pid));

    let (mut head, _) = user.start_head_with(&folder);
    assert!(user.ok(&["job", "status", "sleeper"]).contains("STOPPED"));
    let second = user.ok(&submitted);
    let second = second.trim();
    let said = until(&user, &["job", "logs", second], "pid ");
    let pid = said.trim().trim_start_matches("pid ").to_owned();
    head.child.kill().expect("it runs");
    head.child.wait().expect("it is dead");
    assert!(common::runs(&pid), "nobody was left to end it");

    let (_head, _) = user.start_head_with(&folder);
    let row = user.ok(&["job", "status", second]);
    assert!(
        row.contains("FAILED") && row.contains("the head ended while it ran"),
        "{row}"
    );
    assert!(common::ends(&pid), "the next head ends what is left");
}

#[test]
fn what_cannot_be_a_job_is_refused_in_one_line() {
    let user = User::new();
    let (_head, _) = user.start_head();
    let plain = user.dir.path().join("plain");
    std::fs::write(&plain, "no program").expect("written");
    let plain = plain.to_str().expect("UTF-8");
    for (arguments, complaint) in [
        (&["--", "/no/such/program"][..], "No such file"),
        (&["--", "no-such-program"], "not in PATH"),
        (&["--", plain], "not an executable file"),
        (
            &["--env", "RAY_TOKEN=x", "--", "true"],
            "set by the runtime",
        ),
        (&["--env", "A=1", "--env", "A=2", "--", "true"], "A twice"),
        (
            &["--working-dir", "file://here", "--", "true"],
            "not absolute",
        ),
        (&["--name", "", "--", "true"], "a job's name"),
    ] {
        let mut all = vec!["job", "submit"];
        all.extend(arguments);
        let said = user.fails(&all);
        assert!(said.contains(complaint), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    for about in ["status", "logs", "stop"] {
        assert!(
            user.fails(&["job", about, "none"])
                .contains("no submitted job")
        );
    }
    // What the system refuses is known once it is tried.
    let script = script(&user, "script", "true");
    std::fs::write(&script, "#!/no/such/shell\n").expect("written");
    let script = script.to_str().expect("UTF-8");
    for (arguments, complaint) in [
        (&["--", script][..], "could not be started"),
        (
            &["--working-dir", "file:///no/such", "--", "true"],
            "is not there",
        ),
    ] {
        let mut all = vec!["job", "submit"];
        all.extend(arguments);
        let said = user.fails(&all);
        assert!(
            said.contains("FAILED") && said.contains(complaint),
            "{said}"
        );
    }
}

#[remote(resources("second" = 1.0))]
fn variable_there(name: String) -> String {
    std::env::var(name).unwrap_or_else(|_| "nothing".into())
}

/// The program of the test below, which submits this very file; by itself it has nothing to do.
#[test]
fn a_program_that_looks_at_its_workers_variables() {
    let is_of_a_job = ["RAY_JOB_ID", "RAY_WORKER"].map(|name| std::env::var_os(name).is_some());
    if is_of_a_job.contains(&true) {
        let ray = ray_core::init().expect("the cluster of the job");
        let seen = variable_there::remote("COLOUR").get().expect("a worker");
        println!("its worker sees {seen}");
        ray.shutdown().expect("an end");
    }
}

#[test]
fn the_variables_of_a_job_reach_its_workers_on_every_node() {
    let user = User::new();
    let (_head, address) = user.start_head();
    let _node = user.start_node(&address);
    let this = std::env::current_exe().expect("this file");
    let this = this.to_str().expect("UTF-8");
    let mut arguments = vec!["job", "submit", "--env", "COLOUR=red", "--", this];
    arguments.extend(["--exact", "a_program_that_looks_at_its_workers_variables"]);
    arguments.push("--nocapture");
    let said = user.ok(&arguments);
    assert!(said.contains("its worker sees red"), "{said}");
    let reserved = ["job", "submit", "--env", "RAY_WORKER=1", "--", "/bin/true"];
    assert!(user.fails(&reserved).contains("cannot be given"));
}

#[test]
fn a_program_leaves_the_cache_when_no_job_uses_it_and_the_cache_is_full() {
    let user = User::new();
    let folder = user.dir.path().join("run");
    let folder = folder.to_str().expect("UTF-8");
    let (_head, _) = user.start_head_with(&["--run-dir", folder, "--cache-limit", "0"]);
    let gate = user.dir.path().join("gate");
    let program = script(
        &user,
        "waits",
        &format!("until test -e {}; do sleep 0.05; done", gate.display()),
    );
    let program = program.to_str().expect("UTF-8");
    let id = user.ok(&["job", "submit", "--no-wait", "--", program]);
    until(&user, &["job", "status", id.trim()], "RUNNING");
    let kept = || {
        let cache = std::path::Path::new(folder).join("executables");
        std::fs::read_dir(cache).expect("a folder").count()
    };
    assert_eq!(kept(), 1);
    std::fs::write(&gate, "open").expect("written");
    assert!(eventually(|| kept() == 0));
}
