//! Programs that use the runtime wrongly or oddly: they are told so, and nothing hangs or falls over.

use std::time::Duration;

use ray_core::{
    Amount, Config, Error, PlacementStrategy, Queue, Resources, cancel, get_all, init,
    placement_group, prelude::*, put, runtime_context, wait,
};
use ray_tests::{PATIENCE, Tally, tally};

#[remote]
fn echo(x: u64) -> u64 {
    x
}

#[remote]
fn inner_of(inside: ObjectRef<u64>) -> Result<u64, Error> {
    inside.get()
}

#[remote]
fn panics_with_a_number() -> u64 {
    std::panic::panic_any(5_u64)
}

#[remote(max_retries = 0)]
fn overflows_its_stack(x: u64) -> u64 {
    let room = [x; 1024];
    if x == u64::MAX {
        return 0;
    }
    overflows_its_stack(x + 1) + std::hint::black_box(room)[7]
}

#[remote]
fn leaves_a_thread(path: String) -> u64 {
    std::thread::spawn(move || {
        // The call has ended by the time that this asks, or has not: both are fine.
        let twice = echo::remote(21).get().map(|x| x * 2);
        if twice == Ok(42) {
            tally(&path);
        }
    });
    1
}

#[remote]
fn its_thread_panics() -> u64 {
    let thread = std::thread::spawn(|| panic!("only this thread"));
    u64::from(thread.join().is_err())
}

#[actor]
struct Odd;

#[remote]
impl Odd {
    /// 0 is fine; others are ways to fail.
    pub fn new(how: u32) -> Result<Self, String> {
        match how {
            0 => Ok(Odd),
            1 => panic!("in the constructor"),
            2 => ray_core::exit_actor(),
            3 => std::process::exit(3),
            _ => Err("refused".into()),
        }
    }

    pub fn call(&self) -> u64 {
        7
    }
}

#[actor]
struct Bomb;

#[remote]
impl Bomb {
    pub fn new() -> Self {
        Bomb
    }

    pub fn pid(&self) -> u32 {
        std::process::id()
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

fn option_of<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    match outcome {
        Err(Error::InvalidOption { option, .. }) => option,
        other => panic!("no invalid option: {other:?}"),
    }
}

#[ray_core::test]
fn a_time_limit_may_be_as_long_as_a_duration_can_be() -> ray_core::Result<()> {
    let _ray = init()?;
    let limit = Duration::MAX;
    let object = echo::remote(3);
    assert_eq!(object.get_timeout(limit)?, 3);
    let (ready, pending) = wait(&[echo::remote(4)], 1, limit)?;
    assert_eq!((ready.len(), pending.len()), (1, 0));
    let queue = Queue::<u64>::new(1);
    queue.put_timeout(&5, limit)?;
    assert_eq!(queue.get_timeout(limit)?, 5);
    let cpu = Resources::new().with(Resources::CPU, Amount::ONE);
    assert!(placement_group(&[cpu], PlacementStrategy::Pack)?.wait(limit)?);
    Ok(())
}

#[ray_core::test]
fn references_and_handles_of_an_ended_runtime_say_so() -> ray_core::Result<()> {
    let ray = init()?;
    let (object, stored) = (echo::remote(3), put(&4_u64)?);
    let odd = Odd::remote(0);
    assert_eq!((object.get()?, odd.call().get()?), (3, 7));
    ray.shutdown()?;
    assert_eq!(object.get(), Err(Error::NotInitialized));
    assert_eq!(odd.call().get(), Err(Error::NotInitialized));
    assert_eq!(put(&1_u64).map(|_| ()), Err(Error::NotInitialized));
    // A later runtime of the process does not know them, and never takes them for its own.
    let ray = init()?;
    let new: Vec<_> = (0..20).map(|x| echo::remote(100 + x)).collect();
    get_all(&new)?;
    for old in [&object, &stored] {
        let found = old.get_timeout(PATIENCE);
        assert!(
            !matches!(found, Ok(_) | Err(Error::GetTimeout(_))),
            "{found:?}"
        );
        let found = echo::remote(old).get_timeout(PATIENCE);
        assert!(
            !matches!(found, Ok(_) | Err(Error::GetTimeout(_))),
            "{found:?}"
        );
    }
    drop((object, stored, odd));
    assert_eq!(echo::remote(1).get()?, 1);
    ray.shutdown()
}

#[ray_core::test]
fn amounts_that_make_no_sense_are_refused_by_their_option() -> ray_core::Result<()> {
    let _ray = init()?;
    for wrong in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
        let refused = echo::options().num_cpus(wrong).remote(1).get();
        assert_eq!(option_of(refused), "num_cpus", "{wrong}");
        let refused = Odd::options().num_gpus(wrong).remote(0).call().get();
        assert_eq!(option_of(refused), "num_gpus", "{wrong}");
    }
    let empty = placement_group(&[], PlacementStrategy::Pack);
    assert!(
        matches!(empty, Err(Error::InvalidOption { .. })),
        "{empty:?}"
    );
    let empty = placement_group(&[Resources::new()], PlacementStrategy::Pack);
    assert!(
        matches!(empty, Err(Error::InvalidOption { .. })),
        "{empty:?}"
    );
    let nameless = echo::options().name("").remote(1).get();
    assert_eq!(option_of(nameless), "name");
    Ok(())
}

#[ray_core::test]
fn a_constructor_may_fail_in_every_way() -> ray_core::Result<()> {
    let _ray = init()?;
    for (how, text) in [(1, "in the constructor"), (2, ""), (3, "3"), (4, "refused")] {
        let odd = Odd::options().max_restarts(1).remote(how);
        for _ in 0..2 {
            let outcome = odd.call().get_timeout(PATIENCE);
            let error = outcome.expect_err("there is no actor");
            assert!(!matches!(error, Error::GetTimeout(_)), "{how}: {error}");
            assert!(error.to_string().contains(text), "{how}: {error}");
        }
        let ready = odd.ready().get_timeout(PATIENCE);
        assert!(
            !matches!(ready, Ok(()) | Err(Error::GetTimeout(_))),
            "{how}: {ready:?}"
        );
    }
    assert_eq!(Odd::remote(0).call().get()?, 7);
    Ok(())
}

#[ray_core::test]
fn an_actor_whose_drop_panics_still_ends() -> ray_core::Result<()> {
    let _ray = init()?;
    let bomb = Bomb::remote();
    let pid = bomb.pid().get()?;
    drop(bomb);
    assert!(ray_tests::eventually(|| !ray_tests::is_alive(pid)));
    Ok(())
}

#[ray_core::test]
fn panics_of_any_kind_are_errors_of_their_call() -> ray_core::Result<()> {
    let _ray = init()?;
    let error = panics_with_a_number::remote().get().expect_err("it panics");
    assert!(matches!(error, Error::Task { .. }), "{error}");
    assert_eq!(its_thread_panics::remote().get()?, 1);
    let error = overflows_its_stack::remote(0).get();
    let error = error.expect_err("no stack is that deep");
    assert!(matches!(error, Error::WorkerCrashed(_)), "{error}");
    assert_eq!(echo::remote(1).get()?, 1);
    Ok(())
}

#[ray_core::test]
fn a_thread_that_outlives_its_call_may_go_on_calling() -> ray_core::Result<()> {
    let _ray = init()?;
    let calls = Tally::new();
    assert_eq!(leaves_a_thread::remote(calls.path()).get()?, 1);
    assert!(ray_tests::eventually(|| calls.count() == 1));
    Ok(())
}

#[ray_core::test]
fn what_cannot_be_cancelled_any_more_keeps_its_value() -> ray_core::Result<()> {
    let _ray = init()?;
    let stored = put(&4_u64)?;
    cancel(&stored)?;
    cancel(&stored)?;
    assert_eq!(stored.get()?, 4);
    let odd = Odd::remote(0);
    let ready = odd.ready();
    ready.get()?;
    cancel(&ready)?;
    ready.get()?;
    odd.kill(KillMode::NoRestart)?;
    odd.kill(KillMode::NoRestart)?;
    odd.kill(KillMode::Restart)?;
    let error = odd.call().get().expect_err("it was killed");
    assert!(matches!(error, Error::ActorDied { .. }), "{error}");
    Ok(())
}

#[ray_core::test]
fn empty_lists_and_references_to_references_are_values_like_others() -> ray_core::Result<()> {
    let _ray = init()?;
    assert_eq!(get_all::<u64>(&[])?, Vec::<u64>::new());
    let inner = echo::remote(3);
    let outer = put(&inner)?;
    assert_eq!(outer.get()?.get()?, 3);
    assert_eq!(inner_of::remote(outer).get()?, 3);
    let none = put(&Vec::<u8>::new())?;
    assert!(none.get()?.is_empty() && none.view()?.is_empty());
    let queue = Queue::<u64>::new(0);
    queue.put_nowait_batch(&[])?;
    assert_eq!(queue.get_nowait_batch(0)?, Vec::<u64>::new());
    Ok(())
}

#[ray_core::test]
fn a_driver_knows_that_it_is_no_call() -> ray_core::Result<()> {
    let nowhere = runtime_context();
    assert_eq!((nowhere.task, nowhere.actor), (None, None));
    let _ray = Config::new().namespace("mine").init()?;
    let here = runtime_context();
    assert_eq!((here.task, here.actor, here.function), (None, None, None));
    assert_eq!(here.namespace, "mine");
    assert!(!here.is_cancelled() && here.gpu_ids().is_empty());
    Ok(())
}
