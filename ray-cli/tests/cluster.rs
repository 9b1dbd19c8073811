//! The `ray` command against a real head and a real node, each a process of its own.

mod common;

use common::{Background, User, text};

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

#[test]
fn the_folder_for_spilled_objects_is_made_and_its_faults_are_said() {
    let user = User::new();
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let spill = user.dir.path().join("large").join("spill");
    let (_head, _) = user.start_head_with(&["--spill-dir", &text(&spill)]);
    assert!(spill.is_dir());
    let wrong = user.dir.path().join("file");
    std::fs::write(&wrong, "no folder").expect("written");
    let wrong = text(&wrong);
    let said = user.fails(&["start", "--head", "--port", "0", "--spill-dir", &wrong]);
    assert!(
        said.contains("`spill_dir`") && said.contains(&wrong),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}
