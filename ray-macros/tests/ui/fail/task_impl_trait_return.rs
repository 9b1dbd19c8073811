use ray_core::prelude::*;

#[remote]
fn shown(x: i64) -> impl std::fmt::Display {
    x
}

fn main() {}
