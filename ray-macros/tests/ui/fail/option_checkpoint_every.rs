use ray_core::prelude::*;

#[actor(checkpoint_every = 100)]
struct Counter;

#[remote]
impl Counter {
    pub fn new() -> Self {
        Self
    }
}

fn main() {}
