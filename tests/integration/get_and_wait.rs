//! `get` and `wait`: order, limits, readiness, and the first failure at once.

use std::time::{Duration, Instant};

use ray_core::{Config, Error, get_all, init, prelude::*, put, wait};
use ray_tests::{Tokens, add_token, kill9, take_token};

#[remote]
fn echo(x: u64) -> u64 {
    x
}

#[remote]
fn held(path: String, x: u64) -> u64 {
    take_token(&path);
    x
}

#[remote]
fn fails() -> Result<u64, String> {
    Err("on purpose".into())
}

#[remote]
fn get_it(inside: Vec<ObjectRef<u64>>) -> Result<u64, Error> {
    inside[0].get()
}

#[remote]
fn wait_for_it(inside: Vec<ObjectRef<u64>>) -> Result<u64, Error> {
    let (ready, _) = wait(&inside, 1, None)?;
    ready[0].get()
}

#[remote(max_retries = 0)]
fn tell_pid_and_get(
    inside: Vec<ObjectRef<u64>>,
    pid_at: String,
    told: String,
) -> Result<u64, Error> {
    std::fs::write(pid_at, std::process::id().to_string()).expect("a file");
    add_token(&told);
    inside[0].get()
}

// 19
#[ray_core::test]
fn values_come_in_the_order_of_the_list_with_repeats() -> ray_core::Result<()> {
    let _ray = init()?;
    let refs: Vec<_> = (0..10).map(echo::remote).collect();
    let list: Vec<_> = [3, 1, 3, 9, 0, 3].map(|at: usize| refs[at].clone()).into();
    assert_eq!(get_all(&list)?, [3, 1, 3, 9, 0, 3]);
    assert!(get_all::<u64>(&[])?.is_empty());
    Ok(())
}

// 20
#[ray_core::test]
fn a_time_limit_ends_the_wait_for_what_is_unfinished() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let slow = held::remote(gate.path(), 8);
    for limit in [Duration::ZERO, Duration::from_millis(20)] {
        let error = slow.get_timeout(limit).expect_err("the gate is closed");
        assert!(
            matches!(error, Error::GetTimeout(said) if said == limit),
            "{error}"
        );
    }
    gate.add(1);
    assert_eq!(slow.get_timeout(Duration::from_secs(60))?, 8);
    assert_eq!(slow.get_timeout(Duration::ZERO)?, 8);
    Ok(())
}

// 21
#[ray_core::test]
fn wait_splits_the_list_and_keeps_its_order() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(4.0).init()?;
    let gate = Tokens::new();
    let mut refs: Vec<_> = (0..3).map(|i| held::remote(gate.path(), i)).collect();
    refs.insert(1, echo::remote(7));
    let (ready, pending) = wait(&refs, 1, None)?;
    assert_eq!(ready.len(), 1);
    assert_eq!(ready[0].id(), refs[1].id());
    let left: Vec<_> = pending.iter().map(ObjectRef::id).collect();
    assert_eq!(left, [refs[0].id(), refs[2].id(), refs[3].id()]);
    gate.add(3);
    let (ready, pending) = wait(&refs, 4, None)?;
    assert_eq!((ready.len(), pending.len()), (4, 0));
    let (ready, pending) = wait(&refs, 2, None)?;
    assert_eq!(
        (ready.len(), pending.len()),
        (2, 2),
        "never more than asked for"
    );
    Ok(())
}

// 21
#[ray_core::test]
fn wait_refuses_duplicates_and_impossible_counts() -> ray_core::Result<()> {
    let _ray = init()?;
    let one = echo::remote(1);
    let (ready, pending) = wait::<u64>(&[], 1, None)?;
    assert!(ready.is_empty() && pending.is_empty());
    for (refs, count, name) in [
        (vec![one.clone(), one.clone()], 1, "refs"),
        (vec![one.clone()], 0, "num_returns"),
        (vec![one], 2, "num_returns"),
    ] {
        match wait(&refs, count, None) {
            Err(Error::InvalidOption { option, .. }) => assert_eq!(option, name),
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

// 22
#[ray_core::test]
fn wait_with_a_limit_returns_nothing_when_nothing_is_ready() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let slow = held::remote(gate.path(), 1);
    let start = Instant::now();
    let limit = Duration::from_millis(100);
    let (ready, pending) = wait(std::slice::from_ref(&slow), 1, limit)?;
    assert_eq!((ready.len(), pending.len()), (0, 1));
    assert!(start.elapsed() >= limit, "it came back before its limit");
    gate.add(1);
    slow.get()?;
    Ok(())
}

// 25
#[ray_core::test]
fn two_tasks_wait_for_one_unfinished_reference() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(4.0).init()?;
    let gate = Tokens::new();
    let slow = held::remote(gate.path(), 3);
    let inside = vec![slow.clone()];
    let both = [get_it::remote(&inside), wait_for_it::remote(&inside)];
    let again = [get_it::remote(&inside), wait_for_it::remote(&inside)];
    gate.add(1);
    assert_eq!(get_all(&both)?, [3, 3]);
    assert_eq!(get_all(&again)?, [3, 3]);
    Ok(())
}

// 27
#[ray_core::test]
fn the_first_failure_ends_a_get_of_many() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let slow = held::remote(gate.path(), 1);
    let error = get_all(&[slow.clone(), fails::remote()]).expect_err("one failed");
    assert!(error.to_string().contains("on purpose"), "{error}");
    assert!(!slow.is_ready());
    gate.add(1);
    slow.get()?;
    Ok(())
}

// 29
#[ray_core::test]
fn a_worker_killed_inside_a_get_hurts_nobody_else() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).init()?;
    let (gate, told) = (Tokens::new(), Tokens::new());
    let slow = held::remote(gate.path(), 4);
    let dir = tempfile::tempdir().expect("a folder");
    let pid_at = dir.path().join("pid");
    let pid_text = pid_at.to_str().expect("UTF-8");
    let blocked = tell_pid_and_get::remote(vec![slow.clone()], pid_text, told.path());
    told.take();
    let pid = std::fs::read_to_string(&pid_at).expect("the pid").parse();
    kill9(pid.expect("a number"));
    let error = blocked.get().expect_err("its worker was killed");
    assert!(matches!(error, Error::WorkerCrashed { .. }), "{error}");
    gate.add(1);
    assert_eq!(slow.get()?, 4);
    assert_eq!(echo::remote(5).get()?, 5);
    Ok(())
}

#[ray_core::test]
fn a_view_reads_in_place_and_knows_its_type() -> ray_core::Result<()> {
    let _ray = init()?;
    let numbers = put(&vec![1_u32, 2, 3])?;
    let view = numbers.view()?;
    assert_eq!(view.len(), 3);
    assert_eq!(view[1].to_native(), 2);
    drop(numbers);
    assert_eq!(view[2].to_native(), 3, "the view pins what it shows");
    Ok(())
}

#[ray_core::test]
fn is_ready_answers_without_waiting() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let slow = held::remote(gate.path(), 1);
    assert!(!slow.is_ready());
    gate.add(1);
    slow.get()?;
    assert!(slow.is_ready());
    Ok(())
}

#[ray_core::test]
fn a_reference_is_a_future() -> ray_core::Result<()> {
    let _ray = init()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a tokio runtime");
    let sum = runtime.block_on(async {
        let (a, b) = (echo::remote(20), echo::remote(22));
        Ok::<_, Error>(a.await? + b.await?)
    })?;
    assert_eq!(sum, 42);
    Ok(())
}

#[ray_core::test]
fn before_init_every_verb_says_what_is_missing() {
    let error = put(&1_u8).expect_err("nothing runs");
    assert!(matches!(error, Error::NotInitialized), "{error}");
    assert!(error.to_string().contains("init"), "{error}");
    let error = echo::remote(1).get().expect_err("nothing runs");
    assert!(matches!(error, Error::NotInitialized), "{error}");
}
