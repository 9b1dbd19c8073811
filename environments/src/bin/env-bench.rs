//! Measures how fast each registered environment steps in its vector form, on one thread.
//!
//! An id that begins with `gym:` as the filter measures that environment of Python, with the feature `python`.
//!
//! `cargo run --release -p environments --bin env-bench -- --json --filter CartPole --envs 64,1024`

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use environments::{
    EnvBuilder, EnvSpec, MakeError, Space,
    registry::{spec, specs},
    rng::Rng,
    vector::{Actions, AutoresetMode, StepBuffers},
};

/// What to measure, and how to print it.
struct Settings {
    json: bool,
    /// Whether time is that of the processor, so that what else runs on the machine does not count.
    processor_time: bool,
    filter: String,
    envs: Vec<usize>,
    seconds: f64,
}

fn main() -> ExitCode {
    let settings = match Settings::read(std::env::args().skip(1)) {
        Ok(settings) => settings,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if !settings.json {
        println!("{:<40} {:>8} {:>16}", "environment", "envs", "steps/s");
    }
    let specs = match settings.specs() {
        Ok(specs) => specs,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    for spec in specs {
        let id = spec.id().to_string();
        for count in &settings.envs {
            match measure(&spec, *count, &settings) {
                Ok(rate) if settings.json => println!(
                    r#"{{"metric": "env.step.{id}.{count}", "value": {rate:.0}, "unit": "steps/s"}}"#
                ),
                Ok(rate) => println!("{id:<40} {count:>8} {:>16}", grouped(rate)),
                Err(error) => eprintln!("{id}: no vector form: {error}"),
            }
        }
    }
    ExitCode::SUCCESS
}

impl Settings {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Settings, String> {
        let mut settings = Settings {
            json: false,
            processor_time: false,
            filter: String::new(),
            envs: vec![64, 1024],
            seconds: 0.5,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--json" => settings.json = true,
                "--processor-time" => {
                    settings.processor_time = true;
                    on_processor().ok_or("--processor-time needs Linux's /proc")?;
                }
                "--filter" => settings.filter = value()?,
                "--seconds" => {
                    settings.seconds = value()?
                        .parse()
                        .ok()
                        .filter(|seconds| (0.01..=600.0).contains(seconds))
                        .ok_or("--seconds takes a number from 0.01 to 600")?;
                }
                "--envs" => {
                    let counts = value()?;
                    let counts = counts.split(',').map(|count| count.trim().parse().ok());
                    settings.envs = counts
                        .map(|count| count.filter(|count| (1..=1_000_000).contains(count)))
                        .collect::<Option<_>>()
                        .ok_or("--envs takes numbers from 1 to 1000000, separated by commas")?;
                }
                other => return Err(format!("unknown argument `{other}`")),
            }
        }
        Ok(settings)
    }

    /// Returns what the filter lets through; an id of Python's Gymnasium is not among what is registered.
    fn specs(&self) -> Result<Vec<Arc<EnvSpec>>, MakeError> {
        if self.filter.starts_with("gym:") {
            return Ok(vec![spec(&self.filter)?]);
        }
        let is_wanted = |spec: &Arc<EnvSpec>| spec.id().to_string().contains(&self.filter);
        Ok(specs().into_iter().filter(is_wanted).collect())
    }
}

/// Actions prepared for some steps of all environments.
enum Prepared {
    Discrete(Vec<Vec<i64>>),
    Continuous(Vec<Vec<f32>>),
}

impl Prepared {
    fn new(space: &Space, count: usize, rng: &mut Rng) -> Prepared {
        match space {
            Space::Discrete(choice) => {
                let row = |_| (0..count).map(|_| choice.sample(rng)).collect();
                Prepared::Discrete((0..PREPARED).map(row).collect())
            }
            other => {
                let mut row = vec![0.0; other.flat_len()];
                let mut step = |_| {
                    let mut values = Vec::with_capacity(count * row.len());
                    for _ in 0..count {
                        environments::Observation::write(&other.sample(rng), &mut row);
                        values.extend_from_slice(&row);
                    }
                    values
                };
                Prepared::Continuous((0..PREPARED).map(&mut step).collect())
            }
        }
    }

    fn step(&self, at: usize) -> Actions<'_> {
        match self {
            Prepared::Discrete(rows) => Actions::Discrete(&rows[at % PREPARED]),
            Prepared::Continuous(rows) => Actions::Continuous(&rows[at % PREPARED]),
        }
    }
}

/// Returns environment steps per second of the best round, after one to warm up.
///
/// Rounds are short, so that some are not disturbed by whatever else the machine does.
fn measure(spec: &EnvSpec, count: usize, settings: &Settings) -> Result<f64, MakeError> {
    let origin = Instant::now();
    let now = || match settings.processor_time {
        true => on_processor().unwrap_or_default(),
        false => origin.elapsed(),
    };
    let builder = EnvBuilder::from_spec(spec.clone());
    let mut envs = builder.build_vec(count, AutoresetMode::SameStep)?;
    let actions = Prepared::new(&envs.single_action_space(), count, &mut Rng::new(7));
    let mut out = StepBuffers::for_env(&*envs);
    envs.reset(Some(0), &mut out.obs)?;
    let (mut best, mut rounds, mut at) = (0.0_f64, 0, 0);
    let (mut steps, mut round) = (STEPS, ROUND);
    if settings.processor_time {
        // The system counts it in ticks, and asking takes a while.
        round = 20 * ROUND;
        let start = Instant::now();
        for step in 0..STEPS {
            envs.step(actions.step(step), &mut out)?;
        }
        let shares = ROUND.as_nanos() / start.elapsed().as_nanos().max(1);
        steps *= usize::try_from(shares).unwrap_or(1).max(1);
    }
    let begin = now();
    while rounds < 3 || (now() - begin).as_secs_f64() < settings.seconds {
        let (start, first) = (now(), at);
        while now() - start < round {
            for _ in 0..steps {
                envs.step(actions.step(at), &mut out)?;
                at += 1;
            }
        }
        if rounds > 0 {
            best = best.max(((at - first) * count) as f64 / (now() - start).as_secs_f64());
        }
        rounds += 1;
    }
    Ok(best)
}

/// Returns for how long this thread has been on a processor.
fn on_processor() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// Writes a number with a comma for each thousand.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many steps' actions are drawn beforehand; they are done over and over.
const PREPARED: usize = 61;
/// How many steps are done between looks at the clock.
const STEPS: usize = 16;
/// The least time of a round.
const ROUND: Duration = Duration::from_millis(3);
const USAGE: &str =
    "usage: env-bench [--json] [--filter TEXT] [--envs 64,1024] [--seconds 0.5] [--processor-time]";
