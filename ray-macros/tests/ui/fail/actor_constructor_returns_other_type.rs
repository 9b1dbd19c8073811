use ray_core::prelude::*;

#[actor]
struct Number;

#[remote]
impl Number {
    pub fn new() -> i64 {
        1
    }
}

#[actor]
struct Nothing;

#[remote]
impl Nothing {
    pub fn new() {}
}

#[actor]
struct Maybe;

#[remote]
impl Maybe {
    pub fn new() -> Option<Self> {
        None
    }
}

#[actor]
struct Fallible;

#[remote]
impl Fallible {
    pub fn new() -> Result<String, String> {
        Err(String::new())
    }
}

fn main() {}
