//! Small drivers that the integration tests run, watch and kill from outside.

use std::collections::BTreeMap;

use ray_core::{
    Amount, Config, Error, Lifetime, PlacementGroup, PlacementStrategy, Resources,
    daemon::{Daemon, HeadConfig, NodeConfig, NodeOptions},
    placement_group,
    prelude::*,
    put, wait,
};

#[remote]
fn speak(word: String) -> u32 {
    println!("says {word}");
    eprintln!("whispers {word}");
    std::process::id()
}

#[remote]
fn visible_gpus() -> String {
    std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_else(|_| "all".into())
}

#[remote]
fn pid() -> u32 {
    std::process::id()
}

#[remote]
fn forever() {
    loop {
        std::thread::park();
    }
}

#[remote]
fn held(begun: String, gate: String) {
    ray_tests::add_token(&begun);
    ray_tests::take_token(&gate);
}

#[actor]
struct Speaker;

#[remote]
impl Speaker {
    pub fn new() -> Self {
        Speaker
    }

    pub fn speak(&mut self, word: String) -> u32 {
        println!("says {word}");
        std::process::id()
    }

    pub fn stop(&mut self) {
        forever();
    }

    pub fn pass(&mut self) {}
}

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let done = match what.as_str() {
        "head" => head(arguments),
        "node" => node(arguments),
        _ => run(&what),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("drill: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// `head CPUS [@ADDRESS] [store=MIB] [NAME=AMOUNT…]`: tells its address and token, and stays until it is asked to end.
fn head(arguments: impl Iterator<Item = String>) -> Result<(), Error> {
    let config = HeadConfig {
        node: options(arguments),
        port: 0,
        infeasible_grace: Some(std::time::Duration::ZERO),
        ..HeadConfig::default()
    };
    let head = config.start()?;
    let token = head.token().unwrap_or_default();
    println!("{} {token}", head.address());
    stay(head);
    Ok(())
}

/// `node ADDRESS TOKEN CPUS [store=MIB] [NAME=AMOUNT…] [%LABEL=VALUE…]`: tells its id.
fn node(mut arguments: impl Iterator<Item = String>) -> Result<(), Error> {
    let config = NodeConfig {
        address: arguments.next().unwrap_or_default(),
        token: arguments.next().unwrap_or_default(),
        // The tests' heads do not come back.
        reconnect_within: std::time::Duration::ZERO,
        node: options(arguments),
    };
    let node = config.start()?;
    println!("{}", node.node_id());
    stay(node);
    Ok(())
}

fn stay(daemon: Daemon) {
    let reason = daemon.wait_for_stop();
    println!("{reason:?}");
    daemon.stop();
}

fn options(mut arguments: impl Iterator<Item = String>) -> NodeOptions {
    let cpus = arguments
        .next()
        .and_then(|cpus| cpus.parse().ok())
        .unwrap_or(1.0);
    let mut config = Config::new()
        .num_cpus(cpus)
        .object_store_memory(256 << 20)
        .log_level("debug");
    let mut labels = BTreeMap::new();
    for argument in arguments {
        if let Some((key, value)) = argument
            .strip_prefix('%')
            .and_then(|label| label.split_once('='))
        {
            labels.insert(key.to_owned(), value.to_owned());
        } else if let Some(address) = argument.strip_prefix('@') {
            let address = address.parse();
            config = config.bind(address.expect("`@` comes before an address"));
        } else if let Some(mib) = argument.strip_prefix("store=") {
            let mib: u64 = mib.parse().expect("`store=` comes before MiB");
            config = config.object_store_memory(mib << 20);
        } else if let Some((name, amount)) = argument.split_once('=') {
            config = config.resource(name, amount.parse().unwrap_or(1.0));
        }
    }
    NodeOptions {
        config,
        labels,
        ..NodeOptions::default()
    }
}

fn run(what: &str) -> Result<(), Error> {
    let gpus = if what == "gpus" { 2.0 } else { 0.0 };
    let ray = Config::new().num_gpus(gpus).init()?;
    match what {
        // Tells what work with all GPUs and work without any sees.
        "gpus" => {
            let both = visible_gpus::options().num_gpus(2.0).remote().get()?;
            let others = visible_gpus::remote().get()?;
            let others = if others.is_empty() {
                "nothing"
            } else {
                &others
            };
            println!("both see {both}, others see {others}");
        }
        // Holds a CPU in a placement group until its input ends.
        "group" => {
            let cpu = Resources::new().with(Resources::CPU, Amount::ONE);
            let group = placement_group(&[cpu], PlacementStrategy::Pack)?;
            group.ready().get()?;
            // An error is an end too.
            let _ended = std::io::stdin().read_line(&mut String::new());
        }
        // Leaves a group behind that has a name and holds a CPU.
        "pool" => {
            let cpu = Resources::new().with(Resources::CPU, Amount::ONE);
            let pool = PlacementGroup::options()
                .name("pool")
                .namespace("shared")
                .lifetime(Lifetime::Detached);
            let pool = pool.create(&[cpu], PlacementStrategy::Pack)?;
            pool.ready().get()?;
        }
        "output" => {
            let task = speak::remote("hello").get()?;
            let speaker = Speaker::remote();
            let actor = speaker.speak("hi").get()?;
            println!("pids {task} {actor}");
        }
        // Submits calls behind one that never ends.
        "gather" => {
            let speaker = Speaker::remote();
            let blocked = speaker.stop();
            let calls: Vec<_> = (0..25_000).map(|_| speaker.pass()).collect();
            println!("{} calls behind {blocked:?}", calls.len());
        }
        // Tells its workers' ids and stays until it is killed.
        "stay" => {
            let actors: Vec<_> = (0..2).map(|_| Speaker::remote()).collect();
            let mut pids = vec![pid::remote().get()?];
            for actor in &actors {
                pids.push(actor.speak("ready").get()?);
            }
            let _busy = forever::remote();
            let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
            println!("pids {}", pids.join(" "));
            loop {
                std::thread::park();
            }
        }
        // Waits for what comes when the test says so: `DRILL_BEGUN` and `DRILL_GATE` name its tokens.
        "wait" => {
            let [begun, gate] = ["DRILL_BEGUN", "DRILL_GATE"]
                .map(|name| std::env::var(name).expect("the test sets it"));
            let _large = put(&vec![1_u8; 32 << 20])?;
            let speaker = Speaker::options().name("speaker").remote();
            let pids = [pid::remote().get()?, speaker.speak("ready").get()?];
            println!("pids {} {}", pids[0], pids[1]);
            let held = held::remote(begun, gate);
            let (ready, pending) = wait(&[held], 1, None)?;
            println!("{} ready, {} pending", ready.len(), pending.len());
        }
        "twice" => match ray_core::init() {
            Err(error) => println!("refused: {error}"),
            Ok(_) => println!("a second init was let through"),
        },
        "nodes" => {
            for node in ray_core::nodes()? {
                println!("node alive={} workers={}", node.alive, node.workers);
            }
        }
        other => eprintln!("there is no drill called {other}"),
    }
    ray.shutdown()
}
