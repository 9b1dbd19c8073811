use ray_core::prelude::*;

#[remote]
struct Counter {
    value: i64,
}

fn main() {}
