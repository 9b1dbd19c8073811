//! The first build of a program whose types change; see `board.rs`.

mod board;

/// Fields of a side of the board.
pub const SIDE: usize = 8;

fn main() -> std::process::ExitCode {
    board::main(|| Ok(()))
}
