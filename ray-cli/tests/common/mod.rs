//! What the tests of the `ray` command share: a user, and what it started.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod work;

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A user without a cluster: its own runtime folder, no variables.
pub struct User {
    pub dir: TempDir,
}

impl User {
    pub fn new() -> User {
        User {
            dir: TempDir::new().expect("a folder"),
        }
    }

    pub fn temporary(&self) -> PathBuf {
        let path = self.dir.path().join("tmp");
        std::fs::create_dir_all(&path).expect("a folder");
        path
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ray"));
        command
            .args(arguments)
            .env("XDG_RUNTIME_DIR", self.dir.path())
            .env("TMPDIR", self.temporary())
            .env_remove("RAY_ADDRESS")
            .env_remove("RAY_TOKEN")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it runs")
    }

    /// Runs a command that must succeed; returns what it printed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Runs a command that must fail; returns what it complained.
    pub fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        text(&output.stderr)
    }

    pub fn start(&self, arguments: &[&str]) -> Started {
        let mut command = self.command(&["start", "--object-store-memory", "32MiB"]);
        let mut child = command
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut first = String::new();
        said.read_line(&mut first).expect("text");
        Started { child, said, first }
    }

    /// Starts the node `second` with two CPUs and two of a resource of that name.
    pub fn start_node(&self, address: &str) -> Started {
        self.start_named(address, "second")
    }

    /// Starts a node that has two of a resource of its own name.
    pub fn start_named(&self, address: &str, name: &str) -> Started {
        let token = self.ok(&["token", "create"]);
        let own = format!("{name}=2");
        let arguments = ["--address", address, "--num-cpus", "2", "--name", name];
        let mut all = arguments.to_vec();
        all.extend(["--resources", &own, "--token", token.trim()]);
        self.start(&all)
    }

    /// Joins the cluster as a driver with a token of its own.
    pub fn join(&self, address: &str) -> ray_core::Result<ray_core::Ray> {
        self.driver(address).init()
    }

    /// Returns the configuration of a driver with a token of its own.
    pub fn driver(&self, address: &str) -> ray_core::Config {
        let token = self.ok(&["token", "create", "--role", "driver"]);
        ray_core::Config::new()
            .address(address)
            .token(token.trim())
            .namespace("here")
            .object_store_memory(32 << 20)
    }

    pub fn start_head(&self) -> (Started, String) {
        self.start_head_with(&[])
    }

    /// Starts a head that is the same cluster whenever it is started again.
    pub fn start_same_head(&self) -> (Started, String) {
        let folder = self.dir.path().join("run");
        self.start_head_with(&["--run-dir", folder.to_str().expect("UTF-8")])
    }

    pub fn start_head_with(&self, more: &[&str]) -> (Started, String) {
        let mut arguments = vec!["--head", "--port", "0", "--num-cpus", "1"];
        arguments.extend(more);
        let head = self.start(&arguments);
        let address = head.first.split([' ', ',']).nth(2).expect("an address");
        let address = address.to_owned();
        (head, address)
    }
}

/// A head or node in the foreground; killed when the test ends early.
pub struct Started {
    pub child: Child,
    said: BufReader<ChildStdout>,
    /// The first line it printed, once it was ready.
    pub first: String,
}

impl Started {
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
    }

    /// Ends it as nobody can prevent.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is dead");
    }

    /// Waits until it ends by itself; returns whether it was content.
    pub fn ends_well(mut self) -> bool {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).expect("text");
        self.child.wait().expect("it ends").success()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A head in the background; killed when the test ends early.
pub struct Background(Pid);

impl Background {
    pub fn of(said: &str) -> Background {
        let pid = said
            .split("process ")
            .nth(1)
            .and_then(|rest| rest.split(';').next());
        let pid = pid.and_then(|pid| pid.parse().ok()).expect("its number");
        Background(Pid::from_raw(pid).expect("its number"))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if std::thread::panicking() {
            kill_process(self.0, Signal::KILL).ok();
        }
    }
}

/// Waits until `what` holds, looking every few milliseconds; false after half a minute.
pub fn eventually(mut what: impl FnMut() -> bool) -> bool {
    (0..1500).any(|_| {
        let holds = what();
        if !holds {
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
        holds
    })
}

/// Ends a process as nobody can prevent.
pub fn end(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("an id")).expect("an id");
    kill_process(pid, Signal::KILL).expect("it runs");
}

/// Returns what a call gives once its actor is there again.
pub fn once_there<T: ray_core::Data>(
    call: impl Fn() -> ray_core::ObjectRef<T>,
) -> ray_core::Result<T> {
    let mut last = call().get();
    eventually(|| {
        let is_away = matches!(last, Err(ray_core::Error::ActorUnavailable { .. }));
        if is_away {
            last = call().get();
        }
        !is_away
    });
    last
}

/// Returns a path as tasks take it.
pub fn path(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Returns whether a process runs; one that has ended and was not waited for does not.
pub fn runs(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap_or("Z").starts_with('Z'))
}

/// Waits until a process has ended; false after a minute.
pub fn ends(pid: &str) -> bool {
    (0..600).any(|_| {
        std::thread::park_timeout(std::time::Duration::from_millis(100));
        !runs(pid)
    })
}
