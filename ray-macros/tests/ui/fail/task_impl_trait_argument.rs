use ray_core::prelude::*;

#[remote]
fn total(values: impl Iterator<Item = i64>) -> i64 {
    values.sum()
}

fn main() {}
