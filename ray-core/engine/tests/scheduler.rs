//! The node scheduler's events, one behaviour a test.

use ray_engine::{
    env::RuntimeEnv,
    failure::Failure,
    ids::{ActorId, JobId, LeaseId, ProcessId, RequestId},
    resources::{Amount, Resources},
    scheduler::{Arrival, Command, LeaseKind, NodeScheduler, SchedulerConfig},
    spec::Demand,
    time::Time,
};

const DRIVER: ProcessId = ProcessId(1);
const FIRST: ProcessId = ProcessId(2);
const SECOND: ProcessId = ProcessId(3);
const JOB: JobId = JobId(7);
const NOW: Time = Time(1_000_000_000);

fn cpus(count: u64) -> Resources {
    Resources::new().with(Resources::CPU, Amount(count * 10_000))
}

fn config() -> SchedulerConfig {
    SchedulerConfig {
        workers_kept: 1,
        workers_max: 4,
        idle_nanos: 1_000,
        failed_starts_max: 2,
    }
}

/// Returns a scheduler of two CPUs with these idle workers.
fn scheduler(workers: &[ProcessId]) -> NodeScheduler {
    let mut scheduler = NodeScheduler::new(cpus(2), config());
    for worker in workers {
        scheduler.on_spawn_started(*worker, JOB, NOW);
        scheduler.on_worker_ready(*worker, NOW);
    }
    scheduler
}

fn commands(scheduler: &mut NodeScheduler) -> Vec<Command> {
    assert!(scheduler.adds_up());
    std::iter::from_fn(|| scheduler.poll_command()).collect()
}

fn ask(scheduler: &mut NodeScheduler, requester: ProcessId, request: u64, shape: Resources) {
    scheduler.request_lease(
        requester,
        RequestId(request),
        JOB,
        shape,
        LeaseKind::Task,
        NOW,
    );
}

fn grants(commands: &[Command]) -> Vec<(ProcessId, u64, ProcessId)> {
    commands
        .iter()
        .filter_map(|command| match command {
            Command::Grant {
                requester,
                request,
                worker,
                ..
            } => Some((*requester, request.0, *worker)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_request_that_fits_gets_an_idle_worker() {
    let mut scheduler = scheduler(&[FIRST]);
    ask(&mut scheduler, DRIVER, 1, cpus(1));
    assert_eq!(grants(&commands(&mut scheduler)), [(DRIVER, 1, FIRST)]);
    assert_eq!(scheduler.available(), cpus(1));
    assert_eq!(scheduler.leases(), 1);
}

#[test]
fn a_request_without_a_worker_starts_one() {
    let mut scheduler = scheduler(&[]);
    ask(&mut scheduler, DRIVER, 1, cpus(1));
    assert_eq!(
        commands(&mut scheduler),
        [Command::SpawnWorker {
            job: JOB,
            gpus: Vec::new(),
            env: RuntimeEnv::default(),
        }]
    );
    scheduler.on_spawn_started(FIRST, JOB, NOW);
    scheduler.on_worker_ready(FIRST, NOW);
    assert_eq!(grants(&commands(&mut scheduler)), [(DRIVER, 1, FIRST)]);
}

#[test]
fn a_worker_is_not_granted_to_itself() {
    let mut scheduler = scheduler(&[FIRST]);
    ask(&mut scheduler, FIRST, 1, cpus(1));
    assert_eq!(
        commands(&mut scheduler),
        [Command::SpawnWorker {
            job: JOB,
            gpus: Vec::new(),
            env: RuntimeEnv::default(),
        }]
    );
    scheduler.on_spawn_started(SECOND, JOB, NOW);
    scheduler.on_worker_ready(SECOND, NOW);
    assert_eq!(grants(&commands(&mut scheduler)), [(FIRST, 1, SECOND)]);
}

#[test]
fn an_actor_is_not_placed_on_its_creator() {
    let mut scheduler = scheduler(&[FIRST]);
    let kind = LeaseKind::Actor {
        actor: ActorId {
            owner: FIRST,
            index: 1,
        },
        running: Resources::new(),
    };
    scheduler.request_lease(DRIVER, RequestId(1), JOB, cpus(1), kind, NOW);
    assert_eq!(
        commands(&mut scheduler),
        [Command::SpawnWorker {
            job: JOB,
            gpus: Vec::new(),
            env: RuntimeEnv::default(),
        }]
    );
}

#[test]
fn a_request_beyond_the_total_is_refused() {
    let mut scheduler = scheduler(&[FIRST]);
    ask(&mut scheduler, DRIVER, 1, cpus(3));
    assert!(matches!(
        &commands(&mut scheduler)[..],
        [Command::Refuse {
            failure: Failure::Unschedulable { .. },
            ..
        }]
    ));
}

#[test]
fn requests_are_answered_in_order_among_those_that_fit() {
    let mut scheduler = scheduler(&[FIRST, SECOND]);
    ask(&mut scheduler, DRIVER, 1, cpus(1));
    ask(&mut scheduler, DRIVER, 2, cpus(2));
    ask(&mut scheduler, DRIVER, 3, cpus(1));
    let granted = grants(&commands(&mut scheduler));
    assert_eq!(
        granted.iter().map(|grant| grant.1).collect::<Vec<_>>(),
        [1, 3]
    );
    assert_eq!(scheduler.waiting_requests(), 1);
}

#[test]
fn a_lease_of_another_is_recalled_for_what_does_not_fit() {
    let mut scheduler = scheduler(&[FIRST]);
    ask(&mut scheduler, DRIVER, 1, cpus(2));
    commands(&mut scheduler);
    ask(&mut scheduler, SECOND, 1, cpus(1));
    assert_eq!(
        commands(&mut scheduler),
        [Command::RecallLease {
            requester: DRIVER,
            lease: LeaseId(1)
        }]
    );
    scheduler.return_lease(LeaseId(1), NOW);
    assert_eq!(grants(&commands(&mut scheduler)), [(SECOND, 1, FIRST)]);
}

#[test]
fn a_blocked_worker_lends_its_cpu_and_takes_it_back() {
    let mut scheduler = scheduler(&[FIRST, SECOND]);
    ask(&mut scheduler, DRIVER, 1, cpus(2));
    commands(&mut scheduler);
    ask(&mut scheduler, SECOND, 1, cpus(2));
    let blocked = SECOND;
    commands(&mut scheduler);
    scheduler.on_worker_blocked(blocked, NOW);
    assert_eq!(grants(&commands(&mut scheduler)), [(SECOND, 1, FIRST)]);
    scheduler.on_worker_unblocked(blocked, NOW);
    assert_eq!(commands(&mut scheduler), []);
    assert_eq!(scheduler.available(), Resources::new());
}

#[test]
fn a_dead_worker_ends_its_lease() {
    let mut scheduler = scheduler(&[FIRST]);
    ask(&mut scheduler, DRIVER, 1, cpus(1));
    commands(&mut scheduler);
    scheduler.on_worker_died(FIRST, NOW);
    assert_eq!(scheduler.available(), cpus(2));
    assert_eq!(scheduler.leases(), 0);
}

#[test]
fn a_dead_requester_has_its_workers_ended_and_its_requests_forgotten() {
    let mut scheduler = scheduler(&[FIRST]);
    ask(&mut scheduler, DRIVER, 1, cpus(1));
    ask(&mut scheduler, DRIVER, 2, cpus(2));
    commands(&mut scheduler);
    scheduler.on_process_died(DRIVER, NOW);
    assert_eq!(
        commands(&mut scheduler),
        [Command::KillWorker { process: FIRST }]
    );
    assert_eq!(scheduler.waiting_requests(), 0);
}

#[test]
fn a_cancelled_placement_leaves_the_task_of_the_same_number() {
    let mut scheduler = scheduler(&[]);
    let kind = LeaseKind::Actor {
        actor: ActorId {
            owner: DRIVER,
            index: 1,
        },
        running: Resources::new(),
    };
    ask(&mut scheduler, DRIVER, 1, cpus(1));
    scheduler.request_lease(DRIVER, RequestId(1), JOB, cpus(1), kind, NOW);
    scheduler.cancel_placement(DRIVER, RequestId(1), NOW);
    assert_eq!(scheduler.waiting_requests(), 1);
    scheduler.cancel_request(DRIVER, RequestId(1), NOW);
    assert_eq!(scheduler.waiting_requests(), 0);
}

#[test]
fn a_dying_worker_gets_nothing_that_it_asked_for() {
    let mut scheduler = scheduler(&[FIRST]);
    ask(&mut scheduler, DRIVER, 1, cpus(1));
    commands(&mut scheduler);
    ask(&mut scheduler, FIRST, 1, cpus(2));
    scheduler.on_spawn_started(SECOND, JOB, NOW);
    scheduler.on_worker_ready(SECOND, NOW);
    commands(&mut scheduler);
    scheduler.on_worker_died(FIRST, NOW);
    assert_eq!(grants(&commands(&mut scheduler)), []);
}

#[test]
fn workers_that_fail_to_start_are_given_up_after_some() {
    let mut scheduler = scheduler(&[]);
    ask(&mut scheduler, DRIVER, 1, cpus(1));
    for process in [FIRST, SECOND] {
        assert_eq!(
            commands(&mut scheduler),
            [Command::SpawnWorker {
                job: JOB,
                gpus: Vec::new(),
                env: RuntimeEnv::default(),
            }]
        );
        scheduler.on_spawn_started(process, JOB, NOW);
        scheduler.on_spawn_failed(process, NOW);
    }
    assert!(matches!(
        &commands(&mut scheduler)[..],
        [Command::Refuse {
            failure: Failure::System(_),
            ..
        }]
    ));
}

#[test]
fn a_surplus_worker_is_stopped_when_idle_for_long() {
    let mut scheduler = scheduler(&[FIRST, SECOND]);
    let due = scheduler.poll_timeout().expect("one is surplus");
    scheduler.on_timeout(due);
    assert_eq!(
        commands(&mut scheduler),
        [Command::StopWorker { process: FIRST }]
    );
    assert_eq!(scheduler.poll_timeout(), None);
}

#[test]
fn a_worker_that_stays_is_idle_again() {
    let mut scheduler = scheduler(&[FIRST, SECOND]);
    let due = scheduler.poll_timeout().expect("one is surplus");
    scheduler.on_timeout(due);
    commands(&mut scheduler);
    scheduler.on_worker_stayed(FIRST, due);
    ask(&mut scheduler, DRIVER, 1, cpus(1));
    assert_eq!(grants(&commands(&mut scheduler)), [(DRIVER, 1, FIRST)]);
}

#[test]
fn an_actor_holds_its_running_shape_once_it_runs() {
    let mut scheduler = scheduler(&[FIRST]);
    let kind = LeaseKind::Actor {
        actor: ActorId {
            owner: DRIVER,
            index: 1,
        },
        running: Resources::new(),
    };
    scheduler.request_lease(DRIVER, RequestId(1), JOB, cpus(1), kind, NOW);
    commands(&mut scheduler);
    assert_eq!(scheduler.available(), cpus(1));
    scheduler.on_actor_started(LeaseId(1), NOW);
    assert_eq!(scheduler.available(), cpus(2));
    assert!(scheduler.adds_up());
}

#[test]
fn with_every_worker_blocked_at_the_limit_the_rest_is_refused() {
    let workers = [2, 3, 4, 5].map(ProcessId);
    let mut scheduler = scheduler(&workers);
    for request in 0..4 {
        ask(&mut scheduler, DRIVER, request, Resources::new());
    }
    for worker in workers {
        scheduler.on_worker_blocked(worker, NOW);
    }
    commands(&mut scheduler);
    ask(&mut scheduler, DRIVER, 9, cpus(1));
    assert!(matches!(
        &commands(&mut scheduler)[..],
        [Command::Refuse {
            failure: Failure::WouldDeadlock(_),
            ..
        }]
    ));
}

#[test]
fn a_worker_runs_for_its_own_job_only() {
    let mut scheduler = scheduler(&[FIRST]);
    let other = JobId(8);
    scheduler.request_lease(DRIVER, RequestId(1), other, cpus(1), LeaseKind::Task, NOW);
    assert_eq!(
        commands(&mut scheduler),
        [Command::SpawnWorker {
            job: other,
            gpus: Vec::new(),
            env: RuntimeEnv::default(),
        }]
    );
    scheduler.on_spawn_started(SECOND, other, NOW);
    scheduler.on_worker_ready(SECOND, NOW);
    assert_eq!(grants(&commands(&mut scheduler)), [(DRIVER, 1, SECOND)]);
}

#[test]
fn the_end_of_a_job_ends_its_workers_and_requests() {
    let mut scheduler = scheduler(&[FIRST, SECOND]);
    ask(&mut scheduler, DRIVER, 1, cpus(2));
    ask(&mut scheduler, DRIVER, 2, cpus(1));
    let granted = grants(&commands(&mut scheduler))[0].2;
    scheduler.on_job_ended(JOB, NOW);
    let killed = commands(&mut scheduler)
        .into_iter()
        .filter(|command| matches!(command, Command::KillWorker { .. }))
        .count();
    assert_eq!(killed, 2);
    scheduler.on_worker_died(granted, NOW);
    assert_eq!(
        grants(&commands(&mut scheduler)),
        [],
        "nobody waits any more"
    );
    assert_eq!(scheduler.available(), cpus(2));
}

#[test]
fn a_worker_that_outlives_its_job_for_an_actor_ends_when_the_actor_gives_it_back() {
    let mut scheduler = scheduler(&[FIRST, SECOND]);
    let kind = LeaseKind::Actor {
        actor: ActorId {
            owner: DRIVER,
            index: 1,
        },
        running: Resources::new(),
    };
    scheduler.request_lease(DRIVER, RequestId(1), JOB, cpus(1), kind, NOW);
    let commands_before = commands(&mut scheduler);
    let [
        Command::Grant {
            lease,
            worker: host,
            ..
        },
    ] = commands_before[..]
    else {
        panic!("not one grant: {commands_before:?}");
    };
    let (lease, host) = (lease, host);
    ask(&mut scheduler, host, 7, cpus(2));
    commands(&mut scheduler);
    scheduler.on_job_ended(JOB, NOW);
    let other = if host == FIRST { SECOND } else { FIRST };
    assert_eq!(
        commands(&mut scheduler),
        [Command::KillWorker { process: other }]
    );
    assert_eq!(
        scheduler.waiting_requests(),
        1,
        "the actor still waits for what it asked"
    );
    scheduler.return_lease(lease, NOW);
    assert!(commands(&mut scheduler).contains(&Command::KillWorker { process: host }));
}

fn in_env(name: &str) -> Demand {
    Demand {
        job: JOB,
        env: RuntimeEnv::new().env("NAME", name),
        ..Demand::task(cpus(1))
    }
}

#[test]
fn a_worker_runs_only_what_asks_for_its_environment() {
    let mut scheduler = scheduler(&[FIRST]);
    let wanted = in_env("a");
    let env = wanted.env.clone();
    scheduler.request(DRIVER, RequestId(1), wanted, Arrival::Local, NOW);
    let gpus = Vec::new();
    assert_eq!(
        commands(&mut scheduler),
        [Command::SpawnWorker {
            job: JOB,
            gpus,
            env
        }],
        "the idle one has another"
    );
    scheduler.on_spawn_started(SECOND, JOB, NOW);
    scheduler.on_worker_ready(SECOND, NOW);
    let granted = commands(&mut scheduler);
    assert_eq!(grants(&granted), [(DRIVER, 1, SECOND)]);
    let Some(Command::Grant { lease, .. }) = granted.first() else {
        panic!("{granted:?}");
    };
    scheduler.return_lease(*lease, NOW);
    ask(&mut scheduler, DRIVER, 2, cpus(1));
    assert_eq!(grants(&commands(&mut scheduler)), [(DRIVER, 2, FIRST)]);
    scheduler.request(DRIVER, RequestId(3), in_env("a"), Arrival::Local, NOW);
    assert_eq!(grants(&commands(&mut scheduler)), [(DRIVER, 3, SECOND)]);
}

#[test]
fn an_environment_that_cannot_be_had_refuses_who_waits_for_it_and_nobody_else() {
    let mut scheduler = scheduler(&[]);
    scheduler.request(DRIVER, RequestId(1), in_env("a"), Arrival::Local, NOW);
    scheduler.request(DRIVER, RequestId(2), in_env("b"), Arrival::Local, NOW);
    commands(&mut scheduler);
    scheduler.on_spawn_started(FIRST, JOB, NOW);
    scheduler.on_spawn_started(SECOND, JOB, NOW);
    let failure = Failure::RuntimeEnv("no".into());
    scheduler.on_env_failed(FIRST, failure.clone(), NOW);
    let refused = commands(&mut scheduler);
    assert!(
        matches!(
            &refused[..],
            [Command::Refuse { request: RequestId(1), failure: why, .. }] if *why == failure
        ),
        "{refused:?}"
    );
    scheduler.on_worker_ready(SECOND, NOW);
    assert_eq!(grants(&commands(&mut scheduler)), [(DRIVER, 2, SECOND)]);
}

#[test]
fn memory_is_taken_from_the_newest_that_can_run_again_then_from_others_then_from_actors() {
    let mut scheduler = NodeScheduler::new(cpus(8), config());
    let actor = |index| {
        let actor = ActorId {
            owner: DRIVER,
            index,
        };
        Some((actor, cpus(1)))
    };
    let work = [
        (1, None, false),
        (2, actor(1), true),
        (3, None, true),
        (4, actor(2), false),
        (5, None, false),
        (6, None, true),
    ];
    for (index, actor, runs_once) in work {
        let worker = ProcessId(100 + index);
        scheduler.on_spawn_started(worker, JOB, NOW);
        scheduler.on_worker_ready(worker, NOW);
        let demand = Demand {
            job: JOB,
            actor,
            runs_once,
            ..Demand::task(cpus(1))
        };
        let now = Time(NOW.0 + index);
        scheduler.request(DRIVER, RequestId(index), demand, Arrival::Local, now);
        assert_eq!(grants(&commands(&mut scheduler)), [(DRIVER, index, worker)]);
    }
    let mut ended = Vec::new();
    while let Some(victim) = scheduler.memory_victim() {
        scheduler.on_worker_died(victim, NOW);
        ended.push(victim.0 - 100);
    }
    assert_eq!(ended, [5, 1, 4, 6, 3, 2]);
}
