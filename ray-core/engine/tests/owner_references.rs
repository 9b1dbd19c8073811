//! The owner table's events about objects and references, one behaviour a test.

use ray_engine::{
    failure::{Failure, RetryOn, WorkerExit},
    ids::{LeaseId, NodeId, ObjectId, ProcessId, RequestId},
    owner::{Command, Limits, ObjectState, Owner, ShapeId, TaskSubmit},
    time::Time,
};

const HERE: ProcessId = ProcessId(1);
const BORROWER: ProcessId = ProcessId(2);
const OTHER: ProcessId = ProcessId(3);
const NOW: Time = Time(1_000);

type TestOwner = Owner<&'static str, u32>;

fn owner() -> TestOwner {
    Owner::new(HERE, Limits::default())
}

fn commands(owner: &mut TestOwner) -> Vec<Command<u32>> {
    std::iter::from_fn(|| owner.poll_command()).collect()
}

/// Returns an object of another process, held once with one credit.
fn borrow(owner: &mut TestOwner) -> ObjectId {
    let object = ObjectId {
        owner: OTHER,
        index: 5,
    };
    owner.receive_reference(object, 1);
    object
}

fn die(owner: &mut TestOwner, process: ProcessId) {
    let exit = WorkerExit {
        worker: process,
        ..WorkerExit::default()
    };
    owner.on_process_died(process, Failure::WorkerCrashed(exit), NOW);
}

fn owner_died(object: ObjectId) -> Failure {
    Failure::OwnerDied {
        object,
        owner: object.owner,
    }
}

fn failure(owner: &TestOwner, object: ObjectId) -> Option<Failure> {
    match owner.state(object) {
        ObjectState::Failed(failure) => Some((*failure).clone()),
        _ => None,
    }
}

#[test]
fn the_last_handle_frees_the_value() {
    let mut owner = owner();
    let object = owner.put(7, &[]);
    owner.add_handle(object);
    owner.drop_handle(object);
    assert_eq!(owner.state(object), ObjectState::Ready(&7));
    owner.drop_handle(object);
    assert_eq!(commands(&mut owner), [Command::Free { object, value: 7 }]);
    assert_eq!(owner.state(object), ObjectState::Unknown);
}

#[test]
fn a_container_keeps_what_is_inside() {
    let mut owner = owner();
    let inner = owner.put(1, &[]);
    let outer = owner.put(2, &[inner]);
    owner.drop_handle(inner);
    assert_eq!(owner.state(inner), ObjectState::Ready(&1));
    owner.drop_handle(outer);
    assert_eq!(owner.owned_objects(), 0);
}

#[test]
fn a_borrower_keeps_the_object_until_it_releases() {
    let mut owner = owner();
    let object = owner.put(7, &[]);
    owner.send_reference(object, BORROWER);
    owner.drop_handle(object);
    assert_eq!(owner.state(object), ObjectState::Ready(&7));
    owner.on_release_credits(object, BORROWER, 1);
    assert_eq!(owner.owned_objects(), 0);
}

#[test]
fn a_release_may_overtake_an_open() {
    let mut owner = owner();
    let object = owner.put(7, &[]);
    owner.send_reference(object, BORROWER);
    owner.drop_handle(object);
    // The borrower passed it on; the receiver is done before the open is here.
    owner.on_release_credits(object, OTHER, 1);
    assert_eq!(owner.state(object), ObjectState::Ready(&7));
    owner.on_open_credit(object, OTHER);
    owner.on_release_credits(object, BORROWER, 1);
    assert_eq!(owner.owned_objects(), 0);
}

#[test]
fn an_open_that_a_crash_lost_keeps_nothing_alive() {
    let mut owner = owner();
    let object = owner.put(7, &[]);
    owner.send_reference(object, BORROWER);
    owner.drop_handle(object);
    owner.on_release_credits(object, OTHER, 1);
    die(&mut owner, BORROWER);
    assert_eq!(owner.owned_objects(), 0);
}

#[test]
fn the_credits_of_a_dead_borrower_are_forgotten() {
    let mut owner = owner();
    let object = owner.put(7, &[]);
    owner.send_reference(object, BORROWER);
    owner.drop_handle(object);
    die(&mut owner, BORROWER);
    assert_eq!(owner.owned_objects(), 0);
}

#[test]
fn a_dead_process_gets_no_credit() {
    let mut owner = owner();
    let object = owner.put(7, &[]);
    die(&mut owner, BORROWER);
    owner.send_reference(object, BORROWER);
    owner.on_open_credit(object, BORROWER);
    owner.drop_handle(object);
    assert_eq!(owner.owned_objects(), 0);
}

#[test]
fn a_reference_that_comes_home_needs_no_credit() {
    let mut owner = owner();
    let borrowed = borrow(&mut owner);
    owner.send_reference(borrowed, OTHER);
    assert_eq!(commands(&mut owner), []);
    let object = owner.put(7, &[]);
    owner.receive_reference(object, 1);
    owner.drop_handle(object);
    owner.drop_handle(object);
    assert_eq!(owner.owned_objects(), 0);
}

#[test]
fn a_borrowed_reference_is_opened_for_the_next_and_released_with_the_last_handle() {
    let mut owner = owner();
    let object = borrow(&mut owner);
    owner.receive_reference(object, 1);
    owner.send_reference(object, BORROWER);
    owner.drop_handle(object);
    owner.drop_handle(object);
    let open = Command::OpenCredit {
        owner: OTHER,
        object,
        receiver: BORROWER,
    };
    let release = Command::ReleaseCredits {
        owner: OTHER,
        object,
        credits: 2,
    };
    assert_eq!(commands(&mut owner), [open, release]);
    assert_eq!(owner.borrowed_objects(), 0);
}

#[test]
fn a_borrower_asks_once_and_wakes_with_the_answer() {
    let mut owner = owner();
    let object = borrow(&mut owner);
    owner.watch(object);
    owner.watch(object);
    let ask = Command::AskOwner {
        owner: OTHER,
        object,
    };
    assert_eq!(commands(&mut owner), [ask]);
    owner.on_value(object, Ok((9, vec![])), NOW);
    assert_eq!(commands(&mut owner), [Command::Resolved { object }]);
    assert_eq!(owner.state(object), ObjectState::Ready(&9));
}

#[test]
fn an_owner_answers_when_it_knows() {
    let mut owner = owner();
    let object = owner.put(7, &[]);
    owner.on_ask(object, BORROWER);
    let answer = Command::Answer {
        to: BORROWER,
        object,
    };
    assert_eq!(commands(&mut owner), [answer]);
}

#[test]
fn objects_of_a_dead_owner_fail_at_once() {
    let mut owner = owner();
    let object = borrow(&mut owner);
    owner.watch(object);
    commands(&mut owner);
    die(&mut owner, OTHER);
    assert_eq!(failure(&owner, object), Some(owner_died(object)));
    assert_eq!(commands(&mut owner), [Command::Resolved { object }]);
}

#[test]
fn a_reference_that_arrives_after_its_owner_died_fails_when_it_is_asked_for() {
    let mut owner = owner();
    die(&mut owner, OTHER);
    let object = borrow(&mut owner);
    owner.watch(object);
    assert_eq!(failure(&owner, object), Some(owner_died(object)));
    assert_eq!(commands(&mut owner), [Command::Resolved { object }]);
}

#[test]
fn a_task_with_an_argument_of_a_dead_owner_fails() {
    let mut owner = owner();
    die(&mut owner, OTHER);
    let object = borrow(&mut owner);
    let submit = TaskSubmit {
        shape: ShapeId(0),
        returns: 1,
        dependencies: &[object],
        nested: &[],
        max_retries: 0,
        retry_failures: RetryOn::Nothing,
        parent: None,
        payload: "task",
    };
    let task = owner.submit_task(submit, NOW);
    assert_eq!(failure(&owner, task.result(0)), Some(owner_died(object)));
}

#[test]
fn a_grant_of_a_dead_worker_is_given_back_and_asked_for_again() {
    let mut owner = owner();
    let submit = TaskSubmit {
        shape: ShapeId(0),
        returns: 1,
        dependencies: &[],
        nested: &[],
        max_retries: 0,
        retry_failures: RetryOn::Nothing,
        parent: None,
        payload: "task",
    };
    owner.submit_task(submit, NOW);
    commands(&mut owner);
    die(&mut owner, OTHER);
    owner.on_lease_granted(RequestId(1), LeaseId(1), OTHER, NOW);
    let (lease, request, shape) = (LeaseId(1), RequestId(2), ShapeId(0));
    assert_eq!(
        commands(&mut owner),
        [
            Command::ReturnLease { lease },
            Command::RequestLease { request, shape }
        ]
    );
}

#[test]
fn a_credit_for_somebody_on_a_dead_node_is_not_kept() {
    let mut owner = owner();
    let node = NodeId(5).process();
    die(&mut owner, node);
    let object = owner.put(7, &[]);
    owner.send_reference(object, BORROWER);
    owner.drop_handle(object);
    // The borrower passed it on before it heard of the death; the owner had never heard of the receiver.
    owner.on_open_credit(object, node.started(3));
    owner.on_release_credits(object, BORROWER, 1);
    assert_eq!(owner.owned_objects(), 0);
}
