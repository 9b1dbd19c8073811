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

    pub fn by_value(self) -> i64 {
        self.value
    }

    pub fn by_mut_value(mut self) -> i64 {
        self.value += 1;
        self.value
    }

    pub fn boxed(self: Box<Self>) -> i64 {
        self.value
    }

    pub fn long(self: &mut Self) -> i64 {
        self.value
    }

    pub fn forever(&'static self) -> i64 {
        self.value
    }

    pub fn without() -> i64 {
        1
    }

    pub fn from_value(value: i64) -> Self {
        Self { value }
    }
}

fn main() {}
