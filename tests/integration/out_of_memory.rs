//! A node with too much memory in use ends workers, one at a time; what can run again does.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ray_core::{Config, Error, prelude::*, runtime_context};
use ray_tests::{Tally, Tokens, add_token, eventually, is_alive, take_token, tally};

/// The memory of a node, as the test says.
struct Memory {
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Memory {
    fn new() -> Memory {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = Memory {
            file: folder.path().join("memory"),
            _folder: folder,
        };
        memory.is_used(10);
        memory
    }

    /// Says how many percent are in use; whoever reads sees the old number or the new one.
    fn is_used(&self, percent: u64) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{percent} 100")).expect("a file");
        std::fs::rename(&new, &self.file).expect("the same folder");
    }

    /// Has the node end `pid` and says that there is room again.
    fn ends(&self, pid: u32) {
        self.is_used(99);
        assert!(eventually(|| !is_alive(pid)), "it goes on");
        self.is_used(10);
    }

    fn config(&self) -> Config {
        // Seldom enough for the test to say in time that there is room again.
        Config::new()
            .num_cpus(2.0)
            .memory_monitor_interval(Duration::from_secs(1))
            .memory_usage_file(&self.file)
    }
}

fn pid_at(path: &Path) -> u32 {
    let text = std::fs::read_to_string(path).expect("its pid");
    text.parse().expect("a pid")
}

/// Says which process it runs in and waits; a run after `times` others ends at once.
#[remote(max_retries = 1)]
fn grows(runs: String, times: u64, pid: String, begun: String, gate: String) -> u32 {
    let before = tally(&runs);
    std::fs::write(pid, std::process::id().to_string()).expect("a file");
    add_token(&begun);
    if before < times {
        take_token(&gate);
    }
    runtime_context().attempt
}

struct Grown {
    runs: Tally,
    begun: Tokens,
    gate: Tokens,
    folder: tempfile::TempDir,
}

impl Grown {
    fn new() -> Grown {
        Grown {
            runs: Tally::new(),
            begun: Tokens::new(),
            gate: Tokens::new(),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("pid")
    }

    fn start(&self, times: u64) -> ObjectRef<u32> {
        self.start_with(1, times)
    }

    fn start_with(&self, retries: i32, times: u64) -> ObjectRef<u32> {
        let file = self.file();
        grows::options().max_retries(retries).remote(
            self.runs.path(),
            times,
            file.to_str().expect("UTF-8"),
            self.begun.path(),
            self.gate.path(),
        )
    }

    /// Waits until it runs; returns where.
    fn pid(&self) -> u32 {
        self.begun.take();
        pid_at(&self.file())
    }
}

#[actor(max_restarts = 1)]
struct Large;

#[remote]
impl Large {
    pub fn new() -> Self {
        Large
    }

    pub fn pid(&self) -> u32 {
        std::process::id()
    }
}

#[ray_core::test]
fn a_task_that_was_ended_for_memory_runs_again_beyond_its_retries() -> ray_core::Result<()> {
    let memory = Memory::new();
    let _ray = memory.config().init()?;
    let task = Grown::new();
    let result = task.start(2);
    // Twice, which is more than `max_retries` lets a crash happen.
    memory.ends(task.pid());
    memory.ends(task.pid());
    assert_eq!(result.get()?, 2);
    assert_eq!(task.runs.count(), 3);
    Ok(())
}

// 164
#[ray_core::test]
fn tries_for_want_of_memory_are_counted_apart() -> ray_core::Result<()> {
    let memory = Memory::new();
    let _ray = memory.config().task_oom_retries(1).init()?;
    let task = Grown::new();
    let result = task.start_with(5, 9);
    memory.ends(task.pid());
    memory.ends(task.pid());
    let outcome = result.get();
    let Err(Error::OutOfMemory(text)) = outcome else {
        panic!("{outcome:?}");
    };
    let node = runtime_context().node.to_string();
    for part in ["99 of 100 bytes", "95 %", node.as_str()] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert_eq!(task.runs.count(), 2, "once and one try more");
    Ok(())
}

#[ray_core::test]
fn what_runs_once_is_spared_and_fails_when_it_is_its_turn() -> ray_core::Result<()> {
    let memory = Memory::new();
    let _ray = memory.config().init()?;
    let (again, once) = (Grown::new(), Grown::new());
    let result = again.start(1);
    let first = again.pid();
    let only = once.start_with(0, 1);
    let second = once.pid();
    memory.ends(first);
    assert!(is_alive(second), "it would have been lost");
    assert_eq!(result.get()?, 1);
    memory.ends(second);
    assert!(matches!(only.get(), Err(Error::OutOfMemory(_))));
    assert_eq!(once.runs.count(), 1);
    Ok(())
}

#[ray_core::test]
fn an_actor_that_is_ended_for_memory_restarts_as_it_may() -> ray_core::Result<()> {
    let memory = Memory::new();
    let _ray = memory.config().init()?;
    let large = Large::remote();
    let first = large.pid().get()?;
    memory.ends(first);
    let mut second = first;
    assert!(eventually(|| {
        second = large.pid().get().unwrap_or(first);
        second != first
    }));
    memory.ends(second);
    assert!(eventually(|| {
        matches!(large.pid().get(), Err(Error::ActorDied { cause, .. }) if cause.contains("memory"))
    }));
    Ok(())
}

#[ray_core::test]
fn a_threshold_that_is_no_share_is_refused() {
    let outcome = Config::new().memory_usage_threshold(1.5).init();
    assert!(
        matches!(&outcome, Err(Error::InvalidOption { option, .. }) if option == "memory_usage_threshold"),
        "{outcome:?}"
    );
    let outcome = Config::new().task_oom_retries(-2).init();
    assert!(
        matches!(&outcome, Err(Error::InvalidOption { option, .. }) if option == "task_oom_retries"),
        "{outcome:?}"
    );
}
