//! Logical GPUs: which devices work is granted is what its process sees, from its start to its end.

use std::process::Command;

use ray_core::{Config, get_all, prelude::*, runtime_context};
use ray_tests::{Tokens, add_token, take_token};

const DRILL: &str = env!("CARGO_BIN_EXE_drill");

/// What a call was granted, and what its process sees.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Data)]
struct Seen {
    granted: Vec<u32>,
    visible: String,
}

impl Seen {
    fn here() -> Seen {
        Seen {
            granted: runtime_context().gpu_ids().to_vec(),
            visible: std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_else(|_| "unset".into()),
        }
    }

    fn just(gpus: &[u32]) -> Seen {
        let names: Vec<_> = gpus.iter().map(u32::to_string).collect();
        Seen {
            granted: gpus.to_vec(),
            visible: names.join(","),
        }
    }
}

#[remote]
fn seen() -> Seen {
    Seen::here()
}

/// Says that it is there and stays until it is told to leave.
#[remote]
fn stays(arrived: String, leave: String) -> Seen {
    add_token(&arrived);
    take_token(&leave);
    Seen::here()
}

#[actor]
struct Holder {
    at_birth: Seen,
}

#[remote]
impl Holder {
    pub fn new() -> Self {
        Holder {
            at_birth: Seen::here(),
        }
    }

    pub fn at_birth(&self) -> Seen {
        self.at_birth.clone()
    }

    pub fn now(&self) -> Seen {
        Seen::here()
    }
}

#[ray_core::test]
fn a_process_sees_just_the_gpus_of_its_lease() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(4.0).num_gpus(3.0).init()?;
    assert_eq!(seen::remote().get()?, Seen::just(&[]), "none is none");
    let holder = Holder::options().num_gpus(1.0).remote();
    assert_eq!(holder.at_birth().get()?, Seen::just(&[0]));
    assert_eq!(holder.now().get()?, Seen::just(&[0]));
    // What is left is 1 and 2, alone and together, in whichever order.
    let pair = || seen::options().num_gpus(2.0).remote().get();
    let lone = || seen::options().num_gpus(1.0).remote().get();
    assert_eq!(pair()?, Seen::just(&[1, 2]));
    let one = lone()?;
    assert!(
        [Seen::just(&[1]), Seen::just(&[2])].contains(&one),
        "{one:?}"
    );
    assert_eq!(pair()?, Seen::just(&[1, 2]));
    assert_eq!(
        seen::remote().get()?,
        Seen::just(&[]),
        "and none is still none"
    );
    Ok(())
}

#[ray_core::test]
fn work_at_the_same_time_sees_different_gpus() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(4.0).num_gpus(2.0).init()?;
    let (arrived, leave) = (Tokens::new(), Tokens::new());
    let both: Vec<_> = (0..2)
        .map(|_| {
            stays::options()
                .num_gpus(1.0)
                .remote(arrived.path(), leave.path())
        })
        .collect();
    arrived.take();
    arrived.take();
    leave.add(2);
    let mut both = get_all(&both)?;
    both.sort();
    assert_eq!(both, [Seen::just(&[0]), Seen::just(&[1])]);
    Ok(())
}

#[ray_core::test]
fn fractions_share_one_gpu() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(4.0).num_gpus(2.0).init()?;
    let half = || Holder::options().num_gpus(0.5).remote();
    let (first, second) = (half(), half());
    let third = Holder::options().num_gpus(1.0).remote();
    assert_eq!(first.now().get()?, Seen::just(&[0]));
    assert_eq!(second.now().get()?, Seen::just(&[0]));
    assert_eq!(third.now().get()?, Seen::just(&[1]));
    Ok(())
}

#[ray_core::test]
fn bundles_hold_on_to_their_gpus() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(4.0).num_gpus(2.0).init()?;
    let gpu = |count: u64| {
        ray_core::Resources::new()
            .with("CPU", ray_core::Amount::ONE)
            .with("GPU", ray_core::Amount(ray_core::Amount::ONE.0 * count))
    };
    let group = ray_core::placement_group(&[gpu(1), gpu(1)], ray_core::PlacementStrategy::Pack)?;
    for index in 0..2 {
        let inside = || {
            seen::options()
                .num_gpus(1.0)
                .placement_group(&group, index)
                .remote()
        };
        let first = inside().get()?;
        assert_eq!(first, Seen::just(&[index as u32]));
        assert_eq!(inside().get()?, first, "the same each time");
    }
    Ok(())
}

/// Runs a driver of one node with two GPUs whose own view is restricted beforehand.
fn restricted(visible: &str, show: &str) -> (bool, String) {
    let output = Command::new(DRILL)
        .arg("gpus")
        .env("CUDA_VISIBLE_DEVICES", visible)
        .env("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", show)
        .output()
        .expect("the drill runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

#[test]
fn a_preset_restricts_the_gpus_of_the_node() {
    let (is_done, text) = restricted("5,GPU-7a,9", "1");
    assert!(is_done, "{text}");
    assert!(text.contains("both see 5,GPU-7a"), "{text}");
    assert!(text.contains("others see nothing"), "{text}");
    let (is_done, text) = restricted("5,6", "0");
    assert!(is_done && text.contains("others see 5,6"), "{text}");
    let (is_done, text) = restricted("5", "1");
    assert!(!is_done && text.contains("num_gpus"), "{text}");
}
