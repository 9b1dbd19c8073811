//! The decisions of a call, without a wire: submit, grant, done, drop.

use divan::{Bencher, counter::ItemsCount};
use ray_engine::{
    failure::RetryOn,
    ids::{ActorId, LeaseId, ObjectId, ProcessId},
    owner::{ActorState, CallSubmit, Command, Limits, Owner, ShapeId, TaskSubmit},
    time::Time,
};

fn main() {
    divan::main();
}

const HERE: ProcessId = ProcessId(1);
const WORKER: ProcessId = ProcessId(2);
const CALLS: usize = 1000;

fn owner() -> Owner<(), u64> {
    Owner::new(HERE, Limits::default())
}

/// Submits and answers method calls of one actor, in batches of 1,000.
#[divan::bench]
fn actor_calls(bencher: Bencher<'_, '_>) {
    let actor = ActorId {
        owner: HERE,
        index: 7,
    };
    let mut owner = owner();
    let alive = ActorState::Alive {
        process: WORKER,
        incarnation: 0,
    };
    owner.on_actor_state(actor, alive, Time(0));
    bencher.counter(ItemsCount::new(CALLS)).bench_local(|| {
        let tasks: Vec<_> = (0..CALLS)
            .map(|_| {
                let task = owner.submit_call(
                    CallSubmit {
                        actor,
                        returns: 1,
                        dependencies: &[],
                        nested: &[],
                        max_task_retries: 0,
                        retry_failures: RetryOn::Nothing,
                        is_ordered: true,
                        max_pending: 0,
                        parent: None,
                        payload: (),
                    },
                    Time(0),
                );
                while owner.poll_command().is_some() {}
                task
            })
            .collect();
        for task in tasks {
            owner.on_task_done(task, 0, WORKER, Ok(vec![(1, vec![])]), 1, Time(0));
            owner.drop_handle(task.result(0));
            while owner.poll_command().is_some() {}
        }
    });
}

/// Submits tasks and answers them under the leases that they asked for, in batches of 1,000.
#[divan::bench]
fn tasks(bencher: Bencher<'_, '_>) {
    let mut owner = owner();
    let mut next_lease = 1;
    bencher.counter(ItemsCount::new(CALLS)).bench_local(|| {
        let tasks: Vec<ObjectId> = (0..CALLS)
            .map(|_| {
                let submit = TaskSubmit {
                    shape: ShapeId(0),
                    returns: 1,
                    dependencies: &[],
                    nested: &[],
                    max_retries: 3,
                    retry_failures: RetryOn::Nothing,
                    parent: None,
                    payload: (),
                };
                owner.submit_task(submit, Time(0)).result(0)
            })
            .collect();
        while let Some(command) = owner.poll_command() {
            match command {
                Command::RequestLease { request, .. } => {
                    owner.on_lease_granted(request, LeaseId(next_lease), WORKER, Time(0));
                    next_lease += 1;
                }
                Command::SendTask { task, attempt, .. } => {
                    owner.on_task_done(task, attempt, WORKER, Ok(vec![(1, vec![])]), 1000, Time(0));
                }
                _ => {}
            }
        }
        for object in tasks {
            owner.drop_handle(object);
        }
        while owner.poll_command().is_some() {}
    });
}
