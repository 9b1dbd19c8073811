use ray_core::prelude::*;

struct Counter {
    value: i64,
}

#[remote]
impl Counter {
    pub fn new(start: i64) -> Self {
        Self { value: start }
    }

    pub fn value(&self) -> i64 {
        self.value
    }
}

fn main() {}
