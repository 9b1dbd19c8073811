//! Tasks and actors that come out of a `macro_rules!` macro.
use ray_core::prelude::*;

macro_rules! task {
    ($name:ident, $argument:ident: $ty:ty => $result:expr, $cpus:literal) => {
        #[remote(num_cpus = $cpus)]
        fn $name($argument: $ty) -> $ty {
            $result
        }
    };
}

task!(double, x: i64 => x * 2, 2);

macro_rules! length {
    ($name:ident, $ty:ty, $output:ty) => {
        #[remote]
        fn $name(values: $ty) -> $output {
            Ok(values.len())
        }
    };
}

length!(length, &Archived<Vec<f32>>, Result<usize, Box<dyn std::error::Error>>);

macro_rules! counter {
    ($name:ident, $ty:ty) => {
        #[derive(Debug)]
        #[actor]
        pub struct $name {
            value: $ty,
        }

        #[remote]
        impl $name {
            pub fn new(start: $ty) -> Self {
                Self { value: start }
            }

            pub fn add(&mut self, by: $ty) -> Result<$ty, String> {
                self.value += by;
                Ok(self.value)
            }
        }
    };
}

counter!(Floats, f64);

#[allow(dead_code)]
fn calls() {
    let _: ObjectRef<i64> = double::remote(2);
    let _: ObjectRef<usize> = length::remote(vec![1.0]);
    let floats: FloatsHandle = Floats::remote(1.0);
    let _: ObjectRef<f64> = floats.add(0.5);
}

fn main() {
    assert_eq!(double(2), 4);
    assert_eq!(Floats::new(1.0).add(0.5), Ok(1.5));
}
