//! Replays trace files against the registered environments and prints one JSON line a trace.
//!
//! `env-replay FILE…`; exits with 1 when something differs, with 2 when a file cannot be read.

use std::{env, fs, io::Write as _, process::ExitCode};

use environments::{
    on_warning,
    replay::{Part, replay},
};
use serde_json::json;

fn main() -> ExitCode {
    let files = env::args().skip(1).collect::<Vec<_>>();
    if files.is_empty() || files.iter().any(|file| file == "--help" || file == "-h") {
        println!("{USAGE}");
        return ExitCode::from(if files.is_empty() { 2 } else { 0 });
    }
    // Old versions are replayed on purpose.
    on_warning(|_| {});
    let mut out = std::io::stdout().lock();
    let (mut is_equal, mut is_read) = (true, true);
    for file in &files {
        let verdicts = fs::read_to_string(file)
            .map_err(|error| error.to_string())
            .and_then(|text| replay(&text).map_err(|error| error.to_string()));
        let verdicts = match verdicts {
            Ok(verdicts) => verdicts,
            Err(error) => {
                eprintln!("env-replay: {file}: {error}");
                is_read = false;
                continue;
            }
        };
        for verdict in verdicts {
            is_equal &= verdict.is_ok();
            let trace = match verdict.part {
                Part::Trace(number) => json!(number),
                Part::Table => json!("table"),
                Part::Spec => json!("spec"),
            };
            let line = format!(
                r#"{{"file":{},"trace":{trace},"ok":{},"first_difference":{}}}"#,
                json!(file),
                verdict.is_ok(),
                json!(verdict.first_difference),
            );
            // Nobody reads on when the pipe is closed: the rest of the lines need not be written.
            if writeln!(out, "{line}").is_err() {
                return ExitCode::from(2);
            }
        }
    }
    match (is_read, is_equal) {
        (false, _) => ExitCode::from(2),
        (true, false) => ExitCode::from(1),
        (true, true) => ExitCode::SUCCESS,
    }
}

const USAGE: &str = "\
Replays recorded episodes against the registered environments.

usage: env-replay FILE…

Prints one line a trace: {\"file\", \"trace\", \"ok\", \"first_difference\"}.
Exits with 0 when all are equal, 1 when one differs, 2 when a file cannot be read.";
