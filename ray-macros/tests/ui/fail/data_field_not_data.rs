use ray_core::prelude::*;

struct Inner {
    value: i64,
}

#[derive(Data)]
struct Outer {
    inner: Inner,
    all: Vec<Inner>,
}

fn main() {}
