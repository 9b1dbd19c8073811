//! The checks, from the machine up to the cluster; each judges numbers that it is given, so that it can be tried.

use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ray_core::control::Current;
use rustix::{
    fs::{MemfdFlags, memfd_create, statvfs},
    process::{Resource, getrlimit},
};

use super::Finding;
use crate::{connect::Connect, table::size};

/// Returns what all checks found.
pub(super) fn all(port: u16, connect: &Connect) -> Vec<Finding> {
    let current = Current::find();
    let known = current.as_ref().ok().and_then(Option::as_ref);
    let head_port = known.and_then(|current| current.address.rsplit(':').next()?.parse().ok());
    vec![
        version(),
        cpus(),
        memory(),
        shared_memory(),
        shm_folder(),
        open_files(soft_limit(Resource::Nofile)),
        processes(soft_limit(Resource::Nproc)),
        file_size(soft_limit(Resource::Fsize)),
        udp_buffers(read_number("rmem_max"), read_number("wmem_max")),
        loopback(),
        desk_port(port, head_port == Some(port)),
        run_folder(),
        clock(now_s()),
        cluster(&current, connect),
    ]
}

fn version() -> Finding {
    let profile = if cfg!(debug_assertions) {
        ", a debug build"
    } else {
        ""
    };
    let found = format!("ray {}{profile}", env!("CARGO_PKG_VERSION"));
    match cfg!(debug_assertions) {
        true => Finding::warn(
            "version",
            found,
            "for speed build with `cargo build --release`",
        ),
        false => Finding::ok("version", found),
    }
}

fn cpus() -> Finding {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    match count {
        1 => Finding::warn(
            "cpus",
            "1",
            "driver and worker take turns on one; give the container or the process more",
        ),
        _ => Finding::ok("cpus", count.to_string()),
    }
}

fn memory() -> Finding {
    let info = rustix::system::sysinfo();
    let unit = u64::from(info.mem_unit.max(1));
    let total = info.totalram.saturating_mul(unit);
    judge_memory(total, cgroup_limit())
}

/// The object store is sized by the machine's memory, which a container's limit may be far below.
fn judge_memory(total: u64, limit: Option<u64>) -> Finding {
    let store = total / 10 * 3;
    match limit.filter(|limit| *limit < total) {
        Some(limit) if store > limit / 2 => Finding::warn(
            "memory",
            format!(
                "{} of the machine, of which this container may use {}",
                size(total as f64),
                size(limit as f64)
            ),
            format!(
                "the store would take {} by itself: give --object-store-memory {} and --memory {}",
                size(store as f64),
                limit / 10 * 3,
                limit / 10 * 7
            ),
        ),
        Some(limit) => Finding::ok("memory", format!("{} (container)", size(limit as f64))),
        None => Finding::ok("memory", size(total as f64)),
    }
}

/// Returns the memory that the control group of this process may use.
fn cgroup_limit() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let file = format!("/sys/fs/cgroup{path}/memory.max");
    let text = fs::read_to_string(file)
        .or_else(|_| fs::read_to_string("/sys/fs/cgroup/memory.max"))
        .ok()?;
    text.trim().parse().ok()
}

/// Objects lie in memory that has a descriptor and no name.
fn shared_memory() -> Finding {
    match memfd_create(
        "ray-doctor",
        MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
    ) {
        Ok(_) => Finding::ok("shared memory", "memfd_create works"),
        Err(error) => Finding::fail(
            "shared memory",
            format!("memfd_create: {error}"),
            "the object store needs it: allow memfd_create in the sandbox or seccomp profile",
        ),
    }
}

/// Other programs often fail for a small /dev/shm; this one keeps nothing there.
fn shm_folder() -> Finding {
    let found = match statvfs("/dev/shm") {
        Ok(facts) => size(facts.f_frsize.saturating_mul(facts.f_blocks) as f64),
        Err(error) => format!("not there ({error})"),
    };
    Finding::ok(
        "/dev/shm",
        format!("{found}; not used, its size does not matter"),
    )
}

fn soft_limit(resource: Resource) -> Option<u64> {
    getrlimit(resource).current
}

fn open_files(limit: Option<u64>) -> Finding {
    match limit {
        Some(limit) if limit < 256 => Finding::fail(
            "open files",
            limit.to_string(),
            "a node keeps several a worker: `ulimit -n 65536`, or LimitNOFILE=65536 in its unit",
        ),
        Some(limit) if limit < 4096 => Finding::warn(
            "open files",
            limit.to_string(),
            "enough for some hundred workers: `ulimit -n 65536`, or LimitNOFILE=65536 in its unit",
        ),
        limit => Finding::ok("open files", shown(limit)),
    }
}

fn processes(limit: Option<u64>) -> Finding {
    match limit {
        Some(limit) if limit < 1024 => Finding::warn(
            "processes",
            limit.to_string(),
            "a worker is a process with some threads: `ulimit -u 4096` or more",
        ),
        limit => Finding::ok("processes", shown(limit)),
    }
}

fn file_size(limit: Option<u64>) -> Finding {
    match limit {
        Some(bytes) => Finding::fail(
            "file size",
            size(bytes as f64),
            "the object store is one file in memory: `ulimit -f unlimited`",
        ),
        None => Finding::ok("file size", "unlimited"),
    }
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or("unlimited".into(), |limit| limit.to_string())
}

fn read_number(name: &str) -> Option<u64> {
    let path = Path::new("/proc/sys/net/core").join(name);
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn udp_buffers(receive: Option<u64>, send: Option<u64>) -> Finding {
    let (Some(receive), Some(send)) = (receive, send) else {
        return Finding::ok(
            "udp buffers",
            "the system does not say how large they may be",
        );
    };
    let found = format!(
        "up to {} to receive, {} to send",
        size(receive as f64),
        size(send as f64)
    );
    match receive.min(send) < UDP_BUFFER_BYTES {
        true => Finding::warn(
            "udp buffers",
            found,
            format!(
                "between machines bursts are lost and sent again: as root, `sysctl -w net.core.rmem_max={0} \
                 net.core.wmem_max={0}`",
                UDP_BUFFER_BYTES
            ),
        ),
        false => Finding::ok("udp buffers", found),
    }
}

/// What a connection's socket asks for.
const UDP_BUFFER_BYTES: u64 = 8 << 20;

/// Processes of one machine speak UDP to each other.
fn loopback() -> Finding {
    let name = "loopback";
    let round = || {
        let one = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        other.set_read_timeout(Some(Duration::from_secs(1)))?;
        one.send_to(b"ray", other.local_addr()?)?;
        other.recv_from(&mut [0; 8])
    };
    match round() {
        Ok(_) => Finding::ok(name, "UDP goes through"),
        Err(error) => Finding::fail(
            name,
            format!("UDP on 127.0.0.1: {error}"),
            "`ip link set lo up`, and let the firewall pass UDP on lo",
        ),
    }
}

fn desk_port(port: u16, is_own: bool) -> Finding {
    let name = "port";
    match UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)) {
        Ok(_) => Finding::ok(name, format!("UDP {port} is free for a head")),
        Err(_) if is_own => Finding::ok(name, format!("your head listens on UDP {port}")),
        Err(error) => Finding::warn(
            name,
            format!("UDP {port}: {error}"),
            "somebody else listens there, or it is not yours to use; start a head with another --port",
        ),
    }
}

fn run_folder() -> Finding {
    let name = "run folder";
    let folder = std::env::temp_dir();
    let tried = PathBuf::from(format!("ray-doctor-{}", std::process::id()));
    let path = folder.join(tried);
    let made = fs::File::create_new(&path).map(drop);
    fs::remove_file(&path).ok();
    if let Err(error) = made {
        return Finding::fail(
            name,
            format!("{}: {error}", folder.display()),
            "set TMPDIR to a folder that can be written to, or start with --run-dir",
        );
    }
    let free = statvfs(&folder).map(|facts| facts.f_frsize.saturating_mul(facts.f_bavail));
    match free {
        Ok(free) if free < SPACE_BYTES => Finding::warn(
            name,
            format!("{} has {} left", folder.display(), size(free as f64)),
            "logs, programs and spilled objects go there: make room, or start with --run-dir and --spill-dir",
        ),
        Ok(free) => Finding::ok(
            name,
            format!("{}, {} left", folder.display(), size(free as f64)),
        ),
        Err(error) => Finding::ok(name, format!("{} ({error})", folder.display())),
    }
}

/// Less than this is soon full.
const SPACE_BYTES: u64 = 2 << 30;

fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn clock(now_s: u64) -> Finding {
    // Certificates are good from a moment before they are made.
    match now_s < YEAR_2025_S {
        true => Finding::fail(
            "clock",
            format!("it shows {now_s} s since 1970"),
            "certificates would be refused: set it, for example with `timedatectl set-ntp true`",
        ),
        false => Finding::ok("clock", "it shows a year that can be"),
    }
}

/// No build of this is older.
const YEAR_2025_S: u64 = 1_735_689_600;

fn cluster(current: &ray_core::Result<Option<Current>>, connect: &Connect) -> Finding {
    let name = "cluster";
    let is_named = std::env::var_os("RAY_ADDRESS").is_some() || connect.has_address();
    match current {
        Err(error) => return Finding::fail(name, error.to_string(), "remove that file"),
        Ok(None) if !is_named => {
            return Finding::ok(
                name,
                "none: no head of yours here, and RAY_ADDRESS is not set",
            );
        }
        Ok(_) => {}
    }
    let client = match connect.client() {
        Ok(client) => client,
        Err(error) => return Finding::fail(name, "it cannot be asked", error.to_string()),
    };
    match client.status() {
        Err(error) => Finding::fail(name, format!("at {}", client.address()), format!("{error}")),
        Ok(status) => judge_cluster(client.address(), &status.version, status.clock_s, now_s()),
    }
}

fn judge_cluster(address: &str, version: &str, clock_s: u64, now_s: u64) -> Finding {
    let name = "cluster";
    let own = env!("CARGO_PKG_VERSION");
    let apart = clock_s.abs_diff(now_s);
    if version != own {
        return Finding::warn(
            name,
            format!("at {address} runs {version}, this is {own}"),
            "use one build for both",
        );
    }
    let limit = ray_core::config::CLOCK_SKEW_MAX.as_secs();
    match apart {
        // A head that does not say it is older.
        _ if clock_s == 0 || apart <= 5 => Finding::ok(name, format!("at {address} it answers")),
        _ if apart <= limit => Finding::warn(
            name,
            format!("at {address}; the clocks differ by {apart} s"),
            "times in logs and timelines do not match: set both clocks",
        ),
        _ => Finding::fail(
            name,
            format!("at {address}; the clocks differ by {apart} s"),
            format!("nobody can join over {limit} s: set both clocks"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Grade;

    #[test]
    fn limits_are_judged_by_what_a_node_needs() {
        for (limit, grade) in [
            (Some(64), Grade::Fail),
            (Some(1024), Grade::Warn),
            (Some(65_536), Grade::Ok),
            (None, Grade::Ok),
        ] {
            let finding = open_files(limit);
            assert_eq!(finding.grade, grade, "{finding:?}");
            assert_eq!(finding.advice.is_empty(), grade == Grade::Ok);
        }
        assert_eq!(processes(Some(100)).grade, Grade::Warn);
        assert_eq!(file_size(Some(1 << 20)).grade, Grade::Fail);
        assert_eq!(udp_buffers(Some(212_992), Some(212_992)).grade, Grade::Warn);
        assert_eq!(udp_buffers(Some(8 << 20), Some(16 << 20)).grade, Grade::Ok);
        assert_eq!(udp_buffers(None, None).grade, Grade::Ok);
    }

    #[test]
    fn a_container_that_is_smaller_than_its_machine_is_told_what_to_offer() {
        let finding = judge_memory(100 << 30, Some(8 << 30));
        assert_eq!(finding.grade, Grade::Warn);
        assert!(
            finding.advice.contains("--object-store-memory"),
            "{finding:?}"
        );
        assert_eq!(judge_memory(8 << 30, Some(7 << 30)).grade, Grade::Ok);
        assert_eq!(judge_memory(8 << 30, None).grade, Grade::Ok);
    }

    #[test]
    fn clocks_and_versions_are_compared() {
        let own = env!("CARGO_PKG_VERSION");
        let grade = |version, clock, now| judge_cluster("head:6379", version, clock, now).grade;
        assert_eq!(grade(own, 1000, 1003), Grade::Ok);
        assert_eq!(grade(own, 1000, 1030), Grade::Warn);
        assert_eq!(grade(own, 1000, 2000), Grade::Fail);
        assert_eq!(grade("0.0.0-other", 1000, 1000), Grade::Warn);
        assert_eq!(clock(1_000).grade, Grade::Fail);
    }
}
