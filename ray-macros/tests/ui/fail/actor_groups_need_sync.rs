use std::cell::Cell;

use ray_core::prelude::*;

#[actor(concurrency_groups(io = 2))]
struct Loader {
    loaded: Cell<u64>,
}

#[remote]
impl Loader {
    pub fn new() -> Self {
        Loader {
            loaded: Cell::new(0),
        }
    }

    pub fn loaded(&self) -> u64 {
        self.loaded.get()
    }
}

fn main() {}
