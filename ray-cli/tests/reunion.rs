//! A driver, this test, that lives on while its head is killed and started again.

mod common;

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use common::{
    User, end, eventually, once_there, path,
    work::{Counter, CounterHandle, hold, pid},
};
use ray_core::{
    Amount, Config, Error, PlacementStrategy, Resources, get_all, placement_group, prelude::*,
};
use rustix::process::{Pid, Signal, kill_process};

/// An actor that makes another one, so that the other's creator is a worker.
#[actor]
struct Parent {
    child: CounterHandle,
}

#[remote]
impl Parent {
    pub fn new() -> Self {
        let child = Counter::options()
            .resource("second", 0.1)
            .max_restarts(-1)
            .remote(0);
        Self { child }
    }

    pub fn add(&mut self, by: i64) -> Result<i64, Error> {
        self.child.add(by).get()
    }

    pub fn child_pid(&mut self) -> Result<u32, Error> {
        self.child.pid().get()
    }
}

#[ray_core::test]
fn a_driver_goes_on_with_a_head_that_was_killed_and_started_again() -> ray_core::Result<()> {
    let user = User::new();
    let (head, address) = user.start_same_head();
    let _node = user.start_node(&address);
    let ray = user.join(&address)?;
    let counter = Counter::options()
        .name("counter")
        .resource("second", 0.1)
        .max_restarts(1)
        .remote(10);
    let doomed = Counter::options()
        .resource("second", 0.1)
        .max_restarts(1)
        .remote(50);
    let parent = Parent::options().resource("second", 0.1).remote();
    assert_eq!(counter.add(1).get()?, 11);
    assert_eq!(doomed.add(1).get()?, 51);
    assert_eq!(parent.add(1).get()?, 1);
    let [begun, gate] = ["begun", "gate"].map(|name| user.dir.path().join(name));
    let held = hold::remote(path(&begun), path(&gate));
    assert!(eventually(|| begun.exists()));
    head.kill();

    // What runs goes on, also while no head is there; what needs one waits for it.
    assert_eq!(counter.add(1).get()?, 12);
    assert_eq!(parent.add(1).get()?, 2);
    end(doomed.pid().get()?);
    let asked = thread::spawn(ray_core::nodes);
    let looked_up = thread::spawn(|| CounterHandle::named("counter"));
    let submitted = pid::options().resource("second", 0.5).remote();
    let made = Counter::options().resource("second", 0.1).remote(100);
    let first = made.add(1);
    assert!(submitted.get_timeout(Duration::from_millis(300)).is_err());
    assert!(!asked.is_finished() && !looked_up.is_finished());

    let (_head, address) = user.start_same_head();
    assert!(submitted.get()? > 0);
    assert_eq!(first.get()?, 101);
    asked.join().expect("no panic")?;
    let found = looked_up.join().expect("no panic")?;
    assert_eq!(found.add(1).get()?, 13);
    assert_eq!(counter.add(1).get()?, 14);
    assert_eq!(parent.add(1).get()?, 3);
    assert_eq!(once_there(|| doomed.add(1))?, 51, "a second life");
    std::fs::write(&gate, "open").expect("written");
    assert_eq!(held.get()?, 7);

    // New work, names and restarts of what was there before.
    let pids: Vec<_> = (0..8).map(|_| pid::remote()).collect();
    get_all(&pids)?;
    let named = Counter::options().name("later").remote(1);
    assert_eq!(named.add(1).get()?, 2);
    assert_eq!(CounterHandle::named("later")?.add(1).get()?, 3);
    let taken = Counter::options().name("counter").remote(0).ready().get();
    assert!(matches!(taken, Err(Error::NameTaken(_))), "{taken:?}");
    end(counter.pid().get()?);
    assert_eq!(once_there(|| counter.add(1))?, 11);
    end(parent.child_pid().get()?);
    let again = once_there(|| parent.add(1));
    assert!(
        matches!(again, Ok(1)) || matches!(&again, Err(Error::Task { .. })),
        "{again:?}"
    );
    assert!(eventually(|| parent.add(1).get().is_ok()));

    drop((counter, found, doomed, parent, made, named));
    let alive = ["list", "actors", "--filter", "state=ALIVE"];
    assert!(eventually(|| user.ok(&alive).lines().count() <= 1));
    // Its end is the end of its job, as with any head.
    ray.shutdown()?;
    let running = ["list", "jobs", "--filter", "status=RUNNING"];
    assert!(eventually(|| user.ok(&running).lines().count() <= 1));
    let ray = user.join(&address)?;
    assert!(pid::options().resource("second", 2.0).remote().get()? > 0);
    ray.shutdown()
}

#[ray_core::test]
fn a_placement_group_is_reserved_again_by_a_head_that_was_started_again() -> ray_core::Result<()> {
    let user = User::new();
    let (head, address) = user.start_same_head();
    let _node = user.start_node(&address);
    let ray = user.join(&address)?;
    let bundle = || Resources::new().with("second", Amount::ONE);
    let group = placement_group(&[bundle()], PlacementStrategy::Pack)?;
    let inside = || {
        pid::options()
            .num_cpus(0.0)
            .placement_group(&group, 0)
            .remote()
    };
    inside().get()?;
    head.kill();
    let (_head, _) = user.start_same_head();
    assert!(inside().get()? > 0);
    group.remove()?;
    ray.shutdown()
}

#[ray_core::test]
fn what_runs_for_a_driver_that_does_not_come_back_is_ended() -> ray_core::Result<()> {
    let user = User::new();
    let folder = path(&user.dir.path().join("run"));
    let start = || user.start_head_with(&["--run-dir", &folder, "--reconnect-within", "4s"]);
    let (head, address) = start();
    let _node = user.start_node(&address);
    let ray = user.join(&address)?;
    let counter = Counter::options().resource("second", 2.0).remote(0);
    assert_eq!(counter.add(1).get()?, 1);
    let worker = counter.pid().get()?.to_string();
    head.kill();
    drop(counter);
    ray.shutdown()?;

    let (_head, address) = start();
    assert!(common::ends(&worker), "nobody is left who wants it");
    let ray = user.join(&address)?;
    assert!(pid::options().resource("second", 2.0).remote().get()? > 0);
    ray.shutdown()
}

/// The other driver of the test below, which starts this very file; by itself it has nothing to do.
#[test]
fn a_driver_that_stays_until_it_is_told() {
    let until = std::env::var_os("STAYS_UNTIL");
    if until.is_none() && std::env::var_os("RAY_WORKER").is_none() {
        return;
    }
    let config = Config::new().namespace("here");
    let ray = config.object_store_memory(32 << 20).init().expect("a head");
    let counter = Counter::options().name("counter").resource("second", 0.1);
    let counter = counter.remote(10);
    assert_eq!(counter.add(1).get().expect("it lives"), 11);
    let until = std::path::PathBuf::from(until.expect("a driver has it"));
    std::fs::write(&until, "ready").expect("written");
    assert!(eventually(|| !until.exists()));
    ray.shutdown().expect("an end");
}

/// Starts the program above as a driver of its own; returns once it has its actor.
fn start_other(user: &User, address: &str, stays: &Path) -> Child {
    let token = user.ok(&["token", "create", "--role", "driver"]);
    let other = Command::new(std::env::current_exe().expect("this file"))
        .args(["--exact", "a_driver_that_stays_until_it_is_told"])
        .env("RAY_ADDRESS", address)
        .env("RAY_TOKEN", token.trim())
        .env("STAYS_UNTIL", stays)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("it runs");
    assert!(eventually(|| stays.exists()));
    other
}

#[ray_core::test]
fn a_name_stays_with_its_driver_until_that_had_time_to_come_back() -> ray_core::Result<()> {
    let user = User::new();
    let folder = path(&user.dir.path().join("run"));
    let start = || user.start_head_with(&["--run-dir", &folder, "--reconnect-within", "10s"]);
    let (head, address) = start();
    let _node = user.start_node(&address);
    let stays = user.dir.path().join("stays");
    let mut other = start_other(&user, &address, &stays);
    let other_pid = Pid::from_child(&other);
    kill_process(other_pid, Signal::STOP).expect("it runs");
    head.kill();
    let (head, address) = start();
    let ray = user.join(&address).expect("a head");
    let taken = || {
        let wanted = Counter::options().name("counter").remote(0);
        wanted.ready().get()
    };
    let newcomer = thread::spawn(taken);
    let own = Counter::options().name("own").resource("second", 0.1);
    let own = own.remote(1);
    let added = own.add(1).get();
    assert!(matches!(added, Ok(2)), "nobody had this name: {added:?}");
    let has_waited = !newcomer.is_finished();
    kill_process(other_pid, Signal::CONT).expect("it is there");
    let refused = newcomer.join().expect("no panic");
    assert!(matches!(refused, Err(Error::NameTaken(_))), "{refused:?}");
    assert!(has_waited);
    let found = CounterHandle::named("counter").expect("it is there");
    let added = once_there(|| found.add(1));
    assert!(matches!(added, Ok(12)), "{added:?}");
    drop(found);

    // The name is free once its driver has not come back in time.
    head.kill();
    other.kill().expect("it runs");
    other.wait().expect("it is dead");
    let (_head, _) = start();
    let again = Counter::options().name("counter").resource("second", 0.1);
    let again = again.remote(20);
    assert_eq!(again.add(1).get()?, 21);
    assert_eq!(CounterHandle::named("counter")?.add(1).get()?, 22);
    ray.shutdown()
}

#[ray_core::test]
fn a_name_that_its_driver_has_not_told_of_yet_is_waited_for() -> ray_core::Result<()> {
    let user = User::new();
    let (head, address) = user.start_same_head();
    let _node = user.start_node(&address);
    let stays = user.dir.path().join("stays");
    let mut other = start_other(&user, &address, &stays);
    let other_pid = Pid::from_child(&other);
    kill_process(other_pid, Signal::STOP).expect("it runs");
    head.kill();
    let (_head, address) = user.start_same_head();
    let ray = user.join(&address).expect("a head");
    let looked_up = thread::spawn(|| CounterHandle::named("counter"));
    let own = Counter::options().name("own").resource("second", 0.1);
    let own = own.remote(1);
    assert_eq!(own.add(1).get().ok(), Some(2));
    let own = CounterHandle::named("own").expect("it is there");
    assert_eq!(own.add(1).get().ok(), Some(3));
    let was_waited_for = !looked_up.is_finished();
    kill_process(other_pid, Signal::CONT).expect("it is there");
    let found = looked_up.join().expect("no panic");
    let added = found.and_then(|found| once_there(|| found.add(1)));
    std::fs::remove_file(&stays).expect("it is there");
    let ended = other.wait().expect("it ends");
    assert!(was_waited_for && ended.success(), "{ended}");
    assert_eq!(added?, 12);
    // Everybody is back by now: what nobody has is known at once.
    let nobody = CounterHandle::named("nobody");
    assert!(
        matches!(nobody, Err(Error::NotFound(_))),
        "{:?}",
        nobody.err()
    );
    ray.shutdown()
}
