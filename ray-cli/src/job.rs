//! `ray job`: programs that the cluster runs, whether or not their submitter stays.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Subcommand;
use ray_core::control::{Answer, Client, Command, JobRequest, Query, Row, Table};

use crate::{
    Failed,
    connect::Connect,
    list, logs, options,
    table::{Format, note, print},
};

/// How often a command looks how a job is.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// What can be done with jobs.
#[derive(Subcommand)]
pub enum JobCommand {
    /// Run a program on the head's machine as a driver of the cluster.
    Submit(SubmitOptions),
    /// Show the jobs.
    List(list::Shown),
    /// Show how one job is.
    Status(StatusOptions),
    /// Show what a job wrote.
    Logs(LogsOptions),
    /// End a job: SIGTERM, and SIGKILL three seconds later.
    Stop(StopOptions),
}

/// The options of `ray job submit`.
#[derive(clap::Args)]
#[command(
    after_help = "Example: ray job submit --name night --env SEED=3 -- target/release/train --steps 100000\n\n\
                  The program's file is copied to the head, once for each content, and so is the directory. It\n\
                  finds the cluster by itself, so `ray_core::init()` is all that it needs. Its exit status is this command's."
)]
pub struct SubmitOptions {
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    /// A variable of its environment; may be given more than once.
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// A directory here that is sent with it, or file:///PATH for one on the head's machine [default: an empty one].
    #[arg(long, value_name = "DIR")]
    working_dir: Option<String>,
    /// Show its output until it ends, as without --no-wait.
    #[arg(long, conflicts_with = "no_wait")]
    wait: bool,
    /// Return as soon as the cluster has taken it on; prints its id.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    connect: Connect,
    /// The program's file, or its name in PATH, and its arguments.
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    program: Vec<String>,
}

/// The options of `ray job status`.
#[derive(clap::Args)]
pub struct StatusOptions {
    /// Its id, the beginning of it, or its name.
    #[arg(value_parser = options::text)]
    job: String,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    connect: Connect,
}

/// The options of `ray job logs`.
#[derive(clap::Args)]
pub struct LogsOptions {
    /// Its id, the beginning of it, or its name.
    #[arg(value_parser = options::text)]
    job: String,
    /// Go on printing until it ends.
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    connect: Connect,
}

/// The options of `ray job stop`.
#[derive(clap::Args)]
pub struct StopOptions {
    /// Its id, the beginning of it, or its name.
    #[arg(value_parser = options::text)]
    job: String,
    /// Return at once instead of when it has ended.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `ray job`.
///
/// # Errors
/// A program that is not there, what the head refused, or why it cannot be reached.
pub fn run(command: JobCommand) -> Result<ExitCode, Failed> {
    match command {
        JobCommand::Submit(options) => submit(options),
        JobCommand::List(shown) => {
            list::print_rows(Table::Jobs, &shown).map(|()| ExitCode::SUCCESS)
        }
        JobCommand::Status(options) => {
            let row = find(&options.connect.client()?, &options.job)?;
            list::print_row(&row, Table::Jobs, options.format)?;
            Ok(ExitCode::SUCCESS)
        }
        JobCommand::Logs(options) => {
            let client = options.connect.client()?;
            if options.follow {
                follow(&client, &options.job)?;
            } else {
                let row = find(&client, &options.job)?;
                print_log(&client, &row, 0)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        JobCommand::Stop(options) => stop(&options),
    }
}

fn submit(options: SubmitOptions) -> Result<ExitCode, Failed> {
    let mut words = options.program.into_iter();
    let program = words.next().ok_or("no program is given after `--`")?;
    let path = find_program(&program)?;
    let mut request = JobRequest::new(program);
    request.args = words.collect();
    request.name = options.name;
    let directory = match options.working_dir {
        None => None,
        Some(named) => match named.strip_prefix("file://") {
            Some(path) => {
                request.working_dir = Some(path.to_owned());
                None
            }
            None => Some(sent(named)?),
        },
    };
    let mut env = BTreeMap::new();
    for (name, value) in options.env {
        if env.insert(name.clone(), value).is_some() {
            return Err(format!("--env gives {name} twice").into());
        }
    }
    request.env = env;
    let client = options.connect.client()?;
    let job = match directory {
        None => client.submit_job(request, &path),
        Some(directory) => client.submit_job_in(request, &path, &directory),
    }?;
    if options.no_wait {
        print([&job])?;
        note(format_args!(
            "see how it is: ray job status {job}; what it writes: ray job logs -f {job}"
        ));
        return Ok(ExitCode::SUCCESS);
    }
    note(format_args!(
        "job {job}; it goes on without this command: ray job logs -f {job}"
    ));
    let row = follow(&client, &job)?;
    let status = row.text("status");
    let why = row.text("message");
    let why = if why.is_empty() {
        why
    } else {
        format!(": {why}")
    };
    note(format_args!("job {job} {status}{why}"));
    let code = match (status.as_str(), row.value("exit_code").as_u64()) {
        ("SUCCEEDED", _) => 0,
        ("FAILED", Some(code)) => u8::try_from(code).unwrap_or(1).max(1),
        _ => 1,
    };
    Ok(ExitCode::from(code))
}

/// Returns a directory that is to be sent.
fn sent(named: String) -> Result<PathBuf, Failed> {
    let path = PathBuf::from(&named);
    match path.metadata() {
        Ok(facts) if facts.is_dir() => Ok(path),
        Ok(_) => Err(format!("--working-dir {named}: it is a file and no directory").into()),
        Err(error) => Err(format!(
            "--working-dir {named}: {error}; a folder that is on the head's machine already is written file:///PATH"
        )
        .into()),
    }
}

fn stop(options: &StopOptions) -> Result<ExitCode, Failed> {
    let client = options.connect.client()?;
    let job = find(&client, &options.job)?.text("job_id");
    client.command(Command::StopJob { job: job.clone() })?;
    if options.no_wait {
        print([format!("job {job} is asked to end")])?;
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        let row = find(&client, &job)?;
        if is_over(&row) {
            print([format!("job {job} {}", row.text("status"))])?;
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Prints what a job writes until it has ended; returns how it is then.
fn follow(client: &Client, job: &str) -> Result<Row, Failed> {
    let mut offset = 0;
    loop {
        // How it is comes first: what it wrote before its end is read after that.
        let row = find(client, job)?;
        if row.text("status") != "PENDING" {
            offset = print_log(client, &row, offset)?;
        }
        if is_over(&row) {
            return Ok(row);
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn print_log(client: &Client, row: &Row, offset: u64) -> Result<u64, Failed> {
    logs::print_from(client, &row.text("log_file"), offset)
}

fn is_over(row: &Row) -> bool {
    !["PENDING", "RUNNING"].contains(&row.text("status").as_str())
}

fn find(client: &Client, job: &str) -> Result<Row, Failed> {
    match client.query(Query::Job { job: job.into() })? {
        Answer::Row(row) => Ok(row),
        _ => Err(crate::OTHER_ANSWER.into()),
    }
}

/// Returns the file of a program: a path, or a name that PATH is searched for.
fn find_program(program: &str) -> Result<PathBuf, Failed> {
    let is_program = |path: &Path| {
        let facts = path.metadata();
        facts.is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        let path = PathBuf::from(program);
        return match path.metadata() {
            Err(error) => Err(format!("program {program}: {error}").into()),
            Ok(_) if is_program(&path) => Ok(path),
            Ok(_) => Err(format!("program {program}: it is not an executable file").into()),
        };
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|path| is_program(path))
        .ok_or_else(|| {
            format!("program {program}: it is not in PATH; a file here is written ./{program}")
                .into()
        })
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not of the form NAME=VALUE")),
    }
}
