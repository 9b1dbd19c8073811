//! Objects: shared memory, counted across processes, freed when nobody holds them.

use ray_core::{Config, Error, get_all, init, object_store_stats, prelude::*, put};
use ray_tests::{Tokens, add_token, take_token};

const MIB: usize = 1 << 20;

#[remote]
fn len_of(bytes: &Archived<Vec<u8>>) -> u64 {
    bytes.len() as u64
}

#[remote]
fn blob(fill: u8, len: u64) -> Vec<u8> {
    vec![fill; len as usize]
}

#[remote]
fn first_of(inside: Vec<ObjectRef<Vec<u8>>>, started: String, gate: String) -> Result<u8, Error> {
    add_token(&started);
    take_token(&gate);
    Ok(inside[0].view()?[0])
}

#[remote]
fn passes_on(inside: Vec<ObjectRef<Vec<u8>>>) -> Result<u8, Error> {
    first_byte::remote(inside).get()
}

#[remote]
fn first_byte(inside: Vec<ObjectRef<Vec<u8>>>) -> Result<u8, Error> {
    Ok(inside[0].view()?[0])
}

#[remote]
fn puts_and_returns(fill: u8) -> Result<Vec<ObjectRef<Vec<u8>>>, Error> {
    Ok(vec![put(&vec![fill; MIB])?])
}

#[remote]
fn held(gate: String) {
    take_token(&gate);
}

#[remote]
fn len_after(_gate: (), bytes: &Archived<Vec<u8>>) -> u64 {
    bytes.len() as u64
}

#[actor]
struct Keeper {
    kept: Vec<ObjectRef<Vec<u8>>>,
}

#[remote]
impl Keeper {
    pub fn new() -> Self {
        Keeper { kept: Vec::new() }
    }

    pub fn keep(&mut self, inside: Vec<ObjectRef<Vec<u8>>>) -> u64 {
        self.kept.extend(inside);
        self.kept.len() as u64
    }

    pub fn first(&mut self) -> Result<u8, Error> {
        Ok(self.kept[0].view()?[0])
    }

    pub fn forget_one(&mut self) -> u64 {
        self.kept.pop();
        self.kept.len() as u64
    }
}

/// Fills the store over and over; fails if anything that nobody holds still takes room.
fn churn(mib: usize) -> ray_core::Result<()> {
    let bytes = vec![0_u8; 8 * MIB];
    for _ in 0..mib.div_ceil(8) {
        drop(put(&bytes)?);
    }
    Ok(())
}

#[ray_core::test]
fn ten_gigabytes_pass_through_a_quarter_of_one() -> ray_core::Result<()> {
    let _ray = Config::new().object_store_memory(256 << 20).init()?;
    let bytes = vec![7_u8; 16 * MIB];
    for round in 0..640 {
        let object = put(&bytes)?;
        if round % 40 == 0 {
            assert_eq!(len_of::remote(&object).get()?, 16 * MIB as u64);
        }
    }
    Ok(())
}

#[ray_core::test]
fn results_of_tasks_are_freed_when_dropped() -> ray_core::Result<()> {
    let _ray = Config::new().object_store_memory(128 << 20).init()?;
    for round in 0..60_u64 {
        let object = blob::remote(round as u8, 4 * MIB as u64);
        let view = object.view()?;
        assert_eq!((view.len(), view[0]), (4 * MIB, round as u8));
    }
    Ok(())
}

// 116
#[ray_core::test]
fn what_is_held_stays_while_others_come_and_go() -> ray_core::Result<()> {
    let _ray = Config::new().object_store_memory(128 << 20).init()?;
    let held = put(&vec![42_u8; 16 * MIB])?;
    churn(2000)?;
    let view = held.view()?;
    assert!(view.iter().all(|byte| *byte == 42));
    Ok(())
}

// 124
#[ray_core::test]
fn a_store_full_of_what_is_viewed_takes_more_and_has_room_again_after_a_drop()
-> ray_core::Result<()> {
    let _ray = Config::new().object_store_memory(64 << 20).init()?;
    let mut kept = Vec::new();
    // What is viewed stays in memory.
    for fill in 0..12_u8 {
        kept.push(put(&vec![fill; 8 * MIB])?.view()?);
    }
    for (fill, view) in kept.iter().enumerate() {
        let ends = (usize::from(view[0]), usize::from(view[8 * MIB - 1]));
        assert_eq!(ends, (fill, fill));
    }
    let stats = object_store_stats()?;
    let held = stats.memory_bytes as usize;
    assert!((48 * MIB..=64 * MIB).contains(&held), "{stats:?}");
    assert!(stats.file_bytes as usize >= 32 * MIB, "{stats:?}");
    kept.clear();
    churn(100)
}

#[ray_core::test]
fn an_object_larger_than_the_store_is_refused() -> ray_core::Result<()> {
    let _ray = Config::new().object_store_memory(64 << 20).init()?;
    let error = put(&vec![1_u8; 65 * MIB]).expect_err("it cannot fit");
    assert!(matches!(error, Error::ObjectStoreFull { .. }), "{error}");
    assert_eq!(put(&1_u8)?.get()?, 1);
    Ok(())
}

// 117
#[ray_core::test]
fn the_argument_of_a_queued_task_is_kept_for_it() -> ray_core::Result<()> {
    let _ray = Config::new().object_store_memory(128 << 20).init()?;
    let gate = Tokens::new();
    let slow = held::remote(gate.path());
    let queued = len_after::remote(&slow, put(&vec![1_u8; 8 * MIB])?);
    churn(1000)?;
    gate.add(1);
    assert_eq!(queued.get()?, 8 * MIB as u64);
    Ok(())
}

// 119
#[ray_core::test]
fn a_reference_inside_an_object_lives_as_long_as_it() -> ray_core::Result<()> {
    let _ray = Config::new().object_store_memory(128 << 20).init()?;
    let outer = put(&vec![put(&vec![9_u8; 8 * MIB])?])?;
    churn(1000)?;
    let inner = outer.get()?;
    drop(outer);
    churn(1000)?;
    assert_eq!(inner[0].view()?[8 * MIB - 1], 9);
    drop(inner);
    churn(1000)
}

// 120
#[ray_core::test]
fn an_actor_that_keeps_a_reference_twice_frees_it_after_both() -> ray_core::Result<()> {
    let _ray = Config::new().object_store_memory(128 << 20).init()?;
    let keeper = Keeper::remote();
    let object = put(&vec![5_u8; 40 * MIB])?;
    keeper.keep(vec![object.clone()]).get()?;
    keeper.keep(vec![object]).get()?;
    churn(1000)?;
    assert_eq!(keeper.first().get()?, 5);
    assert_eq!(keeper.forget_one().get()?, 1);
    churn(1000)?;
    assert_eq!(keeper.first().get()?, 5);
    assert_eq!(keeper.forget_one().get()?, 0);
    // Only now do three of them fit beside each other.
    let fits = ray_tests::eventually(|| {
        let many: ray_core::Result<Vec<_>> = (0..2).map(|_| put(&vec![1_u8; 40 * MIB])).collect();
        many.is_ok()
    });
    assert!(fits, "the actor's reference still counts");
    Ok(())
}

#[ray_core::test]
fn a_borrower_reads_what_its_lender_dropped() -> ray_core::Result<()> {
    let _ray = Config::new().object_store_memory(128 << 20).init()?;
    let (started, gate) = (Tokens::new(), Tokens::new());
    let object = put(&vec![3_u8; 8 * MIB])?;
    let borrower = first_of::remote(vec![object.clone()], started.path(), gate.path());
    started.take();
    drop(object);
    churn(1000)?;
    gate.add(1);
    assert_eq!(borrower.get()?, 3);
    Ok(())
}

// 121
#[ray_core::test]
fn a_reference_is_passed_on_by_a_borrower() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).init()?;
    let object = put(&vec![6_u8; MIB])?;
    assert_eq!(passes_on::remote(vec![object]).get()?, 6);
    Ok(())
}

#[ray_core::test]
fn an_object_put_by_a_task_outlives_the_task() -> ray_core::Result<()> {
    let _ray = init()?;
    let refs = puts_and_returns::remote(8).get()?;
    let again = first_byte::remote(&refs);
    assert_eq!(again.get()?, 8);
    assert_eq!(refs[0].view()?.len(), MIB);
    Ok(())
}

#[ray_core::test]
fn every_process_of_the_node_reads_one_object_in_place() -> ray_core::Result<()> {
    let _ray = Config::new()
        .object_store_memory(256 << 20)
        .num_cpus(4.0)
        .init()?;
    // Eight copies would not fit.
    let object = put(&vec![1_u8; 100 * MIB])?;
    let lens: Vec<_> = (0..8).map(|_| len_of::remote(&object)).collect();
    assert!(get_all(&lens)?.iter().all(|len| *len == 100 * MIB as u64));
    Ok(())
}

#[ray_core::test]
fn dropping_a_reference_in_flight_is_harmless() -> ray_core::Result<()> {
    let _ray = Config::new().object_store_memory(128 << 20).init()?;
    for round in 0..300_u64 {
        drop(blob::remote(round as u8, 3 * MIB as u64));
    }
    let last = blob::remote(1, 3 * MIB as u64);
    assert_eq!(last.view()?.len(), 3 * MIB);
    churn(1000)
}

#[ray_core::test]
fn ten_thousand_small_objects_are_counted_one_by_one() -> ray_core::Result<()> {
    let _ray = init()?;
    let refs: ray_core::Result<Vec<_>> = (0..10_000_u64).map(|x| put(&x)).collect();
    let refs = refs?;
    assert_eq!(get_all(&refs)?, (0..10_000).collect::<Vec<_>>());
    Ok(())
}
