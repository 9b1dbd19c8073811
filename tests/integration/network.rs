//! Machines of their own: jobs across network namespaces, a partition and its end, a bad line to the driver.

use std::{sync::atomic::Ordering, time::Duration};

use ray_core::{Error, Strategy, get_all, nodes, prelude::*, put, runtime_context};
use ray_tests::{
    Cluster, Faults, Lab, Machine, PATIENCE, Tally, Tokens, eventually, take_token, tally,
};

const DRILL: &str = env!("CARGO_BIN_EXE_drill");

#[remote(resources("left" = 1.0))]
fn large_on_the_left(fill: u8, bytes: u64) -> Vec<u8> {
    vec![fill; bytes as usize]
}

#[remote(resources("right" = 1.0))]
fn sum_on_the_right(bytes: &Archived<Vec<u8>>) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

#[remote]
fn home() -> String {
    runtime_context().node.to_string()
}

/// The first attempt waits for a token that never comes.
#[remote(max_retries = 3)]
fn hang_once(attempts: String, begun: String, never: String) -> String {
    let before = tally(&attempts);
    ray_tests::add_token(&begun);
    if before == 0 {
        take_token(&never);
    }
    runtime_context().node.to_string()
}

#[actor(num_cpus = 0.1)]
struct Counter {
    value: u64,
}

#[remote]
impl Counter {
    pub fn new() -> Self {
        Counter { value: 0 }
    }

    pub fn add(&mut self, by: u64) -> u64 {
        self.value += by;
        self.value
    }

    pub fn home(&self) -> String {
        runtime_context().node.to_string()
    }
}

/// A head on machine 1, a node on 2 and one on 3.
fn cluster_in(lab: &Lab) -> (Cluster, [String; 2]) {
    let head = lab.machine(1);
    let bind = format!("@{}", head.address());
    let mut cluster = Cluster::start_with(&head.launcher(), DRILL, &["0", &bind]);
    let mut join = |number, resource| {
        let machine: Machine = lab.machine(number);
        cluster.join_with(&machine.launcher(), &["2", resource])
    };
    let nodes = [join(2, "left=2"), join(3, "right=2")];
    (cluster, nodes)
}

fn on(node: &str, soft: bool) -> ray_core::Result<Strategy> {
    let found = nodes()?.into_iter().find(|row| row.id.to_string() == node);
    let node = found.expect("it has joined").id;
    Ok(Strategy::NodeAffinity { node, soft })
}

#[ray_core::test]
fn a_job_runs_across_machines() -> ray_core::Result<()> {
    let Some(lab) = Lab::build(4) else {
        return Ok(());
    };
    let (cluster, [left, right]) = cluster_in(&lab);
    lab.machine(4).enter();
    let _ray = cluster.driver().init()?;
    let counter = Counter::options().scheduling(on(&left, false)?).remote();
    assert_eq!(counter.home().get_timeout(PATIENCE)?, left);
    let counts: Vec<_> = (0..100).map(|_| counter.add(1)).collect();
    assert_eq!(get_all(&counts)?, (1..=100).collect::<Vec<_>>());
    // From machine to machine, and not by way of the driver.
    let sum = sum_on_the_right::remote(large_on_the_left::remote(3, 5 << 20));
    assert_eq!(sum.get_timeout(PATIENCE)?, 3 * (5 << 20));
    let own = put(&vec![2_u8; 3 << 20])?;
    assert_eq!(
        sum_on_the_right::remote(&own).get_timeout(PATIENCE)?,
        2 * (3 << 20)
    );
    let homes = [left, right].map(|node| (on(&node, false).expect("it is alive"), node));
    for (strategy, node) in homes {
        let found = home::options().scheduling(strategy).remote();
        assert_eq!(found.get_timeout(PATIENCE)?, node);
    }
    Ok(())
}

#[ray_core::test]
fn a_node_that_is_cut_off_is_dead_and_its_work_goes_on_elsewhere() -> ray_core::Result<()> {
    let Some(lab) = Lab::build(4) else {
        return Ok(());
    };
    let (mut cluster, [left, right]) = cluster_in(&lab);
    lab.machine(4).enter();
    let _ray = cluster.driver().init()?;
    let counter = Counter::options().scheduling(on(&left, false)?).remote();
    assert_eq!(counter.add(1).get_timeout(PATIENCE)?, 1);
    let (attempts, begun, never) = (Tally::new(), Tokens::new(), Tokens::new());
    let task = hang_once::options().scheduling(on(&left, true)?).remote(
        attempts.path(),
        begun.path(),
        never.path(),
    );
    begun.take();
    let pending = counter.home();

    lab.machine(2).cut_off();
    let unknown = counter.add(1);
    let is_alive = |node: &str| {
        let rows = nodes().expect("the head is there");
        rows.iter()
            .any(|row| row.id.to_string() == node && row.alive)
    };
    assert!(eventually(|| !is_alive(&left)), "silence is noticed");
    assert!(is_alive(&right));
    assert_eq!(
        task.get_timeout(PATIENCE)?,
        right,
        "the task ran again elsewhere"
    );
    assert_eq!(attempts.count(), 2);
    for call in [
        unknown.get_timeout(PATIENCE).map(drop),
        counter.add(1).get_timeout(PATIENCE).map(drop),
    ] {
        assert!(
            matches!(call, Err(Error::ActorDied { .. } | Error::NodeDied(_))),
            "{call:?}"
        );
    }
    // It was answered, or its answer was lost with the node.
    let answered = pending.get_timeout(PATIENCE);
    assert!(matches!(
        answered,
        Ok(_) | Err(Error::ActorDied { .. } | Error::NodeDied(_))
    ));
    // Cut off from its head, it does not go on alone.
    cluster.wait_for_node(0);

    let machine = lab.machine(2);
    machine.heal();
    let again = cluster.join_with(&machine.launcher(), &["2", "left=2"]);
    assert_ne!(again, left, "one life, one id");
    let found = home::options().scheduling(on(&again, false)?).remote();
    assert_eq!(found.get_timeout(PATIENCE)?, again);
    Ok(())
}

#[ray_core::test]
fn over_a_bad_line_calls_run_once_in_order_and_objects_arrive_whole() -> ray_core::Result<()> {
    let Some(lab) = Lab::build(3) else {
        return Ok(());
    };
    let (cluster, [left, right]) = cluster_in(&lab);
    let (driver, relay) = lab.behind_relay();
    driver.enter();
    let ray = cluster.driver().init()?;
    // The nodes fetch this executable, which is large, while the line is good.
    for node in [&left, &right] {
        let found = home::options().scheduling(on(node, false)?).remote();
        assert_eq!(&found.get_timeout(PATIENCE)?, node);
    }
    relay.set_faults(Faults {
        seed: 7,
        lost: 20,
        doubled: 10,
        delay: (Duration::from_millis(1), Duration::from_millis(4)),
    });
    let counter = Counter::options().scheduling(on(&left, false)?).remote();
    let counts: Vec<_> = (0..1_000).map(|_| counter.add(1)).collect();
    let counts: Vec<u64> = get_all(&counts)?;
    assert_eq!(counts, (1..=1_000).collect::<Vec<_>>());
    assert_eq!(
        counter.add(0).get_timeout(PATIENCE)?,
        1_000,
        "none ran twice"
    );
    let homes: Vec<_> = (0..50).map(|_| home::remote()).collect();
    assert_eq!(get_all(&homes)?.len(), 50);
    // Out to a node, and back from one.
    let bytes: Vec<u8> = (0..1_u32 << 20).map(|at| (at * 7 % 251) as u8).collect();
    let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    assert_eq!(
        sum_on_the_right::remote(&put(&bytes)?).get_timeout(PATIENCE)?,
        sum
    );
    let back = large_on_the_left::remote(9, 1 << 20).get_timeout(PATIENCE)?;
    assert!(back.len() == 1 << 20 && back.iter().all(|byte| *byte == 9));
    ray.shutdown()?;
    let counts = relay.counts();
    for count in [&counts.lost, &counts.doubled, &counts.reordered] {
        assert!(
            count.load(Ordering::Relaxed) > 10,
            "the line was bad: {counts:?}"
        );
    }
    Ok(())
}
