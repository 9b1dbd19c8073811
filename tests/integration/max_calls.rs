//! Workers leave after as many runs of a function as it says, and nothing is lost by that.

use ray_core::{Config, Error, get_all, init, prelude::*, put};
use ray_tests::{Tally, Tokens, eventually, is_alive, take_token, tally};

fn here() -> u32 {
    std::process::id()
}

#[remote(max_calls = 2)]
fn twice() -> u32 {
    here()
}

#[remote]
fn any_number_of_times() -> u32 {
    here()
}

#[remote(max_calls = 2)]
fn panics_half_the_time(panics: bool) -> u32 {
    assert!(!panics, "as it was told");
    here()
}

#[remote(max_calls = 3, max_retries = 0)]
fn counted(path: String, x: u64) -> u64 {
    tally(&path);
    x
}

#[remote]
fn waits_for(gate: String) -> u64 {
    take_token(&gate);
    7
}

/// References that its worker owns: to a value, and to the result of a task that has not ended.
#[derive(Data)]
struct Owned {
    worker: u32,
    value: ObjectRef<String>,
    task: ObjectRef<u64>,
}

#[remote(max_calls = 1)]
fn leaves_things_behind(gate: String) -> Result<Owned, Error> {
    Ok(Owned {
        worker: here(),
        value: put(&"a value".to_owned())?,
        task: waits_for::remote(gate),
    })
}

#[remote(num_gpus = 1)]
fn with_a_gpu() -> u32 {
    here()
}

#[remote(num_gpus = 1, max_calls = 0)]
fn with_a_gpu_and_no_limit() -> u32 {
    here()
}

/// Starts a node that runs one task at a time in one process.
fn one_worker() -> ray_core::Result<ray_core::Ray> {
    Config::new().num_cpus(1.0).workers(1).init()
}

#[ray_core::test]
fn a_worker_leaves_after_so_many_runs_of_the_function() -> ray_core::Result<()> {
    let _ray = one_worker()?;
    let runs = || twice::remote().get();
    let (first, second, third) = (runs()?, runs()?, runs()?);
    assert_eq!(first, second);
    assert_ne!(second, third);
    assert!(eventually(|| !is_alive(first)), "it stayed");
    // Runs of others do not count, and go on in the same process.
    assert_eq!(any_number_of_times::remote().get()?, third);
    assert_eq!(any_number_of_times::remote().get()?, third);
    assert_eq!(runs()?, third);
    assert_ne!(runs()?, third);
    Ok(())
}

#[ray_core::test]
fn a_run_that_fails_counts() -> ray_core::Result<()> {
    let _ray = one_worker()?;
    let first = panics_half_the_time::remote(false).get()?;
    let failed = panics_half_the_time::remote(true).get();
    assert!(matches!(failed, Err(Error::Task { .. })), "{failed:?}");
    assert_ne!(panics_half_the_time::remote(false).get()?, first);
    Ok(())
}

#[ray_core::test]
fn no_task_is_lost_or_run_again_because_its_worker_left() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).workers(2).init()?;
    let runs = Tally::new();
    let refs: Vec<_> = (0..40).map(|x| counted::remote(runs.path(), x)).collect();
    assert_eq!(get_all(&refs)?, (0..40).collect::<Vec<u64>>());
    assert_eq!(runs.count(), 40);
    Ok(())
}

// 52
#[ray_core::test]
fn a_worker_stays_until_what_it_owns_is_done_with() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).init()?;
    let gate = Tokens::new();
    let left = leaves_things_behind::remote(gate.path());
    let owned = left.get()?;
    // Another has its place meanwhile.
    let other = leaves_things_behind::remote(gate.path()).get()?;
    assert_ne!(other.worker, owned.worker);
    assert!(is_alive(owned.worker));
    assert_eq!(owned.value.get()?, "a value");
    gate.add(2);
    assert_eq!(owned.task.get()?, 7);
    assert_eq!(other.task.get()?, 7);
    let worker = owned.worker;
    drop((owned, left));
    assert!(eventually(|| !is_alive(worker)), "nobody needs it any more");
    assert_eq!(other.value.get()?, "a value");
    Ok(())
}

#[ray_core::test]
fn work_on_gpus_leaves_after_one_run_unless_it_says_otherwise() -> ray_core::Result<()> {
    let _ray = Config::new()
        .num_cpus(1.0)
        .num_gpus(1.0)
        .workers(1)
        .init()?;
    let first = with_a_gpu::remote().get()?;
    assert_ne!(with_a_gpu::remote().get()?, first);
    assert!(eventually(|| !is_alive(first)), "it keeps the GPU's memory");
    let stays = with_a_gpu_and_no_limit::remote().get()?;
    assert_eq!(with_a_gpu_and_no_limit::remote().get()?, stays);
    Ok(())
}

#[ray_core::test]
fn the_worker_of_a_task_that_waits_for_a_limited_one_stays() -> ray_core::Result<()> {
    let _ray = init()?;
    let (before, after) = asks_twice::remote().get()?;
    assert_ne!(before, after, "the limited one had two processes");
    Ok(())
}

#[remote(max_calls = 1)]
fn once() -> u32 {
    here()
}

#[remote]
fn asks_twice() -> Result<(u32, u32), Error> {
    Ok((once::remote().get()?, once::remote().get()?))
}
