//! What holds a `T` can be sent only when the `T` can.
use ray_core::prelude::*;

struct Config;

#[derive(Data)]
struct Wrapped<T> {
    inner: Vec<T>,
}

#[remote]
fn take(wrapped: Wrapped<Config>) {
    let _ = wrapped;
}

fn main() {}
