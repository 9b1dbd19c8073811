use std::{fmt::Display, rc::Rc};

use ray_core::prelude::*;

#[remote]
fn untyped(n: u64) -> impl Iterator {
    0..n
}

#[remote]
fn borrowed() -> impl Iterator<Item = &'static str> {
    ["a", "b"].into_iter()
}

#[remote]
fn shared() -> impl Iterator<Item = Rc<u8>> {
    std::iter::empty()
}

#[remote]
fn unnamed() -> impl Iterator<Item = impl Display> {
    0..3
}

#[remote]
fn fallible() -> Result<impl Iterator<Item = u64>, String> {
    Ok(0..3)
}

fn main() {
    let _refused = untyped::remote(1);
}
