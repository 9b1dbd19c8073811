//! The cluster's tables while a program runs: names, states and numbers that a user looks for.

use ray_core::{
    Amount, PlacementStrategy, Resources, control::Table, placement_group, prelude::*,
    runtime_context,
};
use ray_tests::{Cluster, Tokens, add_token, eventually, is_alive, kill9, take_token};

const DRILL: &str = env!("CARGO_BIN_EXE_drill");

#[remote]
fn held(begun: String, gate: String) -> Option<String> {
    add_token(&begun);
    take_token(&gate);
    runtime_context().function.map(str::to_owned)
}

#[actor(max_restarts = 1)]
struct Clerk;

#[remote]
impl Clerk {
    pub fn new() -> Self {
        Clerk
    }

    pub fn pid(&self) -> u32 {
        std::process::id()
    }
}

#[ray_core::test]
fn a_tasks_own_name_is_in_the_list() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    let node = cluster.join(&["2"]);
    let _ray = cluster.driver().init()?;
    let (begun, gate) = (Tokens::new(), Tokens::new());
    let call = held::options()
        .name("morning shift")
        .remote(begun.path(), gate.path());
    begun.take();
    let rows = cluster.rows(Table::Tasks);
    let row = rows.iter().find(|row| row.text("name") == "morning shift");
    let row = row.unwrap_or_else(|| panic!("no row: {rows:?}"));
    assert_eq!(row.text("func_or_class_name"), "held");
    assert_eq!(row.text("state"), "RUNNING");
    assert_eq!(row.text("node_id"), node);
    gate.add(1);
    assert_eq!(call.get()?.as_deref(), Some("held"));
    Ok(())
}

#[ray_core::test]
fn an_actors_life_is_in_the_list() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    let node = cluster.join(&["2"]);
    let _ray = cluster.driver().namespace("office").init()?;
    let clerk = Clerk::options().name("clerk").max_task_retries(-1).remote();
    let pid = clerk.pid().get()?;
    let row = || {
        let rows = cluster.rows(Table::Actors);
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows[0].clone()
    };
    let told = [
        "class_name",
        "state",
        "name",
        "ray_namespace",
        "node_id",
        "num_restarts",
    ];
    let texts = || told.map(|column| row().text(column));
    assert_eq!(texts(), ["Clerk", "ALIVE", "clerk", "office", &node, "0"]);
    assert_eq!(row().text("pid"), pid.to_string());
    kill9(pid);
    let again = clerk.pid().get()?;
    assert_ne!(again, pid);
    assert_eq!(texts(), ["Clerk", "ALIVE", "clerk", "office", &node, "1"]);
    clerk.kill(KillMode::NoRestart)?;
    assert!(eventually(|| row().text("state") == "DEAD"));
    assert!(eventually(|| !is_alive(again)));
    Ok(())
}

#[ray_core::test]
fn a_groups_states_are_in_the_list() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["1"]);
    let _ray = cluster.driver().init()?;
    let cpu = Resources::new().with(Resources::CPU, Amount::ONE);
    let first = placement_group(std::slice::from_ref(&cpu), PlacementStrategy::StrictPack)?;
    first.ready().get()?;
    let second = placement_group(&[cpu], PlacementStrategy::Spread)?;
    let state = |group: &ray_core::PlacementGroup| {
        let id = group.id().to_string();
        let rows = cluster.rows(Table::PlacementGroups);
        let found = rows.iter().find(|row| row.text("placement_group_id") == id);
        found.map(|row| (row.text("state"), row.text("strategy")))
    };
    let is = |group, text: &str| state(group).is_some_and(|(state, _)| state == text);
    assert!(is(&first, "CREATED") && is(&second, "PENDING"));
    assert_eq!(state(&first).expect("a row").1, "STRICT_PACK");
    first.remove()?;
    assert!(eventually(|| is(&second, "CREATED")));
    assert!(state(&first).is_none_or(|(state, _)| state == "REMOVED"));
    Ok(())
}
