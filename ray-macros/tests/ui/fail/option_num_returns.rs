use ray_core::prelude::*;

#[remote(num_returns = 9)]
fn too_many() -> i64 {
    1
}

#[remote(num_returns = 2)]
fn three() -> (i64, i64, i64) {
    (1, 2, 3)
}

#[remote(num_returns = 3)]
fn fallible() -> Result<(i64, i64), String> {
    Ok((1, 2))
}

#[remote(num_returns = 2)]
fn nothing() {}

#[remote(num_returns = 2)]
fn one() -> i64 {
    1
}

#[remote(num_returns = 0)]
fn something() -> i64 {
    1
}

fn main() {}
