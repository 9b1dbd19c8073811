//! Whose names are whose: namespaces, names that end with their job, names that are taken by many at once.

use std::thread;

use ray_core::{Error, get_all, init, prelude::*};
use ray_tests::{Cluster, eventually};

const DRILL: &str = env!("CARGO_BIN_EXE_drill");

#[actor(num_cpus = 0)]
struct Board {
    notes: u64,
}

#[remote]
impl Board {
    pub fn new() -> Self {
        Board { notes: 0 }
    }

    pub fn pin(&mut self) -> u64 {
        self.notes += 1;
        self.notes
    }

    pub fn pid(&self) -> u32 {
        std::process::id()
    }
}

fn is_not_found(found: &Result<BoardHandle, Error>) -> bool {
    matches!(found, Err(Error::NotFound(_)))
}

// 71
#[ray_core::test]
fn a_name_is_known_in_its_namespace_only() -> ray_core::Result<()> {
    let _ray = ray_core::Config::new().namespace("here").init()?;
    let there = Board::options().namespace("there").name("board").remote();
    there.ready().get()?;
    let found = BoardHandle::named("board");
    assert!(is_not_found(&found), "{found:?}");
    let here = Board::options().name("board").remote();
    assert_ne!(
        here.pid().get()?,
        there.pid().get()?,
        "two actors of a name"
    );
    let found = BoardHandle::named("board")?;
    assert_eq!(found.pid().get()?, here.pid().get()?);
    Ok(())
}

// 71: jobs that say nothing about it share no names.
#[ray_core::test]
fn jobs_have_a_namespace_of_their_own_unless_they_say_so() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["2"]);
    let detached = || Board::options().lifetime(Lifetime::Detached).name("board");
    let ray = cluster.driver().init()?;
    detached().remote().ready().get()?;
    ray.shutdown()?;
    let ray = cluster.driver().namespace("shared").init()?;
    let found = BoardHandle::named("board");
    assert!(is_not_found(&found), "{found:?}");
    let first = detached().remote().pid().get()?;
    ray.shutdown()?;
    let ray = cluster.driver().namespace("shared").init()?;
    assert_eq!(BoardHandle::named("board")?.pid().get()?, first);
    ray.shutdown()
}

// 72
#[ray_core::test]
fn the_names_of_a_jobs_actors_are_free_after_it() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["2"]);
    let ray = cluster.driver().namespace("shared").init()?;
    let board = Board::options().name("board").remote();
    assert_eq!(board.pin().get()?, 1);
    ray.shutdown()?;
    let ray = cluster.driver().namespace("shared").init()?;
    assert!(eventually(|| is_not_found(&BoardHandle::named("board"))));
    let board = Board::options().name("board").remote();
    assert_eq!(board.pin().get()?, 1, "another one");
    ray.shutdown()
}

// 74
#[ray_core::test]
fn the_name_of_a_killed_detached_actor_is_free_at_once() -> ray_core::Result<()> {
    let _ray = init()?;
    let make = || Board::options().name("board").lifetime(Lifetime::Detached);
    for round in 0..10 {
        let board = make().remote();
        assert_eq!(board.pin().get()?, 1, "round {round}");
        board.kill(KillMode::NoRestart)?;
    }
    Ok(())
}

// 75
#[ray_core::test]
fn a_killed_actor_is_found_only_when_it_starts_again() -> ray_core::Result<()> {
    let _ray = init()?;
    let board = Board::options()
        .name("board")
        .max_restarts(1)
        .max_task_retries(-1)
        .remote();
    let before = board.pid().get()?;
    board.kill(KillMode::Restart)?;
    let found = BoardHandle::named("board")?;
    assert!(eventually(|| found
        .pid()
        .get()
        .is_ok_and(|pid| pid != before)));
    board.kill(KillMode::NoRestart)?;
    let found = BoardHandle::named("board");
    assert!(is_not_found(&found), "{found:?}");
    Ok(())
}

// 77
#[ray_core::test]
fn many_threads_take_one_name_at_once_and_get_one_actor() -> ray_core::Result<()> {
    let _ray = init()?;
    let take = || {
        Board::options()
            .name("board")
            .get_if_exists(true)
            .lifetime(Lifetime::Detached)
            .remote()
    };
    let mut before = None;
    for round in 0..10 {
        let threads: Vec<_> = (0..100)
            .map(|_| thread::spawn(move || take().pid().get()))
            .collect();
        let pids: Result<Vec<u32>, Error> = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect();
        let pids = pids?;
        assert!(
            pids.iter().all(|pid| *pid == pids[0]),
            "round {round}: {pids:?}"
        );
        assert_ne!(before.replace(pids[0]), Some(pids[0]), "it was killed");
        BoardHandle::named("board")?.kill(KillMode::NoRestart)?;
    }
    Ok(())
}

// 77: killed in the middle, calls fail with a typed error and taking the name again always works.
#[ray_core::test]
fn a_name_can_be_taken_while_its_actor_is_killed_again_and_again() -> ray_core::Result<()> {
    let _ray = init()?;
    let take = || Board::options().name("board").get_if_exists(true).remote();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                for _ in 0..20 {
                    let outcome = take().pin().get();
                    let is_right = matches!(
                        outcome,
                        Ok(_) | Err(Error::ActorDied { .. } | Error::ActorUnavailable { .. })
                    );
                    assert!(is_right, "{outcome:?}");
                }
            })
        })
        .collect();
    while threads.iter().any(|thread| !thread.is_finished()) {
        match BoardHandle::named("board") {
            Ok(board) => board.kill(KillMode::NoRestart)?,
            Err(error) => assert!(matches!(error, Error::NotFound(_)), "{error}"),
        }
        thread::yield_now();
    }
    for thread in threads {
        thread.join().expect("no panic");
    }
    let boards: Vec<_> = (0..3).map(|_| take()).collect();
    let pids: Vec<_> = boards.iter().map(BoardHandle::pid).collect();
    let pids = get_all(&pids)?;
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    Ok(())
}
