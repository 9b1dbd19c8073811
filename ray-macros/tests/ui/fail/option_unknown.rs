use ray_core::prelude::*;

#[remote(num_cpu = 2)]
fn near(x: i64) -> i64 {
    x
}

#[remote(priority = 2)]
fn far(x: i64) -> i64 {
    x
}

#[remote(max_restarts = 2)]
fn of_actors(x: i64) -> i64 {
    x
}

#[actor(max_restart = 2)]
struct Near;

#[actor(max_retries = 2)]
struct OfTasks;

#[actor(lifetime = "detached", name = "one")]
struct OfCreation;

#[remote]
impl OfCreation {
    pub fn new() -> Self {
        Self
    }
}

#[remote]
impl Near {
    pub fn new() -> Self {
        Self
    }
}

#[remote]
impl OfTasks {
    pub fn new() -> Self {
        Self
    }
}

fn main() {
    let _: ObjectRef<i64> = near::options().num_cpus(1.0).remote(3);
    let _: NearHandle = Near::options().max_restarts(2).remote();
}
