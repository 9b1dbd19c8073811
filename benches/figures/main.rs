//! The figures of "Ray: A Distributed Framework for Emerging AI Applications" in miniature, on this machine.
//!
//! `cargo run --release -p ray-benches --bin figures -- [8a] [8b] [9] [12a] [--json] [--out FOLDER]`: a table
//! of each on the terminal, a CSV and a PNG file in the folder. `--json` prints one line a point instead.

mod allreduce;
mod daemons;
mod locality;
mod report;
mod scaling;
mod store;

use std::{path::PathBuf, process::ExitCode};

use report::{Failed, Figure, Point};

/// What a figure is drawn from.
struct Plan {
    id: &'static str,
    /// Runs the drivers that measure; not a driver itself.
    measure: fn() -> Result<Figure, Failed>,
    /// What such a driver does, by the name of its variant.
    drive: fn(&str) -> Result<Vec<Point>, Failed>,
}

const PLANS: [Plan; 4] = [
    Plan {
        id: "8a",
        measure: locality::measure,
        drive: locality::drive,
    },
    Plan {
        id: "8b",
        measure: scaling::measure,
        drive: scaling::drive,
    },
    Plan {
        id: "9",
        measure: store::measure,
        drive: store::drive,
    },
    Plan {
        id: "12a",
        measure: allreduce::measure,
        drive: allreduce::drive,
    },
];

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("figures: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<(), Failed> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["head", rest @ ..] => daemons::head(rest),
        ["node", address, token, rest @ ..] => daemons::node(address, token, rest),
        // Workers of such a driver come here too, and go no further than its `init`.
        ["drive", id, variant] => {
            let plan = PLANS.iter().find(|plan| plan.id == *id);
            let drive = plan.ok_or(format!("there is no figure {id}"))?.drive;
            for point in drive(variant)? {
                println!("{}", point.line());
            }
            Ok(())
        }
        _ => draw(&words),
    }
}

fn draw(words: &[&str]) -> Result<(), Failed> {
    let mut out = PathBuf::from("figures");
    let mut is_json = false;
    let mut wanted = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(());
            }
            "--json" => is_json = true,
            "--out" => out = words.next().ok_or("--out needs a folder")?.into(),
            id if PLANS.iter().any(|plan| plan.id == id) => wanted.push(id),
            other => {
                let ids = PLANS.map(|plan| plan.id).join(", ");
                return Err(format!(
                    "`{other}` is neither a figure ({ids}) nor an option; see --help"
                )
                .into());
            }
        }
    }
    for plan in &PLANS {
        if wanted.is_empty() || wanted.contains(&plan.id) {
            let figure = (plan.measure)()?;
            if is_json {
                figure
                    .points
                    .iter()
                    .for_each(|point| println!("{}", point.json(plan.id)));
            } else {
                print!("{figure}");
            }
            figure.save(&out.join(format!("figure-{}", plan.id)))?;
        }
    }
    Ok(())
}

const USAGE: &str = "\
The paper's figures on this machine: a table of each, a CSV file and a picture.

usage: figures [8a] [8b] [9] [12a] [--json] [--out FOLDER]

  8a     latency of a task by the size of its argument, on two nodes
  8b     empty tasks a second by node processes
  9      puts of one client by object size
  12a    ring allreduce beside OpenMPI (`mpicc` and `mpirun` must be there)

Without a name all of them; files go to FOLDER, `figures` unless told.";
