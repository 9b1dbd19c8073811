//! Tasks and an actor in worker processes: what `remote`, `get` and references do.
//!
//! cargo run --release --example quickstart

use ray_core::prelude::*;

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[actor]
struct Counter {
    value: i64,
}

#[remote]
impl Counter {
    /// Starts counting at `start`.
    pub fn new(start: i64) -> Self {
        Self { value: start }
    }

    /// Adds and returns the sum.
    pub fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }
}

fn main() -> ray_core::Result<()> {
    let ray = ray_core::init()?; // worker processes, connected over QUIC
    let nine = square::remote(3); // runs in one of them; returns at once
    let eighty_one = square::remote(&nine); // a reference is a dependency
    let counter = Counter::remote(10); // an actor in a process of its own
    let sums: Vec<ObjectRef<i64>> = (0..4).map(|by| counter.add(by)).collect();
    println!("{} {:?}", eighty_one.get()?, ray_core::get_all(&sums)?);
    ray.shutdown()
}
