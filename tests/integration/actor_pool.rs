//! Actor pools: work spread over a fixed set of actors, in order or as it is done.

use std::time::Duration;

use ray_core::{Error, init, prelude::*, util::ActorPool};
use ray_tests::{Tokens, take_token};

#[actor(num_cpus = 0)]
struct Doubler;

#[remote]
impl Doubler {
    pub fn new() -> Self {
        Doubler
    }

    pub fn double(&self, x: u64) -> Result<u64, String> {
        if x == 13 {
            return Err("13 is not doubled".into());
        }
        Ok(2 * x)
    }

    pub fn double_behind(&self, gate: Option<String>, x: u64) -> u64 {
        if let Some(gate) = gate {
            take_token(&gate);
        }
        2 * x
    }
}

fn pool(size: usize) -> ActorPool<DoublerHandle, u64> {
    ActorPool::new((0..size).map(|_| Doubler::remote()))
}

#[ray_core::test]
fn map_keeps_the_order_of_the_values() -> ray_core::Result<()> {
    let _ray = init()?;
    let mut pool = pool(3);
    let doubled = pool
        .map(|actor, x| actor.double(x), 20..60)
        .collect::<Result<Vec<_>, _>>()?;
    assert_eq!(doubled, (20..60).map(|x| 2 * x).collect::<Vec<_>>());
    assert!(!pool.has_next() && pool.has_free());
    Ok(())
}

#[ray_core::test]
fn map_unordered_gives_each_result_as_it_comes() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let mut pool = pool(2);
    let path = gate.path().to_owned();
    let mut doubled = pool.map_unordered(
        |actor, x| actor.double_behind((x == 0).then(|| path.clone()), x),
        0..10,
    );
    let mut seen = Vec::new();
    for _ in 0..9 {
        seen.push(doubled.next().expect("nine pass by the first")?);
    }
    gate.add(1);
    assert_eq!(doubled.next().expect("the first")?, 0);
    assert!(doubled.next().is_none());
    seen.sort_unstable();
    assert_eq!(seen, (1..10).map(|x| 2 * x).collect::<Vec<_>>());
    Ok(())
}

#[ray_core::test]
fn submitted_work_waits_for_an_idle_actor() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let mut pool = pool(1);
    assert!(pool.get_next().is_none());
    for x in 1..=3 {
        let path = gate.path().to_owned();
        pool.submit(
            |actor, (path, x)| actor.double_behind(Some(path), x),
            (path, x),
        );
    }
    assert!(pool.has_next() && !pool.has_free());
    assert!(pool.pop_idle().is_none());
    let limit = Duration::from_millis(10);
    let early = pool.get_next_timeout(limit).expect("it is to come");
    assert_eq!(early, Err(Error::GetTimeout(limit)));
    gate.add(3);
    assert_eq!(pool.get_next().expect("the first")?, 2);
    assert_eq!(pool.get_next_unordered().expect("the second")?, 4);
    assert_eq!(pool.get_next().expect("the third")?, 6);
    assert!(pool.get_next().is_none() && !pool.has_next());
    Ok(())
}

#[ray_core::test]
fn results_taken_out_of_order_are_passed_over() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let mut pool = pool(3);
    for x in 0..3 {
        let path = (x == 0).then(|| gate.path().to_owned());
        pool.submit(|actor, (path, x)| actor.double_behind(path, x), (path, x));
    }
    let first_done = pool.get_next_unordered().expect("not the first")?;
    gate.add(1);
    assert_eq!(pool.get_next().expect("the first")?, 0);
    let last = pool.get_next().expect("the other")?;
    assert_eq!(first_done + last, 6);
    assert!(pool.get_next().is_none());
    Ok(())
}

#[ray_core::test]
fn an_error_is_a_result_and_its_actor_goes_on() -> ray_core::Result<()> {
    let _ray = init()?;
    let mut pool = pool(1);
    let results: Vec<_> = pool.map(|actor, x| actor.double(x), [12, 13, 14]).collect();
    assert_eq!((&results[0], &results[2]), (&Ok(24), &Ok(28)));
    assert!(matches!(&results[1], Err(Error::Task { message, .. }) if message.contains("13")));
    Ok(())
}

#[ray_core::test]
fn actors_join_and_leave() -> ray_core::Result<()> {
    let _ray = init()?;
    let mut pool = pool(1);
    let actor = pool.pop_idle().expect("it is idle");
    pool.submit(|actor, x| actor.double(x), 1);
    assert!(matches!(
        pool.get_next(),
        Some(Err(Error::InvalidOption { .. }))
    ));
    pool.push(actor.clone())?;
    assert!(matches!(pool.push(actor), Err(Error::InvalidOption { .. })));
    assert_eq!(pool.get_next().expect("it runs now")?, 2);
    pool.push(Doubler::remote())?;
    assert_eq!(pool.map(|actor, x| actor.double(x), 0..4).count(), 4);
    Ok(())
}

#[ray_core::test]
fn map_drops_what_was_submitted_before() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let mut pool = pool(1);
    for x in 0..2 {
        let path = Some(gate.path().to_owned());
        pool.submit(|actor, (path, x)| actor.double_behind(path, x), (path, x));
    }
    gate.add(1);
    let doubled: Vec<_> = pool.map(|actor, x| actor.double(x), [5, 6]).collect();
    assert_eq!(doubled, [Ok(10), Ok(12)]);
    Ok(())
}
