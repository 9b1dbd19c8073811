use ray_core::prelude::*;

struct Config {
    rate: f64,
}

#[actor]
struct Counter {
    rate: f64,
}

#[remote]
impl Counter {
    pub fn new(config: Config) -> Self {
        Self { rate: config.rate }
    }

    pub fn set(&mut self, config: Config) {
        self.rate = config.rate;
    }

    pub fn config(&self) -> Config {
        Config { rate: self.rate }
    }

    pub async fn later(&self) -> Config {
        Config { rate: self.rate }
    }

    pub fn copy(&self) -> Self {
        Self { rate: self.rate }
    }
}

fn main() {}
