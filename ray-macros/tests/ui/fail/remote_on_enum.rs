use ray_core::prelude::*;

#[remote]
enum Mode {
    Fast,
    Slow,
}

fn main() {}
