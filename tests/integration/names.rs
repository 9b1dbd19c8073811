//! Named actors: one per name, found from anywhere, free again after death.

use ray_core::{Error, init, prelude::*};

#[actor]
struct Board {
    notes: Vec<String>,
}

#[remote]
impl Board {
    pub fn new() -> Self {
        Board { notes: Vec::new() }
    }

    pub fn pin(&mut self, note: String) -> u64 {
        self.notes.push(note);
        self.notes.len() as u64
    }

    pub fn pid(&self) -> u32 {
        std::process::id()
    }
}

#[actor]
struct Other;

#[remote]
impl Other {
    pub fn new() -> Self {
        Other
    }
}

#[remote]
fn pins(note: String) -> Result<u64, Error> {
    BoardHandle::named("board")?.pin(note).get()
}

// 70
#[ray_core::test]
fn a_name_that_nobody_has_is_not_found() -> ray_core::Result<()> {
    let _ray = init()?;
    let error = BoardHandle::named("nobody").expect_err("there is none");
    assert!(
        matches!(&error, Error::NotFound(name) if name.contains("nobody")),
        "{error}"
    );
    Ok(())
}

#[ray_core::test]
fn an_actor_is_found_by_its_name_from_a_task() -> ray_core::Result<()> {
    let _ray = init()?;
    let board = Board::options().name("board").remote();
    board.ready().get()?;
    assert_eq!(pins::remote("one").get()?, 1);
    assert_eq!(BoardHandle::named("board")?.pin("two").get()?, 2);
    assert_eq!(board.pin("three").get()?, 3);
    Ok(())
}

#[ray_core::test]
fn a_second_actor_of_a_name_is_refused() -> ray_core::Result<()> {
    let _ray = init()?;
    let first = Board::options().name("board").remote();
    first.ready().get()?;
    let second = Board::options().name("board").remote();
    let error = second.pid().get().expect_err("the name is taken");
    assert!(error.to_string().contains("board"), "{error}");
    assert_eq!(first.pin("still here").get()?, 1);
    Ok(())
}

// 74
#[ray_core::test]
fn a_name_is_free_again_after_a_kill() -> ray_core::Result<()> {
    let _ray = init()?;
    let first = Board::options().name("board").remote();
    let before = first.pid().get()?;
    first.kill(KillMode::NoRestart)?;
    assert!(first.pid().get().is_err());
    let second = Board::options().name("board").remote();
    assert_ne!(second.pid().get()?, before);
    Ok(())
}

// 76
#[ray_core::test]
fn get_if_exists_gives_the_one_that_is_there() -> ray_core::Result<()> {
    let _ray = init()?;
    let make = || Board::options().name("board").get_if_exists(true).remote();
    let (first, second) = (make(), make());
    assert_eq!(first.pid().get()?, second.pid().get()?);
    let error = Board::options().get_if_exists(true).remote().pid().get();
    match error {
        Err(Error::InvalidOption { option, .. }) => assert_eq!(option, "get_if_exists"),
        other => panic!("without a name: {other:?}"),
    }
    Ok(())
}

#[ray_core::test]
fn a_name_of_another_class_is_a_type_mismatch() -> ray_core::Result<()> {
    let _ray = init()?;
    let board = Board::options().name("board").remote();
    board.ready().get()?;
    let error = OtherHandle::named("board").expect_err("a board is no other");
    assert!(matches!(error, Error::TypeMismatch { .. }), "{error}");
    Ok(())
}
