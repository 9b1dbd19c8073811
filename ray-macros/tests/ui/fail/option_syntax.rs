use ray_core::prelude::*;

#[remote(num_cpus)]
fn no_value(x: i64) -> i64 {
    x
}

#[remote(num_cpus: 2)]
fn colon(x: i64) -> i64 {
    x
}

#[remote(num_cpus(2))]
fn call(x: i64) -> i64 {
    x
}

#[remote("fast", max_retries = "many")]
fn text(x: i64) -> i64 {
    x
}

#[remote(num_cpus = )]
fn no_literal(x: i64) -> i64 {
    x
}

#[remote(num_cpus = 1 max_retries = 2)]
fn no_comma(x: i64) -> i64 {
    x
}

#[remote(ray::num_cpus = 1)]
fn path(x: i64) -> i64 {
    x
}

fn main() {}
