//! Labels: work goes to nodes by what they are called, with second choices.

use ray_core::{Condition, Error, LabelSelector, Strategy, prelude::*, runtime_context};
use ray_tests::Cluster;

const DRILL: &str = env!("CARGO_BIN_EXE_drill");

#[remote]
fn home() -> String {
    runtime_context().node.to_string()
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

fn is(key: &str, value: &str) -> LabelSelector {
    LabelSelector(vec![Condition::In {
        key: key.into(),
        values: vec![value.into()],
    }])
}

fn is_not(key: &str, value: &str) -> LabelSelector {
    LabelSelector(vec![Condition::NotIn {
        key: key.into(),
        values: vec![value.into()],
    }])
}

fn labels(hard: LabelSelector, soft: LabelSelector, fallbacks: Vec<LabelSelector>) -> Strategy {
    Strategy::Labels {
        hard,
        soft,
        fallbacks,
    }
}

#[ray_core::test]
fn work_goes_where_the_labels_are() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    let near = cluster.join(&["16", "%zone=near", "%disk=ssd"]);
    let far = cluster.join(&["16", "%zone=far"]);
    let _ray = cluster.driver().init()?;
    let any = LabelSelector::default;
    let has_disk = LabelSelector(vec![Condition::Exists { key: "disk".into() }]);
    let no_disk = LabelSelector(vec![Condition::Absent { key: "disk".into() }]);
    let wishes = [
        (labels(is("zone", "near"), any(), vec![]), &near),
        (labels(is("zone", "far"), any(), vec![]), &far),
        (labels(is_not("zone", "near"), any(), vec![]), &far),
        (labels(has_disk, any(), vec![]), &near),
        (labels(no_disk, any(), vec![]), &far),
        // A soft wish decides among those that the hard one leaves, and yields to it.
        (labels(any(), is("zone", "far"), vec![]), &far),
        (labels(is("zone", "near"), is("zone", "far"), vec![]), &near),
        (labels(any(), is("zone", "moon"), vec![]), &near),
        // The first choice that some node meets.
        (
            labels(
                is("zone", "moon"),
                any(),
                vec![is("zone", "mars"), is("zone", "far")],
            ),
            &far,
        ),
    ];
    for (at, (wish, expected)) in wishes.into_iter().enumerate() {
        // One after the other: a soft wish yields to a node that is full.
        let task = || home::options().scheduling(wish.clone()).remote().get();
        let resident = Resident::options().scheduling(wish.clone()).remote();
        let homes = [task()?, task()?, resident.home().get()?];
        // A soft wish that nobody meets is none.
        if at == 7 {
            assert!(homes.iter().all(|home| [&near, &far].contains(&home)));
        } else {
            assert!(homes.iter().all(|home| home == expected), "{at}: {homes:?}");
        }
    }
    let nowhere = labels(is("zone", "moon"), any(), vec![is("zone", "mars")]);
    let refused = home::options().scheduling(nowhere).remote().get();
    assert!(
        matches!(refused, Err(Error::Unschedulable { .. })),
        "{refused:?}"
    );
    Ok(())
}
