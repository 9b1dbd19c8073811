//! `ray job submit --working-dir` against a real head and node: the directory goes where the job's processes run.

mod common;

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use common::{User, eventually};
use ray_core::prelude::*;

fn read(path: &str) -> String {
    let here = std::env::current_dir().expect("a folder");
    let text = fs::read_to_string(path).expect("it was sent");
    format!("{text} in {}", here.display())
}

#[remote(resources("second" = 1.0))]
fn read_there(path: String) -> String {
    read(&path)
}

/// The program of the test below, which submits this very file; by itself it has nothing to do.
#[test]
fn a_program_that_reads_what_was_sent_with_it() {
    let is_of_a_job = ["RAY_JOB_ID", "RAY_WORKER"].map(|name| std::env::var_os(name).is_some());
    if is_of_a_job.contains(&true) {
        let ray = ray_core::init().expect("the cluster of the job");
        println!("driver: {}", read("deep/data"));
        let there = read_there::remote("deep/data").get().expect("a worker");
        println!("worker: {there}");
        println!("left out: {}", !Path::new(".git").exists());
        let script = std::process::Command::new("./script").output();
        println!(
            "script: {}",
            common::text(&script.expect("it can be run").stdout)
        );
        ray.shutdown().expect("an end");
    }
}

/// A directory that can be sent.
fn directory(user: &User) -> PathBuf {
    let path = user.dir.path().join("project");
    fs::create_dir_all(path.join("deep")).expect("a folder");
    fs::create_dir_all(path.join(".git")).expect("a folder");
    fs::write(path.join("data"), "seven").expect("a file");
    symlink("../data", path.join("deep/data")).expect("a link");
    fs::write(path.join("script"), "#!/bin/sh\necho it runs").expect("a file");
    let run = fs::Permissions::from_mode(0o755);
    fs::set_permissions(path.join("script"), run).expect("mine");
    path
}

#[test]
fn a_directory_is_sent_with_a_job_and_goes_with_it() {
    let user = User::new();
    let head_dir = user.dir.path().join("head");
    let node_dir = user.dir.path().join("node");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (_head, address) = user.start_head_with(&["--run-dir", &text(&head_dir)]);
    let token = user.ok(&["token", "create"]);
    let _node = user.start(&[
        "--address",
        &address,
        "--token",
        token.trim(),
        "--name",
        "second",
        "--num-cpus",
        "2",
        "--resources",
        "second=2",
        "--run-dir",
        &text(&node_dir),
    ]);
    let project = directory(&user);
    let this = std::env::current_exe().expect("this file");
    let this = text(&this);
    let arguments = ["job", "submit", "--working-dir", "project", "--", &this];
    let mut command = user.command(&arguments);
    command.args(["--exact", "a_program_that_reads_what_was_sent_with_it"]);
    let output = command
        .arg("--nocapture")
        .current_dir(user.dir.path())
        .output();
    let output = output.expect("it runs");
    let said = common::text(&output.stdout);
    let complaints = common::text(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaints}");
    let in_head = format!("driver: seven in {}", text(&head_dir.join("jobs")));
    let in_node = format!("worker: seven in {}", text(&node_dir.join("working_dirs")));
    for part in [&*in_head, &in_node, "left out: true", "script: it runs"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    assert!(project.exists());
    let is_empty = |path: PathBuf| match fs::read_dir(&path) {
        Ok(mut inside) => inside.next().is_none(),
        Err(_) => true,
    };
    let node_has_none = || {
        let nodes = fs::read_dir(node_dir.join("working_dirs")).expect("it was made");
        let mut nodes = nodes.map(|node| node.expect("it is there").path());
        nodes.all(is_empty)
    };
    assert!(eventually(node_has_none));
    assert!(eventually(|| is_empty(head_dir.join("jobs"))));
}

#[test]
fn a_directory_that_cannot_be_sent_is_refused_before_anything_is() {
    let user = User::new();
    let (_head, _) = user.start_head();
    let project = directory(&user);
    let refused = |named: &Path, parts: &[&str]| {
        let named = named.to_str().expect("UTF-8");
        let arguments = ["job", "submit", "--working-dir", named, "--", "true"];
        let said = user.fails(&arguments);
        assert_eq!(said.lines().count(), 1, "{said}");
        for part in parts {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
    };
    refused(Path::new("/no/such"), &["No such file", "file:///PATH"]);
    refused(&project.join("data"), &["a file and no directory"]);
    symlink("../..", project.join("deep/out")).expect("a link");
    refused(&project, &["deep/out", "leads outside"]);
    fs::remove_file(project.join("deep/out")).expect("mine");
    let huge = fs::File::create(project.join("huge")).expect("a file");
    huge.set_len(101 << 20).expect("a size");
    refused(&project, &["100 MiB", "huge (101.0 MiB)", ".rayignore"]);
    fs::write(project.join(".rayignore"), "huge").expect("a file");
    let named = project.to_str().expect("UTF-8");
    let looks = ["job", "submit", "--working-dir", named, "--", "ls"];
    let said = user.ok(&looks);
    assert!(said.contains("script") && !said.contains("huge"), "{said}");
}

#[test]
fn a_folder_of_the_heads_machine_is_used_where_it_is() {
    let user = User::new();
    let (_head, _) = user.start_head();
    let project = directory(&user);
    let project = project.to_str().expect("UTF-8");
    let named = format!("file://{project}");
    let said = user.ok(&["job", "submit", "--working-dir", &named, "--", "pwd"]);
    assert_eq!(said.trim(), project);
}
