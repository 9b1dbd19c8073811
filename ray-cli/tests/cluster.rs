//! The `ray` command against a real head and a real node, each a process of its own.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A user without a cluster: its own runtime folder, no variables.
struct User {
    dir: TempDir,
}

impl User {
    fn new() -> User {
        User {
            dir: TempDir::new().expect("a folder"),
        }
    }

    fn temporary(&self) -> PathBuf {
        let path = self.dir.path().join("tmp");
        std::fs::create_dir_all(&path).expect("a folder");
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
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

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it runs")
    }

    /// Runs a command that must succeed; returns what it printed.
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Runs a command that must fail; returns what it complained.
    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        text(&output.stderr)
    }

    fn start(&self, arguments: &[&str]) -> Started {
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

    fn start_head(&self) -> (Started, String) {
        self.start_head_with(&[])
    }

    fn start_head_with(&self, more: &[&str]) -> (Started, String) {
        let mut arguments = vec!["--head", "--port", "0", "--num-cpus", "1"];
        arguments.extend(more);
        let head = self.start(&arguments);
        let address = head.first.split([' ', ',']).nth(2).expect("an address");
        let address = address.to_owned();
        (head, address)
    }
}

/// A head or node in the foreground; killed when the test ends early.
struct Started {
    child: Child,
    said: BufReader<ChildStdout>,
    /// The first line it printed, once it was ready.
    first: String,
}

impl Started {
    fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
    }

    /// Waits until it ends by itself; returns whether it was content.
    fn ends_well(mut self) -> bool {
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
struct Background(Pid);

impl Background {
    fn of(said: &str) -> Background {
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

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn a_head_is_found_without_flags_and_stopped() {
    let user = User::new();
    let (head, address) = user.start_head();
    let status = user.ok(&["status"]);
    assert!(
        status.contains(&address) && status.contains("Nodes: 1 alive"),
        "{status}"
    );
    let nodes = user.ok(&["list", "nodes", "--format", "json"]);
    assert_eq!(nodes.lines().count(), 1, "{nodes}");
    assert!(nodes.contains("\"is_head_node\":true"), "{nodes}");
    assert!(user.ok(&["logs"]).contains(".log"));
    assert!(user.ok(&["stop"]).contains("has ended"));
    assert!(head.ends_well());
    assert!(user.fails(&["status"]).contains("no head of yours runs"));
}

#[test]
fn a_node_joins_with_a_token_and_leaves_with_the_cluster() {
    let user = User::new();
    let (head, address) = user.start_head();
    let token = user.ok(&["token", "create", "--uses", "1"]);
    let join = ["--address", &address, "--num-cpus", "3", "--name", "second"];
    let mut arguments = join.to_vec();
    arguments.extend(["--token", token.trim()]);
    let node = user.start(&arguments);
    assert!(node.first.starts_with("node "), "{}", node.first);
    let nodes = user.ok(&["list", "nodes", "--filter", "node_name=second"]);
    assert!(nodes.contains("ALIVE"), "{nodes}");
    assert!(user.ok(&["status"]).contains("of 4 CPU"));

    let mut again = vec!["start"];
    again.extend(&arguments);
    assert!(user.fails(&again).contains("used up"));
    let mut without = vec!["start"];
    without.extend(join);
    assert!(user.fails(&without).contains("takes a token"));

    user.ok(&["stop"]);
    assert!(head.ends_well());
    node.ends_well();
}

#[test]
fn a_viewer_may_look_and_no_more() {
    let user = User::new();
    let (_head, address) = user.start_head();
    let token = user.ok(&["token", "create", "--role", "viewer", "--uses", "0"]);
    let stranger = User::new();
    let ask = |arguments: &[&str]| {
        let mut command = stranger.command(arguments);
        command
            .env("RAY_ADDRESS", &address)
            .env("RAY_TOKEN", token.trim());
        command.output().expect("it runs")
    };
    assert!(ask(&["status"]).status.success());
    for refused in [&["stop"][..], &["token", "create"], &["token", "list"]] {
        let output = ask(refused);
        let complaint = text(&output.stderr);
        assert!(complaint.contains("this takes admin"), "{complaint}");
    }
    let listed = user.ok(&["token", "list"]);
    let id = listed.lines().find(|line| line.contains("viewer"));
    let id = id
        .and_then(|line| line.split(' ').next())
        .expect("it is listed");
    user.ok(&["token", "revoke", id]);
    assert!(text(&ask(&["status"]).stderr).contains("no such token"));
}

#[test]
fn sigterm_ends_a_head_in_order() {
    let user = User::new();
    let (head, _) = user.start_head();
    head.terminate();
    assert!(head.ends_well());
    assert!(user.fails(&["status"]).contains("no head of yours runs"));
}

#[test]
fn a_head_in_the_background_is_ready_when_the_command_returns() {
    let user = User::new();
    let arguments = [
        "start",
        "--head",
        "--port",
        "0",
        "--object-store-memory",
        "32MiB",
        "--daemon",
    ];
    let said = user.ok(&arguments);
    let _background = Background::of(&said);
    assert!(said.contains("in the background"), "{said}");
    assert!(user.ok(&["status"]).contains("Nodes: 1 alive"));
    assert!(user.ok(&["stop"]).contains("has ended"));
}

#[test]
fn a_second_head_on_a_port_says_that_it_is_taken() {
    let user = User::new();
    let (_head, address) = user.start_head();
    let port = address.rsplit(':').next().expect("a port");
    let other = User::new();
    for more in [&[][..], &["--daemon"]] {
        let mut arguments = vec!["start", "--head", "--port", port];
        arguments.extend(["--object-store-memory", "32MiB"]);
        arguments.extend(more);
        let complaint = other.fails(&arguments);
        assert!(complaint.contains("is taken"), "{complaint}");
    }
}

#[test]
fn a_head_that_was_killed_is_not_waited_for() {
    let user = User::new();
    let (mut head, _) = user.start_head();
    head.child.kill().expect("it runs");
    head.child.wait().expect("it is dead");
    assert!(user.fails(&["status"]).contains("nothing listens"));
    assert!(user.ok(&["stop"]).contains("had ended already"));
    assert!(user.fails(&["status"]).contains("no head of yours runs"));
}

#[test]
fn a_head_started_again_in_its_folder_is_the_same_cluster() {
    let user = User::new();
    let folder = user.dir.path().join("run");
    let folder = ["--run-dir", folder.to_str().expect("UTF-8")];
    let (mut head, _) = user.start_head_with(&folder);
    let token = user.ok(&["token", "create", "--role", "viewer", "--uses", "0"]);
    let cluster = |status: String| status.split(' ').nth(1).map(str::to_owned);
    let before = cluster(user.ok(&["status"]));
    let mut second = vec!["start", "--head", "--port", "0"];
    second.extend(folder);
    assert!(user.fails(&second).contains("in use by another head"));
    head.child.kill().expect("it runs");
    head.child.wait().expect("it is dead");

    let (_head, address) = user.start_head_with(&folder);
    let stranger = User::new();
    let mut ask = stranger.command(&["status"]);
    ask.env("RAY_ADDRESS", &address)
        .env("RAY_TOKEN", token.trim());
    let answered = ask.output().expect("it runs");
    assert!(answered.status.success(), "{}", text(&answered.stderr));
    assert_eq!(cluster(text(&answered.stdout)), before);
    // The dead head's own token went with it.
    let listed = user.ok(&["token", "list"]);
    let admins = listed.lines().filter(|line| line.contains("admin"));
    assert_eq!(admins.count(), 1, "{listed}");
}
