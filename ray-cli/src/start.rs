//! `ray start`: the head of a new cluster, or a node that joins one.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    net::IpAddr,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use ray_core::{
    Config,
    control::Current,
    daemon::{Daemon, HeadConfig, NodeConfig, NodeOptions, StopReason, Stopper},
};
use rustix::{
    fs::{Mode, OFlags},
    stdio::{dup2_stderr, dup2_stdout},
};

use crate::{
    Failed, options,
    table::{note, print, say},
};

/// The options of `ray start`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  ray start --head --bind 10.0.0.1 --daemon\n  \
                  RAY_TOKEN=... ray start --address 10.0.0.1:6379 --num-gpus 1"
)]
pub struct Options {
    /// Start the head of a new cluster, with a node of its own.
    #[arg(long, conflicts_with_all = ["address", "token"], required_unless_present = "address")]
    head: bool,
    /// Join the cluster whose head listens there.
    #[arg(long, value_name = "HOST:PORT", value_parser = options::address)]
    address: Option<String>,
    /// What lets this node join [default: RAY_TOKEN, which other users cannot read in a process list].
    #[arg(long)]
    token: Option<String>,
    /// Where newcomers knock at the head, UDP; 0 takes a free one.
    #[arg(long, default_value_t = ray_core::config::DESK_PORT, conflicts_with = "address")]
    port: u16,
    /// The address to listen on [default: 127.0.0.1].
    #[arg(long, value_name = "IP")]
    bind: Option<IpAddr>,
    /// The address that others reach this node at, when it is another.
    #[arg(long, value_name = "IP")]
    advertise: Option<IpAddr>,
    /// The name this node is listed under [default: the host's].
    #[arg(long, value_parser = options::text)]
    name: Option<String>,
    /// CPUs to offer [default: all].
    #[arg(long, value_name = "N", value_parser = options::amount, allow_negative_numbers = true)]
    num_cpus: Option<f64>,
    /// GPUs to offer [default: 0].
    #[arg(long, value_name = "N", value_parser = options::amount, allow_negative_numbers = true)]
    num_gpus: Option<f64>,
    /// Memory to offer, for example 8GiB [default: 70 % of the machine's].
    #[arg(long, value_name = "SIZE", value_parser = options::size)]
    memory: Option<u64>,
    /// Resources of your own to offer.
    #[arg(long, value_name = "NAME=N,...", value_parser = options::amounts)]
    resources: Option<BTreeMap<String, f64>>,
    /// What placement by labels looks at.
    #[arg(long, value_name = "NAME=VALUE,...", value_parser = options::pairs)]
    labels: Option<BTreeMap<String, String>>,
    /// The object store's size, for example 4GiB [default: 30 % of the machine's memory].
    #[arg(long, value_name = "SIZE", value_parser = options::size)]
    object_store_memory: Option<u64>,
    /// How long certificates are good; they are renewed in time [default: 7d].
    #[arg(long, value_name = "SPAN", value_parser = options::span, conflicts_with = "address")]
    certificate_life: Option<u64>,
    /// How long to wait for a head that is gone, and the head for the nodes of the one before it.
    #[arg(long, value_name = "SPAN", value_parser = options::span, default_value = "60s")]
    reconnect_within: u64,
    /// The folder for logs and state [default: a new temporary one].
    #[arg(long, value_name = "PATH")]
    run_dir: Option<PathBuf>,
    /// The folder for objects that memory has no room for [default: one in the run's folder].
    #[arg(long, value_name = "PATH")]
    spill_dir: Option<PathBuf>,
    /// How much to keep of programs that no job uses any more, for example 2GiB [default: 10GiB].
    #[arg(long, value_name = "SIZE", value_parser = options::size)]
    cache_limit: Option<u64>,
    /// Go on in the background once it is ready.
    #[arg(long)]
    daemon: bool,
    /// Stay in the foreground, as without --daemon.
    #[arg(long, conflicts_with = "daemon")]
    block: bool,
    /// This process was started by `--daemon`.
    #[arg(long, hide = true, conflicts_with = "daemon")]
    detached: bool,
}

/// What a detached process says last to the one that started it.
const READY: &str = "ray: ready";

/// Runs `ray start`.
///
/// # Errors
/// What kept it from starting, or that a node lost its head.
pub fn run(options: Options) -> Result<(), Failed> {
    if options.daemon {
        return detach(options.head);
    }
    let address = options.address.clone();
    if options.detached {
        rustix::process::setsid()?;
    }
    let is_detached = options.detached;
    let patience = options.reconnect_within;
    let stopper = end_on_signals()?;
    let other = options.head.then(another_head).flatten();
    let daemon = start(options)?;
    stopper.set(daemon.stopper()).ok();
    greet(&daemon, address.as_deref());
    if let Some(Current { address, pid, .. }) = other {
        note(format_args!(
            "another head of yours runs at {address} (pid {pid}); `ray stop` and the other commands go to \
             this one from now on, unless --address and --token say otherwise"
        ));
    }
    if is_detached {
        let logs = daemon.run_dir().join("logs");
        print([format!("logs: {}", logs.display()), READY.to_owned()])?;
        leave_terminal(&daemon)?;
    } else {
        say("Ctrl-C ends it");
    }
    let why = daemon.wait_for_stop();
    let daemon_saw = daemon.last_of_head();
    daemon.stop();
    match why {
        StopReason::HeadLost => Err(format!(
            "the head is gone, and did not come back within {patience} s: {daemon_saw}; start this node \
             again once a head runs"
        )
        .into()),
        _ => Ok(()),
    }
}

/// Returns the head that commands without an address go to so far.
fn another_head() -> Option<Current> {
    let found = Current::find().ok()??;
    let process = std::path::Path::new("/proc").join(found.pid.to_string());
    process.exists().then_some(found)
}

fn start(options: Options) -> Result<Daemon, Failed> {
    let node = NodeOptions {
        config: config(&options),
        name: options.name,
        labels: options.labels.unwrap_or_default(),
        advertise: options.advertise,
    };
    let Some(address) = options.address else {
        return Ok(HeadConfig {
            node,
            port: options.port,
            returns_within: std::time::Duration::from_secs(options.reconnect_within),
            certificate_life: match options.certificate_life {
                None => HeadConfig::default().certificate_life,
                Some(seconds) => std::time::Duration::from_secs(seconds),
            },
            ..HeadConfig::default()
        }
        .start()?);
    };
    let token = options.token.or_else(|| std::env::var("RAY_TOKEN").ok());
    let token = token.ok_or_else(|| {
        format!(
            "joining the cluster at {address} takes a token: run `ray token create` where its head \
             runs, then set RAY_TOKEN"
        )
    })?;
    Ok(NodeConfig {
        node,
        address,
        token,
        reconnect_within: std::time::Duration::from_secs(options.reconnect_within),
    }
    .start()?)
}

/// Says what there is now, and what to do with it.
fn greet(daemon: &Daemon, joined: Option<&str>) {
    let node = daemon.node_id();
    if let Some(address) = joined {
        say(format_args!("node {node} of the cluster at {address}"));
        return;
    }
    let address = daemon.address();
    say(format_args!("head at {address}, node {node}"));
    say("  look at it:     ray status");
    say("  let others in:  ray token create --role node");
    say(format_args!(
        "  add a machine:  RAY_TOKEN=<token> ray start --address {address}"
    ));
    say(format_args!(
        "  use it:         RAY_ADDRESS={address} RAY_TOKEN=<token> <program>"
    ));
}

/// Lets Ctrl-C, SIGTERM and SIGHUP end this process in order, and a second one at once.
fn end_on_signals() -> Result<Arc<OnceLock<Stopper>>, Failed> {
    let stopper = Arc::new(OnceLock::<Stopper>::new());
    let (known, is_ending) = (stopper.clone(), AtomicBool::new(false));
    ctrlc::set_handler(move || match known.get() {
        Some(stopper) if !is_ending.swap(true, Ordering::Relaxed) => stopper.stop(),
        // There is nothing to end in order yet, or somebody is in earnest.
        _ => std::process::exit(130),
    })?;
    Ok(stopper)
}

fn config(options: &Options) -> Config {
    let mut config = Config::new();
    if let Some(cpus) = options.num_cpus {
        config = config.num_cpus(cpus);
    }
    if let Some(gpus) = options.num_gpus {
        config = config.num_gpus(gpus);
    }
    if let Some(bytes) = options.memory {
        config = config.memory(bytes);
    }
    for (name, amount) in options.resources.iter().flatten() {
        config = config.resource(name, *amount);
    }
    if let Some(bytes) = options.object_store_memory {
        config = config.object_store_memory(bytes);
    }
    if let Some(bind) = options.bind {
        config = config.bind(bind);
    }
    if let Some(path) = &options.run_dir {
        config = config.run_dir(path);
    }
    if let Some(path) = &options.spill_dir {
        config = config.spill_dir(path);
    }
    if let Some(bytes) = options.cache_limit {
        config = config.cache_limit(bytes);
    }
    config
}

/// Starts this command again in a session of its own; returns when that one is ready.
fn detach(is_head: bool) -> Result<(), Failed> {
    let arguments = std::env::args_os()
        .skip(1)
        .filter(|argument| argument != "--daemon");
    let mut child = Command::new(std::env::current_exe()?)
        .args(arguments)
        .arg("--detached")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let said = child.stdout.take().ok_or("no pipe from the process")?;
    for line in BufReader::new(said).lines() {
        let line = line?;
        if line == READY {
            let ends = if is_head {
                "`ray stop` ends the cluster"
            } else {
                "SIGTERM ends it, and so does `ray stop --node` at the head"
            };
            let pid = child.id();
            say(format_args!(
                "it runs in the background as process {pid}; {ends}"
            ));
            return Ok(());
        }
        say(line);
    }
    // It has said on standard error why it did not start.
    Err(format!("it did not start ({})", child.wait()?).into())
}

/// Points what is printed from now on to a file beside the logs.
fn leave_terminal(daemon: &Daemon) -> Result<(), Failed> {
    let path = daemon
        .run_dir()
        .join("logs")
        .join(format!("output-{}.log", std::process::id()));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
    dup2_stdout(&file)?;
    dup2_stderr(&file)?;
    Ok(())
}
