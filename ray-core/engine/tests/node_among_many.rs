//! What a node does as one of many: spilling, forwarded work, GPUs, reports, caps.

use std::time::Duration;

use ray_engine::{
    failure::Failure,
    ids::{ActorId, JobId, LeaseId, NodeId, ProcessId, RequestId},
    resources::{Amount, Resources},
    scheduler::{
        Arrival, Command, LeaseKind, MemberConfig, NodeScheduler, Notice, SchedulerConfig,
        SpillReason, WorkerCap,
    },
    spec::{Condition, Demand, LabelSelector, Labels, NodeReport, Strategy},
    time::Time,
};

const DRIVER: ProcessId = ProcessId(100);
const HERE: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);
const NOW: Time = Time(1_000_000_000);
const SPILL_AFTER: Duration = Duration::from_millis(100);

fn cpus(count: u64) -> Resources {
    Resources::new().with(Resources::CPU, Amount(count * 10_000))
}

fn gpus(steps: u64) -> Resources {
    Resources::new().with(Resources::GPU, Amount(steps))
}

/// Returns a scheduler with so many idle workers that knows no control process.
fn alone(total: Resources, workers: u64) -> NodeScheduler {
    let config = SchedulerConfig {
        workers_kept: 8,
        workers_max: 8,
        idle_nanos: 1_000_000_000,
        failed_starts_max: 3,
    };
    let mut scheduler = NodeScheduler::new(total, config);
    for worker in 1..=workers {
        scheduler.on_spawn_started(ProcessId(worker), JobId(0), NOW);
        scheduler.on_worker_ready(ProcessId(worker), NOW);
    }
    scheduler
}

/// Starts the workers that are wished for, numbered on from those that there were; returns all wishes.
fn with_new_workers(scheduler: &mut NodeScheduler) -> Vec<Command> {
    let mut wishes = Vec::new();
    while let Some(command) = scheduler.poll_command() {
        if let Command::SpawnWorker { job, .. } = &command {
            let numbers = (500..).map(ProcessId);
            let fresh = { numbers }.find(|process| !scheduler.has_worker(*process));
            let process = fresh.expect("numbers do not end");
            scheduler.on_spawn_started(process, *job, NOW);
            scheduler.on_worker_ready(process, NOW);
        }
        wishes.push(command);
    }
    wishes
}

fn config() -> MemberConfig {
    MemberConfig {
        labels: Labels::new().with("zone", "a"),
        worker_cap: None,
        ..MemberConfig::new(HERE)
    }
}

fn member(total: Resources, workers: u64) -> NodeScheduler {
    let mut scheduler = alone(total, workers);
    scheduler.join(config(), NOW);
    commands(&mut scheduler);
    scheduler
}

fn commands(scheduler: &mut NodeScheduler) -> Vec<Command> {
    assert!(scheduler.adds_up());
    std::iter::from_fn(|| scheduler.poll_command()).collect()
}

fn ask(scheduler: &mut NodeScheduler, request: u64, demand: Demand, arrival: Arrival) {
    scheduler.request(DRIVER, RequestId(request), demand, arrival, NOW);
}

fn ask_for(scheduler: &mut NodeScheduler, request: u64, shape: Resources) {
    scheduler.request_lease(
        DRIVER,
        RequestId(request),
        JobId(0),
        shape,
        LeaseKind::Task,
        NOW,
    );
}

/// Returns which requests were granted, and on which devices.
fn grants(commands: &[Command]) -> Vec<(u64, Vec<u32>)> {
    commands
        .iter()
        .filter_map(|command| match command {
            Command::Grant {
                request, devices, ..
            } => {
                let devices = devices.iter().map(|share| share.index).collect();
                Some((request.0, devices))
            }
            _ => None,
        })
        .collect()
}

fn spills(commands: &[Command]) -> Vec<(u64, SpillReason)> {
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

fn rejected(request: u64) -> Command {
    Command::Tell(Notice::Reject {
        requester: DRIVER,
        request: RequestId(request),
    })
}

fn arrivals(commands: &[Command]) -> Vec<(u64, Arrival)> {
    commands
        .iter()
        .filter_map(|command| match command {
            Command::Grant {
                request, arrival, ..
            }
            | Command::Refuse {
                request, arrival, ..
            } => Some((request.0, *arrival)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_node_that_is_alone_keeps_and_refuses_by_itself() {
    let mut scheduler = alone(cpus(1), 2);
    ask_for(&mut scheduler, 1, cpus(2));
    assert!(matches!(
        &commands(&mut scheduler)[..],
        [Command::Refuse {
            failure: Failure::Unschedulable { .. },
            ..
        }]
    ));
    ask_for(&mut scheduler, 2, cpus(1));
    ask_for(&mut scheduler, 3, cpus(1));
    scheduler.on_timeout(NOW + SPILL_AFTER * 100);
    assert_eq!(spills(&commands(&mut scheduler)), []);
    assert_eq!(scheduler.waiting_requests(), 1);
    assert_eq!(scheduler.poll_report(NOW), None);
}

#[test]
fn what_fits_is_served_here_and_what_never_can_is_spilled() {
    let mut scheduler = member(cpus(1), 1);
    ask_for(&mut scheduler, 1, cpus(1));
    ask_for(&mut scheduler, 2, cpus(2));
    let done = commands(&mut scheduler);
    assert_eq!(grants(&done), [(1, vec![])]);
    assert_eq!(spills(&done), [(2, SpillReason::Infeasible)]);
    assert_eq!(scheduler.waiting_requests(), 0);
}

#[test]
fn a_spill_says_all_that_was_asked_and_where() {
    let mut scheduler = member(cpus(1), 1);
    let actor = ActorId {
        owner: DRIVER,
        index: 3,
    };
    let demand = Demand {
        job: JobId(7),
        actor: Some((actor, cpus(1))),
        strategy: Strategy::Spread,
        ..Demand::task(cpus(1))
    };
    ask(&mut scheduler, 1, demand.clone(), Arrival::Local);
    let demand = Box::new(Demand {
        origin: Some(HERE),
        ..demand
    });
    assert_eq!(
        commands(&mut scheduler),
        [Command::Tell(Notice::Spill {
            requester: DRIVER,
            request: RequestId(1),
            demand,
            reason: SpillReason::Strategy
        })]
    );
}

#[test]
fn what_waits_too_long_is_spilled() {
    let mut scheduler = member(cpus(1), 2);
    ask_for(&mut scheduler, 1, cpus(1));
    ask_for(&mut scheduler, 2, cpus(1));
    assert_eq!(spills(&commands(&mut scheduler)), []);
    scheduler.poll_report(NOW);
    assert_eq!(scheduler.poll_timeout(), Some(NOW + SPILL_AFTER));
    scheduler.on_timeout(NOW + SPILL_AFTER);
    assert_eq!(
        spills(&commands(&mut scheduler)),
        [(2, SpillReason::Overloaded)]
    );
}

#[test]
fn what_would_wait_too_long_is_spilled_at_once() {
    let mut scheduler = member(cpus(1), 2);
    ask_for(&mut scheduler, 1, cpus(1));
    scheduler.return_lease(LeaseId(1), NOW + SPILL_AFTER * 3);
    ask_for(&mut scheduler, 2, cpus(1));
    commands(&mut scheduler);
    ask_for(&mut scheduler, 3, cpus(1));
    assert_eq!(
        spills(&commands(&mut scheduler)),
        [(3, SpillReason::Overloaded)]
    );
}

#[test]
fn what_only_waits_for_a_process_to_start_stays() {
    let mut scheduler = member(cpus(2), 0);
    ask_for(&mut scheduler, 1, cpus(1));
    ask_for(&mut scheduler, 2, cpus(1));
    ask_for(&mut scheduler, 3, cpus(1));
    scheduler.on_timeout(NOW + SPILL_AFTER);
    assert_eq!(
        spills(&commands(&mut scheduler)),
        [(3, SpillReason::Overloaded)]
    );
    assert_eq!(scheduler.waiting_requests(), 2);
    scheduler.poll_report(NOW + SPILL_AFTER);
    assert_eq!(scheduler.poll_timeout(), None);
}

#[test]
fn the_only_node_spills_nothing_that_it_can_run() {
    let mut scheduler = member(cpus(1), 2);
    scheduler.on_cluster_size(1, NOW);
    ask_for(&mut scheduler, 1, cpus(1));
    ask_for(&mut scheduler, 2, cpus(1));
    scheduler.on_timeout(NOW + SPILL_AFTER);
    assert_eq!(spills(&commands(&mut scheduler)), []);
}

#[test]
fn while_the_control_process_is_away_spills_wait_for_it() {
    let mut scheduler = member(cpus(1), 1);
    scheduler.on_control_lost(NOW);
    ask_for(&mut scheduler, 1, cpus(2));
    scheduler.on_timeout(NOW + SPILL_AFTER);
    assert_eq!(spills(&commands(&mut scheduler)), []);
    scheduler.join(config(), NOW);
    assert_eq!(
        spills(&commands(&mut scheduler)),
        [(1, SpillReason::Infeasible)]
    );
}

#[test]
fn a_task_whose_arguments_are_elsewhere_is_spilled() {
    let mut scheduler = member(cpus(2), 2);
    let with = |locality| Demand {
        locality,
        ..Demand::task(cpus(1))
    };
    let near = with(vec![(HERE, 2 << 20), (OTHER, 1 << 20)]);
    let far = with(vec![(HERE, 1 << 20), (OTHER, 2 << 20)]);
    ask(&mut scheduler, 1, near, Arrival::Local);
    ask(&mut scheduler, 2, far, Arrival::Local);
    let done = commands(&mut scheduler);
    assert_eq!(grants(&done), [(1, vec![])]);
    assert_eq!(spills(&done), [(2, SpillReason::Locality)]);
}

#[test]
fn strategies_that_mean_this_node_are_served_here() {
    let mut scheduler = member(cpus(4), 4);
    let zone = |value: &str| Strategy::Labels {
        hard: LabelSelector(vec![Condition::In {
            key: "zone".into(),
            values: vec![value.into()],
        }]),
        soft: LabelSelector::default(),
        fallbacks: Vec::new(),
    };
    let affine = |node| Strategy::NodeAffinity { node, soft: false };
    let strategies = [zone("a"), zone("b"), affine(HERE), affine(OTHER)];
    for (request, strategy) in (1..).zip(strategies) {
        let demand = Demand {
            strategy,
            ..Demand::task(cpus(1))
        };
        ask(&mut scheduler, request, demand, Arrival::Local);
    }
    let done = commands(&mut scheduler);
    assert_eq!(grants(&done), [(1, vec![]), (3, vec![])]);
    assert_eq!(
        spills(&done),
        [(2, SpillReason::Strategy), (4, SpillReason::Strategy)]
    );
}

#[test]
fn an_answer_says_how_the_request_came() {
    let mut scheduler = member(cpus(1), 1);
    ask(&mut scheduler, 1, Demand::task(cpus(1)), Arrival::Forwarded);
    assert_eq!(
        arrivals(&commands(&mut scheduler)),
        [(1, Arrival::Forwarded)]
    );
    ask(
        &mut scheduler,
        2,
        Demand::task(gpus(15_000)),
        Arrival::Bound,
    );
    assert_eq!(arrivals(&commands(&mut scheduler)), [(2, Arrival::Bound)]);
    scheduler.return_lease(LeaseId(1), NOW);
    ask_for(&mut scheduler, 3, cpus(1));
    assert_eq!(arrivals(&commands(&mut scheduler)), [(3, Arrival::Local)]);
}

#[test]
fn forwarded_work_without_room_is_rejected_and_reported() {
    let mut scheduler = member(cpus(1), 1);
    ask_for(&mut scheduler, 1, cpus(1));
    commands(&mut scheduler);
    let before = scheduler.poll_report(NOW).expect("it is the first");
    ask(&mut scheduler, 2, Demand::task(cpus(1)), Arrival::Forwarded);
    assert_eq!(commands(&mut scheduler), [rejected(2)]);
    let report = scheduler.poll_report(NOW).expect("a rejection is reported");
    assert_eq!(report.version, before.version + 1);
    assert_eq!(scheduler.poll_report(NOW), None);
}

#[test]
fn bound_work_waits_here_however_long() {
    let mut scheduler = member(cpus(1), 1);
    ask_for(&mut scheduler, 1, cpus(1));
    ask(&mut scheduler, 2, Demand::task(cpus(1)), Arrival::Bound);
    scheduler.on_timeout(NOW + SPILL_AFTER * 10);
    commands(&mut scheduler);
    scheduler.return_lease(LeaseId(1), NOW);
    assert_eq!(arrivals(&commands(&mut scheduler)), [(2, Arrival::Bound)]);
}

#[test]
fn a_cancel_of_what_is_not_here_is_passed_on() {
    let mut scheduler = member(cpus(1), 1);
    ask_for(&mut scheduler, 1, cpus(1));
    ask_for(&mut scheduler, 2, cpus(1));
    commands(&mut scheduler);
    scheduler.cancel_request(DRIVER, RequestId(2), NOW);
    assert_eq!(commands(&mut scheduler), []);
    scheduler.cancel_request(DRIVER, RequestId(7), NOW);
    assert_eq!(
        commands(&mut scheduler),
        [Command::Tell(Notice::CancelElsewhere {
            requester: DRIVER,
            request: RequestId(7)
        })]
    );
}

#[test]
fn a_draining_node_sends_everything_away_and_is_empty_in_the_end() {
    let mut scheduler = member(cpus(1), 1);
    ask_for(&mut scheduler, 1, cpus(1));
    ask_for(&mut scheduler, 2, cpus(1));
    ask(&mut scheduler, 3, Demand::task(cpus(1)), Arrival::Bound);
    commands(&mut scheduler);
    scheduler.drain(NOW);
    ask_for(&mut scheduler, 4, cpus(1));
    let done = commands(&mut scheduler);
    assert_eq!(
        spills(&done),
        [(2, SpillReason::Draining), (4, SpillReason::Draining)]
    );
    assert!(done.contains(&rejected(3)));
    assert!(!scheduler.is_empty());
    scheduler.return_lease(LeaseId(1), NOW);
    assert!(scheduler.is_empty());
}

#[test]
fn blocked_workers_everywhere_send_work_away_instead_of_refusing_it() {
    let mut scheduler = member(cpus(16), 8);
    for request in 1..=8 {
        ask_for(&mut scheduler, request, cpus(1));
    }
    for worker in 1..=8 {
        scheduler.on_worker_blocked(ProcessId(worker), NOW);
    }
    commands(&mut scheduler);
    ask_for(&mut scheduler, 9, cpus(1));
    assert_eq!(
        spills(&commands(&mut scheduler)),
        [(9, SpillReason::Overloaded)]
    );
}

#[test]
fn a_grant_says_which_gpus() {
    let mut scheduler = alone(cpus(8).with(Resources::GPU, Amount(30_000)), 0);
    for (request, steps) in [(1, 5_000), (2, 20_000), (3, 5_000)] {
        ask_for(&mut scheduler, request, gpus(steps));
    }
    assert_eq!(
        grants(&with_new_workers(&mut scheduler)),
        [(1, vec![0]), (2, vec![1, 2]), (3, vec![0])]
    );
    ask_for(&mut scheduler, 4, gpus(10_000));
    scheduler.return_lease(LeaseId(1), NOW);
    assert_eq!(grants(&with_new_workers(&mut scheduler)), []);
    scheduler.return_lease(LeaseId(3), NOW);
    assert_eq!(grants(&with_new_workers(&mut scheduler)), [(4, vec![0])]);
}

#[test]
fn one_and_a_half_gpus_are_refused() {
    let mut scheduler = alone(gpus(20_000), 1);
    ask_for(&mut scheduler, 1, gpus(15_000));
    assert!(matches!(
        &commands(&mut scheduler)[..],
        [Command::Refuse {
            failure: Failure::InvalidOption { .. },
            ..
        }]
    ));
}

#[test]
fn an_actor_keeps_the_gpu_that_it_was_placed_on() {
    let mut scheduler = alone(gpus(20_000), 0);
    let actor = ActorId {
        owner: DRIVER,
        index: 1,
    };
    let kind = LeaseKind::Actor {
        actor,
        running: gpus(10_000),
    };
    scheduler.request_lease(DRIVER, RequestId(1), JobId(0), gpus(10_000), kind, NOW);
    assert_eq!(grants(&with_new_workers(&mut scheduler)), [(1, vec![0])]);
    scheduler.on_actor_started(LeaseId(1), NOW);
    ask_for(&mut scheduler, 2, gpus(10_000));
    assert_eq!(grants(&with_new_workers(&mut scheduler)), [(2, vec![1])]);
}

#[test]
fn reports_say_at_once_what_ran_out_and_later_what_shrank() {
    let mut scheduler = member(cpus(2), 2);
    let report = |version, free| {
        Some(NodeReport {
            version,
            available: cpus(free),
            queue_len: 0,
            overdue: 0,
        })
    };
    assert_eq!(scheduler.poll_report(NOW), report(1, 2));
    assert_eq!(scheduler.poll_report(NOW), None);
    ask_for(&mut scheduler, 1, cpus(1));
    assert_eq!(scheduler.poll_report(NOW), None);
    let interval = config().report_interval;
    assert_eq!(scheduler.poll_timeout(), Some(NOW + interval));
    assert_eq!(scheduler.poll_report(NOW + interval), report(2, 1));
    ask_for(&mut scheduler, 2, cpus(1));
    assert_eq!(scheduler.poll_report(NOW + interval), report(3, 0));
}

#[test]
fn forwarded_work_that_is_gone_again_is_reported_all_the_same() {
    let mut scheduler = member(cpus(2), 2);
    scheduler.poll_report(NOW);
    ask(&mut scheduler, 1, Demand::task(cpus(1)), Arrival::Forwarded);
    scheduler.return_lease(LeaseId(1), NOW);
    assert_eq!(scheduler.poll_report(NOW), None);
    let due = NOW + config().report_interval;
    assert_eq!(scheduler.poll_timeout(), Some(due));
    let report = scheduler.poll_report(due).expect("the other side guessed");
    assert_eq!(report.available, cpus(2));
    assert_eq!(scheduler.poll_timeout(), None);
}

#[test]
fn a_control_process_that_comes_back_hears_everything_under_a_newer_version() {
    let mut scheduler = member(cpus(2), 2);
    let before = scheduler.poll_report(NOW).expect("it is the first");
    scheduler.on_control_lost(NOW);
    scheduler.join(config(), NOW);
    let again = scheduler.poll_report(NOW).expect("it may know nothing");
    assert_eq!(again.version, before.version + 1);
    assert_eq!(again.available, before.available);
}

/// Returns a node of one CPU and four workers whose caps give way after 1, 2, … seconds, 3 at most.
fn capped() -> NodeScheduler {
    let mut scheduler = alone(cpus(1), 4);
    let cap = WorkerCap {
        delay: Duration::from_secs(1),
        delay_max: Duration::from_secs(3),
    };
    let config = MemberConfig {
        worker_cap: Some(cap),
        ..config()
    };
    scheduler.join(config, NOW);
    scheduler.on_cluster_size(1, NOW);
    for request in 1..=4 {
        ask_for(&mut scheduler, request, Resources::new());
    }
    scheduler
}

#[test]
fn a_capped_shape_gets_one_worker_more_after_doubling_delays() {
    let mut scheduler = capped();
    assert_eq!(grants(&commands(&mut scheduler)).len(), 1);
    let mut now = NOW;
    for delay in [1, 2, 3] {
        scheduler.on_timeout(now);
        assert_eq!(grants(&commands(&mut scheduler)), []);
        now = now + Duration::from_secs(delay);
        scheduler.on_timeout(now);
        assert_eq!(grants(&commands(&mut scheduler)).len(), 1);
    }
}

#[test]
fn a_blocked_worker_does_not_count_for_the_cap() {
    let mut scheduler = capped();
    let done = commands(&mut scheduler);
    let worker = done.iter().find_map(|command| match command {
        Command::Grant { worker, .. } => Some(*worker),
        _ => None,
    });
    scheduler.on_worker_blocked(worker.expect("one was granted"), NOW);
    assert_eq!(grants(&commands(&mut scheduler)).len(), 1);
}

#[test]
fn the_cap_is_for_each_shape() {
    let mut scheduler = capped();
    commands(&mut scheduler);
    ask_for(&mut scheduler, 9, cpus(1));
    assert_eq!(grants(&commands(&mut scheduler)), [(9, vec![])]);
}
