//! Measurements that need a process of their own: floors, start, idling, a long queue.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use ray_core::{Config, get_all, prelude::*};

use super::{
    Failed, GROUPS, Group, Sample, actors, floors, sample,
    tasks::{self, noop},
};
use crate::table::print;

/// One measurement in a process of its own.
#[derive(clap::Subcommand)]
pub enum Part {
    /// Print the samples of a measurement.
    Measure {
        /// Which.
        what: String,
    },
    /// The echoing side of the QUIC floor.
    QuicServer,
    /// The answering side of the futex floor.
    FutexPeer {
        /// Rounds to answer.
        count: u32,
    },
}

/// Runs one part.
///
/// # Errors
/// What the measurement reported.
pub fn run_part(part: &Part) -> Result<(), Failed> {
    match part {
        Part::QuicServer => ray_floor::echo_server(),
        Part::FutexPeer { count } => ray_floor::futex_peer(*count),
        Part::Measure { what } => {
            let samples = match what.as_str() {
                "init" => init()?,
                "idle" => idle()?,
                "queue" => queue()?,
                "by-quic" => by_quic()?,
                "quic" | "futex" | "arena" | "memcpy" => {
                    let exe = std::env::current_exe()?.to_string_lossy().into_owned();
                    floors::measure(what, |part| vec![exe.clone(), "part".into(), part.into()])?
                }
                _ => return Err(format!("no measurement is called \"{what}\"").into()),
            };
            for sample in samples {
                print([format!("sample {} {}", sample.name, sample.value)])?;
            }
            Ok(())
        }
    }
}

/// Starts a process that measures `what` and returns its samples.
///
/// # Errors
/// It failed or printed something else.
pub fn measured_by(what: &[&str]) -> Result<Vec<Sample>, Failed> {
    measured_with(what, &[])
}

fn measured_with(what: &[&str], variables: &[(&str, &str)]) -> Result<Vec<Sample>, Failed> {
    let output = Command::new(std::env::current_exe()?)
        .args(["part", "measure"])
        .args(what)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the process that measures it ended with {}", output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    text.lines()
        .filter_map(|line| line.strip_prefix("sample "))
        .map(|line| {
            let (name, value) = line.split_once(' ').ok_or("a sample without a value")?;
            let (name, _) = GROUPS
                .iter()
                .flat_map(|group| group.metrics)
                .find(|(known, _)| *known == name)
                .ok_or("a sample of an unknown metric")?;
            Ok(sample(name, value.parse()?))
        })
        .collect()
}

/// The same calls when every frame goes through QUIC, as between two machines.
pub const BY_QUIC: Group = Group {
    metrics: &[
        ("quic.actor.sync_call.p50", "us"),
        ("quic.task.sync_roundtrip.p50", "us"),
        ("quic.actor.async_1_1_100k", "calls/s"),
        ("quic.task.async_throughput_100k", "tasks/s"),
    ],
    measure: || measured_with(&["by-quic"], &[("RAY_LANES", "off")]),
};

fn by_quic() -> Result<Vec<Sample>, Failed> {
    let ray = Config::new().object_store_memory(1 << 30).init()?;
    let mut found = Vec::new();
    for (group, from, to) in [
        (
            &actors::SYNC_CALL,
            "actor.sync_call.p50",
            "quic.actor.sync_call.p50",
        ),
        (
            &tasks::SYNC,
            "task.sync_roundtrip.p50",
            "quic.task.sync_roundtrip.p50",
        ),
        (
            &actors::PIPELINED,
            "actor.async_1_1_100k",
            "quic.actor.async_1_1_100k",
        ),
        (
            &tasks::THROUGHPUT,
            "task.async_throughput_100k",
            "quic.task.async_throughput_100k",
        ),
    ] {
        let samples = (group.measure)()?;
        let same = samples.iter().filter(|sample| sample.name == from);
        found.extend(same.map(|found| sample(to, found.value)));
    }
    ray.shutdown()?;
    Ok(found)
}

pub const INIT: Group = Group {
    metrics: &[
        ("init.ray_init", "s"),
        ("init.first_task_after_init", "s"),
        ("init.shutdown", "s"),
    ],
    measure: || measured_by(&["init"]),
};

pub const IDLE: Group = Group {
    metrics: &[
        ("idle.pss.total", "MiB"),
        ("idle.cpu_percent_of_one_core", "%"),
    ],
    measure: || measured_by(&["idle"]),
};

pub const QUEUE: Group = Group {
    metrics: &[
        ("queue.100k.submit_rate", "tasks/s"),
        ("queue.100k.driver_bytes_per_task", "B"),
        ("queue.100k.drain_rate", "tasks/s"),
    ],
    measure: || measured_by(&["queue"]),
};

fn init() -> Result<Vec<Sample>, Failed> {
    let start = Instant::now();
    let ray = ray_core::init()?;
    let started = start.elapsed().as_secs_f64();
    let task = Instant::now();
    noop::remote().get()?;
    let first = task.elapsed().as_secs_f64();
    let end = Instant::now();
    ray.shutdown()?;
    Ok(vec![
        sample("init.ray_init", started),
        sample("init.first_task_after_init", first),
        sample("init.shutdown", end.elapsed().as_secs_f64()),
    ])
}

/// Memory and processor time of this process and its children when nothing happens.
fn idle() -> Result<Vec<Sample>, Failed> {
    let ray = Config::new().workers(2).init()?;
    get_all(&[noop::remote(), noop::remote()])?;
    let settle = Duration::from_millis(500);
    let window = Duration::from_secs(2);
    std::thread::sleep(settle);
    let processes = family()?;
    let before = cpu_seconds(&processes)?;
    let start = Instant::now();
    std::thread::sleep(window);
    let used = (cpu_seconds(&processes)? - before) / start.elapsed().as_secs_f64();
    let mut pss = 0.0;
    for pid in &processes {
        pss += kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:")? / 1024.0;
    }
    ray.shutdown()?;
    Ok(vec![
        sample("idle.pss.total", pss),
        sample("idle.cpu_percent_of_one_core", used * 100.0),
    ])
}

/// Waits until a file appears.
#[remote]
fn gate(path: String) {
    while !std::path::Path::new(&path).exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn queue() -> Result<Vec<Sample>, Failed> {
    const TASKS: usize = 100_000;
    let ray = ray_core::init()?;
    let warm: Vec<_> = (0..1000).map(|_| noop::remote()).collect();
    get_all(&warm)?;
    drop(warm);
    let path = std::env::temp_dir().join(format!("ray-bench-gate-{}", std::process::id()));
    let name = path.to_string_lossy().into_owned();
    let cores = std::thread::available_parallelism()?.get();
    let gates: Vec<_> = (0..cores).map(|_| gate::remote(&name)).collect();
    std::thread::sleep(Duration::from_millis(300));
    let base = kib("/proc/self/status", "VmRSS:")?;
    let start = Instant::now();
    let refs: Vec<_> = (0..TASKS).map(|_| noop::remote()).collect();
    let submit = TASKS as f64 / start.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_millis(300));
    let grown = (kib("/proc/self/status", "VmRSS:")? - base) * 1024.0;
    std::fs::write(&path, "")?;
    get_all(&gates)?;
    let start = Instant::now();
    get_all(&refs)?;
    let drain = TASKS as f64 / start.elapsed().as_secs_f64();
    std::fs::remove_file(&path)?;
    ray.shutdown()?;
    Ok(vec![
        sample("queue.100k.submit_rate", submit),
        sample("queue.100k.driver_bytes_per_task", grown / TASKS as f64),
        sample("queue.100k.drain_rate", drain),
    ])
}

/// This process and its children.
fn family() -> Result<Vec<u32>, Failed> {
    let own = std::process::id();
    let mut found = vec![own];
    for entry in std::fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        // A process may end between listing and reading.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        let parent = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.split(' ').nth(1));
        if parent == Some(own.to_string().as_str()) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Returns for how long the processes' threads have run: by `schedstat`, whose unit is a nanosecond.
fn cpu_seconds(processes: &[u32]) -> Result<f64, Failed> {
    let mut nanos = 0.0;
    for pid in processes {
        for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            let ran = text.split_whitespace().next().unwrap_or_default();
            nanos += ran.parse::<f64>()?;
        }
    }
    Ok(nanos / 1e9)
}

fn kib(path: &str, key: &str) -> Result<f64, Failed> {
    let text = std::fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    Ok(number
        .ok_or_else(|| format!("{path} has no {key}"))?
        .parse()?)
}
