//! Resources as admission: who may start together, what a blocked call gives back, parts of a GPU.

use std::collections::BTreeMap;

use ray_core::{Config, Error, get_all, prelude::*, runtime_context};
use ray_tests::{Tokens, add_token, eventually, take_token};

#[remote(num_cpus = 1)]
fn held(begun: String, gate: String) {
    add_token(&begun);
    take_token(&gate);
}

#[remote(num_cpus = 1)]
fn tells_and_waits(begun: String, inside: Vec<ObjectRef<()>>) -> Result<(), Error> {
    add_token(&begun);
    inside[0].get()
}

#[remote(num_cpus = 1)]
fn leaf(x: u64) -> u64 {
    x
}

#[remote(num_cpus = 1)]
fn branch(x: u64) -> Result<u64, Error> {
    let leaves: Vec<_> = (0..3).map(|at| leaf::remote(x + at)).collect();
    Ok(get_all(&leaves)?.iter().sum())
}

#[remote(num_cpus = 1)]
fn tree(x: u64) -> Result<u64, Error> {
    let branches: Vec<_> = (0..4).map(|at| branch::remote(x + at)).collect();
    Ok(get_all(&branches)?.iter().sum())
}

/// Opens when it is told; takes no CPU.
#[actor(num_cpus = 0)]
struct Gate {
    open: tokio::sync::Semaphore,
}

#[remote]
impl Gate {
    pub fn new() -> Self {
        Gate {
            open: tokio::sync::Semaphore::new(0),
        }
    }

    pub async fn pass(&self) {
        // It is never closed.
        let _passed = self.open.acquire().await;
    }

    pub async fn open(&self) {
        self.open.add_permits(1);
    }
}

#[actor(num_cpus = 0)]
struct OnGpu;

#[remote]
impl OnGpu {
    pub fn new() -> Self {
        OnGpu
    }

    pub fn gpus(&self) -> Vec<u32> {
        runtime_context().gpu_ids().to_vec()
    }
}

// 141, 142
#[ray_core::test]
fn twenty_calls_that_wait_all_start_on_one_cpu() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(1.0).init()?;
    let begun = Tokens::new();
    let gate = Gate::remote();
    let inside = vec![gate.pass()];
    let calls: Vec<_> = (0..20)
        .map(|_| tells_and_waits::remote(begun.path(), &inside))
        .collect();
    for _ in 0..20 {
        begun.take();
    }
    assert!(calls.iter().all(|call| !call.is_ready()));
    gate.open().get()?;
    get_all(&calls)?;
    Ok(())
}

// 144
#[ray_core::test]
fn calls_that_need_no_cpu_start_together() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(1.0).init()?;
    let (begun, gate) = (Tokens::new(), Tokens::new());
    let whole = held::remote(begun.path(), gate.path());
    begun.take();
    let calls: Vec<_> = (0..2)
        .map(|_| {
            held::options()
                .num_cpus(0.0)
                .remote(begun.path(), gate.path())
        })
        .collect();
    begun.take();
    begun.take();
    gate.add(3);
    get_all(&calls)?;
    whole.get()
}

#[ray_core::test]
fn calls_that_need_half_a_cpu_share_one_and_the_third_waits() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(1.0).init()?;
    let (begun, gate) = (Tokens::new(), Tokens::new());
    let calls: Vec<_> = (0..3)
        .map(|_| {
            held::options()
                .num_cpus(0.5)
                .remote(begun.path(), gate.path())
        })
        .collect();
    begun.take();
    begun.take();
    let free = ray_core::available_resources()?;
    assert_eq!(free.get("CPU"), 0.0);
    assert!(begun.is_empty(), "three halves are more than one");
    gate.add(3);
    begun.take();
    get_all(&calls)?;
    Ok(())
}

// 145
#[ray_core::test]
fn half_gpus_of_three_devices_are_two_to_a_device() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).num_gpus(3.0).init()?;
    let actors: Vec<_> = (0..6)
        .map(|_| OnGpu::options().num_gpus(0.5).remote())
        .collect();
    let mut users = BTreeMap::<u32, u32>::new();
    for actor in &actors {
        let gpus = actor.gpus().get()?;
        assert_eq!(gpus.len(), 1, "half a GPU is of one device");
        *users.entry(gpus[0]).or_default() += 1;
    }
    assert_eq!(users, BTreeMap::from([(0, 2), (1, 2), (2, 2)]));
    let refused = OnGpu::options().num_gpus(1.5).remote().gpus().get();
    match refused {
        Err(Error::InvalidOption { option, .. }) => assert_eq!(option, "num_gpus"),
        other => panic!("one and a half GPUs: {other:?}"),
    }
    Ok(())
}

// 147
#[ray_core::test]
fn trees_of_calls_that_wait_for_each_other_end_on_two_cpus() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).init()?;
    let trees: Vec<_> = (0..8).map(tree::remote).collect();
    let sums = get_all(&trees)?;
    let expected: Vec<u64> = (0..8)
        .map(|x| (0..4).map(|b| (0..3).map(|l| x + b + l).sum::<u64>()).sum())
        .collect();
    assert_eq!(sums, expected);
    Ok(())
}

#[actor]
struct Plain;

#[remote]
impl Plain {
    pub fn new() -> Self {
        Plain
    }

    pub fn call(&self) -> u64 {
        1
    }
}

fn free_cpus() -> f64 {
    ray_core::available_resources()
        .expect("the node answers")
        .get("CPU")
}

#[ray_core::test]
fn an_actor_takes_a_cpu_only_when_it_says_so() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(1.0).init()?;
    let plain: Vec<_> = (0..3).map(|_| Plain::remote()).collect();
    for actor in &plain {
        assert_eq!(actor.call().get()?, 1);
    }
    assert!(eventually(|| free_cpus() == 1.0), "running, it takes none");
    let whole = Plain::options().num_cpus(1.0).remote();
    assert_eq!(whole.call().get()?, 1);
    assert_eq!(free_cpus(), 0.0, "it holds what it asked for");
    let waiting = Plain::remote();
    let call = waiting.call();
    let in_time = call.get_timeout(std::time::Duration::ZERO);
    assert!(matches!(in_time, Err(Error::GetTimeout(_))), "{in_time:?}");
    drop(whole);
    assert_eq!(call.get()?, 1, "placing it took a CPU that was not free");
    Ok(())
}

#[ray_core::test]
fn amounts_are_counted_in_ten_thousandths() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(1.0).resource("gum", 1.0).init()?;
    let (begun, gate) = (Tokens::new(), Tokens::new());
    let call = held::options()
        .resource("gum", 0.0001)
        .remote(begun.path(), gate.path());
    begun.take();
    assert_eq!(ray_core::available_resources()?.get("gum"), 0.9999);
    gate.add(1);
    call.get()
}
