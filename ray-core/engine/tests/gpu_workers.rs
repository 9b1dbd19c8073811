//! Workers see the same GPUs for life: who is started with which, and who gets what they see.

use ray_engine::{
    ids::{JobId, LeaseId, ProcessId, RequestId},
    resources::{Amount, Resources},
    scheduler::{Command, LeaseKind, NodeScheduler, SchedulerConfig},
    time::Time,
};

const DRIVER: ProcessId = ProcessId(1);
const JOB: JobId = JobId(7);
const NOW: Time = Time(1_000_000_000);

/// Returns the scheduler of a node with two GPUs and no worker.
fn scheduler() -> NodeScheduler {
    let config = SchedulerConfig {
        workers_kept: 8,
        workers_max: 8,
        idle_nanos: 1_000,
        failed_starts_max: 2,
    };
    NodeScheduler::new(gpus(20_000), config)
}

fn gpus(steps: u64) -> Resources {
    Resources::new().with(Resources::GPU, Amount(steps))
}

fn ask(scheduler: &mut NodeScheduler, request: u64, shape: Resources) {
    let request = RequestId(request);
    scheduler.request_lease(DRIVER, request, JOB, shape, LeaseKind::Task, NOW);
}

/// Starts every worker that is wished for, the first with this id; returns what each sees.
fn start(scheduler: &mut NodeScheduler, first: u64) -> Vec<Vec<u32>> {
    let mut seen = Vec::new();
    while let Some(command) = scheduler.poll_command() {
        if let Command::SpawnWorker { job, gpus, .. } = command {
            let process = ProcessId(first + seen.len() as u64);
            scheduler.on_spawn_started(process, job, NOW);
            seen.push(gpus);
        }
    }
    for (process, _) in (first..).zip(&seen) {
        scheduler.on_worker_ready(ProcessId(process), NOW);
    }
    seen
}

/// Returns which requests were granted which workers and devices.
fn grants(scheduler: &mut NodeScheduler) -> Vec<(u64, u64, Vec<u32>)> {
    assert!(scheduler.adds_up());
    std::iter::from_fn(|| scheduler.poll_command())
        .filter_map(|command| match command {
            Command::Grant {
                request,
                worker,
                devices,
                ..
            } => {
                let devices = devices.iter().map(|share| share.index).collect();
                Some((request.0, worker.0, devices))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn a_worker_is_started_with_the_gpus_of_the_request_that_it_is_for() {
    let mut scheduler = scheduler();
    ask(&mut scheduler, 1, gpus(10_000));
    ask(&mut scheduler, 2, gpus(10_000));
    assert_eq!(start(&mut scheduler, 10), [[0], [1]]);
    assert_eq!(grants(&mut scheduler), [(1, 10, vec![0]), (2, 11, vec![1])]);
}

#[test]
fn work_without_gpus_gets_no_worker_that_sees_some() {
    let mut scheduler = scheduler();
    ask(&mut scheduler, 1, gpus(10_000));
    start(&mut scheduler, 10);
    grants(&mut scheduler);
    scheduler.return_lease(LeaseId(1), NOW);
    ask(&mut scheduler, 2, Resources::new());
    assert_eq!(start(&mut scheduler, 20), [Vec::<u32>::new()]);
    assert_eq!(grants(&mut scheduler), [(2, 20, vec![])]);
}

#[test]
fn a_whole_gpu_is_the_one_that_an_idle_worker_sees() {
    let mut scheduler = scheduler();
    ask(&mut scheduler, 1, gpus(10_000));
    ask(&mut scheduler, 2, gpus(10_000));
    start(&mut scheduler, 10);
    grants(&mut scheduler);
    scheduler.return_lease(LeaseId(1), NOW);
    scheduler.return_lease(LeaseId(2), NOW);
    scheduler.on_worker_died(ProcessId(10), NOW);
    // The first device is free, and the second has its worker already.
    ask(&mut scheduler, 3, gpus(10_000));
    assert_eq!(grants(&mut scheduler), [(3, 11, vec![1])]);
}

#[test]
fn a_fraction_never_goes_to_another_gpu_for_the_sake_of_a_worker() {
    let mut scheduler = scheduler();
    ask(&mut scheduler, 1, gpus(5_000));
    ask(&mut scheduler, 2, gpus(10_000));
    assert_eq!(start(&mut scheduler, 10), [[0], [1]]);
    grants(&mut scheduler);
    scheduler.return_lease(LeaseId(2), NOW);
    // The worker of the second device is idle, and the rest of the first is where a half belongs.
    ask(&mut scheduler, 3, gpus(5_000));
    assert_eq!(start(&mut scheduler, 20), [[0]]);
    assert_eq!(grants(&mut scheduler), [(3, 20, vec![0])]);
}
