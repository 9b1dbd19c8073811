//! Processes: what they print, where they log, and that none is left behind.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use ray_core::{Config, Error, init, prelude::*};
use ray_tests::{eventually, is_alive, kill9};

fn drill(what: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drill"));
    command.arg(what).stdin(Stdio::null());
    command
}

#[remote]
fn pid() -> u32 {
    std::process::id()
}

#[ray_core::test]
fn what_workers_print_reaches_the_driver_with_its_source() {
    let output = drill("output").output().expect("the drill runs");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let pids = stdout
        .lines()
        .find_map(|line| line.strip_prefix("pids "))
        .expect("the pids")
        .to_owned();
    let (task, actor) = pids.split_once(' ').expect("two");
    for line in [
        format!("(speak pid={task}) says hello"),
        format!("(Speaker pid={actor}) says hi"),
    ] {
        assert!(
            stdout.lines().any(|printed| printed == line),
            "no `{line}` in\n{stdout}"
        );
    }
    let line = format!("(speak pid={task}) whispers hello");
    assert!(
        stderr.lines().any(|printed| printed == line),
        "no `{line}` in\n{stderr}"
    );
}

#[ray_core::test]
fn workers_end_when_the_driver_is_killed() {
    let mut driver = drill("stay")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the drill runs");
    let mut lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
    let pids = lines
        .find_map(|line| {
            line.expect("a line")
                .strip_prefix("pids ")
                .map(str::to_owned)
        })
        .expect("the pids");
    let pids: Vec<u32> = pids
        .split(' ')
        .map(|pid| pid.parse().expect("a number"))
        .collect();
    assert!(pids.len() == 3 && pids.iter().all(|pid| is_alive(*pid)));
    kill9(driver.id());
    driver.wait().expect("it ended");
    for pid in pids {
        assert!(
            eventually(|| !is_alive(pid)),
            "worker {pid} outlived its driver"
        );
    }
}

#[ray_core::test]
fn shutdown_leaves_no_process() -> ray_core::Result<()> {
    let ray = init()?;
    let worker = pid::remote().get()?;
    assert!(is_alive(worker));
    ray.shutdown()?;
    assert!(
        !is_alive(worker),
        "shutdown returned before the worker had ended"
    );
    let error = pid::remote().get().expect_err("nothing runs");
    assert!(matches!(error, Error::NotInitialized), "{error}");
    Ok(())
}

#[ray_core::test]
fn a_runtime_can_be_started_again() -> ray_core::Result<()> {
    for _ in 0..3 {
        let ray = init()?;
        pid::remote().get()?;
        ray.shutdown()?;
    }
    Ok(())
}

#[ray_core::test]
fn a_second_init_is_refused() {
    let output = drill("twice").output().expect("the drill runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        stdout.contains("refused: ") && stdout.contains("twice"),
        "{stdout}"
    );
}

#[ray_core::test]
fn each_process_logs_into_the_runs_folder() -> ray_core::Result<()> {
    let dir = tempfile::tempdir().expect("a folder");
    let ray = Config::new()
        .run_dir(dir.path())
        .log_level("debug")
        .workers(2)
        .init()?;
    let worker = pid::remote().get()?;
    ray.shutdown()?;
    let logs = dir.path().join("logs");
    for name in [
        format!("driver-{}.log", std::process::id()),
        format!("worker-{worker}.log"),
    ] {
        let text = std::fs::read_to_string(logs.join(&name)).expect("a log");
        assert!(!text.is_empty(), "{name} is empty");
    }
    Ok(())
}

#[ray_core::test]
fn wrong_settings_are_refused_by_name() {
    let wrong = [
        ("num_cpus", Config::new().num_cpus(-1.0)),
        ("object_store_memory", Config::new().object_store_memory(0)),
        ("resource", Config::new().resource("gum", f64::NAN)),
    ];
    for (name, config) in wrong {
        match config.init() {
            Err(Error::InvalidOption { option, .. }) => {
                assert!(option.contains(name), "{option} instead of {name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[ray_core::test]
fn the_node_tells_what_it_has() -> ray_core::Result<()> {
    let _ray = Config::new()
        .num_cpus(3.0)
        .resource("gum", 2.5)
        .workers(1)
        .init()?;
    let nodes = ray_core::nodes()?;
    assert_eq!(nodes.len(), 1);
    assert!(nodes[0].alive && nodes[0].workers >= 1);
    let total = ray_core::cluster_resources()?;
    assert_eq!((total.get("CPU"), total.get("gum")), (3.0, 2.5));
    #[remote(num_cpus = 1)]
    fn during() -> bool {
        let left = || ray_core::available_resources().map(|free| free.get("gum"));
        // The node's report may come after the task.
        eventually(|| left().is_ok_and(|gum| gum == 0.5))
    }
    let inside = during::options().resource("gum", 2.0).remote();
    assert!(inside.get()?, "the task holds what it asked for");
    Ok(())
}

#[ray_core::test]
fn an_idle_extra_worker_ends_after_a_while() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(1.0).workers(1).init()?;
    #[remote]
    fn nested(depth: u64) -> Result<u64, Error> {
        if depth == 0 {
            return Ok(0);
        }
        Ok(1 + nested::remote(depth - 1).get()?)
    }
    assert_eq!(nested::remote(4).get()?, 4);
    let settled = eventually(|| ray_core::nodes().is_ok_and(|nodes| nodes[0].workers == 1));
    assert!(settled, "workers that nobody needs stay");
    Ok(())
}
