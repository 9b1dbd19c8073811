//! `ray bench`: medians of interleaved repeats, floors in the same run.
//!
//! Every repeat walks through all groups, floors included, so that a slow phase of the machine falls
//! on all of them alike. Each group returns one value per metric and repeat.

mod actors;
mod faults;
mod floors;
mod objects;
mod parts;
mod report;
mod tasks;

use std::{error::Error, io::IsTerminal as _, time::Instant};

pub use parts::{Part, run_part};
use ray_core::Config;
use report::Report;

use crate::table::note;

/// What stopped a measurement.
pub type Failed = Box<dyn Error + Send + Sync>;

/// The options of `ray bench`.
#[derive(clap::Args)]
pub struct Options {
    /// Print one JSON object per metric instead of a table.
    #[arg(long)]
    json: bool,
    /// Measure only groups with a metric whose name contains this, and print only those metrics.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// How often to measure each; the median is printed.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,
}

/// One metric of one repeat.
pub struct Sample {
    name: &'static str,
    value: f64,
}

/// Metrics that are measured together.
struct Group {
    /// Names and units of what `measure` returns.
    metrics: &'static [(&'static str, &'static str)],
    measure: fn() -> Result<Vec<Sample>, Failed>,
}

/// All groups, floors first, in the order of a repeat.
const GROUPS: &[Group] = &[
    floors::QUIC,
    actors::SYNC_CALL,
    tasks::SYNC,
    floors::FUTEX,
    actors::PIPELINED,
    tasks::THROUGHPUT,
    tasks::CHAIN,
    actors::MANY_TO_MANY,
    actors::SHARED_ARGUMENT,
    floors::ARENA,
    objects::SMALL,
    objects::MIDDLE,
    objects::LARGE,
    floors::MEMCPY,
    objects::HUGE,
    objects::WAIT,
    actors::CREATION,
    faults::TASK,
    faults::ACTOR,
    parts::BY_QUIC,
    parts::INIT,
    parts::IDLE,
    parts::QUEUE,
];

/// Runs `ray bench`.
///
/// # Errors
/// The first measurement that failed, or a filter that matches nothing.
pub fn run(options: &Options) -> Result<(), Failed> {
    let wanted = |name: &str| {
        options
            .filter
            .as_deref()
            .is_none_or(|text| name.contains(text))
    };
    let groups: Vec<&Group> = GROUPS
        .iter()
        .filter(|group| group.metrics.iter().any(|(name, _)| wanted(name)))
        .collect();
    if groups.is_empty() {
        let filter = options.filter.as_deref().unwrap_or_default();
        return Err(
            format!("no metric's name contains \"{filter}\"; run `ray bench` to see all").into(),
        );
    }
    let ray = Config::new().object_store_memory(8 << 30).init()?;
    let mut report = Report::default();
    let progress = !options.json && std::io::stderr().is_terminal();
    for repeat in 1..=options.repeats {
        for group in &groups {
            let start = Instant::now();
            let samples = (group.measure)().map_err(|error| {
                let names: Vec<_> = group.metrics.iter().map(|(name, _)| *name).collect();
                format!("{}: {error}", names.join(", "))
            })?;
            for sample in samples.iter().filter(|sample| wanted(sample.name)) {
                let unit = group.metrics.iter().find(|(name, _)| *name == sample.name);
                report.add(sample, unit.map_or("", |(_, unit)| *unit));
            }
            if progress {
                let (name, _) = group.metrics[0];
                let took = start.elapsed().as_secs_f64();
                note(format_args!(
                    "{repeat}/{} {name} {took:.1} s",
                    options.repeats
                ));
            }
        }
    }
    ray.shutdown()?;
    report.print(options.json);
    Ok(())
}

/// Runs `once` `count` times and returns the median in microseconds.
fn median_us(count: usize, mut once: impl FnMut() -> Result<(), Failed>) -> Result<f64, Failed> {
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        once()?;
        samples.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(ray_floor::median(&mut samples))
}

fn sample(name: &'static str, value: f64) -> Sample {
    Sample { name, value }
}
