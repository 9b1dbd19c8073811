//! What nobody refers to is gone: after borrowers died, after calls ended, after a driver was killed.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use ray_core::{
    Config, Error, available_resources, cluster_resources, control::Table, object_store_stats,
    prelude::*, put,
};
use ray_tests::{Cluster, Tokens, eventually, is_alive, kill9};

const DRILL: &str = env!("CARGO_BIN_EXE_drill");
const MIB: usize = 1 << 20;
const STORE: usize = 128 * MIB;

#[remote]
fn len_of(bytes: &Archived<Vec<u8>>) -> u64 {
    bytes.len() as u64
}

#[remote]
fn same(bytes: &Archived<Vec<u8>>) -> Vec<u8> {
    bytes.to_vec()
}

#[actor(num_cpus = 0)]
struct Keeper {
    kept: Vec<ObjectRef<Vec<u8>>>,
}

#[remote]
impl Keeper {
    pub fn new() -> Self {
        Keeper { kept: Vec::new() }
    }

    pub fn keep(&mut self, inside: Vec<ObjectRef<Vec<u8>>>) {
        self.kept = inside;
    }

    pub fn give_to(&self, other: KeeperHandle) -> Result<(), Error> {
        other.keep(self.kept.clone()).get()
    }

    pub fn first(&self) -> Result<u8, Error> {
        Ok(self.kept[0].view()?[0])
    }

    pub fn pid(&self) -> u32 {
        std::process::id()
    }
}

#[remote]
fn blob(len: u64) -> Vec<u8> {
    vec![1; len as usize]
}

/// Waits until another process finds most of the store free: nothing has to go to disk for it.
fn store_empties() -> bool {
    let spilled = || {
        object_store_stats()
            .expect("the node answers")
            .spilled_bytes
    };
    eventually(|| {
        let before = spilled();
        let len = STORE / 10 * 7;
        let made = blob::remote(len as u64);
        assert_eq!(made.view().expect("room on disk at least").len(), len);
        spilled() == before
    })
}

// 121
#[ray_core::test]
fn the_last_borrower_reads_what_came_from_one_that_died() -> ray_core::Result<()> {
    let _ray = Config::new().object_store_memory(STORE as u64).init()?;
    let (first, last) = (Keeper::remote(), Keeper::remote());
    let objects: ray_core::Result<Vec<_>> = (0..8).map(|_| put(&vec![8_u8; 8 * MIB])).collect();
    first.keep(objects?).get()?;
    first.give_to(&last).get()?;
    kill9(first.pid().get()?);
    let died = first.first().get();
    assert!(matches!(died, Err(Error::ActorDied { .. })), "{died:?}");
    assert_eq!(last.first().get()?, 8);
    last.keep(Vec::new()).get()?;
    assert!(store_empties(), "the borrower that died still counts");
    Ok(())
}

// 122
#[ray_core::test]
fn arguments_and_results_leave_nothing_behind() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["2"]);
    let _ray = cluster.driver().init()?;
    let large: Vec<_> = (0..8)
        .map(|_| put(&vec![1_u8; 8 * MIB]).expect("room"))
        .collect();
    let copy: Vec<_> = large.iter().map(same::remote).collect();
    for copy in &copy {
        assert_eq!(len_of::remote(copy).get()?, 8 * MIB as u64);
    }
    assert!(!cluster.rows(Table::Objects).is_empty());
    drop((large, copy));
    let is_empty = eventually(|| cluster.rows(Table::Objects).is_empty());
    assert!(is_empty, "{:?}", cluster.rows(Table::Objects));
    Ok(())
}

// 30, 170
#[ray_core::test]
fn a_driver_killed_while_it_waits_leaves_nothing_and_hurts_nobody() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["3"]);
    let _ray = cluster.driver().namespace("watch").init()?;
    assert_eq!(len_of::remote(vec![1_u8; 9]).get()?, 9);
    let arenas = || arenas_of(cluster.node_pid(0));
    let before = arenas();
    let (begun, gate) = (Tokens::new(), Tokens::new());
    let mut driver = Command::new(DRILL)
        .arg("wait")
        .env("RAY_ADDRESS", cluster.address())
        .env("RAY_TOKEN", cluster.token())
        .env("DRILL_BEGUN", begun.path())
        .env("DRILL_GATE", gate.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the drill runs");
    let mut lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
    let pids = lines.find_map(|line| Some(line.ok()?.strip_prefix("pids ")?.to_owned()));
    let pids: Vec<u32> = pids
        .expect("it tells its workers")
        .split(' ')
        .map(|pid| pid.parse().expect("a number"))
        .collect();
    begun.take();
    let running = || {
        let rows = cluster.rows(Table::Jobs);
        rows.iter()
            .filter(|row| row.text("status") == "RUNNING")
            .count()
    };
    assert_eq!(running(), 2);
    assert!(arenas() > before, "each job has an arena of its own");
    kill9(driver.id());
    driver.wait().expect("it ended");
    // What it waited for comes.
    gate.add(1);
    for pid in pids {
        assert!(
            eventually(|| !is_alive(pid)),
            "worker {pid} outlived its driver"
        );
    }
    assert!(
        eventually(|| running() == 1),
        "{:?}",
        cluster.rows(Table::Jobs)
    );
    let total = cluster_resources()?.get("CPU");
    assert!(eventually(|| {
        available_resources().is_ok_and(|free| free.get("CPU") == total)
    }));
    assert!(eventually(|| cluster.rows(Table::Objects).is_empty()));
    let living = || {
        let rows = cluster.rows(Table::Actors);
        rows.iter()
            .filter(|row| row.text("state") != "DEAD")
            .count()
    };
    assert!(eventually(|| living() == 0));
    assert!(eventually(|| arenas() == before), "its arena is left");
    assert_eq!(len_of::remote(vec![1_u8; 9]).get()?, 9, "all goes on");
    Ok(())
}

/// Counts the shared memories that a node keeps for jobs.
fn arenas_of(node: u32) -> usize {
    let files = std::fs::read_dir(format!("/proc/{node}/fd")).expect("the node runs");
    files
        .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("/memfd:ray-arena"))
        .count()
}
