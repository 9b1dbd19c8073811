use ray_core::prelude::*;

#[remote]
mod tasks {
    pub fn square(x: i64) -> i64 {
        x * x
    }
}

fn main() {}
