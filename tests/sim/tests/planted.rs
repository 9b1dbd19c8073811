//! Plants bugs in the engine and has the simulation find each, and nothing without them.

use ray_engine::planted::{Bug, plant};
use ray_sim::{Scale, play, report};

const SEEDS: u64 = 200;

/// Returns the first seed that the bug breaks, and what it breaks.
fn find(scale: Scale, bug: Bug) -> (u64, &'static str) {
    plant(Some(bug));
    let found = (0..SEEDS).find_map(|seed| {
        let violation = play(scale, seed).violation?;
        Some((seed, violation.invariant))
    });
    plant(None);
    let (seed, invariant) = found.unwrap_or_else(|| panic!("{bug:?} was not found"));
    println!("{bug:?} breaks \"{invariant}\" at seed {seed}");
    for seed in 0..=seed {
        let without = play(scale, seed).violation;
        assert_eq!(without, None, "seed {seed} without a bug");
    }
    (seed, invariant)
}

#[test]
fn an_accepted_stale_attempt_is_found() {
    assert_eq!(
        find(Scale::OneNode, Bug::StaleAttemptAccepted).1,
        "published once"
    );
}

#[test]
fn credits_kept_after_a_death_are_found() {
    let (_, invariant) = find(Scale::OneNode, Bug::CreditsKeptOnDeath);
    // What counts as borrowed for ever never goes, freed or not.
    let is_expected =
        ["counts are the reachable set", "what is freed is gone"].contains(&invariant);
    assert!(is_expected, "{invariant}");
}

#[test]
fn a_recalled_lease_that_is_kept_is_found() {
    assert_eq!(
        find(Scale::OneNode, Bug::RecalledLeaseKept).1,
        "every wait ends"
    );
}

#[test]
fn calls_sent_again_at_the_wrong_end_are_found() {
    let (_, invariant) = find(Scale::OneNode, Bug::ResentAtWrongEnd);
    // What is out of order may wait for what came after it.
    assert!(["order of calls", "every wait ends"].contains(&invariant));
}

#[test]
fn a_placement_that_outlives_its_actor_is_found() {
    let (_, invariant) = find(Scale::OneNode, Bug::PlacementNotCancelled);
    assert!(["leases return", "every wait ends"].contains(&invariant));
}

#[test]
fn a_broken_seed_says_what_happened_last_and_how_to_play_it_again() {
    let (seed, invariant) = find(Scale::OneNode, Bug::CreditsKeptOnDeath);
    plant(Some(Bug::CreditsKeptOnDeath));
    let violation = play(Scale::OneNode, seed)
        .violation
        .expect("it was found above");
    let text = report(Scale::OneNode, seed, &violation);
    plant(None);
    assert!(text.contains(invariant), "{text}");
    assert!(text.contains(&format!(
        "SIM_SEED={seed} SIM_TRACE=1 cargo test -p ray-sim"
    )));
    assert!(text.lines().count() > 20, "{text}");
}

#[test]
fn bundles_that_are_set_aside_twice_are_found() {
    let (_, invariant) = find(Scale::Cluster, Bug::PreparedTwice);
    assert_eq!(invariant, "resources add up");
}

#[test]
fn shares_of_a_refused_attempt_that_stay_are_found() {
    find(Scale::Cluster, Bug::SharesKeptOnRefusal);
}

#[test]
fn work_that_outlives_its_dead_owner_is_found() {
    find(Scale::Cluster, Bug::WorkOfDeadKept);
}

#[test]
fn a_request_that_ends_with_the_node_it_was_at_is_found() {
    let (_, invariant) = find(Scale::Cluster, Bug::ForwardedLostOnNodeDeath);
    assert_eq!(invariant, "every wait ends");
}

#[test]
fn requests_that_outlive_the_node_they_came_from_are_found() {
    find(Scale::Cluster, Bug::RequestsOfDeadNodeKept);
}

#[test]
fn a_view_that_keeps_what_was_only_guessed_is_found() {
    let (_, invariant) = find(Scale::Cluster, Bug::GuessesKept);
    assert_eq!(invariant, "the control role knows what is free");
}

#[test]
fn a_borrower_that_lets_go_too_early_is_found() {
    let (_, invariant) = find(Scale::OneNode, Bug::LetGoWhileUsed);
    assert_eq!(invariant, "nothing freed while reachable");
}

#[test]
fn a_store_that_drops_the_last_copy_is_found() {
    let (_, invariant) = find(Scale::Objects, Bug::LastCopyDropped);
    assert_eq!(invariant, "an object is lost only with its last copy");
}

#[test]
fn a_copy_that_is_not_kept_when_it_is_the_last_is_found() {
    let (_, invariant) = find(Scale::Objects, Bug::PromotionForgotten);
    assert_eq!(invariant, "an object is lost only with its last copy");
}
