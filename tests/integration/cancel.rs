//! Cancel: what has not started never starts, what runs is told, what follows fails, the rest goes on.

use ray_core::{CancelOptions, Config, Error, cancel, cancel_with, get_all, init, prelude::*};
use ray_tests::{Tally, Tokens, add_token, eventually, take_token, tally};

#[remote]
fn held(path: String, x: u64) -> u64 {
    take_token(&path);
    x
}

#[remote]
fn next(x: u64) -> u64 {
    x + 1
}

#[remote]
fn counted(path: String) -> u64 {
    tally(&path)
}

#[remote]
fn until_cancelled(started: String) -> u64 {
    add_token(&started);
    while !ray_core::runtime_context().is_cancelled() {
        std::thread::yield_now();
    }
    1
}

#[remote]
fn with_children(started: String) -> Result<u64, Error> {
    let children: Vec<_> = (0..2)
        .map(|_| until_cancelled::remote(started.as_str()))
        .collect();
    Ok(get_all(&children)?.len() as u64)
}

#[remote]
fn with_a_child(begun: String, gate: String, runs: String) -> Result<u64, Error> {
    let child = begins_and_ends::remote(begun, gate, runs);
    // A wait of a cancelled call ends.
    child.get()
}

#[remote]
fn begins_and_ends(begun: String, gate: String, runs: String) -> u64 {
    add_token(&begun);
    take_token(&gate);
    tally(&runs)
}

#[remote]
fn cancels(inside: Vec<ObjectRef<u64>>) -> Result<(), Error> {
    cancel(&inside[0])
}

#[remote(max_retries = 3)]
fn forever(started: String, runs: String) {
    tally(&runs);
    add_token(&started);
    loop {
        std::thread::park();
    }
}

#[actor]
struct Slow;

#[remote]
impl Slow {
    pub fn new() -> Self {
        Slow
    }

    pub fn hold(&mut self, started: String, gate: String) -> u64 {
        add_token(&started);
        take_token(&gate);
        7
    }

    pub fn count(&mut self, path: String) -> u64 {
        tally(&path)
    }
}

#[actor]
struct Sleeper;

#[remote]
impl Sleeper {
    pub fn new() -> Self {
        Sleeper
    }

    pub async fn sleep(&self, started: String, dropped: String) {
        struct Told(String);
        impl Drop for Told {
            fn drop(&mut self) {
                add_token(&self.0);
            }
        }
        let _told = Told(dropped);
        add_token(&started);
        std::future::pending::<()>().await;
    }

    pub async fn alive(&self) -> bool {
        true
    }
}

// 102
#[ray_core::test]
fn a_queued_task_that_is_cancelled_never_runs() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(1.0).workers(1).init()?;
    let (gate, runs) = (Tokens::new(), Tally::new());
    let first = held::remote(gate.path(), 1);
    let queued: Vec<_> = (0..10).map(|_| counted::remote(runs.path())).collect();
    for reference in queued.iter().step_by(2) {
        cancel(reference)?;
    }
    gate.add(1);
    first.get()?;
    for (at, reference) in queued.iter().enumerate() {
        match reference.get() {
            Err(Error::Cancelled) => assert_eq!(at % 2, 0),
            Ok(_) => assert_eq!(at % 2, 1),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(runs.count(), 5);
    Ok(())
}

// 101
#[ray_core::test]
fn a_cancel_in_the_middle_of_a_chain_ends_what_follows() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let first = held::remote(gate.path(), 1);
    let second = next::remote(&first);
    let third = next::remote(&second);
    let fourth = next::remote(&third);
    cancel(&third)?;
    assert!(matches!(third.get(), Err(Error::Cancelled)));
    assert!(fourth.get().is_err());
    gate.add(1);
    assert_eq!((first.get()?, second.get()?), (1, 2));
    Ok(())
}

#[ray_core::test]
fn a_running_body_sees_that_it_is_cancelled() -> ray_core::Result<()> {
    let _ray = init()?;
    let started = Tokens::new();
    let running = until_cancelled::remote(started.path());
    started.take();
    cancel(&running)?;
    assert!(matches!(running.get(), Err(Error::Cancelled)));
    assert_eq!(next::remote(1).get()?, 2);
    Ok(())
}

#[ray_core::test]
fn a_finished_call_keeps_its_value() -> ray_core::Result<()> {
    let _ray = init()?;
    let done = next::remote(1);
    done.get()?;
    cancel(&done)?;
    assert_eq!(done.get()?, 2);
    Ok(())
}

#[ray_core::test]
fn force_ends_the_process_and_is_not_retried() -> ray_core::Result<()> {
    let _ray = init()?;
    let (started, runs) = (Tokens::new(), Tally::new());
    let stuck = forever::remote(started.path(), runs.path());
    started.take();
    cancel_with(&stuck, CancelOptions::default().force(true))?;
    let error = stuck.get().expect_err("it was ended");
    assert!(
        matches!(error, Error::Cancelled | Error::WorkerCrashed(_)),
        "{error}"
    );
    assert_eq!(next::remote(1).get()?, 2);
    assert_eq!(runs.count(), 1);
    Ok(())
}

// 104
#[ray_core::test]
fn children_are_cancelled_with_their_parent() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).init()?;
    let started = Tokens::new();
    let parent = with_children::remote(started.path());
    started.take();
    started.take();
    cancel(&parent)?;
    assert!(parent.get().is_err());
    let free =
        eventually(|| ray_core::available_resources().is_ok_and(|free| free.get("CPU") == 2.0));
    assert!(free, "the children still hold their CPUs");
    Ok(())
}

// 105
#[ray_core::test]
fn force_on_an_actors_method_is_refused() -> ray_core::Result<()> {
    let _ray = init()?;
    let (started, gate) = (Tokens::new(), Tokens::new());
    let actor = Slow::remote();
    let call = actor.hold(started.path(), gate.path());
    started.take();
    match cancel_with(&call, CancelOptions::default().force(true)) {
        Err(Error::InvalidOption { option, .. }) => assert_eq!(option, "force"),
        other => panic!("{other:?}"),
    }
    gate.add(1);
    assert_eq!(call.get()?, 7);
    Ok(())
}

// 106
#[ray_core::test]
fn a_running_async_method_ends_at_its_await() -> ray_core::Result<()> {
    let _ray = init()?;
    let (started, dropped) = (Tokens::new(), Tokens::new());
    let actor = Sleeper::remote();
    let call = actor.sleep(started.path(), dropped.path());
    started.take();
    cancel(&call)?;
    assert!(matches!(call.get(), Err(Error::Cancelled)));
    dropped.take();
    assert!(actor.alive().get()?);
    Ok(())
}

// 107
#[ray_core::test]
fn queued_calls_of_an_actor_are_cancelled_and_the_running_one_ends() -> ray_core::Result<()> {
    let _ray = init()?;
    let (started, gate, runs) = (Tokens::new(), Tokens::new(), Tally::new());
    let actor = Slow::remote();
    let running = actor.hold(started.path(), gate.path());
    started.take();
    let queued: Vec<_> = (0..1000).map(|_| actor.count(runs.path())).collect();
    for reference in &queued {
        cancel(reference)?;
    }
    // They do not wait for the running one, which goes on.
    for reference in &queued {
        assert!(matches!(reference.get(), Err(Error::Cancelled)));
    }
    assert!(!running.is_ready());
    gate.add(1);
    assert_eq!(running.get()?, 7);
    assert_eq!(runs.count(), 0);
    Ok(())
}

#[ray_core::test]
fn a_cancel_that_is_not_recursive_leaves_children_running() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).init()?;
    let (begun, gate, runs) = (Tokens::new(), Tokens::new(), Tally::new());
    let parent = with_a_child::remote(begun.path(), gate.path(), runs.path());
    begun.take();
    cancel_with(&parent, CancelOptions::default().recursive(false))?;
    assert!(matches!(parent.get(), Err(Error::Cancelled)));
    gate.add(1);
    assert!(eventually(|| runs.count() == 1), "the child was ended too");
    Ok(())
}

#[ray_core::test]
fn who_borrows_a_reference_can_cancel_its_call() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).init()?;
    let started = Tokens::new();
    let running = until_cancelled::remote(started.path());
    started.take();
    cancels::remote(vec![running.clone()]).get()?;
    let ended = running.get_timeout(ray_tests::PATIENCE);
    assert_eq!(ended, Err(Error::Cancelled));
    Ok(())
}
