//! The `ray` command.

mod bench;
mod connect;
mod doctor;
mod drain;
mod job;
mod list;
mod logs;
mod memory;
mod options;
mod start;
mod status;
mod stop;
mod table;
mod timeline;
mod token;

use std::{error::Error, process::ExitCode};

use clap::{Parser, Subcommand};

/// What stopped a command.
pub(crate) type Failed = Box<dyn Error + Send + Sync>;

/// What a head of another kind is answered with.
pub(crate) const OTHER_ANSWER: &str = "the head answered another question; use one build for both";

/// Tasks, actors and objects across processes and machines.
#[derive(Parser)]
#[command(name = "ray", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the head of a new cluster, or a node that joins one.
    Start(start::Options),
    /// End the cluster, or one of its nodes.
    Stop(stop::Options),
    /// Empty a node: no new work, and it ends once it has none.
    Drain(drain::Options),
    /// Show whether the cluster is well, what it has, and what waits.
    Status(status::Options),
    /// Show the rows of a table.
    List(list::ListOptions),
    /// Show one row of a table.
    Get(list::GetOptions),
    /// Count the rows of a table by kind and state.
    Summary(list::SummaryOptions),
    /// Show what the processes of the head or of another node wrote.
    Logs(logs::Options),
    /// Write what ran where and when as a trace that Perfetto shows.
    Timeline(timeline::Options),
    /// Show every reference to an object: its kind, its size, its owner, who holds it.
    Memory(memory::Options),
    /// Check what this machine may lack, and say what to do.
    Doctor(doctor::Options),
    /// Run programs on the cluster, and look after them.
    #[command(subcommand)]
    Job(job::JobCommand),
    /// Make, show and revoke the tokens that let others in.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Measure this machine's floors and the runtime beside them.
    Bench(bench::Options),
    /// One side of a measurement; started by `bench`.
    #[command(hide = true, subcommand)]
    Part(bench::Part),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Job(command) => return ended(job::run(command)),
        Command::Doctor(options) => return ended(doctor::run(&options)),
        Command::Start(options) => start::run(options),
        Command::Stop(options) => stop::run(&options),
        Command::Drain(options) => drain::run(&options),
        Command::Status(options) => status::run(&options),
        Command::List(options) => list::list(&options),
        Command::Get(options) => list::get(&options),
        Command::Summary(options) => list::summary(&options),
        Command::Logs(options) => logs::run(&options),
        Command::Timeline(options) => timeline::run(&options),
        Command::Memory(options) => memory::run(&options),
        Command::Token(command) => token::run(&command),
        Command::Bench(options) => bench::run(&options),
        Command::Part(part) => bench::run_part(&part),
    };
    ended(done.map(|()| ExitCode::SUCCESS))
}

fn ended(done: Result<ExitCode, Failed>) -> ExitCode {
    match done {
        Ok(code) => code,
        // Whoever read the output, `head` for example, has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            table::note(format_args!("ray: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &Failed) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
