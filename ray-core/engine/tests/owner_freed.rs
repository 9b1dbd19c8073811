//! The owner table's events about values that are freed while somebody refers to them, one behaviour a test.

use std::sync::Arc;

use ray_engine::{
    failure::{Failure, RetryOn, WorkerExit},
    ids::{LeaseId, ObjectId, ProcessId, RequestId, TaskId},
    owner::{Command, Limits, ObjectState, Owner, ShapeId, TaskSubmit},
    time::Time,
};

const HERE: ProcessId = ProcessId(1);
const BORROWER: ProcessId = ProcessId(2);
const OTHER: ProcessId = ProcessId(3);
const WORKER: ProcessId = ProcessId(4);
const NOW: Time = Time(1_000);

type TestOwner = Owner<&'static str, u32>;

fn owner() -> TestOwner {
    Owner::new(HERE, Limits::default())
}

fn commands(owner: &mut TestOwner) -> Vec<Command<u32>> {
    std::iter::from_fn(|| owner.poll_command()).collect()
}

fn is_freed(owner: &TestOwner, object: ObjectId) -> bool {
    let freed = Arc::new(Failure::ObjectFreed(object));
    owner.state(object) == ObjectState::Failed(freed)
}

/// Submits a task with arguments and has it sent.
fn running(owner: &mut TestOwner, arguments: &[ObjectId]) -> TaskId {
    let submit = TaskSubmit {
        shape: ShapeId(0),
        returns: 1,
        dependencies: arguments,
        nested: &[],
        max_retries: 0,
        retry_failures: RetryOn::Nothing,
        parent: None,
        payload: "task",
    };
    let task = owner.submit_task(submit, NOW);
    owner.on_lease_granted(RequestId(1), LeaseId(1), WORKER, NOW);
    commands(owner);
    task
}

fn done(owner: &mut TestOwner, task: TaskId) -> Vec<Command<u32>> {
    owner.on_task_done(task, 0, WORKER, Ok(vec![(9, Vec::new())]), 1, NOW);
    commands(owner)
}

/// Returns an object of another process that has its value here.
fn borrow(owner: &mut TestOwner) -> ObjectId {
    let object = ObjectId {
        owner: OTHER,
        index: 5,
    };
    owner.receive_reference(object, 1);
    owner.watch(object);
    owner.on_value(object, Ok((7, Vec::new())), NOW);
    commands(owner);
    object
}

#[test]
fn a_freed_value_goes_at_once_when_nobody_else_has_it() {
    let mut owner = owner();
    let object = owner.put(7, &[]);
    owner.free(object);
    assert_eq!(commands(&mut owner), [Command::Free { object, value: 7 }]);
    assert!(is_freed(&owner, object));
    owner.free(object);
    owner.drop_handle(object);
    assert_eq!(commands(&mut owner), [], "it goes once");
    assert_eq!(owner.owned_objects(), 0);
}

#[test]
fn what_a_freed_value_contained_goes_with_it() {
    let mut owner = owner();
    let inner = owner.put(1, &[]);
    let outer = owner.put(2, &[inner]);
    owner.drop_handle(inner);
    owner.free(outer);
    let freed = [
        Command::Free {
            object: outer,
            value: 2,
        },
        Command::Free {
            object: inner,
            value: 1,
        },
    ];
    assert_eq!(commands(&mut owner), freed);
}

#[test]
fn the_bytes_wait_until_every_borrower_has_let_go() {
    let mut owner = owner();
    let object = owner.put(7, &[]);
    owner.send_reference(object, BORROWER);
    owner.send_reference(object, OTHER);
    commands(&mut owner);
    owner.free(object);
    let told = [BORROWER, OTHER].map(|to| Command::TellFreed { to, object });
    assert_eq!(commands(&mut owner), told);
    assert!(is_freed(&owner, object), "nobody reads it any more");
    owner.on_let_go(object, BORROWER);
    assert_eq!(commands(&mut owner), []);
    // Who gives its last credit back has let go as well.
    owner.on_release_credits(object, OTHER, 1);
    assert_eq!(commands(&mut owner), [Command::Free { object, value: 7 }]);
}

#[test]
fn a_borrower_that_dies_looks_at_nothing() {
    let mut owner = owner();
    let object = owner.put(7, &[]);
    owner.send_reference(object, BORROWER);
    owner.free(object);
    commands(&mut owner);
    let exit = WorkerExit {
        worker: BORROWER,
        ..WorkerExit::default()
    };
    owner.on_process_died(BORROWER, Failure::WorkerCrashed(exit), NOW);
    assert_eq!(commands(&mut owner), [Command::Free { object, value: 7 }]);
}

#[test]
fn a_call_that_was_submitted_before_runs_with_the_value() {
    let mut owner = owner();
    let object = owner.put(7, &[]);
    let task = running(&mut owner, &[object]);
    owner.free(object);
    assert_eq!(commands(&mut owner), []);
    assert!(is_freed(&owner, object));
    assert_eq!(owner.argument(object), ObjectState::Ready(&7));
    let ended = done(&mut owner, task);
    assert!(
        ended.contains(&Command::Free { object, value: 7 }),
        "{ended:?}"
    );
}

#[test]
fn a_call_with_a_freed_argument_fails_and_holds_nothing() {
    let mut owner = owner();
    let object = owner.put(7, &[]);
    owner.free(object);
    let task = running(&mut owner, &[object]);
    let freed = Arc::new(Failure::ObjectFreed(object));
    assert_eq!(owner.state(task.result(0)), ObjectState::Failed(freed));
    owner.drop_handle(object);
    owner.drop_handle(task.result(0));
    assert_eq!(owner.owned_objects(), 0);
}

#[test]
fn a_result_that_was_freed_before_it_was_made_goes_as_it_comes() {
    let mut owner = owner();
    let task = running(&mut owner, &[]);
    let object = task.result(0);
    owner.free(object);
    assert_eq!(owner.state(object), ObjectState::Pending);
    let ended = done(&mut owner, task);
    assert!(
        ended.contains(&Command::Free { object, value: 9 }),
        "{ended:?}"
    );
    assert!(is_freed(&owner, object));
}

#[test]
fn the_last_reference_to_a_doomed_value_changes_nothing() {
    let mut owner = owner();
    let object = owner.put(7, &[]);
    let task = running(&mut owner, &[object]);
    owner.free(object);
    owner.drop_handle(object);
    assert_eq!(owner.argument(object), ObjectState::Ready(&7));
    let ended = done(&mut owner, task);
    let freed = ended
        .iter()
        .filter(|ended| matches!(ended, Command::Free { value: 7, .. }));
    assert_eq!(freed.count(), 1, "{ended:?}");
}

#[test]
fn a_borrower_that_is_told_lets_go_of_the_value() {
    let mut owner = owner();
    let object = borrow(&mut owner);
    owner.on_freed(object);
    let value = Some(7);
    assert_eq!(commands(&mut owner), [Command::LetGo { object, value }]);
    assert!(is_freed(&owner, object));
}

#[test]
fn a_borrower_lets_go_when_its_calls_with_the_value_have_ended() {
    let mut owner = owner();
    let object = borrow(&mut owner);
    let task = running(&mut owner, &[object]);
    owner.on_freed(object);
    assert_eq!(commands(&mut owner), []);
    assert_eq!(owner.argument(object), ObjectState::Ready(&7));
    let ended = done(&mut owner, task);
    let value = Some(7);
    assert!(
        ended.contains(&Command::LetGo { object, value }),
        "{ended:?}"
    );
}

#[test]
fn who_has_no_value_of_a_freed_object_says_so_at_once() {
    let mut owner = owner();
    let object = ObjectId {
        owner: OTHER,
        index: 5,
    };
    let value = None;
    owner.on_freed(object);
    assert_eq!(commands(&mut owner), [Command::LetGo { object, value }]);
    owner.receive_reference(object, 1);
    owner.watch(object);
    commands(&mut owner);
    owner.on_freed(object);
    let told = commands(&mut owner);
    assert!(told.contains(&Command::Resolved { object }), "{told:?}");
    assert!(told.contains(&Command::LetGo { object, value }), "{told:?}");
    assert!(is_freed(&owner, object));
}

#[test]
fn a_borrower_that_frees_reads_nothing_more_and_tells_the_owner() {
    let mut owner = owner();
    let object = borrow(&mut owner);
    owner.free(object);
    let forwarded = Command::ForwardFree {
        owner: OTHER,
        object,
    };
    assert_eq!(commands(&mut owner), [forwarded]);
    assert!(is_freed(&owner, object));
    owner.on_freed(object);
    let value = Some(7);
    assert_eq!(commands(&mut owner), [Command::LetGo { object, value }]);
}

#[test]
fn a_borrower_whose_credit_comes_after_the_free_is_told_and_waited_for() {
    let mut owner = owner();
    let object = owner.put(7, &[]);
    owner.send_reference(object, BORROWER);
    owner.on_ask(object, OTHER);
    owner.free(object);
    commands(&mut owner);
    // What the first borrower passed on had its answer before the credit was known here.
    owner.on_open_credit(object, OTHER);
    owner.on_let_go(object, BORROWER);
    let to = OTHER;
    assert_eq!(commands(&mut owner), [Command::TellFreed { to, object }]);
    owner.on_let_go(object, OTHER);
    assert_eq!(commands(&mut owner), [Command::Free { object, value: 7 }]);
}

#[test]
fn an_argument_that_is_held_keeps_its_bytes() {
    let mut owner = owner();
    let object = owner.put(7, &[]);
    owner.hold_argument(object);
    owner.free(object);
    assert_eq!(commands(&mut owner), []);
    assert_eq!(owner.argument(object), ObjectState::Ready(&7));
    owner.let_argument_go(object);
    assert_eq!(commands(&mut owner), [Command::Free { object, value: 7 }]);
}
