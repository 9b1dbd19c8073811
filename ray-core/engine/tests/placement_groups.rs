//! The placement groups' events, one behaviour a test.

use std::time::Duration;

use ray_engine::{
    control::groups::{Command, GroupSpec, GroupState, GroupsConfig, Lifetime, PlacementGroups},
    failure::Failure,
    ids::{ActorId, GroupId, JobId, NodeId, ProcessId},
    resources::{Amount, Resources},
    spec::{Labels, NodeReport, PlacedBundle, PlacementStrategy},
    time::Time,
};

const DRIVER: ProcessId = ProcessId(9);
const JOB: JobId = JobId(1);
const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const C: NodeId = NodeId(3);
const NOW: Time = Time(1_000_000_000);
const TIMEOUT: Duration = Duration::from_secs(5);

fn cpus(count: u64) -> Resources {
    Resources::new().with(Resources::CPU, Amount(count * 10_000))
}

fn id(index: u64) -> GroupId {
    GroupId {
        owner: DRIVER,
        index,
    }
}

fn spec(index: u64, bundles: &[u64], strategy: PlacementStrategy) -> GroupSpec {
    GroupSpec {
        group: id(index),
        name: None,
        bundles: bundles.iter().map(|count| cpus(*count)).collect(),
        strategy,
        lifetime: Lifetime::Job(JOB),
    }
}

fn strict_spread(index: u64, bundles: &[u64]) -> GroupSpec {
    spec(index, bundles, PlacementStrategy::StrictSpread)
}

fn groups(nodes: &[(NodeId, u64)]) -> PlacementGroups {
    let mut groups = PlacementGroups::new(GroupsConfig::default(), 1);
    for (node, count) in nodes {
        groups.on_node_joined(*node, cpus(*count), Labels::new(), NOW);
    }
    groups
}

fn create(groups: &mut PlacementGroups, spec: GroupSpec) {
    groups.create(spec, NOW).expect("a valid group");
}

/// Returns what is wished, without the questions for room.
fn commands(groups: &mut PlacementGroups) -> Vec<Command> {
    std::iter::from_fn(|| groups.poll_command())
        .filter(|command| !matches!(command, Command::MakeRoom { .. }))
        .collect()
}

/// Returns whom groups have asked for room, and for bundles of how many CPUs.
fn asked_for_room(groups: &mut PlacementGroups) -> Vec<(NodeId, Vec<Resources>)> {
    std::iter::from_fn(|| groups.poll_command())
        .filter_map(|command| match command {
            Command::MakeRoom { node, bundles } => Some((node, bundles)),
            _ => None,
        })
        .collect()
}

fn prepare(node: NodeId, attempt: u64, bundles: &[(u32, u64)]) -> Command {
    let bundles = bundles.iter().map(|(index, count)| (*index, cpus(*count)));
    Command::Prepare {
        node,
        group: id(1),
        attempt,
        bundles: bundles.collect(),
    }
}

fn commit(node: NodeId, attempt: u64) -> Command {
    Command::Commit {
        node,
        group: id(1),
        attempt,
    }
}

fn returned(node: NodeId, attempt: u64) -> Command {
    Command::Return {
        node,
        group: id(1),
        attempt,
    }
}

fn published(state: GroupState, bundles: &[(u64, Option<NodeId>)]) -> Command {
    let bundles = bundles.iter().map(|(count, node)| PlacedBundle {
        shape: cpus(*count),
        node: *node,
    });
    Command::Publish {
        group: id(1),
        state,
        bundles: bundles.collect(),
    }
}

/// Returns a group with one bundle of one CPU on A and one on B, and room for one more on C.
fn created() -> PlacementGroups {
    let mut groups = groups(&[(A, 1), (B, 1), (C, 1)]);
    create(&mut groups, strict_spread(1, &[1, 1]));
    for node in [A, B] {
        groups.on_prepared(node, id(1), 1, NOW);
    }
    for node in [A, B] {
        groups.on_committed(node, id(1), 1, NOW);
    }
    assert_eq!(groups.state(id(1)), Some(GroupState::Created));
    commands(&mut groups);
    groups
}

#[test]
fn all_nodes_prepare_before_any_commits() {
    let mut groups = groups(&[(A, 1), (B, 1)]);
    create(&mut groups, strict_spread(1, &[1, 1]));
    assert_eq!(
        commands(&mut groups),
        [prepare(A, 1, &[(0, 1)]), prepare(B, 1, &[(1, 1)])]
    );
    groups.on_prepared(A, id(1), 1, NOW);
    assert_eq!(commands(&mut groups), []);
    groups.on_prepared(B, id(1), 1, NOW);
    assert_eq!(commands(&mut groups), [commit(A, 1), commit(B, 1)]);
    groups.on_committed(A, id(1), 1, NOW);
    assert_eq!(groups.state(id(1)), Some(GroupState::Pending));
    groups.on_committed(B, id(1), 1, NOW);
    let places = [(1, Some(A)), (1, Some(B))];
    assert_eq!(
        commands(&mut groups),
        [published(GroupState::Created, &places)]
    );
}

#[test]
fn a_group_without_room_holds_nothing() {
    let mut groups = groups(&[(A, 1)]);
    create(&mut groups, strict_spread(1, &[1, 1]));
    assert_eq!(commands(&mut groups), []);
    assert_eq!(groups.state(id(1)), Some(GroupState::Pending));
    create(&mut groups, strict_spread(2, &[1]));
    assert_eq!(commands(&mut groups).len(), 1);
}

#[test]
fn a_pending_group_is_placed_when_a_fitting_node_joins() {
    let mut groups = groups(&[(A, 1)]);
    create(&mut groups, spec(1, &[4], PlacementStrategy::Pack));
    assert!(!groups.is_feasible(id(1)));
    groups.on_node_joined(B, cpus(4), Labels::new(), NOW);
    assert!(groups.is_feasible(id(1)));
    assert_eq!(commands(&mut groups), [prepare(B, 1, &[(0, 4)])]);
}

#[test]
fn a_refusal_returns_every_share_and_tries_elsewhere() {
    let mut groups = groups(&[(A, 1), (B, 1), (C, 1)]);
    create(&mut groups, strict_spread(1, &[1, 1]));
    groups.on_prepared(A, id(1), 1, NOW);
    commands(&mut groups);
    groups.on_refused(B, id(1), 1, NOW);
    assert_eq!(commands(&mut groups), [returned(A, 1), returned(B, 1)]);
    let free = NodeReport {
        version: 1,
        available: cpus(1),
        queue_len: 0,
        overdue: 0,
    };
    groups.on_node_view(A, free, NOW);
    assert_eq!(
        commands(&mut groups),
        [prepare(A, 2, &[(0, 1)]), prepare(C, 2, &[(1, 1)])]
    );
}

#[test]
fn an_answer_of_an_older_attempt_is_returned_and_counts_for_nothing() {
    let mut groups = groups(&[(A, 1), (B, 1)]);
    create(&mut groups, strict_spread(1, &[1, 1]));
    groups.on_refused(B, id(1), 1, NOW);
    commands(&mut groups);
    groups.on_prepared(A, id(1), 1, NOW);
    groups.on_committed(B, id(1), 1, NOW);
    assert_eq!(commands(&mut groups), [returned(A, 1), returned(B, 1)]);
    assert_eq!(groups.state(id(1)), Some(GroupState::Pending));
}

#[test]
fn a_commit_said_twice_is_fine() {
    let mut groups = created();
    groups.on_committed(A, id(1), 1, NOW);
    assert_eq!(commands(&mut groups), []);
}

#[test]
fn a_node_that_gave_up_before_the_commit_ends_the_attempt() {
    let mut groups = groups(&[(A, 1), (B, 1)]);
    create(&mut groups, strict_spread(1, &[1, 1]));
    groups.on_prepared(A, id(1), 1, NOW);
    groups.on_prepared(B, id(1), 1, NOW);
    groups.on_committed(A, id(1), 1, NOW);
    commands(&mut groups);
    groups.on_refused(B, id(1), 1, NOW);
    assert_eq!(commands(&mut groups), [returned(A, 1), returned(B, 1)]);
    assert_eq!(groups.state(id(1)), Some(GroupState::Pending));
}

#[test]
fn a_node_that_dies_while_preparing_ends_the_attempt() {
    let mut groups = groups(&[(A, 1), (B, 1)]);
    create(&mut groups, strict_spread(1, &[1, 1]));
    commands(&mut groups);
    groups.on_node_died(B, NOW);
    assert_eq!(commands(&mut groups), [returned(A, 1)]);
    assert_eq!(groups.state(id(1)), Some(GroupState::Pending));
}

#[test]
fn a_dead_nodes_bundles_move_and_the_others_stay() {
    let mut groups = created();
    groups.on_node_died(A, NOW);
    let lost = [(1, None), (1, Some(B))];
    assert_eq!(
        commands(&mut groups),
        [
            published(GroupState::Rescheduling, &lost),
            prepare(C, 2, &[(0, 1)])
        ]
    );
    groups.on_prepared(C, id(1), 2, NOW);
    groups.on_committed(C, id(1), 2, NOW);
    let places = [(1, Some(C)), (1, Some(B))];
    assert_eq!(
        commands(&mut groups),
        [commit(C, 2), published(GroupState::Created, &places)]
    );
}

#[test]
fn a_second_death_while_rescheduling_widens_the_loss_and_waits_for_room_for_all() {
    let mut groups = created();
    groups.on_node_died(A, NOW);
    commands(&mut groups);
    groups.on_node_died(B, NOW);
    let lost = [(1, None), (1, None)];
    assert_eq!(
        commands(&mut groups),
        [returned(C, 2), published(GroupState::Rescheduling, &lost)]
    );
    groups.on_node_joined(A, cpus(4), Labels::new(), NOW);
    let free = NodeReport {
        version: 1,
        available: cpus(1),
        queue_len: 0,
        overdue: 0,
    };
    groups.on_node_view(C, free, NOW);
    let prepared = commands(&mut groups);
    assert_eq!(prepared.len(), 2);
    assert!(
        prepared
            .iter()
            .all(|command| matches!(command, Command::Prepare { attempt: 3, .. }))
    );
}

#[test]
fn removal_returns_all_and_removing_again_is_fine() {
    let mut groups = created();
    groups.remove(id(1), NOW);
    groups.remove(id(1), NOW);
    let gone = [(1, None), (1, None)];
    assert_eq!(
        commands(&mut groups),
        [
            returned(A, 1),
            returned(B, 1),
            published(GroupState::Removed, &gone)
        ]
    );
    assert_eq!(groups.state(id(1)), Some(GroupState::Removed));
    create(&mut groups, strict_spread(1, &[1]));
    assert_eq!(commands(&mut groups), []);
}

#[test]
fn removal_while_preparing_returns_what_may_be_reserved() {
    let mut groups = groups(&[(A, 1), (B, 1)]);
    create(&mut groups, strict_spread(1, &[1, 1]));
    groups.on_prepared(A, id(1), 1, NOW);
    commands(&mut groups);
    groups.remove(id(1), NOW);
    let done = commands(&mut groups);
    assert_eq!(done[..2], [returned(A, 1), returned(B, 1)]);
    groups.on_prepared(B, id(1), 1, NOW);
    assert_eq!(commands(&mut groups), [returned(B, 1)]);
}

#[test]
fn groups_end_with_their_job_or_actor_and_detached_ones_stay() {
    let actor = ActorId {
        owner: DRIVER,
        index: 1,
    };
    let mut groups = groups(&[]);
    let lifetimes = [
        Lifetime::Job(JOB),
        Lifetime::Actor(actor),
        Lifetime::Detached,
    ];
    for (index, lifetime) in (1..).zip(lifetimes) {
        let spec = GroupSpec {
            lifetime,
            ..strict_spread(index, &[1])
        };
        create(&mut groups, spec);
    }
    groups.on_job_ended(JOB, NOW);
    groups.on_actor_died(actor, NOW);
    let states = (1..=3).map(|index| groups.state(id(index)));
    assert_eq!(
        states.collect::<Vec<_>>(),
        [
            Some(GroupState::Removed),
            Some(GroupState::Removed),
            Some(GroupState::Pending)
        ]
    );
}

#[test]
fn a_name_is_taken_until_its_group_ends() {
    let name = Some(("default".to_owned(), "train".to_owned()));
    let named = |index| GroupSpec {
        name: name.clone(),
        ..strict_spread(index, &[1])
    };
    let mut groups = groups(&[]);
    create(&mut groups, named(1));
    let found = groups.lookup("default", "train");
    assert_eq!(found.map(|spec| spec.group), Some(id(1)));
    assert_eq!(
        groups.create(named(2), NOW),
        Err(Failure::NameTaken("train".into()))
    );
    groups.remove(id(1), NOW);
    assert_eq!(groups.create(named(3), NOW), Ok(()));
}

#[test]
fn an_amount_that_is_none_is_refused_by_name() {
    let mut groups = groups(&[(A, 4)]);
    for amount in [-1.0, f64::NAN, f64::INFINITY] {
        let bundles = vec![cpus(1), Resources::from([("gum", amount)])];
        let spec = GroupSpec {
            bundles,
            ..strict_spread(1, &[])
        };
        match groups.create(spec, NOW) {
            Err(Failure::InvalidOption { option, reason }) => {
                assert_eq!(option, "bundles");
                assert!(
                    reason.contains("bundle 1") && reason.contains("`gum`"),
                    "{reason}"
                );
            }
            other => panic!("{amount} gave {other:?}"),
        }
    }
}

#[test]
fn nonsense_is_refused() {
    let mut groups = groups(&[]);
    for bundles in [&[][..], &[0]] {
        let made = groups.create(strict_spread(1, bundles), NOW);
        assert!(matches!(made, Err(Failure::InvalidOption { .. })));
    }
}

#[test]
fn silence_after_a_prepare_ends_the_attempt() {
    let mut groups = groups(&[(A, 1), (B, 1)]);
    create(&mut groups, strict_spread(1, &[1]));
    assert_eq!(commands(&mut groups), [prepare(A, 1, &[(0, 1)])]);
    assert_eq!(groups.poll_timeout(), Some(NOW + TIMEOUT));
    groups.on_timeout(NOW + TIMEOUT);
    assert_eq!(
        commands(&mut groups),
        [returned(A, 1), prepare(B, 2, &[(0, 1)])]
    );
}

#[test]
fn silence_after_a_commit_repeats_it() {
    let mut groups = groups(&[(A, 1)]);
    create(&mut groups, strict_spread(1, &[1]));
    groups.on_prepared(A, id(1), 1, NOW);
    commands(&mut groups);
    groups.on_timeout(NOW + TIMEOUT);
    assert_eq!(commands(&mut groups), [commit(A, 1)]);
}

#[test]
fn a_node_that_registers_again_is_brought_in_line() {
    let mut groups = created();
    groups.on_node_bundles(B, &[(id(1), 1), (id(8), 5)], NOW);
    let stray = Command::Return {
        node: B,
        group: id(8),
        attempt: 5,
    };
    assert_eq!(commands(&mut groups), [stray]);
    groups.on_node_bundles(B, &[], NOW);
    assert_eq!(groups.state(id(1)), Some(GroupState::Rescheduling));
}

#[test]
fn an_answer_that_comes_again_gives_no_bundle_back_that_has_its_place() {
    let mut groups = groups(&[(A, 4)]);
    create(&mut groups, spec(1, &[1], PlacementStrategy::Pack));
    groups.on_prepared(A, id(1), 1, NOW);
    groups.on_committed(A, id(1), 1, NOW);
    assert_eq!(groups.state(id(1)), Some(GroupState::Created));
    commands(&mut groups);
    groups.on_prepared(A, id(1), 1, NOW);
    groups.on_committed(A, id(1), 1, NOW);
    assert_eq!(commands(&mut groups), []);
}

#[test]
fn a_group_that_waits_asks_each_node_that_could_hold_a_part_for_room_once() {
    let mut groups = groups(&[(A, 1), (B, 3)]);
    let full = |version| NodeReport {
        version,
        ..NodeReport::default()
    };
    groups.on_node_view(A, full(1), NOW);
    groups.on_node_view(B, full(1), NOW);
    create(&mut groups, strict_spread(1, &[1, 2]));
    let parts = [(A, vec![cpus(1)]), (B, vec![cpus(1), cpus(2)])];
    assert_eq!(asked_for_room(&mut groups), parts);
    groups.on_node_view(A, full(2), NOW);
    assert_eq!(asked_for_room(&mut groups), [], "they know");
    // It begins to wait again when what it was given is lost.
    let free = |version, count| NodeReport {
        version,
        available: cpus(count),
        ..NodeReport::default()
    };
    groups.on_node_view(A, free(3, 1), NOW);
    groups.on_node_view(B, free(2, 3), NOW);
    assert_eq!(commands(&mut groups).len(), 2, "both are asked to prepare");
    groups.on_refused(A, id(1), 1, NOW);
    assert_eq!(asked_for_room(&mut groups), parts);
}

#[test]
fn a_detached_group_has_its_name_until_it_is_removed() {
    let mut groups = groups(&[(A, 1)]);
    let named = |index| GroupSpec {
        name: Some(("space".into(), "pool".into())),
        lifetime: Lifetime::Detached,
        ..spec(index, &[1], PlacementStrategy::Pack)
    };
    create(&mut groups, named(1));
    groups.on_job_ended(JOB, NOW);
    let found = groups.lookup("space", "pool").expect("it lives on");
    assert_eq!((found.group, &found.bundles), (id(1), &vec![cpus(1)]));
    assert!(groups.lookup("elsewhere", "pool").is_none());
    let taken = groups.create(named(2), NOW);
    assert_eq!(taken, Err(Failure::NameTaken("pool".into())));
    groups.remove(id(1), NOW);
    groups.remove(id(1), NOW);
    assert!(groups.lookup("space", "pool").is_none());
    create(&mut groups, named(2));
}
