use ray_core::prelude::*;

#[actor(concurrency_groups(io = 2))]
struct Loader;

#[remote]
impl Loader {
    pub fn new() -> Self {
        Loader
    }

    #[method(concurrency_group = "io")]
    pub fn load(&self) {}

    #[method(concurrency_group = "oi")]
    pub fn store(&self) {}
}

fn main() {}
