use ray_core::prelude::*;

#[remote(max_retries = -2)]
fn too_low(x: i64) -> i64 {
    x
}

#[remote(max_retries = 2.5)]
fn part(x: i64) -> i64 {
    x
}

#[remote(max_retries = 3_000_000_000)]
fn too_many(x: i64) -> i64 {
    x
}

#[remote(retry_exceptions = 1)]
fn not_a_bool(x: i64) -> i64 {
    x
}

#[actor(max_restarts = -2, max_task_retries = "all")]
struct Counter;

#[remote]
impl Counter {
    pub fn new() -> Self {
        Self
    }
}

fn main() {}
