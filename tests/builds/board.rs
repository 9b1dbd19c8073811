//! A driver that is built twice: a function here has one id in both builds, and [`Board`] another shape in each.

use std::process::ExitCode;

use ray_core::{Config, Error, Lifetime, prelude::*};

use crate::SIDE;

/// What the builds do not agree about.
#[derive(Data, Clone, Debug, PartialEq)]
pub struct Board {
    /// 0 where nothing stands.
    pub fields: [u8; SIDE],
}

/// Keeps the last board.
#[actor]
pub struct Keeper {
    board: Board,
    moves: u64,
}

#[remote]
impl Keeper {
    /// Starts with an empty board.
    pub fn new() -> Self {
        Keeper {
            board: Board { fields: [0; SIDE] },
            moves: 0,
        }
    }

    /// Takes a board; returns how many it took.
    pub fn place(&mut self, board: Board) -> u64 {
        self.board = board;
        self.moves += 1;
        self.moves
    }

    /// Returns the board.
    pub fn board(&self) -> Board {
        self.board.clone()
    }

    /// Returns how many boards it took.
    pub fn moves(&self) -> u64 {
        self.moves
    }
}

/// `ADDRESS TOKEN`: makes the keeper unless there is one, calls each method, prints a line for each answer.
pub fn main(last: fn() -> Result<(), Error>) -> ExitCode {
    match run(last) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("board: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(last: fn() -> Result<(), Error>) -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let (address, token) = (arguments.next(), arguments.next());
    let ray = Config::new()
        .address(address.unwrap_or_default())
        .token(token.unwrap_or_default())
        .namespace("boards")
        .object_store_memory(64 << 20)
        .init()?;
    let keeper = match KeeperHandle::named("keeper") {
        Ok(keeper) => keeper,
        Err(_) => Keeper::options()
            .name("keeper")
            .lifetime(Lifetime::Detached)
            .remote(),
    };
    let board = Board { fields: [1; SIDE] };
    tell("place", keeper.place(board.clone()).get());
    tell("board", keeper.board().get());
    let put = ray_core::put(&board)?;
    tell("put", keeper.place(&put).get());
    tell("moves", keeper.moves().get());
    last()?;
    ray.shutdown()
}

/// Prints what came of a call.
pub fn tell<T: std::fmt::Debug>(call: &str, answer: Result<T, Error>) {
    match answer {
        Ok(value) => println!("{call} {value:?}"),
        Err(Error::TypeMismatch { expected, found }) => {
            println!("{call} refused: {expected} is not {found}");
        }
        Err(error) => println!("{call} failed: {error}"),
    }
}
