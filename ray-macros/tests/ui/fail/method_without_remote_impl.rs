use ray_core::prelude::*;

#[actor]
struct Counter;

#[remote]
impl Counter {
    pub fn new() -> Self {
        Self
    }
}

impl Counter {
    #[method(max_retries = 2)]
    pub fn value(&self) -> i64 {
        1
    }
}

fn main() {}
