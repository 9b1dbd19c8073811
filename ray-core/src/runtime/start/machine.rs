//! What a start needs of this machine: folders, a log, names and addresses.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    Error, Result,
    control::current::{private_folder, temporary_folder},
    runtime::old_runs,
};

pub(crate) fn run_dir(wanted: Option<&Path>) -> Result<PathBuf> {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let ours = temporary_folder();
    let path = wanted
        .map(Path::to_owned)
        .unwrap_or_else(|| ours.join(format!("run-{seconds}-{}", std::process::id())));
    let make = || {
        if wanted.is_none() {
            // Anybody can make a folder of this name in a shared one, and would own what is in it.
            private_folder(&ours)?;
        }
        fs::create_dir_all(path.join("logs"))
    };
    make().map_err(|error| Error::InvalidOption {
        option: "run_dir".into(),
        reason: format!("{} cannot be made: {error}", path.display()),
    })?;
    if wanted.is_none() {
        let is_alive = |process: u32| Path::new("/proc").join(process.to_string()).exists();
        let prune = move || {
            if let Err(error) = old_runs::prune(&ours, is_alive) {
                tracing::debug!(%error, "old runs stay");
            }
        };
        // Nobody waits for it, and a system without another thread goes on as well.
        let _detached = std::thread::Builder::new()
            .name("ray-prune".into())
            .spawn(prune);
    }
    Ok(path)
}

/// Writes the log of this process into the run's folder, unless the program has a log of its own.
pub(crate) fn start_log(run_dir: &Path, name: &str, filter: &str) {
    let path = run_dir
        .join("logs")
        .join(format!("{name}-{}.log", std::process::id()));
    let Ok(file) = fs::File::create(path) else {
        return;
    };
    let filter = tracing_subscriber::EnvFilter::try_new(filter).unwrap_or_else(|_| "info".into());
    // A program with its own subscriber keeps it.
    let _kept = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::sync::Mutex::new(file))
        .try_init();
}

pub(crate) fn log_filter(level: Option<&str>) -> String {
    std::env::var("RAY_LOG")
        .ok()
        .or_else(|| level.map(str::to_owned))
        .unwrap_or_else(|| "info".into())
}

/// Returns the name of this machine.
pub(crate) fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// Returns the address of this machine from which another is reached.
pub(crate) fn local_address_towards(other: SocketAddr) -> Option<IpAddr> {
    let any = match other {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    // Connecting a UDP socket sends nothing; the system picks the route.
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(other).ok()?;
    socket.local_addr().ok().map(|addr| addr.ip())
}
