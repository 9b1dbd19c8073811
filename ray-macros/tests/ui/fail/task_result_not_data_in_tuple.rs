use ray_core::prelude::*;

struct Config;

#[remote(num_returns = 2)]
fn load() -> (Config, i64) {
    (Config, 1)
}

fn main() {}
