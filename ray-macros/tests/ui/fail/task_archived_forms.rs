//! `&Archived<T>` is the one borrow that can be taken, as it stands.
use ray_core::prelude::*;

#[remote]
fn exclusive(values: &mut Archived<Vec<f32>>) -> usize {
    values.len()
}

#[remote]
fn forever(values: &'static Archived<Vec<f32>>) -> usize {
    values.len()
}

#[remote]
fn twice(values: &&Archived<Vec<f32>>) -> usize {
    values.len()
}

#[remote]
fn by_value(value: Archived<i64>) -> i64 {
    value.to_native()
}

#[remote]
fn nothing(values: &Archived) -> usize {
    0
}

fn main() {}
