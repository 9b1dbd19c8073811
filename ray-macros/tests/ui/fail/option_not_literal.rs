use ray_core::prelude::*;

const CPUS: f64 = 2.0;

#[remote(num_cpus = CPUS)]
fn constant(x: i64) -> i64 {
    x
}

#[remote(max_retries = 2 + 2)]
fn sum(x: i64) -> i64 {
    x
}

fn main() {}
