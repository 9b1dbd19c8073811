//! Work for the tests that have a head killed and started again.

use std::{path::Path, time::Duration};

use ray_core::prelude::*;

#[remote]
pub fn pid() -> u32 {
    std::process::id()
}

/// Says that it has begun, and ends once somebody has made the other file.
#[remote(resources("second" = 1.0))]
pub fn hold(begun: String, until: String) -> u32 {
    std::fs::write(begun, "begun").expect("written");
    while !Path::new(&until).exists() {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    7
}

#[actor]
pub struct Counter {
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

    pub fn pid(&self) -> u32 {
        std::process::id()
    }
}
