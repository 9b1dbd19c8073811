//! Plays seeds of several nodes; `SIM_SEEDS` says how many, `SIM_FIRST` where to begin, `SIM_SEED` plays one
//! alone.

mod common;

use ray_sim::Scale;

#[test]
fn every_promise_holds_for_every_seed_of_a_cluster() {
    common::play_all(Scale::Cluster, 2000);
}

#[test]
fn the_same_seed_is_the_same_history_of_a_cluster() {
    common::play_twice(Scale::Cluster, 20);
}
