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

    #[method(max_retry = 2)]
    pub fn near(&self) -> i64 {
        self.value
    }

    #[method(num_cpus = 2)]
    pub fn of_actors(&self) -> i64 {
        self.value
    }

    #[method = "io"]
    pub fn name_value(&self) -> i64 {
        self.value
    }

    #[method(concurrency_group = io)]
    pub fn group(&self) -> i64 {
        self.value
    }

    #[method(max_retries = 2)]
    fn private(&self) -> i64 {
        self.value
    }

    #[method(max_retries = 2)]
    #[method(max_retries = 3)]
    pub fn twice(&self) -> i64 {
        self.value
    }

    #[method(num_returns = 2)]
    pub fn pair(&self) -> (i64, i64, i64) {
        (1, 2, 3)
    }
}

fn main() {}
