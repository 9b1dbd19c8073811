//! The jobs' events, one behaviour a test.

use std::{collections::BTreeMap, time::Duration};

use ray_engine::{
    control::jobs::{Command, JobDirectory, JobState, JobsConfig},
    failure::Failure,
    ids::{JobId, NodeId, ProcessId},
    time::Time,
};

const JOB: JobId = JobId(1);
const DRIVER: ProcessId = ProcessId(9);
const NODE: NodeId = NodeId(1);
const NOW: Time = Time(1_000_000_000);
const GRACE: Duration = Duration::from_secs(3);

fn commands(jobs: &mut JobDirectory) -> Vec<Command> {
    std::iter::from_fn(|| jobs.poll_command()).collect()
}

fn submitted() -> JobDirectory {
    let mut jobs = JobDirectory::new(JobsConfig::default());
    jobs.submit(JOB, "train".into(), BTreeMap::new(), NOW)
        .expect("there is room");
    jobs
}

fn running() -> JobDirectory {
    let mut jobs = submitted();
    jobs.on_entrypoint_started(JOB, NOW);
    jobs.on_driver_connected(JOB, DRIVER, NODE, NOW)
        .expect("it waits for its driver");
    commands(&mut jobs);
    jobs
}

/// A driver that connected by itself.
fn connected() -> JobDirectory {
    let mut jobs = JobDirectory::new(JobsConfig::default());
    jobs.on_driver_connected(JOB, DRIVER, NODE, NOW)
        .expect("there is room");
    commands(&mut jobs);
    jobs
}

fn published(state: JobState) -> Command {
    Command::Publish { job: JOB, state }
}

fn ended(state: JobState) -> [Command; 2] {
    [Command::ReleaseJob { job: JOB }, published(state)]
}

#[test]
fn a_submitted_job_runs_when_its_command_was_started() {
    let mut jobs = submitted();
    let start = Command::StartDriver {
        job: JOB,
        entrypoint: "train".into(),
    };
    assert_eq!(commands(&mut jobs), [published(JobState::Pending), start]);
    jobs.on_entrypoint_started(JOB, NOW);
    assert_eq!(commands(&mut jobs), [published(JobState::Running)]);
    assert_eq!(jobs.poll_timeout(), None);
    jobs.on_driver_connected(JOB, DRIVER, NODE, NOW)
        .expect("it waits for its driver");
    assert_eq!(commands(&mut jobs), []);
}

#[test]
fn a_driver_that_connects_by_itself_is_a_running_job() {
    let mut jobs = JobDirectory::new(JobsConfig::default());
    jobs.on_driver_connected(JOB, DRIVER, NODE, NOW)
        .expect("there is room");
    assert_eq!(commands(&mut jobs), [published(JobState::Running)]);
}

#[test]
fn a_goodbye_is_success_and_releases_everything_once() {
    let mut jobs = connected();
    jobs.on_driver_finished(DRIVER, NOW);
    assert_eq!(commands(&mut jobs), ended(JobState::Succeeded));
    jobs.on_process_died(DRIVER, NOW);
    jobs.on_entrypoint_exited(JOB, Some(1), None, NOW);
    assert_eq!(commands(&mut jobs), []);
}

#[test]
fn a_driver_that_dies_fails_its_job() {
    let mut jobs = connected();
    jobs.on_process_died(DRIVER, NOW);
    assert_eq!(commands(&mut jobs), ended(JobState::Failed));
}

#[test]
fn a_driver_goes_with_its_node() {
    let mut jobs = connected();
    jobs.on_node_died(NodeId(2), NOW);
    assert_eq!(commands(&mut jobs), []);
    jobs.on_node_died(NODE, NOW);
    assert_eq!(commands(&mut jobs), ended(JobState::Failed));
}

#[test]
fn a_submitted_jobs_driver_releases_what_it_had_and_its_exit_ends_the_job() {
    let mut jobs = running();
    jobs.on_process_died(DRIVER, NOW);
    assert_eq!(commands(&mut jobs), [Command::ReleaseJob { job: JOB }]);
    let second = jobs.on_driver_connected(JOB, ProcessId(10), NODE, NOW);
    assert!(matches!(second, Err(Failure::System(_))));
    jobs.on_entrypoint_exited(JOB, Some(3), None, NOW);
    assert_eq!(commands(&mut jobs), [published(JobState::Failed)]);
}

#[test]
fn an_entrypoints_exit_says_how_the_job_ended() {
    for (code, signal, state, message) in [
        (Some(0), None, JobState::Succeeded, ""),
        (Some(3), None, JobState::Failed, "it exited with code 3"),
        (None, Some(9), JobState::Failed, "it was ended by signal 9"),
    ] {
        let mut jobs = running();
        jobs.on_entrypoint_exited(JOB, code, signal, NOW);
        assert_eq!(commands(&mut jobs), ended(state));
        let info = jobs.job(JOB).expect("it is listed");
        assert_eq!((info.message.as_str(), info.ended), (message, Some(NOW)));
    }
}

#[test]
fn a_command_that_cannot_be_started_fails_its_job() {
    let mut jobs = submitted();
    commands(&mut jobs);
    jobs.on_entrypoint_failed(JOB, "no such file".into(), NOW);
    assert_eq!(commands(&mut jobs), ended(JobState::Failed));
}

#[test]
fn a_job_stopped_before_its_command_was_started_is_stopped_then() {
    let mut jobs = submitted();
    jobs.stop(JOB, NOW).expect("it is known");
    commands(&mut jobs);
    jobs.on_entrypoint_started(JOB, NOW);
    let stop = Command::StopDriver {
        job: JOB,
        driver: None,
    };
    assert_eq!(commands(&mut jobs), [stop, published(JobState::Running)]);
}

#[test]
fn a_stopped_job_is_stopped_however_its_driver_ends() {
    let mut jobs = running();
    jobs.stop(JOB, NOW).expect("it runs");
    jobs.stop(JOB, NOW).expect("it runs");
    let stop = Command::StopDriver {
        job: JOB,
        driver: Some(DRIVER),
    };
    assert_eq!(commands(&mut jobs), [stop]);
    jobs.on_entrypoint_exited(JOB, None, Some(15), NOW);
    assert_eq!(commands(&mut jobs), ended(JobState::Stopped));
    assert_eq!(jobs.stop(JOB, NOW), Ok(()));
}

#[test]
fn a_driver_that_does_not_stop_is_killed_after_the_grace() {
    let mut jobs = running();
    jobs.stop(JOB, NOW).expect("it runs");
    commands(&mut jobs);
    assert_eq!(jobs.poll_timeout(), Some(NOW + GRACE));
    jobs.on_timeout(NOW + GRACE);
    let mut expected = vec![Command::KillDriver {
        job: JOB,
        driver: Some(DRIVER),
    }];
    expected.extend(ended(JobState::Stopped));
    assert_eq!(commands(&mut jobs), expected);
}

#[test]
fn a_command_that_is_never_started_fails_its_job() {
    let mut jobs = submitted();
    commands(&mut jobs);
    jobs.on_timeout(NOW + JobsConfig::default().start_timeout);
    assert_eq!(jobs.job(JOB).map(|job| job.state), Some(JobState::Failed));
    let late = jobs.on_driver_connected(JOB, DRIVER, NODE, NOW);
    assert!(matches!(late, Err(Failure::System(_))));
}

#[test]
fn only_a_job_that_is_over_may_be_deleted() {
    let mut jobs = connected();
    assert!(matches!(
        jobs.delete(JOB, NOW),
        Err(Failure::InvalidOption { .. })
    ));
    jobs.on_driver_finished(DRIVER, NOW);
    assert_eq!(jobs.delete(JOB, NOW), Ok(()));
    assert!(matches!(jobs.delete(JOB, NOW), Err(Failure::NotFound(_))));
}

#[test]
fn ended_jobs_are_kept_up_to_a_limit() {
    let config = JobsConfig {
        active_max: 1,
        ended_max: 1,
        ..JobsConfig::default()
    };
    let mut jobs = JobDirectory::new(config);
    for index in 1..=2 {
        let driver = ProcessId(index);
        let (job, other) = (JobId(index), JobId(index + 10));
        jobs.on_driver_connected(job, driver, NODE, NOW)
            .expect("the one before is over");
        let refused = jobs.on_driver_connected(other, ProcessId(99), NODE, NOW);
        assert!(matches!(refused, Err(Failure::System(_))));
        jobs.on_driver_finished(driver, NOW);
    }
    let kept = jobs.list().map(|info| info.job).collect::<Vec<_>>();
    assert_eq!(kept, [JobId(2)]);
}
