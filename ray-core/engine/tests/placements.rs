//! A node's dealings with the control role, one behaviour a test.

use ray_engine::{
    ids::{JobId, NodeId, ProcessId, RequestId},
    resources::{Amount, Resources},
    scheduler::{Command, NodeScheduler, Placements, SchedulerConfig},
    spec::{Demand, NodeReport, Placement, Strategy},
    time::Time,
};

const NODE: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);
const JOB: JobId = JobId(1);
const NOW: Time = Time(1_000);

fn cpus(count: u64) -> Resources {
    Resources::new().with(Resources::CPU, Amount(count * 10_000))
}

struct Node {
    scheduler: NodeScheduler,
    placements: Placements,
}

impl Node {
    /// Returns a node with two CPUs and so many idle workers.
    fn new(workers: u64) -> Node {
        let config = SchedulerConfig {
            workers_kept: 4,
            workers_max: 8,
            idle_nanos: 1_000_000_000,
            failed_starts_max: 3,
        };
        let mut node = Node {
            scheduler: NodeScheduler::new(cpus(2), config),
            placements: Placements::new(NODE.process(), true),
        };
        for index in 1..=workers {
            let worker = NODE.process().started(index);
            node.scheduler.on_spawn_started(worker, JOB, NOW);
            node.scheduler.on_worker_ready(worker, NOW);
        }
        node.report();
        node
    }

    fn place(&mut self, requester: ProcessId, request: u64, count: u64, is_bound: bool) -> bool {
        let demand = Demand {
            job: JOB,
            ..Demand::task(cpus(count))
        };
        let asked = (requester, RequestId(request));
        let scheduler = &mut self.scheduler;
        self.placements
            .on_placed(scheduler, asked, demand, is_bound, NOW)
    }

    fn ask(&mut self, request: u64, count: u64, placement: &Placement) -> bool {
        let asked = (NODE.process(), RequestId(request));
        let scheduler = &mut self.scheduler;
        self.placements
            .on_request(scheduler, asked, JOB, &cpus(count), placement, NOW)
    }

    fn report(&mut self) -> Option<NodeReport> {
        self.placements.poll_report(&self.scheduler, 0, NOW)
    }

    fn grants(&mut self) -> Vec<RequestId> {
        let commands = std::iter::from_fn(|| self.scheduler.poll_command());
        commands
            .filter_map(|command| match command {
                Command::Grant { request, .. } => Some(request),
                _ => None,
            })
            .collect()
    }
}

#[test]
fn plain_work_stays_here_until_the_queue_is_long() {
    let mut node = Node::new(2);
    let plain = Placement::default();
    assert!(node.ask(1, 3, &plain), "it never fits here");
    for request in 2..12 {
        assert!(!node.ask(request, 1, &plain), "two run and eight wait");
    }
    assert!(node.ask(12, 1, &plain));
}

#[test]
fn work_with_a_strategy_is_passed_on() {
    let mut node = Node::new(2);
    let spread = Placement {
        strategy: Strategy::Spread,
        ..Placement::default()
    };
    assert!(node.ask(1, 1, &spread));
}

#[test]
fn a_request_without_room_is_handed_back_unless_it_is_to_wait() {
    let mut node = Node::new(2);
    let requester = OTHER.process();
    assert!(node.place(requester, 1, 2, false));
    assert_eq!(node.grants(), [RequestId(1)]);
    assert!(!node.place(requester, 2, 1, false));
    assert!(node.place(requester, 3, 1, true));
}

#[test]
fn an_answer_says_once_whether_the_control_role_wants_to_hear_of_it() {
    let mut node = Node::new(2);
    let requester = OTHER.process();
    assert!(node.place(requester, 1, 1, false));
    assert!(node.placements.on_answered(requester, RequestId(1), false));
    assert!(!node.placements.on_answered(requester, RequestId(1), false));
    assert!(!node.ask(2, 1, &Placement::default()));
    assert!(
        !node
            .placements
            .on_answered(NODE.process(), RequestId(2), false)
    );
}

#[test]
fn what_is_placed_and_taken_back_unanswered_is_reported_though_nothing_changed() {
    let mut node = Node::new(0);
    let requester = OTHER.process();
    assert!(node.place(requester, 1, 1, false));
    let first = node.report().expect("a request came");
    assert_eq!(node.report(), None, "nothing happened since");
    let key = (requester, RequestId(1));
    let scheduler = &mut node.scheduler;
    node.placements.on_placed_cancelled(scheduler, key, NOW);
    let second = node.report().expect("it takes nothing after all");
    assert!(second.version > first.version);
    assert_eq!(second.available, cpus(2));
}

#[test]
fn a_rejection_is_followed_by_a_report() {
    let mut node = Node::new(1);
    assert!(!node.place(OTHER.process(), 1, 3, false));
    assert!(node.report().is_some());
}

#[test]
fn what_a_dead_process_asked_for_is_reported_as_free_again() {
    let mut node = Node::new(0);
    assert!(node.place(OTHER.process(), 1, 1, false));
    node.report();
    node.placements.on_process_gone(NODE.process().started(5));
    assert_eq!(node.report(), None, "it had asked for nothing");
    node.placements.on_process_gone(OTHER.process());
    assert!(node.report().is_some());
}

#[test]
fn a_request_of_an_own_worker_that_died_meanwhile_gets_nothing() {
    let mut node = Node::new(2);
    let worker = NODE.process().started(1);
    node.scheduler.on_worker_died(worker, NOW);
    node.scheduler.on_process_died(worker, NOW);
    assert!(node.place(worker, 1, 1, true), "there is nothing to answer");
    assert_eq!(node.grants(), []);
    assert!(node.place(NODE.process().started(2), 2, 1, true));
    assert!(
        node.place(NODE.process(), 3, 1, true),
        "the node's own process"
    );
    assert_eq!(
        node.scheduler.leases() + node.scheduler.waiting_requests(),
        2
    );
}
