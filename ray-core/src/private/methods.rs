//! The table of everything that can be called in this executable.

use std::{
    collections::BTreeMap,
    hash::{Hash as _, Hasher as _},
    sync::OnceLock,
};

use ray_engine::failure::RetryOn;

use super::{ActorOptions, Call, CallError, Create, MethodForms, Results};
use crate::{Data, actor::CallLimits};

/// A task, a method or a constructor.
pub struct Method {
    /// Hash of everything below that says which function it is.
    pub id: u64,
    /// `square`, or `Counter::add`.
    pub name: &'static str,
    /// The package of its crate.
    pub package: &'static str,
    /// The package's version.
    pub version: &'static str,
    /// Its module.
    pub module: &'static str,
    /// Its file.
    pub file: &'static str,
    /// Its line.
    pub line: u32,
    /// Its column.
    pub column: u32,
    /// Its arguments and result as written.
    pub signature: &'static str,
    /// How many results it has.
    pub returns: u16,
    /// Whether its results arrive one by one; it then has one more, which tells how it ended.
    pub streams: bool,
    /// What its attribute says.
    pub defaults: TaskDefaults,
    /// How to run it.
    pub invoke: Invoke,
}

impl Method {
    /// Returns after how many runs its worker leaves, 0 for never: when nothing is said, after the first with GPUs,
    /// since libraries keep the memory that they took of these.
    pub(crate) fn calls_max(&self, devices: &[u32]) -> u32 {
        let default = u32::from(!devices.is_empty());
        self.defaults.max_calls.unwrap_or(default)
    }
}

/// How to run something.
pub enum Invoke {
    /// A task.
    Task(fn(&Call, &mut Results<'_>) -> Result<(), CallError>),
    /// A constructor.
    Create(Create),
    /// A method, and its class.
    Method(MethodForms, &'static ActorClass),
    /// Every actor's answer that it runs.
    Ready,
}

/// Which failures of user code an attribute has tried again.
#[derive(Clone, Copy)]
pub enum RetryExceptions {
    /// None.
    Never,
    /// All of them.
    Always,
    /// Returned errors of the types behind these; see [`cause_layout`].
    Of(&'static [fn() -> u64]),
}

impl RetryExceptions {
    pub(crate) fn to_retry_on(self) -> RetryOn {
        match self {
            RetryExceptions::Never => RetryOn::Nothing,
            RetryExceptions::Always => RetryOn::Everything,
            RetryExceptions::Of(types) => {
                RetryOn::Causes(types.iter().map(|layout| layout()).collect())
            }
        }
    }
}

/// Returns the number that stands for an error type among the causes of failures.
pub fn cause_layout<E: Data>() -> u64 {
    crate::data::layout::<E>()
}

/// What an attribute says about calls.
pub struct TaskDefaults {
    /// CPUs.
    pub num_cpus: Option<f64>,
    /// GPUs.
    pub num_gpus: Option<f64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Resources of the user's own.
    pub resources: &'static [(&'static str, f64)],
    /// Tries after a crash.
    pub max_retries: Option<i32>,
    /// Which failures of user code are tried again.
    pub retry_exceptions: Option<RetryExceptions>,
    /// Runs after which a worker leaves; 0 for never.
    pub max_calls: Option<u32>,
    /// The name in logs.
    pub name: Option<&'static str>,
    /// The concurrency group of a method.
    pub concurrency_group: Option<&'static str>,
    /// Items of a stream that may wait for its consumer.
    pub backpressure: Option<u32>,
}

impl TaskDefaults {
    /// What is said by saying nothing.
    pub const NONE: TaskDefaults = TaskDefaults {
        num_cpus: None,
        num_gpus: None,
        memory: None,
        resources: &[],
        max_retries: None,
        retry_exceptions: None,
        max_calls: None,
        name: None,
        concurrency_group: None,
        backpressure: None,
    };

    /// Returns whether nothing is said about resources.
    pub(crate) fn is_one_cpu(&self) -> bool {
        self.num_cpus.is_none()
            && self.num_gpus.is_none()
            && self.memory.is_none()
            && self.resources.is_empty()
    }
}

/// How an actor is hosted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorMode {
    /// On one thread, without a lock.
    Local,
    /// On several threads.
    Threaded,
    /// Its methods interleave on one thread.
    Async,
}

/// A class of actors.
pub struct ActorClass {
    /// Hash of package, module and name.
    pub id: u64,
    /// Its name.
    pub name: &'static str,
    /// What its attribute says.
    pub defaults: ActorDefaults,
}

/// What an actor's attribute says.
pub struct ActorDefaults {
    /// CPUs, for placing and running.
    pub num_cpus: Option<f64>,
    /// GPUs.
    pub num_gpus: Option<f64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Resources of the user's own.
    pub resources: &'static [(&'static str, f64)],
    /// Restarts over its life.
    pub max_restarts: Option<i32>,
    /// Tries of a call after a crash.
    pub max_task_retries: Option<i32>,
    /// Calls at once.
    pub max_concurrency: Option<u32>,
    /// Groups of methods, and how many calls of each run at once.
    pub concurrency_groups: &'static [(&'static str, u32)],
    /// Pending calls of one handle holder.
    pub max_pending_calls: Option<u64>,
    /// Whether a panic restarts it.
    pub on_panic_restart: bool,
}

impl ActorDefaults {
    /// What is said by saying nothing.
    pub const NONE: ActorDefaults = ActorDefaults {
        num_cpus: None,
        num_gpus: None,
        memory: None,
        resources: &[],
        max_restarts: None,
        max_task_retries: None,
        max_concurrency: None,
        concurrency_groups: &[],
        max_pending_calls: None,
        on_panic_restart: false,
    };
}

impl ActorClass {
    /// Returns how an actor of this class is hosted that runs `max_concurrency` calls at once.
    pub(crate) fn mode(&self, max_concurrency: Option<u32>) -> ActorMode {
        let any_async = METHODS.iter().any(|method| match &method.invoke {
            Invoke::Method(forms, class) => class.id == self.id && forms.is_async(),
            _ => false,
        });
        if any_async {
            ActorMode::Async
        } else if max_concurrency.is_some_and(|limit| limit > 1)
            || !self.defaults.concurrency_groups.is_empty()
        {
            ActorMode::Threaded
        } else {
            ActorMode::Local
        }
    }

    /// Returns the number of a concurrency group, from 1; 0 is the default group.
    pub(crate) fn group(&self, name: &str) -> Option<u16> {
        let position = self
            .defaults
            .concurrency_groups
            .iter()
            .position(|(group, _)| *group == name)?;
        u16::try_from(position + 1).ok()
    }

    pub(crate) fn call_limits(&self, options: &ActorOptions) -> CallLimits {
        let defaults = &self.defaults;
        let concurrency = options.max_concurrency.or(defaults.max_concurrency);
        CallLimits {
            ordered: self.mode(concurrency) == ActorMode::Local,
            max_task_retries: options
                .max_task_retries
                .or(defaults.max_task_retries)
                .unwrap_or(0),
            max_pending_calls: options
                .max_pending_calls
                .or(defaults.max_pending_calls)
                .unwrap_or(0),
        }
    }
}

/// Every function that was marked, from all crates of the executable.
#[allow(
    unsafe_code,
    reason = "linkme gathers the entries through a link section"
)]
#[linkme::distributed_slice]
pub static METHODS: [Method];

#[allow(
    unsafe_code,
    reason = "linkme gathers the entries through a link section"
)]
#[linkme::distributed_slice(METHODS)]
static READY: Method = Method {
    id: method_id(&["ray-core", "ready"], 0, 0),
    name: "ready",
    package: "ray-core",
    version: "",
    module: "ray_core",
    file: "",
    line: 0,
    column: 0,
    signature: "()",
    returns: 1,
    streams: false,
    defaults: TaskDefaults::NONE,
    invoke: Invoke::Ready,
};

/// Returns the method that every actor answers once it runs.
pub fn ready_method() -> &'static Method {
    &READY
}

/// Fails to compile unless the actor has a concurrency group of this name, or no groups at all.
pub const fn assert_group(class: &ActorClass, name: &str) {
    const fn is_same(left: &[u8], right: &[u8]) -> bool {
        if left.len() != right.len() {
            return false;
        }
        let mut at = 0;
        while at < left.len() {
            if left[at] != right[at] {
                return false;
            }
            at += 1;
        }
        true
    }
    let groups = class.defaults.concurrency_groups;
    if groups.is_empty() {
        return;
    }
    let mut at = 0;
    while at < groups.len() {
        if is_same(groups[at].0.as_bytes(), name.as_bytes()) {
            return;
        }
        at += 1;
    }
    panic!(
        "the actor has no such concurrency group: declare it with the others, in `#[actor(concurrency_groups(..))]`"
    );
}

/// Hashes a function's identity; the same in every build of the same source.
pub const fn method_id(parts: &[&str], line: u32, column: u32) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut part = 0;
    while part < parts.len() {
        let bytes = parts[part].as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
            at += 1;
        }
        hash = (hash ^ 0xff).wrapping_mul(0x0100_0000_01b3);
        part += 1;
    }
    hash = (hash ^ line as u64).wrapping_mul(0x0100_0000_01b3);
    (hash ^ ((column as u64) << 32)).wrapping_mul(0x0100_0000_01b3)
}

/// The functions by id.
pub struct Table {
    by_id: BTreeMap<u64, &'static Method>,
    twice: Option<String>,
}

/// Returns the table of this executable.
pub fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut by_id = BTreeMap::new();
        let mut twice = None;
        for method in METHODS.iter() {
            if let Some(other) = by_id.insert(method.id, method) {
                let other: &Method = other;
                twice = Some(format!(
                    "two functions have one id: {} at {}:{} and {} at {}:{}",
                    method.name, method.file, method.line, other.name, other.file, other.line
                ));
            }
        }
        Table { by_id, twice }
    })
}

impl Table {
    /// Returns the function with this id.
    pub(crate) fn find(&self, id: u64) -> Option<&'static Method> {
        self.by_id.get(&id).copied()
    }

    /// Returns what is wrong with the table, if something is.
    pub(crate) fn conflict(&self) -> Option<&str> {
        self.twice.as_deref()
    }

    /// Returns a hash of all functions, never 0.
    pub(crate) fn hash(&self) -> u64 {
        let mut hasher = rustc_hash::FxHasher::default();
        for id in self.by_id.keys() {
            id.hash(&mut hasher);
        }
        hasher.finish() | 1
    }

    /// Returns one line a function, in the order of names.
    pub(crate) fn describe(&self) -> Vec<String> {
        let mut lines = self
            .by_id
            .values()
            .map(|method| {
                format!(
                    "{} {} {}::{} {}:{}:{} {}",
                    method.package,
                    method.version,
                    method.module,
                    method.name,
                    method.file,
                    method.line,
                    method.column,
                    method.signature
                )
            })
            .collect::<Vec<_>>();
        lines.sort();
        lines
    }
}
