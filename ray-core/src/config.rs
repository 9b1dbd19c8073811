//! Every limit and knob of the runtime: name, unit, default.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ray_engine::{
    env::RuntimeEnv,
    resources::{Amount, Resources},
};

use crate::{
    Error, Ray, Result,
    node::{
        gpus::VisibleGpus,
        memory::{MemoryWatch, from_env},
        process::unusable_folder,
    },
    runtime::start::host_name,
    wire::Content,
    working_dir,
};

/// How the lineage and detached state of a job outlive its owners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// The owner alone knows; its death loses its objects.
    #[default]
    Owner,
}

/// What `init` starts, and its limits.
///
/// ```no_run
/// let ray = ray_core::Config::new().num_cpus(2.0).object_store_memory(256 << 20).init()?;
/// # ray.shutdown()
/// # ; Ok::<(), ray_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) num_cpus: Option<f64>,
    pub(crate) num_gpus: Option<f64>,
    pub(crate) memory: Option<u64>,
    pub(crate) resources: Vec<(String, f64)>,
    pub(crate) object_store_memory: Option<u64>,
    pub(crate) workers: Option<usize>,
    pub(crate) address: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) durability: Durability,
    pub(crate) log_level: Option<String>,
    pub(crate) bind: Option<IpAddr>,
    pub(crate) run_dir: Option<PathBuf>,
    pub(crate) spill_dir: Option<PathBuf>,
    pub(crate) reconnect_within: Duration,
    pub(crate) cache_limit: u64,
    pub(crate) runtime_env: RuntimeEnv,
    pub(crate) memory_usage_threshold: Option<f64>,
    pub(crate) memory_usage_file: Option<PathBuf>,
    pub(crate) memory_monitor_interval: Option<Duration>,
    pub(crate) task_oom_retries: Option<i32>,
}

impl Default for Config {
    fn default() -> Self {
        Config::new()
    }
}

impl Config {
    /// Returns the defaults: all CPUs of the machine, one worker process for each.
    pub fn new() -> Config {
        Config {
            num_cpus: None,
            num_gpus: None,
            memory: None,
            resources: Vec::new(),
            object_store_memory: None,
            workers: None,
            address: None,
            token: None,
            namespace: None,
            durability: Durability::Owner,
            log_level: None,
            bind: None,
            run_dir: None,
            spill_dir: None,
            reconnect_within: RECONNECT_WITHIN,
            cache_limit: CACHE_LIMIT,
            runtime_env: RuntimeEnv::new(),
            memory_usage_threshold: None,
            memory_usage_file: None,
            memory_monitor_interval: None,
            task_oom_retries: None,
        }
    }

    /// Sets the logical CPUs of this node; default: what the machine offers this process.
    pub fn num_cpus(mut self, cpus: f64) -> Self {
        self.num_cpus = Some(cpus);
        self
    }

    /// Sets the logical GPUs of this node; default 0.
    ///
    /// Where `CUDA_VISIBLE_DEVICES` is set, these are the devices that it names, in its order.
    pub fn num_gpus(mut self, gpus: f64) -> Self {
        self.num_gpus = Some(gpus);
        self
    }

    /// Sets the schedulable memory in bytes; default 70 % of what is free.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Adds `amount` of a resource of your own.
    pub fn resource(mut self, name: impl Into<String>, amount: f64) -> Self {
        self.resources.push((name.into(), amount));
        self
    }

    /// Sets the size of the shared-memory store in bytes; default 30 % of the machine's memory.
    pub fn object_store_memory(mut self, bytes: u64) -> Self {
        self.object_store_memory = Some(bytes);
        self
    }

    /// Sets how many worker processes start with the node; default one a CPU.
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = Some(count);
        self
    }

    /// Joins the cluster at `address` instead of starting a node.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Sets the token that lets this driver join a cluster.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the namespace of actor names; default: one of this job's own.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Sets how objects outlive their owner.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets the log filter, as `RAY_LOG` does, which wins over it; default `info`.
    pub fn log_level(mut self, filter: impl Into<String>) -> Self {
        self.log_level = Some(filter.into());
        self
    }

    /// Sets the address that the node listens on; default 127.0.0.1.
    pub fn bind(mut self, address: IpAddr) -> Self {
        self.bind = Some(address);
        self
    }

    /// Sets the folder for this run's logs; default a new one under the system's temporary folder.
    pub fn run_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.run_dir = Some(path.into());
        self
    }

    /// Sets the folder for objects that the store has no room for; default one in the run's folder.
    ///
    /// Values in memory that nobody reads go there, and what is made while all of memory is in use.
    /// Its files have no names: they vanish with the process, however it ends.
    pub fn spill_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.spill_dir = Some(path.into());
        self
    }

    /// Sets how much a head or node keeps of programs that no job uses any more; bytes, default 10 GiB.
    pub fn cache_limit(mut self, bytes: u64) -> Self {
        self.cache_limit = bytes;
        self
    }

    /// Sets how long a driver waits for a head that is away and comes again; default 60 s.
    ///
    /// What runs goes on meanwhile; what only the head can do waits, and fails with `HeadLost` after that.
    pub fn reconnect_within(mut self, patience: Duration) -> Self {
        self.reconnect_within = patience;
        self
    }

    /// Sets the variables and the folder of this job's worker processes.
    ///
    /// Tasks and actors say more with `.options().runtime_env(..)`.
    pub fn runtime_env(mut self, env: RuntimeEnv) -> Self {
        self.runtime_env = env;
        self
    }

    /// Sets the share of memory, from 0 to 1, over which the node ends workers; default 0.95.
    ///
    /// `RAY_MEMORY_USAGE_THRESHOLD` sets the default.
    pub fn memory_usage_threshold(mut self, share: f64) -> Self {
        self.memory_usage_threshold = Some(share);
        self
    }

    /// Sets how often the node looks how much memory is in use; default 250 ms, zero for never.
    ///
    /// `RAY_MEMORY_MONITOR_REFRESH_MS` sets the default.
    pub fn memory_monitor_interval(mut self, interval: Duration) -> Self {
        self.memory_monitor_interval = Some(interval);
        self
    }

    /// Sets a file that tells the memory in use and the memory there is, two numbers of bytes.
    ///
    /// By default the node asks the system: a control group of version 2 with a limit, else the machine. A
    /// file is for limits that neither knows of.
    pub fn memory_usage_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.memory_usage_file = Some(path.into());
        self
    }

    /// Sets how often a task is tried again after its worker was ended for want of memory; default -1, no limit.
    ///
    /// `RAY_TASK_OOM_RETRIES` sets the default. Tasks with `max_retries = 0` are never tried again.
    pub fn task_oom_retries(mut self, retries: i32) -> Self {
        self.task_oom_retries = Some(retries);
        self
    }

    /// Returns what watches the node's memory.
    pub(crate) fn memory_watch(&self) -> Result<Arc<MemoryWatch>> {
        let file = self.memory_usage_file.clone();
        let interval = self.memory_monitor_interval;
        MemoryWatch::new(self.memory_usage_threshold, interval, file).map(Arc::new)
    }

    /// Returns the tries of a task after its worker was ended for want of memory.
    pub(crate) fn oom_retries(&self) -> Result<i32> {
        let retries = match self.task_oom_retries {
            Some(retries) => retries,
            None => from_env("RAY_TASK_OOM_RETRIES", -1)?,
        };
        if retries < -1 {
            return Err(Error::InvalidOption {
                option: "task_oom_retries".into(),
                reason: format!("{retries} is less than -1, which stands for no limit"),
            });
        }
        Ok(retries)
    }

    /// Returns the job's environment, and the archive of its directory when it is sent to other nodes from `cache`.
    ///
    /// When its processes run on this machine, its folder must be here.
    pub(crate) fn env(&self, cache: Option<&Path>) -> Result<(RuntimeEnv, Option<Content>)> {
        let (env, archive) = working_dir::of_job(self.runtime_env.clone(), cache)?;
        if let Some(folder) = env.folder().filter(|_| cache.is_none())
            && let Some(reason) = unusable_folder(Path::new(folder))
        {
            let node = host_name();
            return Err(Error::RuntimeEnv(format!("{reason} on node {node}")));
        }
        Ok((env, archive))
    }

    /// Returns where objects go that the store has no room for; a folder of the user's own is made and tried.
    pub(crate) fn spill_folder(&self, run_dir: &Path) -> Result<PathBuf> {
        let Some(folder) = &self.spill_dir else {
            return Ok(run_dir.join("spill"));
        };
        let tried = std::fs::create_dir_all(folder).and_then(|()| {
            let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
            Ok(rustix::fs::access(folder, access)?)
        });
        match tried {
            Ok(()) => Ok(folder.clone()),
            Err(error) => Err(Error::InvalidOption {
                option: "spill_dir".into(),
                reason: format!("{} cannot be written to: {error}", folder.display()),
            }),
        }
    }

    /// Starts the runtime with this configuration; see [`crate::init`].
    ///
    /// # Errors
    /// An option out of range, a second `init` in one process, or what the system refused.
    pub fn init(self) -> Result<Ray> {
        crate::runtime::init(self)
    }

    /// Returns the node's logical resources.
    pub(crate) fn total_resources(&self) -> Result<Resources> {
        let cpus = self.num_cpus.unwrap_or_else(|| available_cpus() as f64);
        let mut total = Resources::new();
        total.set(Resources::CPU, checked_amount("num_cpus", cpus)?);
        total.set(
            Resources::GPU,
            checked_amount("num_gpus", self.num_gpus.unwrap_or(0.0))?,
        );
        VisibleGpus::of_this_process().check(total.amount(Resources::GPU))?;
        let memory = self
            .memory
            .unwrap_or_else(|| system_memory_bytes() / 10 * 7);
        total.set(Resources::MEMORY, checked_amount("memory", memory as f64)?);
        for (name, amount) in &self.resources {
            if [Resources::CPU, Resources::GPU, Resources::MEMORY].contains(&name.as_str())
                || name.is_empty()
            {
                return Err(Error::InvalidOption {
                    option: "resource".into(),
                    reason: format!("`{name}` is not a name for a resource of your own"),
                });
            }
            let amount = Amount::from_f64(*amount).ok_or_else(|| Error::InvalidOption {
                option: "resource".into(),
                reason: format!("`{name}`: {amount} is not an amount from 0 up"),
            })?;
            total.set(name, amount);
        }
        Ok(total)
    }

    /// Returns the store's size in bytes, in whole segments.
    pub(crate) fn store_bytes(&self) -> Result<u64> {
        let bytes = self.object_store_memory.unwrap_or_else(|| {
            (system_memory_bytes() / 10 * 3).clamp(MIN_STORE_BYTES, DEFAULT_STORE_BYTES_MAX)
        });
        if bytes < MIN_STORE_BYTES {
            return Err(Error::InvalidOption {
                option: "object_store_memory".into(),
                reason: format!("{bytes} bytes is less than the least, {MIN_STORE_BYTES}"),
            });
        }
        Ok(bytes)
    }
}

fn checked_amount(option: &str, value: f64) -> Result<Amount> {
    Amount::from_f64(value).ok_or_else(|| Error::InvalidOption {
        option: option.to_owned(),
        reason: format!("{value} is not an amount from 0 up"),
    })
}

pub(crate) fn available_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

fn system_memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram
        .saturating_mul(u64::from(info.mem_unit.max(1)))
}

/// Results up to this many bytes travel inside the reply; bytes.
pub const INLINE_RESULT_BYTES_MAX: usize = 100 * 1024;
/// The least size of the store; bytes.
pub const MIN_STORE_BYTES: u64 = 16 << 20;
/// The default size of the store is 30 % of the memory, at most this; bytes.
pub const DEFAULT_STORE_BYTES_MAX: u64 = 200 << 30;
/// Items of one stream.
pub const STREAM_ITEMS_MAX: u64 = 100_000_000;
/// Segments that a writer leases ahead; bytes.
pub const SEGMENT_LEASE_BYTES: u64 = 4 << 20;
/// A submitter that finds this much unsent output of one peer waits; bytes.
pub const PEER_QUEUE_BYTES_MAX: usize = 64 << 20;
/// A worker that has not connected this long after its start is given up.
pub const WORKER_START_TIMEOUT: Duration = Duration::from_secs(30);
/// A put waits this long for room in the store before it fails.
pub const STORE_FULL_TIMEOUT: Duration = Duration::from_secs(10);
/// Values up to this size travel inside calls, answers and results between jobs, whose memory is apart; bytes.
pub const BETWEEN_JOBS_BYTES_MAX: usize = 10 << 20;
/// A process waits this long for its node to decide about room.
pub const STORE_ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// Processes have this long to give back what they have leased and do not use, before objects are spilled.
pub const RECALL_PAUSE: Duration = Duration::from_millis(10);
/// While somebody waits for room, the node looks this often at what is read.
pub const PRESSURE_LOOK: Duration = Duration::from_millis(10);
/// What was read back for somebody stays in memory at least this long.
pub const RESTORED_KEPT: Duration = Duration::from_millis(20);
/// A file of spilled objects holds about this much, or an eighth of the store if that is less; bytes.
pub const SPILL_FILE_BYTES_MAX: u64 = 100 << 20;
/// Threads that write spilled objects and read them back.
pub const SPILL_THREADS: usize = 2;
/// A read of another node's object waits this long for its copy.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(600);
/// Arguments of tasks that come from other nodes hold at most this share of the store; percent.
pub const ARGUMENTS_PERCENT_MAX: u64 = 70;
/// What nobody waits for any more goes on arriving this long, for who asks again.
pub const GIVEN_UP_LINGERS: Duration = Duration::from_secs(2);
/// One part of an object on its way between nodes; bytes.
pub const CHUNK_BYTES: u64 = 4 << 20;
/// Nodes that one node sends parts of one object to at a time; others are sent to newer holders.
pub const SERVED_AT_ONCE: usize = 2;
/// Nodes that a copy is sent on to at a time while it is still arriving: what they have of it differs.
pub const RELAYED_AT_ONCE: usize = 4;
/// A node that asked for nothing this long makes room for another to be served.
pub const SERVED_PAUSE: Duration = Duration::from_millis(50);
/// Parts of objects that wait to be sent to one node before the sender waits; bytes.
pub const BULK_QUEUE_BYTES: usize = 8 << 20;
/// The largest piece of a collective call that travels at once; bytes.
pub const COLLECTIVE_CHUNK_BYTES: u64 = 1 << 20;
/// Pieces of a collective call that may be on the way to a member that has not taken them.
pub const COLLECTIVE_WINDOW: u64 = 8;
/// Smaller pieces travel in a frame even to a member on the same node; bytes.
///
/// Measured there: no difference at 1 KB, a third faster through the arena at 4 KB, four times at 32 KB.
pub const COLLECTIVE_SHARED_BYTES_MIN: usize = 2 << 10;
/// What came for groups that are still forming, in all; parts.
pub const COLLECTIVE_EARLY_PARTS_MAX: usize = 256;
/// A member that waits this long for another gives up, unless its group says otherwise.
pub const COLLECTIVE_TIMEOUT: Duration = Duration::from_secs(300);
/// A process of this machine that says nothing for this long is lost.
pub const LOCAL_SILENCE: Duration = Duration::from_secs(30);
/// A process of a cluster of several nodes that says nothing for this long is lost.
pub const CLUSTER_SILENCE: Duration = Duration::from_secs(9);
/// The runtime waits this long at shutdown for its workers to end by themselves.
pub const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);
/// Worker processes of one node, blocked ones counted and those that host actors not.
pub const WORKERS_MAX: usize = 512;
/// Pages of the store that are made in the background after the start; bytes.
pub const FAULT_AHEAD_BYTES_MIN: u64 = 8 << 20;
/// Pages that are made in the background ahead of what is in use, at most; bytes.
pub const FAULT_AHEAD_BYTES_MAX: u64 = 256 << 20;
/// A node of which nothing is heard for this long is dead; after a third of it, it gets no new work.
pub const NODE_SILENCE: Duration = Duration::from_secs(3);
/// How often a node says that it lives.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(300);
/// Programs that a head or node keeps, unless those of jobs that run need more; bytes.
pub const CACHE_LIMIT: u64 = 10 << 30;
/// Arguments of a detached actor up to this size are kept, so that it can be restarted without its creator; bytes.
pub const RECIPE_BYTES_MAX: usize = 512 << 10;
/// A node and a driver wait this long for a head that is gone, and a head for the nodes of the one before.
pub const RECONNECT_WITHIN: Duration = Duration::from_secs(60);
/// A head that was started again keeps the question for a name open this long while others may tell of it.
pub const LOOKUP_PATIENCE: Duration = Duration::from_secs(20);
/// Such questions at most; further ones are answered at once.
pub const LOOKUPS_MAX: usize = 10_000;
/// Tasks or objects that one process names when somebody lists them.
pub const GATHER_ROWS_MAX: usize = 2000;
/// Calls that have ended and of which a worker can still tell.
pub const EVENTS_KEPT: usize = 2000;
/// Calls that one answer about the whole cluster tells of, the newest.
pub const EVENTS_MAX: usize = 20_000;
/// A list of tasks or objects waits this long for processes to answer.
pub const GATHER_TIMEOUT: Duration = Duration::from_secs(2);
/// A node has this long to answer for its logs.
pub const NODE_LOG_TIMEOUT: Duration = Duration::from_secs(5);
/// Worker processes that have ended and are still listed.
pub const ENDED_WORKERS_MAX: usize = 1000;
/// Submitted jobs that are over and still listed.
pub const ENDED_JOBS_MAX: usize = 1000;
/// A job's program has this long to end after it was asked to.
pub const JOB_STOP_GRACE: Duration = Duration::from_secs(3);
/// The port of a head's front desk, UDP.
pub const DESK_PORT: u16 = 6379;
/// A newcomer at the front desk has this long for the handshake, and for finding the head at all.
pub const DESK_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// A request at the front desk has this long to arrive, and its answer to be taken.
pub const DESK_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections to the front desk; past it the oldest gives way to the newest.
pub const DESK_CONNECTIONS_MAX: usize = 256;
/// Requests that the front desk answers at once; others wait.
pub const DESK_REQUESTS_MAX: usize = 16;
/// How far the clocks of two machines of one cluster may differ.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5 * 60);
