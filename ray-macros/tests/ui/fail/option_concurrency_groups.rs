use ray_core::prelude::*;

#[actor(concurrency_groups = 3)]
struct NotAList;

#[actor(concurrency_groups())]
struct Empty;

#[actor(concurrency_groups(io = 2, io = 3))]
struct Twice;

#[actor(concurrency_groups(io = 0, compute = "four", net::io = 1))]
struct WrongLimits;

#[actor(concurrency_groups(io))]
struct NoLimit;

macro_rules! constructed {
    ($($name:ident)*) => {
        $(#[remote]
        impl $name {
            pub fn new() -> Self {
                $name
            }
        })*
    };
}

constructed!(NotAList Empty Twice WrongLimits NoLimit);

fn main() {}
