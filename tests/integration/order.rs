//! Order per caller, and concurrency where it was asked for.

use std::sync::atomic::{AtomicUsize, Ordering};

use ray_core::{Config, Error, get_all, init, prelude::*};
use ray_tests::{Tokens, add_token, take_token};

#[actor(num_cpus = 0)]
struct Log {
    seen: Vec<u64>,
}

#[remote]
impl Log {
    pub fn new() -> Self {
        Log { seen: Vec::new() }
    }

    pub fn note(&mut self, what: u64) {
        self.seen.push(what);
    }

    pub fn seen(&self) -> Vec<u64> {
        self.seen.clone()
    }
}

#[remote]
fn held(path: String, x: u64) -> u64 {
    take_token(&path);
    x
}

#[remote(num_cpus = 0)]
fn notes(log: LogHandle, from: u64, count: u64) -> Result<(), Error> {
    let refs: Vec<_> = (from..from + count).map(|what| log.note(what)).collect();
    get_all(&refs)?;
    Ok(())
}

#[ray_core::test]
fn a_later_call_waits_for_the_argument_of_an_earlier_one() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let log = Log::remote();
    let slow = held::remote(gate.path(), 1);
    let first = log.note(&slow);
    let second = log.note(2);
    assert!(
        second
            .get_timeout(std::time::Duration::from_millis(30))
            .is_err()
    );
    gate.add(1);
    get_all(&[first, second])?;
    assert_eq!(log.seen().get()?, [1, 2]);
    Ok(())
}

// 79
#[ray_core::test]
fn one_callers_slow_argument_does_not_hold_up_another() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(4.0).init()?;
    let gate = Tokens::new();
    let log = Log::remote();
    let slow = held::remote(gate.path(), 1);
    let waiting = log.note(&slow);
    notes::remote(&log, 100, 3).get()?;
    assert!(!waiting.is_ready());
    gate.add(1);
    waiting.get()?;
    assert_eq!(log.seen().get()?, [100, 101, 102, 1]);
    Ok(())
}

#[ray_core::test]
fn each_of_many_callers_is_served_in_its_order() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(4.0).init()?;
    let log = Log::remote();
    let callers: Vec<_> = (0..4).map(|c| notes::remote(&log, c * 1000, 500)).collect();
    get_all(&callers)?;
    let seen = log.seen().get()?;
    assert_eq!(seen.len(), 2000);
    for caller in 0..4 {
        let own: Vec<u64> = seen
            .iter()
            .copied()
            .filter(|what| what / 1000 == caller)
            .collect();
        assert!(own.is_sorted(), "caller {caller}");
    }
    Ok(())
}

static INSIDE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[actor(max_concurrency = 3)]
struct Threads;

#[remote]
impl Threads {
    pub fn new() -> Self {
        Threads
    }

    pub fn meet(&self, arrived: String, gate: String) -> u64 {
        let inside = INSIDE.fetch_add(1, Ordering::SeqCst) + 1;
        MOST.fetch_max(inside, Ordering::SeqCst);
        add_token(&arrived);
        take_token(&gate);
        INSIDE.fetch_sub(1, Ordering::SeqCst);
        inside as u64
    }

    pub fn most(&self) -> u64 {
        MOST.load(Ordering::SeqCst) as u64
    }

    pub fn pass(&self, x: u64) -> u64 {
        x
    }
}

// 80
#[ray_core::test]
fn as_many_methods_run_at_once_as_were_asked_for() -> ray_core::Result<()> {
    let _ray = init()?;
    let (arrived, gate) = (Tokens::new(), Tokens::new());
    let actor = Threads::remote();
    let calls: Vec<_> = (0..3)
        .map(|_| actor.meet(arrived.path(), gate.path()))
        .collect();
    for _ in 0..3 {
        arrived.take();
    }
    gate.add(3);
    let mut inside = get_all(&calls)?;
    inside.sort_unstable();
    assert_eq!(inside, [1, 2, 3]);
    Ok(())
}

// 81
#[ray_core::test]
fn never_more_methods_run_at_once_than_were_asked_for() -> ray_core::Result<()> {
    let _ray = init()?;
    let (arrived, gate) = (Tokens::new(), Tokens::new());
    let actor = Threads::remote();
    let calls: Vec<_> = (0..40)
        .map(|_| actor.meet(arrived.path(), gate.path()))
        .collect();
    gate.add(40);
    get_all(&calls)?;
    assert!(actor.most().get()? <= 3);
    Ok(())
}

// 82
#[ray_core::test]
fn a_threaded_actor_does_not_wait_for_an_earlier_argument() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let actor = Threads::remote();
    let slow = held::remote(gate.path(), 1);
    let first = actor.pass(&slow);
    assert_eq!(actor.pass(2).get()?, 2);
    assert!(!first.is_ready());
    gate.add(1);
    assert_eq!(first.get()?, 1);
    Ok(())
}

#[actor]
struct Barrier {
    arrived: std::cell::Cell<u64>,
    all: tokio::sync::Notify,
}

#[remote]
impl Barrier {
    pub fn new() -> Self {
        Barrier {
            arrived: std::cell::Cell::new(0),
            all: tokio::sync::Notify::new(),
        }
    }

    pub async fn meet(&self, count: u64) -> u64 {
        let place = self.arrived.get() + 1;
        self.arrived.set(place);
        let notified = self.all.notified();
        if place == count {
            self.all.notify_waiters();
        } else {
            notified.await;
        }
        place
    }

    pub async fn forever(&self) {
        std::future::pending::<()>().await;
    }

    pub async fn leave(&self) {
        ray_core::exit_actor()
    }

    pub async fn reset(&mut self) {
        self.arrived.set(0);
    }
}

// 84
#[ray_core::test]
fn a_hundred_async_methods_are_inside_together() -> ray_core::Result<()> {
    let _ray = init()?;
    let barrier = Barrier::remote();
    let calls: Vec<_> = (0..100).map(|_| barrier.meet(100_u64)).collect();
    let mut places = get_all(&calls)?;
    places.sort_unstable();
    assert_eq!(places, (1..=100).collect::<Vec<_>>());
    barrier.reset().get()?;
    assert_eq!(barrier.meet(1_u64).get()?, 1);
    Ok(())
}

// 85
#[ray_core::test]
fn an_async_actor_exits_over_its_endless_methods() -> ray_core::Result<()> {
    let _ray = init()?;
    let barrier = Barrier::remote();
    let endless: Vec<_> = (0..10).map(|_| barrier.forever()).collect();
    assert!(matches!(
        barrier.leave().get(),
        Err(Error::ActorDied { .. })
    ));
    for call in endless {
        assert!(matches!(call.get(), Err(Error::ActorDied { .. })));
    }
    assert!(matches!(
        barrier.meet(1_u64).get(),
        Err(Error::ActorDied { .. })
    ));
    Ok(())
}

// The hazards of a call whose callee blocks: others go on, the connection lives.
#[ray_core::test]
fn a_call_that_blocks_long_stalls_nobody() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    #[actor(num_cpus = 0)]
    struct Blocks;
    #[remote]
    impl Blocks {
        pub fn new() -> Self {
            Blocks
        }
        pub fn block(&mut self) -> u64 {
            std::thread::sleep(std::time::Duration::from_secs(3));
            3
        }
        pub fn quick(&mut self) -> u64 {
            1
        }
    }
    let (slow, other) = (Blocks::remote(), Blocks::remote());
    slow.quick().get()?;
    let blocked = slow.block();
    let behind: Vec<_> = (0..20).map(|_| slow.quick()).collect();
    let mut answered = 0;
    while !blocked.is_ready() {
        other.quick().get()?;
        answered += 1;
    }
    assert!(
        answered > 100,
        "only {answered} calls of another actor went through in 3 s"
    );
    assert_eq!(blocked.get()?, 3);
    assert_eq!(get_all(&behind)?, [1; 20]);
    drop(gate);
    Ok(())
}

#[ray_core::test]
fn calls_that_nobody_waits_for_are_done() -> ray_core::Result<()> {
    let _ray = init()?;
    let log = Log::remote();
    for what in 0..5000 {
        drop(log.note(what));
    }
    assert_eq!(log.seen().get()?, (0..5000).collect::<Vec<_>>());
    Ok(())
}
