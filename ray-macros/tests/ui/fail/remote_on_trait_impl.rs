use ray_core::prelude::*;

trait Count {
    fn add(&mut self, by: i64) -> i64;
}

#[actor]
struct Counter {
    value: i64,
}

#[remote]
impl Counter {
    pub fn new() -> Self {
        Self { value: 0 }
    }
}

#[remote]
impl Count for Counter {
    fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }
}

fn main() {}
