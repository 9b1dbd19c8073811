//! `#[ray_core::test]`: a test that is a driver in a process of its own.

use std::{
    process::{Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{node::process, object_store_stats, runtime::Runtime};

/// Marks the child process in which the test's body runs.
const MARKER: &str = "RAY_TEST_DRIVER";
/// With this a test fails as well when its values are still in the store when its runtime ends.
const LEAKS: &str = "RAY_TEST_LEAKS";

/// Whether the end of a runtime in this process is looked at, and whether something was left.
static LOOKS: AtomicBool = AtomicBool::new(false);
static HAS_LEFT: AtomicBool = AtomicBool::new(false);

/// What a test may return.
pub trait TestResult {
    /// Says whether it went well, and prints why not.
    fn is_ok(&self) -> bool;
}

impl TestResult for () {
    fn is_ok(&self) -> bool {
        true
    }
}

impl<T: TestResult, E: std::fmt::Debug> TestResult for Result<T, E> {
    fn is_ok(&self) -> bool {
        match self {
            Ok(inner) => inner.is_ok(),
            Err(error) => {
                eprintln!("Error: {error:?}");
                false
            }
        }
    }
}

impl TestResult for ExitCode {
    fn is_ok(&self) -> bool {
        *self == ExitCode::SUCCESS
    }
}

/// Runs `body` as a driver in a child process; in a worker of that child it runs the worker.
///
/// # Panics
/// When the body failed: the test's failure, with the child's output above it.
pub fn run<R: TestResult>(module: &str, name: &str, body: fn() -> R) {
    if process::is_worker() {
        crate::runtime::run_worker();
    }
    let own = std::process::id().to_string();
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().to_string());
    let marked = std::env::var(MARKER).ok();
    if marked.is_some() && marked == parent {
        LOOKS.store(std::env::var_os(LEAKS).is_some(), Ordering::Relaxed);
        let outcome = std::panic::catch_unwind(body);
        match outcome {
            Ok(result) => {
                let is_good = result.is_ok() && !HAS_LEFT.load(Ordering::Relaxed);
                std::process::exit(i32::from(!is_good))
            }
            Err(payload) => {
                let text = payload
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| payload.downcast_ref::<String>().cloned())
                    .unwrap_or_default();
                eprintln!("{PANIC_MARK}{}", text.replace('\n', "\u{1}"));
                std::process::exit(101)
            }
        }
    }
    // libtest names tests without the crate's own segment.
    let path = match module.split_once("::") {
        Some((_, rest)) => format!("{rest}::{name}"),
        None => name.to_owned(),
    };
    let executable = std::env::current_exe().expect("a test has an executable");
    let output = Command::new(executable)
        .args([
            &path,
            "--exact",
            "--nocapture",
            "--include-ignored",
            "--test-threads=1",
        ])
        .env(MARKER, own)
        .stdin(Stdio::null())
        .output()
        .expect("the test's executable starts again");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    print!("{stdout}");
    let mut panicked = None;
    for line in stderr.lines() {
        match line.split_once(PANIC_MARK) {
            Some((_, text)) => panicked = Some(text.replace('\u{1}', "\n")),
            None => eprintln!("{line}"),
        }
    }
    if output.status.success() {
        assert!(
            !stdout.contains("running 0 tests"),
            "no test is named `{path}` in this executable"
        );
        return;
    }
    match panicked {
        Some(text) => panic!("{text}"),
        None => panic!("the test's driver ended with {}", output.status),
    }
}

/// Waits until nothing of this process is in the store any more, before its runtime ends; in tests that ask for it.
pub(crate) fn look_for_leaks(runtime: &Arc<Runtime>) {
    if !LOOKS.load(Ordering::Relaxed) || thread::panicking() {
        return;
    }
    let deadline = Instant::now() + LEAKS_WITHIN;
    loop {
        let (objects, bytes) = (runtime.writer.live_objects(), runtime.writer.live_bytes());
        let (copies, on_disk) = match object_store_stats() {
            Ok(stats) => (stats.copies, stats.disk_bytes),
            Err(error) => return eprintln!("the store could not be asked what is left: {error}"),
        };
        if objects == 0 && copies == 0 && on_disk == 0 {
            return;
        }
        if Instant::now() > deadline {
            HAS_LEFT.store(true, Ordering::Relaxed);
            return eprintln!(
                "left in the store at the end: {objects} objects of the driver in {bytes} bytes, {copies} copies of others', \
                 {on_disk} bytes on disk; drop what refers to them before the runtime ends"
            );
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// What was referred to a moment ago is gone by then.
const LEAKS_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// Begins the line with which a child hands its panic's text to the test.
const PANIC_MARK: &str = "\u{1}ray:panic:";
