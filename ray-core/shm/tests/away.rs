//! Ranges that leave memory and come back: what is read stays, what is written down changes no more.

use ray_shm::{Arena, ArenaOwner, SEGMENT_BYTES, SegmentRange, Writer};

const PROCESS: u64 = 7;

struct Node {
    owner: ArenaOwner,
    arena: Arena,
    writer: Writer,
    range: SegmentRange,
}

/// An arena of two segments, one lent to a writer.
fn node() -> Node {
    let mut owner = ArenaOwner::create(2 * SEGMENT_BYTES).expect("a memfd");
    let fd = owner.fd().try_clone_to_owned().expect("a descriptor");
    let arena = Arena::map(fd, PROCESS).expect("a map");
    let writer = Writer::new(arena.clone());
    let range = owner.grant(1, PROCESS).expect("room");
    writer.add_segments(range).expect("mapped");
    Node {
        owner,
        arena,
        writer,
        range,
    }
}

#[test]
fn what_went_away_comes_back_at_its_place() {
    let Node {
        mut owner,
        arena,
        writer,
        range,
    } = node();
    let mut guard = writer.alloc(1000).expect("room");
    guard.fill(9);
    let slot = guard.seal();
    let saved = owner.close(range).expect("nobody reads or writes").to_vec();
    assert!(owner.send_away(range).expect("punched"));
    assert!(arena.pin(slot).is_none(), "it is away");
    assert!(
        arena
            .slice(slot)
            .expect("inside")
            .iter()
            .all(|byte| *byte == 0)
    );
    let mut room = owner.begin_return(range);
    assert!(arena.pin(slot).is_none(), "it is not back yet");
    room.copy_from_slice(&saved);
    owner.end_return(range);
    let _pin = arena.pin(slot).expect("it is back");
    assert!(
        arena
            .slice(slot)
            .expect("inside")
            .iter()
            .all(|byte| *byte == 9)
    );
}

#[test]
fn what_is_read_stays() {
    let Node {
        mut owner,
        arena,
        writer,
        range,
    } = node();
    let slot = writer.alloc(1000).expect("room").seal();
    let pin = arena.pin(slot).expect("in memory");
    assert!(owner.is_pinned(range));
    assert!(owner.close(range).is_none());
    drop(pin);
    assert!(owner.close(range).is_some());
    let pin = arena.pin(slot).expect("a closed range is read as well");
    assert!(!owner.send_away(range).expect("no fault"));
    assert!(arena.pin(slot).is_some(), "it stayed");
    drop(pin);
    assert!(owner.send_away(range).expect("punched"));
}

#[test]
fn the_pins_of_a_dead_reader_are_gone() {
    let Node {
        mut owner,
        writer,
        range,
        ..
    } = node();
    let slot = writer.alloc(1000).expect("room").seal();
    let fd = owner.fd().try_clone_to_owned().expect("a descriptor");
    let reader = Arena::map(fd, 8).expect("a map");
    // A process that is killed drops nothing.
    std::mem::forget(reader.pin(slot).expect("in memory"));
    assert!(owner.close(range).is_none());
    owner.forget_process(8).expect("punched");
    assert!(owner.close(range).is_some());
    assert!(owner.send_away(range).expect("punched"));
}

#[test]
fn a_writer_goes_elsewhere_when_its_range_is_closed() {
    let Node {
        mut owner,
        arena: _,
        writer,
        range,
    } = node();
    let guard = writer.alloc(1000).expect("room");
    assert!(owner.close(range).is_none(), "something is being written");
    let slot = guard.seal();
    let before = owner.close(range).expect("nothing is").to_vec();
    let refused = writer.alloc(1000).map(drop);
    assert!(refused.is_err(), "its only range is closed");
    let second = owner.grant(1, PROCESS).expect("room");
    writer.add_segments(second).expect("mapped");
    let mut guard = writer.alloc(1000).expect("room in the new one");
    guard.fill(1);
    assert_eq!(guard.seal().offset / SEGMENT_BYTES, u64::from(second.first));
    assert_eq!(owner.close(range).expect("still closed")[..], before[..]);
    assert_eq!(writer.free(slot), Ok(Some(range)), "nothing is left in it");
    owner.release(range).expect("lent");
    assert_eq!(owner.grant(1, PROCESS), Some(range), "as new");
    writer.add_segments(range).expect("mapped");
    assert!(writer.alloc(SEGMENT_BYTES as usize).is_ok());
}

#[test]
fn what_is_away_makes_room_for_as_much() {
    let mut owner = ArenaOwner::create(2 * SEGMENT_BYTES).expect("a memfd");
    let mut lent = Vec::new();
    for _ in 0..16 {
        let range = owner.grant(1, PROCESS).expect("room");
        owner.close(range).expect("nobody reads");
        assert!(owner.send_away(range).expect("punched"));
        lent.push(range);
    }
    assert_eq!(owner.lent_bytes(), 16 * SEGMENT_BYTES);
    for range in lent {
        owner.release(range).expect("lent");
    }
    assert_eq!(owner.lent_bytes(), 0);
}

#[test]
fn reading_is_noticed_once() {
    let Node {
        owner,
        arena,
        writer,
        range,
    } = node();
    let slot = writer.alloc(1000).expect("room").seal();
    owner.take_used(range);
    assert!(!owner.take_used(range));
    drop(arena.pin(slot));
    assert!(owner.take_used(range));
    assert!(!owner.take_used(range));
}
