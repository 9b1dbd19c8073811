//! Watches how much of the machine's memory is in use, and ends one worker at a time when that is too much.
//!
//! Memory that the system takes back by itself when it is wanted, file pages above all, is not counted. A
//! control group of version 2 that limits this process, or one above it, is what counts; else the machine.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ray_engine::{failure::ExitKind, time::Time};

use super::{NodeRole, NodeState};
use crate::{Error, Result, runtime::Runtime};

/// When and where to look, and how much may be in use.
pub(crate) struct MemoryWatch {
    /// Holds used and available bytes as two numbers; `None` to ask the system.
    file: Option<PathBuf>,
    /// The share of memory that may be in use, from 0 to 1.
    threshold: f64,
    /// How often to look; zero for never.
    period: Duration,
    /// When to look again; as [`Time`].
    due: AtomicU64,
    /// Reads that failed since the last that did not.
    failures: AtomicU64,
}

/// Memory in use and memory there is; bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Usage {
    used: u64,
    total: u64,
}

impl MemoryWatch {
    /// Returns the watch of a node; what is not given is in the environment, or the default.
    ///
    /// # Errors
    /// `InvalidOption` for a threshold outside 0 to 1 or a period that is no number.
    pub(crate) fn new(
        threshold: Option<f64>,
        period: Option<Duration>,
        file: Option<PathBuf>,
    ) -> Result<MemoryWatch> {
        let threshold = match threshold {
            Some(threshold) => threshold,
            None => from_env("RAY_MEMORY_USAGE_THRESHOLD", THRESHOLD)?,
        };
        if !(0.0..=1.0).contains(&threshold) {
            return Err(Error::InvalidOption {
                option: "memory_usage_threshold".into(),
                reason: format!("{threshold} is no share from 0 to 1"),
            });
        }
        let period = match period {
            Some(period) => period,
            None => Duration::from_millis(from_env("RAY_MEMORY_MONITOR_REFRESH_MS", PERIOD_MS)?),
        };
        Ok(MemoryWatch {
            file,
            threshold,
            period,
            due: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    fn read(&self) -> io::Result<Usage> {
        match &self.file {
            Some(file) => {
                let text = fs::read_to_string(file)?;
                let mut numbers = text.split_whitespace().map(str::parse::<u64>);
                match (numbers.next(), numbers.next()) {
                    (Some(Ok(used)), Some(Ok(total))) => Ok(Usage { used, total }),
                    _ => Err(io::Error::other("it does not hold two numbers")),
                }
            }
            None => match of_control_group(Path::new(CONTROL_GROUPS))? {
                Some(usage) => Ok(usage),
                None => of_machine(&fs::read_to_string("/proc/meminfo")?),
            },
        }
    }

    fn is_over(&self, usage: Usage) -> bool {
        usage.used as f64 > usage.total as f64 * self.threshold
    }
}

/// Returns a variable of the environment, or what it is when it is not set.
pub(crate) fn from_env<T: std::str::FromStr>(name: &str, default: T) -> Result<T> {
    match std::env::var(name) {
        Err(_) => Ok(default),
        Ok(text) => text.parse().map_err(|_| Error::InvalidOption {
            option: name.to_owned(),
            reason: format!("{text:?} is no number that it could be"),
        }),
    }
}

/// Returns the usage of the nearest control group around this process that has a limit.
fn of_control_group(root: &Path) -> io::Result<Option<Usage>> {
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let Some(own) = own.lines().find_map(|line| line.strip_prefix("0::/")) else {
        return Ok(None);
    };
    let own = root.join(own);
    let groups = own.ancestors().take_while(|group| group.starts_with(root));
    for group in groups {
        // The root group has no limit, and a container may not see all of those above it.
        let Ok(limit) = fs::read_to_string(group.join("memory.max")) else {
            continue;
        };
        let Ok(total) = limit.trim().parse() else {
            continue;
        };
        let current = fs::read_to_string(group.join("memory.current"))?;
        let stat = fs::read_to_string(group.join("memory.stat"))?;
        let used = current.trim().parse::<u64>().map_err(io::Error::other)?;
        let reclaimable = field(&stat, "inactive_file ").unwrap_or(0);
        return Ok(Some(Usage {
            used: used.saturating_sub(reclaimable),
            total,
        }));
    }
    Ok(None)
}

fn of_machine(meminfo: &str) -> io::Result<Usage> {
    let kib = |name| field(meminfo, name).ok_or_else(|| io::Error::other(format!("no {name}")));
    let (total, available) = (kib("MemTotal:")?, kib("MemAvailable:")?);
    Ok(Usage {
        used: total.saturating_sub(available) << 10,
        total: total << 10,
    })
}

/// Returns the first number after a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

impl NodeRole {
    /// Looks at the memory when that is due.
    pub(crate) fn watch_memory(&self, runtime: &Arc<Runtime>) {
        let watch = &self.memory;
        if watch.period.is_zero() {
            return;
        }
        let now = runtime.now();
        let due = Time(watch.due.load(Ordering::Relaxed));
        if now < due {
            return runtime.clock.arm(due);
        }
        let next = now + watch.period;
        watch.due.store(next.0, Ordering::Relaxed);
        runtime.clock.arm(next);
        match watch.read() {
            Ok(usage) => {
                watch.failures.store(0, Ordering::Relaxed);
                if watch.is_over(usage) {
                    self.on_memory_short(runtime, usage);
                }
            }
            Err(error) => {
                // It is looked for again and again; once is enough for the log.
                if watch.failures.fetch_add(1, Ordering::Relaxed) == 0 {
                    let file = watch.file.as_deref().unwrap_or(Path::new("the system"));
                    let file = file.display();
                    tracing::warn!(%error, %file, "how much memory is in use cannot be read");
                }
            }
        }
    }

    fn on_memory_short(&self, runtime: &Arc<Runtime>, usage: Usage) {
        let percent = self.memory.threshold * 100.0;
        let Usage { used, total } = usage;
        self.with_state(runtime, |state, _| {
            let (node, name) = (runtime.node(), &state.settings.name);
            let text = format!(
                "{used} of {total} bytes are in use on node {node} ({name}), over its threshold of {percent} %"
            );
            if let Some(pid) = state.choose_victim(text) {
                self.start.kill(pid);
            }
        });
    }
}

impl NodeState {
    /// Notes why a worker ends; nobody while another is on its way out.
    fn choose_victim(&mut self, why: String) -> Option<u32> {
        let mut ending = self.workers.values();
        if ending.any(|worker| worker.out_of_memory.is_some()) {
            return None;
        }
        let process = self.scheduler.memory_victim()?;
        let worker = self.workers.get_mut(&process)?;
        tracing::warn!(%process, pid = worker.pid, reason = %why, "a worker is ended for want of memory");
        let detail = format!("it was ended for want of memory: {why}");
        worker.ends(ExitKind::SystemError, detail);
        worker.out_of_memory = Some(why);
        Some(worker.pid)
    }
}

/// Where control groups of version 2 are.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";
/// The share of memory that may be in use, when nothing else is said.
const THRESHOLD: f64 = 0.95;
/// How often the memory is looked at, when nothing else is said; milliseconds.
const PERIOD_MS: u64 = 250;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_would_give_back_is_not_in_use() {
        let text = "MemTotal:  1000 kB\nMemFree:  100 kB\nMemAvailable:  400 kB\n";
        let usage = of_machine(text).expect("both are there");
        assert_eq!((usage.used, usage.total), (600 << 10, 1000 << 10));
        assert!(of_machine("MemTotal: 1 kB\n").is_err());
    }

    #[test]
    fn the_threshold_itself_is_not_over_it() {
        let watch = MemoryWatch::new(Some(0.5), None, None).expect("a share");
        let is_over = |used| watch.is_over(Usage { used, total: 100 });
        assert!(!is_over(50));
        assert!(is_over(51));
        for wrong in [-0.1, 1.1, f64::NAN] {
            assert!(MemoryWatch::new(Some(wrong), None, None).is_err());
        }
    }

    #[test]
    fn this_machine_says_how_much_is_in_use() {
        let watch = MemoryWatch::new(Some(0.95), None, None).expect("a share");
        let usage = watch.read().expect("it can be read");
        assert!(usage.used > 0 && usage.used <= usage.total, "{usage:?}");
    }

    #[test]
    fn a_file_holds_used_and_total() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().to_owned();
        let watch = MemoryWatch::new(Some(0.95), None, Some(path.clone())).expect("a share");
        assert!(watch.read().is_err());
        fs::write(&path, "96 100\n").expect("it is written");
        let usage = watch.read().expect("two numbers");
        assert!(watch.is_over(usage));
    }
}
