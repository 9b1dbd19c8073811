use ray_core::prelude::*;

#[remote(name = "")]
fn empty(x: i64) -> i64 {
    x
}

#[remote(name = loader)]
fn not_a_text(x: i64) -> i64 {
    x
}

#[remote(stub = "square_task")]
fn stub_text(x: i64) -> i64 {
    x
}

#[remote(stub = tasks::square)]
fn stub_path(x: i64) -> i64 {
    x
}

fn main() {}
