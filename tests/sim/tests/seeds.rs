//! Plays seeds; `SIM_SEEDS` says how many, `SIM_FIRST` where to begin, `SIM_SEED` plays one alone.

use ray_sim::{play, play_traced, report};

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
    )
}

#[test]
fn every_promise_holds_for_every_seed() {
    if let Some(seed) = number("SIM_SEED") {
        let outcome = play_traced(seed);
        if std::env::var_os("SIM_TRACE").is_some() {
            println!("{}", outcome.lines.join("\n"));
        }
        assert_eq!(outcome.violation, None, "seed {seed}");
        return;
    }
    let first = number("SIM_FIRST").unwrap_or(0);
    let count = number("SIM_SEEDS").unwrap_or(1000);
    let mut events = 0;
    let mut fewest = u64::MAX;
    let mut with_faults = 0;
    for seed in first..first + count {
        let outcome = play(seed);
        if let Some(violation) = &outcome.violation {
            panic!("{}", report(seed, violation));
        }
        events += outcome.events;
        fewest = fewest.min(outcome.events);
        with_faults += u64::from(outcome.has_faults);
    }
    println!("{count} seeds, {events} events, {fewest} at least, {with_faults} with faults");
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in 0..20 {
        let (one, other) = (play(seed), play(seed));
        assert_eq!(
            (one.hash, one.events),
            (other.hash, other.events),
            "seed {seed}"
        );
        assert_eq!(one.hash, play_traced(seed).hash, "seed {seed} with a trace");
    }
}
