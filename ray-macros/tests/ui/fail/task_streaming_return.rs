use ray_core::prelude::*;

#[remote]
fn rows(n: u64) -> impl Iterator<Item = u64> {
    0..n
}

fn main() {}
