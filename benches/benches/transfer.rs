//! One object of 1 GiB between two nodes of this machine, and small calls meanwhile.
//!
//! Prints a line of JSON a number: `transfer.floor.1GB` and `transfer.1GB` of each round and as medians, their ratio,
//! and `transfer.call.p50` and `.p99` before and during. The floor is raw quinn between two bare processes.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use ray_core::{
    Config, Error,
    daemon::{HeadConfig, NodeConfig, NodeOptions},
    prelude::*,
    put,
};

const BYTES: usize = 1 << 30;
const STORE: u64 = 5 << 29;
const ROUNDS: usize = 5;

#[remote(num_cpus = 0)]
fn len_of(bytes: &Archived<Vec<u8>>) -> u64 {
    bytes.len() as u64
}

#[actor(num_cpus = 0)]
struct Echo;

#[remote]
impl Echo {
    pub fn new() -> Self {
        Echo
    }

    pub fn echo(&self, value: u64) -> u64 {
        value
    }
}

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("head") => {
            let head = HeadConfig {
                node: options(0.0),
                port: 0,
                ..HeadConfig::default()
            }
            .start()?;
            println!("{} {}", head.address(), head.token().unwrap_or_default());
            let _reason = head.wait_for_stop();
            head.stop();
            Ok(())
        }
        Some("node") => {
            let node = NodeConfig {
                address: arguments.next().unwrap_or_default(),
                token: arguments.next().unwrap_or_default(),
                node: options(2.0),
                ..NodeConfig::default()
            }
            .start()?;
            println!("{}", node.node_id());
            let _reason = node.wait_for_stop();
            node.stop();
            Ok(())
        }
        Some("drive") => {
            let address = arguments.next().unwrap_or_default();
            measure(&address, &arguments.next().unwrap_or_default())
        }
        Some("floor") => ray_floor::bulk_server().map_err(bare),
        Some("measure-floor") => floor().map(drop),
        _ => {
            let (_head, line) = begin(&["head"])?;
            let (address, token) = line.split_once(' ').unwrap_or_default();
            let (_node, _) = begin(&["node", address, token])?;
            let status = Command::new(std::env::current_exe().unwrap_or_default())
                .args(["drive", address, token])
                .status();
            match status {
                Ok(status) if status.success() => Ok(()),
                other => Err(Error::System(format!("the driver ended with {other:?}"))),
            }
        }
    }
}

fn options(cpus: f64) -> NodeOptions {
    NodeOptions {
        config: Config::new().num_cpus(cpus).object_store_memory(STORE),
        ..NodeOptions::default()
    }
}

/// A process of the cluster, ended when dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

/// Starts this program again; returns it and its first line.
fn begin(arguments: &[&str]) -> Result<(Daemon, String), Error> {
    let failed = |error: std::io::Error| Error::System(format!("no daemon: {error}"));
    let mut child = Command::new(std::env::current_exe().map_err(failed)?)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout)
            .read_line(&mut line)
            .map_err(failed)?;
    }
    Ok((Daemon(child), line.trim().to_owned()))
}

fn measure(address: &str, token: &str) -> Result<(), Error> {
    // In a worker this does not return.
    let ray = Config::new()
        .object_store_memory(STORE)
        .address(address)
        .token(token)
        .init()?;
    let floor = floor()?;
    let echo = Echo::remote();
    let before = latencies(&echo, &mut |calls| calls < 2000)?;
    let source = vec![7_u8; BYTES];
    let mut rates = Vec::new();
    for round in 0..ROUNDS {
        let object = put(&source)?;
        let is_done = AtomicBool::new(false);
        let (seconds, during) = std::thread::scope(|scope| {
            let transfer = scope.spawn(|| {
                let start = Instant::now();
                let len = len_of::remote(&object).get();
                is_done.store(true, Ordering::Release);
                len.map(|_| start.elapsed().as_secs_f64())
            });
            let during = latencies(&echo, &mut |_| !is_done.load(Ordering::Acquire));
            (transfer.join(), during)
        });
        let seconds = seconds.map_err(|_| Error::System("the transfer panicked".into()))??;
        rates.push(BYTES as f64 / 1e9 / seconds);
        print("transfer.1GB", BYTES as f64 / 1e9 / seconds, "GB/s");
        if round == ROUNDS - 1 {
            report("before", before.clone());
            report("during", during?);
        }
    }
    let ours = ray_floor::median(&mut rates);
    print("transfer.1GB.median", ours, "GB/s");
    print("transfer.1GB.ratio", ours / floor, "x of the floor");
    ray.shutdown()
}

/// Measures raw quinn; returns the median, GB/s.
fn floor() -> Result<f64, Error> {
    let program = std::env::current_exe().map_err(|error| bare(error.into()))?;
    let argv = [program.to_string_lossy().into_owned(), "floor".into()];
    let mut rates = ray_floor::measure_bulk(&argv, BYTES, ROUNDS).map_err(bare)?;
    for rate in &rates {
        print("transfer.floor.1GB", *rate, "GB/s");
    }
    let median = ray_floor::median(&mut rates);
    print("transfer.floor.1GB.median", median, "GB/s");
    Ok(median)
}

fn bare(error: ray_floor::FloorError) -> Error {
    Error::System(format!("the floor could not be measured: {error}"))
}

/// Calls one after the other; returns how long each took, in microseconds.
fn latencies(echo: &EchoHandle, goes_on: &mut dyn FnMut(usize) -> bool) -> Result<Vec<f64>, Error> {
    let mut all = Vec::new();
    while goes_on(all.len()) {
        let start = Instant::now();
        echo.echo(all.len() as u64).get()?;
        all.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(all)
}

fn report(when: &str, mut all: Vec<f64>) {
    all.sort_unstable_by(f64::total_cmp);
    for percent in [50, 99] {
        let at = all.get(all.len() * percent / 100).copied();
        let name = format!("transfer.call.{when}.p{percent}");
        print(&name, at.unwrap_or_default(), "us");
    }
}

fn print(metric: &str, value: f64, unit: &str) {
    println!("{{\"metric\": \"{metric}\", \"value\": {value:.3}, \"unit\": \"{unit}\"}}");
}
