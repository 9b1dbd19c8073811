use ray_core::prelude::*;

#[remote]
unsafe extern "C" {
    fn abs(x: i32) -> i32;
}

fn main() {}
