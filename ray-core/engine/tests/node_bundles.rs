//! A node's side of placement groups, one behaviour a test.

use std::time::Duration;

use ray_engine::{
    failure::Failure,
    ids::{GroupId, JobId, LeaseId, NodeId, ProcessId, RequestId},
    resources::{Amount, Resources},
    scheduler::{
        Arrival, BundleRefusal, Command, MemberConfig, NodeScheduler, Notice, SchedulerConfig,
        SpillReason,
    },
    spec::{BundleRef, Demand},
    time::Time,
};

const DRIVER: ProcessId = ProcessId(100);
const NOW: Time = Time(1_000_000_000);
const LEASE: Duration = Duration::from_secs(10);
const GROUP: GroupId = GroupId {
    owner: DRIVER,
    index: 1,
};

fn cpus(count: u64) -> Resources {
    Resources::new().with(Resources::CPU, Amount(count * 10_000))
}

fn alone(total: Resources) -> NodeScheduler {
    let config = SchedulerConfig {
        workers_kept: 8,
        workers_max: 8,
        idle_nanos: 1_000_000_000,
        failed_starts_max: 3,
    };
    let mut scheduler = NodeScheduler::new(total, config);
    for worker in 1..=4 {
        scheduler.on_spawn_started(ProcessId(worker), JobId(0), NOW);
        scheduler.on_worker_ready(ProcessId(worker), NOW);
    }
    scheduler
}

fn node() -> NodeScheduler {
    let mut scheduler = alone(cpus(4));
    scheduler.join(MemberConfig::new(NodeId(1)), NOW);
    commands(&mut scheduler);
    scheduler
}

/// Returns a node of 4 CPUs with committed bundles of 1 and 2 CPUs, from attempt 5.
fn with_bundles() -> NodeScheduler {
    let mut scheduler = node();
    let bundles = [(0, cpus(1)), (1, cpus(2))];
    let prepared = scheduler.prepare_bundles(GROUP, 5, &bundles, NOW);
    assert_eq!(prepared, Ok(()));
    assert_eq!(scheduler.commit_bundles(GROUP, 5, NOW), Ok(()));
    commands(&mut scheduler);
    scheduler
}

fn commands(scheduler: &mut NodeScheduler) -> Vec<Command> {
    assert!(scheduler.adds_up());
    std::iter::from_fn(|| scheduler.poll_command()).collect()
}

fn ask(scheduler: &mut NodeScheduler, request: u64, index: Option<u32>, count: u64) {
    let bundle = Some(BundleRef {
        group: GROUP,
        index,
    });
    let demand = Demand {
        bundle,
        ..Demand::task(cpus(count))
    };
    scheduler.request(DRIVER, RequestId(request), demand, Arrival::Local, NOW);
}

fn granted(commands: &[Command]) -> Vec<u64> {
    commands
        .iter()
        .filter_map(|command| match command {
            Command::Grant { request, .. } => Some(request.0),
            _ => None,
        })
        .collect()
}

fn spilled(commands: &[Command]) -> Vec<(u64, SpillReason)> {
    commands
        .iter()
        .filter_map(|command| match command {
            Command::Tell(Notice::Spill {
                request, reason, ..
            }) => Some((request.0, *reason)),
            _ => None,
        })
        .collect()
}

#[test]
fn prepared_bundles_are_set_aside_all_or_none() {
    let mut scheduler = node();
    let too_much = [(0, cpus(3)), (1, cpus(2))];
    assert_eq!(
        scheduler.prepare_bundles(GROUP, 1, &too_much, NOW),
        Err(BundleRefusal::NoRoom)
    );
    assert_eq!(scheduler.available(), cpus(4));
    let fitting = [(0, cpus(1)), (1, cpus(2))];
    assert_eq!(scheduler.prepare_bundles(GROUP, 2, &fitting, NOW), Ok(()));
    assert_eq!(scheduler.available(), cpus(1));
    assert!(scheduler.adds_up());
}

#[test]
fn preparing_twice_sets_aside_once() {
    let mut scheduler = node();
    for _ in 0..2 {
        let prepared = scheduler.prepare_bundles(GROUP, 1, &[(0, cpus(1))], NOW);
        assert_eq!(prepared, Ok(()));
    }
    assert_eq!(scheduler.available(), cpus(3));
}

#[test]
fn what_is_not_committed_in_time_is_given_up() {
    let mut scheduler = node();
    scheduler
        .prepare_bundles(GROUP, 1, &[(0, cpus(1))], NOW)
        .expect("there is room");
    scheduler.poll_report(NOW);
    assert_eq!(scheduler.poll_timeout(), Some(NOW + LEASE));
    scheduler.on_timeout(NOW + LEASE);
    assert_eq!(scheduler.available(), cpus(4));
    assert_eq!(
        scheduler.commit_bundles(GROUP, 1, NOW + LEASE),
        Err(BundleRefusal::NotPrepared)
    );
    assert!(scheduler.poll_report(NOW + LEASE).is_some());
}

#[test]
fn what_is_committed_stays() {
    let mut scheduler = with_bundles();
    scheduler.on_timeout(NOW + LEASE * 2);
    assert_eq!(scheduler.available(), cpus(1));
    assert_eq!(scheduler.held_bundles(), [(GROUP, 5)]);
    assert_eq!(scheduler.commit_bundles(GROUP, 5, NOW), Ok(()));
}

#[test]
fn an_attempt_that_was_returned_is_fenced() {
    let mut scheduler = node();
    scheduler.return_bundles(GROUP, 3, NOW);
    for (attempt, outcome) in [
        (2, Err(BundleRefusal::Stale)),
        (3, Err(BundleRefusal::Stale)),
        (4, Ok(())),
    ] {
        let prepared = scheduler.prepare_bundles(GROUP, attempt, &[(0, cpus(1))], NOW);
        assert_eq!(prepared, outcome);
    }
}

#[test]
fn a_newer_attempt_replaces_an_older_one_and_never_the_other_way_round() {
    let mut scheduler = with_bundles();
    let prepared = scheduler.prepare_bundles(GROUP, 4, &[(0, cpus(1))], NOW);
    assert_eq!(prepared, Err(BundleRefusal::Stale));
    let prepared = scheduler.prepare_bundles(GROUP, 6, &[(0, cpus(1))], NOW);
    assert_eq!(prepared, Ok(()));
    assert_eq!(scheduler.held_bundles(), [(GROUP, 6)]);
    assert_eq!(scheduler.available(), cpus(3));
}

#[test]
fn a_draining_node_sets_nothing_aside() {
    let mut scheduler = node();
    scheduler.drain(NOW);
    let prepared = scheduler.prepare_bundles(GROUP, 1, &[(0, cpus(1))], NOW);
    assert_eq!(prepared, Err(BundleRefusal::Draining));
}

#[test]
fn leases_draw_from_their_bundle_only() {
    let mut scheduler = with_bundles();
    ask(&mut scheduler, 1, Some(1), 2);
    ask(&mut scheduler, 2, Some(1), 1);
    assert_eq!(granted(&commands(&mut scheduler)), [1]);
    assert_eq!(scheduler.available(), cpus(1));
    scheduler.return_lease(LeaseId(1), NOW);
    assert_eq!(granted(&commands(&mut scheduler)), [2]);
    assert_eq!(scheduler.available(), cpus(1));
}

#[test]
fn any_bundle_means_the_first_with_room() {
    let mut scheduler = with_bundles();
    for request in 1..=4 {
        ask(&mut scheduler, request, None, 1);
    }
    assert_eq!(granted(&commands(&mut scheduler)), [1, 2, 3]);
}

#[test]
fn a_full_bundle_does_not_hold_up_work_outside() {
    let mut scheduler = with_bundles();
    ask(&mut scheduler, 1, Some(0), 1);
    ask(&mut scheduler, 2, Some(0), 1);
    let outside = Demand::task(cpus(1));
    scheduler.request(DRIVER, RequestId(3), outside, Arrival::Local, NOW);
    assert_eq!(granted(&commands(&mut scheduler)), [1, 3]);
}

#[test]
fn more_than_the_bundle_is_refused() {
    let mut scheduler = with_bundles();
    ask(&mut scheduler, 1, Some(0), 2);
    assert!(matches!(
        &commands(&mut scheduler)[..],
        [Command::Refuse {
            failure: Failure::InvalidOption { .. },
            ..
        }]
    ));
}

#[test]
fn a_bundle_that_is_elsewhere_or_not_committed_is_asked_for_there() {
    let mut scheduler = with_bundles();
    let prepared = scheduler.prepare_bundles(GROUP, 6, &[(2, cpus(1))], NOW);
    assert_eq!(prepared, Ok(()));
    for (request, index) in [(1, Some(7)), (2, Some(2))] {
        ask(&mut scheduler, request, index, 1);
    }
    ask(&mut scheduler, 3, None, 3);
    let bundle = SpillReason::Bundle;
    assert_eq!(
        spilled(&commands(&mut scheduler)),
        [(1, bundle), (2, bundle), (3, bundle)]
    );
}

#[test]
fn a_blocked_worker_lends_its_cpu_inside_the_bundle() {
    let mut scheduler = with_bundles();
    ask(&mut scheduler, 1, Some(0), 1);
    ask(&mut scheduler, 2, Some(0), 1);
    let done = commands(&mut scheduler);
    let worker = done.iter().find_map(|command| match command {
        Command::Grant { worker, .. } => Some(*worker),
        _ => None,
    });
    let worker = worker.expect("one was granted");
    scheduler.on_worker_blocked(worker, NOW);
    assert_eq!(granted(&commands(&mut scheduler)), [2]);
    scheduler.on_worker_unblocked(worker, NOW);
    assert_eq!(scheduler.available(), cpus(1));
    assert!(scheduler.adds_up());
}

#[test]
fn returning_a_bundle_ends_the_work_in_it_and_sends_what_waits_away() {
    let mut scheduler = with_bundles();
    ask(&mut scheduler, 1, Some(0), 1);
    ask(&mut scheduler, 2, Some(0), 1);
    let done = commands(&mut scheduler);
    let process = done.iter().find_map(|command| match command {
        Command::Grant { worker, .. } => Some(*worker),
        _ => None,
    });
    let process = process.expect("one was granted");
    scheduler.return_bundles(GROUP, 5, NOW);
    let done = commands(&mut scheduler);
    let group = GROUP;
    assert!(done.contains(&Command::EvictWorker { process, group }));
    assert_eq!(spilled(&done), [(2, SpillReason::Bundle)]);
    // What the lease holds is free when its worker has ended.
    assert_eq!(scheduler.available(), cpus(3));
    scheduler.on_worker_died(process, NOW);
    assert_eq!(scheduler.available(), cpus(4));
    assert!(scheduler.adds_up());
    scheduler.return_bundles(GROUP, 5, NOW);
    assert_eq!(scheduler.available(), cpus(4));
}

#[test]
fn a_node_that_is_alone_refuses_what_draws_from_a_bundle_that_is_gone() {
    let mut scheduler = alone(cpus(4));
    scheduler
        .prepare_bundles(GROUP, 1, &[(0, cpus(1))], NOW)
        .expect("there is room");
    scheduler
        .commit_bundles(GROUP, 1, NOW)
        .expect("it is prepared");
    ask(&mut scheduler, 1, Some(0), 1);
    assert_eq!(granted(&commands(&mut scheduler)), [1]);
    scheduler.return_bundles(GROUP, 1, NOW);
    commands(&mut scheduler);
    ask(&mut scheduler, 2, Some(0), 1);
    assert!(matches!(
        &commands(&mut scheduler)[..],
        [Command::Refuse {
            failure: Failure::PlacementGroupRemoved(GROUP),
            ..
        }]
    ));
}

#[test]
fn a_bundles_gpus_are_devices_of_its_own() {
    let mut scheduler = alone(Resources::new().with(Resources::GPU, Amount(30_000)));
    let gpus = |steps| Resources::new().with(Resources::GPU, Amount(steps));
    scheduler
        .prepare_bundles(GROUP, 1, &[(0, gpus(20_000))], NOW)
        .expect("there is room");
    scheduler
        .commit_bundles(GROUP, 1, NOW)
        .expect("it is prepared");
    let bundle = Some(BundleRef {
        group: GROUP,
        index: None,
    });
    let inside = Demand {
        bundle,
        ..Demand::task(gpus(10_000))
    };
    let outside = Demand::task(gpus(10_000));
    for (request, demand) in (1..).zip([inside.clone(), inside, outside]) {
        scheduler.request(DRIVER, RequestId(request), demand, Arrival::Local, NOW);
    }
    let mut devices = Vec::new();
    let mut fresh = (50..).map(ProcessId);
    while let Some(command) = scheduler.poll_command() {
        match command {
            Command::SpawnWorker { job, .. } => {
                let process = fresh.next().expect("numbers do not end");
                scheduler.on_spawn_started(process, job, NOW);
                scheduler.on_worker_ready(process, NOW);
            }
            Command::Grant { devices: of, .. } => devices.push(of[0].index),
            _ => {}
        }
    }
    devices.sort_unstable();
    assert_eq!(devices, [0, 1, 2]);
}

#[test]
fn a_group_that_waits_has_as_many_leases_called_back_as_it_needs() {
    let mut scheduler = node();
    for request in 1..=3 {
        let demand = Demand::task(cpus(1));
        scheduler.request(DRIVER, RequestId(request), demand, Arrival::Local, NOW);
    }
    let leases = commands(&mut scheduler);
    let leases = leases.iter().filter_map(|command| match command {
        Command::Grant { lease, .. } => Some(*lease),
        _ => None,
    });
    let leases = leases.collect::<Vec<_>>();
    assert_eq!(leases.len(), 3);
    let recalled = |scheduler: &mut NodeScheduler, bundles: &[Resources]| {
        scheduler.make_room(bundles, NOW);
        let recalls = commands(scheduler)
            .into_iter()
            .map(|command| match command {
                Command::RecallLease { lease, .. } => lease,
                other => panic!("{other:?}"),
            });
        recalls.collect::<Vec<_>>()
    };
    assert_eq!(recalled(&mut scheduler, &[cpus(1)]), [], "one is free");
    assert_eq!(recalled(&mut scheduler, &[cpus(1), cpus(1)]), leases[..1]);
    assert_eq!(recalled(&mut scheduler, &[cpus(3)]), leases[1..2]);
    assert_eq!(
        recalled(&mut scheduler, &[cpus(5)]),
        leases[2..],
        "as far as it goes"
    );
    for lease in &leases[..2] {
        scheduler.return_lease(*lease, NOW);
    }
    let prepared = scheduler.prepare_bundles(GROUP, 1, &[(0, cpus(3))], NOW);
    assert_eq!(prepared, Ok(()));
}
