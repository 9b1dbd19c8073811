//! An actor's life: constructor, calls, handles passed around, and its end when nobody holds it.

use ray_core::{Config, Error, exit_actor, get_all, init, prelude::*, put, runtime_context};
use ray_tests::{Tokens, add_token, eventually, is_alive, take_token};

#[actor]
#[derive(Default)]
pub struct Counter {
    value: i64,
}

#[remote]
impl Counter {
    /// Starts at `start`.
    pub fn new(start: i64) -> Self {
        Counter { value: start }
    }

    pub fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }

    pub fn value(&self) -> i64 {
        self.value
    }

    pub fn pid(&self) -> u32 {
        std::process::id()
    }

    pub fn hold(&mut self, gate: String) -> i64 {
        take_token(&gate);
        self.value
    }

    #[method(num_returns = 2)]
    pub fn pair(&self) -> (i64, String) {
        (self.value, self.value.to_string())
    }

    #[method(num_returns = 3)]
    pub fn triple(&self) -> (i64, i64, i64) {
        (self.value, self.value + 1, self.value + 2)
    }

    pub fn leave(&mut self) -> i64 {
        exit_actor()
    }
}

/// A second block adds methods to the same handle.
#[remote]
impl Counter {
    pub fn sum_of(&mut self, values: &Archived<Vec<i64>>) -> i64 {
        self.value += values.iter().map(|value| value.to_native()).sum::<i64>();
        self.value
    }
}

#[actor]
struct Holder {
    of_itself: Option<HolderHandle>,
    counter: Option<CounterHandle>,
}

#[remote]
impl Holder {
    pub fn new() -> Self {
        Holder {
            of_itself: None,
            counter: None,
        }
    }

    pub fn keep_self(&mut self, handle: HolderHandle) {
        self.of_itself = Some(handle);
    }

    pub fn keep(&mut self, counter: CounterHandle) {
        self.counter = Some(counter);
    }

    pub fn forget(&mut self) {
        self.counter = None;
    }

    pub fn add(&mut self, by: i64) -> Result<i64, Error> {
        match &self.counter {
            Some(counter) => counter.add(by).get(),
            None => Err(Error::NotFound("the counter".into())),
        }
    }

    pub fn pid(&self) -> u32 {
        std::process::id()
    }
}

#[remote]
fn use_later(counter: CounterHandle, gate: String) -> Result<i64, Error> {
    take_token(&gate);
    counter.add(5).get()
}

#[remote]
fn makes_an_actor() -> Vec<ObjectRef<i64>> {
    let counter = Counter::remote(40);
    vec![counter.add(2)]
}

#[remote]
fn exits_outside_an_actor() -> u64 {
    exit_actor()
}

#[remote]
fn pid() -> u32 {
    std::process::id()
}

#[actor]
struct Leaver;

#[remote]
impl Leaver {
    pub fn new() -> Self {
        Leaver
    }

    pub async fn leave(&self) -> i64 {
        exit_actor()
    }

    pub fn pid(&self) -> u32 {
        std::process::id()
    }
}

#[ray_core::test]
fn calls_change_the_actors_state_in_order() -> ray_core::Result<()> {
    let _ray = init()?;
    let counter = Counter::remote(10);
    let sums: Vec<_> = (0..1000).map(|by| counter.add(by)).collect();
    let expected: Vec<i64> = (0..1000).map(|by| 10 + by * (by + 1) / 2).collect();
    assert_eq!(get_all(&sums)?, expected);
    assert_eq!(counter.sum_of(vec![1_i64, 2, 3]).get()?, 10 + 499_500 + 6);
    Ok(())
}

#[ray_core::test]
fn an_actor_has_a_process_of_its_own() -> ray_core::Result<()> {
    let _ray = init()?;
    let (a, b) = (Counter::remote(0), Counter::remote(0));
    let pids = [
        a.pid().get()?,
        b.pid().get()?,
        pid::remote().get()?,
        std::process::id(),
    ];
    for (at, pid) in pids.iter().enumerate() {
        assert!(!pids[at + 1..].contains(pid), "{pids:?}");
    }
    Ok(())
}

// 54
#[ray_core::test]
fn an_actor_ends_with_its_last_handle() -> ray_core::Result<()> {
    let _ray = init()?;
    let counter = Counter::remote(0);
    let pid = counter.pid().get()?;
    let again = counter.clone();
    drop(counter);
    assert_eq!(again.add(1).get()?, 1);
    drop(again);
    assert!(eventually(|| !is_alive(pid)), "nobody holds it any more");
    Ok(())
}

// 55
#[ray_core::test]
fn a_call_on_a_temporary_handle_completes() -> ray_core::Result<()> {
    let _ray = init()?;
    let value = Counter::remote(3).add(4);
    assert_eq!(value.get()?, 7);
    Ok(())
}

// 56
#[ray_core::test]
fn a_handle_in_a_task_keeps_the_actor() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let counter = Counter::remote(1);
    let pid = counter.pid().get()?;
    let later = use_later::remote(&counter, gate.path());
    drop(counter);
    assert!(is_alive(pid));
    gate.add(1);
    assert_eq!(later.get()?, 6);
    assert!(
        eventually(|| !is_alive(pid)),
        "the task's handle is gone too"
    );
    Ok(())
}

// 57
#[ray_core::test]
fn a_handle_that_an_actor_has_of_itself_does_not_keep_it() -> ray_core::Result<()> {
    let _ray = init()?;
    let holder = Holder::remote();
    let pid = holder.pid().get()?;
    holder.keep_self(&holder).get()?;
    drop(holder);
    assert!(eventually(|| !is_alive(pid)), "it keeps itself alive");
    Ok(())
}

#[ray_core::test]
fn an_actor_that_holds_another_keeps_it_until_it_forgets() -> ray_core::Result<()> {
    let _ray = init()?;
    let (holder, counter) = (Holder::remote(), Counter::remote(1));
    let pid = counter.pid().get()?;
    holder.keep(&counter).get()?;
    drop(counter);
    assert_eq!(holder.add(2).get()?, 3);
    assert!(is_alive(pid));
    holder.forget().get()?;
    assert!(eventually(|| !is_alive(pid)), "nobody holds it any more");
    Ok(())
}

// 60
#[ray_core::test]
fn what_a_tasks_actor_computed_outlives_the_task() -> ray_core::Result<()> {
    let _ray = init()?;
    let refs = makes_an_actor::remote().get()?;
    assert_eq!(refs[0].get()?, 42);
    Ok(())
}

// 62
#[ray_core::test]
fn a_method_may_return_several_references() -> ray_core::Result<()> {
    let _ray = init()?;
    let counter = Counter::remote(8);
    let (number, text) = counter.pair();
    assert_eq!((number.get()?, text.get()?), (8, "8".to_owned()));
    let (a, b, c) = counter.triple();
    assert_eq!((a.get()?, b.get()?, c.get()?), (8, 9, 10));
    Ok(())
}

// 64
#[ray_core::test]
fn an_actor_that_waits_for_room_can_be_killed() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(1.0).init()?;
    let first = Counter::options().num_cpus(1.0).remote(1);
    assert_eq!(first.value().get()?, 1);
    let waiting = Counter::options().num_cpus(1.0).remote(2);
    let call = waiting.value();
    waiting.kill(KillMode::NoRestart)?;
    let error = call.get().expect_err("it never ran");
    assert!(matches!(error, Error::ActorDied { .. }), "{error}");
    drop(first);
    // The room is free for somebody else, not for the dead.
    assert_eq!(Counter::options().num_cpus(1.0).remote(3).value().get()?, 3);
    Ok(())
}

#[ray_core::test]
fn kill_ends_the_process_and_fails_what_is_queued() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let counter = Counter::remote(0);
    let pid = counter.pid().get()?;
    let calls = [counter.hold(gate.path()), counter.add(1)];
    counter.kill(KillMode::NoRestart)?;
    for call in calls {
        assert!(matches!(call.get(), Err(Error::ActorDied { .. })));
    }
    assert!(matches!(counter.add(1).get(), Err(Error::ActorDied { .. })));
    assert!(eventually(|| !is_alive(pid)));
    Ok(())
}

// 65
#[ray_core::test]
fn exit_actor_outside_an_actor_is_an_error() -> ray_core::Result<()> {
    let _ray = init()?;
    let error = exits_outside_an_actor::remote()
        .get()
        .expect_err("no actor");
    assert!(matches!(error, Error::Task { .. }), "{error}");
    assert!(error.to_string().contains("outside"), "{error}");
    Ok(())
}

// 65
#[ray_core::test]
fn an_actor_that_exits_is_not_restarted() -> ray_core::Result<()> {
    let _ray = init()?;
    let counter = Counter::options().max_restarts(5).remote(0);
    let pid = counter.pid().get()?;
    let error = counter.leave().get().expect_err("it left");
    assert!(matches!(error, Error::ActorDied { .. }), "{error}");
    assert!(matches!(counter.add(1).get(), Err(Error::ActorDied { .. })));
    assert!(eventually(|| !is_alive(pid)));
    let leaver = Leaver::options().max_restarts(5).remote();
    let pid = leaver.pid().get()?;
    assert!(matches!(leaver.leave().get(), Err(Error::ActorDied { .. })));
    assert!(eventually(|| !is_alive(pid)));
    Ok(())
}

// 66
#[ray_core::test]
fn calls_queued_behind_an_exit_all_fail() -> ray_core::Result<()> {
    let _ray = init()?;
    let counter = Counter::remote(0);
    let left = counter.leave();
    let queued: Vec<_> = (0..10_000).map(|_| counter.add(1)).collect();
    assert!(left.get().is_err());
    for call in &queued {
        let error = call.get().expect_err("the actor had left");
        assert!(matches!(error, Error::ActorDied { .. }), "{error}");
        assert!(
            error.to_string().contains("exit_actor"),
            "it says why: {error}"
        );
    }
    Ok(())
}

// 67
#[ray_core::test]
fn a_restartable_actor_without_handles_ends() -> ray_core::Result<()> {
    let _ray = init()?;
    let counter = Counter::options().max_restarts(-1).remote(0);
    let pid = counter.pid().get()?;
    drop(counter);
    assert!(eventually(|| !is_alive(pid)));
    let free = eventually(|| {
        ray_core::available_resources()
            .and_then(|free| Ok((free, ray_core::cluster_resources()?)))
            .is_ok_and(|(free, total)| free == total)
    });
    assert!(free, "it came back");
    Ok(())
}

// 69
#[ray_core::test]
fn ready_resolves_when_the_constructor_is_done() -> ray_core::Result<()> {
    let _ray = init()?;
    let counter = Counter::remote(0);
    counter.ready().get()?;
    Ok(())
}

#[actor]
struct Gated;

#[remote]
impl Gated {
    pub fn new(started: String, gate: String) -> Self {
        add_token(&started);
        take_token(&gate);
        Gated
    }

    pub fn context(&self) -> (bool, bool) {
        let context = runtime_context();
        (context.actor.is_some(), context.task.is_some())
    }
}

#[ray_core::test]
fn calls_wait_for_the_constructor() -> ray_core::Result<()> {
    let _ray = init()?;
    let (started, gate) = (Tokens::new(), Tokens::new());
    let gated = Gated::remote(started.path(), gate.path());
    started.take();
    let (ready, call) = (gated.ready(), gated.context());
    assert!(!ready.is_ready() && !call.is_ready());
    gate.add(1);
    ready.get()?;
    assert_eq!(call.get()?, (true, true));
    Ok(())
}

#[ray_core::test]
fn constructor_arguments_may_be_references() -> ray_core::Result<()> {
    let _ray = init()?;
    let start = put(&40_i64)?;
    let counter = Counter::remote(&start);
    assert_eq!(counter.add(2).get()?, 42);
    let from_call = Counter::remote(counter.add(0));
    assert_eq!(from_call.value().get()?, 42);
    Ok(())
}

#[ray_core::test]
fn handles_travel_inside_data() -> ray_core::Result<()> {
    let _ray = init()?;
    #[derive(Data)]
    struct Team {
        name: String,
        members: Vec<CounterHandle>,
    }
    #[remote]
    fn play(team: Team) -> Result<(String, i64), Error> {
        let refs: Vec<_> = team.members.iter().map(|member| member.add(1)).collect();
        Ok((team.name, get_all(&refs)?.into_iter().sum()))
    }
    let team = Team {
        name: "red".into(),
        members: (0..3).map(Counter::remote).collect(),
    };
    assert_eq!(play::remote(&team).get()?, ("red".to_owned(), 6));
    Ok(())
}

/// Goes on by calling itself.
#[actor]
struct Countdown {
    me: Option<CountdownHandle>,
    seen: Vec<u32>,
}

#[remote]
impl Countdown {
    pub fn new() -> Self {
        Countdown {
            me: None,
            seen: Vec::new(),
        }
    }

    pub fn start(&mut self, me: CountdownHandle, from: u32) {
        self.me = Some(me);
        self.step(from);
    }

    pub fn step(&mut self, left: u32) {
        self.seen.push(left);
        if let (Some(me), 1..) = (&self.me, left) {
            me.step(left - 1);
        }
    }

    pub fn seen(&self) -> Vec<u32> {
        self.seen.clone()
    }

    pub fn waits_for_itself(&mut self, me: CountdownHandle) -> Result<Vec<u32>, ray_core::Error> {
        me.seen().get()
    }
}

/// Awaits itself.
#[actor]
struct Echoing;

#[remote]
impl Echoing {
    pub fn new() -> Self {
        Echoing
    }

    pub async fn plus_one(&self, x: u32) -> u32 {
        x + 1
    }

    pub async fn plus_two(&self, me: EchoingHandle, x: u32) -> Result<u32, ray_core::Error> {
        let once = me.plus_one(x).await?;
        me.plus_one(once).await
    }
}

#[ray_core::test]
fn an_actor_goes_on_by_calling_itself() -> ray_core::Result<()> {
    let _ray = init()?;
    let countdown = Countdown::remote();
    countdown.start(&countdown, 100).get()?;
    assert!(eventually(|| countdown
        .seen()
        .get()
        .is_ok_and(|seen| seen.len() == 101)));
    assert_eq!(countdown.seen().get()?, (0..=100).rev().collect::<Vec<_>>());
    let echoing = Echoing::remote();
    assert_eq!(echoing.plus_two(&echoing, 5).get()?, 7);
    Ok(())
}

#[ray_core::test]
fn an_actor_that_waits_for_its_own_later_call_is_told() -> ray_core::Result<()> {
    let _ray = init()?;
    let countdown = Countdown::remote();
    let error = countdown
        .waits_for_itself(&countdown)
        .get()
        .expect_err("it would never end");
    assert!(error.to_string().contains("its own actor"), "{error}");
    assert!(countdown.seen().get()?.is_empty(), "it goes on");
    Ok(())
}
