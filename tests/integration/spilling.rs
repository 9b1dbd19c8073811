//! More than memory holds: objects go to disk and come back, and nothing of it stays behind.

use ray_core::{Config, Error, get_all, object_store_stats, prelude::*, put};
use ray_tests::{Cluster, SmallDisk, eventually};
use tempfile::TempDir;

const DRILL: &str = env!("CARGO_BIN_EXE_drill");
const MIB: usize = 1 << 20;
/// Of the store; what is put is four times as much.
const STORE: usize = 48 * MIB;

#[remote]
fn blob(fill: u8, len: u64) -> Vec<u8> {
    vec![fill; len as usize]
}

#[remote]
fn all_are(bytes: &Archived<Vec<u8>>, fill: u8) -> bool {
    is_all(bytes, fill)
}

#[remote]
fn take_and_give(bytes: &Archived<Vec<u8>>) -> Vec<u8> {
    vec![bytes[0].wrapping_add(1); bytes.len()]
}

/// Compares whole words: a byte at a time takes minutes without optimisation.
fn is_all(bytes: &[u8], fill: u8) -> bool {
    let expected = vec![fill; bytes.len()];
    !bytes.is_empty() && *bytes == expected[..]
}

fn small_store() -> Config {
    Config::new()
        .num_cpus(2.0)
        .object_store_memory(STORE as u64)
}

/// Puts objects of `len` bytes until they are four stores' worth; each is filled with its number.
fn four_stores(len: usize) -> ray_core::Result<Vec<ObjectRef<Vec<u8>>>> {
    let count = 4 * STORE / len;
    (0..count).map(|at| put(&vec![at as u8; len])).collect()
}

fn expect_each(objects: &[ObjectRef<Vec<u8>>]) -> ray_core::Result<()> {
    for (at, object) in objects.iter().enumerate() {
        assert!(is_all(&object.view()?, at as u8), "object {at}");
    }
    Ok(())
}

fn store_empties() -> bool {
    eventually(|| {
        // A process keeps its last lease.
        let stats = object_store_stats().expect("the node answers");
        stats.disk_bytes == 0 && stats.memory_bytes <= STORE as u64
    })
}

// 135
#[ray_core::test]
fn four_times_the_store_is_held_and_read_back() -> ray_core::Result<()> {
    let dir = TempDir::new().expect("a folder");
    let _ray = small_store().spill_dir(dir.path()).init()?;
    let objects = four_stores(4 * MIB)?;
    let stats = object_store_stats()?;
    assert!(stats.disk_bytes as usize >= 2 * STORE, "{stats:?}");
    assert!(stats.memory_bytes as usize <= STORE, "{stats:?}");
    let left = std::fs::read_dir(dir.path()).expect("a folder").count();
    assert_eq!(left, 0, "a file has no name and so outlives nobody");
    expect_each(&objects)?;
    let whole = get_all(&objects[..8])?;
    for (at, bytes) in whole.iter().enumerate() {
        assert!(is_all(bytes, at as u8), "object {at}");
    }
    assert!(object_store_stats()?.restored_bytes as usize >= 2 * STORE);
    drop(objects);
    assert!(store_empties());
    Ok(())
}

#[ray_core::test]
fn small_objects_are_spilled_together() -> ray_core::Result<()> {
    let _ray = small_store().init()?;
    let objects = four_stores(MIB / 5)?;
    expect_each(&objects)?;
    drop(objects);
    assert!(store_empties());
    Ok(())
}

#[ray_core::test]
fn results_and_arguments_of_tasks_go_to_disk_and_come_back() -> ray_core::Result<()> {
    let _ray = small_store().init()?;
    let len = 4 * MIB;
    let count = 4 * STORE / len;
    let objects: Vec<_> = (0..count)
        .map(|at| blob::remote(at as u8, len as u64))
        .collect();
    let checks: Vec<_> = objects
        .iter()
        .enumerate()
        .map(|(at, object)| all_are::remote(object, at as u8))
        .collect();
    assert!(get_all(&checks)?.into_iter().all(|is_right| is_right));
    expect_each(&objects)?;
    Ok(())
}

// 134
#[ray_core::test]
fn what_is_viewed_stays_in_its_place() -> ray_core::Result<()> {
    let _ray = small_store().init()?;
    let object = put(&vec![77_u8; 8 * MIB])?;
    let view = object.view()?;
    let others = four_stores(4 * MIB)?;
    assert!(is_all(&view, 77));
    expect_each(&others)?;
    assert!(is_all(&view, 77));
    Ok(())
}

// 136
#[ray_core::test]
fn puts_and_gets_under_pressure_end() -> ray_core::Result<()> {
    let _ray = small_store().init()?;
    let first: Vec<_> = (0..12).map(|at| blob::remote(at, 4 * MIB as u64)).collect();
    let mut last = first.clone();
    for _ in 0..3 {
        last = last.iter().map(take_and_give::remote).collect();
    }
    for (at, object) in last.iter().enumerate() {
        assert!(is_all(&object.view()?, at as u8 + 3), "object {at}");
    }
    Ok(())
}

#[ray_core::test]
fn another_node_reads_what_is_on_disk_here() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["2"]);
    let _ray = cluster.driver().object_store_memory(STORE as u64).init()?;
    let objects = four_stores(4 * MIB)?;
    let checks: Vec<_> = objects
        .iter()
        .enumerate()
        .map(|(at, object)| all_are::remote(object, at as u8))
        .collect();
    assert!(get_all(&checks)?.into_iter().all(|is_right| is_right));
    let stats = object_store_stats()?;
    assert!(stats.served_bytes as usize >= 4 * STORE, "{stats:?}");
    Ok(())
}

#[ray_core::test]
fn a_full_disk_is_an_error_that_loses_nothing_and_ends() -> ray_core::Result<()> {
    let Some(disk) = SmallDisk::mount(16) else {
        eprintln!("skipped: only root can mount a small disk");
        return Ok(());
    };
    let _ray = small_store().spill_dir(disk.path()).init()?;
    let mut objects = Vec::new();
    let error = loop {
        match put(&vec![objects.len() as u8; 4 * MIB]) {
            Ok(object) => objects.push(object),
            Err(error) => break error,
        }
        assert!(objects.len() < 20, "more than memory and disk hold");
    };
    assert!(matches!(error, Error::OutOfDisk { .. }), "{error}");
    let path = disk.path().display().to_string();
    assert!(error.to_string().contains(&path), "{error}");
    expect_each(&objects)?;
    objects.truncate(4);
    let again = put(&vec![200_u8; 4 * MIB])?;
    assert!(is_all(&again.view()?, 200));
    expect_each(&objects)?;
    Ok(())
}
