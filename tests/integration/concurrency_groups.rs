//! Concurrency groups: limits of their own for groups of methods, and no group holds up another.

use std::sync::atomic::{AtomicU64, Ordering};

use ray_core::{CallOptions, Error, get_all, init, prelude::*};
use ray_tests::{Tokens, add_token, take_token};

#[actor(num_cpus = 0, concurrency_groups(io = 2, compute = 4))]
struct Threads {
    inside: AtomicU64,
    most: AtomicU64,
}

#[remote]
impl Threads {
    pub fn new() -> Self {
        Threads {
            inside: AtomicU64::new(0),
            most: AtomicU64::new(0),
        }
    }

    pub fn plain(&self, arrived: String, gate: String) {
        self.meet(&arrived, &gate);
    }

    #[method(concurrency_group = "io")]
    pub fn io(&self, arrived: String, gate: String) {
        self.meet(&arrived, &gate);
    }

    #[method(concurrency_group = "compute")]
    pub fn compute(&self, arrived: String, gate: String) {
        self.meet(&arrived, &gate);
    }

    #[method(concurrency_group = "compute")]
    pub fn most(&self) -> u64 {
        self.most.load(Ordering::SeqCst)
    }

    fn meet(&self, arrived: &str, gate: &str) {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        add_token(arrived);
        take_token(gate);
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

// 86
#[ray_core::test]
fn each_group_runs_as_many_methods_at_once_as_it_says() -> ray_core::Result<()> {
    let _ray = init()?;
    let (arrived, gate) = (Tokens::new(), Tokens::new());
    let actor = Threads::remote();
    let mut calls: Vec<_> = (0..2)
        .map(|_| actor.io(arrived.path(), gate.path()))
        .collect();
    calls.extend((0..4).map(|_| actor.compute(arrived.path(), gate.path())));
    calls.push(actor.plain(arrived.path(), gate.path()));
    for _ in 0..7 {
        arrived.take();
    }
    gate.add(7);
    get_all(&calls)?;
    assert_eq!(actor.most().get()?, 7);
    Ok(())
}

#[ray_core::test]
fn never_more_methods_of_a_group_run_at_once_than_it_says() -> ray_core::Result<()> {
    let _ray = init()?;
    let (arrived, gate) = (Tokens::new(), Tokens::new());
    let actor = Threads::remote();
    gate.add(40);
    let calls: Vec<_> = (0..40)
        .map(|_| actor.io(arrived.path(), gate.path()))
        .collect();
    get_all(&calls)?;
    assert!(actor.most().get()? <= 2);
    Ok(())
}

// 87
#[ray_core::test]
fn a_blocked_default_group_does_not_block_the_others() -> ray_core::Result<()> {
    let _ray = init()?;
    let (arrived, gate) = (Tokens::new(), Tokens::new());
    let actor = Threads::remote();
    let blocked: Vec<_> = (0..3)
        .map(|_| actor.plain(arrived.path(), gate.path()))
        .collect();
    arrived.take();
    assert_eq!(actor.most().get()?, 1);
    actor.ready().get()?;
    assert!(!blocked[0].is_ready() && arrived.is_empty());
    gate.add(3);
    get_all(&blocked)?;
    Ok(())
}

// 86
#[ray_core::test]
fn a_call_can_choose_another_group() -> ray_core::Result<()> {
    let _ray = init()?;
    let (arrived, gate) = (Tokens::new(), Tokens::new());
    let actor = Threads::remote();
    let blocked = actor.plain(arrived.path(), gate.path());
    arrived.take();
    let moved = actor
        .with_options(CallOptions::new().concurrency_group("io"))
        .plain(arrived.path(), gate.path());
    arrived.take();
    gate.add(2);
    get_all(&[blocked, moved])?;
    let unknown = actor.with_options(CallOptions::new().concurrency_group("gpu"));
    let Err(Error::InvalidOption { option, reason }) = unknown.most().get() else {
        panic!("there is no such group");
    };
    assert_eq!(option, "concurrency_group");
    assert!(reason.contains("gpu"), "{reason}");
    Ok(())
}

#[actor(num_cpus = 0, max_concurrency = 1, concurrency_groups(io = 1))]
struct Interleaved {
    open: tokio::sync::Notify,
}

#[remote]
impl Interleaved {
    pub fn new() -> Self {
        Interleaved {
            open: tokio::sync::Notify::new(),
        }
    }

    pub async fn wait(&self) -> u64 {
        self.open.notified().await;
        1
    }

    #[method(concurrency_group = "io")]
    pub async fn open(&self) -> u64 {
        self.open.notify_one();
        2
    }
}

#[ray_core::test]
fn groups_of_an_async_actor_do_not_block_each_other() -> ray_core::Result<()> {
    let _ray = init()?;
    let actor = Interleaved::remote();
    let waiting: Vec<_> = (0..3).map(|_| actor.wait()).collect();
    actor.ready().get()?;
    for first in 1..=3 {
        assert_eq!(actor.open().get()?, 2);
        assert_eq!(waiting[first - 1].get()?, 1, "one at a time, in order");
    }
    Ok(())
}

#[actor(num_cpus = 0)]
struct WithoutGroups;

#[remote]
impl WithoutGroups {
    pub fn new() -> Self {
        WithoutGroups
    }

    #[method(concurrency_group = "io")]
    pub fn load(&self) -> u64 {
        3
    }
}

#[ray_core::test]
fn an_actor_without_groups_runs_everything_in_its_default_one() -> ray_core::Result<()> {
    let _ray = init()?;
    assert_eq!(WithoutGroups::remote().load().get()?, 3);
    Ok(())
}
