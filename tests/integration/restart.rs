//! Actors that die: restarted with fresh state, calls retried or failed with a typed error.

use ray_core::{Error, get_all, init, prelude::*};
use ray_tests::{Tally, Tokens, add_token, eventually, kill9, take_token, tally};

#[actor]
struct Phoenix {
    calls: u64,
}

#[remote]
impl Phoenix {
    pub fn new() -> Self {
        Phoenix { calls: 0 }
    }

    pub fn call(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }

    pub fn pid(&mut self) -> u32 {
        std::process::id()
    }

    pub fn die(&mut self) -> u64 {
        std::process::exit(1)
    }

    pub fn die_once(&mut self, path: String) -> u64 {
        if tally(&path) == 0 {
            std::process::exit(1);
        }
        77
    }

    pub fn fail(&mut self, path: String) -> Result<u64, String> {
        Err(format!("try {}", tally(&path)))
    }

    #[method(retry_exceptions = true)]
    pub fn fail_retried(&mut self, path: String) -> Result<u64, String> {
        Err(format!("try {}", tally(&path)))
    }

    pub fn hold(&mut self, started: String, gate: String) -> u64 {
        add_token(&started);
        take_token(&gate);
        1
    }

    pub fn take(&mut self, x: u64) -> u64 {
        x
    }
}

#[actor(max_restarts = 2)]
struct Parent {
    child: PhoenixHandle,
}

#[remote]
impl Parent {
    pub fn new() -> Self {
        Parent {
            child: Phoenix::remote(),
        }
    }

    pub fn child_call(&mut self) -> Result<u64, Error> {
        self.child.call().get()
    }

    pub fn pid(&mut self) -> u32 {
        std::process::id()
    }
}

#[remote]
fn held(path: String) -> u64 {
    take_token(&path);
    5
}

fn again(phoenix: &PhoenixHandle) -> ray_core::Result<u64> {
    let mut last = phoenix.call().get();
    eventually(|| {
        if matches!(last, Err(Error::ActorUnavailable { .. })) {
            last = phoenix.call().get();
            return false;
        }
        true
    });
    last
}

// 91
#[ray_core::test]
fn a_restarted_actor_has_fresh_state_and_its_last_death_is_final() -> ray_core::Result<()> {
    let _ray = init()?;
    let phoenix = Phoenix::options().max_restarts(1).remote();
    let before: Vec<_> = (0..50).map(|_| phoenix.call()).collect();
    assert_eq!(get_all(&before)?, (1..=50).collect::<Vec<_>>());
    kill9(phoenix.pid().get()?);
    assert_eq!(again(&phoenix)?, 1, "the state is fresh");
    kill9(phoenix.pid().get()?);
    let error = again(&phoenix).expect_err("it had one restart");
    assert!(matches!(error, Error::ActorDied { .. }), "{error}");
    Ok(())
}

// 94
#[ray_core::test]
fn a_restarted_parent_makes_its_child_again() -> ray_core::Result<()> {
    let _ray = init()?;
    let parent = Parent::options().max_task_retries(-1).remote();
    assert_eq!(parent.child_call().get()?, 1);
    assert_eq!(parent.child_call().get()?, 2);
    kill9(parent.pid().get()?);
    assert_eq!(parent.child_call().get()?, 1, "a new child");
    Ok(())
}

// 95
#[ray_core::test]
fn a_call_that_waits_for_an_argument_fails_when_its_actor_dies() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let phoenix = Phoenix::remote();
    let pid = phoenix.pid().get()?;
    let waiting = phoenix.take(held::remote(gate.path()));
    kill9(pid);
    let error = waiting.get().expect_err("the actor is dead");
    assert!(matches!(error, Error::ActorDied { .. }), "{error}");
    gate.add(1);
    Ok(())
}

// 96
#[ray_core::test]
fn a_failing_method_runs_once_more_than_its_retries() -> ray_core::Result<()> {
    let _ray = init()?;
    let runs = Tally::new();
    let phoenix = Phoenix::options().max_task_retries(5).remote();
    let error = phoenix
        .fail_retried(runs.path())
        .get()
        .expect_err("it always fails");
    assert!(error.to_string().contains("try 5"), "{error}");
    assert_eq!(runs.count(), 6);
    let once = Tally::new();
    assert!(phoenix.fail(once.path()).get().is_err());
    assert_eq!(once.count(), 1, "an error is retried only when asked");
    Ok(())
}

#[ray_core::test]
fn calls_in_flight_are_run_again_in_order() -> ray_core::Result<()> {
    let _ray = init()?;
    let once = Tally::new();
    let phoenix = Phoenix::options()
        .max_restarts(-1)
        .max_task_retries(-1)
        .remote();
    assert_eq!(phoenix.call().get()?, 1);
    let died = phoenix.die_once(once.path());
    let after: Vec<_> = (0..20).map(|_| phoenix.call()).collect();
    assert_eq!(died.get()?, 77);
    assert_eq!(get_all(&after)?, (1..=20).collect::<Vec<_>>());
    assert_eq!(once.count(), 2);
    Ok(())
}

// 99
#[ray_core::test]
fn without_retries_a_call_in_flight_fails_and_a_later_one_succeeds() -> ray_core::Result<()> {
    let _ray = init()?;
    let (started, gate) = (Tokens::new(), Tokens::new());
    let phoenix = Phoenix::options().max_restarts(1).remote();
    let pid = phoenix.pid().get()?;
    let lost = phoenix.hold(started.path(), gate.path());
    started.take();
    kill9(pid);
    let error = lost.get().expect_err("it was in flight");
    assert!(
        matches!(
            error,
            Error::ActorUnavailable { .. } | Error::ActorDied { .. }
        ),
        "{error}"
    );
    assert_eq!(again(&phoenix)?, 1);
    Ok(())
}

#[ray_core::test]
fn kill_with_restart_counts_as_a_crash() -> ray_core::Result<()> {
    let _ray = init()?;
    let phoenix = Phoenix::options().max_restarts(1).remote();
    let before = phoenix.pid().get()?;
    phoenix.kill(KillMode::Restart)?;
    assert_eq!(again(&phoenix)?, 1);
    assert_ne!(phoenix.pid().get()?, before);
    phoenix.kill(KillMode::Restart)?;
    assert!(matches!(again(&phoenix), Err(Error::ActorDied { .. })));
    Ok(())
}

#[ray_core::test]
fn a_crash_says_how_the_process_ended() -> ray_core::Result<()> {
    let _ray = init()?;
    let phoenix = Phoenix::remote();
    kill9(phoenix.pid().get()?);
    let error = again(&phoenix).expect_err("it is dead");
    assert!(error.to_string().contains("signal 9"), "{error}");
    Ok(())
}

#[remote]
fn makes_and_leaves_an_actor(pid_at: String) -> Result<PhoenixHandle, Error> {
    let phoenix = Phoenix::remote();
    std::fs::write(pid_at, phoenix.pid().get()?.to_string()).expect("a file");
    Ok(phoenix)
}

#[remote]
fn own_pid() -> u32 {
    std::process::id()
}

#[ray_core::test]
fn an_actor_ends_with_the_process_that_created_it() -> ray_core::Result<()> {
    let _ray = ray_core::Config::new().num_cpus(1.0).workers(1).init()?;
    let worker = own_pid::remote().get()?;
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("pid");
    let phoenix = makes_and_leaves_an_actor::remote(file.to_str().expect("UTF-8")).get()?;
    let pid: u32 = std::fs::read_to_string(&file)
        .expect("the pid")
        .parse()
        .expect("a number");
    assert_eq!(phoenix.call().get()?, 1);
    kill9(worker);
    assert!(
        eventually(|| !ray_tests::is_alive(pid)),
        "its owner is gone"
    );
    assert!(phoenix.call().get().is_err());
    Ok(())
}

/// Async: many calls are inside it at once.
#[actor(max_restarts = -1)]
struct Crowd;

#[remote]
impl Crowd {
    pub fn new() -> Self {
        Crowd
    }

    pub async fn visit(&self, tally_at: String) -> u64 {
        tally(&tally_at)
    }

    /// Stays until somebody writes the file.
    pub async fn stay(&self, tally_at: String, began: String, open: String) -> u64 {
        let before = tally(&tally_at);
        add_token(&began);
        while !ray_tests::exists(&open) {
            tokio::task::yield_now().await;
        }
        before
    }

    pub async fn pid(&self) -> u32 {
        std::process::id()
    }
}

// 100
#[ray_core::test]
fn only_the_unfinished_calls_of_an_async_actor_are_run_again() -> ray_core::Result<()> {
    let _ray = init()?;
    let (finished, unfinished, began) = (Tally::new(), Tally::new(), Tokens::new());
    let dir = tempfile::tempdir().expect("a folder");
    let open = dir.path().join("open");
    let crowd = Crowd::options().max_task_retries(-1).remote();
    let pid = crowd.pid().get()?;
    let done: Vec<_> = (0..5).map(|_| crowd.visit(finished.path())).collect();
    get_all(&done)?;
    let inside: Vec<_> = (0..5)
        .map(|_| {
            crowd.stay(
                unfinished.path(),
                began.path(),
                open.to_str().expect("UTF-8"),
            )
        })
        .collect();
    (0..5).for_each(|_| began.take());
    kill9(pid);
    (0..5).for_each(|_| began.take());
    std::fs::write(&open, "").expect("a file");
    assert!(get_all(&inside)?.iter().all(|before| *before >= 5));
    assert_ne!(crowd.pid().get()?, pid);
    assert_eq!((finished.count(), unfinished.count()), (5, 10));
    Ok(())
}
