use ray_core::prelude::*;

#[actor]
struct Counter {
    value: i64,
}

#[remote]
impl Counter {
    pub fn value(&self) -> i64 {
        self.value
    }
}

#[actor]
struct Alone;

fn main() {}
