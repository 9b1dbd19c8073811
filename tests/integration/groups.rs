//! Placement groups: reserved together or not at all, used by bundle, gone with what runs in them.

use std::{collections::BTreeSet, time::Duration};

use ray_core::{
    Amount, Config, Error, PlacementGroup, PlacementStrategy, Resources, available_resources,
    get_all, placement_group, prelude::*, runtime_context,
};
use ray_tests::{Cluster, PATIENCE, Tokens, add_token, eventually, take_token};

const DRILL: &str = env!("CARGO_BIN_EXE_drill");
const SHORT: Duration = Duration::from_millis(200);

#[remote]
fn where_am_i() -> String {
    runtime_context().node.to_string()
}

#[remote(max_retries = 0)]
fn stays(arrived: String, leave: String) {
    add_token(&arrived);
    take_token(&leave);
}

#[remote]
fn works_in(group: PlacementGroup) -> Result<String, Error> {
    where_am_i::options()
        .placement_group(&group, 0)
        .remote()
        .get()
}

#[actor]
struct Resident;

#[remote]
impl Resident {
    pub fn new() -> Self {
        Resident
    }

    pub fn home(&self) -> String {
        runtime_context().node.to_string()
    }
}

fn cpus(count: u64) -> Resources {
    Resources::new().with(Resources::CPU, Amount(Amount::ONE.0 * count))
}

fn homes(group: &PlacementGroup) -> ray_core::Result<Vec<String>> {
    let count = i32::try_from(group.bundles().len()).expect("few bundles");
    let places = (0..count)
        .map(|index| where_am_i::options().placement_group(group, index).remote())
        .collect::<Vec<_>>();
    get_all(&places)
}

#[ray_core::test]
fn strict_groups_lie_on_one_node_or_on_different_ones_or_wait() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["2"]);
    cluster.join(&["2"]);
    let _ray = cluster.driver().init()?;
    let packed = placement_group(&[cpus(1), cpus(1)], PlacementStrategy::StrictPack)?;
    packed.ready().get()?;
    let places = homes(&packed)?;
    assert_eq!(places[0], places[1]);
    packed.remove()?;
    let spread = placement_group(&[cpus(1), cpus(1)], PlacementStrategy::StrictSpread)?;
    spread.ready().get()?;
    let places = homes(&spread)?;
    assert_ne!(places[0], places[1]);
    spread.remove()?;
    for (bundles, strategy) in [
        (vec![cpus(2), cpus(1)], PlacementStrategy::StrictPack),
        (vec![cpus(1); 3], PlacementStrategy::StrictSpread),
    ] {
        let group = placement_group(&bundles, strategy)?;
        assert!(!group.wait(SHORT)?, "{strategy:?} has no place");
        group.remove()?;
    }
    Ok(())
}

#[ray_core::test]
fn a_group_without_room_for_all_holds_nothing() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["1"]);
    let _ray = cluster.driver().init()?;
    let group = placement_group(&[cpus(1), cpus(1)], PlacementStrategy::Spread)?;
    assert!(!group.wait(SHORT)?);
    assert!(where_am_i::remote().get().is_ok(), "other work can run");
    let newcomer = cluster.join(&["1"]);
    assert!(group.wait(PATIENCE)?, "it is placed when a node joins");
    assert!(homes(&group)?.contains(&newcomer));
    Ok(())
}

#[ray_core::test]
fn removal_ends_what_runs_inside() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["3"]);
    let _ray = cluster.driver().init()?;
    let (arrived, leave) = (Tokens::new(), Tokens::new());
    let group = placement_group(&[cpus(2), cpus(1)], PlacementStrategy::Pack)?;
    let resident = Resident::options()
        .max_restarts(-1)
        .placement_group(&group, 0)
        .remote();
    resident.home().get()?;
    let task = stays::options()
        .placement_group(&group, 1)
        .remote(arrived.path(), leave.path());
    arrived.take();
    let queued = where_am_i::options().placement_group(&group, 1).remote();
    group.remove()?;
    let failed = |outcome: Result<(), Error>| {
        assert!(
            matches!(outcome, Err(Error::PlacementGroupRemoved)),
            "{outcome:?}"
        );
    };
    failed(task.get());
    failed(queued.get().map(drop));
    assert!(eventually(|| {
        matches!(resident.home().get(), Err(Error::PlacementGroupRemoved))
    }));
    group.remove()?;
    let late = where_am_i::options().placement_group(&group, 0).remote();
    failed(late.get().map(drop));
    failed(group.ready().get());
    assert!(eventually(|| {
        available_resources().is_ok_and(|free| free.get("CPU") == 3.0)
    }));
    Ok(())
}

#[ray_core::test]
fn bundles_of_a_dead_node_move() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    let first = cluster.join(&["1"]);
    let _ray = cluster.driver().init()?;
    let group = placement_group(&[cpus(1)], PlacementStrategy::Pack)?;
    assert_eq!(homes(&group)?, [first]);
    let second = cluster.join(&["1"]);
    cluster.kill_node(0);
    assert_eq!(homes(&group)?, [second]);
    Ok(())
}

#[ray_core::test]
fn a_group_ends_with_its_job() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["2"]);
    let _ray = cluster.driver().init()?;
    let mut other = std::process::Command::new(DRILL)
        .arg("group")
        .env("RAY_ADDRESS", cluster.address())
        .env("RAY_TOKEN", cluster.token())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("the drill runs");
    let free = |count: f64| available_resources().is_ok_and(|free| free.get("CPU") == count);
    assert!(eventually(|| free(1.0)), "the other job holds one");
    drop(other.stdin.take());
    assert!(other.wait().expect("a child").success());
    assert!(eventually(|| free(2.0)), "and gives it back at its end");
    Ok(())
}

#[ray_core::test]
fn a_detached_group_outlives_its_job_until_another_removes_it() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["2"]);
    let made = std::process::Command::new(DRILL)
        .arg("pool")
        .env("RAY_ADDRESS", cluster.address())
        .env("RAY_TOKEN", cluster.token())
        .status()
        .expect("the drill runs");
    assert!(made.success());
    let _ray = cluster.driver().namespace("shared").init()?;
    let gone = |name: &str| {
        let outcome = PlacementGroup::named(name);
        assert!(
            matches!(&outcome, Err(Error::NotFound(what)) if what == name),
            "{outcome:?}"
        );
    };
    gone("puddle");
    let is_over = |row: &ray_core::control::Row| {
        !["PENDING", "RUNNING"].contains(&row.text("status").as_str())
    };
    let jobs = || cluster.rows(ray_core::control::Table::Jobs);
    assert!(
        eventually(|| jobs().iter().any(is_over)),
        "its job has ended"
    );
    let pool = PlacementGroup::named("pool")?;
    assert_eq!(pool.bundles(), [cpus(1)]);
    assert!(
        where_am_i::options()
            .placement_group(&pool, 0)
            .remote()
            .get()
            .is_ok()
    );
    let free = |count: f64| available_resources().is_ok_and(|free| free.get("CPU") == count);
    assert!(eventually(|| free(1.0)), "it holds its CPU");
    let taken = PlacementGroup::options()
        .name("pool")
        .create(&[cpus(1)], PlacementStrategy::Pack);
    assert!(
        matches!(&taken, Err(Error::NameTaken(name)) if name == "pool"),
        "{taken:?}"
    );
    pool.remove()?;
    pool.remove()?;
    gone("pool");
    assert!(eventually(|| free(2.0)), "and gives it back");
    Ok(())
}

#[ray_core::test]
fn names_of_groups_are_of_their_namespace_and_free_again() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).init()?;
    let options = || PlacementGroup::options().name("train");
    let elsewhere = options()
        .namespace("elsewhere")
        .create(&[cpus(1)], PlacementStrategy::Pack)?;
    let found = PlacementGroup::named("train");
    assert!(matches!(found, Err(Error::NotFound(_))), "{found:?}");
    let here = options().create(&[cpus(1)], PlacementStrategy::Pack)?;
    assert_eq!(PlacementGroup::named("train")?, here);
    here.remove()?;
    let again = options().create(&[cpus(1)], PlacementStrategy::Pack)?;
    assert_eq!(PlacementGroup::named("train")?.id(), again.id());
    assert!(again.wait(PATIENCE)? && elsewhere.wait(PATIENCE)?);
    for (options, option) in [
        (PlacementGroup::options().name(""), "name"),
        (PlacementGroup::options().namespace("x"), "namespace"),
    ] {
        let refused = options.create(&[cpus(1)], PlacementStrategy::Pack);
        assert!(
            matches!(&refused, Err(Error::InvalidOption { option: named, .. }) if named == option),
            "{refused:?}"
        );
    }
    Ok(())
}

#[ray_core::test]
fn a_single_node_reserves_and_frees() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(3.0).init()?;
    let groups = [
        placement_group(&[cpus(1)], PlacementStrategy::Pack)?,
        placement_group(&[cpus(1)], PlacementStrategy::Pack)?,
    ];
    let ids = groups
        .iter()
        .map(|group| group.id())
        .collect::<BTreeSet<_>>();
    assert_eq!(ids.len(), 2);
    for group in &groups {
        assert!(group.wait(PATIENCE)?);
        let resident = Resident::options().placement_group(group, -1).remote();
        assert!(resident.home().get().is_ok());
    }
    assert!(eventually(|| {
        available_resources().is_ok_and(|free| free.get("CPU") == 1.0)
    }));
    assert!(works_in::remote(groups[0].clone()).get().is_ok());
    let large = placement_group(&[cpus(2)], PlacementStrategy::Pack)?;
    assert!(!large.wait(SHORT)?);
    for group in &groups {
        group.remove()?;
    }
    assert!(large.wait(PATIENCE)?, "it has what the others gave back");
    Ok(())
}

#[ray_core::test]
fn what_cannot_fit_fails_at_once_and_names_the_option() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(1.0).init()?;
    let named = |outcome: Result<String, Error>, meant: &str| {
        assert!(
            matches!(&outcome, Err(Error::InvalidOption { option, .. }) if option == meant),
            "{outcome:?}"
        );
    };
    // It has no place and never will: the refusals do not wait for one.
    let group = placement_group(&[cpus(4), cpus(8)], PlacementStrategy::Pack)?;
    let task = |cpus: f64, index: i32| {
        where_am_i::options()
            .num_cpus(cpus)
            .placement_group(&group, index)
            .remote()
            .get()
    };
    named(task(9.0, -1), "placement_group");
    named(task(5.0, 0), "placement_group");
    named(task(1.0, 2), "placement_group");
    named(task(1.0, -2), "placement_group");
    let resident = Resident::options()
        .num_cpus(9.0)
        .placement_group(&group, -1)
        .remote();
    named(resident.home().get(), "placement_group");
    let both = where_am_i::options()
        .placement_group(&group, 0)
        .scheduling(ray_core::Strategy::Spread)
        .remote();
    named(both.get(), "scheduling");
    let empty = placement_group(&[], PlacementStrategy::Pack);
    assert!(
        matches!(empty, Err(Error::InvalidOption { .. })),
        "{empty:?}"
    );
    Ok(())
}

#[remote]
fn group_here() -> Option<PlacementGroup> {
    runtime_context().placement_group
}

/// Which group each kind of child of a call runs in.
#[derive(Clone, Debug, PartialEq, Data)]
struct Children {
    task: Option<PlacementGroup>,
    actor: Option<PlacementGroup>,
    grandchild: Option<PlacementGroup>,
    of_constructor: Option<PlacementGroup>,
    sent_outside: Option<PlacementGroup>,
    too_large: String,
}

impl Children {
    fn of_this_call() -> Result<Children, Error> {
        let child = Child::remote();
        let too_large = group_here::options().num_cpus(2.0).remote().get();
        Ok(Children {
            task: group_here::remote().get()?,
            actor: child.group().get()?,
            grandchild: child.group_of_task().get()?,
            of_constructor: child.group_of_first_task().get()?,
            sent_outside: group_here::options()
                .scheduling(ray_core::Strategy::Default)
                .remote()
                .get()?,
            too_large: too_large
                .map_or_else(|error| error.to_string(), |group| format!("{group:?}")),
        })
    }
}

#[actor(num_cpus = 0)]
struct Child {
    first: Option<PlacementGroup>,
}

#[remote]
impl Child {
    pub fn new() -> Result<Self, Error> {
        let first = group_here::options().num_cpus(0.0).remote().get()?;
        Ok(Child { first })
    }

    pub fn group(&self) -> Option<PlacementGroup> {
        runtime_context().placement_group
    }

    pub fn group_of_task(&self) -> Result<Option<PlacementGroup>, Error> {
        group_here::remote().get()
    }

    pub fn group_of_first_task(&self) -> Option<PlacementGroup> {
        self.first.clone()
    }

    pub fn children(&self) -> Result<Children, Error> {
        Children::of_this_call()
    }
}

#[remote]
fn children() -> Result<Children, Error> {
    Children::of_this_call()
}

#[ray_core::test]
fn children_are_captured_by_the_group_of_their_caller() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(4.0).init()?;
    let group = placement_group(&[cpus(1), cpus(1)], PlacementStrategy::Pack)?;
    let inside = Some(group.clone());
    let actor = Child::options()
        .placement_group(&group, 0)
        .capture_child_tasks(true)
        .remote();
    let task = children::options()
        .placement_group(&group, 0)
        .capture_child_tasks(true)
        .remote();
    for children in [task.get()?, actor.children().get()?] {
        assert_eq!(children.task, inside);
        assert_eq!(children.actor, inside);
        assert_eq!(children.grandchild, inside, "capturing is handed on");
        assert_eq!(children.of_constructor, inside);
        assert_eq!(children.sent_outside, None, "it said where it runs");
        assert!(
            children.too_large.contains("placement_group"),
            "{children:?}"
        );
    }
    let task = children::options().placement_group(&group, 0).remote();
    let free = task.get()?;
    assert_eq!([free.task, free.actor, free.grandchild], [None, None, None]);
    Ok(())
}

#[ray_core::test]
fn captured_children_draw_from_the_bundles() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).init()?;
    let group = placement_group(&[cpus(1), cpus(1)], PlacementStrategy::Pack)?;
    // Nothing is left outside the group, so they could not run elsewhere.
    let task = works_below::options()
        .placement_group(&group, 0)
        .capture_child_tasks(true)
        .remote(3);
    assert_eq!(task.get()?, 8);
    let nowhere = group_here::options().capture_child_tasks(true).remote();
    let outcome = nowhere.get();
    assert!(
        matches!(&outcome, Err(Error::InvalidOption { option, .. }) if option == "capture_child_tasks"),
        "{outcome:?}"
    );
    Ok(())
}

#[remote]
fn works_below(depth: u32) -> Result<u32, Error> {
    if depth == 0 {
        return Ok(1);
    }
    let halves = [
        works_below::remote(depth - 1),
        works_below::remote(depth - 1),
    ];
    Ok(get_all(&halves)?.into_iter().sum())
}

/// Reserves for whoever asks.
#[actor]
struct Keeper;

#[remote]
impl Keeper {
    pub fn new() -> Result<Self, Error> {
        reserve("first")?;
        Ok(Keeper)
    }

    pub fn reserve(&self, name: String) -> Result<(), Error> {
        reserve(&name)
    }
}

fn reserve(name: &str) -> Result<(), Error> {
    let group = PlacementGroup::options().name(name);
    let group = group.create(&[cpus(1)], PlacementStrategy::Pack)?;
    group.ready().get()
}

#[ray_core::test]
fn a_detached_actors_groups_live_as_long_as_it_does() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["2"]);
    let ray = cluster.driver().namespace("shared").init()?;
    let keeper = Keeper::options()
        .name("keeper")
        .lifetime(Lifetime::Detached);
    keeper.remote().ready().get()?;
    ray.shutdown()?;
    let is_over = |row: &ray_core::control::Row| {
        !["PENDING", "RUNNING"].contains(&row.text("status").as_str())
    };
    let jobs = || cluster.rows(ray_core::control::Table::Jobs);
    assert!(
        eventually(|| jobs().iter().any(is_over)),
        "its job has ended"
    );
    let ray = cluster.driver().namespace("shared").init()?;
    PlacementGroup::named("first")?;
    let keeper = KeeperHandle::named("keeper")?;
    keeper.reserve("second").get()?;
    PlacementGroup::named("second")?;
    keeper.kill(KillMode::NoRestart)?;
    for name in ["first", "second"] {
        let is_gone = || matches!(PlacementGroup::named(name), Err(Error::NotFound(_)));
        assert!(eventually(is_gone), "`{name}` is left");
    }
    let is_free = || available_resources().is_ok_and(|free| free.get("CPU") == 2.0);
    assert!(eventually(is_free), "the CPUs come back");
    ray.shutdown()
}
