//! Heads and nodes that the figures' drivers join.

use ray_core::{
    Config,
    daemon::{Daemon, HeadConfig, NodeConfig, NodeOptions},
};
use ray_tests::Cluster;

use super::report::Failed;

/// Starts a head without CPUs and nodes with these; drivers find it by [`environment`].
pub fn cluster(nodes: &[&[&str]]) -> Result<Cluster, Failed> {
    let executable = std::env::current_exe()?;
    let executable = executable
        .to_str()
        .ok_or("this executable's path is no UTF-8")?;
    // It lives as long as this process, which starts a few.
    let mut cluster = Cluster::start(executable.to_owned().leak(), &["0"]);
    for node in nodes {
        cluster.join(node);
    }
    Ok(cluster)
}

/// What lets a driver join.
pub fn environment(cluster: &Cluster) -> [(&str, &str); 2] {
    [
        ("RAY_ADDRESS", cluster.address()),
        ("RAY_TOKEN", cluster.token()),
    ]
}

/// `head CPUS`: tells its address and token.
pub fn head(rest: &[&str]) -> Result<(), Failed> {
    let config = HeadConfig {
        node: options(rest)?,
        port: 0,
        ..HeadConfig::default()
    };
    let head = config.start()?;
    println!("{} {}", head.address(), head.token().unwrap_or_default());
    stay(head);
    Ok(())
}

/// `node ADDRESS TOKEN CPUS [NAME=AMOUNT]`: tells its id.
pub fn node(address: &str, token: &str, rest: &[&str]) -> Result<(), Failed> {
    let config = NodeConfig {
        address: address.to_owned(),
        token: token.to_owned(),
        node: options(rest)?,
        ..NodeConfig::default()
    };
    let node = config.start()?;
    println!("{}", node.node_id());
    stay(node);
    Ok(())
}

fn stay(daemon: Daemon) {
    daemon.wait_for_stop();
    daemon.stop();
}

fn options(words: &[&str]) -> Result<NodeOptions, Failed> {
    let (cpus, resources) = words.split_first().ok_or("how many CPUs?")?;
    let mut config = Config::new()
        .num_cpus(cpus.parse()?)
        .object_store_memory(STORE_BYTES)
        .log_level("warn");
    for resource in resources {
        let (name, amount) = resource
            .split_once('=')
            .ok_or("resources are NAME=AMOUNT")?;
        config = config.resource(name, amount.parse()?);
    }
    Ok(NodeOptions {
        config,
        ..NodeOptions::default()
    })
}

/// Of each node; bytes.
const STORE_BYTES: u64 = 1 << 30;
