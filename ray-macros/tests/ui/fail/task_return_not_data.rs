use ray_core::prelude::*;

struct Config {
    rate: f64,
}

#[remote]
fn load() -> Config {
    Config { rate: 0.5 }
}

#[remote]
fn parse(text: String) -> Result<Config, String> {
    Err(text)
}

fn main() {}
