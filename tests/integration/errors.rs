//! What goes wrong in user code arrives at `get`, with its cause; the worker lives on.

use ray_core::{Error, get_all, init, prelude::*};

#[derive(Debug, PartialEq, Data)]
struct ParseError {
    at: u32,
    found: String,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "found {} at {}", self.found, self.at)
    }
}

impl std::error::Error for ParseError {}

/// Cannot cross processes as itself.
#[derive(Debug)]
struct Opaque;

impl std::fmt::Display for Opaque {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("opaque trouble")
    }
}

type Parsed<T> = Result<T, ParseError>;

#[remote]
fn parse(text: String) -> Parsed<u64> {
    text.parse().map_err(|_| ParseError { at: 3, found: text })
}

#[remote]
fn opaque() -> Result<u64, Opaque> {
    Err(Opaque)
}

#[remote]
fn panics(text: String) -> u64 {
    panic!("{text}");
}

#[remote]
fn double(x: u64) -> u64 {
    2 * x
}

#[remote]
fn pid() -> u32 {
    std::process::id()
}

#[remote]
fn fetches_a_failing_task() -> Result<u64, Error> {
    parse::remote("x").get()
}

#[remote(max_retries = 0)]
fn leaves() -> u64 {
    std::process::exit(3)
}

#[remote(max_retries = 0)]
fn aborts() -> u64 {
    eprintln!("last words");
    std::process::abort()
}

#[actor]
struct Fragile;

#[remote]
impl Fragile {
    fn new_checked(ok: bool) -> Result<Self, String> {
        if ok {
            Ok(Fragile)
        } else {
            Err("no fuel".into())
        }
    }

    pub fn new(ok: bool) -> Result<Self, String> {
        Fragile::new_checked(ok)
    }

    pub fn run(&mut self) -> u64 {
        1
    }

    pub fn fail(&mut self) -> Result<u64, ParseError> {
        Err(ParseError {
            at: 9,
            found: "dust".into(),
        })
    }

    pub fn panic(&mut self) -> u64 {
        panic!("actor panic")
    }

    pub fn die(&mut self) -> u64 {
        std::process::exit(4)
    }
}

#[remote]
fn calls_a_dead_actor(actor: FragileHandle) -> Result<u64, Error> {
    actor.run().get()
}

#[ray_core::test]
fn an_error_value_arrives_with_its_type() -> ray_core::Result<()> {
    let _ray = init()?;
    assert_eq!(parse::remote("12").get()?, 12);
    let error = parse::remote("x").get().expect_err("not a number");
    assert!(matches!(error, Error::Task { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("parse") && text.contains("found x at 3"),
        "{text}"
    );
    let cause = error.cause::<ParseError>().expect("the value itself");
    assert_eq!(
        cause,
        ParseError {
            at: 3,
            found: "x".into()
        }
    );
    assert!(
        error.cause::<String>().is_none(),
        "another type is not there"
    );
    Ok(())
}

// 34
#[ray_core::test]
fn an_error_that_cannot_travel_keeps_its_text() -> ray_core::Result<()> {
    let _ray = init()?;
    let error = opaque::remote().get().expect_err("it fails");
    assert!(error.to_string().contains("opaque trouble"), "{error}");
    Ok(())
}

#[ray_core::test]
fn a_panic_is_a_value_and_the_worker_lives_on() -> ray_core::Result<()> {
    let _ray = ray_core::Config::new().workers(1).num_cpus(1.0).init()?;
    let before = pid::remote().get()?;
    let error = panics::remote("at noon").get().expect_err("it panics");
    match &error {
        Error::Task {
            message, backtrace, ..
        } => {
            assert!(message.contains("at noon"), "{message}");
            assert!(
                message.contains("errors.rs:"),
                "the place is named: {message}"
            );
            assert!(!backtrace.is_empty());
        }
        other => panic!("{other}"),
    }
    assert_eq!(pid::remote().get()?, before);
    Ok(())
}

// 32
#[ray_core::test]
fn an_error_goes_through_the_task_that_fetched_it() -> ray_core::Result<()> {
    let _ray = init()?;
    let error = fetches_a_failing_task::remote()
        .get()
        .expect_err("it fails");
    assert!(
        matches!(&error, Error::Task { function, .. } if function.contains("fetches_a_failing_task")),
        "{error}"
    );
    assert!(error.to_string().contains("found x at 3"), "{error}");
    Ok(())
}

#[ray_core::test]
fn an_error_goes_down_a_chain_of_dependents() -> ray_core::Result<()> {
    let _ray = init()?;
    let mut last = parse::remote("x");
    for _ in 0..10 {
        last = double::remote(&last);
    }
    let error = last.get().expect_err("the first failed");
    assert!(error.to_string().contains("found x at 3"), "{error}");
    Ok(())
}

// 35
#[ray_core::test]
fn leaving_the_process_is_a_crash_of_the_worker() -> ray_core::Result<()> {
    let _ray = init()?;
    let error = leaves::remote().get().expect_err("the worker left");
    match &error {
        Error::WorkerCrashed(exit) => assert_eq!(exit.code, Some(3)),
        other => panic!("{other}"),
    }
    let error = aborts::remote().get().expect_err("the worker aborted");
    match &error {
        Error::WorkerCrashed(exit) => {
            assert_eq!(exit.signal, Some(6));
            assert!(exit.last_stderr.contains("last words"), "{exit:?}");
        }
        other => panic!("{other}"),
    }
    assert_eq!(double::remote(4).get()?, 8);
    Ok(())
}

// 36, 61
#[ray_core::test]
fn a_failed_constructor_is_in_the_error_of_every_call() -> ray_core::Result<()> {
    let _ray = init()?;
    let broken = Fragile::remote(false);
    for call in [broken.run(), broken.run()] {
        let error = call.get().expect_err("it was never built");
        assert!(matches!(error, Error::ActorDied { .. }), "{error}");
        assert!(error.to_string().contains("no fuel"), "{error}");
    }
    assert!(broken.ready().get().is_err());
    Ok(())
}

#[ray_core::test]
fn an_actor_outlives_the_errors_and_panics_of_its_methods() -> ray_core::Result<()> {
    let _ray = init()?;
    let actor = Fragile::remote(true);
    let error = actor.fail().get().expect_err("it fails");
    assert_eq!(error.cause::<ParseError>().map(|cause| cause.at), Some(9));
    let error = actor.panic().get().expect_err("it panics");
    assert!(error.to_string().contains("actor panic"), "{error}");
    assert_eq!(actor.run().get()?, 1);
    Ok(())
}

// 39
#[ray_core::test]
fn a_user_error_and_the_death_after_it_are_told_apart() -> ray_core::Result<()> {
    let _ray = init()?;
    let actor = Fragile::remote(true);
    assert!(matches!(actor.fail().get(), Err(Error::Task { .. })));
    let error = actor.die().get().expect_err("the process left");
    assert!(matches!(error, Error::ActorDied { .. }), "{error}");
    assert!(
        error.to_string().contains('4'),
        "the exit code is told: {error}"
    );
    Ok(())
}

// 40
#[ray_core::test]
fn a_task_that_meets_a_dead_actor_says_so() -> ray_core::Result<()> {
    let _ray = init()?;
    let actor = Fragile::remote(true);
    actor.die().get().expect_err("the process left");
    let error = calls_a_dead_actor::remote(&actor)
        .get()
        .expect_err("the actor is dead");
    assert!(matches!(error, Error::Task { .. }), "{error}");
    assert!(error.to_string().contains("is dead"), "{error}");
    Ok(())
}

#[ray_core::test]
fn one_failure_among_many_leaves_the_others() -> ray_core::Result<()> {
    let _ray = init()?;
    let good: Vec<_> = (0..50).map(double::remote).collect();
    let bad = panics::remote("one");
    assert_eq!(get_all(&good)?.len(), 50);
    assert!(bad.get().is_err());
    Ok(())
}

#[derive(Data)]
struct Reading {
    level: f32,
}

/// As long as a [`Reading`], and something else.
#[derive(Debug, Data)]
struct Count {
    ticks: u32,
}

#[remote]
fn reading() -> Reading {
    Reading { level: 1.5 }
}

#[remote]
fn ticks_of(count: Count) -> u32 {
    count.ticks
}

#[ray_core::test]
fn bytes_of_one_type_are_never_read_as_another() -> ray_core::Result<()> {
    let _ray = init()?;
    let mistaken = |error: &Error| {
        matches!(error, Error::TypeMismatch { .. }) && error.to_string().contains("Count")
    };
    // A result, what was put, large or small, and an argument: the bytes would fit each time.
    let result = reading::remote().erase().typed::<Count>();
    let error = result.get().expect_err("it is a reading");
    assert!(mistaken(&error), "{error}");
    assert!(result.view().is_err_and(|error| mistaken(&error)));
    let put = ray_core::put(&Reading { level: 2.5 })?;
    assert!((put.get()?.level - 2.5).abs() < 1e-6);
    let error = put.erase().typed::<Count>().get().expect_err("a reading");
    assert!(mistaken(&error), "{error}");
    let error = ticks_of::remote(put.erase().typed::<Count>())
        .get()
        .expect_err("a reading");
    assert!(mistaken(&error), "{error}");
    let many = ray_core::put(&vec![7_u32; 100_000])?;
    assert!(matches!(
        many.erase().typed::<Vec<f32>>().get(),
        Err(Error::TypeMismatch { .. })
    ));
    assert_eq!(ticks_of::remote(Count { ticks: 3 }).get()?, 3);
    Ok(())
}
