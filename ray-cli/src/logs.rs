//! `ray logs`: what the processes of the head or of another node wrote.

use std::{
    collections::BTreeMap,
    io::{Write as _, stdout},
    time::Duration,
};

use ray_core::control::{Answer, Client, LogFile, Query};

use crate::{
    Failed,
    connect::Connect,
    options,
    table::{lines, print, size},
};

/// How often `--follow` looks for more.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The options of `ray logs`.
#[derive(clap::Args)]
#[command(after_help = "Examples: ray logs; ray logs head-812.log; ray logs --node gpu-3 --follow")]
pub struct Options {
    /// The file to print; without it and without --follow the files are listed.
    #[arg(value_parser = options::text)]
    file: Option<String>,
    /// Go on printing what is added; without a file, of every file.
    #[arg(long, short)]
    follow: bool,
    /// The node whose files are meant, by its name or the beginning of its id [default: the head].
    #[arg(long, value_name = "NODE", value_parser = options::text)]
    node: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `ray logs`.
///
/// # Errors
/// What the head refused, or why it cannot be reached.
pub fn run(options: &Options) -> Result<(), Failed> {
    let source = Source {
        client: &options.connect.client()?,
        node: options.node.as_deref(),
    };
    match (&options.file, options.follow) {
        (None, false) => list(&source),
        (Some(file), false) => source.print_from(file, 0).map(drop),
        (Some(file), true) => follow_one(&source, file),
        (None, true) => follow_all(&source),
    }
}

/// Whose files are meant.
struct Source<'a> {
    client: &'a Client,
    /// `None` for the head.
    node: Option<&'a str>,
}

fn list(source: &Source<'_>) -> Result<(), Failed> {
    let rows: Vec<Vec<String>> = source
        .files()?
        .into_iter()
        .map(|file| vec![file.name, size(file.bytes as f64)])
        .collect();
    print(lines(&["file", "size"], &rows))?;
    Ok(())
}

fn follow_one(source: &Source<'_>, file: &str) -> Result<(), Failed> {
    let mut offset = 0;
    loop {
        offset = source.print_from(file, offset)?;
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Prints whole lines of every file with the file's name before them, from now on.
fn follow_all(source: &Source<'_>) -> Result<(), Failed> {
    let mut seen: BTreeMap<String, u64> = source
        .files()?
        .into_iter()
        .map(|file| (file.name, file.bytes))
        .collect();
    loop {
        std::thread::sleep(POLL_INTERVAL);
        for file in source.files()? {
            let offset = seen.entry(file.name.clone()).or_insert(0);
            while *offset < file.bytes {
                let (text, next) = source.read(&file.name, *offset)?;
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

/// Prints a file of the head from an offset to its end; returns where the end is.
pub fn print_from(client: &Client, file: &str, offset: u64) -> Result<u64, Failed> {
    let source = Source { client, node: None };
    source.print_from(file, offset)
}

impl Source<'_> {
    fn print_from(&self, file: &str, mut offset: u64) -> Result<u64, Failed> {
        loop {
            let (text, next) = self.read(file, offset)?;
            if next == offset {
                return Ok(offset);
            }
            stdout().write_all(text.as_bytes())?;
            stdout().flush()?;
            offset = next;
        }
    }

    fn files(&self) -> Result<Vec<LogFile>, Failed> {
        let query = match self.node {
            None => Query::LogFiles,
            Some(node) => Query::NodeLogFiles { node: node.into() },
        };
        match self.client.query(query)? {
            Answer::LogFiles(files) => Ok(files),
            _ => Err(crate::OTHER_ANSWER.into()),
        }
    }

    fn read(&self, file: &str, offset: u64) -> Result<(String, u64), Failed> {
        let file = file.to_owned();
        let query = match self.node {
            None => Query::Log { file, offset },
            Some(node) => Query::NodeLog {
                node: node.into(),
                file,
                offset,
            },
        };
        match self.client.query(query)? {
            Answer::Log { text, next } => Ok((text, next)),
            _ => Err(crate::OTHER_ANSWER.into()),
        }
    }
}
