//! Streams at their owner, one event a test.

use std::sync::Arc;

use ray_engine::{
    failure::{Failure, RetryOn, WorkerExit},
    ids::{LeaseId, ObjectId, ProcessId, RequestId, TaskId},
    owner::{Command, Limits, NextItem, ObjectState, Owner, ShapeId, TaskSubmit},
    time::Time,
};

type Machine = Owner<(), u32>;

const OWNER: ProcessId = ProcessId(1);
const NOW: Time = Time(0);

/// Who runs an attempt: a process that died never comes back.
fn worker(attempt: u32) -> ProcessId {
    ProcessId(2 + u64::from(attempt))
}

fn commands(owner: &mut Machine) -> Vec<Command<u32>> {
    std::iter::from_fn(|| owner.poll_command()).collect()
}

/// A stream whose call runs on the first worker.
fn running(max_retries: i32, backpressure: u64) -> (Machine, TaskId, ObjectId) {
    let mut owner = Owner::new(OWNER, Limits::default());
    let (task, token) = submit(&mut owner, max_retries, backpressure, &[]);
    owner.on_lease_granted(RequestId(1), LeaseId(1), worker(0), NOW);
    commands(&mut owner);
    (owner, task, token)
}

fn submit(
    owner: &mut Machine,
    max_retries: i32,
    backpressure: u64,
    dependencies: &[ObjectId],
) -> (TaskId, ObjectId) {
    let submit = TaskSubmit {
        shape: ShapeId(0),
        returns: 1,
        dependencies,
        nested: &[],
        max_retries,
        retry_failures: RetryOn::Nothing,
        parent: None,
        payload: (),
    };
    let task = owner.submit_task(submit, NOW);
    let token = owner.open_stream(task, backpressure);
    (task, token)
}

fn item(owner: &mut Machine, task: TaskId, attempt: u32, position: u64, value: u32) {
    owner.on_item(
        task,
        attempt,
        worker(attempt),
        position,
        (value, Vec::new()),
    );
}

fn done(owner: &mut Machine, task: TaskId, attempt: u32) {
    let outcome = Ok(vec![(0, Vec::new())]);
    owner.on_task_done(task, attempt, worker(attempt), outcome, 1, NOW);
}

fn taken(owner: &mut Machine, task: TaskId) -> ObjectId {
    match owner.take_item(task) {
        NextItem::Taken(object) => object,
        other => panic!("{other:?}"),
    }
}

fn taken_value(owner: &mut Machine, task: TaskId) -> u32 {
    let object = taken(owner, task);
    match owner.state(object) {
        ObjectState::Ready(value) => *value,
        other => panic!("{other:?}"),
    }
}

fn taken_failure(owner: &mut Machine, task: TaskId) -> Failure {
    let object = taken(owner, task);
    match owner.state(object) {
        ObjectState::Failed(failure) => Failure::clone(&failure),
        other => panic!("{other:?}"),
    }
}

fn crash(owner: &mut Machine) {
    let exit = WorkerExit {
        worker: worker(0),
        ..WorkerExit::default()
    };
    owner.on_process_died(worker(0), Failure::WorkerCrashed(exit), NOW);
}

/// After a crash: the call runs again, on another worker.
fn restart(owner: &mut Machine) {
    crash(owner);
    let request = commands(owner)
        .into_iter()
        .find_map(|command| match command {
            Command::RequestLease { request, .. } => Some(request),
            _ => None,
        });
    let request = request.expect("the retry asks for a worker");
    owner.on_lease_granted(request, LeaseId(2), worker(1), NOW);
    commands(owner);
}

fn reports(owner: &mut Machine) -> Vec<u64> {
    commands(owner)
        .into_iter()
        .filter_map(|command| match command {
            Command::ReportTaken { taken, task, .. } => {
                assert_eq!(task.owner, OWNER);
                Some(taken)
            }
            _ => None,
        })
        .collect()
}

#[test]
fn an_item_that_arrives_is_what_the_head_stood_for() {
    let (mut owner, task, _) = running(0, 0);
    let head = owner.peek_item(task).expect("a head");
    assert_eq!(owner.take_item(task), NextItem::Pending(head));
    owner.watch(head);
    item(&mut owner, task, 0, 0, 7);
    assert!(commands(&mut owner).contains(&Command::Resolved { object: head }));
    assert_eq!(taken(&mut owner, task), head);
    let next = owner.peek_item(task).expect("a new head");
    assert_ne!(next, head);
    assert_eq!(owner.take_item(task), NextItem::Pending(next));
}

#[test]
fn the_end_of_the_call_is_the_end_of_the_stream_after_its_items() {
    let (mut owner, task, _) = running(0, 0);
    item(&mut owner, task, 0, 0, 7);
    done(&mut owner, task, 0);
    assert_eq!(owner.state(task.result(0)), ObjectState::Ready(&0));
    assert_eq!(taken_value(&mut owner, task), 7);
    assert_eq!(owner.take_item(task), NextItem::Ended);
    let end = owner.peek_item(task).expect("the end");
    let ended = Arc::new(Failure::StreamEnded);
    assert_eq!(owner.state(end), ObjectState::Failed(ended));
}

#[test]
fn a_failure_is_one_more_item() {
    let (mut owner, task, _) = running(0, 0);
    item(&mut owner, task, 0, 0, 7);
    owner.on_task_done(task, 0, worker(0), Err(Failure::Cancelled), 1, NOW);
    assert_eq!(taken_value(&mut owner, task), 7);
    assert_eq!(taken_failure(&mut owner, task), Failure::Cancelled);
    assert_eq!(owner.take_item(task), NextItem::Ended);
}

#[test]
fn a_call_that_fails_while_it_is_submitted_has_one_item() {
    let mut owner = Machine::new(OWNER, Limits::default());
    let lost = owner.put_failed(Failure::Cancelled);
    let (task, _) = submit(&mut owner, 0, 0, &[lost]);
    assert_eq!(taken_failure(&mut owner, task), Failure::Cancelled);
    assert_eq!(owner.take_item(task), NextItem::Ended);
}

#[test]
fn a_repeated_item_is_freed_and_the_first_stays() {
    let (mut owner, task, _) = running(-1, 0);
    item(&mut owner, task, 0, 0, 7);
    item(&mut owner, task, 0, 1, 8);
    let first = taken(&mut owner, task);
    restart(&mut owner);
    item(&mut owner, task, 1, 0, 70);
    item(&mut owner, task, 1, 1, 80);
    item(&mut owner, task, 1, 2, 90);
    let freed: Vec<u32> = commands(&mut owner)
        .into_iter()
        .filter_map(|command| match command {
            Command::Free { value, .. } => Some(value),
            _ => None,
        })
        .collect();
    assert_eq!(freed, [70, 80]);
    done(&mut owner, task, 1);
    assert_eq!(owner.state(first), ObjectState::Ready(&7));
    assert_eq!(taken_value(&mut owner, task), 8);
    assert_eq!(taken_value(&mut owner, task), 90);
    assert_eq!(owner.take_item(task), NextItem::Ended);
}

#[test]
fn an_item_of_a_stale_attempt_is_freed() {
    let (mut owner, task, _) = running(-1, 0);
    restart(&mut owner);
    item(&mut owner, task, 0, 0, 7);
    let object = task.result(0);
    assert_eq!(commands(&mut owner), [Command::Free { object, value: 7 }]);
    assert!(matches!(owner.take_item(task), NextItem::Pending(_)));
}

#[test]
fn an_attempt_with_fewer_items_fails_the_stream() {
    for replayed in 0..2 {
        let (mut owner, task, _) = running(-1, 0);
        item(&mut owner, task, 0, 0, 7);
        item(&mut owner, task, 0, 1, 8);
        restart(&mut owner);
        for position in 0..replayed {
            item(&mut owner, task, 1, position, 70);
        }
        done(&mut owner, task, 1);
        assert_eq!(taken_value(&mut owner, task), 7);
        assert_eq!(taken_value(&mut owner, task), 8);
        let fault = Failure::StreamReplay {
            produced: 2,
            replayed,
        };
        assert_eq!(taken_failure(&mut owner, task), fault);
        let completed = owner.state(task.result(0));
        assert_eq!(completed, ObjectState::Failed(Arc::new(fault)));
        assert_eq!(owner.take_item(task), NextItem::Ended);
    }
}

#[test]
fn a_crash_without_retries_is_one_more_item() {
    let (mut owner, task, _) = running(0, 0);
    item(&mut owner, task, 0, 0, 7);
    crash(&mut owner);
    assert_eq!(taken_value(&mut owner, task), 7);
    let failure = taken_failure(&mut owner, task);
    assert!(matches!(failure, Failure::WorkerCrashed(_)));
    assert_eq!(owner.take_item(task), NextItem::Ended);
}

#[test]
fn a_producer_hears_of_taken_items_only_when_it_may_pause() {
    let (mut owner, task, _) = running(0, 2);
    item(&mut owner, task, 0, 0, 7);
    taken(&mut owner, task);
    assert!(reports(&mut owner).is_empty(), "it may go on");
    item(&mut owner, task, 0, 1, 8);
    assert_eq!(reports(&mut owner), [1], "it pauses after this one");
    item(&mut owner, task, 0, 2, 9);
    assert!(reports(&mut owner).is_empty());
    taken(&mut owner, task);
    taken(&mut owner, task);
    assert_eq!(reports(&mut owner), [2], "one item is one more step");
}

#[test]
fn a_producer_that_begins_again_hears_again() {
    let (mut owner, task, _) = running(-1, 1);
    for position in 0..3 {
        item(&mut owner, task, 0, position, 7);
        taken(&mut owner, task);
    }
    assert_eq!(reports(&mut owner), [1, 2, 3]);
    restart(&mut owner);
    item(&mut owner, task, 1, 0, 7);
    assert_eq!(reports(&mut owner), [3]);
}

#[test]
fn dropping_the_token_frees_what_was_not_taken_and_tells_the_producer() {
    let (mut owner, task, token) = running(0, 1);
    item(&mut owner, task, 0, 0, 7);
    owner.drop_handle(token);
    let after = commands(&mut owner);
    assert!(
        after
            .iter()
            .any(|command| matches!(command, Command::Free { value: 7, .. }))
    );
    let told = after
        .iter()
        .any(|command| matches!(command, Command::ReportTaken { taken, .. } if *taken == u64::MAX));
    assert!(told);
    item(&mut owner, task, 0, 1, 8);
    item(&mut owner, task, 0, 2, 9);
    done(&mut owner, task, 0);
    let freed = commands(&mut owner)
        .into_iter()
        .filter(|command| matches!(command, Command::Free { value: 8 | 9, .. }))
        .count();
    assert_eq!(freed, 2);
    owner.drop_handle(task.result(0));
    assert_eq!((owner.open_streams(), owner.owned_objects()), (0, 0));
}

#[test]
fn a_head_that_somebody_waits_for_is_settled_after_the_stream_was_dropped() {
    let (mut owner, task, token) = running(0, 0);
    let head = owner.peek_item(task).expect("a head");
    owner.add_handle(head);
    owner.drop_handle(token);
    item(&mut owner, task, 0, 0, 7);
    assert_eq!(owner.state(head), ObjectState::Ready(&7));

    let (mut owner, task, token) = running(0, 0);
    let head = owner.peek_item(task).expect("a head");
    owner.add_handle(head);
    owner.drop_handle(token);
    done(&mut owner, task, 0);
    let ended = Arc::new(Failure::StreamEnded);
    assert_eq!(owner.state(head), ObjectState::Failed(ended));
}

#[test]
fn a_stream_that_was_used_up_leaves_nothing() {
    let (mut owner, task, token) = running(0, 0);
    item(&mut owner, task, 0, 0, 7);
    done(&mut owner, task, 0);
    let object = taken(&mut owner, task);
    for handle in [object, token, task.result(0)] {
        owner.drop_handle(handle);
    }
    assert_eq!((owner.open_streams(), owner.owned_objects()), (0, 0));
}

#[test]
fn references_inside_an_item_are_held_by_it() {
    let (mut owner, task, token) = running(0, 0);
    let inner = ObjectId {
        owner: ProcessId(9),
        index: 9,
    };
    owner.receive_reference(inner, 1);
    owner.on_item(task, 0, worker(0), 0, (7, vec![inner]));
    owner.drop_handle(inner);
    assert_eq!(owner.borrowed_objects(), 1);
    owner.drop_handle(token);
    assert_eq!(owner.borrowed_objects(), 0);
}
