//! The actor directory's events, one behaviour a test.

use ray_engine::{
    control::actors::{ActorDirectory, ActorSpec, Command, DirectoryState},
    failure::{Failure, WorkerExit},
    ids::{ActorId, GroupId, LeaseId, ProcessId, RequestId},
    resources::Resources,
    time::Time,
};

const CREATOR: ProcessId = ProcessId(1);
const WORKER: ProcessId = ProcessId(2);
const CALLER: ProcessId = ProcessId(3);
const ACTOR: ActorId = ActorId {
    owner: CREATOR,
    index: 1,
};
const NOW: Time = Time(1_000);

fn spec() -> ActorSpec {
    ActorSpec {
        actor: ACTOR,
        class: "Counter".into(),
        name: None,
        shape: Resources::new(),
        running_shape: Resources::new(),
        max_restarts: 1,
        owner: CREATOR,
        get_if_exists: false,
        detached: false,
        is_durable: false,
    }
}

fn named(actor: ActorId) -> ActorSpec {
    ActorSpec {
        actor,
        name: Some((String::new(), "counter".into())),
        ..spec()
    }
}

fn commands(directory: &mut ActorDirectory) -> Vec<Command> {
    std::iter::from_fn(|| directory.poll_command()).collect()
}

fn create(directory: &mut ActorDirectory, spec: ActorSpec) {
    directory.create(spec, NOW).expect("the name is free");
}

/// Returns a directory whose actor runs at the worker.
fn alive(spec: ActorSpec) -> ActorDirectory {
    let mut directory = ActorDirectory::new();
    create(&mut directory, spec);
    directory.on_lease_granted(RequestId(1), LeaseId(1), WORKER, NOW);
    directory.on_started(ACTOR, WORKER, 0, NOW);
    commands(&mut directory);
    directory
}

fn is_dead(directory: &ActorDirectory) -> bool {
    matches!(directory.state(ACTOR), Some(DirectoryState::Dead { .. }))
}

fn tells_of_death(commands: &[Command], watcher: ProcessId) -> bool {
    commands.iter().any(|command| {
        matches!(command, Command::Publish { to, state: DirectoryState::Dead { .. }, .. }
            if *to == watcher)
    })
}

#[test]
fn a_creation_that_arrives_after_its_creators_death_places_nothing() {
    let mut directory = ActorDirectory::new();
    directory.on_owner_died(CREATOR, NOW);
    create(&mut directory, named(ACTOR));
    assert!(is_dead(&directory));
    assert_eq!(commands(&mut directory), []);
    assert_eq!(directory.lookup("", "counter"), None, "the name is free");
}

#[test]
fn a_creation_asks_for_a_worker_and_then_for_the_constructor() {
    let mut directory = ActorDirectory::new();
    create(&mut directory, spec());
    assert!(matches!(
        &commands(&mut directory)[..],
        [Command::RequestLease {
            request: RequestId(1),
            ..
        }]
    ));
    directory.on_lease_granted(RequestId(1), LeaseId(1), WORKER, NOW);
    let start = Command::StartActor {
        actor: ACTOR,
        worker: WORKER,
        incarnation: 0,
        owner: CREATOR,
    };
    assert_eq!(commands(&mut directory), [start]);
}

#[test]
fn a_watcher_hears_how_the_actor_is_now_and_later() {
    let mut directory = alive(spec());
    directory.watch(ACTOR, CALLER, NOW);
    let state = DirectoryState::Alive {
        process: WORKER,
        incarnation: 0,
    };
    let publish = Command::Publish {
        to: CALLER,
        actor: ACTOR,
        state,
    };
    assert_eq!(commands(&mut directory), [publish]);
    directory.kill(ACTOR, true, NOW);
    assert!(tells_of_death(&commands(&mut directory), CALLER));
}

#[test]
fn the_creator_hears_of_the_end_without_asking() {
    let mut directory = alive(spec());
    directory.kill(ACTOR, true, NOW);
    assert!(tells_of_death(&commands(&mut directory), CREATOR));
}

#[test]
fn a_crash_restarts_the_actor_as_often_as_it_may() {
    let mut directory = alive(spec());
    directory.on_worker_died(WORKER, WorkerExit::default(), NOW);
    assert_eq!(directory.state(ACTOR), Some(&DirectoryState::Restarting));
    directory.on_lease_granted(RequestId(2), LeaseId(2), CALLER, NOW);
    directory.on_started(ACTOR, CALLER, 1, NOW);
    directory.on_worker_died(CALLER, WorkerExit::default(), NOW);
    assert!(is_dead(&directory));
}

#[test]
fn a_start_of_an_earlier_life_is_ignored() {
    let mut directory = alive(spec());
    directory.on_worker_died(WORKER, WorkerExit::default(), NOW);
    directory.on_lease_granted(RequestId(2), LeaseId(2), CALLER, NOW);
    directory.on_started(ACTOR, WORKER, 0, NOW);
    assert_eq!(directory.state(ACTOR), Some(&DirectoryState::Restarting));
}

#[test]
fn a_name_belongs_to_one_living_actor() {
    let mut directory = alive(named(ACTOR));
    let other = ActorId {
        owner: CREATOR,
        index: 2,
    };
    let refused = directory.create(named(other), NOW);
    assert_eq!(refused, Err(Failure::NameTaken("counter".into())));
    let shared = ActorSpec {
        get_if_exists: true,
        ..named(other)
    };
    assert_eq!(directory.create(shared, NOW), Ok(ACTOR));
    directory.kill(ACTOR, true, NOW);
    assert_eq!(directory.lookup("", "counter"), None);
    assert_eq!(directory.create(named(other), NOW), Ok(other));
}

#[test]
fn an_actor_without_handles_ends_after_its_calls() {
    let mut directory = alive(spec());
    directory.on_handles_gone(ACTOR, NOW);
    let stop = Command::StopActor {
        actor: ACTOR,
        worker: WORKER,
    };
    assert_eq!(commands(&mut directory), [stop]);
}

#[test]
fn handles_that_go_before_a_worker_is_found_take_the_question_back() {
    let mut directory = ActorDirectory::new();
    create(&mut directory, spec());
    commands(&mut directory);
    directory.on_handles_gone(ACTOR, NOW);
    assert!(is_dead(&directory));
    let cancel = Command::CancelLeaseRequest {
        request: RequestId(1),
    };
    assert!(commands(&mut directory).contains(&cancel));
}

#[test]
fn handles_that_go_before_the_creation_arrives_leave_nothing_behind() {
    let mut directory = ActorDirectory::new();
    directory.on_handles_gone(ACTOR, NOW);
    create(&mut directory, spec());
    let wishes = commands(&mut directory);
    assert!(tells_of_death(&wishes, CREATOR));
    assert!(
        !wishes
            .iter()
            .any(|wish| matches!(wish, Command::RequestLease { .. }))
    );
}

#[test]
fn a_kill_that_overtakes_the_creation_counts() {
    let mut directory = ActorDirectory::new();
    directory.kill(ACTOR, true, NOW);
    create(&mut directory, spec());
    assert!(is_dead(&directory));
}

#[test]
fn a_constructor_that_cannot_be_called_ends_even_an_unknown_actor() {
    let mut directory = ActorDirectory::new();
    directory.watch(ACTOR, CALLER, NOW);
    directory.on_start_failed(ACTOR, Failure::Cancelled, NOW);
    assert!(tells_of_death(&commands(&mut directory), CALLER));
}

#[test]
fn the_worker_of_a_constructor_that_cannot_be_called_is_free_for_others() {
    let mut directory = ActorDirectory::new();
    create(&mut directory, spec());
    directory.on_lease_granted(RequestId(1), LeaseId(1), WORKER, NOW);
    commands(&mut directory);
    directory.on_not_constructed(ACTOR, Failure::Cancelled, NOW);
    let given_back = Command::ReturnLease { lease: LeaseId(1) };
    assert!(commands(&mut directory).contains(&given_back));
    assert!(is_dead(&directory));
}

#[test]
fn a_failed_constructor_takes_an_open_question_back() {
    let mut directory = ActorDirectory::new();
    create(&mut directory, spec());
    directory.on_start_failed(ACTOR, Failure::Cancelled, NOW);
    let cancel = Command::CancelLeaseRequest {
        request: RequestId(1),
    };
    assert!(commands(&mut directory).contains(&cancel));
}

#[test]
fn actors_go_with_their_creator() {
    let mut directory = alive(spec());
    directory.on_owner_died(CREATOR, NOW);
    assert!(is_dead(&directory));
    let cause = format!("its creator {CREATOR} died");
    let worker = WORKER;
    assert!(commands(&mut directory).contains(&Command::KillWorker { worker, cause }));
}

#[test]
fn a_detached_actor_outlives_its_creator_for_one_life() {
    let detached = ActorSpec {
        detached: true,
        ..spec()
    };
    let mut directory = alive(detached);
    directory.on_owner_died(CREATOR, NOW);
    assert!(!is_dead(&directory));
    directory.on_worker_died(WORKER, WorkerExit::default(), NOW);
    assert!(is_dead(&directory));
}

#[test]
fn a_detached_actor_that_was_never_constructed_goes_with_its_creator() {
    let mut directory = ActorDirectory::new();
    let detached = ActorSpec {
        detached: true,
        ..spec()
    };
    create(&mut directory, detached);
    directory.on_owner_died(CREATOR, NOW);
    assert!(is_dead(&directory));
}

#[test]
fn an_actor_that_its_dead_creator_never_announced_is_dead() {
    let mut directory = ActorDirectory::new();
    directory.on_owner_died(CREATOR, NOW);
    directory.watch(ACTOR, CALLER, NOW);
    assert!(tells_of_death(&commands(&mut directory), CALLER));
}

#[test]
fn an_actor_of_a_removed_group_is_dead_whatever_its_restarts() {
    let mut directory = alive(spec());
    let group = GroupId {
        owner: CREATOR,
        index: 7,
    };
    let exit = WorkerExit {
        worker: WORKER,
        evicted_from: Some(group),
        ..WorkerExit::default()
    };
    directory.on_worker_died(WORKER, exit, NOW);
    let removed = DirectoryState::Dead {
        failure: Failure::PlacementGroupRemoved(group),
    };
    assert_eq!(directory.state(ACTOR), Some(&removed));
}

#[test]
fn questions_count_from_where_they_are_told() {
    let mut directory = ActorDirectory::new().with_first_request(100);
    create(&mut directory, spec());
    assert!(matches!(
        commands(&mut directory)[..],
        [Command::RequestLease {
            request: RequestId(101),
            ..
        }]
    ));
}

#[test]
fn of_many_actors_that_were_created_and_dropped_few_are_kept() {
    let mut directory = ActorDirectory::new();
    let actor = |index| ActorId {
        owner: CREATOR,
        index,
    };
    let ends = |failure: &Failure, id: ActorId| matches!(failure, Failure::ActorDied { actor, .. } if *actor == id);
    for index in 1..=10_000 {
        let (id, worker) = (actor(index), ProcessId(100 + index));
        create(
            &mut directory,
            ActorSpec {
                actor: id,
                ..spec()
            },
        );
        directory.on_lease_granted(RequestId(index), LeaseId(index), worker, NOW);
        directory.on_started(id, worker, 0, NOW);
        directory.on_handles_gone(id, NOW);
        directory.on_exit(id, worker, "its last handle is gone".into(), NOW);
        directory.on_worker_died(worker, WorkerExit::default(), NOW);
        commands(&mut directory);
    }
    assert_eq!(directory.actors().count(), 1_000);
    // A handle that did not count may still ask, and whatever comes late revives nobody.
    for id in [actor(1), actor(9_999)] {
        directory.kill(id, true, NOW);
        directory.on_handles_gone(id, NOW);
        directory.watch(id, CALLER, NOW);
        let told = commands(&mut directory);
        assert!(
            matches!(
                &told[..],
                [Command::Publish { to: CALLER, state: DirectoryState::Dead { failure }, .. }] if ends(failure, id)
            ),
            "{told:?}"
        );
    }
    create(
        &mut directory,
        ActorSpec {
            actor: actor(2),
            ..spec()
        },
    );
    assert_eq!(directory.actors().count(), 1_000);
}

#[test]
fn a_durable_actor_has_its_restarts_without_its_creator() {
    let mut directory = alive(ActorSpec {
        detached: true,
        is_durable: true,
        ..spec()
    });
    directory.on_owner_died(CREATOR, NOW);
    assert!(!is_dead(&directory));
    directory.on_worker_died(WORKER, WorkerExit::default(), NOW);
    assert_eq!(directory.state(ACTOR), Some(&DirectoryState::Restarting));
    directory.on_lease_granted(RequestId(2), LeaseId(2), CALLER, NOW);
    directory.on_started(ACTOR, CALLER, 1, NOW);
    directory.on_worker_died(CALLER, WorkerExit::default(), NOW);
    assert!(is_dead(&directory), "it had one restart");
}

#[test]
fn an_actor_that_is_taken_up_has_the_restarts_that_are_left() {
    let mut directory = ActorDirectory::new();
    directory.watch(ACTOR, CALLER, NOW);
    directory.restore(named(ACTOR), 4, 1, (WORKER, LeaseId(1)), NOW);
    let found = directory.lookup("", "counter").map(|(actor, _)| actor);
    assert_eq!(found, Some(ACTOR));
    let told = commands(&mut directory);
    let tells = |command: &Command| matches!(command, Command::Publish { to, .. } if *to == CALLER);
    assert!(told.iter().any(tells), "who asked before: {told:?}");
    directory.on_worker_died(WORKER, WorkerExit::default(), NOW);
    assert_eq!(directory.state(ACTOR), Some(&DirectoryState::Restarting));
    assert!(directory.is_created(ACTOR));
    directory.on_lease_granted(RequestId(1), LeaseId(2), CALLER, NOW);
    directory.on_worker_died(CALLER, WorkerExit::default(), NOW);
    assert!(is_dead(&directory));
}

#[test]
fn a_creation_that_comes_twice_is_one() {
    let mut directory = ActorDirectory::new();
    create(&mut directory, named(ACTOR));
    let asked = commands(&mut directory);
    assert_eq!(directory.create(named(ACTOR), NOW), Ok(ACTOR));
    assert_eq!(commands(&mut directory), []);
    assert_eq!(asked.len(), 1);
}
