//! What every store behind [`ControlStore`] promises; each implementation runs the whole list.

use std::time::Duration;

use super::{redb::RedbStore, *};

/// A store that can be closed and opened again.
trait Reopen {
    fn open(&self) -> Box<dyn ControlStore>;
}

struct File(tempfile::TempDir);

impl Reopen for File {
    fn open(&self) -> Box<dyn ControlStore> {
        Box::new(RedbStore::open(&self.0.path().join("control.redb")).expect("a store"))
    }
}

fn file() -> File {
    File(tempfile::tempdir().expect("a folder"))
}

fn memory() -> Box<dyn ControlStore> {
    Box::new(RedbStore::in_memory().expect("a store"))
}

/// Runs a promise against each implementation.
fn each(promise: impl Fn(&dyn ControlStore)) {
    promise(memory().as_ref());
    promise(file().open().as_ref());
}

fn key(name: &str) -> Key {
    Key::new(Room::Actors, name)
}

fn put_under(store: &dyn ControlStore, name: &str, lease: StoreLease) -> StoreResult<Revision> {
    store.write(Write::Put {
        key: key(name),
        value: b"held".to_vec(),
        lease: Some(lease),
    })
}

fn names(store: &dyn ControlStore, room: Room, prefix: &str) -> Vec<String> {
    let (found, _) = store.scan(room, prefix).expect("readable");
    found.iter().map(|(key, _)| key.name().to_owned()).collect()
}

#[test]
fn a_value_is_there_until_it_is_deleted() {
    each(|store| {
        assert_eq!(store.get(&key("a")), Ok(None));
        let first = store.put(key("a"), b"1".to_vec()).expect("written");
        let second = store.put(key("a"), b"2".to_vec()).expect("written");
        assert!(second > first);
        let entry = store.get(&key("a")).expect("readable").expect("there");
        assert_eq!((entry.value, entry.revision), (b"2".to_vec(), second));
        store.delete(key("a")).expect("deleted");
        store.delete(key("a")).expect("nothing to delete");
        assert_eq!(store.get(&key("a")), Ok(None));
    });
}

#[test]
fn rooms_are_apart_and_scans_are_in_order() {
    each(|store| {
        for name in ["b/2", "a/1", "b/1", "b"] {
            store.put(key(name), Vec::new()).expect("written");
        }
        store
            .put(Key::new(Room::Jobs, "b/9"), Vec::new())
            .expect("written");
        assert_eq!(names(store, Room::Actors, ""), ["a/1", "b", "b/1", "b/2"]);
        assert_eq!(names(store, Room::Actors, "b/"), ["b/1", "b/2"]);
        assert_eq!(names(store, Room::Jobs, ""), ["b/9"]);
        assert!(names(store, Room::Nodes, "").is_empty());
    });
}

#[test]
fn of_two_that_take_a_name_one_gets_it() {
    each(|store| {
        let name = Key::new(Room::Names, "default/counter");
        let first = store.cas(name.clone(), None, b"actor 1".to_vec());
        let Ok(Outcome::Done(revision)) = first else {
            panic!("the name was free: {first:?}");
        };
        let second = store.cas(name.clone(), None, b"actor 2".to_vec());
        let conflict = Outcome::Conflict {
            key: name.clone(),
            found: Some(revision),
        };
        assert_eq!(second, Ok(conflict));
        let entry = store.get(&name).expect("readable").expect("there");
        assert_eq!(entry.value, b"actor 1");
        let third = store.cas(name, Some(revision), b"actor 3".to_vec());
        assert!(matches!(third, Ok(Outcome::Done(_))));
    });
}

#[test]
fn a_hundred_writers_that_compare_lose_no_increment() {
    each(|store| {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        add_one(store);
                    }
                });
            }
        });
        let entry = store.get(&key("sum")).expect("readable").expect("there");
        assert_eq!(entry.value, 100u32.to_le_bytes());
    });
}

fn add_one(store: &dyn ControlStore) {
    loop {
        let entry = store.get(&key("sum")).expect("readable");
        let sum = entry.as_ref().map_or(0, |entry| {
            u32::from_le_bytes(entry.value.as_slice().try_into().expect("four bytes"))
        });
        let expected = entry.map(|entry| entry.revision);
        let done = store.cas(key("sum"), expected, (sum + 1).to_le_bytes().to_vec());
        if matches!(done.expect("a store"), Outcome::Done(_)) {
            return;
        }
    }
}

#[test]
fn a_transaction_changes_all_or_nothing() {
    each(|store| {
        let old = store.put(key("old"), b"1".to_vec()).expect("written");
        let move_it = |expected| {
            let value = b"1".to_vec();
            store.txn(Txn {
                checks: vec![(key("old"), expected), (key("new"), None)],
                writes: vec![
                    Write::Delete { key: key("old") },
                    Write::Put {
                        key: key("new"),
                        value,
                        lease: None,
                    },
                ],
            })
        };
        let stale = move_it(Some(Revision(old.0 + 100)));
        assert!(matches!(stale, Ok(Outcome::Conflict { .. })));
        assert_eq!(names(store, Room::Actors, ""), ["old"]);
        assert!(matches!(move_it(Some(old)), Ok(Outcome::Done(_))));
        assert_eq!(names(store, Room::Actors, ""), ["new"]);
    });
}

#[test]
fn a_watcher_sees_each_change_of_its_room_once_and_in_order() {
    each(|store| {
        let start = store.revision().expect("readable");
        let mut watch = store.watch(Room::Actors, start).expect("kept");
        assert_eq!(watch.poll(), Ok(Vec::new()));
        store.put(key("a"), b"1".to_vec()).expect("written");
        store
            .put(Key::new(Room::Jobs, "j"), Vec::new())
            .expect("written");
        store.put(key("a"), b"2".to_vec()).expect("written");
        store.delete(key("a")).expect("deleted");
        let seen = watch.poll().expect("kept");
        let values: Vec<_> = seen.iter().map(|event| event.value.as_deref()).collect();
        assert_eq!(values, [Some(&b"1"[..]), Some(&b"2"[..]), None]);
        assert!(seen.is_sorted_by_key(|event| event.revision));
        assert_eq!(watch.poll(), Ok(Vec::new()));
        // A second watcher that begins in the middle sees the rest.
        let mut later = store.watch(Room::Actors, seen[0].revision).expect("kept");
        assert_eq!(later.poll().expect("kept").len(), 2);
    });
}

#[test]
fn a_watcher_that_waits_is_woken_by_a_write() {
    each(|store| {
        let start = store.revision().expect("readable");
        let mut watch = store.watch(Room::Actors, start).expect("kept");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(move || watch.next(Duration::from_secs(60)));
            store.put(key("a"), b"1".to_vec()).expect("written");
            let seen = waiting.join().expect("no panic").expect("kept");
            assert_eq!(seen.len(), 1);
        });
    });
}

#[test]
fn a_watcher_too_far_behind_is_told_to_read_anew() {
    let file = file();
    file.open().put(key("a"), Vec::new()).expect("written");
    let store = file.open();
    let behind = store.watch(Room::Actors, Revision(0));
    assert!(matches!(behind, Err(StoreError::Compacted(1))));
    let (found, revision) = store.scan(Room::Actors, "").expect("readable");
    assert_eq!(found.len(), 1);
    assert!(store.watch(Room::Actors, revision).is_ok());
}

#[test]
fn what_is_held_under_a_lease_goes_with_it() {
    each(|store| {
        let second = Duration::from_secs(1);
        let lease = store.lease(10 * second, Time(0)).expect("a lease");
        put_under(store, "held", lease).expect("written");
        store.put(key("free"), Vec::new()).expect("written");
        let revision = store.revision().expect("readable");
        let mut watch = store.watch(Room::Actors, revision).expect("kept");

        store.keep_alive(lease, Time(0) + 8 * second).expect("kept");
        assert_eq!(store.expire(Time(0) + 17 * second), Ok(Vec::new()));
        assert_eq!(names(store, Room::Actors, ""), ["free", "held"]);
        assert_eq!(store.expire(Time(0) + 18 * second), Ok(vec![lease]));
        assert_eq!(names(store, Room::Actors, ""), ["free"]);
        assert_eq!(watch.poll().expect("kept")[0].value, None);

        let ended = StoreError::NoLease(lease.0);
        assert_eq!(put_under(store, "late", lease), Err(ended.clone()));
        assert_eq!(
            store.keep_alive(lease, Time(0) + 19 * second),
            Err(ended.clone())
        );
        assert_eq!(store.end_lease(lease), Err(ended));
    });
}

#[test]
fn a_value_written_anew_leaves_its_lease() {
    each(|store| {
        let lease = store.lease(Duration::from_secs(1), Time(0));
        let lease = lease.expect("a lease");
        put_under(store, "a", lease).expect("written");
        store.put(key("a"), b"mine".to_vec()).expect("written");
        store.end_lease(lease).expect("ended");
        assert_eq!(names(store, Room::Actors, ""), ["a"]);
    });
}

#[test]
fn a_store_opened_again_has_everything_and_a_later_generation() {
    let file = file();
    let (lease, revision, generation) = {
        let store = file.open();
        let lease = store.lease(Duration::from_secs(5), Time(0));
        let lease = lease.expect("a lease");
        put_under(store.as_ref(), "held", lease).expect("written");
        let revision = store.put(key("a"), b"1".to_vec()).expect("written");
        (lease, revision, store.generation())
    };
    let store = file.open();
    assert_eq!(store.generation(), generation + 1);
    assert_eq!(store.revision(), Ok(revision));
    assert_eq!(names(store.as_ref(), Room::Actors, ""), ["a", "held"]);
    // The new head's clock starts anew, and so does the lease.
    assert_eq!(store.expire(Time(0)), Ok(Vec::new()));
    let later = Time(0) + Duration::from_secs(5);
    assert_eq!(store.expire(later), Ok(vec![lease]));
    assert_eq!(names(store.as_ref(), Room::Actors, ""), ["a"]);
    assert!(store.put(key("b"), Vec::new()).expect("written") > revision);
}

#[test]
fn a_second_head_on_one_store_is_refused() {
    let file = file();
    let first = file.open();
    let second = RedbStore::open(&file.0.path().join("control.redb"));
    assert!(matches!(second.err(), Some(StoreError::InUse(_))));
    drop(first);
    assert!(RedbStore::open(&file.0.path().join("control.redb")).is_ok());
}

#[test]
fn only_its_user_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let file = file();
    let _store = file.open();
    let path = file.0.path().join("control.redb");
    let mode = std::fs::metadata(path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
