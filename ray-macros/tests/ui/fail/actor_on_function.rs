use ray_core::prelude::*;

#[actor]
fn square(x: i64) -> i64 {
    x * x
}

fn main() {}
