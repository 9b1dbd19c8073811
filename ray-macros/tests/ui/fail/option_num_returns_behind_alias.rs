//! What hides behind an alias is found by type.
use ray_core::prelude::*;

type Pair = (i64, i64);
type Answer<T> = Result<T, String>;

#[remote(num_returns = 3)]
fn pair() -> Pair {
    (1, 2)
}

#[remote(num_returns = 2)]
fn answer() -> Answer<(i64, i64, i64)> {
    Ok((1, 2, 3))
}

#[remote(num_returns = 2)]
fn vector() -> Answer<Vec<i64>> {
    Ok(vec![1, 2])
}

fn main() {}
