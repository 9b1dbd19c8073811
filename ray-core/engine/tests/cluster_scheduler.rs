//! The global scheduler's events, one behaviour a test.

use std::time::Duration;

use ray_engine::{
    failure::Failure,
    ids::{ActorId, GroupId, NodeId, ProcessId, RequestId},
    resources::{Amount, Resources},
    scheduler::cluster::{ClusterConfig, ClusterScheduler, Command, WaitReason},
    spec::{BundleRef, Demand, Labels, NodeReport, PlacedBundle, Strategy},
    time::Time,
};

const DRIVER: ProcessId = ProcessId(9);
const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const NOW: Time = Time(1_000_000_000);
const GROUP: GroupId = GroupId {
    owner: DRIVER,
    index: 1,
};

fn cpus(count: u64) -> Resources {
    Resources::new().with(Resources::CPU, Amount(count * 10_000))
}

fn report(version: u64, free: u64) -> NodeReport {
    NodeReport {
        version,
        available: cpus(free),
        queue_len: 0,
        overdue: 0,
    }
}

fn scheduler_with(config: ClusterConfig, nodes: &[(NodeId, u64)]) -> ClusterScheduler {
    let mut scheduler = ClusterScheduler::new(config, 1);
    for (node, count) in nodes {
        scheduler.on_node_joined(*node, cpus(*count), Labels::new(), NOW);
    }
    scheduler
}

fn scheduler(nodes: &[(NodeId, u64)]) -> ClusterScheduler {
    // Nobody stands in line at full nodes: `lines.rs` is about that.
    let config = ClusterConfig {
        line_max: 0,
        ..ClusterConfig::default()
    };
    scheduler_with(config, nodes)
}

fn ask(scheduler: &mut ClusterScheduler, request: u64, demand: Demand) {
    scheduler.place(DRIVER, RequestId(request), demand, NOW);
}

fn commands(scheduler: &mut ClusterScheduler) -> Vec<Command> {
    std::iter::from_fn(|| scheduler.poll_command()).collect()
}

/// Returns which request went where, and whether it must queue there.
fn forwards(scheduler: &mut ClusterScheduler) -> Vec<(u64, NodeId, bool)> {
    commands(scheduler)
        .into_iter()
        .map(|command| match command {
            Command::Forward {
                node,
                request,
                is_bound,
                ..
            } => (request.0, node, is_bound),
            other => panic!("not a forward: {other:?}"),
        })
        .collect()
}

fn reasons(scheduler: &ClusterScheduler) -> Vec<(u64, WaitReason)> {
    scheduler
        .demand()
        .map(|pending| (pending.request.0, pending.reason))
        .collect()
}

fn refused(scheduler: &mut ClusterScheduler) -> Vec<(u64, Failure)> {
    commands(scheduler)
        .into_iter()
        .filter_map(|command| match command {
            Command::Refuse {
                request, failure, ..
            } => Some((request.0, failure)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_burst_spreads_before_any_report_comes() {
    let mut scheduler = scheduler(&[(A, 2), (B, 2)]);
    for request in 1..=5 {
        let demand = Demand {
            origin: Some(A),
            ..Demand::task(cpus(1))
        };
        ask(&mut scheduler, request, demand);
    }
    let went = forwards(&mut scheduler);
    assert_eq!(went.len(), 4);
    assert_eq!(went.iter().filter(|(_, node, _)| *node == A).count(), 2);
    assert_eq!(reasons(&scheduler), [(5, WaitReason::Busy)]);
}

#[test]
fn the_submitters_node_fills_to_half_first() {
    let mut scheduler = scheduler(&[(A, 10), (B, 10)]);
    for request in 1..=6 {
        let demand = Demand {
            origin: Some(B),
            ..Demand::task(cpus(1))
        };
        ask(&mut scheduler, request, demand);
    }
    let nodes = forwards(&mut scheduler)
        .iter()
        .map(|(_, node, _)| *node)
        .collect::<Vec<_>>();
    assert_eq!(nodes, [B, B, B, B, B, A]);
}

#[test]
fn what_waits_goes_when_a_report_shows_room() {
    let mut scheduler = scheduler(&[(A, 1)]);
    ask(&mut scheduler, 1, Demand::task(cpus(1)));
    ask(&mut scheduler, 2, Demand::task(cpus(1)));
    assert_eq!(forwards(&mut scheduler), [(1, A, false)]);
    scheduler.on_node_view(A, report(1, 0), NOW);
    assert_eq!(forwards(&mut scheduler), []);
    scheduler.on_node_view(A, report(2, 1), NOW);
    assert_eq!(forwards(&mut scheduler), [(2, A, false)]);
}

#[test]
fn a_stale_report_places_nothing() {
    let mut scheduler = scheduler(&[(A, 1)]);
    scheduler.on_node_view(A, report(5, 0), NOW);
    ask(&mut scheduler, 1, Demand::task(cpus(1)));
    scheduler.on_node_view(A, report(4, 1), NOW);
    assert_eq!(commands(&mut scheduler), []);
}

#[test]
fn a_rejected_request_goes_elsewhere_and_the_node_counts_as_full() {
    let mut scheduler = scheduler(&[(A, 4), (B, 4)]);
    let near = Demand {
        origin: Some(A),
        ..Demand::task(cpus(1))
    };
    ask(&mut scheduler, 1, near.clone());
    assert_eq!(forwards(&mut scheduler), [(1, A, false)]);
    scheduler.on_rejected(A, DRIVER, RequestId(1), NOW);
    ask(&mut scheduler, 2, near.clone());
    assert_eq!(forwards(&mut scheduler), [(1, B, false), (2, B, false)]);
    scheduler.on_node_view(A, report(1, 4), NOW);
    ask(&mut scheduler, 3, near);
    assert_eq!(forwards(&mut scheduler), [(3, A, false)]);
}

#[test]
fn a_rejection_by_a_node_that_does_not_have_it_changes_nothing() {
    let mut scheduler = scheduler(&[(A, 1)]);
    ask(&mut scheduler, 1, Demand::task(cpus(1)));
    assert_eq!(forwards(&mut scheduler), [(1, A, false)]);
    scheduler.on_rejected(B, DRIVER, RequestId(1), NOW);
    assert_eq!(commands(&mut scheduler), []);
    assert_eq!(scheduler.unsettled(), 1);
}

#[test]
fn a_dead_nodes_requests_are_placed_again_unless_settled() {
    let mut scheduler = scheduler(&[(A, 2)]);
    ask(&mut scheduler, 1, Demand::task(cpus(1)));
    ask(&mut scheduler, 2, Demand::task(cpus(1)));
    forwards(&mut scheduler);
    scheduler.on_settled(A, DRIVER, RequestId(1));
    scheduler.on_node_joined(B, cpus(2), Labels::new(), NOW);
    scheduler.on_node_left(A, NOW);
    assert_eq!(forwards(&mut scheduler), [(2, B, false)]);
}

#[test]
fn what_the_processes_of_a_dead_node_asked_for_is_taken_back() {
    let mut scheduler = scheduler(&[(A, 4), (B, 1)]);
    let worker = B.process().started(1);
    scheduler.place(worker, RequestId(1), Demand::task(cpus(4)), NOW);
    scheduler.place(worker, RequestId(2), Demand::task(cpus(4)), NOW);
    assert_eq!(forwards(&mut scheduler), [(1, A, false)]);
    scheduler.on_node_left(B, NOW);
    assert!(matches!(
        commands(&mut scheduler)[..],
        [Command::CancelForwarded {
            node: A,
            request: RequestId(1),
            ..
        }]
    ));
    assert_eq!((scheduler.demand().count(), scheduler.unsettled()), (0, 0));
}

#[test]
fn the_node_of_a_driver_takes_its_requests_with_it_though_nothing_runs_there() {
    let mut scheduler = scheduler(&[(A, 4)]);
    let driver = NodeId(7).process();
    scheduler.place(driver, RequestId(1), Demand::task(cpus(5)), NOW);
    scheduler.on_node_left(driver.node(), NOW);
    assert_eq!(scheduler.demand().count(), 0);
}

#[test]
fn only_the_node_that_has_a_request_settles_it() {
    let mut scheduler = scheduler(&[(A, 4)]);
    ask(&mut scheduler, 1, Demand::task(cpus(1)));
    assert!(!scheduler.on_settled(B, DRIVER, RequestId(1)));
    assert_eq!(
        scheduler.forwarded().collect::<Vec<_>>(),
        [(A, DRIVER, RequestId(1))]
    );
    assert!(scheduler.on_settled(A, DRIVER, RequestId(1)));
    assert_eq!(scheduler.unsettled(), 0);
}

#[test]
fn a_question_asked_twice_is_placed_once() {
    let mut scheduler = scheduler(&[(A, 4)]);
    ask(&mut scheduler, 1, Demand::task(cpus(1)));
    ask(&mut scheduler, 1, Demand::task(cpus(1)));
    assert_eq!(forwards(&mut scheduler), [(1, A, false)]);
}

#[test]
fn spread_takes_turns_and_ignores_locality() {
    let mut scheduler = scheduler(&[(A, 4), (B, 4)]);
    for request in 1..=4 {
        let demand = Demand {
            strategy: Strategy::Spread,
            locality: vec![(B, 1 << 30)],
            ..Demand::task(cpus(1))
        };
        ask(&mut scheduler, request, demand);
    }
    let nodes = forwards(&mut scheduler)
        .iter()
        .map(|(_, node, _)| *node)
        .collect::<Vec<_>>();
    assert_eq!(nodes, [A, B, A, B]);
}

#[test]
fn a_task_goes_to_its_large_arguments_and_an_actor_does_not() {
    let mut scheduler = scheduler(&[(A, 4), (B, 4)]);
    let demand = Demand {
        locality: vec![(A, 10), (B, 1 << 20)],
        origin: Some(A),
        ..Demand::task(cpus(1))
    };
    ask(&mut scheduler, 1, demand.clone());
    let actor = ActorId {
        owner: DRIVER,
        index: 1,
    };
    let actor = Some((actor, Resources::new()));
    ask(&mut scheduler, 2, Demand { actor, ..demand });
    assert_eq!(forwards(&mut scheduler), [(1, B, false), (2, A, false)]);
}

#[test]
fn a_task_stands_in_line_at_its_large_arguments() {
    let mut scheduler = scheduler_with(ClusterConfig::default(), &[(A, 4), (B, 1)]);
    let demand = Demand {
        locality: vec![(B, 1 << 20)],
        ..Demand::task(cpus(1))
    };
    for request in 1..=3 {
        ask(&mut scheduler, request, demand.clone());
    }
    // The second waits there, and is moved when it waits long; a third of the same would wait behind it.
    let meant = [(1, B, false), (2, B, true), (3, A, false)];
    assert_eq!(forwards(&mut scheduler), meant);
}

#[test]
fn a_task_goes_to_its_large_arguments_though_others_are_emptier() {
    let mut scheduler = scheduler(&[(A, 4), (B, 4)]);
    for request in 1..=3 {
        let demand = Demand {
            strategy: Strategy::NodeAffinity {
                node: B,
                soft: false,
            },
            ..Demand::task(cpus(1))
        };
        ask(&mut scheduler, request, demand);
    }
    forwards(&mut scheduler);
    let demand = Demand {
        locality: vec![(B, 1 << 20)],
        ..Demand::task(cpus(1))
    };
    ask(&mut scheduler, 4, demand);
    assert_eq!(forwards(&mut scheduler), [(4, B, false)]);
}

#[test]
fn actors_without_cpu_spread() {
    let mut scheduler = scheduler(&[(A, 4), (B, 4)]);
    for index in 1..=2 {
        let actor = ActorId {
            owner: DRIVER,
            index,
        };
        let demand = Demand {
            actor: Some((actor, Resources::new())),
            origin: Some(A),
            ..Demand::default()
        };
        ask(&mut scheduler, index, demand);
    }
    assert_eq!(forwards(&mut scheduler), [(1, A, false), (2, B, false)]);
}

fn affine(node: NodeId, soft: bool) -> Demand {
    Demand {
        strategy: Strategy::NodeAffinity { node, soft },
        ..Demand::task(cpus(1))
    }
}

#[test]
fn hard_affinity_waits_at_a_busy_node_and_fails_without_it() {
    let mut scheduler = scheduler(&[(A, 1), (B, 4)]);
    ask(&mut scheduler, 1, affine(A, false));
    ask(&mut scheduler, 2, affine(A, false));
    assert_eq!(forwards(&mut scheduler), [(1, A, true), (2, A, true)]);
    scheduler.on_node_left(A, NOW);
    let refused = refused(&mut scheduler);
    assert_eq!(refused.len(), 2);
    assert!(matches!(refused[0].1, Failure::Unschedulable { .. }));
}

#[test]
fn soft_affinity_goes_elsewhere_without_the_node() {
    let mut scheduler = scheduler(&[(A, 1), (B, 4)]);
    scheduler.on_node_draining(A, NOW);
    ask(&mut scheduler, 1, affine(A, true));
    ask(&mut scheduler, 2, affine(NodeId(77), true));
    assert_eq!(forwards(&mut scheduler), [(1, B, false), (2, B, false)]);
}

#[test]
fn a_draining_node_gets_nothing_new() {
    let mut scheduler = scheduler(&[(A, 4)]);
    scheduler.on_node_draining(A, NOW);
    ask(&mut scheduler, 1, Demand::task(cpus(1)));
    ask(&mut scheduler, 2, affine(A, false));
    assert_eq!(refused(&mut scheduler)[0].0, 2);
    assert_eq!(reasons(&scheduler), [(1, WaitReason::Infeasible)]);
}

#[test]
fn a_node_in_doubt_gets_nothing_new_until_it_is_heard_of() {
    let mut scheduler = scheduler(&[(A, 4), (B, 1)]);
    scheduler.on_node_doubted(A, NOW);
    ask(&mut scheduler, 1, Demand::task(cpus(1)));
    assert_eq!(forwards(&mut scheduler), [(1, B, false)]);
    ask(&mut scheduler, 2, Demand::task(cpus(4)));
    ask(&mut scheduler, 3, affine(A, false));
    assert_eq!(commands(&mut scheduler), []);
    let busy = [(2, WaitReason::Busy), (3, WaitReason::Busy)];
    assert_eq!(reasons(&scheduler), busy);
    scheduler.on_node_trusted(A, NOW);
    assert_eq!(forwards(&mut scheduler), [(2, A, false), (3, A, true)]);
}

#[test]
fn what_only_a_node_in_doubt_could_run_is_refused_when_it_is_dead() {
    let config = ClusterConfig {
        infeasible_grace: Some(Duration::ZERO),
        ..ClusterConfig::default()
    };
    let mut scheduler = scheduler_with(config, &[(A, 4), (B, 1)]);
    scheduler.on_node_doubted(A, NOW);
    ask(&mut scheduler, 1, Demand::task(cpus(4)));
    assert_eq!(reasons(&scheduler), [(1, WaitReason::Busy)]);
    scheduler.on_node_left(A, NOW);
    assert_eq!(refused(&mut scheduler)[0].0, 1);
}

#[test]
fn what_no_node_can_run_waits_for_one_that_can() {
    let mut scheduler = scheduler(&[(A, 1)]);
    ask(&mut scheduler, 1, Demand::task(cpus(8)));
    assert_eq!(reasons(&scheduler), [(1, WaitReason::Infeasible)]);
    assert_eq!(scheduler.poll_timeout(), None);
    scheduler.on_node_joined(B, cpus(8), Labels::new(), NOW);
    assert_eq!(forwards(&mut scheduler), [(1, B, false)]);
}

#[test]
fn what_no_node_can_run_is_refused_after_the_grace() {
    let grace = Duration::from_secs(2);
    let config = ClusterConfig {
        infeasible_grace: Some(grace),
        ..ClusterConfig::default()
    };
    let mut scheduler = scheduler_with(config, &[(A, 1)]);
    ask(&mut scheduler, 1, Demand::task(cpus(8)));
    assert_eq!(scheduler.poll_timeout(), Some(NOW + grace));
    scheduler.on_timeout(NOW + grace / 2);
    assert_eq!(commands(&mut scheduler), []);
    scheduler.on_timeout(NOW + grace);
    assert!(matches!(
        &refused(&mut scheduler)[..],
        [(1, Failure::Unschedulable { .. })]
    ));
    assert_eq!(scheduler.demand().count(), 0);
    assert_eq!(scheduler.poll_timeout(), None);
}

#[test]
fn the_grace_begins_when_the_last_node_that_could_leaves() {
    let grace = Duration::from_secs(2);
    let config = ClusterConfig {
        infeasible_grace: Some(grace),
        ..ClusterConfig::default()
    };
    let mut scheduler = scheduler_with(config, &[(A, 8)]);
    scheduler.on_node_view(A, report(1, 0), NOW);
    ask(&mut scheduler, 1, Demand::task(cpus(8)));
    ask(&mut scheduler, 2, Demand::task(cpus(8)));
    let later = NOW + grace * 5;
    scheduler.on_node_left(A, later);
    assert_eq!(scheduler.poll_timeout(), Some(later + grace));
    scheduler.on_timeout(later + grace);
    assert_eq!(refused(&mut scheduler).len(), 2);
}

#[test]
fn no_grace_refuses_at_once() {
    let config = ClusterConfig {
        infeasible_grace: Some(Duration::ZERO),
        ..ClusterConfig::default()
    };
    let mut scheduler = scheduler_with(config, &[(A, 1)]);
    ask(&mut scheduler, 1, Demand::task(cpus(8)));
    assert_eq!(refused(&mut scheduler).len(), 1);
}

#[test]
fn a_cancel_takes_a_request_back_wherever_it_is() {
    let mut scheduler = scheduler(&[(A, 1)]);
    ask(&mut scheduler, 1, Demand::task(cpus(1)));
    ask(&mut scheduler, 2, Demand::task(cpus(1)));
    forwards(&mut scheduler);
    scheduler.cancel(DRIVER, RequestId(1), NOW);
    scheduler.cancel(DRIVER, RequestId(2), NOW);
    assert_eq!(
        commands(&mut scheduler),
        [Command::CancelForwarded {
            node: A,
            requester: DRIVER,
            request: RequestId(1)
        }]
    );
    assert_eq!((scheduler.demand().count(), scheduler.unsettled()), (0, 0));
}

#[test]
fn a_dead_requester_asks_for_nothing() {
    let mut scheduler = scheduler(&[(A, 1)]);
    ask(&mut scheduler, 1, Demand::task(cpus(1)));
    ask(&mut scheduler, 2, Demand::task(cpus(1)));
    forwards(&mut scheduler);
    scheduler.on_process_died(DRIVER, NOW);
    assert_eq!(commands(&mut scheduler).len(), 1);
    assert_eq!((scheduler.demand().count(), scheduler.unsettled()), (0, 0));
}

#[test]
fn one_too_many_is_refused() {
    let config = ClusterConfig {
        waiting_max: 1,
        ..ClusterConfig::default()
    };
    let mut scheduler = scheduler_with(config, &[]);
    ask(&mut scheduler, 1, Demand::task(cpus(1)));
    ask(&mut scheduler, 2, Demand::task(cpus(1)));
    assert!(matches!(
        &refused(&mut scheduler)[..],
        [(2, Failure::System(_))]
    ));
}

fn bundled(index: Option<u32>, count: u64) -> Demand {
    let bundle = Some(BundleRef {
        group: GROUP,
        index,
    });
    Demand {
        bundle,
        ..Demand::task(cpus(count))
    }
}

fn placed(count: u64, node: Option<NodeId>) -> PlacedBundle {
    PlacedBundle {
        shape: cpus(count),
        node,
    }
}

#[test]
fn work_in_a_group_waits_for_its_bundle_and_goes_there() {
    let mut scheduler = scheduler(&[(A, 4), (B, 4)]);
    ask(&mut scheduler, 1, bundled(Some(1), 1));
    assert_eq!(
        reasons(&scheduler),
        [(1, WaitReason::GroupNotPlaced(GROUP))]
    );
    scheduler.on_group_placed(GROUP, vec![placed(1, Some(A)), placed(1, None)], NOW);
    assert_eq!(commands(&mut scheduler), []);
    scheduler.on_group_placed(GROUP, vec![placed(1, Some(A)), placed(1, Some(B))], NOW);
    assert_eq!(forwards(&mut scheduler), [(1, B, true)]);
}

#[test]
fn any_bundle_means_one_that_is_large_enough() {
    let mut scheduler = scheduler(&[(A, 4), (B, 4)]);
    scheduler.on_group_placed(GROUP, vec![placed(1, Some(A)), placed(2, Some(B))], NOW);
    ask(&mut scheduler, 1, bundled(None, 2));
    assert_eq!(forwards(&mut scheduler), [(1, B, true)]);
}

#[test]
fn more_than_a_bundle_or_a_bad_index_is_refused() {
    let mut scheduler = scheduler(&[(A, 4)]);
    scheduler.on_group_placed(GROUP, vec![placed(1, Some(A))], NOW);
    for (request, demand) in [
        (1, bundled(Some(0), 2)),
        (2, bundled(None, 2)),
        (3, bundled(Some(1), 1)),
    ] {
        ask(&mut scheduler, request, demand);
        assert!(matches!(
            &refused(&mut scheduler)[..],
            [(_, Failure::InvalidOption { .. })]
        ));
    }
}

#[test]
fn work_in_a_removed_group_fails() {
    let mut scheduler = scheduler(&[(A, 4)]);
    ask(&mut scheduler, 1, bundled(Some(0), 1));
    scheduler.on_group_removed(GROUP, NOW);
    ask(&mut scheduler, 2, bundled(Some(0), 1));
    let removed = Failure::PlacementGroupRemoved(GROUP);
    assert_eq!(
        refused(&mut scheduler),
        [(1, removed.clone()), (2, removed)]
    );
}

#[test]
fn the_same_seed_gives_the_same_choices() {
    let run = |seed| {
        let mut scheduler = ClusterScheduler::new(ClusterConfig::default(), seed);
        for node in 1..=20 {
            scheduler.on_node_joined(NodeId(node), cpus(4), Labels::new(), NOW);
        }
        for request in 1..=30 {
            ask(&mut scheduler, request, Demand::task(cpus(1)));
        }
        forwards(&mut scheduler)
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
