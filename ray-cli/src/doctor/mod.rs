//! `ray doctor`: what this machine may lack, each finding with what to do.

mod checks;

use std::process::ExitCode;

use serde_json::json;

use crate::{
    Failed,
    connect::Connect,
    table::{Format, print, printable},
};

/// The options of `ray doctor`.
#[derive(clap::Args)]
#[command(
    after_help = "It changes nothing. A line is ok, warn (it works, less well) or fail (something will not work); \
                  with a fail the exit status is 1."
)]
pub struct Options {
    /// The port that a head would listen on, UDP.
    #[arg(long, default_value_t = ray_core::config::DESK_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    connect: Connect,
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    Ok,
    Warn,
    Fail,
}

impl Grade {
    fn name(self) -> &'static str {
        match self {
            Grade::Ok => "ok",
            Grade::Warn => "warn",
            Grade::Fail => "fail",
        }
    }
}

/// What one check found.
#[derive(Debug)]
struct Finding {
    name: &'static str,
    grade: Grade,
    /// What there is.
    found: String,
    /// What to do about it; empty when nothing is.
    advice: String,
}

impl Finding {
    fn ok(name: &'static str, found: impl Into<String>) -> Finding {
        Finding {
            name,
            grade: Grade::Ok,
            found: found.into(),
            advice: String::new(),
        }
    }

    fn warn(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding {
            grade: Grade::Warn,
            advice: advice.into(),
            ..Finding::ok(name, found)
        }
    }

    fn fail(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding {
            grade: Grade::Fail,
            ..Finding::warn(name, found, advice)
        }
    }
}

/// Runs `ray doctor`.
///
/// # Errors
/// What standard output refused.
pub fn run(options: &Options) -> Result<ExitCode, Failed> {
    let findings = checks::all(options.port, &options.connect);
    match options.format {
        Format::Json => print(findings.iter().map(|finding| {
            json!({
                "check": finding.name,
                "grade": finding.grade.name(),
                "found": finding.found,
                "advice": finding.advice,
            })
        }))?,
        Format::Table => print(findings.iter().flat_map(lines))?,
    }
    let fails = findings.iter().any(|it| it.grade == Grade::Fail);
    Ok(match fails {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

fn lines(finding: &Finding) -> Vec<String> {
    let Finding {
        name,
        grade,
        found,
        advice,
    } = finding;
    let mut lines = vec![format!("{:<5}{name}: {}", grade.name(), printable(found))];
    if !advice.is_empty() {
        lines.push(format!("     -> {}", printable(advice)));
    }
    lines
}
