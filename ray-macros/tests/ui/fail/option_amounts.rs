use ray_core::prelude::*;

#[remote(num_cpus = -1)]
fn negative(x: i64) -> i64 {
    x
}

#[remote(num_cpus = "two", num_gpus = true)]
fn text(x: i64) -> i64 {
    x
}

#[remote(num_gpus = 1.5)]
fn part_of_two(x: i64) -> i64 {
    x
}

#[remote(memory = 1.5)]
fn part_of_a_byte(x: i64) -> i64 {
    x
}

#[remote(memory = -1)]
fn negative_memory(x: i64) -> i64 {
    x
}

#[remote(memory = 99_999_999_999_999_999_999)]
fn too_much(x: i64) -> i64 {
    x
}

fn main() {}
