//! Nodes that die, hang or are emptied, with this test as the driver.

mod common;

use std::{path::Path, time::Duration};

use common::{User, eventually};
use ray_core::{Error, Strategy, get_all, prelude::*, runtime_context};
use rustix::process::{Pid, Signal, kill_process};

#[remote(resources("second" = 1.0))]
fn hold(begun: String, until: String) -> String {
    std::fs::write(begun, "begun").expect("written");
    while !Path::new(&until).exists() {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    runtime_context().node.to_string()
}

#[remote(resources("second" = 0.1))]
fn blob(byte: u8, len: u64) -> Vec<u8> {
    vec![byte; len as usize]
}

/// Returns a reference that the process of this task owns.
#[remote(resources("second" = 0.1))]
fn put_there() -> Result<ObjectRef<Vec<u8>>, Error> {
    ray_core::put(&vec![1; 1 << 20])
}

#[remote]
fn home() -> String {
    runtime_context().node.to_string()
}

/// Returns the id of the node of a name.
fn node_id(user: &User, name: &str) -> String {
    let filter = format!("node_name={name}");
    let row = user.ok(&["list", "nodes", "--filter", &filter, "--format", "json"]);
    let id = row.split("\"node_id\":\"").nth(1);
    let id = id.and_then(|rest| rest.split('"').next());
    id.expect("it is listed").to_owned()
}

/// Returns the row of the second node.
fn second(user: &User) -> String {
    user.ok(&["list", "nodes", "--filter", "node_name=second"])
}

#[ray_core::test]
fn a_killed_node_is_noticed_by_its_closed_port_and_its_work_goes_elsewhere() -> ray_core::Result<()>
{
    let user = User::new();
    let (_head, address) = user.start_head();
    let mut node = user.start_node(&address);
    let ray = user.join(&address)?;
    let homes = (0..20).map(|_| home::remote()).collect::<Vec<_>>();
    get_all(&homes)?;
    node.child.kill().expect("it runs");
    node.child.wait().expect("it is dead");
    assert!(eventually(|| second(&user).contains("DEAD")));
    let row = second(&user);
    assert!(row.contains("its process or its machine is gone"), "{row}");
    let homes = (0..4).map(|_| home::remote()).collect::<Vec<_>>();
    let homes = get_all(&homes)?;
    assert!(homes.iter().all(|home| *home == homes[0]), "{homes:?}");
    ray.shutdown()
}

#[test]
fn a_node_that_hangs_is_in_doubt_then_dead_and_ends_when_it_wakes() {
    let user = User::new();
    let (_head, address) = user.start_head();
    let mut node = user.start_node(&address);
    let pid = Pid::from_child(&node.child);
    kill_process(pid, Signal::STOP).expect("it runs");
    let mut states = Vec::new();
    let seen = |states: &mut Vec<&str>, user: &User| {
        let row = second(user);
        let state = ["ALIVE", "SUSPECT", "DEAD"]
            .into_iter()
            .find(|state| row.contains(state));
        let state = state.expect("a state");
        if states.last() != Some(&state) {
            states.push(state);
        }
        state == "DEAD"
    };
    let died = eventually(|| seen(&mut states, &user));
    let row = second(&user);
    kill_process(pid, Signal::CONT).expect("it is there");
    assert!(died && states.contains(&"SUSPECT"), "{states:?}");
    assert!(row.contains("nothing was heard of it"), "{row}");
    node.child.wait().expect("it was told to end");
    assert!(second(&user).contains("DEAD"));
}

#[test]
fn a_node_that_hangs_for_a_moment_lives_on() {
    let user = User::new();
    let (_head, address) = user.start_head();
    let node = user.start_node(&address);
    let pid = Pid::from_child(&node.child);
    kill_process(pid, Signal::STOP).expect("it runs");
    let doubted = eventually(|| second(&user).contains("SUSPECT"));
    let status = user.ok(&["status"]);
    kill_process(pid, Signal::CONT).expect("it is there");
    assert!(
        doubted && status.contains("node second is SUSPECT"),
        "{status}"
    );
    assert!(eventually(|| second(&user).contains("ALIVE")));
}

#[ray_core::test]
fn a_draining_node_finishes_what_it_has_takes_nothing_new_and_leaves() -> ray_core::Result<()> {
    let user = User::new();
    let (_head, address) = user.start_head();
    let mut node = user.start_node(&address);
    let ray = user.join(&address)?;
    let [begun, gate] = ["begun", "gate"].map(|name| user.dir.path().join(name));
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let held = hold::remote(path(&begun), path(&gate));
    assert!(eventually(|| begun.exists()));
    let drained = user.ok(&["drain", "second", "--no-wait"]);
    assert!(drained.contains("takes no new work"), "{drained}");
    assert!(eventually(|| second(&user).contains("DRAINING")));

    let nodes = ray_core::nodes()?;
    let there = nodes.iter().find(|node| node.resources.get("second") > 0.0);
    let there = there.expect("it is listed").id;
    let affine = Strategy::NodeAffinity {
        node: there,
        soft: false,
    };
    let refused = home::options().scheduling(affine).remote().get();
    assert!(
        matches!(refused, Err(Error::Unschedulable { .. })),
        "{refused:?}"
    );
    let homes = (0..8).map(|_| home::remote()).collect::<Vec<_>>();
    for home in get_all(&homes)? {
        assert_ne!(home, there.to_string());
    }
    std::fs::write(&gate, "open").expect("written");
    assert_eq!(held.get()?, there.to_string());
    assert!(node.child.wait().expect("it ends").success());
    assert!(second(&user).contains("it was drained"));
    ray.shutdown()
}

#[ray_core::test]
fn a_drained_node_loses_no_object() -> ray_core::Result<()> {
    let user = User::new();
    let (_head, address) = user.start_head();
    let mut nodes = ["second", "third"].map(|name| user.start_named(&address, name));
    let ray = user.join(&address)?;
    // More than this driver's own store holds; none of it can be made again.
    let made = (0..6).map(|byte| blob::options().max_retries(0).remote(byte, 8 << 20));
    let objects = made.collect::<Vec<_>>();
    assert!(eventually(|| objects
        .iter()
        .all(|object| object.is_ready())));
    for (name, node) in ["second", "third"].into_iter().zip(&mut nodes) {
        let said = user.ok(&["drain", name]);
        assert!(said.contains("it was drained"), "{said}");
        assert!(node.child.wait().expect("it ends").success());
    }
    let fetched = ray_core::object_store_stats()?.fetched_bytes;
    assert_eq!(fetched, 0, "other nodes come first");
    for (byte, object) in (0..).zip(&objects) {
        assert!(object.view()?.iter().all(|there| *there == byte));
    }
    ray.shutdown()
}

#[ray_core::test]
fn what_the_processes_of_a_drained_node_own_ends_with_them() -> ray_core::Result<()> {
    let user = User::new();
    let (_head, address) = user.start_head();
    let mut node = user.start_node(&address);
    let ray = user.join(&address)?;
    let inside = put_there::remote().get()?;
    user.ok(&["drain", "second"]);
    assert!(node.child.wait().expect("it was told to end").success());
    let lost = inside.get();
    assert!(matches!(lost, Err(Error::OwnerDied { .. })), "{lost:?}");
    ray.shutdown()
}

#[ray_core::test]
fn a_drain_with_a_deadline_waits_for_what_the_nodes_processes_own() -> ray_core::Result<()> {
    let user = User::new();
    let (_head, address) = user.start_head();
    let mut node = user.start_node(&address);
    let ray = user.join(&address)?;
    let inside = put_there::remote().get()?;
    let drain = ["drain", "second", "--deadline", "10m", "--no-wait"];
    user.ok(&drain);
    assert!(eventually(|| second(&user).contains("DRAINING")));
    // Whether it waits is known once its other workers are gone.
    let workers = || {
        let workers = ["list", "workers", "--filter", "is_alive=true"];
        let rows = user.ok(&[&workers[..], &["--format", "json"]].concat());
        let there = node_id(&user, "second");
        rows.lines().filter(|row| row.contains(&there)).count()
    };
    assert!(eventually(|| workers() == 1));
    assert_eq!(inside.get()?.len(), 1 << 20, "its owner is there");
    assert!(node.child.try_wait().expect("it is ours").is_none());
    drop(inside);
    assert!(node.child.wait().expect("it was told to end").success());
    assert!(second(&user).contains("it was drained"));
    ray.shutdown()
}

#[ray_core::test]
fn objects_leave_a_node_before_its_deadline_although_it_has_work() -> ray_core::Result<()> {
    let user = User::new();
    let (_head, address) = user.start_head();
    let mut node = user.start_node(&address);
    let _other = user.start_named(&address, "third");
    let ray = user.join(&address)?;
    let object = blob::options().max_retries(0).remote(7, 8 << 20);
    assert!(eventually(|| object.is_ready()));
    let [begun, gate] = ["begun", "gate"].map(|name| user.dir.path().join(name));
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let held = hold::options().max_retries(0);
    let held = held.remote(path(&begun), path(&gate));
    assert!(eventually(|| begun.exists()));
    let said = user.ok(&["drain", "second", "--deadline", "12s"]);
    assert!(said.contains("its deadline passed"), "{said}");
    node.child.wait().expect("it was told to end");
    assert!(held.get().is_err());
    assert!(object.view()?.iter().all(|there| *there == 7));
    ray.shutdown()
}

#[ray_core::test]
fn a_drain_ends_at_its_deadline() -> ray_core::Result<()> {
    let user = User::new();
    let (_head, address) = user.start_head();
    let mut node = user.start_node(&address);
    let ray = user.join(&address)?;
    let [begun, gate] = ["begun", "gate"].map(|name| user.dir.path().join(name));
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let held = hold::options()
        .max_retries(0)
        .remote(path(&begun), path(&gate));
    assert!(eventually(|| begun.exists()));
    let said = user.ok(&["drain", "second", "--deadline", "1s"]);
    assert!(said.contains("its deadline passed"), "{said}");
    let lost = held.get();
    assert!(lost.is_err(), "{lost:?}");
    node.child.wait().expect("it was told to end");
    ray.shutdown()
}

#[test]
fn what_cannot_be_drained_is_said_in_one_line() {
    let user = User::new();
    let (_head, _) = user.start_head();
    assert!(user.fails(&["drain", "third"]).contains("no living node"));
    let own = user.ok(&["list", "nodes", "--format", "json"]);
    let id = own.split("\"node_id\":\"").nth(1);
    let id = id.and_then(|rest| rest.split('"').next()).expect("an id");
    assert!(user.fails(&["drain", id]).contains("ray stop"));
}
