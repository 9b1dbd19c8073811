use ray_core::prelude::*;

#[remote]
const fn square(x: i64) -> i64 {
    x * x
}

fn main() {}
