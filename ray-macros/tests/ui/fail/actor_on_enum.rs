use ray_core::prelude::*;

#[actor]
enum Mode {
    Fast,
    Slow,
}

fn main() {}
