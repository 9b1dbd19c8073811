//! Names of the user's own that generated code must not mix up with its own.
use ray_core::{actor, remote};

type Result<T> = std::result::Result<T, Error>;

#[derive(Debug)]
struct Error;

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("error")
    }
}

#[allow(dead_code)]
struct Option;
#[allow(dead_code)]
struct String;
#[allow(dead_code)]
struct Vec;
#[allow(dead_code)]
struct Box;
#[allow(dead_code)]
enum Ok {}
#[allow(dead_code)]
enum Some {}
#[allow(dead_code)]
mod core {}
#[allow(dead_code)]
mod std_shadow {}
#[allow(dead_code)]
trait Default {}
#[allow(dead_code)]
trait Clone {}

#[remote]
fn call(call: u8, results: u8, args: u8, this: u8) -> Result<u8> {
    call.checked_add(results + args + this).ok_or(Error)
}

#[remote]
fn args(__args: u8, __call: u8) -> u8 {
    __args + __call
}

#[actor]
struct Actor {
    call: u8,
}

#[remote]
impl Actor {
    pub fn new(actor: u8) -> Result<Self> {
        Result::Ok(Self { call: actor })
    }

    pub fn call(&self, call: u8, results: u8) -> u8 {
        self.call + call + results
    }

    pub fn run_mut(&mut self, actor: u8) {
        self.call = actor;
    }
}

fn main() {
    assert_eq!(args(1, 2), 3);
    assert_eq!(call(1, 2, 3, 4).unwrap(), 10);
    assert_eq!(Actor::new(1).unwrap().call(1, 2), 4);
}
