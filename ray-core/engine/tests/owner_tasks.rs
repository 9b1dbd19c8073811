//! The owner table's events about tasks and leases, one behaviour a test.

use std::sync::Arc;

use ray_engine::{
    failure::{Failure, RetryOn, TaskFailure, TypedCause, WorkerExit},
    ids::{LeaseId, NodeId, ObjectId, ProcessId, RequestId, TaskId},
    owner::{Command, Limits, ObjectState, Owner, ShapeId, TaskSubmit},
    time::Time,
};

const HERE: ProcessId = ProcessId(1);
const WORKER: ProcessId = ProcessId(2);
const OTHER: ProcessId = ProcessId(3);
const SHAPE: ShapeId = ShapeId(0);
const NOW: Time = Time(1_000_000_000);

type TestOwner = Owner<&'static str, u32>;

fn owner() -> TestOwner {
    Owner::new(HERE, Limits::default())
}

fn commands(owner: &mut TestOwner) -> Vec<Command<u32>> {
    std::iter::from_fn(|| owner.poll_command()).collect()
}

fn plain(dependencies: &[ObjectId]) -> TaskSubmit<'_, &'static str> {
    TaskSubmit {
        shape: SHAPE,
        returns: 1,
        dependencies,
        nested: &[],
        max_retries: 1,
        retry_failures: RetryOn::Nothing,
        parent: None,
        payload: "task",
    }
}

fn submit(owner: &mut TestOwner) -> TaskId {
    owner.submit_task(plain(&[]), NOW)
}

/// Submits a task and has it sent to `worker` under lease 1.
fn running(owner: &mut TestOwner, worker: ProcessId) -> TaskId {
    let task = submit(owner);
    owner.on_lease_granted(RequestId(1), LeaseId(1), worker, NOW);
    commands(owner);
    task
}

fn crash_of(worker: ProcessId) -> Failure {
    Failure::WorkerCrashed(WorkerExit {
        worker,
        ..WorkerExit::default()
    })
}

fn user_failure() -> Failure {
    Failure::Task(TaskFailure {
        function: "f".into(),
        message: "no".into(),
        backtrace: String::new(),
        panicked: false,
        cause: None,
        node: NodeId(1),
        worker: WORKER,
        attempt: 0,
    })
}

/// A returned error whose type has this number.
fn error_of(layout: u64) -> Failure {
    match user_failure() {
        Failure::Task(failure) => Failure::Task(TaskFailure {
            cause: Some(TypedCause {
                layout,
                bytes: Vec::new(),
            }),
            ..failure
        }),
        other => other,
    }
}

fn sent(commands: &[Command<u32>]) -> Vec<(TaskId, u32, ProcessId)> {
    commands
        .iter()
        .filter_map(|command| match command {
            Command::SendTask {
                task,
                attempt,
                worker,
                ..
            } => Some((*task, *attempt, *worker)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_task_without_arguments_asks_for_a_lease() {
    let mut owner = owner();
    submit(&mut owner);
    let request = RequestId(1);
    assert_eq!(
        commands(&mut owner),
        [Command::RequestLease {
            request,
            shape: SHAPE
        }]
    );
}

#[test]
fn a_grant_sends_the_oldest_task() {
    let mut owner = owner();
    let first = submit(&mut owner);
    submit(&mut owner);
    commands(&mut owner);
    owner.on_lease_granted(RequestId(1), LeaseId(7), WORKER, NOW);
    assert_eq!(sent(&commands(&mut owner)), [(first, 0, WORKER)]);
}

#[test]
fn a_task_waits_for_its_arguments() {
    let mut owner = owner();
    let first = running(&mut owner, WORKER);
    let second = owner.submit_task(plain(&[first.result(0)]), NOW);
    assert_eq!(sent(&commands(&mut owner)), []);
    owner.on_task_done(first, 0, WORKER, Ok(vec![(5, vec![])]), 1, NOW);
    assert_eq!(sent(&commands(&mut owner)), [(second, 0, WORKER)]);
}

#[test]
fn a_failed_argument_fails_the_task() {
    let mut owner = owner();
    let first = running(&mut owner, WORKER);
    let second = owner.submit_task(plain(&[first.result(0)]), NOW);
    owner.on_task_done(first, 0, WORKER, Err(user_failure()), 1, NOW);
    assert!(matches!(
        owner.state(second.result(0)),
        ObjectState::Failed(_)
    ));
    assert_eq!(owner.pending_tasks(), 0);
}

#[test]
fn an_answer_of_a_stale_attempt_is_ignored() {
    let mut owner = owner();
    let task = running(&mut owner, WORKER);
    owner.on_process_died(WORKER, crash_of(WORKER), NOW);
    owner.on_lease_granted(RequestId(2), LeaseId(2), OTHER, NOW);
    assert_eq!(sent(&commands(&mut owner)), [(task, 1, OTHER)]);
    owner.on_task_done(task, 0, WORKER, Ok(vec![(1, vec![])]), 1, NOW);
    owner.on_task_done(task, 0, OTHER, Ok(vec![(2, vec![])]), 1, NOW);
    assert_eq!(owner.state(task.result(0)), ObjectState::Pending);
    owner.on_task_done(task, 1, OTHER, Ok(vec![(3, vec![])]), 1, NOW);
    assert_eq!(owner.state(task.result(0)), ObjectState::Ready(&3));
}

#[test]
fn a_second_answer_changes_nothing() {
    let mut owner = owner();
    let task = running(&mut owner, WORKER);
    owner.on_task_done(task, 0, WORKER, Ok(vec![(1, vec![])]), 1, NOW);
    owner.on_task_done(task, 0, WORKER, Ok(vec![(2, vec![])]), 1, NOW);
    assert_eq!(owner.state(task.result(0)), ObjectState::Ready(&1));
}

#[test]
fn only_the_running_task_pays_for_a_crash() {
    let mut owner = owner();
    let first = running(&mut owner, WORKER);
    // A short first run widens the window, so that two are in flight.
    owner.on_task_done(first, 0, WORKER, Ok(vec![(1, vec![])]), 1, NOW);
    let submit = |owner: &mut TestOwner| {
        let task = TaskSubmit {
            max_retries: 0,
            ..plain(&[])
        };
        owner.submit_task(task, NOW)
    };
    let (running, behind) = (submit(&mut owner), submit(&mut owner));
    commands(&mut owner);
    owner.on_process_died(WORKER, crash_of(WORKER), NOW);
    assert!(matches!(
        owner.state(running.result(0)),
        ObjectState::Failed(_)
    ));
    assert_eq!(owner.state(behind.result(0)), ObjectState::Pending);
}

#[test]
fn a_failure_of_user_code_is_tried_again_when_it_may() {
    let mut owner = owner();
    let task = owner.submit_task(
        TaskSubmit {
            retry_failures: RetryOn::Everything,
            ..plain(&[])
        },
        NOW,
    );
    owner.on_lease_granted(RequestId(1), LeaseId(1), WORKER, NOW);
    commands(&mut owner);
    owner.on_task_done(task, 0, WORKER, Err(user_failure()), 1, NOW);
    assert_eq!(sent(&commands(&mut owner)), [(task, 1, WORKER)]);
    owner.on_task_done(task, 1, WORKER, Err(user_failure()), 1, NOW);
    assert!(matches!(
        owner.state(task.result(0)),
        ObjectState::Failed(_)
    ));
}

#[test]
fn only_errors_of_the_named_types_are_tried_again() {
    let tried_again = |failure: Failure| {
        let mut owner = owner();
        let named = RetryOn::default().with_cause(7).with_cause(8);
        let task = owner.submit_task(
            TaskSubmit {
                retry_failures: named,
                ..plain(&[])
            },
            NOW,
        );
        owner.on_lease_granted(RequestId(1), LeaseId(1), WORKER, NOW);
        commands(&mut owner);
        owner.on_task_done(task, 0, WORKER, Err(failure), 1, NOW);
        let again = sent(&commands(&mut owner)) == [(task, 1, WORKER)];
        assert_eq!(again, owner.state(task.result(0)) == ObjectState::Pending);
        again
    };
    assert!(tried_again(error_of(7)));
    assert!(tried_again(error_of(8)));
    assert!(!tried_again(error_of(9)), "of another type");
    assert!(!tried_again(user_failure()), "a panic, or only a text");
    assert!(!tried_again(Failure::Cancelled), "no failure of user code");
}

#[test]
fn a_task_handed_back_goes_first_and_pays_nothing() {
    let mut owner = owner();
    let first = submit(&mut owner);
    let second = submit(&mut owner);
    owner.on_lease_granted(RequestId(1), LeaseId(1), WORKER, NOW);
    commands(&mut owner);
    owner.on_task_handed_back(first, 0, WORKER, NOW);
    assert_eq!(sent(&commands(&mut owner)), [(first, 0, WORKER)]);
    assert_eq!(owner.state(second.result(0)), ObjectState::Pending);
}

#[test]
fn a_recalled_lease_goes_back_at_once_when_idle() {
    let mut owner = owner();
    let task = running(&mut owner, WORKER);
    owner.on_task_done(task, 0, WORKER, Ok(vec![(1, vec![])]), 1, NOW);
    commands(&mut owner);
    owner.on_lease_recalled(LeaseId(1), NOW);
    assert_eq!(
        commands(&mut owner),
        [Command::ReturnLease { lease: LeaseId(1) }]
    );
}

#[test]
fn a_recalled_lease_goes_back_although_more_is_queued() {
    let mut owner = owner();
    let first = running(&mut owner, WORKER);
    submit(&mut owner);
    commands(&mut owner);
    owner.on_lease_recalled(LeaseId(1), NOW);
    assert_eq!(commands(&mut owner), []);
    owner.on_task_done(first, 0, WORKER, Ok(vec![(1, vec![])]), 1, NOW);
    let done = commands(&mut owner);
    assert!(done.contains(&Command::ReturnLease { lease: LeaseId(1) }));
    assert_eq!(sent(&done), []);
    assert_eq!(owner.held_leases(), 0);
}

#[test]
fn a_recalled_lease_goes_back_when_its_last_task_is_handed_back() {
    let mut owner = owner();
    let task = running(&mut owner, WORKER);
    owner.on_lease_recalled(LeaseId(1), NOW);
    owner.on_task_handed_back(task, 0, WORKER, NOW);
    let done = commands(&mut owner);
    assert!(done.contains(&Command::ReturnLease { lease: LeaseId(1) }));
    assert_eq!(sent(&done), []);
}

#[test]
fn an_idle_lease_goes_back_in_time() {
    let mut owner = owner();
    let task = running(&mut owner, WORKER);
    owner.on_task_done(task, 0, WORKER, Ok(vec![(1, vec![])]), 1, NOW);
    let due = owner.poll_timeout().expect("a lease is idle");
    assert_eq!(due, Time(NOW.0 + Limits::default().idle_nanos));
    owner.on_timeout(Time(due.0 - 1));
    assert_eq!(owner.held_leases(), 1);
    owner.on_timeout(due);
    assert_eq!(
        commands(&mut owner),
        [Command::ReturnLease { lease: LeaseId(1) }]
    );
}

#[test]
fn a_lease_is_idle_from_the_end_of_its_task_even_when_that_wakes_another() {
    let mut owner = owner();
    // Two leases; the end of a task on the second wakes one that goes to the first.
    let blocker = submit(&mut owner);
    let waker = submit(&mut owner);
    owner.on_lease_granted(RequestId(1), LeaseId(1), WORKER, NOW);
    owner.on_lease_granted(RequestId(2), LeaseId(2), OTHER, NOW);
    owner.submit_task(plain(&[waker.result(0)]), NOW);
    owner.on_task_done(blocker, 0, WORKER, Ok(vec![(1, vec![])]), 1, NOW);
    let due = NOW.0 + Limits::default().idle_nanos;
    let later = Time(due - 5);
    owner.on_task_done(waker, 0, OTHER, Ok(vec![(2, vec![])]), 1, later);
    owner.on_timeout(Time(due));
    assert_eq!(owner.held_leases(), 2);
}

#[test]
fn a_grant_that_nobody_wants_goes_back() {
    let mut owner = owner();
    let task = submit(&mut owner);
    owner
        .cancel(task.result(0), false, false, NOW)
        .expect("a task may be cancelled");
    commands(&mut owner);
    owner.on_lease_granted(RequestId(1), LeaseId(1), WORKER, NOW);
    assert_eq!(
        commands(&mut owner),
        [Command::ReturnLease { lease: LeaseId(1) }]
    );
}

#[test]
fn a_refused_lease_fails_the_tasks_of_its_shape() {
    let mut owner = owner();
    let task = submit(&mut owner);
    owner.on_lease_refused(RequestId(1), Failure::System("none".into()), NOW);
    assert!(matches!(
        owner.state(task.result(0)),
        ObjectState::Failed(_)
    ));
}

#[test]
fn a_cancel_ends_a_queued_task_and_is_sent_after_a_running_one() {
    let mut owner = owner();
    let first = running(&mut owner, WORKER);
    let second = submit(&mut owner);
    commands(&mut owner);
    for task in [first, second] {
        owner
            .cancel(task.result(0), false, true, NOW)
            .expect("a task may be cancelled");
    }
    assert!(matches!(owner.state(second.result(0)),
        ObjectState::Failed(failure) if *failure == Failure::Cancelled));
    let cancel = Command::SendCancel {
        worker: WORKER,
        task: first,
        force: false,
        recursive: true,
    };
    assert!(commands(&mut owner).contains(&cancel));
    owner.on_process_died(WORKER, crash_of(WORKER), NOW);
    assert!(matches!(owner.state(first.result(0)),
        ObjectState::Failed(failure) if *failure == Failure::Cancelled));
}

#[test]
fn a_worker_that_retires_is_sent_nothing_more_and_goes_back_with_its_lease() {
    let mut owner = owner();
    let last = running(&mut owner, WORKER);
    let next = submit(&mut owner);
    commands(&mut owner);
    owner.on_worker_retires(WORKER, NOW);
    assert_eq!(commands(&mut owner), [], "its last call runs");
    owner.on_task_done(last, 0, WORKER, Ok(vec![(1, vec![])]), 1, NOW);
    let done = commands(&mut owner);
    assert!(done.contains(&Command::RetireWorker { lease: LeaseId(1) }));
    assert_eq!(sent(&done), []);
    // Another worker runs the next one, which has paid nothing.
    owner.on_lease_granted(RequestId(2), LeaseId(2), OTHER, NOW);
    assert_eq!(sent(&commands(&mut owner)), [(next, 0, OTHER)]);
}

#[test]
fn what_was_sent_behind_the_last_call_of_a_worker_comes_back_and_pays_nothing() {
    let mut owner = owner();
    let warm = running(&mut owner, WORKER);
    // Two at once from here on.
    owner.on_task_done(warm, 0, WORKER, Ok(vec![(1, vec![])]), 1, NOW);
    let (last, behind) = (submit(&mut owner), submit(&mut owner));
    assert_eq!(sent(&commands(&mut owner)).len(), 2);
    owner.on_worker_retires(WORKER, NOW);
    owner.on_task_done(last, 0, WORKER, Ok(vec![(1, vec![])]), 1, NOW);
    assert_eq!(commands(&mut owner), [], "another is on its way back");
    owner.on_task_handed_back(behind, 0, WORKER, NOW);
    let done = commands(&mut owner);
    assert!(done.contains(&Command::RetireWorker { lease: LeaseId(1) }));
    assert_eq!(sent(&done), []);
    owner.on_process_died(WORKER, crash_of(WORKER), NOW);
    let asked = done.iter().find_map(|command| match command {
        Command::RequestLease { request, .. } => Some(*request),
        _ => None,
    });
    let asked = asked.expect("another worker is asked for");
    owner.on_lease_granted(asked, LeaseId(2), OTHER, NOW);
    assert_eq!(sent(&commands(&mut owner)), [(behind, 0, OTHER)]);
}

#[test]
fn a_process_that_retires_leaves_when_nobody_needs_it() {
    let mut owner = owner();
    let object = owner.put(1, &[]);
    let task = running(&mut owner, WORKER);
    owner.retire();
    assert_eq!(commands(&mut owner), []);
    owner.on_task_done(task, 0, WORKER, Ok(vec![(1, vec![])]), 1, NOW);
    owner.drop_handle(task.result(0));
    assert!(
        !commands(&mut owner).contains(&Command::Leave),
        "its own object is needed"
    );
    owner.drop_handle(object);
    let done = commands(&mut owner);
    let lease = LeaseId(1);
    let last = [Command::ReturnLease { lease }, Command::Leave];
    assert!(done.ends_with(&last), "{done:?}");
    assert_eq!(commands(&mut owner), [], "once");
}

fn out_of_memory() -> Failure {
    Failure::OutOfMemory("99 of 100".into())
}

/// Lets the pause of a task end, grants it `worker`, and has that ended for want of memory.
fn run_out_of_memory(owner: &mut TestOwner, lease: u64, worker: u64) -> Time {
    let due = owner.poll_timeout().expect("it waits");
    owner.on_timeout(due);
    let request = commands(owner).iter().find_map(|command| match command {
        Command::RequestLease { request, .. } => Some(*request),
        _ => None,
    });
    let (request, worker) = (request.expect("a worker is asked for"), ProcessId(worker));
    owner.on_lease_granted(request, LeaseId(lease), worker, due);
    assert_eq!(sent(&commands(owner)).len(), 1);
    owner.on_process_died(worker, out_of_memory(), due);
    due
}

#[test]
fn a_task_without_memory_pauses_longer_each_time_and_keeps_its_other_retries() {
    let mut owner = owner();
    let task = running(&mut owner, WORKER);
    owner.on_process_died(WORKER, out_of_memory(), NOW);
    assert_eq!(commands(&mut owner), [], "it pauses");
    let mut last = NOW;
    let pauses = [1, 2, 4, 8, 16, 32, 60, 60];
    for (again, pause) in (10..).zip(pauses) {
        let due = run_out_of_memory(&mut owner, again, again);
        assert_eq!(due.since(last), std::time::Duration::from_secs(pause));
        last = due;
    }
    assert_eq!(owner.state(task.result(0)), ObjectState::Pending);
    // A crash after all that is its first.
    let due = owner.poll_timeout().expect("it waits");
    owner.on_timeout(due);
    let asked = commands(&mut owner);
    let Some(Command::RequestLease { request, .. }) = asked.first() else {
        panic!("{asked:?}");
    };
    owner.on_lease_granted(*request, LeaseId(99), OTHER, due);
    commands(&mut owner);
    owner.on_process_died(OTHER, crash_of(OTHER), due);
    assert_eq!(owner.state(task.result(0)), ObjectState::Pending);
}

#[test]
fn a_task_is_tried_again_for_want_of_memory_as_often_as_is_said() {
    let mut owner = owner();
    owner.set_oom_retries(1);
    let task = running(&mut owner, WORKER);
    owner.on_process_died(WORKER, out_of_memory(), NOW);
    run_out_of_memory(&mut owner, 2, 20);
    let failed = ObjectState::Failed(Arc::new(out_of_memory()));
    assert_eq!(owner.state(task.result(0)), failed);
}

#[test]
fn a_task_that_runs_once_at_most_is_not_tried_again_for_want_of_memory() {
    let mut owner = owner();
    let once = TaskSubmit {
        max_retries: 0,
        ..plain(&[])
    };
    let task = owner.submit_task(once, NOW);
    owner.on_lease_granted(RequestId(1), LeaseId(1), WORKER, NOW);
    owner.on_process_died(WORKER, out_of_memory(), NOW);
    let failed = ObjectState::Failed(Arc::new(out_of_memory()));
    assert_eq!(owner.state(task.result(0)), failed);
}

#[test]
fn a_task_that_is_cancelled_in_its_pause_is_not_tried_again() {
    let mut owner = owner();
    let task = running(&mut owner, WORKER);
    owner.on_process_died(WORKER, out_of_memory(), NOW);
    owner
        .cancel(task.result(0), false, false, NOW)
        .expect("it may");
    let due = owner.poll_timeout().expect("the pause");
    commands(&mut owner);
    owner.on_timeout(due);
    assert_eq!(commands(&mut owner), []);
    let failed = ObjectState::Failed(Arc::new(Failure::Cancelled));
    assert_eq!(owner.state(task.result(0)), failed);
}
