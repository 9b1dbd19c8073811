//! The second build of a program whose types change; see `board.rs`.

mod board;

use ray_core::{Error, prelude::*};

/// Fields of a side of the board.
pub const SIDE: usize = 9;

/// What the first build does not have.
#[actor]
#[derive(Default)]
pub struct Referee;

#[remote]
impl Referee {
    /// Makes one.
    pub fn new() -> Self {
        Referee
    }

    /// Returns who has won.
    pub fn winner(&self) -> u64 {
        0
    }
}

fn call_what_is_new() -> Result<(), Error> {
    match RefereeHandle::named("keeper") {
        Ok(referee) => board::tell("winner", referee.winner().get()),
        Err(error) => println!("winner has no actor: {error}"),
    }
    Ok(())
}

fn main() -> std::process::ExitCode {
    board::main(call_what_is_new)
}
