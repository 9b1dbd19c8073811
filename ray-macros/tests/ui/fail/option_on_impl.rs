use ray_core::prelude::*;

#[actor]
struct Counter;

#[remote(num_cpus = 2, max_restarts = 3)]
impl Counter {
    pub fn new() -> Self {
        Self
    }
}

fn main() {}
