//! A head that is killed and started again in its folder, with this test as the drivers of its cluster.

mod common;

use std::time::Duration;

use common::{
    User, end, eventually, once_there, path,
    work::{Counter, CounterHandle, hold, pid},
};
use ray_core::{Amount, Error, Lifetime, PlacementGroup, PlacementStrategy, Resources, prelude::*};

#[ray_core::test]
fn a_detached_group_is_reserved_again_by_a_head_that_comes_back() -> ray_core::Result<()> {
    let user = User::new();
    let (head, address) = user.start_same_head();
    let _node = user.start_node(&address);
    let ray = user.join(&address)?;
    let bundle = Resources::new().with("second", Amount::ONE);
    let pool = PlacementGroup::options()
        .name("pool")
        .lifetime(Lifetime::Detached)
        .create(&[bundle], PlacementStrategy::Pack)?;
    let in_pool = |pool: &PlacementGroup| {
        let there = pid::options().num_cpus(0.0).resource("second", 1.0);
        there.placement_group(pool, 0).remote().get()
    };
    assert!(in_pool(&pool).is_ok());
    ray.shutdown()?;
    head.kill();

    let (_head, address) = user.start_same_head();
    let ray = user.join(&address)?;
    let found = PlacementGroup::named("pool")?;
    assert_eq!(found, pool);
    assert!(in_pool(&found).is_ok());
    found.remove()?;
    assert!(matches!(
        PlacementGroup::named("pool"),
        Err(Error::NotFound(_))
    ));
    ray.shutdown()
}

#[ray_core::test]
fn nodes_come_back_to_a_head_that_was_killed_and_new_jobs_run() -> ray_core::Result<()> {
    let user = User::new();
    let (head, address) = user.start_same_head();
    let node = user.start_node(&address);
    let ray = user.join(&address)?;
    pid::options().resource("second", 1.0).remote().get()?;
    ray.shutdown()?;
    head.kill();

    let (_head, address) = user.start_same_head();
    let alive = ["list", "nodes", "--filter", "state=ALIVE"];
    assert!(eventually(|| user.ok(&alive).contains("second")));
    let status = user.ok(&["status"]);
    assert!(status.contains("of 3 CPU"), "{status}");
    let ray = user.join(&address)?;
    assert!(pid::options().resource("second", 1.0).remote().get()? > 0);
    ray.shutdown()?;
    user.ok(&["stop"]);
    node.ends_well();
    Ok(())
}

#[ray_core::test]
fn a_detached_actor_outlives_its_driver_and_its_head() -> ray_core::Result<()> {
    let user = User::new();
    let (head, address) = user.start_same_head();
    let _node = user.start_node(&address);
    let ray = user.join(&address)?;
    let counter = || {
        Counter::options()
            .name("counter")
            .lifetime(Lifetime::Detached)
            .resource("second", 1.0)
            .get_if_exists(true)
            .remote(10)
    };
    assert_eq!(counter().add(1).get()?, 11);
    drop(ray);

    let ray = user.join(&address)?;
    assert_eq!(CounterHandle::named("counter")?.add(1).get()?, 12);
    assert_eq!(counter().add(1).get()?, 13, "the one that exists");
    let taken = Counter::options().name("counter").remote(0).ready().get();
    assert!(matches!(taken, Err(Error::NameTaken(_))), "{taken:?}");
    drop(ray);
    head.kill();

    let (_head, address) = user.start_same_head();
    let ray = user.join(&address)?;
    let found = CounterHandle::named("counter")?;
    assert_eq!(found.add(1).get()?, 14);
    let alive = ["list", "nodes", "--filter", "state=ALIVE"];
    assert!(eventually(|| user.ok(&alive).contains("second")));
    // Its node is here again by now, and has kept it.
    assert_eq!(found.add(1).get()?, 15);
    let row = user.ok(&["list", "actors", "--filter", "state=ALIVE"]);
    assert!(row.contains("Counter"), "{row}");
    found.kill(KillMode::NoRestart)?;
    assert!(eventually(|| CounterHandle::named("counter").is_err()));
    ray.shutdown()
}

#[ray_core::test]
fn a_detached_actor_is_restarted_without_its_creator_and_on_another_node() -> ray_core::Result<()> {
    let user = User::new();
    let (head, address) = user.start_same_head();
    let mut node = user.start_node(&address);
    let ray = user.join(&address)?;
    let counter = Counter::options()
        .name("counter")
        .lifetime(Lifetime::Detached)
        .resource("second", 1.0)
        .max_restarts(3)
        .remote(10);
    assert_eq!(counter.add(1).get()?, 11);
    let first = counter.pid().get()?;
    drop(counter);
    ray.shutdown()?;
    head.kill();
    end(first);
    assert!(common::ends(&first.to_string()));

    // It died while no head was there.
    let (_head, address) = user.start_same_head();
    let ray = user.join(&address)?;
    let named = || CounterHandle::named("counter");
    assert!(eventually(|| named().is_ok()));
    let counter = named()?;
    assert_eq!(once_there(|| counter.add(1))?, 11, "a second life");
    // It crashes under a head that did not see its creator.
    end(counter.pid().get()?);
    assert_eq!(once_there(|| counter.add(1))?, 11, "a third one");

    // Another node starts it from the head's copy of its program.
    let programs = user.dir.path().join("run").join("executables");
    let has_copy = || {
        let files = std::fs::read_dir(&programs).into_iter().flatten();
        let mut names = files.filter_map(|file| Some(file.ok()?.file_name()));
        names.any(|name| !name.to_string_lossy().ends_with(".part"))
    };
    assert!(eventually(has_copy));
    node.child.kill().expect("it runs");
    node.child.wait().expect("it is dead");
    let _other = user.start_node(&address);
    assert_eq!(once_there(|| counter.add(1))?, 11, "a fourth one");
    end(counter.pid().get()?);
    let over = once_there(|| counter.add(1));
    assert!(matches!(over, Err(Error::ActorDied { .. })), "{over:?}");
    assert!(named().is_err());
    ray.shutdown()
}

#[ray_core::test]
fn a_driver_whose_head_stays_away_is_told_so_and_what_runs_ends_well() -> ray_core::Result<()> {
    let user = User::new();
    let (head, address) = user.start_same_head();
    let _node = user.start_node(&address);
    let driver = user.driver(&address);
    let ray = driver.reconnect_within(Duration::from_secs(2)).init()?;
    let [begun, gate] = ["begun", "gate"].map(|name| user.dir.path().join(name));
    let held = hold::remote(path(&begun), path(&gate));
    assert!(eventually(|| begun.exists()));
    let never = pid::options()
        .num_cpus(3.0)
        .resource("second", 2.0)
        .remote();
    head.kill();
    let lost = never.get();
    assert!(matches!(lost, Err(Error::HeadLost)), "{lost:?}");
    let fresh = pid::options().num_cpus(2.0).remote().get();
    assert!(matches!(fresh, Err(Error::HeadLost)), "{fresh:?}");
    let asked = ray_core::nodes();
    assert!(matches!(asked, Err(Error::HeadLost)), "{asked:?}");
    let found = CounterHandle::named("counter");
    assert!(matches!(found, Err(Error::HeadLost)), "{:?}", found.err());
    let made = Counter::remote(1).add(1).get();
    assert!(matches!(made, Err(Error::HeadLost)), "{made:?}");
    std::fs::write(&gate, "open").expect("written");
    assert_eq!(held.get()?, 7);
    ray.shutdown()
}

#[ray_core::test]
fn who_joined_with_a_revoked_token_is_sent_away() -> ray_core::Result<()> {
    let user = User::new();
    let (_head, address) = user.start_same_head();
    let mut node = user.start_node(&address);
    let ray = user.join(&address)?;
    pid::options().resource("second", 1.0).remote().get()?;
    let listed = user.ok(&["token", "list"]);
    let id_of = |role: &str| {
        let line = listed.lines().find(|line| line.contains(role));
        line.and_then(|line| line.split(' ').next())
            .expect("it is listed")
    };
    user.ok(&["token", "revoke", id_of("node")]);
    node.child.wait().expect("it is told to end");
    assert!(eventually(|| {
        user.ok(&["list", "nodes", "--filter", "state=DEAD"])
            .contains("second")
    }));
    user.ok(&["token", "revoke", id_of("driver")]);
    assert!(eventually(|| matches!(
        ray_core::nodes(),
        Err(Error::HeadLost)
    )));
    ray.shutdown()
}

#[ray_core::test]
fn a_revoked_driver_is_cut_off_by_workers_and_by_the_next_head_as_well() -> ray_core::Result<()> {
    let user = User::new();
    let (head, address) = user.start_same_head();
    let _node = user.start_node(&address);
    let ray = user.join(&address)?;
    let made = Counter::options()
        .name("counter")
        .lifetime(Lifetime::Detached)
        .resource("second", 1.0)
        .remote(0);
    assert_eq!(made.add(1).get()?, 1);
    drop(made);
    ray.shutdown()?;

    let ray = user.join(&address)?;
    let counter = CounterHandle::named("counter")?;
    assert_eq!(counter.add(1).get()?, 2);
    let listed = user.ok(&["token", "list"]);
    let mut mine = listed.lines().filter(|line| line.contains("driver"));
    // The first is that of the driver which made the actor.
    let ids: Vec<&str> = mine
        .by_ref()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(ids.len(), 2, "{listed}");
    for id in ids {
        user.ok(&["token", "revoke", id]);
    }
    // The head is not on the way of these calls: the actor's own worker refuses them.
    assert!(eventually(|| counter.add(1).get().is_err()));
    let alive = user.ok(&["list", "actors", "--filter", "state=ALIVE"]);
    assert!(alive.contains("counter"), "{alive}");
    drop(counter);
    ray.shutdown()?;
    head.kill();

    let (_head, address) = user.start_same_head();
    let ray = user.join(&address)?;
    let counter = CounterHandle::named("counter")?;
    let value = once_there(|| counter.add(1))?;
    assert!(value >= 3, "the actor lives on, at {value}");
    ray.shutdown()
}

#[ray_core::test]
fn certificates_are_renewed_before_they_end_on_nodes_and_workers() -> ray_core::Result<()> {
    let user = User::new();
    let (_head, address) = user.start_head_with(&["--certificate-life", "6s"]);
    let _node = user.start_node(&address);
    let ray = user.join(&address)?;
    let counter = Counter::options()
        .name("counter")
        .lifetime(Lifetime::Detached)
        .resource("second", 1.0)
        .remote(0);
    assert_eq!(counter.add(1).get()?, 1);
    let files = user.ok(&["logs", "--node", "second"]);
    let file = files
        .split_whitespace()
        .find(|word| word.starts_with("node-"));
    let file = file.expect("the node's log").to_owned();
    let renewals = |user: &User| {
        let log = user.ok(&["logs", "--node", "second", &file]);
        log.matches("certificates of this node were renewed")
            .count()
    };
    assert!(eventually(|| renewals(&user) >= 2));
    assert_eq!(counter.add(1).get()?, 2, "connections that are there go on");
    drop(counter);
    drop(ray);

    // The first certificates have ended by now; everybody here is dialed anew.
    let ray = user.join(&address)?;
    assert_eq!(CounterHandle::named("counter")?.add(1).get()?, 3);
    assert!(pid::options().resource("second", 1.0).remote().get()? > 0);
    ray.shutdown()
}
