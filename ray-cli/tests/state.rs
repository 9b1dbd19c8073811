//! `ray list|get|summary tasks|objects` and the logs of nodes, with this test as the driver.

mod common;

use std::{path::Path, time::Duration};

use common::{User, eventually, text};
use ray_core::{prelude::*, put};
use rustix::process::{Pid, Signal, kill_process};

#[remote]
fn hold(until: String) -> u32 {
    while !Path::new(&until).exists() {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    std::process::id()
}

#[remote]
fn after(pid: u32) -> u32 {
    pid
}

#[remote]
fn pid() -> u32 {
    std::process::id()
}

#[ray_core::test]
fn tasks_and_objects_are_gathered_from_their_owners() -> ray_core::Result<()> {
    let user = User::new();
    let (_head, address) = user.start_head();
    let ray = user.join(&address)?;
    let gate = user.dir.path().join("gate");
    let gate = gate.to_str().expect("UTF-8").to_owned();
    let held = hold::remote(&gate);
    let waiting = hold::remote(&gate);
    let dependent = after::remote(&held);
    let large = put(&vec![1_u8; 3 << 20])?;

    let running = [
        "list",
        "tasks",
        "--filter",
        "state=RUNNING",
        "--format",
        "json",
    ];
    assert!(eventually(|| user.ok(&running).lines().count() == 1));
    let row = user.ok(&running);
    for part in ["\"name\":\"hold\"", "NORMAL_TASK", "\"worker_pid\":"] {
        assert!(row.contains(part), "{part}: {row}");
    }
    let others = [
        "list",
        "tasks",
        "--filter",
        "state!=RUNNING",
        "--filter",
        "name!=hold",
    ];
    let row = user.ok(&others);
    assert!(
        row.contains("after") && row.contains("PENDING_ARGS_AVAIL"),
        "{row}"
    );
    let limited = user.run(&["list", "tasks", "--limit", "1"]);
    assert!(
        text(&limited.stderr).contains("1 of 3 shown"),
        "{}",
        text(&limited.stderr)
    );
    let id = dependent.id();
    let task = format!("t{:x}.{}", id.owner.0, id.index);
    assert!(
        user.ok(&["get", "tasks", &task])
            .contains("PENDING_ARGS_AVAIL")
    );
    let summary = user.ok(&["summary", "tasks", "--format", "json"]);
    assert!(
        summary.contains("\"count\":1") && summary.contains("after"),
        "{summary}"
    );
    assert!(
        user.fails(&["list", "tasks", "--filter", "colour=red"])
            .contains("no column")
    );

    let object = user.ok(&[
        "get",
        "objects",
        &large.id().to_string(),
        "--format",
        "json",
    ]);
    assert!(
        object.contains("LOCAL_REFERENCE") && object.contains("DRIVER"),
        "{object}"
    );
    let size = object.split("\"object_size\":").nth(1);
    let size = size.and_then(|rest| rest.split(',').next()?.parse::<u64>().ok());
    assert!(size.is_some_and(|size| size >= 3 << 20), "{object}");
    let pending = ["list", "objects", "--filter", "task_status=PENDING"];
    assert!(user.ok(&pending).contains(&id.to_string()));
    assert!(
        user.ok(&["summary", "objects"])
            .contains("USED_BY_PENDING_TASK")
    );

    std::fs::write(&gate, "open").expect("written");
    assert_eq!(dependent.get()?, held.get()?);
    waiting.get()?;
    assert!(eventually(|| !user.ok(&["list", "tasks"]).contains("hold")));
    ray.shutdown()
}

#[ray_core::test]
fn what_does_not_answer_is_named() -> ray_core::Result<()> {
    let user = User::new();
    let (_head, address) = user.start_head();
    let ray = user.join(&address)?;
    let worker = pid::remote().get()?;
    let worker = Pid::from_raw(i32::try_from(worker).expect("an id")).expect("an id");
    kill_process(worker, Signal::STOP).expect("it runs");
    let listed = user.run(&["list", "tasks"]);
    kill_process(worker, Signal::CONT).expect("it is there");
    assert!(listed.status.success());
    let missing = text(&listed.stderr);
    assert!(missing.contains("did not answer"), "{missing}");
    assert!(eventually(|| user
        .run(&["list", "tasks"])
        .stderr
        .is_empty()));
    ray.shutdown()
}

#[test]
fn logs_of_a_node_are_read_through_the_head() {
    let user = User::new();
    let (_head, address) = user.start_head();
    let _node = user.start_node(&address);
    let files = user.ok(&["logs", "--node", "second"]);
    let file = files
        .split_whitespace()
        .find(|word| word.starts_with("node-"));
    let file = file.unwrap_or_else(|| panic!("no file of a node: {files}"));
    // What is in it depends on the log's level; that it is there does not.
    user.ok(&["logs", "--node", "second", file]);
    assert!(
        user.fails(&["logs", "--node", "third"])
            .contains("no living node")
    );
    let outside = user.fails(&["logs", "--node", "second", "../secret"]);
    assert!(outside.contains("not the name of a log file"), "{outside}");
}
