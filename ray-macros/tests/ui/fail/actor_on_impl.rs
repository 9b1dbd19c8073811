use ray_core::prelude::*;

struct Counter;

#[actor]
impl Counter {
    pub fn new() -> Self {
        Self
    }
}

fn main() {}
