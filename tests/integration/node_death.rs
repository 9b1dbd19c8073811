//! What a node's death means for its workers, calls and actors, and where work goes while a node empties.

use std::path::Path;

use ray_core::{Error, NodeId, Strategy, get_all, nodes, prelude::*, runtime_context};
use ray_tests::{Cluster, Tokens, add_token, eventually, is_alive, take_token};

const DRILL: &str = env!("CARGO_BIN_EXE_drill");

#[remote]
fn where_am_i() -> String {
    runtime_context().node.to_string()
}

#[remote(resources("left" = 1.0), max_retries = 0)]
fn held_on_the_left(begun: String, gate: String, pid_at: String) {
    std::fs::write(pid_at, std::process::id().to_string()).expect("a file");
    add_token(&begun);
    take_token(&gate);
}

#[remote(num_cpus = 1)]
fn held(begun: String, gate: String) -> String {
    add_token(&begun);
    take_token(&gate);
    runtime_context().node.to_string()
}

#[actor(num_cpus = 0.1)]
struct Resident {
    calls: u64,
}

#[remote]
impl Resident {
    pub fn new() -> Self {
        Resident { calls: 0 }
    }

    pub fn call(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }

    pub fn home(&self) -> String {
        runtime_context().node.to_string()
    }

    pub fn pid(&self) -> u32 {
        std::process::id()
    }

    /// Submits tasks from where it is; tells where they ran.
    pub fn homes_of_held(
        &self,
        count: u64,
        begun: String,
        gate: String,
    ) -> Result<Vec<String>, Error> {
        let calls: Vec<_> = (0..count)
            .map(|_| held::remote(begun.as_str(), gate.as_str()))
            .collect();
        get_all(&calls)
    }
}

fn id_of(name: &str) -> NodeId {
    let nodes = nodes().expect("the nodes");
    let found = nodes.iter().find(|node| node.id.to_string() == name);
    found.expect("a node of this name").id
}

fn pid_in(file: &Path) -> u32 {
    let text = std::fs::read_to_string(file).expect("the task wrote its pid");
    text.parse().expect("a number")
}

// 31, 46, 47
#[ray_core::test]
fn a_killed_nodes_workers_end_and_its_calls_name_it() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    let left = cluster.join(&["2", "left=2"]);
    cluster.join(&["2"]);
    let _ray = cluster.driver().init()?;
    let left_id = id_of(&left);
    let (begun, gate) = (Tokens::new(), Tokens::new());
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("pid");
    let task = held_on_the_left::remote(begun.path(), gate.path(), file.to_str().expect("UTF-8"));
    begun.take();
    let resident = Resident::options().resource("left", 1.0).remote();
    let workers = [pid_in(&file), resident.pid().get()?];
    assert!(workers.iter().all(|pid| is_alive(*pid)));
    cluster.kill_node(0);
    let error = task.get().expect_err("its node is dead");
    assert_eq!(error, Error::NodeDied(left_id));
    assert!(error.to_string().contains(&left), "{error}");
    let error = resident.call().get().expect_err("its node is dead");
    let is_right = matches!(
        error,
        Error::ActorDied { .. } | Error::ActorUnavailable { .. }
    );
    assert!(is_right, "{error}");
    for pid in workers {
        assert!(
            eventually(|| !is_alive(pid)),
            "worker {pid} outlived its node"
        );
    }
    let rows = nodes()?;
    assert_eq!(rows.len(), 3, "a dead node is still listed");
    let alive = |row: &ray_core::NodeInfo| row.alive != (row.id == left_id);
    assert!(rows.iter().all(alive), "{rows:?}");
    Ok(())
}

// 92
#[ray_core::test]
fn calls_with_retries_do_not_notice_that_their_actors_node_died() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    let left = cluster.join(&["1"]);
    let _ray = cluster.driver().init()?;
    let resident = Resident::options()
        .max_restarts(-1)
        .max_task_retries(-1)
        .remote();
    assert_eq!(resident.home().get()?, left);
    let right = cluster.join(&["1"]);
    let before: Vec<_> = (0..50).map(|_| resident.call()).collect();
    cluster.kill_node(0);
    let after: Vec<_> = (0..50).map(|_| resident.call()).collect();
    get_all(&before)?;
    let after = get_all(&after)?;
    assert!(after.is_sorted(), "in order: {after:?}");
    assert_eq!(resident.home().get()?, right);
    Ok(())
}

// 149
#[ray_core::test]
fn work_stays_where_it_is_submitted_until_half_is_taken() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    let left = cluster.join(&["4", "left=1"]);
    cluster.join(&["4", "right=1"]);
    let _ray = cluster.driver().init()?;
    let resident = Resident::options()
        .num_cpus(0.0)
        .resource("left", 1.0)
        .remote();
    let (begun, gate) = (Tokens::new(), Tokens::new());
    let homes = resident.homes_of_held(2_u64, begun.path(), gate.path());
    begun.take();
    begun.take();
    gate.add(2);
    assert_eq!(homes.get()?, [left.clone(), left.clone()]);
    Ok(())
}

// 154
#[ray_core::test]
fn a_node_that_empties_gets_neither_tasks_nor_actors_and_ends_when_it_is_empty()
-> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    let left = cluster.join(&["4", "left=1"]);
    let right = cluster.join(&["4", "right=1"]);
    let _ray = cluster.driver().init()?;
    let left_id = id_of(&left);
    let last = Resident::options().resource("left", 1.0).remote();
    assert_eq!(last.call().get()?, 1);
    cluster.drain(&left);
    let on = |soft| Strategy::NodeAffinity {
        node: left_id,
        soft,
    };
    assert!(eventually(|| {
        let refused = where_am_i::options().scheduling(on(false)).remote().get();
        matches!(refused, Err(Error::Unschedulable { .. }))
    }));
    let tasks: Vec<_> = (0..20).map(|_| where_am_i::remote()).collect();
    assert!(get_all(&tasks)?.iter().all(|home| *home == right));
    let spread = where_am_i::options().scheduling(Strategy::Spread);
    let tasks: Vec<_> = (0..4).map(|_| spread.clone().remote()).collect();
    assert!(get_all(&tasks)?.iter().all(|home| *home == right));
    let soft = where_am_i::options().scheduling(on(true)).remote();
    assert_eq!(soft.get()?, right);
    let actor = Resident::remote();
    assert_eq!(actor.home().get()?, right);
    let refused = Resident::options()
        .scheduling(on(false))
        .remote()
        .home()
        .get();
    assert!(
        matches!(refused, Err(Error::Unschedulable { .. })),
        "{refused:?}"
    );
    assert_eq!(last.call().get()?, 2, "what was there goes on");
    drop(last);
    assert!(cluster.wait_for_node(0), "it ends in order");
    Ok(())
}
