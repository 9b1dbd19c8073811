//! Calls that gather at an actor: the limit and the warnings.

use ray_engine::{
    failure::{Failure, RetryOn},
    ids::{ActorId, ProcessId, TaskId},
    owner::{ActorState, CallSubmit, Command, Limits, ObjectState, Owner},
    time::Time,
};

type Machine = Owner<(), u32>;

const OWNER: ProcessId = ProcessId(1);
const HOST: ProcessId = ProcessId(2);
const NOW: Time = Time(0);
const ACTOR: ActorId = ActorId {
    owner: OWNER,
    index: 99,
};

fn alive() -> Machine {
    let mut owner = Owner::new(OWNER, Limits::default());
    let state = ActorState::Alive {
        process: HOST,
        incarnation: 0,
    };
    owner.on_actor_state(ACTOR, state, NOW);
    owner
}

fn call(owner: &mut Machine, max_pending: u64) -> TaskId {
    let submit = CallSubmit {
        actor: ACTOR,
        returns: 1,
        dependencies: &[],
        nested: &[],
        max_task_retries: 0,
        retry_failures: RetryOn::Nothing,
        is_ordered: true,
        max_pending,
        parent: None,
        payload: (),
    };
    owner.submit_call(submit, NOW)
}

fn done(owner: &mut Machine, task: TaskId) {
    owner.on_task_done(task, 0, HOST, Ok(vec![(0, Vec::new())]), 1, NOW);
}

fn is_refused(owner: &Machine, task: TaskId) -> bool {
    matches!(owner.state(task.result(0)), ObjectState::Failed(failure)
        if *failure == Failure::PendingCallsLimit { limit: 2 })
}

#[test]
fn a_call_over_the_limit_is_refused_until_one_has_ended() {
    let mut owner = alive();
    let first = call(&mut owner, 2);
    let second = call(&mut owner, 2);
    let third = call(&mut owner, 2);
    assert!(!is_refused(&owner, first) && !is_refused(&owner, second));
    assert!(is_refused(&owner, third));
    done(&mut owner, first);
    let fourth = call(&mut owner, 2);
    let fifth = call(&mut owner, 2);
    assert!(!is_refused(&owner, fourth));
    assert!(is_refused(&owner, fifth));
}

fn warnings(owner: &mut Machine) -> Vec<u64> {
    std::iter::from_fn(|| owner.poll_command())
        .filter_map(|command| match command {
            Command::WarnPending { pending, actor } => {
                assert_eq!(actor, ACTOR);
                Some(pending)
            }
            _ => None,
        })
        .collect()
}

#[test]
fn the_user_is_warned_at_every_doubling_once() {
    let mut owner = alive();
    let calls: Vec<_> = (0..50_000).map(|_| call(&mut owner, 0)).collect();
    assert_eq!(warnings(&mut owner), [5000, 10_000, 20_000, 40_000]);
    for task in calls {
        done(&mut owner, task);
    }
    for _ in 0..6000 {
        call(&mut owner, 0);
    }
    assert!(warnings(&mut owner).is_empty(), "once is enough");
}
