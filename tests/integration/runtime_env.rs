//! Runtime environments: variables and working directories of worker processes.

use std::path::Path;

use ray_core::{Config, Error, RuntimeEnv, init, prelude::*, runtime_context};
use ray_tests::{Cluster, eventually, is_alive};

const DRILL: &str = env!("CARGO_BIN_EXE_drill");

/// What a process was started with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Data)]
struct Seen {
    a: Option<String>,
    b: Option<String>,
    c: Option<String>,
    folder: String,
    pid: u32,
}

impl Seen {
    fn here() -> Seen {
        let folder = std::env::current_dir().expect("a folder");
        Seen {
            a: std::env::var("RUN_A").ok(),
            b: std::env::var("RUN_B").ok(),
            c: std::env::var("RUN_C").ok(),
            folder: folder.to_str().expect("UTF-8").to_owned(),
            pid: std::process::id(),
        }
    }

    fn variables(&self) -> [Option<&str>; 3] {
        [self.a.as_deref(), self.b.as_deref(), self.c.as_deref()]
    }
}

#[remote]
fn seen() -> Seen {
    Seen::here()
}

#[remote]
fn seen_by_child_with(c: String) -> Result<Seen, Error> {
    seen::options()
        .runtime_env(RuntimeEnv::new().env("RUN_C", c))
        .remote()
        .get()
}

#[remote]
fn seen_by_child() -> Result<Seen, Error> {
    seen::remote().get()
}

#[remote]
fn content(path: String) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| error.to_string())
}

#[remote]
fn content_of_a_part(part: String, path: String) -> Result<String, Error> {
    content::options()
        .runtime_env(RuntimeEnv::new().working_dir(part))
        .remote(path)
        .get()
}

#[actor]
struct Witness;

#[remote]
impl Witness {
    pub fn new() -> Self {
        Witness
    }

    pub fn seen(&self) -> Seen {
        Seen::here()
    }

    pub fn seen_by_task(&self) -> Result<Seen, Error> {
        seen::remote().get()
    }
}

fn with_a(a: &str) -> RuntimeEnv {
    RuntimeEnv::new().env("RUN_A", a)
}

#[ray_core::test]
fn work_with_an_environment_runs_in_processes_of_its_own() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(1.0).workers(1).init()?;
    let plain = seen::remote().get()?;
    assert_eq!(plain.variables(), [None; 3]);
    let run = |a: &str| seen::options().runtime_env(with_a(a)).remote().get();
    let first = run("1")?;
    assert_eq!(first.variables(), [Some("1"), None, None]);
    assert_eq!(first.folder, plain.folder);
    assert_eq!(run("1")?.pid, first.pid, "the same environment again");
    let other = run("2")?;
    assert_eq!(other.variables(), [Some("2"), None, None]);
    let pids = [plain.pid, first.pid, other.pid];
    assert!(pids[0] != pids[1] && pids[1] != pids[2] && pids[0] != pids[2]);
    assert_eq!(seen::remote().get()?.variables(), [None; 3]);
    assert!(
        eventually(|| pids.iter().filter(|pid| is_alive(**pid)).count() == 1),
        "idle processes over the number of CPUs end"
    );
    Ok(())
}

#[ray_core::test]
fn an_environment_is_handed_down_and_children_say_more() -> ray_core::Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().canonicalize().expect("it is there");
    let job = with_a("job").env("RUN_B", "job").working_dir(&path);
    let _ray = Config::new().num_cpus(2.0).runtime_env(job).init()?;
    assert_eq!(runtime_context().runtime_env.folder(), path.to_str());
    let plain = seen::remote().get()?;
    assert_eq!(plain.variables(), [Some("job"), Some("job"), None]);
    assert_eq!(Path::new(&plain.folder), path);
    let own = RuntimeEnv::new().env("RUN_B", "task").working_dir("/");
    let child = seen_by_child_with::options()
        .runtime_env(own.clone())
        .remote("child")
        .get()?;
    let expected = [Some("job"), Some("task"), Some("child")];
    assert_eq!(child.variables(), expected);
    assert_eq!(child.folder, "/");
    let child = seen_by_child::options().runtime_env(own).remote().get()?;
    assert_eq!(child.variables(), [Some("job"), Some("task"), None]);
    Ok(())
}

#[ray_core::test]
fn actors_have_environments_and_their_tasks_too() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).init()?;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().canonicalize().expect("it is there");
    let witness = Witness::options()
        .runtime_env(with_a("actor").working_dir(&path))
        .remote();
    let here = witness.seen().get()?;
    assert_eq!(here.variables(), [Some("actor"), None, None]);
    assert_eq!(Path::new(&here.folder), path);
    let task = witness.seen_by_task().get()?;
    assert_eq!(task.variables(), [Some("actor"), None, None]);
    assert_eq!(Path::new(&task.folder), path);
    Ok(())
}

#[ray_core::test]
fn what_cannot_be_had_fails_alone_and_names_field_and_node() -> ray_core::Result<()> {
    let _ray = init()?;
    let node = runtime_context().node.to_string();
    let missing = || RuntimeEnv::new().working_dir("/nowhere/at/all");
    let says_why = |outcome: Result<Seen, Error>| {
        let Err(Error::RuntimeEnv(text)) = outcome else {
            panic!("{outcome:?}");
        };
        for part in ["`working_dir`", "/nowhere/at/all", node.as_str()] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    };
    says_why(seen::options().runtime_env(missing()).remote().get());
    let witness = Witness::options().runtime_env(missing()).remote();
    says_why(witness.seen().get());
    assert!(seen::remote().get().is_ok(), "others go on");
    Ok(())
}

#[ray_core::test]
fn values_that_no_process_could_have_fail_at_once() -> ray_core::Result<()> {
    let config = |env| Config::new().runtime_env(env).init().map(drop);
    let refused = |outcome: Result<(), Error>, field: &str| {
        assert!(
            matches!(&outcome, Err(Error::RuntimeEnv(text)) if text.contains(field)),
            "{outcome:?}"
        );
    };
    refused(
        config(RuntimeEnv::new().working_dir("relative")),
        "`working_dir`",
    );
    refused(
        config(RuntimeEnv::new().working_dir("/nowhere")),
        "`working_dir`",
    );
    refused(config(RuntimeEnv::new().env("A=B", "1")), "`env`");
    let _ray = init()?;
    let run = |env| seen::options().runtime_env(env).remote().get().map(drop);
    refused(run(RuntimeEnv::new().env("", "1")), "`env`");
    refused(
        run(RuntimeEnv::new().env("A", "x".repeat(1 << 20))),
        "limit",
    );
    let witness = Witness::options().runtime_env(RuntimeEnv::new().env("A", "\0"));
    refused(witness.remote().seen().get().map(drop), "`env`");
    Ok(())
}

#[ray_core::test]
fn environments_travel_to_other_nodes() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    let node = cluster.join(&["2"]);
    let _ray = cluster.driver().runtime_env(with_a("job")).init()?;
    let plain = seen::remote().get()?;
    assert_eq!(plain.variables(), [Some("job"), None, None]);
    let child = seen_by_child_with::remote("child").get()?;
    assert_eq!(child.variables(), [Some("job"), None, Some("child")]);
    let witness = Witness::options()
        .runtime_env(RuntimeEnv::new().env("RUN_B", "actor"))
        .remote();
    let here = witness.seen().get()?;
    assert_eq!(here.variables(), [Some("job"), Some("actor"), None]);
    let missing = RuntimeEnv::new().working_dir("/nowhere");
    let outcome = seen::options().runtime_env(missing).remote().get();
    assert!(
        matches!(&outcome, Err(Error::RuntimeEnv(text)) if text.contains(&node)),
        "{outcome:?}"
    );
    Ok(())
}

#[ray_core::test]
fn a_directory_of_the_driver_goes_to_other_nodes() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["2"]);
    let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let [job, own] = dirs.each_ref().map(|dir| dir.path());
    std::fs::create_dir(job.join("part")).expect("a folder");
    std::fs::write(job.join("data"), "of the job").expect("a file");
    std::fs::write(job.join("part/data"), "of a part").expect("a file");
    std::fs::write(own.join("data"), "of the task").expect("a file");
    let in_job = RuntimeEnv::new().working_dir(job);
    let ray = cluster.driver().runtime_env(in_job).init()?;
    let name = runtime_context().runtime_env;
    let name = name.folder().expect("it has one");
    assert!(name.starts_with("ray://"), "{name}");
    let plain = seen::remote().get()?;
    assert_ne!(Path::new(&plain.folder), job, "it is a copy");
    assert_eq!(content::remote("data").get()?, "of the job");

    let read_own = || {
        let env = RuntimeEnv::new().working_dir(own);
        content::options().runtime_env(env).remote("data").get()
    };
    assert_eq!(read_own()?, "of the task");
    std::fs::write(own.join("data"), "of a later task").expect("a file");
    assert_eq!(read_own()?, "of a later task");
    let part = content_of_a_part::remote("part", "data").get()?;
    assert_eq!(part, "of a part", "a worker sends what is here for it");

    let there = format!("file://{}", own.display());
    let in_place = RuntimeEnv::new().working_dir(there);
    let in_place = seen::options().runtime_env(in_place).remote().get()?;
    assert_eq!(
        Path::new(&in_place.folder),
        own.canonicalize().expect("a folder")
    );
    let witness = Witness::options()
        .runtime_env(RuntimeEnv::new().working_dir(own))
        .remote();
    let folder = witness.seen().get()?.folder;
    assert!(folder.contains("working_dirs"), "{folder}");

    let file = RuntimeEnv::new().working_dir(own.join("data"));
    let refused = content::options().runtime_env(file).remote("data").get();
    assert!(
        matches!(&refused, Err(Error::RuntimeEnv(text)) if text.contains("it is a file")),
        "{refused:?}"
    );
    let unknown = format!("ray://{}-512", "ab".repeat(32));
    let env = RuntimeEnv::new().working_dir(unknown);
    let lost = content::options().runtime_env(env).remote("data").get();
    assert!(
        matches!(&lost, Err(Error::RuntimeEnv(text)) if text.contains("cannot be had")),
        "{lost:?}"
    );
    ray.shutdown()?;
    let folder = Path::new(&plain.folder);
    assert!(eventually(|| !folder.exists()), "it goes with the job");
    Ok(())
}
