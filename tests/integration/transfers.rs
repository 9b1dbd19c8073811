//! Objects on their way between nodes: from any holder, once a node, over the death of a holder.

use ray_core::{get_all, object_store_stats, prelude::*, put, runtime_context};
use ray_tests::{Cluster, eventually, kill9};

const DRILL: &str = env!("CARGO_BIN_EXE_drill");
const MIB: usize = 1 << 20;
const SIZE: usize = 48 * MIB;

#[remote]
fn large(len: u64) -> Vec<u8> {
    pattern(len as usize)
}

#[remote]
fn digest_of(bytes: &Archived<Vec<u8>>) -> u64 {
    digest(bytes)
}

/// Returns what came to this node and went from it, in bytes.
#[remote(num_cpus = 0)]
fn traffic() -> Result<(u64, u64), ray_core::Error> {
    let stats = object_store_stats()?;
    Ok((stats.fetched_bytes, stats.served_bytes))
}

#[remote(num_cpus = 0)]
fn copies() -> Result<u64, ray_core::Error> {
    Ok(object_store_stats()?.copies)
}

#[remote(num_cpus = 0)]
fn lent() -> Result<u64, ray_core::Error> {
    Ok(object_store_stats()?.lent_bytes)
}

#[remote]
fn home_of(_bytes: &Archived<Vec<u8>>) -> String {
    runtime_context().node.to_string()
}

#[actor]
struct Maker;

#[remote]
impl Maker {
    pub fn new() -> Self {
        Maker
    }

    pub fn pid(&self) -> u32 {
        std::process::id()
    }

    pub fn make(&self, len: u64) -> Vec<u8> {
        pattern(len as usize)
    }
}

/// Returns bytes of which no two parts are alike.
fn pattern(len: usize) -> Vec<u8> {
    let words = (0..len.div_ceil(8) as u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes.truncate(len);
    bytes
}

fn digest(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(8).zip(1_u64..);
    words.fold(0, |sum, (word, at)| {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        sum.wrapping_add(word.wrapping_mul(at))
    })
}

fn cluster_of(names: &[&str]) -> Cluster {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    for name in names {
        cluster.join(&["2", &format!("{name}=4")]);
    }
    cluster
}

#[ray_core::test]
fn a_get_goes_on_when_a_holder_dies_midway() -> ray_core::Result<()> {
    let mut cluster = cluster_of(&["a", "b"]);
    let _ray = cluster.driver().init()?;
    let object = large::options().resource("a", 1.0).remote(SIZE as u64);
    let expected = digest(&pattern(SIZE));
    let on_b = digest_of::options().resource("b", 1.0).remote(&object);
    assert_eq!(on_b.get()?, expected);
    let getter = {
        let object = object.clone();
        std::thread::spawn(move || object.view().map(|view| digest(&view)))
    };
    assert!(eventually(
        || object_store_stats().is_ok_and(|stats| stats.fetched_bytes > 0)
    ));
    cluster.kill_node(0);
    assert_eq!(getter.join().expect("no panic")?, expected);
    let fetched = object_store_stats()?.fetched_bytes;
    assert!(
        (SIZE..SIZE + MIB).contains(&(fetched as usize)),
        "what had come was kept: {fetched}"
    );
    Ok(())
}

// 126
#[ray_core::test]
fn a_copy_elsewhere_outlives_the_node_that_made_the_object() -> ray_core::Result<()> {
    let mut cluster = cluster_of(&["a", "b"]);
    let _ray = cluster.driver().init()?;
    let object = large::options()
        .resource("a", 1.0)
        .max_retries(0)
        .remote(8 * MIB as u64);
    let on_b = digest_of::options().resource("b", 1.0).remote(&object);
    assert_eq!(on_b.get()?, digest(&pattern(8 * MIB)));
    cluster.kill_node(0);
    assert_eq!(digest(&object.view()?), digest(&pattern(8 * MIB)));
    Ok(())
}

// 139
#[ray_core::test]
fn a_broadcast_goes_on_from_node_to_node() -> ray_core::Result<()> {
    let names = ["a", "b", "c", "d"];
    let cluster = cluster_of(&names);
    let _ray = cluster.driver().init()?;
    let bytes = pattern(SIZE);
    let object = put(&bytes)?;
    let everywhere = |object: &ObjectRef<Vec<u8>>| {
        let digests = names.map(|name| digest_of::options().resource(name, 1.0).remote(object));
        get_all(&digests)
    };
    assert_eq!(everywhere(&object)?, [digest(&bytes); 4]);
    let traffic_of = || {
        let traffic = names.map(|name| traffic::options().resource(name, 1.0).remote());
        get_all(&traffic)
    };
    let before = traffic_of()?;
    let from_here = object_store_stats()?.served_bytes as usize;
    for (fetched, _) in &before {
        assert!(
            (SIZE..SIZE + MIB).contains(&(*fetched as usize)),
            "{fetched}"
        );
    }
    let served = [from_here]
        .into_iter()
        .chain(before.iter().map(|(_, served)| *served as usize));
    let served = served.collect::<Vec<_>>();
    assert!(from_here >= SIZE, "somebody had it from here: {served:?}");
    assert!(
        served.iter().all(|served| *served < names.len() * SIZE),
        "no holder serves all: {served:?}"
    );
    assert!(
        served[1..].iter().sum::<usize>() >= SIZE / 2,
        "those who have it pass it on: {served:?}"
    );
    assert_eq!(everywhere(&object)?, [digest(&bytes); 4]);
    assert_eq!(traffic_of()?, before, "repeated use moves nothing");
    drop(object);
    assert!(
        eventually(|| {
            let left = names.map(|name| copies::options().resource(name, 1.0).remote());
            get_all(&left).is_ok_and(|left| left == [0; 4])
        }),
        "copies go with the last reference"
    );
    Ok(())
}

#[ray_core::test]
fn many_readers_of_a_node_fetch_once() -> ray_core::Result<()> {
    let cluster = cluster_of(&["a", "b"]);
    let _ray = cluster.driver().init()?;
    let object = large::options().resource("a", 1.0).remote(SIZE as u64);
    let digests: Vec<_> = (0..4)
        .map(|_| digest_of::options().resource("b", 1.0).remote(&object))
        .collect();
    assert_eq!(get_all(&digests)?, [digest(&pattern(SIZE)); 4]);
    let (fetched, _) = traffic::options().resource("b", 1.0).remote().get()?;
    assert!(
        (SIZE..SIZE + MIB).contains(&(fetched as usize)),
        "{fetched}"
    );
    Ok(())
}

// 150
#[ray_core::test]
fn a_task_runs_where_its_large_argument_is() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    let homes = [cluster.join(&["4", "a=4"]), cluster.join(&["4", "b=4"])];
    let _ray = cluster.driver().init()?;
    for (name, home) in ["a", "b"].into_iter().zip(&homes) {
        let object = large::options().resource(name, 1.0).remote(10 << 20);
        for _ in 0..4 {
            assert_eq!(home_of::remote(&object).get()?, *home);
        }
        let (fetched, _) = traffic::options().resource(name, 1.0).remote().get()?;
        assert_eq!(fetched, 0, "nothing came to {name}");
    }
    Ok(())
}

#[ray_core::test]
fn a_dead_writers_room_comes_back_when_nobody_reads_it() -> ray_core::Result<()> {
    let cluster = cluster_of(&["a", "b"]);
    let _ray = cluster.driver().init()?;
    let maker = Maker::options().resource("a", 1.0).remote();
    let object = maker.make(SIZE as u64);
    let on_b = digest_of::options().resource("b", 1.0).remote(&object);
    assert_eq!(on_b.get()?, digest(&pattern(SIZE)));
    kill9(maker.pid().get()?);
    let lent_on_a = || lent::options().resource("a", 1.0).remote().get();
    assert_eq!(digest(&object.view()?), digest(&pattern(SIZE)));
    assert!(lent_on_a()? >= SIZE as u64, "it outlives its writer");
    drop(object);
    assert!(eventually(
        || lent_on_a().is_ok_and(|lent| lent < SIZE as u64)
    ));
    Ok(())
}
