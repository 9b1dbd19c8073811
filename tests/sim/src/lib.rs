//! Deterministic simulation of ray's engine.
//!
//! One thread and one seed play a whole node: a driver with the node role, worker processes with their
//! owners and executors, the network between them, user code and faults. The machines are the real ones
//! of `ray-engine`; what carries out their commands ([`process`], [`executor`], [`node`]) follows the edges
//! of `ray-core` step by step, without bytes, threads and time. [`invariants`] say what must hold.
//!
//! Not played: the object store, more than one node, threaded and async actors.

pub mod executor;
pub mod invariants;
pub mod network;
pub mod node;
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

/// Plays a seed.
pub fn play(seed: u64) -> Outcome {
    play_with(seed, Trace::quiet)
}

/// Plays a seed and keeps a line an event.
pub fn play_traced(seed: u64) -> Outcome {
    play_with(seed, Trace::kept)
}

fn play_with(seed: u64, trace: fn() -> Trace) -> Outcome {
    let played = std::panic::catch_unwind(AssertUnwindSafe(|| World::new(seed, trace()).run()));
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
pub fn report(seed: u64, violation: &Violation) -> String {
    let lines = play_traced(seed).lines;
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    format!(
        "seed {seed} broke \"{}\": {}\nthe last events:\n{}\n\
         replay: SIM_SEED={seed} SIM_TRACE=1 cargo test -p ray-sim --test seeds -- --nocapture",
        violation.invariant,
        violation.text,
        last.join("\n")
    )
}

/// Events that a report shows.
const LAST_LINES: usize = 40;
