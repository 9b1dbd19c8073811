//! Deterministic simulation of ray's engine.
//!
//! One thread and one seed play a whole node, or a whole cluster: drivers, nodes, the control role, worker
//! processes with their owners and executors, the network between them, user code and faults. The
//! machines are the real ones of `ray-engine`; what carries out their commands ([`process`], [`executor`],
//! [`node`], [`control`]) follows the edges of `ray-core` step by step, without bytes, threads and time.
//! [`invariants`] say what must hold.
//!
//! Not played: values that lie in stores together with calls (`objects` plays stores alone), threaded and
//! async actors, a lost connection between two nodes that the
//! head still reaches.

pub mod control;
pub mod executor;
pub mod invariants;
pub mod network;
pub mod node;
mod objects;
pub mod process;
pub mod rng;
pub mod scenario;
pub mod trace;
pub mod user;
pub mod wire;
pub mod world;

use std::panic::AssertUnwindSafe;

use trace::Trace;
use world::{Outcome, World};

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// How.
    pub text: String,
}

/// Which worlds a seed stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// A driver with a node.
    OneNode,
    /// A head, drivers and several nodes.
    Cluster,
    /// The objects of several nodes.
    Objects,
}

impl Scale {
    /// Returns the test that plays its seeds.
    fn test(self) -> &'static str {
        match self {
            Scale::OneNode => "seeds",
            Scale::Cluster => "cluster_seeds",
            Scale::Objects => "object_seeds",
        }
    }
}

/// Plays a seed.
pub fn play(scale: Scale, seed: u64) -> Outcome {
    play_with(scale, seed, Trace::quiet)
}

/// Plays a seed and keeps a line an event.
pub fn play_traced(scale: Scale, seed: u64) -> Outcome {
    play_with(scale, seed, Trace::kept)
}

fn play_with(scale: Scale, seed: u64, trace: fn() -> Trace) -> Outcome {
    let run = || match scale {
        Scale::OneNode => World::new(seed, trace()).run(),
        Scale::Cluster => World::new_cluster(seed, trace()).run(),
        Scale::Objects => objects::World::new(seed, trace()).run(),
    };
    let played = std::panic::catch_unwind(AssertUnwindSafe(run));
    played.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        Outcome {
            events: 0,
            hash: 0,
            has_faults: false,
            violation: Some(Violation {
                invariant: "no machine panics",
                text,
            }),
            lines: Vec::new(),
        }
    })
}

/// Says everything about a broken seed that is needed to mend it.
pub fn report(scale: Scale, seed: u64, violation: &Violation) -> String {
    let lines = play_traced(scale, seed).lines;
    let test = scale.test();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    format!(
        "seed {seed} broke \"{}\": {}\nthe last events:\n{}\n\
         replay: SIM_SEED={seed} SIM_TRACE=1 cargo test -p ray-sim --test {test} -- --nocapture",
        violation.invariant,
        violation.text,
        last.join("\n")
    )
}

/// Events that a report shows.
const LAST_LINES: usize = 40;
