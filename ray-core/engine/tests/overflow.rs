//! What goes on in a file when memory is full of what is in use.

use std::time::Duration;

use ray_engine::{
    cache::{Cache, CacheConfig, Command, CopyKind, FileId, RoomId},
    failure::Failure,
    ids::{ObjectId, ProcessId},
    priority::Priority,
    time::Time,
};

const NOW: Time = Time(1_000_000_000);

fn id(index: u64) -> ObjectId {
    ObjectId {
        owner: ProcessId(9),
        index,
    }
}

fn config() -> CacheConfig {
    CacheConfig {
        spill_percent: 100,
        ..CacheConfig::new(100)
    }
}

fn held_grace() -> Duration {
    config().held_grace
}

fn commands(cache: &mut Cache) -> Vec<Command> {
    assert!(cache.adds_up());
    std::iter::from_fn(|| cache.poll_command()).collect()
}

/// Returns a store that one object fills, which somebody holds if `pins` is 1.
fn full(pins: u32) -> Cache {
    let mut cache = Cache::new(config());
    cache.need(RoomId(1), 100, Priority::Get, NOW);
    cache.on_created(RoomId(1), id(1), 100, CopyKind::Primary, NOW);
    (0..pins).for_each(|_| cache.pin(id(1)));
    commands(&mut cache);
    cache
}

fn put(cache: &mut Cache, room: u64, now: Time) {
    cache.need_or_overflow(RoomId(room), 10, Priority::Get, now);
}

/// Returns which questions the commands send to a file; all commands must be of that kind.
fn overflown(commands: &[Command]) -> Vec<u64> {
    let of = |command: &Command| match command {
        Command::Overflow {
            room,
            failure: Failure::ObjectStoreFull { .. },
        } => room.0,
        other => panic!("not sent to a file: {other:?}"),
    };
    commands.iter().map(of).collect()
}

#[test]
fn a_put_goes_to_a_file_once_all_of_memory_is_held_for_a_while() {
    let mut cache = full(1);
    put(&mut cache, 2, NOW);
    assert_eq!(commands(&mut cache), []);
    assert_eq!(cache.poll_timeout(), Some(NOW + held_grace()));
    cache.on_timeout(NOW + held_grace() / 2);
    assert_eq!(commands(&mut cache), []);
    cache.on_timeout(NOW + held_grace());
    assert_eq!(overflown(&commands(&mut cache)), [2]);
    assert_eq!(cache.memory_bytes(), 100, "a file's bytes are not counted");
    assert_eq!(cache.poll_timeout(), None);
}

#[test]
fn the_next_put_does_not_wait_again_while_nobody_lets_go() {
    let mut cache = full(1);
    put(&mut cache, 2, NOW);
    cache.on_timeout(NOW + held_grace());
    commands(&mut cache);
    let late = NOW + held_grace() * 3;
    put(&mut cache, 3, late);
    assert_eq!(overflown(&commands(&mut cache)), [3]);
}

#[test]
fn memory_that_is_let_go_is_waited_for_again() {
    let mut cache = full(1);
    put(&mut cache, 2, NOW);
    cache.on_timeout(NOW + held_grace() / 2);
    let later = NOW + held_grace() / 2;
    cache.unpin(id(1), later);
    let done = commands(&mut cache);
    let [Command::Spill { file, .. }] = done[..] else {
        panic!("it is written down instead: {done:?}");
    };
    // What is being written makes way, however long that takes.
    cache.on_timeout(later + held_grace() * 2);
    assert_eq!(commands(&mut cache), []);
    cache.on_spilled(file, later + held_grace() * 3);
    let room = RoomId(2);
    let dropped = Command::Drop { object: id(1) };
    assert_eq!(commands(&mut cache), [dropped, Command::Grant { room }]);
}

#[test]
fn who_can_only_use_memory_waits_and_is_refused_as_ever() {
    let mut cache = full(1);
    cache.need(RoomId(2), 10, Priority::Arguments, NOW);
    put(&mut cache, 3, NOW);
    cache.on_timeout(NOW + held_grace());
    assert_eq!(overflown(&commands(&mut cache)), [3]);
    cache.on_timeout(NOW + config().grace);
    let done = commands(&mut cache);
    let [Command::Refuse { room, .. }] = done[..] else {
        panic!("one is refused: {done:?}");
    };
    assert_eq!(room, RoomId(2));
}

#[test]
fn a_put_behind_a_reader_who_waits_goes_to_a_file_alone() {
    let mut cache = full(0);
    put(&mut cache, 2, NOW);
    commands(&mut cache);
    cache.on_spilled(FileId(1), NOW);
    cache.on_created(RoomId(2), id(2), 10, CopyKind::Primary, NOW);
    cache.pin(id(2));
    commands(&mut cache);
    cache.restore(id(1), NOW);
    put(&mut cache, 3, NOW);
    cache.on_timeout(NOW + held_grace());
    assert_eq!(overflown(&commands(&mut cache)), [3]);
    assert!(cache.is_waited_for(), "the reader still waits");
}

#[test]
fn a_put_that_a_full_disk_keeps_waiting_tries_a_file_after_the_grace() {
    let mut cache = full(0);
    put(&mut cache, 2, NOW);
    let written = commands(&mut cache);
    assert!(matches!(written[..], [Command::Spill { .. }]));
    cache.on_spill_failed(FileId(1), NOW);
    cache.on_timeout(NOW + held_grace());
    commands(&mut cache);
    let late = NOW + config().grace;
    cache.on_timeout(late);
    // The disk is tried once more before anybody gives up.
    assert_eq!(commands(&mut cache).len(), 1);
    cache.on_spill_failed(FileId(2), late);
    cache.on_timeout(late);
    let done = commands(&mut cache);
    let is_sent = |command: &Command| {
        let Command::Overflow { failure, .. } = command else {
            return false;
        };
        matches!(failure, Failure::OutOfDisk(_))
    };
    assert!(done.iter().any(is_sent), "{done:?}");
}

#[test]
fn a_put_that_is_given_up_goes_nowhere() {
    let mut cache = full(1);
    put(&mut cache, 2, NOW);
    cache.cancel(RoomId(2), NOW);
    cache.on_timeout(NOW + held_grace());
    assert_eq!(commands(&mut cache), []);
    assert_eq!(cache.poll_timeout(), None);
}
