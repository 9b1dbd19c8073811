use ray_core::prelude::*;

#[remote]
fn sum((a, b): (i64, i64)) -> i64 {
    a + b
}

#[remote]
fn ignore(_: i64) {}

#[remote]
fn borrowed(ref text: String) -> usize {
    text.len()
}

fn main() {
    let _: ObjectRef<i64> = sum::remote((1, 2));
}
