//! Generated code is quiet under the strictest lints of a crate.
#![deny(
    warnings,
    missing_docs,
    unreachable_pub,
    unsafe_code,
    rust_2018_idioms,
    unused_qualifications,
    missing_debug_implementations
)]
#![deny(
    unused,
    nonstandard_style,
    let_underscore_drop,
    single_use_lifetimes,
    trivial_casts,
    elided_lifetimes_in_paths
)]

/// Tasks and actors for others.
pub mod library {
    use ray_core::prelude::*;

    /// A step.
    #[derive(Data, Clone, Debug)]
    pub struct Step {
        /// How far.
        pub by: i64,
    }

    /// Squares a number.
    #[remote]
    pub fn square(x: i64) -> i64 {
        x * x
    }

    /// Sums numbers.
    #[remote(num_returns = 2)]
    pub async fn sums(values: &Archived<Vec<f32>>) -> Result<(f32, f32), String> {
        let sum = values.iter().map(|x| x.to_native()).sum();
        Ok((sum, -sum))
    }

    /// Counts.
    #[actor(max_concurrency = 2)]
    #[derive(Debug)]
    pub struct Counter {
        value: i64,
    }

    #[remote]
    impl Counter {
        /// Starts counting.
        pub fn new(start: i64) -> Self {
            Self { value: start }
        }

        /// Adds.
        pub fn add(&mut self, step: Step) -> i64 {
            self.value += step.by;
            self.value
        }
    }
}

fn main() {
    assert_eq!(library::square(3), 9);
    assert_eq!(library::Counter::new(1).add(library::Step { by: 2 }), 3);
}
