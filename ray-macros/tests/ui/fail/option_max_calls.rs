use ray_core::prelude::*;

#[remote(max_calls = -1)]
fn too_low(x: i64) -> i64 {
    x
}

#[remote(max_calls = 0.5)]
fn part(x: i64) -> i64 {
    x
}

#[actor(max_calls = 1)]
struct Counter;

#[remote]
impl Counter {
    pub fn new() -> Self {
        Self
    }
}

#[remote(max_calls = 1)]
fn once(x: i64) -> i64 {
    x
}

fn main() {
    once::options().max_calls(2);
}
