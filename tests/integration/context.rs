//! What running code learns about itself.

use ray_core::{
    Amount, Config, Error, PlacementStrategy, Resources, cancel, init, placement_group, prelude::*,
    runtime_context,
};
use ray_tests::{Tally, Tokens, add_token, eventually, kill9, take_token, tally};

/// What a call saw of its surroundings.
#[derive(Clone, Debug, PartialEq, Data)]
struct Seen {
    job: String,
    node: String,
    worker: Option<String>,
    task: Option<String>,
    actor: Option<String>,
    function: Option<String>,
    attempt: u32,
    was_restarted: bool,
    is_cancelled: bool,
    cpus: f64,
    things: f64,
    is_in_group: bool,
    pid: u32,
}

impl Seen {
    fn here() -> Seen {
        let context = runtime_context();
        Seen {
            job: context.job.to_string(),
            node: context.node.to_string(),
            worker: context.worker().map(|id| id.to_string()),
            task: context.task.map(|id| id.to_string()),
            actor: context.actor.map(|id| id.to_string()),
            function: context.function.map(str::to_owned),
            attempt: context.attempt,
            was_restarted: context.was_restarted(),
            is_cancelled: context.is_cancelled(),
            cpus: context.assigned_resources().get("CPU"),
            things: context.assigned_resources().get("thing"),
            is_in_group: context.placement_group.is_some(),
            pid: std::process::id(),
        }
    }
}

#[remote]
fn seen() -> Seen {
    Seen::here()
}

#[remote(num_cpus = 0.5, resources("thing" = 2))]
fn seen_with_things() -> Seen {
    Seen::here()
}

#[remote(max_retries = 2)]
fn seen_at_third_try(path: String) -> Seen {
    if tally(&path) < 2 {
        std::process::exit(1);
    }
    Seen::here()
}

/// Sees it before and after it is cancelled, and leaves what it saw in a file.
#[remote]
fn sees_its_cancel(begun: String, gate: String, path: String) {
    let before = runtime_context().is_cancelled();
    add_token(&begun);
    take_token(&gate);
    let after = eventually(|| runtime_context().is_cancelled());
    std::fs::write(path, format!("{before} {after}")).expect("a file");
}

#[actor(max_restarts = 1)]
struct Witness {
    at_birth: Seen,
}

#[remote]
impl Witness {
    pub fn new() -> Self {
        Witness {
            at_birth: Seen::here(),
        }
    }

    pub fn at_birth(&self) -> Seen {
        self.at_birth.clone()
    }

    pub fn now(&self) -> Seen {
        Seen::here()
    }
}

fn things() -> ray_core::Result<ray_core::Ray> {
    Config::new().num_cpus(4.0).resource("thing", 4.0).init()
}

#[ray_core::test]
fn a_task_knows_who_it_is_and_what_it_holds() -> ray_core::Result<()> {
    let _ray = things()?;
    let here = Seen::here();
    assert_eq!((here.worker, here.task, here.cpus), (None, None, 0.0));
    let plain = seen::remote().get()?;
    assert_eq!((&plain.job, &plain.node), (&here.job, &here.node));
    assert!(plain.worker.is_some() && plain.task.is_some() && plain.actor.is_none());
    assert_eq!(plain.function.as_deref(), Some("seen"));
    assert_eq!((plain.cpus, plain.things), (1.0, 0.0));
    assert!(!plain.is_in_group && !plain.was_restarted && !plain.is_cancelled);
    let own = seen_with_things::remote().get()?;
    assert_eq!((own.cpus, own.things), (0.5, 2.0));
    assert_ne!(own.task, plain.task);
    let more = seen::options()
        .num_cpus(2.0)
        .resource("thing", 1.0)
        .remote();
    let more = more.get()?;
    assert_eq!((more.cpus, more.things), (2.0, 1.0));
    let cpu = Resources::new().with(Resources::CPU, Amount::ONE);
    let group = placement_group(&[cpu], PlacementStrategy::Pack)?;
    let inside = seen::options().placement_group(&group, 0).remote().get()?;
    assert!(inside.is_in_group);
    assert_eq!(inside.cpus, 1.0);
    Ok(())
}

#[ray_core::test]
fn an_actor_knows_what_it_holds_and_whether_it_was_restarted() -> ray_core::Result<()> {
    let _ray = things()?;
    let witness = Witness::remote();
    let first = witness.at_birth().get()?;
    let now = witness.now().get()?;
    assert!(first.actor.is_some());
    assert_eq!(first.actor, now.actor);
    assert_eq!(first.worker, now.worker);
    assert_eq!(
        (now.cpus, first.was_restarted, now.was_restarted),
        (0.0, false, false)
    );
    kill9(now.pid);
    let mut again = None;
    assert!(eventually(|| {
        again = witness.now().get().ok().filter(|seen| seen.pid != now.pid);
        again.is_some()
    }));
    let again = again.expect("it answered");
    assert_eq!(again.actor, now.actor);
    assert_ne!(again.worker, now.worker);
    assert!(again.was_restarted);
    assert!(witness.at_birth().get()?.was_restarted);
    let large = Witness::options()
        .num_cpus(2.0)
        .resource("thing", 3.0)
        .remote();
    let large = large.now().get()?;
    assert_eq!((large.cpus, large.things), (2.0, 3.0));
    Ok(())
}

#[ray_core::test]
fn a_task_knows_which_try_it_is_and_whether_it_is_cancelled() -> ray_core::Result<()> {
    let _ray = init()?;
    let runs = Tally::new();
    assert_eq!(seen_at_third_try::remote(runs.path()).get()?.attempt, 2);
    let (begun, gate) = (Tokens::new(), Tokens::new());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("seen");
    let file = path.to_str().expect("UTF-8");
    let task = sees_its_cancel::remote(begun.path(), gate.path(), file);
    begun.take();
    cancel(&task)?;
    gate.add(1);
    assert!(matches!(task.get(), Err(Error::Cancelled)));
    let text = || std::fs::read_to_string(&path).unwrap_or_default();
    assert!(eventually(|| text() == "false true"), "{:?}", text());
    Ok(())
}
