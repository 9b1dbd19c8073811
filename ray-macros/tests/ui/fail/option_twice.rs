use ray_core::prelude::*;

#[remote(num_cpus = 1, max_retries = 3, num_cpus = 2)]
fn square(x: i64) -> i64 {
    x * x
}

fn main() {}
