//! How actors end: after what was submitted and with their `Drop`, or at once and without it.

use ray_core::{Error, init, prelude::*};
use ray_tests::{Tally, Tokens, add_token, eventually, is_alive, take_token, tally};

/// Writes down that it was dropped.
#[actor]
struct Diary {
    dropped: String,
}

#[remote]
impl Diary {
    pub fn new(dropped: String) -> Self {
        Diary { dropped }
    }

    pub fn note(&self, notes: String) {
        tally(&notes);
    }

    pub fn hold(&self, begun: String, gate: String) {
        add_token(&begun);
        take_token(&gate);
    }

    pub fn leave(&self) {
        ray_core::exit_actor()
    }

    pub fn pid(&self) -> u32 {
        std::process::id()
    }
}

impl Drop for Diary {
    fn drop(&mut self) {
        tally(&self.dropped);
    }
}

#[ray_core::test]
fn without_handles_an_actor_ends_after_its_calls_and_is_dropped() -> ray_core::Result<()> {
    let _ray = init()?;
    let (dropped, notes) = (Tally::new(), Tally::new());
    let (begun, gate) = (Tokens::new(), Tokens::new());
    let diary = Diary::remote(dropped.path());
    let pid = diary.pid().get()?;
    let held = diary.hold(begun.path(), gate.path());
    begun.take();
    let last: Vec<_> = (0..20).map(|_| diary.note(notes.path())).collect();
    drop(diary);
    gate.add(1);
    held.get()?;
    ray_core::get_all(&last)?;
    assert_eq!(notes.count(), 20);
    assert!(eventually(|| !is_alive(pid)));
    assert_eq!(dropped.count(), 1);
    Ok(())
}

#[ray_core::test]
fn an_actor_that_exits_is_dropped_and_one_that_is_killed_is_not() -> ray_core::Result<()> {
    let _ray = init()?;
    let (left, killed) = (Tally::new(), Tally::new());
    let diary = Diary::remote(left.path());
    let pid = diary.pid().get()?;
    let outcome = diary.leave().get();
    assert!(
        matches!(outcome, Err(Error::ActorDied { .. })),
        "{outcome:?}"
    );
    assert!(eventually(|| !is_alive(pid)));
    assert_eq!(left.count(), 1);
    let diary = Diary::remote(killed.path());
    let pid = diary.pid().get()?;
    diary.kill(KillMode::NoRestart)?;
    assert!(eventually(|| !is_alive(pid)));
    assert_eq!(killed.count(), 0);
    Ok(())
}

#[ray_core::test]
fn a_handle_of_an_earlier_runtime_says_that_its_actor_is_gone() -> ray_core::Result<()> {
    let (left, notes) = (Tally::new(), Tally::new());
    let ray = init()?;
    let diary = Diary::remote(left.path());
    let object = ray_core::put(&1_u32)?;
    diary.note(notes.path()).get()?;
    ray.shutdown()?;

    let ray = init()?;
    for _ in 0..2 {
        let lost = diary.note(notes.path()).get();
        assert!(matches!(lost, Err(Error::ActorDied { .. })), "{lost:?}");
    }
    let lost = diary.ready().get();
    assert!(matches!(lost, Err(Error::ActorDied { .. })), "{lost:?}");
    let lost = object.get();
    assert!(lost.is_err(), "{lost:?}");
    // What is new works beside it.
    let other = Diary::remote(left.path());
    other.note(notes.path()).get()?;
    assert_eq!(notes.count(), 2);
    drop((diary, object));
    ray.shutdown()
}
