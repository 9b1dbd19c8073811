use ray_core::prelude::*;

struct Config {
    rate: f64,
}

#[remote]
fn run(config: Config) -> f64 {
    config.rate
}

#[remote]
fn look(configs: &Archived<Vec<Config>>) -> usize {
    configs.len()
}

fn main() {}
