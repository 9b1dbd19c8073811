//! A crate that forbids `unsafe` can have tasks and actors.
#![forbid(unsafe_code)]

use ray_core::prelude::*;

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[actor]
struct Counter;

#[remote]
impl Counter {
    pub fn new() -> Self {
        Self
    }
}

fn main() {
    let _ = (square, Counter::new());
}
