//! The `ray` command.

mod bench;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks, actors and objects across processes.
#[derive(Parser)]
#[command(name = "ray", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure this machine's floors and the runtime beside them.
    Bench(bench::Options),
    /// One side of a measurement; started by `bench`.
    #[command(hide = true, subcommand)]
    Part(bench::Part),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Bench(options) => bench::run(&options),
        Command::Part(part) => bench::run_part(&part),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ray: {error}");
            ExitCode::FAILURE
        }
    }
}
