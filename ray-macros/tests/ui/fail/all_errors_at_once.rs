//! Every error of an item is reported at once, and callers of its stub stay quiet.
use ray_core::prelude::*;

#[remote(num_cpu = 2, max_retries = -7)]
unsafe fn total<T>(&(first, _): &(i64, i64), path: &str, step: impl Fn()) -> i64 {
    let _ = (path, step);
    first
}

#[actor(max_restart = 3, on_panic = "explode")]
struct Counter {
    value: i64,
}

#[remote]
impl Counter {
    pub fn new(start: &str) -> Self {
        Self {
            value: start.len() as i64,
        }
    }

    pub fn options(&self) -> i64 {
        self.value
    }

    pub fn close(self) -> i64 {
        self.value
    }

    pub fn add(&mut self, by: &i64) -> i64 {
        self.value += by;
        self.value
    }
}

fn main() {
    let counter: CounterHandle = Counter::remote("3");
    let sum: ObjectRef<i64> = counter.add(1);
    let _ = (sum, counter.close());
    let _: ObjectRef<i64> = total::options().num_cpus(1.0).remote((1, 2), "a", 3);
}
