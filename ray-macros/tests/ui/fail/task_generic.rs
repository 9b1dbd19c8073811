use ray_core::prelude::*;

#[remote]
fn first<T: Data>(values: Vec<T>) -> Option<T> {
    values.into_iter().next()
}

fn main() {}
