//! Work that finds every node full stands in line at one, and goes where room is, event by event.

use std::time::Duration;

use ray_engine::{
    ids::{JobId, NodeId, ProcessId, RequestId},
    resources::{Amount, Resources},
    scheduler::{
        NodeScheduler, Placements, SchedulerConfig, Shared,
        cluster::{ClusterConfig, ClusterScheduler, Command, WaitReason},
    },
    spec::{Demand, Labels, NodeReport, Placement, Strategy},
    time::Time,
};

const NOW: Time = Time(1_000_000_000);
const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const DRIVER: ProcessId = ProcessId(9);

fn cpus(count: u64) -> Resources {
    Resources::new().with(Resources::CPU, Amount(count * 10_000))
}

fn cluster(line_max: usize) -> ClusterScheduler {
    let config = ClusterConfig {
        line_max,
        ..ClusterConfig::default()
    };
    let mut scheduler = ClusterScheduler::new(config, 1);
    for node in [A, B] {
        scheduler.on_node_joined(node, cpus(1), Labels::new(), NOW);
    }
    scheduler
}

/// Asks a question of a process of its own.
fn ask(scheduler: &mut ClusterScheduler, request: u64) {
    let requester = ProcessId(100 + request);
    scheduler.place(requester, RequestId(request), Demand::task(cpus(1)), NOW);
}

fn report(version: u64, free: u64, overdue: u32) -> NodeReport {
    NodeReport {
        version,
        available: cpus(free),
        queue_len: overdue,
        overdue,
    }
}

fn commands(scheduler: &mut ClusterScheduler) -> Vec<Command> {
    std::iter::from_fn(|| scheduler.poll_command()).collect()
}

fn bound(commands: &[Command]) -> Vec<(u64, NodeId, bool)> {
    let forwards = commands.iter().filter_map(|command| match command {
        Command::Forward {
            node,
            request,
            is_bound,
            ..
        } => Some((request.0, *node, *is_bound)),
        _ => None,
    });
    forwards.collect()
}

#[test]
fn what_finds_all_nodes_full_stands_in_the_shortest_line() {
    let mut scheduler = cluster(2);
    (1..=7).for_each(|request| ask(&mut scheduler, request));
    let sent = bound(&commands(&mut scheduler));
    let in_line = sent.iter().filter(|(_, _, is_bound)| *is_bound);
    let nodes = in_line.map(|(_, node, _)| *node).collect::<Vec<_>>();
    assert_eq!(nodes, [A, B, A, B]);
    // All that has no worker counts as waiting, in line or not.
    let reasons = scheduler.demand().map(|pending| pending.reason);
    assert_eq!(reasons.collect::<Vec<_>>(), [WaitReason::Busy; 5]);
    // One goes on: there is a place in its line.
    let (request, node, _) = sent[2];
    scheduler.on_settled(node, ProcessId(100 + request), RequestId(request));
    scheduler.on_node_view(node, report(1, 0, 0), NOW);
    assert_eq!(bound(&commands(&mut scheduler)), [(7, node, true)]);
}

#[test]
fn nobody_stands_in_one_line_twice_for_the_same() {
    let mut scheduler = cluster(8);
    (1..=2).for_each(|request| ask(&mut scheduler, request));
    commands(&mut scheduler);
    for request in 1..=9 {
        scheduler.place(DRIVER, RequestId(request), Demand::task(cpus(1)), NOW);
    }
    let sent = bound(&commands(&mut scheduler));
    assert_eq!(sent, [(1, A, true), (2, B, true)]);
    ask(&mut scheduler, 10);
    assert_eq!(
        bound(&commands(&mut scheduler)),
        [(10, A, true)],
        "others do"
    );
}

#[test]
fn what_has_waited_goes_to_a_node_that_has_room() {
    let mut scheduler = cluster(8);
    scheduler.on_node_view(A, report(1, 0, 2), NOW);
    let share = Command::Share {
        node: A,
        room: cpus(1),
    };
    assert_eq!(commands(&mut scheduler), std::slice::from_ref(&share));
    // It is asked once until it says that more has waited.
    scheduler.on_node_view(B, report(1, 1, 0), NOW);
    assert_eq!(commands(&mut scheduler), []);
    scheduler.on_node_view(A, report(2, 0, 1), NOW);
    assert_eq!(commands(&mut scheduler), [share]);
    scheduler.on_node_view(B, report(2, 0, 0), NOW);
    scheduler.on_node_view(A, report(3, 0, 3), NOW);
    assert_eq!(commands(&mut scheduler), [], "nobody has room");
}

/// A node of one CPU, which is lent to request 1 of a process.
fn full_node() -> (NodeScheduler, Placements) {
    let config = SchedulerConfig {
        workers_kept: 4,
        workers_max: 8,
        idle_nanos: 1_000_000_000,
        failed_starts_max: 3,
    };
    let mut scheduler = NodeScheduler::new(cpus(1), config);
    let mut placements = Placements::new(A.process(), true);
    request(&mut scheduler, &mut placements, 1);
    let worker = A.process().started(1);
    scheduler.on_spawn_started(worker, JobId(1), NOW);
    scheduler.on_worker_ready(worker, NOW);
    while scheduler.poll_command().is_some() {}
    assert_eq!(scheduler.waiting_requests(), 0, "it has the CPU");
    (scheduler, placements)
}

fn request(scheduler: &mut NodeScheduler, placements: &mut Placements, request: u64) {
    let asked = (DRIVER, RequestId(request));
    let placement = Placement::default();
    let goes = placements.on_request(scheduler, asked, JobId(1), &cpus(1), &placement, NOW);
    assert!(!goes, "it waits here");
}

fn placed(
    scheduler: &mut NodeScheduler,
    placements: &mut Placements,
    request: u64,
    demand: Demand,
) {
    let asked = (ProcessId(10), RequestId(request));
    assert!(placements.on_placed(scheduler, asked, demand, true, NOW));
}

#[test]
fn a_node_gives_away_what_has_waited_and_fits_elsewhere() {
    let (mut scheduler, mut placements) = full_node();
    request(&mut scheduler, &mut placements, 2);
    placed(&mut scheduler, &mut placements, 3, Demand::task(cpus(1)));
    let tied = Demand {
        strategy: Strategy::NodeAffinity {
            node: A,
            soft: false,
        },
        ..Demand::task(cpus(1))
    };
    placed(&mut scheduler, &mut placements, 4, tied);
    request(&mut scheduler, &mut placements, 5);
    let early = placements.share(&mut scheduler, &cpus(4), NOW);
    assert_eq!(early, [], "nothing has waited");
    let later = NOW + Duration::from_millis(20);
    let shared = placements.share(&mut scheduler, &cpus(2), later);
    let demand = Demand {
        job: JobId(1),
        origin: Some(A),
        ..Demand::task(cpus(1))
    };
    let own = Shared::Own {
        requester: DRIVER,
        request: RequestId(2),
        demand: Box::new(demand),
    };
    let back = Shared::Placed {
        requester: ProcessId(10),
        request: RequestId(3),
    };
    assert_eq!(shared, [own, back]);
    assert_eq!(
        scheduler.waiting_requests(),
        2,
        "what is tied, and what had no room"
    );
}

#[test]
fn a_node_tells_when_something_has_waited_for_a_while() {
    let (mut scheduler, mut placements) = full_node();
    placements.poll_report(&scheduler, 1, NOW);
    assert_eq!(placements.poll_timeout(&scheduler), None);
    request(&mut scheduler, &mut placements, 2);
    let due = NOW + Duration::from_millis(20);
    assert_eq!(placements.poll_timeout(&scheduler), Some(due));
    assert_eq!(placements.poll_report(&scheduler, 1, NOW), None);
    let told = placements
        .poll_report(&scheduler, 1, due)
        .expect("it waits");
    assert_eq!((told.queue_len, told.overdue), (1, 1));
    assert_eq!(placements.poll_timeout(&scheduler), None, "it is told once");
}
