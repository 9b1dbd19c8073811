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

    pub fn with_start(start: i64) -> Self {
        Self { value: start }
    }
}

#[remote]
impl Counter {
    pub fn new(start: i64) -> Self {
        Self { value: start }
    }
}

fn main() {}
