//! Objects between nodes of this machine: one of 1 GiB to one node, small calls meanwhile, one of 256 MiB to four.
//!
//! Prints a line of JSON a number: `transfer.floor.1GB` and `transfer.1GB` of each round, taken in turn, and as medians,
//! their ratio, `transfer.call.p50` and `.p99` before a transfer and during one, and what of a broadcast its source
//! serves, in copies. The floor is raw quinn between two bare processes. The first transfer is into a store
//! whose pages the system has yet to make, and stands apart.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use ray_core::{
    Config, Error, NodeId, Strategy,
    daemon::{HeadConfig, NodeConfig, NodeOptions},
    get_all, object_store_stats,
    prelude::*,
    put,
};

const BYTES: usize = 1 << 30;
const ROUNDS: usize = 7;
const STORE: u64 = 5 << 29;
const BROADCAST_BYTES: usize = 256 << 20;
const BROADCAST_NODES: usize = 4;
const BROADCAST_ROUNDS: usize = 5;
const BROADCAST_STORE: u64 = 600 << 20;

/// Takes a CPU, of which the driver's node has none: it runs elsewhere.
#[remote]
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
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["head"] => {
            let head = HeadConfig {
                node: options(0.0, STORE),
                port: 0,
                ..HeadConfig::default()
            }
            .start()?;
            println!("{} {}", head.address(), head.token().unwrap_or_default());
            let _reason = head.wait_for_stop();
            head.stop();
            Ok(())
        }
        ["node", address, token, store] => {
            let store = store.parse().map_err(|_| wrong("a store has a size"))?;
            let node = NodeConfig {
                address: (*address).to_owned(),
                token: (*token).to_owned(),
                node: options(2.0, store),
                ..NodeConfig::default()
            }
            .start()?;
            println!("{}", node.node_id());
            let _reason = node.wait_for_stop();
            node.stop();
            Ok(())
        }
        ["drive", "transfer", address, token] => transfer(address, token),
        ["drive", "broadcast", address, token] => broadcast(address, token),
        ["floor"] => ray_floor::bulk_server().map_err(bare),
        ["measure-floor"] => floor(ROUNDS).map(drop),
        // Whoever starts a bench says so.
        ["--bench"] | [] => {
            with_nodes("transfer", 1, STORE)?;
            with_nodes("broadcast", BROADCAST_NODES, BROADCAST_STORE)
        }
        ["transfer", ..] => with_nodes("transfer", 1, STORE),
        ["broadcast", ..] => with_nodes("broadcast", BROADCAST_NODES, BROADCAST_STORE),
        other => Err(wrong(&format!(
            "{other:?} is neither `transfer` nor `broadcast`"
        ))),
    }
}

fn wrong(text: &str) -> Error {
    Error::System(text.to_owned())
}

/// Runs a driver in a cluster of a head and so many nodes.
fn with_nodes(what: &str, nodes: usize, store: u64) -> Result<(), Error> {
    let (_head, line) = begin(&["head"])?;
    let (address, token) = line.split_once(' ').unwrap_or_default();
    let store = store.to_string();
    let begun = (0..nodes).map(|_| begin(&["node", address, token, &store]));
    let _nodes = begun.collect::<Result<Vec<_>, _>>()?;
    let status = Command::new(std::env::current_exe().unwrap_or_default())
        .args(["drive", what, address, token])
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        other => Err(Error::System(format!("the driver ended with {other:?}"))),
    }
}

fn options(cpus: f64, store: u64) -> NodeOptions {
    NodeOptions {
        config: Config::new()
            .num_cpus(cpus)
            .object_store_memory(store)
            .log_level("warn"),
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

fn join(address: &str, token: &str, store: u64) -> Result<ray_core::Ray, Error> {
    // In a worker this does not return.
    Config::new()
        .object_store_memory(store)
        .address(address)
        .token(token)
        .init()
}

fn transfer(address: &str, token: &str) -> Result<(), Error> {
    let ray = join(address, token, STORE)?;
    let source = vec![7_u8; BYTES];
    len_of::remote(&put(&vec![0_u8])?).get()?;
    let once = || -> Result<f64, Error> {
        let object = put(&source)?;
        let start = Instant::now();
        len_of::remote(&object).get()?;
        Ok(BYTES as f64 / 1e9 / start.elapsed().as_secs_f64())
    };
    print("transfer.1GB.first", once()?, "GB/s");
    let (mut floors, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floors.extend(floor(1)?);
        let rate = once()?;
        print("transfer.1GB", rate, "GB/s");
        rates.push(rate);
    }
    let (floor, ours) = (
        ray_floor::median(&mut floors),
        ray_floor::median(&mut rates),
    );
    print("transfer.floor.1GB.median", floor, "GB/s");
    print("transfer.1GB.median", ours, "GB/s");
    print("transfer.1GB.ratio", ours / floor, "x of the floor");
    let echo = Echo::remote();
    report("before", latencies(&echo, &mut |calls| calls < 2000)?);
    let is_done = AtomicBool::new(false);
    let (moved, during) = std::thread::scope(|scope| {
        let moving = scope.spawn(|| {
            let moved = once();
            is_done.store(true, Ordering::Release);
            moved
        });
        let during = latencies(&echo, &mut |_| !is_done.load(Ordering::Acquire));
        (moving.join(), during)
    });
    let rate = moved.map_err(|_| wrong("the transfer panicked"))??;
    print("transfer.1GB.with_calls", rate, "GB/s");
    report("during", during?);
    ray.shutdown()
}

fn broadcast(address: &str, token: &str) -> Result<(), Error> {
    let ray = join(address, token, BROADCAST_STORE)?;
    let nodes: Vec<NodeId> = ray_core::nodes()?
        .into_iter()
        .filter(|node| node.alive && node.resources.get("CPU") > 0.0)
        .map(|node| node.id)
        .collect();
    let everywhere = |object: &ObjectRef<Vec<u8>>| {
        let lens: Vec<ObjectRef<u64>> = nodes
            .iter()
            .map(|node| {
                let strategy = Strategy::NodeAffinity {
                    node: *node,
                    soft: false,
                };
                len_of::options().scheduling(strategy).remote(object)
            })
            .collect();
        get_all(&lens)
    };
    everywhere(&put(&vec![0_u8])?)?;
    let source = vec![7_u8; BROADCAST_BYTES];
    let (mut served, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..BROADCAST_ROUNDS {
        let object = put(&source)?;
        let before = object_store_stats()?.served_bytes;
        let start = Instant::now();
        everywhere(&object)?;
        let seconds = start.elapsed().as_secs_f64();
        let copies = (object_store_stats()?.served_bytes - before) as f64;
        served.push(copies / BROADCAST_BYTES as f64);
        rates.push((BROADCAST_BYTES * nodes.len()) as f64 / 1e9 / seconds);
        print(
            "broadcast.256MB.served_by_source",
            served[served.len() - 1],
            "copies",
        );
        print("broadcast.256MB", rates[rates.len() - 1], "GB/s to all");
    }
    print("broadcast.256MB.nodes", nodes.len() as f64, "nodes");
    print(
        "broadcast.256MB.served_by_source.median",
        ray_floor::median(&mut served),
        "copies",
    );
    print(
        "broadcast.256MB.median",
        ray_floor::median(&mut rates),
        "GB/s to all",
    );
    ray.shutdown()
}

/// Measures raw quinn so many times; GB/s each.
fn floor(rounds: usize) -> Result<Vec<f64>, Error> {
    let program = std::env::current_exe().map_err(|error| bare(error.into()))?;
    let argv = [program.to_string_lossy().into_owned(), "floor".into()];
    let rates = ray_floor::measure_bulk(&argv, BYTES, rounds).map_err(bare)?;
    for rate in &rates {
        print("transfer.floor.1GB", *rate, "GB/s");
    }
    Ok(rates)
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
