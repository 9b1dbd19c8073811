//! Plays seeds of one node; `SIM_SEEDS` says how many, `SIM_FIRST` where to begin, `SIM_SEED` plays one alone.

mod common;

use ray_sim::Scale;

#[test]
fn every_promise_holds_for_every_seed() {
    common::play_all(Scale::OneNode, 1000);
}

#[test]
fn the_same_seed_is_the_same_history() {
    common::play_twice(Scale::OneNode, 20);
}
