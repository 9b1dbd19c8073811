//! `wait` on values of other nodes: it brings them here, holds none, and gives up what nobody wants.

use std::{thread, time::Duration};

use ray_core::{get_all, object_store_stats, prelude::*, put, wait};
use ray_tests::{Cluster, eventually};

const DRILL: &str = env!("CARGO_BIN_EXE_drill");
const MIB: usize = 1 << 20;

#[remote]
fn filled(len: u64, byte: u8) -> Vec<u8> {
    vec![byte; len as usize]
}

/// Waits for all of them, then tells what came to this node, in bytes.
#[remote]
fn wait_for_them(objects: Vec<ObjectRef<Vec<u8>>>) -> Result<(u64, u64), ray_core::Error> {
    let (ready, pending) = wait(&objects, objects.len(), None)?;
    assert_eq!((ready.len(), pending.len()), (objects.len(), 0));
    let after_wait = object_store_stats()?.fetched_bytes;
    for bytes in get_all(&objects)? {
        assert!(!bytes.is_empty());
    }
    Ok((after_wait, object_store_stats()?.fetched_bytes))
}

fn cluster_of(names: &[&str]) -> Cluster {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    for name in names {
        cluster.join(&["2", &format!("{name}=4")]);
    }
    cluster
}

fn on_a(mib: usize, byte: u8) -> ObjectRef<Vec<u8>> {
    let filled = filled::options().resource("a", 1.0);
    filled.remote((mib * MIB) as u64, byte)
}

// 24
#[ray_core::test]
fn a_wait_brings_what_it_counts_to_this_node() -> ray_core::Result<()> {
    let cluster = cluster_of(&["a"]);
    let _ray = cluster.driver().init()?;
    let objects = [on_a(8, 1), on_a(8, 2), on_a(8, 3)];
    let (ready, pending) = wait(&objects, 3, None)?;
    assert_eq!((ready.len(), pending.len()), (3, 0));
    let stats = object_store_stats()?;
    assert_eq!(stats.copies, 3);
    let fetched = stats.fetched_bytes;
    assert!(fetched as usize >= 24 * MIB, "{fetched}");
    let values = get_all(&objects)?;
    assert!(
        values
            .iter()
            .zip(1..)
            .all(|(value, byte)| *value == vec![byte; 8 * MIB])
    );
    assert_eq!(
        object_store_stats()?.fetched_bytes,
        fetched,
        "get moves nothing more"
    );
    Ok(())
}

#[ray_core::test]
fn a_task_that_waits_has_them_on_its_own_node() -> ray_core::Result<()> {
    let cluster = cluster_of(&["a", "b"]);
    let _ray = cluster.driver().init()?;
    let objects = vec![on_a(8, 1), on_a(8, 2)];
    let told = wait_for_them::options().resource("b", 1.0).remote(&objects);
    let (after_wait, after_get) = told.get()?;
    assert!(after_wait as usize >= 16 * MIB, "{after_wait}");
    assert_eq!(after_get, after_wait);
    assert_eq!(
        object_store_stats()?.fetched_bytes,
        0,
        "nothing came to the driver"
    );
    Ok(())
}

#[ray_core::test]
fn what_is_here_is_ready_and_nothing_is_brought_for_it() -> ray_core::Result<()> {
    let cluster = cluster_of(&["a"]);
    let _ray = cluster.driver().init()?;
    let far = on_a(8, 1);
    // That it has ended is known here, its value is not.
    assert!(eventually(|| far.is_ready()));
    let here = put(&vec![2_u8; MIB])?;
    let (ready, pending) = wait(&[far.clone(), here.clone()], 1, None)?;
    assert_eq!((ready.len(), pending.len()), (1, 1));
    assert_eq!((ready[0].id(), pending[0].id()), (here.id(), far.id()));
    assert_eq!(object_store_stats()?.fetched_bytes, 0);
    Ok(())
}

#[ray_core::test]
fn a_wait_holds_nothing_so_more_than_the_store_can_be_waited_for() -> ray_core::Result<()> {
    let cluster = cluster_of(&["a"]);
    let _ray = cluster.driver().object_store_memory(64 << 20).init()?;
    let objects: Vec<_> = (1..=6).map(|byte| on_a(16, byte)).collect();
    let (ready, _) = wait(&objects, 6, None)?;
    assert_eq!(ready.len(), 6);
    let stats = object_store_stats()?;
    assert!(stats.memory_bytes <= 64 << 20, "{stats:?}");
    for (object, byte) in objects.iter().zip(1..) {
        assert_eq!(object.get()?, vec![byte; 16 * MIB]);
    }
    Ok(())
}

#[ray_core::test]
fn who_polls_comes_to_an_end() -> ray_core::Result<()> {
    let cluster = cluster_of(&["a"]);
    let _ray = cluster.driver().init()?;
    let object = [on_a(48, 7)];
    assert!(eventually(|| {
        wait(&object, 1, Duration::ZERO).is_ok_and(|(ready, _)| ready.len() == 1)
    }));
    let fetched = object_store_stats()?.fetched_bytes as usize;
    assert!(
        (48 * MIB..49 * MIB).contains(&fetched),
        "no part came twice: {fetched}"
    );
    Ok(())
}

#[ray_core::test]
fn a_wait_that_ends_gives_up_what_nobody_else_wants() -> ray_core::Result<()> {
    let cluster = cluster_of(&["a"]);
    let _ray = cluster.driver().object_store_memory(64 << 20).init()?;
    // It is read, so it does not make way: there is no room for what is waited for.
    let held = put(&vec![1_u8; 48 * MIB])?;
    let view = held.view()?;
    let far = [on_a(32, 2)];
    assert!(eventually(|| far[0].is_ready()));
    let waiting = {
        let far = far.clone();
        thread::spawn(move || wait(&far, 1, Duration::from_millis(500)))
    };
    assert!(eventually(
        || object_store_stats().is_ok_and(|stats| stats.copies == 1)
    ));
    let (ready, pending) = waiting.join().expect("no panic")?;
    assert_eq!((ready.len(), pending.len()), (0, 1));
    assert!(eventually(
        || object_store_stats().is_ok_and(|stats| stats.copies == 0)
    ));
    drop((view, held));
    let (ready, _) = wait(&far, 1, None)?;
    assert_eq!(ready.len(), 1, "it can be asked for again");
    Ok(())
}

#[ray_core::test]
fn a_wait_for_what_is_lost_ends() -> ray_core::Result<()> {
    let mut cluster = cluster_of(&["a"]);
    let _ray = cluster.driver().init()?;
    let far = filled::options()
        .resource("a", 1.0)
        .max_retries(0)
        .remote(8 << 20, 3);
    assert!(eventually(|| far.is_ready()));
    cluster.kill_node(0);
    let (ready, _) = wait(std::slice::from_ref(&far), 1, None)?;
    assert_eq!(ready.len(), 1);
    assert!(
        matches!(far.get(), Err(ray_core::Error::ObjectLost { .. })),
        "{:?}",
        far.get()
    );
    Ok(())
}
