use ray_core::prelude::*;

#[derive(Data)]
struct Callbacks {
    plain: fn(i64) -> i64,
    boxed: Box<dyn Fn(i64) -> i64>,
}

fn main() {}
