//! Several nodes: where work goes, how objects follow it, what a node's death means.

use ray_core::{Error, cluster_resources, get_all, nodes, prelude::*, put, runtime_context};
use ray_tests::{Cluster, eventually};

const DRILL: &str = env!("CARGO_BIN_EXE_drill");

#[remote]
fn where_am_i() -> String {
    runtime_context().node.to_string()
}

#[remote(resources("left" = 1.0))]
fn on_the_left() -> String {
    runtime_context().node.to_string()
}

#[remote(resources("right" = 1.0))]
fn on_the_right() -> String {
    runtime_context().node.to_string()
}

#[remote(resources("nowhere" = 1.0))]
fn on_no_node() {}

#[remote(resources("left" = 1.0))]
fn large_on_the_left(fill: u8) -> Vec<u8> {
    vec![fill; 5 << 20]
}

#[remote(resources("right" = 1.0))]
fn sum_on_the_right(bytes: &Archived<Vec<u8>>) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

#[remote(resources("left" = 1.0))]
fn asks_the_right() -> Result<String, Error> {
    on_the_right::remote().get()
}

#[actor]
struct Counter {
    value: i64,
}

#[remote]
impl Counter {
    pub fn new(start: i64) -> Self {
        Self { value: start }
    }

    pub fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }

    pub fn home(&self) -> String {
        runtime_context().node.to_string()
    }

    pub fn len_of(&self, bytes: Vec<u8>) -> u64 {
        bytes.len() as u64
    }

    pub fn sum_of(&self, bytes: &Archived<Vec<u8>>) -> u64 {
        bytes.iter().map(|byte| u64::from(*byte)).sum()
    }

    pub fn many(&self, fill: u8, len: u64) -> Vec<u8> {
        vec![fill; len as usize]
    }

    pub fn call_other(&self, other: CounterHandle) -> Result<i64, Error> {
        other.add(10).get()
    }
}

fn two_nodes() -> (Cluster, String, String) {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    let left = cluster.join(&["2", "left=2"]);
    let right = cluster.join(&["2", "right=2"]);
    (cluster, left, right)
}

#[ray_core::test]
fn a_task_runs_where_its_resources_are() -> ray_core::Result<()> {
    let (cluster, left, right) = two_nodes();
    let _ray = cluster.driver().init()?;
    assert_eq!(nodes()?.len(), 3);
    assert_eq!(cluster_resources()?.get("CPU"), 4.0);
    assert_eq!(on_the_left::remote().get()?, left);
    assert_eq!(on_the_right::remote().get()?, right);
    let places = (0..40).map(|_| where_am_i::remote()).collect::<Vec<_>>();
    for place in get_all(&places)? {
        assert!(place == left || place == right, "{place}");
    }
    Ok(())
}

#[ray_core::test]
fn what_no_node_can_run_is_refused() -> ray_core::Result<()> {
    let (cluster, _, _) = two_nodes();
    let _ray = cluster.driver().init()?;
    let refused = on_no_node::remote().get();
    assert!(
        matches!(refused, Err(Error::Unschedulable { .. })),
        "{refused:?}"
    );
    Ok(())
}

#[ray_core::test]
fn a_task_of_one_node_calls_one_of_another() -> ray_core::Result<()> {
    let (cluster, _, right) = two_nodes();
    let _ray = cluster.driver().init()?;
    assert_eq!(asks_the_right::remote().get()?, right);
    Ok(())
}

#[ray_core::test]
fn objects_follow_the_work_from_node_to_node() -> ray_core::Result<()> {
    let (cluster, _, _) = two_nodes();
    let _ray = cluster.driver().init()?;
    let large = large_on_the_left::remote(3);
    let sums = (0..4)
        .map(|_| sum_on_the_right::remote(&large))
        .collect::<Vec<_>>();
    for sum in get_all(&sums)? {
        assert_eq!(sum, 3 * (5 << 20));
    }
    let view = large.view()?;
    assert_eq!((view.len(), view[0], view[(5 << 20) - 1]), (5 << 20, 3, 3));
    let from_here = put(&vec![2_u8; 3 << 20])?;
    assert_eq!(sum_on_the_right::remote(&from_here).get()?, 2 * (3 << 20));
    Ok(())
}

#[ray_core::test]
fn actors_live_on_any_node_and_call_each_other() -> ray_core::Result<()> {
    let (cluster, left, right) = two_nodes();
    let _ray = cluster.driver().init()?;
    let a = Counter::options().resource("left", 1.0).remote(0);
    let b = Counter::options()
        .resource("right", 1.0)
        .name("b")
        .remote(5);
    assert_eq!((a.home().get()?, b.home().get()?), (left, right));
    assert_eq!(a.call_other(b.clone()).get()?, 15);
    assert_eq!(CounterHandle::named("b")?.add(1).get()?, 16);
    let large = large_on_the_left::remote(1);
    assert_eq!(b.len_of(&large).get()?, 5 << 20);
    let values = (0..1000).map(|_| a.add(1)).collect::<Vec<_>>();
    assert_eq!(get_all(&values)?, (1..=1000).collect::<Vec<i64>>());
    Ok(())
}

#[ray_core::test]
fn two_jobs_of_different_code_share_a_cluster() {
    let (cluster, _, _) = two_nodes();
    let ray = cluster.driver().init().expect("it joins");
    // The drill is another executable than this test.
    let output = std::process::Command::new(DRILL)
        .arg("output")
        .env("RAY_ADDRESS", cluster.address())
        .env("RAY_TOKEN", cluster.token())
        .output()
        .expect("the drill runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(
        text.lines()
            .any(|line| line.contains("says hello") && line.starts_with("(speak node=")),
        "{text}"
    );
    assert!(where_am_i::remote().get().is_ok());
    ray.shutdown().expect("the end");
}

#[ray_core::test]
fn a_dead_nodes_tasks_run_elsewhere_and_its_actors_are_dead() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    let left = cluster.join(&["2", "left=2"]);
    let _ray = cluster.driver().init()?;
    let counter = Counter::options().resource("left", 1.0).remote(0);
    let survivor = Counter::options().max_restarts(1).remote(7);
    assert_eq!(counter.home().get()?, left);
    assert_eq!(survivor.home().get()?, left);
    let right = cluster.join(&["2", "right=2"]);
    cluster.kill_node(0);
    let dead = counter.add(1).get();
    assert!(
        matches!(
            dead,
            Err(Error::ActorDied { .. } | Error::ActorUnavailable { .. })
        ),
        "{dead:?}"
    );
    assert!(
        eventually(|| survivor.home().get().is_ok_and(|home| home == right)),
        "it starts again on the other node"
    );
    assert_eq!(survivor.add(1).get()?, 8, "with fresh state");
    assert_eq!(where_am_i::remote().get()?, right);
    assert!(eventually(|| {
        nodes().is_ok_and(|nodes| nodes.iter().filter(|node| !node.alive).count() == 1)
    }));
    Ok(())
}

#[ray_core::test]
fn an_object_whose_node_died_is_lost() -> ray_core::Result<()> {
    let (mut cluster, _, _) = two_nodes();
    let _ray = cluster.driver().init()?;
    let large = large_on_the_left::remote(9);
    assert!(large.is_ready() || eventually(|| large.is_ready()));
    cluster.kill_node(0);
    let lost = large.get();
    assert!(matches!(lost, Err(Error::ObjectLost { .. })), "{lost:?}");
    Ok(())
}

#[ray_core::test]
fn nodes_end_with_their_head() {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["1"]);
    cluster.kill_head();
    assert!(cluster.wait_for_node(0), "it ends by itself");
}

#[ray_core::test]
fn a_driver_with_a_wrong_token_is_refused() {
    let cluster = Cluster::start(DRILL, &["1"]);
    let wrong = format!("{}x", &cluster.token()[..cluster.token().len() - 1]);
    for token in [wrong.as_str(), "nonsense", ""] {
        let refused = cluster.driver().token(token).init();
        assert!(refused.is_err(), "{token} was let in");
    }
    let none = ray_core::Config::new().address(cluster.address()).init();
    assert!(matches!(none, Err(Error::Unauthenticated(_))), "{none:?}");
}

#[remote(resources("left" = 1.0), backpressure = 2)]
fn blocks_on_the_left(count: u8) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(|fill| vec![fill; 1 << 20])
}

#[ray_core::test]
fn large_items_stream_from_another_node() -> ray_core::Result<()> {
    let (cluster, _, _) = two_nodes();
    let _ray = cluster.driver().init()?;
    for (fill, block) in blocks_on_the_left::remote(6).enumerate() {
        let sum = sum_on_the_right::remote(&block).get()?;
        assert_eq!(sum, (fill as u64) << 20);
        assert_eq!(usize::from(block.view()?[7]), fill);
    }
    Ok(())
}

/// Runs beside a [`Counter`] of another job, on the same node.
#[remote(resources("left" = 1.0))]
fn talks_to(keeper: CounterHandle, fill: u8) -> Result<(u64, u64), Error> {
    let own = put(&vec![fill; 3 << 20])?;
    let sum = keeper.sum_of(&own).get()?;
    let many = keeper.many(fill, 2 << 20).get()?;
    Ok((sum, many.iter().map(|byte| u64::from(*byte)).sum()))
}

#[ray_core::test]
fn jobs_that_share_an_actor_read_each_others_values_and_never_their_own() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["2", "left=2"]);
    let ray = cluster.driver().namespace("shared").init()?;
    let keeper = Counter::options()
        .name("keeper")
        .lifetime(ray_core::Lifetime::Detached)
        .resource("left", 1.0)
        .remote(0);
    // The first job's memory is full of ones, wherever another job's value could be mistaken for it.
    let ones = keeper.many(1, 20 << 20).get()?;
    assert!(ones.iter().all(|byte| *byte == 1));
    ray.shutdown()?;

    let ray = cluster.driver().namespace("shared").init()?;
    let keeper = CounterHandle::named("keeper")?;
    let own = put(&vec![7_u8; 4 << 20])?;
    assert_eq!(keeper.sum_of(&own).get()?, 7 * (4 << 20));
    let many = keeper.many(9, 5 << 20).get()?;
    assert!(many.len() == 5 << 20 && many.iter().all(|byte| *byte == 9));
    let talked = talks_to::remote(&keeper, 5).get()?;
    assert_eq!(talked, (5 * (3 << 20), 5 * (2 << 20)));
    // What is too large to travel says so.
    let large = put(&vec![7_u8; 30 << 20])?;
    let error = keeper.sum_of(&large).get().expect_err("too large");
    assert!(error.to_string().contains("another job"), "{error}");
    let error = keeper.many(9, 30 << 20).get().expect_err("too large");
    assert!(error.to_string().contains("another job"), "{error}");
    assert_eq!(keeper.add(1).get()?, 1, "the actor goes on");
    keeper.kill(ray_core::KillMode::NoRestart)?;
    ray.shutdown()
}
