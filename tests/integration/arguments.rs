//! Arguments that come from other nodes leave room for those who read and for tasks that run.

use ray_core::{get_all, prelude::*};
use ray_tests::{Cluster, Tokens, add_token, take_token};

const DRILL: &str = env!("CARGO_BIN_EXE_drill");
const MIB: usize = 1 << 20;
/// Of the store of the node where the tasks run; MiB.
const STORE: &str = "store=64";

#[remote(resources("a" = 1.0))]
fn filled(len: u64, byte: u8) -> Vec<u8> {
    vec![byte; len as usize]
}

/// Holds its argument until there is a token.
#[remote(resources("b" = 1.0))]
fn hold(bytes: &Archived<Vec<u8>>, begun: String, gate: String) -> u8 {
    add_token(&begun);
    take_token(&gate);
    bytes[bytes.len() - 1]
}

#[remote(num_cpus = 0, resources("b" = 1.0))]
fn read(inside: Vec<ObjectRef<Vec<u8>>>) -> Result<u8, ray_core::Error> {
    let view = inside[0].view()?;
    Ok(view[view.len() - 1])
}

#[remote(resources("b" = 1.0))]
fn last_of(bytes: &Archived<Vec<u8>>) -> u8 {
    bytes[bytes.len() - 1]
}

/// Waits for a task that needs room for an argument of its own.
#[remote(resources("b" = 1.0))]
fn last_of_both(
    bytes: &Archived<Vec<u8>>,
    inside: Vec<ObjectRef<Vec<u8>>>,
) -> Result<(u8, u8), ray_core::Error> {
    let other = last_of::remote(&inside[0]).get()?;
    Ok((bytes[bytes.len() - 1], other))
}

#[remote(resources("b" = 1.0))]
fn sum_of_last(one: &Archived<Vec<u8>>, other: &Archived<Vec<u8>>) -> u8 {
    one[one.len() - 1] + other[other.len() - 1]
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["2", "a=2"]);
    cluster.join(&["4", "b=8", STORE]);
    cluster
}

fn on_a(mib: usize, byte: u8) -> ObjectRef<Vec<u8>> {
    filled::remote((mib * MIB) as u64, byte)
}

#[ray_core::test]
fn who_reads_has_room_while_tasks_with_large_arguments_wait() -> ray_core::Result<()> {
    let cluster = cluster();
    let _ray = cluster.driver().init()?;
    let (begun, gate) = (Tokens::new(), Tokens::new());
    let path = |tokens: &Tokens| tokens.path().to_owned();
    let held: Vec<_> = (1..=4)
        .map(|byte| hold::remote(on_a(24, byte), path(&begun), path(&gate)))
        .collect();
    begun.take();
    assert_eq!(read::remote(vec![on_a(24, 9)]).get()?, 9);
    assert!(begun.is_empty(), "two of them are more than their share");
    gate.add(4);
    assert_eq!(get_all(&held)?, [1, 2, 3, 4]);
    Ok(())
}

#[ray_core::test]
fn a_task_that_waits_for_another_does_not_keep_its_arguments_out() -> ray_core::Result<()> {
    let cluster = cluster();
    let _ray = cluster.driver().init()?;
    let both = last_of_both::remote(on_a(36, 1), vec![on_a(16, 2)]);
    assert_eq!(both.get()?, (1, 2));
    Ok(())
}

#[ray_core::test]
fn tasks_that_each_need_two_large_arguments_all_run() -> ray_core::Result<()> {
    let cluster = cluster();
    let _ray = cluster.driver().init()?;
    let sums: Vec<_> = (1..=8)
        .map(|byte| sum_of_last::remote(on_a(20, byte), on_a(20, 100)))
        .collect();
    let expected: Vec<u8> = (101..=108).collect();
    assert_eq!(get_all(&sums)?, expected);
    Ok(())
}
