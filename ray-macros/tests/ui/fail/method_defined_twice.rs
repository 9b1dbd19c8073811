use ray_core::prelude::*;

#[actor]
struct Counter {
    value: i64,
}

#[remote]
impl Counter {
    pub fn new() -> Self {
        Self { value: 0 }
    }

    pub fn value(&self) -> i64 {
        self.value
    }
}

#[remote]
impl Counter {
    pub fn value(&self) -> i64 {
        self.value
    }
}

fn main() {}
