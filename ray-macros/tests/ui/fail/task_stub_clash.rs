//! A module of the function's name takes the place of the stub; `stub = name` makes room.
use ray_core::prelude::*;

mod square {}

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

fn main() {}
