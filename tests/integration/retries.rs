//! Tasks run again when their worker dies, and when asked to after an error.

use ray_core::{CallOptions, Config, Error, get_all, init, prelude::*};
use ray_tests::{Tally, Tokens, add_token, eventually, is_alive, kill9, take_token, tally};

#[remote(max_retries = 1)]
fn leaves_the_first_times(path: String, times: u64) -> u64 {
    let before = tally(&path);
    if before < times {
        std::process::exit(1);
    }
    before
}

#[remote]
fn always_leaves(path: String) {
    tally(&path);
    std::process::exit(1);
}

#[remote]
fn always_leaves_nested(path: String) -> Result<(), Error> {
    always_leaves::options().max_retries(2).remote(path).get()
}

#[remote(max_retries = 2, retry_exceptions = true)]
fn fails_the_first_times(path: String, times: u64) -> Result<u64, String> {
    let before = tally(&path);
    if before < times {
        Err(format!("try {before}"))
    } else {
        Ok(before)
    }
}

/// An error that may pass.
#[derive(Data, Debug, PartialEq)]
struct Busy(u64);

/// An error that stays.
#[derive(Data, Debug, PartialEq)]
struct Broken(u64);

impl std::fmt::Display for Busy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "busy at try {}", self.0)
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "broken at try {}", self.0)
    }
}

#[remote(max_retries = 2, retry_exceptions = [Busy])]
fn is_busy(path: String, times: u64) -> Result<u64, Busy> {
    match tally(&path) {
        before if before < times => Err(Busy(before)),
        before if before == times && times == 1 => panic!("a panic is no `Busy`"),
        before => Ok(before),
    }
}

#[remote(max_retries = 2, retry_exceptions = [Busy])]
fn is_broken(path: String) -> Result<u64, Broken> {
    Err(Broken(tally(&path)))
}

#[actor]
struct Service;

#[remote]
impl Service {
    pub fn new() -> Self {
        Service
    }

    #[method(max_retries = 1, retry_exceptions = [Busy])]
    pub fn is_busy(&self, path: String) -> Result<u64, Busy> {
        Err(Busy(tally(&path)))
    }
}

#[remote]
fn work(x: u64) -> u64 {
    (0..20_000_u64).fold(x, |sum, i| std::hint::black_box(sum.wrapping_mul(31) ^ i));
    x + 1
}

#[remote]
fn pid() -> u32 {
    std::process::id()
}

// 41
#[ray_core::test]
fn a_task_runs_again_when_its_worker_dies() -> ray_core::Result<()> {
    let _ray = init()?;
    let runs = Tally::new();
    assert_eq!(leaves_the_first_times::remote(runs.path(), 1).get()?, 1);
    assert_eq!(runs.count(), 2);
    Ok(())
}

// 41
#[ray_core::test]
fn a_second_crash_is_over_one_retry() -> ray_core::Result<()> {
    let _ray = init()?;
    let runs = Tally::new();
    let error = leaves_the_first_times::remote(runs.path(), 2)
        .get()
        .expect_err("it crashed twice");
    assert!(matches!(error, Error::WorkerCrashed { .. }), "{error}");
    assert_eq!(runs.count(), 2);
    Ok(())
}

// 42
#[ray_core::test]
fn an_error_is_retried_only_when_asked() -> ray_core::Result<()> {
    let _ray = init()?;
    let runs = Tally::new();
    assert_eq!(fails_the_first_times::remote(runs.path(), 2).get()?, 2);
    let over = Tally::new();
    let error = fails_the_first_times::remote(over.path(), 9)
        .get()
        .expect_err("more errors than retries");
    assert!(
        error.to_string().contains("try 2"),
        "the last error: {error}"
    );
    assert_eq!(over.count(), 3);
    let never = Tally::new();
    let once = fails_the_first_times::options()
        .retry_exceptions(false)
        .remote(never.path(), 9);
    assert!(once.get().is_err());
    assert_eq!(never.count(), 1);
    Ok(())
}

// 42
#[ray_core::test]
fn errors_of_the_named_types_are_retried_and_no_others() -> ray_core::Result<()> {
    let _ray = init()?;
    let passes = Tally::new();
    assert_eq!(is_busy::remote(passes.path(), 2).get()?, 2);
    let stays = Tally::new();
    let error = is_busy::remote(stays.path(), 9).get().expect_err("busy");
    assert_eq!(error.cause(), Some(Busy(2)), "{error}");
    assert_eq!(stays.count(), 3);
    let panics = Tally::new();
    let error = is_busy::remote(panics.path(), 1).get().expect_err("panics");
    assert!(error.to_string().contains("no `Busy`"), "{error}");
    assert_eq!(panics.count(), 2, "once for the error, once for the panic");
    let broken = Tally::new();
    let error = is_broken::remote(broken.path()).get().expect_err("broken");
    assert_eq!(error.cause(), Some(Broken(0)), "{error}");
    assert_eq!(broken.count(), 1);
    // A call names its own types instead.
    let both = Tally::new();
    let options = is_broken::options()
        .retry_exceptions_of::<Busy>()
        .retry_exceptions_of::<Broken>();
    assert!(options.remote(both.path()).get().is_err());
    assert_eq!(both.count(), 3);
    let other = Tally::new();
    let options = is_busy::options().retry_exceptions_of::<Broken>();
    assert!(options.remote(other.path(), 9).get().is_err());
    assert_eq!(other.count(), 1);
    Ok(())
}

// 42
#[ray_core::test]
fn calls_of_actors_name_error_types_too() -> ray_core::Result<()> {
    let _ray = init()?;
    let service = Service::remote();
    let declared = Tally::new();
    assert!(service.is_busy(declared.path()).get().is_err());
    assert_eq!(declared.count(), 2);
    let chosen = Tally::new();
    let options = CallOptions::new().retry_exceptions_of::<Broken>();
    let patient = service.with_options(options);
    assert!(patient.is_busy(chosen.path()).get().is_err());
    assert_eq!(chosen.count(), 1);
    Ok(())
}

// 44
#[ray_core::test]
fn a_crashing_task_runs_once_more_than_its_retries() -> ray_core::Result<()> {
    let _ray = init()?;
    for (retries, expected) in [(None, 4), (Some(0), 1), (Some(1), 2)] {
        let runs = Tally::new();
        let options = always_leaves::options();
        let options = match retries {
            Some(retries) => options.max_retries(retries),
            None => options,
        };
        assert!(options.remote(runs.path()).get().is_err());
        assert_eq!(runs.count(), expected);
    }
    let nested = Tally::new();
    assert!(always_leaves_nested::remote(nested.path()).get().is_err());
    assert_eq!(nested.count(), 3);
    Ok(())
}

// 45
#[ray_core::test]
fn all_tasks_finish_while_workers_are_killed() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(4.0).workers(4).init()?;
    let work_refs = |from: u64| -> Vec<_> {
        (from..from + 500)
            .map(|x| work::options().max_retries(20).remote(x))
            .collect()
    };
    let mut refs = Vec::new();
    for round in 0..4 {
        refs.extend(work_refs(round * 500));
        let victim = pid::options().max_retries(20).remote().get()?;
        if is_alive(victim) {
            kill9(victim);
        }
    }
    assert_eq!(get_all(&refs)?, (1..=2000).collect::<Vec<u64>>());
    Ok(())
}

#[remote(max_retries = 0)]
#[expect(
    clippy::zombie_processes,
    reason = "what becomes of the child is the test"
)]
fn starts_a_child(pids: String, started: String, gate: String) {
    let child = std::process::Command::new("sleep")
        .arg("600")
        .spawn()
        .expect("sleep");
    std::fs::write(pids, format!("{} {}", std::process::id(), child.id())).expect("a file");
    add_token(&started);
    take_token(&gate);
}

// 51
#[ray_core::test]
fn children_of_a_killed_worker_end_with_it() -> ray_core::Result<()> {
    let _ray = init()?;
    let (started, gate) = (Tokens::new(), Tokens::new());
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("pids");
    let path = file.to_str().expect("UTF-8");
    let lost = starts_a_child::remote(path, started.path(), gate.path());
    started.take();
    let text = std::fs::read_to_string(&file).expect("the pids");
    let (worker, child) = text.split_once(' ').expect("two pids");
    let (worker, child): (u32, u32) = (
        worker.parse().expect("a pid"),
        child.parse().expect("a pid"),
    );
    assert!(is_alive(child));
    kill9(worker);
    assert!(matches!(lost.get(), Err(Error::WorkerCrashed(_))));
    assert!(
        eventually(|| !is_alive(child)),
        "the child outlived its worker"
    );
    Ok(())
}

#[remote(max_retries = 0)]
fn parent_of_children(started: String, gate: String, pid_at: String) -> Result<u64, Error> {
    let children: Vec<_> = (0..2)
        .map(|_| held_child::remote(started.as_str(), gate.as_str()))
        .collect();
    std::fs::write(pid_at, std::process::id().to_string()).expect("a file");
    Ok(get_all(&children)?.len() as u64)
}

#[remote]
fn held_child(started: String, gate: String) {
    add_token(&started);
    take_token(&gate);
}

// 49
#[ray_core::test]
fn a_killed_parents_children_give_their_cpus_back() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).init()?;
    let (started, gate) = (Tokens::new(), Tokens::new());
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("pid");
    let path = file.to_str().expect("UTF-8");
    let parent = parent_of_children::remote(started.path(), gate.path(), path);
    started.take();
    started.take();
    let pid = std::fs::read_to_string(&file).expect("the pid");
    kill9(pid.parse().expect("a pid"));
    assert!(matches!(parent.get(), Err(Error::WorkerCrashed(_))));
    // The gate stays closed: the children end because their owner is gone.
    let free =
        eventually(|| ray_core::available_resources().is_ok_and(|free| free.get("CPU") == 2.0));
    assert!(free, "the children still hold their CPUs");
    assert_eq!(work::remote(1).get()?, 2);
    Ok(())
}
