//! Calls that gather at an actor: the limit that refuses them, and the warnings before that.

use std::process::{Command, Stdio};

use ray_core::{Error, get_all, init, prelude::*};
use ray_tests::{Tokens, eventually, take_token};

#[actor(num_cpus = 0, max_pending_calls = 10)]
struct Slow;

#[remote]
impl Slow {
    pub fn new() -> Self {
        Slow
    }

    pub fn pass(&mut self, gate: String) -> u64 {
        take_token(&gate);
        7
    }
}

// 89
#[ray_core::test]
fn calls_over_the_limit_fail_at_once_and_are_accepted_again_after_releases() -> ray_core::Result<()>
{
    let _ray = init()?;
    let gate = Tokens::new();
    let actor = Slow::remote();
    for _ in 0..3 {
        let calls: Vec<_> = (0..10).map(|_| actor.pass(gate.path())).collect();
        let over = actor.pass(gate.path());
        assert_eq!(over.get(), Err(Error::PendingCallsLimit { limit: 10 }));
        gate.add(1);
        assert_eq!(calls[0].get()?, 7);
        let again = actor.pass(gate.path());
        assert!(!again.is_ready(), "one ended, so one more may wait");
        let over = actor.pass(gate.path());
        assert_eq!(over.get(), Err(Error::PendingCallsLimit { limit: 10 }));
        gate.add(10);
        get_all(&calls)?;
        assert_eq!(again.get()?, 7);
    }
    Ok(())
}

#[ray_core::test]
fn calls_that_fail_on_the_way_make_room_too() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let actor = Slow::remote();
    let blocked = actor.pass(gate.path());
    let lost: Vec<_> = (0..9).map(|_| actor.pass(gate.path())).collect();
    for call in &lost {
        ray_core::cancel(call)?;
    }
    assert!(eventually(|| lost.iter().all(ObjectRef::is_ready)));
    let again = actor.pass(gate.path());
    gate.add(2);
    assert_eq!((blocked.get()?, again.get()?), (7, 7));
    Ok(())
}

// 90
#[ray_core::test]
fn the_user_is_warned_at_every_doubling_of_the_pending_calls() {
    let output = Command::new(env!("CARGO_BIN_EXE_drill"))
        .arg("gather")
        .stdin(Stdio::null())
        .output()
        .expect("the drill runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let counts: Vec<&str> = stderr
        .lines()
        .filter_map(|line| line.strip_prefix("warning: "))
        .filter_map(|line| line.split_once(" calls are pending at actor"))
        .map(|(count, _)| count)
        .collect();
    assert_eq!(counts, ["5000", "10000", "20000"], "{stderr}");
}
