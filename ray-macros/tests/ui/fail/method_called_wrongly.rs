use ray_core::prelude::*;

#[actor]
struct Counter {
    value: i64,
}

#[remote]
impl Counter {
    pub fn new(start: i64) -> Self {
        Self { value: start }
    }

    pub fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }

    fn helper(&self) -> i64 {
        self.value
    }
}

fn main() {
    let counter = Counter::remote("ten");
    let _ = counter.add("one");
    let _ = counter.helper();
    let _: i64 = counter.add(1);
}
