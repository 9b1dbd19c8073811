use ray_core::prelude::*;

#[remote]
extern "C" fn square(x: i64) -> i64 {
    x * x
}

fn main() {}
