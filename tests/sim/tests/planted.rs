//! Plants bugs in the engine and has the simulation find each, and nothing without them.

use ray_engine::planted::{Bug, plant};
use ray_sim::{play, report};

const SEEDS: u64 = 200;

/// Returns the first seed that the bug breaks, and what it breaks.
fn find(bug: Bug) -> (u64, &'static str) {
    plant(Some(bug));
    let found = (0..SEEDS).find_map(|seed| {
        let violation = play(seed).violation?;
        Some((seed, violation.invariant))
    });
    plant(None);
    let (seed, invariant) = found.unwrap_or_else(|| panic!("{bug:?} was not found"));
    println!("{bug:?} breaks \"{invariant}\" at seed {seed}");
    for seed in 0..=seed {
        assert_eq!(play(seed).violation, None, "seed {seed} without a bug");
    }
    (seed, invariant)
}

#[test]
fn an_accepted_stale_attempt_is_found() {
    assert_eq!(find(Bug::StaleAttemptAccepted).1, "published once");
}

#[test]
fn credits_kept_after_a_death_are_found() {
    let (_, invariant) = find(Bug::CreditsKeptOnDeath);
    assert_eq!(invariant, "counts are the reachable set");
}

#[test]
fn a_recalled_lease_that_is_kept_is_found() {
    assert_eq!(find(Bug::RecalledLeaseKept).1, "every wait ends");
}

#[test]
fn calls_sent_again_at_the_wrong_end_are_found() {
    assert_eq!(find(Bug::ResentAtWrongEnd).1, "order of calls");
}

#[test]
fn a_placement_that_outlives_its_actor_is_found() {
    assert_eq!(find(Bug::PlacementNotCancelled).1, "every wait ends");
}

#[test]
fn a_broken_seed_says_what_happened_last_and_how_to_play_it_again() {
    let (seed, invariant) = find(Bug::CreditsKeptOnDeath);
    plant(Some(Bug::CreditsKeptOnDeath));
    let violation = play(seed).violation.expect("it was found above");
    let text = report(seed, &violation);
    plant(None);
    assert!(text.contains(invariant), "{text}");
    assert!(text.contains(&format!(
        "SIM_SEED={seed} SIM_TRACE=1 cargo test -p ray-sim"
    )));
    assert!(text.lines().count() > 20, "{text}");
}
