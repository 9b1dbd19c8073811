use ray_core::prelude::*;

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

fn main() {}
