//! The limit on worker processes: whom it counts, what makes place, and when it gives way.

use ray_engine::{
    failure::Failure,
    ids::{ActorId, JobId, LeaseId, ProcessId, RequestId},
    resources::Resources,
    scheduler::{Command, LeaseKind, NodeScheduler, SchedulerConfig},
    time::Time,
};

const DRIVER: ProcessId = ProcessId(1);
const JOB: JobId = JobId(7);
const NOW: Time = Time(1_000_000_000);
const LIMIT: usize = 2;

/// Returns a node that may have two worker processes and has these, idle.
fn scheduler(workers: &[u64]) -> NodeScheduler {
    let config = SchedulerConfig {
        workers_kept: LIMIT,
        workers_max: LIMIT,
        idle_nanos: 1_000,
        failed_starts_max: 2,
    };
    let mut scheduler = NodeScheduler::new(Resources::new(), config);
    for worker in workers {
        add(&mut scheduler, *worker, JOB);
    }
    scheduler
}

fn add(scheduler: &mut NodeScheduler, worker: u64, job: JobId) {
    scheduler.on_spawn_started(ProcessId(worker), job, NOW);
    scheduler.on_worker_ready(ProcessId(worker), NOW);
}

fn ask(scheduler: &mut NodeScheduler, request: u64, job: JobId) {
    let (request, shape) = (RequestId(request), Resources::new());
    scheduler.request_lease(DRIVER, request, job, shape, LeaseKind::Task, NOW);
}

fn ask_for_actor(scheduler: &mut NodeScheduler, request: u64) {
    let actor = ActorId {
        owner: DRIVER,
        index: request,
    };
    let kind = LeaseKind::Actor {
        actor,
        running: Resources::new(),
    };
    let (request, shape) = (RequestId(request), Resources::new());
    scheduler.request_lease(DRIVER, request, JOB, shape, kind, NOW);
}

/// Returns what is wished, in short.
fn wishes(scheduler: &mut NodeScheduler) -> Vec<String> {
    assert!(scheduler.adds_up());
    std::iter::from_fn(|| scheduler.poll_command())
        .map(|command| match command {
            Command::Grant {
                request, worker, ..
            } => format!("{} gets {}", request.0, worker.0),
            Command::SpawnWorker { .. } => "spawn".into(),
            Command::StopWorker { process } => format!("stop {}", process.0),
            Command::Refuse {
                request,
                failure: Failure::WouldDeadlock(_),
                ..
            } => format!("{} would deadlock", request.0),
            other => format!("{other:?}"),
        })
        .collect()
}

/// Returns the leases that are granted now.
fn leases(scheduler: &mut NodeScheduler) -> Vec<LeaseId> {
    std::iter::from_fn(|| scheduler.poll_command())
        .filter_map(|command| match command {
            Command::Grant { lease, .. } => Some(lease),
            _ => None,
        })
        .collect()
}

#[test]
fn idle_actors_keep_no_task_from_running() {
    let mut scheduler = scheduler(&[2, 3]);
    ask_for_actor(&mut scheduler, 1);
    ask_for_actor(&mut scheduler, 2);
    assert_eq!(wishes(&mut scheduler), ["1 gets 3", "2 gets 2"]);
    ask(&mut scheduler, 3, JOB);
    assert_eq!(wishes(&mut scheduler), ["spawn"]);
    add(&mut scheduler, 4, JOB);
    assert_eq!(wishes(&mut scheduler), ["3 gets 4"]);
}

#[test]
fn an_actor_is_placed_although_tasks_have_every_process() {
    let mut scheduler = scheduler(&[2, 3]);
    ask(&mut scheduler, 1, JOB);
    ask(&mut scheduler, 2, JOB);
    wishes(&mut scheduler);
    ask_for_actor(&mut scheduler, 3);
    assert_eq!(wishes(&mut scheduler), ["spawn"]);
    // A task that waits as well does not get the process that was started for the actor.
    ask(&mut scheduler, 4, JOB);
    add(&mut scheduler, 4, JOB);
    assert_eq!(wishes(&mut scheduler), ["3 gets 4"]);
}

#[test]
fn with_an_actor_to_wait_for_the_limit_gives_way_one_by_one() {
    let mut scheduler = scheduler(&[2, 3, 4]);
    ask_for_actor(&mut scheduler, 1);
    ask(&mut scheduler, 2, JOB);
    ask(&mut scheduler, 3, JOB);
    wishes(&mut scheduler);
    let blocked = [2, 3, 4].map(ProcessId);
    for process in blocked {
        scheduler.on_worker_blocked(process, NOW);
    }
    ask(&mut scheduler, 4, JOB);
    ask(&mut scheduler, 5, JOB);
    assert_eq!(wishes(&mut scheduler), [""; 0], "an actor may answer");
    let due = scheduler.poll_timeout().expect("it gives way some time");
    scheduler.on_timeout(due);
    assert_eq!(wishes(&mut scheduler), ["spawn"]);
    add(&mut scheduler, 5, JOB);
    assert_eq!(wishes(&mut scheduler), ["4 gets 5"]);
    assert_eq!(
        scheduler.poll_timeout(),
        None,
        "the one that was added can go on"
    );
}

#[test]
fn without_an_actor_nobody_would_ever_run_the_rest() {
    let mut scheduler = scheduler(&[2, 3]);
    ask(&mut scheduler, 1, JOB);
    ask(&mut scheduler, 2, JOB);
    wishes(&mut scheduler);
    ask(&mut scheduler, 3, JOB);
    scheduler.on_worker_blocked(ProcessId(2), NOW);
    assert_eq!(wishes(&mut scheduler), [""; 0], "one can still go on");
    scheduler.on_worker_blocked(ProcessId(3), NOW);
    assert_eq!(wishes(&mut scheduler), ["3 would deadlock"]);
}

#[test]
fn an_idle_process_of_another_job_makes_place() {
    let mut scheduler = scheduler(&[2]);
    add(&mut scheduler, 3, JobId(8));
    ask(&mut scheduler, 1, JOB);
    wishes(&mut scheduler);
    ask(&mut scheduler, 2, JOB);
    assert_eq!(wishes(&mut scheduler), [""; 0]);
    let due = scheduler.poll_timeout().expect("the idle one ends");
    scheduler.on_timeout(due);
    assert_eq!(wishes(&mut scheduler), ["stop 3"]);
    scheduler.on_worker_died(ProcessId(3), due);
    assert_eq!(wishes(&mut scheduler), ["spawn"]);
}

#[test]
fn a_worker_that_retires_is_told_to_end_and_takes_no_place_from_others() {
    let mut scheduler = scheduler(&[2, 3]);
    ask(&mut scheduler, 1, JOB);
    ask(&mut scheduler, 2, JOB);
    let lease = leases(&mut scheduler)[0];
    ask(&mut scheduler, 3, JOB);
    assert_eq!(wishes(&mut scheduler), [""; 0], "two are all");
    assert_eq!(scheduler.retire_lease(lease, NOW), Some(ProcessId(3)));
    assert_eq!(wishes(&mut scheduler), ["stop 3", "spawn"]);
    add(&mut scheduler, 4, JOB);
    assert_eq!(wishes(&mut scheduler), ["3 gets 4"]);
    // It stays for what it owns, says so to nobody, and is granted to nobody.
    ask(&mut scheduler, 4, JOB);
    scheduler.on_worker_stayed(ProcessId(3), NOW);
    assert_eq!(wishes(&mut scheduler), [""; 0]);
    scheduler.on_worker_died(ProcessId(3), NOW);
    assert_eq!(
        wishes(&mut scheduler),
        [""; 0],
        "its place was taken already"
    );
}
