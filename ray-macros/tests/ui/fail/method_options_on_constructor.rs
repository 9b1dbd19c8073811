use ray_core::prelude::*;

#[actor]
struct Counter;

#[remote]
impl Counter {
    #[method(max_retries = 2)]
    pub fn new() -> Self {
        Self
    }
}

fn main() {
    let _: CounterHandle = Counter::remote();
}
