//! The cache's events, one behaviour a test.

use std::time::Duration;

use ray_engine::{
    cache::{Cache, CacheConfig, Command, CopyKind, FileId, RoomId},
    failure::Failure,
    ids::{ObjectId, ProcessId},
    priority::Priority,
    time::Time,
};

const NOW: Time = Time(1_000_000_000);
const GRACE: Duration = Duration::from_secs(2);

fn id(index: u64) -> ObjectId {
    ObjectId {
        owner: ProcessId(9),
        index,
    }
}

/// Returns a store of 100 bytes that spills in files of 30 bytes or 3 objects, and not ahead.
fn config() -> CacheConfig {
    CacheConfig {
        spill_percent: 100,
        fuse_bytes: 30,
        fuse_objects: 3,
        ..CacheConfig::new(100)
    }
}

fn commands(cache: &mut Cache) -> Vec<Command> {
    assert!(cache.adds_up());
    std::iter::from_fn(|| cache.poll_command()).collect()
}

fn create(cache: &mut Cache, index: u64, bytes: u64, copy: CopyKind) {
    cache.need(RoomId(index), bytes, Priority::Get, NOW);
    cache.on_created(RoomId(index), id(index), bytes, copy, NOW);
}

/// Returns a store with these objects, numbered from 1; the first is the longest unused.
fn store_of(config: CacheConfig, objects: &[(u64, CopyKind)]) -> Cache {
    let mut cache = Cache::new(config);
    for (index, (bytes, copy)) in (1..).zip(objects) {
        create(&mut cache, index, *bytes, *copy);
    }
    for command in commands(&mut cache) {
        assert!(matches!(command, Command::Grant { .. }), "{command:?}");
    }
    cache
}

fn store(objects: &[(u64, CopyKind)]) -> Cache {
    store_of(config(), objects)
}

fn need(cache: &mut Cache, bytes: u64) {
    cache.need(RoomId(99), bytes, Priority::Get, NOW);
}

fn granted() -> Command {
    Command::Grant { room: RoomId(99) }
}

fn dropped(index: u64) -> Command {
    Command::Drop { object: id(index) }
}

fn spill(file: u64, objects: &[u64]) -> Command {
    Command::Spill {
        file: FileId(file),
        objects: objects.iter().map(|index| id(*index)).collect(),
    }
}

fn refusal(commands: &[Command]) -> Option<&Failure> {
    commands.iter().find_map(|command| match command {
        Command::Refuse { failure, .. } => Some(failure),
        _ => None,
    })
}

#[test]
fn room_is_granted_at_once_while_there_is_some() {
    let mut cache = store(&[(60, CopyKind::Primary)]);
    need(&mut cache, 40);
    assert_eq!(commands(&mut cache), [granted()]);
    assert_eq!(cache.memory_bytes(), 100);
}

#[test]
fn secondary_copies_are_dropped_first_the_longest_unused_before_the_others() {
    let mut cache = store(&[
        (40, CopyKind::Primary),
        (20, CopyKind::Secondary),
        (20, CopyKind::Secondary),
        (20, CopyKind::Secondary),
    ]);
    cache.touch(id(2));
    need(&mut cache, 30);
    assert_eq!(commands(&mut cache), [dropped(3), dropped(4), granted()]);
    assert!(cache.contains(id(2)) && !cache.contains(id(3)));
}

#[test]
fn what_is_pinned_stays() {
    let mut cache = store(&[(50, CopyKind::Secondary), (50, CopyKind::Primary)]);
    cache.pin(id(1));
    cache.pin(id(2));
    need(&mut cache, 10);
    assert_eq!(commands(&mut cache), []);
    cache.unpin(id(1), NOW);
    assert_eq!(commands(&mut cache), [dropped(1), granted()]);
}

#[test]
fn primary_copies_are_spilled_and_then_dropped() {
    let mut cache = store(&[(50, CopyKind::Primary), (50, CopyKind::Primary)]);
    need(&mut cache, 30);
    assert_eq!(commands(&mut cache), [spill(1, &[1])]);
    assert!(cache.is_in_memory(id(1)));
    cache.on_spilled(FileId(1), NOW);
    assert_eq!(commands(&mut cache), [dropped(1), granted()]);
    assert!(cache.contains(id(1)) && !cache.is_in_memory(id(1)));
    assert_eq!(cache.disk_bytes(), 50);
}

#[test]
fn small_objects_share_a_file_up_to_its_size_or_count() {
    let mut cache = store(&[(20, CopyKind::Primary); 5]);
    need(&mut cache, 50);
    // 40 bytes fill the first file; the second takes what is needed beyond.
    assert_eq!(commands(&mut cache), [spill(1, &[1, 2]), spill(2, &[3, 4])]);
    let mut cache = store(&[(5, CopyKind::Primary); 20]);
    need(&mut cache, 10);
    assert_eq!(commands(&mut cache), [spill(1, &[1, 2, 3])]);
}

#[test]
fn so_many_files_are_written_at_a_time() {
    let limited = CacheConfig {
        spills_max: 1,
        ..config()
    };
    let mut cache = store_of(limited, &[(50, CopyKind::Primary), (50, CopyKind::Primary)]);
    need(&mut cache, 100);
    assert_eq!(commands(&mut cache), [spill(1, &[1])]);
    cache.on_spilled(FileId(1), NOW);
    assert_eq!(commands(&mut cache), [dropped(1), spill(2, &[2])]);
    cache.on_spilled(FileId(2), NOW);
    assert_eq!(commands(&mut cache), [dropped(2), granted()]);
}

#[test]
fn spilling_begins_above_the_threshold_and_keeps_the_memory() {
    let early = CacheConfig {
        spill_percent: 50,
        ..config()
    };
    let mut cache = store_of(early, &[(30, CopyKind::Primary), (20, CopyKind::Primary)]);
    create(&mut cache, 3, 10, CopyKind::Primary);
    let room = RoomId(3);
    assert_eq!(
        commands(&mut cache),
        [Command::Grant { room }, spill(1, &[1])]
    );
    cache.on_spilled(FileId(1), NOW);
    assert_eq!(commands(&mut cache), []);
    assert!(cache.is_in_memory(id(1)));
    need(&mut cache, 50);
    assert_eq!(commands(&mut cache), [dropped(1), granted()]);
}

#[test]
fn requests_are_served_in_order() {
    let mut cache = store(&[(60, CopyKind::Primary)]);
    cache.pin(id(1));
    cache.need(RoomId(2), 50, Priority::Get, NOW);
    cache.need(RoomId(3), 10, Priority::Get, NOW);
    assert_eq!(commands(&mut cache), []);
    cache.cancel(RoomId(2), NOW);
    let room = RoomId(3);
    assert_eq!(commands(&mut cache), [Command::Grant { room }]);
}

#[test]
fn room_goes_by_priority_and_then_in_order() {
    let mut cache = store(&[(100, CopyKind::Primary)]);
    cache.pin(id(1));
    let asked = [
        Priority::Arguments,
        Priority::Get,
        Priority::Wait,
        Priority::Arguments,
        Priority::Get,
    ];
    for (room, priority) in (2..).zip(asked) {
        cache.need(RoomId(room), 20, priority, NOW);
    }
    assert_eq!(commands(&mut cache), []);
    cache.on_freed(id(1), NOW);
    let grants = [3, 6, 4, 2, 5].map(|room| Command::Grant { room: RoomId(room) });
    assert_eq!(commands(&mut cache)[1..], grants);
}

#[test]
fn who_is_served_late_has_its_grace_from_when_it_is_first() {
    let mut cache = store(&[(100, CopyKind::Primary)]);
    cache.pin(id(1));
    cache.need(RoomId(2), 20, Priority::Arguments, NOW);
    let later = NOW + GRACE / 2;
    cache.need(RoomId(3), 20, Priority::Get, later);
    cache.on_timeout(NOW + GRACE);
    assert_eq!(commands(&mut cache), [], "the first has waited half of it");
    cache.on_timeout(later + GRACE);
    let refused = commands(&mut cache);
    assert!(
        matches!(
            refused[0],
            Command::Refuse {
                room: RoomId(3),
                ..
            }
        ),
        "{refused:?}"
    );
}

#[test]
fn a_grant_that_is_cancelled_frees_its_room() {
    let mut cache = store(&[]);
    cache.need(RoomId(1), 100, Priority::Get, NOW);
    need(&mut cache, 100);
    commands(&mut cache);
    cache.cancel(RoomId(1), NOW);
    assert_eq!(commands(&mut cache), [granted()]);
}

#[test]
fn more_than_the_store_is_refused_at_once() {
    let mut cache = store(&[]);
    need(&mut cache, 101);
    assert_eq!(
        refusal(&commands(&mut cache)),
        Some(&Failure::ObjectTooLarge {
            bytes: 101,
            limit: 100
        })
    );
}

#[test]
fn a_full_store_refuses_after_the_grace_and_names_who_holds_it() {
    let mut cache = store(&[(90, CopyKind::Primary)]);
    cache.pin(id(1));
    need(&mut cache, 20);
    assert_eq!(cache.poll_timeout(), Some(NOW + GRACE));
    cache.on_timeout(NOW + GRACE / 2);
    assert_eq!(commands(&mut cache), []);
    cache.on_timeout(NOW + GRACE);
    let done = commands(&mut cache);
    let Some(Failure::ObjectStoreFull { holders, .. }) = refusal(&done) else {
        panic!("not refused: {done:?}");
    };
    assert!(holders.contains(&id(1).to_string()), "{holders}");
    assert_eq!(cache.poll_timeout(), None);
}

#[test]
fn nobody_is_refused_while_a_file_is_being_written() {
    let mut cache = store(&[(100, CopyKind::Primary)]);
    need(&mut cache, 10);
    commands(&mut cache);
    assert_eq!(cache.poll_timeout(), None);
    cache.on_timeout(NOW + GRACE * 9);
    assert_eq!(commands(&mut cache), []);
    cache.on_spilled(FileId(1), NOW + GRACE * 9);
    assert!(commands(&mut cache).contains(&granted()));
}

#[test]
fn a_full_disk_is_a_state_that_ends_when_a_try_succeeds() {
    let mut cache = store(&[(100, CopyKind::Primary)]);
    need(&mut cache, 10);
    commands(&mut cache);
    cache.on_spill_failed(FileId(1), NOW);
    assert_eq!(
        commands(&mut cache),
        [
            Command::DeleteFile { file: FileId(1) },
            Command::Disk { is_full: true }
        ]
    );
    assert!(cache.is_in_memory(id(1)));
    let retry = NOW + config().disk_retry;
    assert_eq!(cache.poll_timeout(), Some(retry));
    cache.on_timeout(retry);
    assert_eq!(commands(&mut cache), [spill(2, &[1])]);
    cache.on_spilled(FileId(2), retry);
    assert_eq!(
        commands(&mut cache),
        [Command::Disk { is_full: false }, dropped(1), granted()]
    );
}

#[test]
fn a_disk_that_stays_full_refuses_with_that_reason() {
    let mut cache = store(&[(100, CopyKind::Primary)]);
    need(&mut cache, 10);
    cache.on_spill_failed(FileId(1), NOW);
    cache.on_timeout(NOW + GRACE / 2);
    cache.on_spill_failed(FileId(2), NOW + GRACE / 2);
    commands(&mut cache);
    let late = NOW + GRACE;
    cache.on_timeout(late);
    cache.on_spill_failed(FileId(3), late);
    cache.on_timeout(late);
    let done = commands(&mut cache);
    assert!(matches!(refusal(&done), Some(Failure::OutOfDisk(_))));
    assert!(cache.is_in_memory(id(1)));
}

#[test]
fn space_that_is_told_of_is_used_at_once() {
    let mut cache = store(&[(100, CopyKind::Primary)]);
    need(&mut cache, 10);
    cache.on_spill_failed(FileId(1), NOW);
    commands(&mut cache);
    cache.on_disk_space(NOW);
    assert_eq!(
        commands(&mut cache),
        [Command::Disk { is_full: false }, spill(2, &[1])]
    );
}

/// Returns a store whose object 1 is on disk only and whose memory is full of pinned object 2.
fn spilled() -> Cache {
    let mut cache = store(&[(50, CopyKind::Primary), (50, CopyKind::Primary)]);
    cache.pin(id(2));
    need(&mut cache, 50);
    cache.on_spilled(FileId(1), NOW);
    commands(&mut cache);
    cache
}

#[test]
fn a_spilled_object_is_read_back_when_there_is_room() {
    let mut cache = spilled();
    cache.restore(id(1), NOW);
    cache.restore(id(1), NOW);
    assert_eq!(commands(&mut cache), []);
    cache.cancel(RoomId(99), NOW);
    let (object, file) = (id(1), FileId(1));
    assert_eq!(commands(&mut cache), [Command::Restore { object, file }]);
    assert!(!cache.is_in_memory(object));
    cache.on_restored(object, NOW);
    assert!(cache.is_in_memory(object));
    // Its copy on disk is still there, so it may be dropped without another write.
    need(&mut cache, 10);
    assert_eq!(commands(&mut cache), [dropped(1), granted()]);
}

#[test]
fn what_cannot_be_read_back_is_lost_and_said_so() {
    let mut cache = spilled();
    cache.cancel(RoomId(99), NOW);
    cache.restore(id(1), NOW);
    commands(&mut cache);
    cache.on_restore_failed(id(1), "checksum".into(), NOW);
    assert_eq!(
        commands(&mut cache),
        [
            Command::DeleteFile { file: FileId(1) },
            dropped(1),
            Command::Lost {
                object: id(1),
                reason: "checksum".into()
            }
        ]
    );
    assert!(!cache.contains(id(1)));
}

#[test]
fn an_object_that_finds_no_room_to_come_back_stays_on_disk() {
    let mut cache = spilled();
    cache.restore(id(1), NOW);
    cache.on_timeout(NOW + GRACE);
    assert!(matches!(
        &commands(&mut cache)[..],
        [Command::Unreadable { .. }]
    ));
    assert!(cache.contains(id(1)));
    cache.cancel(RoomId(99), NOW);
    cache.restore(id(1), NOW);
    assert_eq!(commands(&mut cache).len(), 1);
}

#[test]
fn a_file_goes_with_the_last_of_its_objects() {
    let mut cache = store(&[
        (20, CopyKind::Primary),
        (20, CopyKind::Primary),
        (60, CopyKind::Primary),
    ]);
    need(&mut cache, 40);
    cache.on_spilled(FileId(1), NOW);
    commands(&mut cache);
    cache.on_freed(id(1), NOW);
    assert_eq!(commands(&mut cache), []);
    cache.on_freed(id(2), NOW);
    let file = FileId(1);
    assert_eq!(commands(&mut cache), [Command::DeleteFile { file }]);
    assert_eq!(cache.disk_bytes(), 0);
}

#[test]
fn what_is_freed_while_it_is_written_leaves_no_file() {
    let mut cache = store(&[(100, CopyKind::Primary)]);
    need(&mut cache, 10);
    commands(&mut cache);
    cache.on_freed(id(1), NOW);
    assert_eq!(commands(&mut cache), [dropped(1), granted()]);
    cache.on_spilled(FileId(1), NOW);
    let file = FileId(1);
    assert_eq!(commands(&mut cache), [Command::DeleteFile { file }]);
}

#[test]
fn a_promoted_copy_is_not_dropped_without_being_spilled() {
    let mut cache = store(&[(100, CopyKind::Secondary)]);
    cache.on_promoted(id(1), NOW);
    need(&mut cache, 10);
    assert_eq!(commands(&mut cache), [spill(1, &[1])]);
}

#[test]
fn a_copy_that_somebody_waits_for_is_not_dropped_before_it_is_held() {
    for (is_pinned, expected) in [(false, vec![dropped(1), granted()]), (true, vec![])] {
        let mut cache = Cache::new(config());
        cache.need(RoomId(1), 60, Priority::Get, NOW);
        cache.need(RoomId(99), 60, Priority::Get, NOW);
        assert_eq!(commands(&mut cache), [Command::Grant { room: RoomId(1) }]);
        let secondary = CopyKind::Secondary;
        if is_pinned {
            cache.on_created_pinned(RoomId(1), id(1), 60, secondary, NOW);
        } else {
            cache.on_created(RoomId(1), id(1), 60, secondary, NOW);
        }
        assert_eq!(commands(&mut cache), expected, "pinned: {is_pinned}");
        cache.unpin(id(1), NOW);
        let after = if is_pinned {
            vec![dropped(1), granted()]
        } else {
            vec![]
        };
        assert_eq!(commands(&mut cache), after, "pinned: {is_pinned}");
    }
}

#[test]
fn what_was_taken_up_before_it_was_written_is_not_in_the_file() {
    let mut cache = store(&[(40, CopyKind::Primary), (40, CopyKind::Primary)]);
    need(&mut cache, 50);
    assert_eq!(commands(&mut cache), [spill(1, &[1])]);
    cache.on_spill_skipped(FileId(1), id(1));
    cache.on_spilled(FileId(1), NOW);
    let commands = commands(&mut cache);
    assert!(commands.contains(&Command::DeleteFile { file: FileId(1) }));
    assert!(commands.contains(&spill(2, &[2])), "the other one goes");
    assert!(cache.is_in_memory(id(1)));
}

#[test]
fn what_was_taken_up_before_it_was_dropped_stays_in_memory() {
    let mut cache = store(&[(40, CopyKind::Primary), (40, CopyKind::Primary)]);
    need(&mut cache, 50);
    assert_eq!(commands(&mut cache), [spill(1, &[1])]);
    cache.on_spilled(FileId(1), NOW);
    assert_eq!(commands(&mut cache), [dropped(1), granted()]);
    cache.on_drop_refused(id(1), NOW);
    assert!(cache.is_in_memory(id(1)));
    assert_eq!(cache.memory_bytes(), 40 + 40 + 50);
    cache.unpin(id(1), NOW);
    need(&mut cache, 1);
    assert!(commands(&mut cache).contains(&dropped(1)));
}

#[test]
fn what_is_on_a_full_disk_stays_readable_one_at_a_time() {
    let all = [(40, CopyKind::Primary); 2];
    let mut cache = store(&all);
    need(&mut cache, 90);
    assert_eq!(commands(&mut cache), [spill(1, &[1]), spill(2, &[2])]);
    cache.on_spilled(FileId(1), NOW);
    cache.on_spilled(FileId(2), NOW);
    commands(&mut cache);
    cache.on_created(RoomId(99), id(3), 90, CopyKind::Primary, NOW);
    // A producer waits in vain meanwhile.
    need(&mut cache, 50);
    assert_eq!(commands(&mut cache), [spill(3, &[3])]);
    cache.on_spill_failed(FileId(3), NOW);
    commands(&mut cache);
    cache.restore(id(1), NOW);
    cache.restore(id(2), NOW);
    let restore = |index| Command::Restore {
        object: id(index),
        file: FileId(index),
    };
    assert_eq!(commands(&mut cache), [restore(1)]);
    cache.on_restored(id(1), NOW);
    assert_eq!(commands(&mut cache), [dropped(1), restore(2)]);
    cache.pin(id(2));
    cache.on_restored(id(2), NOW);
    assert_eq!(commands(&mut cache), []);
    cache.restore(id(1), NOW);
    assert_eq!(commands(&mut cache), [], "there is one over already");
    cache.unpin(id(2), NOW);
    assert_eq!(commands(&mut cache), [dropped(2), restore(1)]);
}

#[test]
fn a_reader_goes_before_who_waits_to_create() {
    let mut cache = spilled();
    cache.cancel(RoomId(99), NOW);
    cache.need(RoomId(5), 100, Priority::Get, NOW);
    cache.need(RoomId(6), 50, Priority::Get, NOW);
    commands(&mut cache);
    cache.restore(id(1), NOW);
    let (object, file) = (id(1), FileId(1));
    assert_eq!(commands(&mut cache), [Command::Restore { object, file }]);
}
