use ray_core::prelude::*;

#[actor(max_concurrency = 0, max_pending_calls = 0, on_panic = restart)]
struct Counter;

#[remote]
impl Counter {
    pub fn new() -> Self {
        Self
    }
}

#[actor(max_concurrency = 20_000, max_pending_calls = -1, on_panic = "retry")]
struct Other;

#[remote]
impl Other {
    pub fn new() -> Self {
        Self
    }
}

fn main() {}
