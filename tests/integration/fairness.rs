//! Work of several submitters on few CPUs: nobody waits for the end of another's queue.

use ray_core::{Config, Error, prelude::*};
use ray_tests::{Cluster, PATIENCE, eventually, exists};

const DRILL: &str = env!("CARGO_BIN_EXE_drill");

/// Keeps a CPU busy for a moment.
#[remote]
fn spin(x: u64) -> u64 {
    (0..20_000_u64).fold(x, |sum, at| sum.wrapping_mul(31).wrapping_add(at))
}

/// Has more short tasks queued than the node can run, until the file is there; returns how many ended.
#[remote(num_cpus = 0)]
fn floods(until: String) -> Result<u64, Error> {
    let mut queue = std::collections::VecDeque::new();
    let mut ended = 0;
    while !exists(&until) {
        while queue.len() < 200 {
            queue.push_back(spin::remote(ended));
        }
        let oldest = queue.pop_front().expect("filled above");
        oldest.get()?;
        ended += 1;
    }
    Ok(ended)
}

#[ray_core::test]
fn a_long_queue_of_one_caller_lets_another_caller_in() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(1.0).init()?;
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("stop");
    let flood = floods::remote(file.to_str().expect("UTF-8"));
    for x in 0..20 {
        spin::remote(x).get_timeout(PATIENCE)?;
    }
    std::fs::write(&file, "").expect("a file");
    assert!(flood.get()? > 0);
    Ok(())
}

#[ray_core::test]
fn a_long_queue_of_one_job_lets_another_job_in() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["1"]);
    let _ray = cluster.driver().init()?;
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("stop");
    let flood = floods::remote(file.to_str().expect("UTF-8"));
    spin::remote(1).get_timeout(PATIENCE)?;
    let mut other = std::process::Command::new(DRILL)
        .arg("output")
        .env("RAY_ADDRESS", cluster.address())
        .env("RAY_TOKEN", cluster.token())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the drill runs");
    let ended = eventually(|| other.try_wait().expect("a child").is_some());
    std::fs::write(&file, "").expect("a file");
    assert!(other.wait().expect("a child").success());
    assert!(
        ended,
        "the other job waited for the end of this one's queue"
    );
    assert!(flood.get()? > 0);
    Ok(())
}

/// Says by a file that it runs, and goes on until another is there.
#[remote]
fn occupies(at: String, until: String) {
    std::fs::write(at, "").expect("a file");
    assert!(eventually(|| exists(&until)), "nobody ended it");
}

/// Submits a few short tasks and then eight that only end together.
#[remote(num_cpus = 0)]
fn submits(dir: String, until: String) -> Result<(), Error> {
    for x in 0..4 {
        spin::remote(x).get()?;
    }
    let long = (0..8).map(|at| occupies::remote(format!("{dir}/{at}"), &until));
    ray_core::get_all(&long.collect::<Vec<_>>())?;
    Ok(())
}

#[ray_core::test]
fn what_waits_behind_long_work_goes_to_a_node_that_is_idle() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["4", "left=1"]);
    cluster.join(&["4"]);
    let _ray = cluster.driver().init()?;
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().to_str().expect("UTF-8");
    let until = format!("{folder}/end");
    let submitted = submits::options()
        .resource("left", 1.0)
        .remote(folder, &until);
    let all_run = eventually(|| (0..8).all(|at| exists(&format!("{folder}/{at}"))));
    std::fs::write(&until, "").expect("a file");
    assert!(all_run, "some waited while a node was idle");
    submitted.get()?;
    Ok(())
}
