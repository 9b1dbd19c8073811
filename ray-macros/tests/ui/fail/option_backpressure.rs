use ray_core::prelude::*;

#[remote(backpressure = 0)]
fn never(n: u64) -> impl Iterator<Item = u64> {
    0..n
}

#[remote(backpressure = 4)]
fn single(n: u64) -> u64 {
    n
}

#[remote(num_returns = 2)]
fn pairs(n: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..n).zip(0..n)
}

#[actor(backpressure = 4)]
struct Shelf;

#[remote]
impl Shelf {
    pub fn new() -> Self {
        Shelf
    }

    #[method(backpressure = "many")]
    pub fn titles(&self) -> impl Iterator<Item = String> {
        std::iter::empty()
    }
}

fn main() {
    for item in pairs::remote(2) {
        let _pair: ObjectRef<(u64, u64)> = item;
    }
}
