//! How seeds are played, of one node or of several.

use ray_sim::{Scale, play, play_traced, report};

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
    )
}

/// Plays the seed that the environment names, or as many as it says.
pub fn play_all(scale: Scale, count: u64) {
    if let Some(seed) = number("SIM_SEED") {
        let outcome = play_traced(scale, seed);
        if std::env::var_os("SIM_TRACE").is_some() {
            println!("{}", outcome.lines.join("\n"));
        }
        assert_eq!(outcome.violation, None, "seed {seed}");
        return;
    }
    let first = number("SIM_FIRST").unwrap_or(0);
    let count = number("SIM_SEEDS").unwrap_or(count);
    let mut events = 0;
    let mut fewest = u64::MAX;
    let mut with_faults = 0;
    for seed in first..first + count {
        let outcome = play(scale, seed);
        if let Some(violation) = &outcome.violation {
            panic!("{}", report(scale, seed, violation));
        }
        events += outcome.events;
        fewest = fewest.min(outcome.events);
        with_faults += u64::from(outcome.has_faults);
    }
    println!("{count} seeds, {events} events, {fewest} at least, {with_faults} with faults");
}

/// Plays the first seeds twice, and once more with a trace, and compares.
pub fn play_twice(scale: Scale, count: u64) {
    for seed in 0..count {
        let (one, other) = (play(scale, seed), play(scale, seed));
        assert_eq!(
            (one.hash, one.events),
            (other.hash, other.events),
            "seed {seed}"
        );
        let traced = play_traced(scale, seed);
        assert_eq!(one.hash, traced.hash, "seed {seed} with a trace");
    }
}
