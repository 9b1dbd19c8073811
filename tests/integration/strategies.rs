//! Where work goes when its options say so: strategies, and GPUs by number.

use ray_core::{
    Condition, Config, Error, LabelSelector, NodeId, Strategy, get_all, nodes, prelude::*,
    runtime_context,
};
use ray_tests::{Cluster, Tokens, add_token, take_token};

const DRILL: &str = env!("CARGO_BIN_EXE_drill");

#[remote]
fn where_am_i() -> String {
    runtime_context().node.to_string()
}

#[remote]
fn where_am_i_for_long(arrived: String, leave: String) -> String {
    add_token(&arrived);
    take_token(&leave);
    runtime_context().node.to_string()
}

#[remote]
fn my_gpus() -> Vec<u32> {
    runtime_context().gpu_ids().to_vec()
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

    pub fn gpus(&self) -> Vec<u32> {
        runtime_context().gpu_ids().to_vec()
    }
}

fn affinity(node: NodeId, soft: bool) -> Strategy {
    Strategy::NodeAffinity { node, soft }
}

/// A node that is in no cluster.
const NOBODY: NodeId = NodeId(1 << 30);

fn id_of(name: &str) -> NodeId {
    let nodes = nodes().expect("the nodes");
    let found = nodes.iter().find(|node| node.id.to_string() == name);
    found.expect("a node of this name").id
}

fn is_unschedulable<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Unschedulable { .. }))
}

#[ray_core::test]
fn affinity_to_a_living_node_is_kept_and_to_a_dead_one_fails() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    let left = cluster.join(&["2"]);
    let right = cluster.join(&["2"]);
    let _ray = cluster.driver().init()?;
    let (left_id, right_id) = (id_of(&left), id_of(&right));
    for (name, id) in [(&left, left_id), (&right, right_id)] {
        let places = (0..8)
            .map(|_| {
                where_am_i::options()
                    .scheduling(affinity(id, false))
                    .remote()
            })
            .collect::<Vec<_>>();
        for place in get_all(&places)? {
            assert_eq!(place, *name);
        }
        let resident = Resident::options().scheduling(affinity(id, false)).remote();
        assert_eq!(resident.home().get()?, *name);
    }
    let unknown = where_am_i::options()
        .scheduling(affinity(NOBODY, false))
        .remote()
        .get();
    assert!(is_unschedulable(&unknown), "{unknown:?}");
    cluster.kill_node(0);
    assert!(ray_tests::eventually(|| {
        nodes().is_ok_and(|nodes| nodes.iter().any(|node| !node.alive))
    }));
    let dead = where_am_i::options()
        .scheduling(affinity(left_id, false))
        .remote()
        .get();
    assert!(is_unschedulable(&dead), "{dead:?}");
    let elsewhere = where_am_i::options()
        .scheduling(affinity(left_id, true))
        .remote()
        .get()?;
    assert_eq!(elsewhere, right, "soft affinity goes elsewhere");
    Ok(())
}

#[ray_core::test]
fn spread_tasks_that_run_at_once_are_on_all_nodes() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    let mut names = [cluster.join(&["2"]), cluster.join(&["2"])];
    let _ray = cluster.driver().init()?;
    let (arrived, leave) = (Tokens::new(), Tokens::new());
    let places = (0..2)
        .map(|_| {
            where_am_i_for_long::options()
                .scheduling(Strategy::Spread)
                .remote(arrived.path(), leave.path())
        })
        .collect::<Vec<_>>();
    arrived.take();
    arrived.take();
    leave.add(2);
    let mut places = get_all(&places)?;
    places.sort();
    names.sort();
    assert_eq!(places, names);
    Ok(())
}

#[ray_core::test]
fn labels_that_no_node_has_are_refused() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(1.0).init()?;
    let on_ssd = Strategy::Labels {
        hard: LabelSelector(vec![Condition::Exists { key: "ssd".into() }]),
        soft: LabelSelector::default(),
        fallbacks: Vec::new(),
    };
    let refused = where_am_i::options().scheduling(on_ssd).remote().get();
    assert!(is_unschedulable(&refused), "{refused:?}");
    let without = Strategy::Labels {
        hard: LabelSelector(vec![Condition::Absent { key: "ssd".into() }]),
        soft: LabelSelector::default(),
        fallbacks: Vec::new(),
    };
    assert!(
        where_am_i::options()
            .scheduling(without)
            .remote()
            .get()
            .is_ok()
    );
    Ok(())
}

#[ray_core::test]
fn a_single_node_honours_strategies() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).init()?;
    let here = nodes()?[0].id;
    let name = here.to_string();
    let on = |strategy: Strategy| where_am_i::options().scheduling(strategy).remote();
    assert_eq!(on(affinity(here, false)).get()?, name);
    assert_eq!(on(affinity(NOBODY, true)).get()?, name);
    let refused = on(affinity(NOBODY, false)).get();
    assert!(is_unschedulable(&refused), "{refused:?}");
    let spread = (0..20).map(|_| on(Strategy::Spread)).collect::<Vec<_>>();
    assert!(get_all(&spread)?.iter().all(|place| *place == name));
    let resident = Resident::options()
        .scheduling(affinity(NOBODY, false))
        .remote();
    let refused = resident.home().get();
    assert!(is_unschedulable(&refused), "{refused:?}");
    Ok(())
}

#[ray_core::test]
fn a_call_knows_its_gpus_by_number() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(4.0).num_gpus(2.0).init()?;
    assert_eq!(my_gpus::remote().get()?, Vec::<u32>::new());
    let first = Resident::options().num_gpus(1.0).remote();
    let second = Resident::options().num_gpus(1.0).remote();
    let mut held = [first.gpus().get()?, second.gpus().get()?].concat();
    held.sort_unstable();
    assert_eq!(held, [0, 1], "two actors never share a whole GPU");
    second.kill(KillMode::NoRestart)?;
    let left = my_gpus::options().num_gpus(0.5).remote().get()?;
    assert_eq!(left.len(), 1);
    assert_ne!(
        left,
        first.gpus().get()?,
        "the task has the GPU that is free"
    );
    Ok(())
}
