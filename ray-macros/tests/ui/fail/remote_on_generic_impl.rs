use ray_core::prelude::*;

struct Cell<T>(T);

#[remote]
impl<T: Clone> Cell<T> {
    #[method(max_retries = 2)]
    pub fn value(&self) -> T {
        self.0.clone()
    }
}

#[remote]
impl Cell<i64> {
    pub fn add(&mut self, by: i64) {
        self.0 += by;
    }
}

fn main() {}
