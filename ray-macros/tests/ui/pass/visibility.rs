//! A stub is visible where its function is.
mod tasks {
    pub mod deep {
        use ray_core::prelude::*;

        #[remote]
        pub fn everywhere(x: i64) -> i64 {
            x
        }

        #[remote]
        pub(crate) fn in_crate(x: i64) -> i64 {
            x
        }

        #[remote]
        pub(super) fn above(x: i64) -> i64 {
            x
        }

        #[remote]
        pub(in crate::tasks) fn in_tasks(x: i64) -> i64 {
            x
        }

        #[actor]
        pub(crate) struct Counter;

        #[remote]
        impl Counter {
            pub fn new() -> Self {
                Self
            }

            pub fn one(&self) -> i64 {
                1
            }
        }
    }

    pub fn calls() {
        let _ = deep::above::remote(1);
        let _ = deep::in_tasks::options().remote(1);
    }
}

pub use tasks::deep::everywhere;

fn calls() {
    let _ = everywhere::remote(1);
    let _ = tasks::deep::in_crate::remote(1);
    let handle: tasks::deep::CounterHandle = tasks::deep::Counter::remote();
    let _ = handle.one();
}

fn main() {
    let _ = (calls as fn(), tasks::calls as fn());
}
