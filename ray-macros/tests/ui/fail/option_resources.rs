use ray_core::prelude::*;

#[remote(resources = 1)]
fn no_list(x: i64) -> i64 {
    x
}

#[remote(resources("camera" = -1))]
fn negative(x: i64) -> i64 {
    x
}

#[remote(resources(camera = 1))]
fn no_text(x: i64) -> i64 {
    x
}

#[remote(resources("camera" = 1, "camera" = 2))]
fn twice(x: i64) -> i64 {
    x
}

#[remote(resources("CPU" = 1, "" = 2))]
fn reserved(x: i64) -> i64 {
    x
}

fn main() {}
