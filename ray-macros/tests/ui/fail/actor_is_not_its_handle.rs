//! The struct stays in its process; what can be sent is the handle.
use ray_core::prelude::*;

#[actor]
struct Counter {
    value: i64,
}

#[remote]
impl Counter {
    pub fn new() -> Self {
        Self { value: 0 }
    }

    pub fn value(&self) -> i64 {
        self.value
    }
}

#[remote]
fn read(counter: Counter) -> i64 {
    counter.value()
}

fn main() {}
