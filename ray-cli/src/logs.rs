//! `ray logs`: what the head's processes wrote.

use std::{
    collections::BTreeMap,
    io::{Write as _, stdout},
    time::Duration,
};

use ray_core::control::{Answer, Client, LogFile, Query};

use crate::{
    Failed,
    connect::Connect,
    table::{lines, print, size},
};

/// How often `--follow` looks for more.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The options of `ray logs`.
#[derive(clap::Args)]
#[command(after_help = "Examples: ray logs; ray logs head-812.log; ray logs --follow")]
pub struct Options {
    /// The file to print; without it and without --follow the files are listed.
    file: Option<String>,
    /// Go on printing what is added; without a file, of every file.
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `ray logs`.
///
/// # Errors
/// What the head refused, or why it cannot be reached.
pub fn run(options: &Options) -> Result<(), Failed> {
    let client = options.connect.client()?;
    match (&options.file, options.follow) {
        (None, false) => list(&client),
        (Some(file), false) => print_from(&client, file, 0).map(drop),
        (Some(file), true) => follow_one(&client, file),
        (None, true) => follow_all(&client),
    }
}

fn list(client: &Client) -> Result<(), Failed> {
    let rows: Vec<Vec<String>> = files(client)?
        .into_iter()
        .map(|file| vec![file.name, size(file.bytes as f64)])
        .collect();
    print(lines(&["file", "size"], &rows))?;
    Ok(())
}

fn follow_one(client: &Client, file: &str) -> Result<(), Failed> {
    let mut offset = 0;
    loop {
        offset = print_from(client, file, offset)?;
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Prints whole lines of every file with the file's name before them, from now on.
fn follow_all(client: &Client) -> Result<(), Failed> {
    let mut seen: BTreeMap<String, u64> = files(client)?
        .into_iter()
        .map(|file| (file.name, file.bytes))
        .collect();
    loop {
        std::thread::sleep(POLL_INTERVAL);
        for file in files(client)? {
            let offset = seen.entry(file.name.clone()).or_insert(0);
            while *offset < file.bytes {
                let (text, next) = read(client, &file.name, *offset)?;
                // A line that is not finished is read again with its rest.
                let whole = text.rfind('\n').map_or(0, |end| end + 1);
                if whole == 0 {
                    break;
                }
                let whole_lines = text[..whole].lines();
                print(whole_lines.map(|line| format!("({}) {line}", file.name)))?;
                *offset = next - (text.len() - whole) as u64;
            }
        }
    }
}

/// Prints a file from an offset to its end; returns where the end is.
pub fn print_from(client: &Client, file: &str, mut offset: u64) -> Result<u64, Failed> {
    loop {
        let (text, next) = read(client, file, offset)?;
        if next == offset {
            return Ok(offset);
        }
        stdout().write_all(text.as_bytes())?;
        stdout().flush()?;
        offset = next;
    }
}

fn files(client: &Client) -> Result<Vec<LogFile>, Failed> {
    match client.query(Query::LogFiles)? {
        Answer::LogFiles(files) => Ok(files),
        _ => Err(crate::OTHER_ANSWER.into()),
    }
}

fn read(client: &Client, file: &str, offset: u64) -> Result<(String, u64), Failed> {
    let query = Query::Log {
        file: file.to_owned(),
        offset,
    };
    match client.query(query)? {
        Answer::Log { text, next } => Ok((text, next)),
        _ => Err(crate::OTHER_ANSWER.into()),
    }
}
