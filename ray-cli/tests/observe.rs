//! `ray timeline`, `ray memory` and how workers ended, with this test as the driver.

mod common;

use std::{path::Path, time::Duration};

use common::{User, eventually};
use ray_core::{CancelOptions, Error, cancel_with, exit_actor, prelude::*, put};
use serde_json::Value;

#[remote(resources("second" = 0.1))]
fn square(x: i64) -> i64 {
    x * x
}

#[remote(resources("second" = 0.1))]
fn fails() -> Result<i64, String> {
    Err("on purpose".into())
}

#[remote(resources("second" = 0.1))]
fn hold(begun: String) {
    std::fs::write(&begun, "begun").expect("written");
    while Path::new(&begun).exists() {
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[remote(resources("second" = 0.1))]
fn size_of(bytes: Vec<u8>, begun: String) -> u64 {
    std::fs::write(&begun, "begun").expect("written");
    while Path::new(&begun).exists() {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    bytes.len() as u64
}

#[actor]
struct Life {
    calls: u32,
}

#[remote]
impl Life {
    pub fn new(works: bool) -> Result<Self, String> {
        match works {
            true => Ok(Self { calls: 0 }),
            false => Err("no life for me".into()),
        }
    }

    pub fn call(&mut self) -> u32 {
        self.calls += 1;
        self.calls
    }

    pub fn leave(&mut self) {
        exit_actor()
    }

    pub fn crash(&mut self) {
        std::process::exit(3)
    }
}

fn life(works: bool) -> LifeHandle {
    Life::options().resource("second", 0.1).remote(works)
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

#[ray_core::test]
fn how_workers_ended_is_kept_with_whose_wish_it_was() -> ray_core::Result<()> {
    let user = User::new();
    let (_head, address) = user.start_head();
    let _node = user.start_node(&address);
    let ray = user.join(&address)?;
    let ended = |kind: &str, part: &str| {
        let filter = format!("exit_type={kind}");
        let listed = ["list", "workers", "--format", "json", "--filter", &filter];
        let listed = user.ok(&listed);
        listed
            .lines()
            .any(|line| line.contains(part) && line.contains("\"is_alive\":false"))
    };

    let leaving = life(true);
    assert!(leaving.leave().get().is_err());
    assert!(eventually(|| ended("INTENDED_USER_EXIT", "exit_actor")));
    let killed = life(true);
    assert_eq!(killed.call().get()?, 1);
    killed.kill(KillMode::NoRestart)?;
    assert!(eventually(|| ended(
        "INTENDED_SYSTEM_EXIT",
        "killed by `kill`"
    )));
    let dropped = life(true);
    assert_eq!(dropped.call().get()?, 1);
    drop(dropped);
    assert!(eventually(|| ended("INTENDED_SYSTEM_EXIT", "last handle")));
    let unmade = life(false);
    assert!(unmade.call().get().is_err());
    assert!(eventually(|| ended("USER_ERROR", "no life for me")));
    let crashed = life(true);
    assert!(crashed.crash().get().is_err());
    assert!(eventually(|| ended("SYSTEM_ERROR", "exited with code 3")));

    let begun = user.dir.path().join("begun");
    let held = hold::options().max_retries(0).remote(text(&begun));
    assert!(eventually(|| begun.exists()));
    cancel_with(&held, CancelOptions::default().force(true))?;
    assert!(matches!(held.get(), Err(Error::Cancelled)));
    assert!(eventually(|| ended(
        "INTENDED_SYSTEM_EXIT",
        "cancelled by force"
    )));
    let counted = user.ok(&["summary", "workers", "--format", "json"]);
    assert!(counted.contains("USER_ERROR"), "{counted}");

    let busy = square::remote(2);
    assert_eq!(busy.get()?, 4);
    ray.shutdown()?;
    assert!(eventually(|| ended("INTENDED_SYSTEM_EXIT", "has ended")));
    Ok(())
}

#[ray_core::test]
fn the_timeline_has_what_ran_where_and_when() -> ray_core::Result<()> {
    let user = User::new();
    let (_head, address) = user.start_head();
    let _node = user.start_node(&address);
    let ray = user.join(&address)?;
    for x in 0..3 {
        square::remote(x).get()?;
    }
    assert!(fails::options().max_retries(0).remote().get().is_err());
    let actor = life(true);
    // Too many to be noted each, and none is lost count of.
    for call in 1..=500 {
        assert_eq!(actor.call().get()?, call);
    }
    let file = text(&user.dir.path().join("trace.json"));
    let said = user.ok(&["timeline", "--output", &file]);
    assert!(said.contains(&file), "{said}");
    let trace = std::fs::read_to_string(&file).expect("it was written");
    let trace: Value = serde_json::from_str(&trace).expect("JSON");
    let rows = trace["traceEvents"].as_array().expect("a list");
    let named = |name: &'static str| {
        let of_name = rows
            .iter()
            .filter(move |row| row["ph"] == "X" && row["name"] == name);
        of_name.collect::<Vec<_>>()
    };
    let squares = named("square");
    assert_eq!(squares.len(), 3);
    for row in &squares {
        let args = &row["args"];
        assert!(row["dur"].as_f64().is_some_and(|dur| dur > 0.0), "{row}");
        assert!(args["start_ns"].as_u64() < args["end_ns"].as_u64(), "{row}");
        assert!(
            args["worker_pid"].as_u64().is_some_and(|pid| pid > 0),
            "{row}"
        );
        assert_eq!(args["failed"], false, "{row}");
    }
    assert_eq!(named("fails")[0]["args"]["failed"], true);
    let calls = named("Life::call");
    let stands_for = calls
        .iter()
        .filter_map(|row| row["args"]["stands_for"].as_u64());
    let counted: u64 = stands_for.sum();
    assert!((400..=500).contains(&counted), "{counted} of 500");
    let nodes = rows.iter().filter(|row| row["name"] == "process_name");
    assert_eq!(nodes.count(), 1, "one node ran all of it");

    let again = user.fails(&["timeline", "--output", &file]);
    assert!(again.contains("is there already"), "{again}");
    let piped = user.ok(&["timeline", "--output", "-"]);
    assert!(piped.starts_with('{') && piped.contains("Life::call"));
    ray.shutdown()
}

#[ray_core::test]
fn memory_shows_every_reference_its_owner_and_its_counts() -> ray_core::Result<()> {
    let user = User::new();
    let (_head, address) = user.start_head();
    let _node = user.start_node(&address);
    let ray = user.join(&address)?;
    let large = put(&vec![1_u8; 3 << 20])?;
    let small = put(&7_u8)?;
    // A value that holds the reference is one more handle.
    let holder = put(&large)?;
    let begun = user.dir.path().join("begun");
    let sizes = size_of::remote(&large, text(&begun));
    assert!(eventually(|| begun.exists()));
    let listed = user.ok(&["memory", "--format", "json"]);
    let rows: Vec<Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    let of = |id: String| rows.iter().find(|row| row["object_id"] == id.as_str());
    let row = of(large.id().to_string()).expect("it is listed");
    assert_eq!(rows[0]["object_id"], row["object_id"], "the largest first");
    assert_eq!(row["kind"], "USED_BY_PENDING_TASK");
    assert_eq!(row["holder"], "DRIVER");
    assert_eq!(
        (&row["handles"], &row["tasks"]),
        (&2.into(), &1.into()),
        "{row}"
    );
    assert!(row["size"].as_u64().is_some_and(|size| size >= 3 << 20));
    let row = of(small.id().to_string()).expect("it is listed");
    assert_eq!(row["kind"], "LOCAL_REFERENCE");
    assert_eq!(row["pid"], std::process::id());
    let shown = user.ok(&["memory", "--filter", "kind=USED_BY_PENDING_TASK"]);
    assert!(
        shown.contains("3.0 MiB") && shown.contains("1 objects"),
        "{shown}"
    );
    assert!(!shown.contains(&small.id().to_string()), "{shown}");
    std::fs::remove_file(&begun).expect("it is there");
    assert_eq!(sizes.get()?, 3 << 20);
    drop((large, holder));
    let is_gone = || !user.ok(&["memory"]).contains("3.0 MiB");
    assert!(eventually(is_gone));
    ray.shutdown()
}
