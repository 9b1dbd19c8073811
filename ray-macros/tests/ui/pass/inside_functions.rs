//! Marked items inside function bodies.
use ray_core::prelude::*;

fn calls() -> (ObjectRef<i64>, ObjectRef<i64>) {
    #[derive(Data)]
    struct Step {
        by: i64,
    }

    #[remote(num_cpus = 1)]
    fn double(step: Step) -> i64 {
        step.by * 2
    }

    #[actor]
    struct Counter {
        value: i64,
    }

    #[remote]
    impl Counter {
        pub fn new() -> Self {
            Self { value: 0 }
        }

        pub fn add(&mut self, step: Step) -> i64 {
            self.value += step.by;
            self.value
        }
    }

    (
        double::remote(Step { by: 2 }),
        Counter::remote().add(Step { by: 1 }),
    )
}

fn main() {
    let _: fn() -> (ObjectRef<i64>, ObjectRef<i64>) = calls;
}
