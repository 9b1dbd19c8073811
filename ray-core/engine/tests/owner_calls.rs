//! The owner table's events about actors and their calls, one behaviour a test.

use std::sync::Arc;

use ray_engine::{
    failure::{Failure, RetryOn, TaskFailure},
    ids::{ActorId, NodeId, ObjectId, ProcessId, TaskId},
    owner::{ActorState, CallSubmit, Command, Limits, ObjectState, Owner},
    time::Time,
};

const HERE: ProcessId = ProcessId(1);
const FIRST_LIFE: ProcessId = ProcessId(2);
const SECOND_LIFE: ProcessId = ProcessId(3);
const ACTOR: ActorId = ActorId {
    owner: HERE,
    index: 100,
};
const NOW: Time = Time(1_000);

type TestOwner = Owner<&'static str, u32>;

fn commands(owner: &mut TestOwner) -> Vec<Command<u32>> {
    std::iter::from_fn(|| owner.poll_command()).collect()
}

/// Returns an owner that knows the actor to be alive.
fn owner() -> TestOwner {
    let mut owner = Owner::new(HERE, Limits::default());
    come_alive(&mut owner, FIRST_LIFE, 0);
    owner
}

fn come_alive(owner: &mut TestOwner, process: ProcessId, incarnation: u64) {
    let state = ActorState::Alive {
        process,
        incarnation,
    };
    owner.on_actor_state(ACTOR, state, NOW);
}

fn plain(dependencies: &[ObjectId]) -> CallSubmit<'_, &'static str> {
    CallSubmit {
        actor: ACTOR,
        returns: 1,
        dependencies,
        nested: &[],
        max_task_retries: 0,
        retry_failures: RetryOn::Nothing,
        is_ordered: true,
        max_pending: 0,
        parent: None,
        payload: "call",
    }
}

fn call(owner: &mut TestOwner, retries: i32) -> TaskId {
    let submit = CallSubmit {
        max_task_retries: retries,
        ..plain(&[])
    };
    owner.submit_call(submit, NOW)
}

fn sent(owner: &mut TestOwner) -> Vec<(TaskId, u32, u64)> {
    commands(owner)
        .into_iter()
        .filter_map(|command| match command {
            Command::SendCall {
                task, attempt, seq, ..
            } => Some((task, attempt, seq)),
            _ => None,
        })
        .collect()
}

fn failure(owner: &TestOwner, task: TaskId) -> Option<Failure> {
    match owner.state(task.result(0)) {
        ObjectState::Failed(failure) => Some((*failure).clone()),
        _ => None,
    }
}

fn user_failure() -> Failure {
    Failure::Task(TaskFailure {
        function: "f".into(),
        message: "no".into(),
        backtrace: String::new(),
        panicked: false,
        cause: None,
        node: NodeId(1),
        worker: FIRST_LIFE,
        attempt: 0,
    })
}

#[test]
fn the_first_call_asks_how_the_actor_is() {
    let mut owner: TestOwner = Owner::new(HERE, Limits::default());
    let first = call(&mut owner, 0);
    call(&mut owner, 0);
    assert_eq!(commands(&mut owner), [Command::WatchActor { actor: ACTOR }]);
    come_alive(&mut owner, FIRST_LIFE, 0);
    assert_eq!(sent(&mut owner).first(), Some(&(first, 0, 0)));
}

#[test]
fn second_call_waits_for_the_arguments_of_the_first() {
    let mut owner = owner();
    let maker = call(&mut owner, 0);
    commands(&mut owner);
    let first = owner.submit_call(plain(&[maker.result(0)]), NOW);
    let second = call(&mut owner, 0);
    assert_eq!(sent(&mut owner), []);
    owner.on_task_done(maker, 0, FIRST_LIFE, Ok(vec![(1, vec![])]), 0, NOW);
    assert_eq!(sent(&mut owner), [(first, 0, 1), (second, 0, 2)]);
}

#[test]
fn an_unordered_call_does_not_wait_for_the_arguments_of_others() {
    let mut owner = owner();
    let maker = call(&mut owner, 0);
    commands(&mut owner);
    let unordered = |dependencies| CallSubmit {
        is_ordered: false,
        ..plain(dependencies)
    };
    let arguments = [maker.result(0)];
    owner.submit_call(unordered(&arguments), NOW);
    let free = owner.submit_call(unordered(&[]), NOW);
    assert_eq!(sent(&mut owner), [(free, 0, 1)]);
}

#[test]
fn calls_in_flight_at_a_crash_fail_or_are_sent_again_in_order() {
    let mut owner = owner();
    let once = call(&mut owner, 0);
    let again = call(&mut owner, 1);
    let last = call(&mut owner, 1);
    commands(&mut owner);
    owner.on_actor_state(ACTOR, ActorState::Restarting, NOW);
    assert!(matches!(
        failure(&owner, once),
        Some(Failure::ActorUnavailable { .. })
    ));
    come_alive(&mut owner, SECOND_LIFE, 1);
    assert_eq!(sent(&mut owner), [(again, 1, 0), (last, 1, 1)]);
}

#[test]
fn a_life_that_replaces_another_without_notice_gets_the_calls_in_order() {
    let mut owner = owner();
    let lost = call(&mut owner, 0);
    let again = call(&mut owner, 1);
    owner.submit_call(plain(&[lost.result(0)]), NOW);
    let behind = call(&mut owner, 1);
    commands(&mut owner);
    come_alive(&mut owner, SECOND_LIFE, 1);
    assert_eq!(sent(&mut owner), [(again, 1, 0), (behind, 0, 1)]);
}

#[test]
fn an_answer_of_an_earlier_life_is_ignored() {
    let mut owner = owner();
    let task = call(&mut owner, 1);
    owner.on_actor_state(ACTOR, ActorState::Restarting, NOW);
    come_alive(&mut owner, SECOND_LIFE, 1);
    owner.on_task_done(task, 0, FIRST_LIFE, Ok(vec![(1, vec![])]), 0, NOW);
    assert_eq!(owner.state(task.result(0)), ObjectState::Pending);
}

#[test]
fn a_call_while_the_actor_restarts_fails_unless_it_may_be_tried_again() {
    let mut owner = owner();
    owner.on_actor_state(ACTOR, ActorState::Restarting, NOW);
    let (once, patient) = (call(&mut owner, 0), call(&mut owner, 1));
    assert!(matches!(
        failure(&owner, once),
        Some(Failure::ActorUnavailable { .. })
    ));
    assert_eq!(failure(&owner, patient), None);
}

#[test]
fn calls_of_a_dead_actor_fail_with_its_cause() {
    let mut owner = owner();
    let before = call(&mut owner, 3);
    let cause = Failure::System("gone".into());
    owner.on_actor_state(ACTOR, ActorState::Dead(Arc::new(cause.clone())), NOW);
    let after = call(&mut owner, 3);
    assert_eq!(failure(&owner, before), Some(cause.clone()));
    assert_eq!(failure(&owner, after), Some(cause));
}

#[test]
fn a_call_beyond_the_limit_of_pending_ones_fails() {
    let mut owner = owner();
    let submit = |owner: &mut TestOwner| {
        let limited = CallSubmit {
            max_pending: 1,
            ..plain(&[])
        };
        owner.submit_call(limited, NOW)
    };
    let first = submit(&mut owner);
    let second = submit(&mut owner);
    let limit = Failure::PendingCallsLimit { limit: 1 };
    assert_eq!(failure(&owner, second), Some(limit));
    owner.on_task_done(first, 0, FIRST_LIFE, Ok(vec![(1, vec![])]), 0, NOW);
    let third = submit(&mut owner);
    assert_eq!(failure(&owner, third), None);
}

#[test]
fn a_call_that_is_tried_again_goes_before_one_that_waits_for_it() {
    let mut owner = owner();
    let retried = CallSubmit {
        max_task_retries: 1,
        retry_failures: RetryOn::Everything,
        ..plain(&[])
    };
    let retried = owner.submit_call(retried, NOW);
    let dependent = owner.submit_call(plain(&[retried.result(0)]), NOW);
    commands(&mut owner);
    owner.on_task_done(retried, 0, FIRST_LIFE, Err(user_failure()), 0, NOW);
    assert_eq!(sent(&mut owner), [(retried, 1, 1)]);
    owner.on_task_done(retried, 1, FIRST_LIFE, Ok(vec![(1, vec![])]), 0, NOW);
    assert_eq!(sent(&mut owner), [(dependent, 0, 2)]);
}

#[test]
fn an_actor_in_this_process_is_called_like_any_other() {
    let mut owner = owner();
    owner.on_actor_state(ACTOR, ActorState::Restarting, NOW);
    come_alive(&mut owner, HERE, 1);
    let task = owner.submit_call(plain(&[]), NOW);
    assert_eq!(sent(&mut owner), [(task, 0, 0)]);
    assert_eq!(owner.maker(task.result(0)), Some(ACTOR));
    owner.on_task_done(task, 0, HERE, Ok(vec![(1, vec![])]), 0, NOW);
    assert_eq!(owner.maker(task.result(0)), None);
}

#[test]
fn a_dead_actor_is_forgotten_and_asked_for_again() {
    let mut owner: TestOwner = Owner::new(HERE, Limits::default());
    for index in 1..=10_000 {
        let actor = ActorId { owner: HERE, index };
        let alive = ActorState::Alive {
            process: FIRST_LIFE,
            incarnation: 0,
        };
        owner.on_actor_state(actor, alive, NOW);
        owner.forget_actor(actor);
        assert_eq!(owner.known_actors(), 1, "it lives");
        let died = ActorState::Dead(Arc::new(Failure::WouldDeadlock("any".into())));
        owner.on_actor_state(actor, died, NOW);
        owner.forget_actor(actor);
    }
    assert_eq!(owner.known_actors(), 0);
    commands(&mut owner);
    call(&mut owner, 0);
    assert_eq!(
        commands(&mut owner),
        [Command::WatchActor { actor: ACTOR }],
        "the directory knows"
    );
}
