use ray_core::prelude::*;

#[remote]
trait Count {
    fn add(&mut self, by: i64) -> i64;
}

fn main() {}
