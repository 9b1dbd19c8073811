//! Plays many seeds and lists every one that breaks a promise: `survey one|cluster|objects FIRST COUNT`.

use ray_sim::{Scale, play};

fn main() {
    let mut args = std::env::args().skip(1);
    let scale = match args.next().as_deref() {
        Some("one") => Scale::OneNode,
        Some("objects") => Scale::Objects,
        _ => Scale::Cluster,
    };
    let mut numbers = args.map(|text| {
        text.parse::<u64>()
            .unwrap_or_else(|_| panic!("{text} is not a number"))
    });
    let first = numbers.next().unwrap_or(0);
    let count = numbers.next().unwrap_or(200);
    let mut broken = 0;
    for seed in first..first + count {
        if let Some(violation) = play(scale, seed).violation {
            broken += 1;
            println!("{seed}: {}: {}", violation.invariant, violation.text);
        }
    }
    println!("{broken} of {count} seeds break a promise");
}
