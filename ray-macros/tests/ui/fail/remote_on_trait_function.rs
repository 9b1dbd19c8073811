use ray_core::prelude::*;

trait Count {
    #[remote]
    fn add(by: i64) -> i64;
}

fn main() {}
