use ray_core::prelude::*;

struct Counter {
    value: i64,
}

impl Counter {
    #[remote]
    fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }
}

fn main() {}
