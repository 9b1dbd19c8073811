//! What the arena promises, through the public API.

use std::os::fd::AsFd as _;

use ray_shm::{Arena, ArenaOwner, NotLive, SEGMENT_BYTES, SegmentRange, Slot, Writer};

fn arena_of(bytes: u64) -> (ArenaOwner, Arena, Writer) {
    let owner = ArenaOwner::create(bytes).expect("a memfd");
    let arena =
        Arena::map(owner.fd().try_clone_to_owned().expect("a descriptor"), 1).expect("a map");
    let writer = Writer::new(arena.clone());
    (owner, arena, writer)
}

#[test]
fn a_sealed_object_is_read_in_place_by_another_map() {
    let (mut owner, _, writer) = arena_of(2 * SEGMENT_BYTES);
    writer
        .add_segments(owner.grant(1, 1).expect("room"))
        .expect("mapped");
    let mut guard = writer.alloc(1000).expect("room");
    guard.fill(7);
    let slot = guard.seal();
    let reader = Arena::map(
        owner
            .fd()
            .as_fd()
            .try_clone_to_owned()
            .expect("a descriptor"),
        2,
    )
    .expect("a map");
    let bytes = reader.slice(slot).expect("inside");
    assert_eq!(bytes.len(), 1000);
    assert!(bytes.iter().all(|byte| *byte == 7));
    assert_eq!(bytes.as_ptr() as usize % 64, 0);
}

#[test]
fn who_owns_the_arena_writes_into_its_own_map_of_it() {
    let (mut owner, arena, other) = arena_of(8 * SEGMENT_BYTES);
    let own = Writer::beside(&owner, arena.clone());
    // Neither begins where the arena does.
    for (writer, byte) in [(&other, 1), (&own, 2), (&other, 3), (&own, 4)] {
        let range = owner.grant(2 * SEGMENT_BYTES, 1).expect("room");
        writer.add_segments(range).expect("mapped");
        let mut guard = writer.alloc(SEGMENT_BYTES as usize + 5).expect("room");
        guard
            .populate(0..SEGMENT_BYTES as usize + 5)
            .expect("pages");
        guard.fill(byte);
        let slot = guard.seal();
        assert_eq!(slot.offset, range.offset());
        let bytes = arena.slice(slot).expect("inside");
        assert!(bytes.iter().all(|read| *read == byte));
    }
    let beyond = SegmentRange {
        first: 8 * 16,
        count: 1,
    };
    own.add_segments(beyond).expect_err("outside the arena");
}

#[test]
fn ten_gigabytes_pass_through_a_small_arena() {
    let (mut owner, arena, writer) = arena_of(64 << 20);
    writer
        .add_segments(owner.grant(64 << 20, 1).expect("room"))
        .expect("mapped");
    let mut total = 0_u64;
    let mut held = Vec::new();
    while total < 10 << 30 {
        let len = (1 << 20) | ((total as usize >> 20) % 4096);
        let mut guard = writer.alloc(len).expect("old objects were freed");
        guard[0] = total as u8;
        let last = guard.len() - 1;
        guard[last] = 0xEE;
        held.push(guard.seal());
        total += len as u64;
        if held.len() == 32 {
            for slot in held.drain(..16) {
                assert_eq!(arena.slice(slot).expect("inside").last(), Some(&0xEE));
                writer.free(slot).expect("live");
            }
        }
    }
    for slot in held {
        writer.free(slot).expect("live");
    }
    assert_eq!((writer.live_bytes(), writer.live_objects()), (0, 0));
    assert_eq!(
        writer.take_empty(),
        vec![SegmentRange {
            first: 0,
            count: ((64 << 20) / SEGMENT_BYTES) as u32
        }]
    );
    assert_eq!(writer.lent_bytes(), 0);
}

#[test]
fn pages_made_ahead_leave_the_bytes_as_they_are() {
    let (mut owner, arena, writer) = arena_of(2 * SEGMENT_BYTES);
    writer
        .add_segments(owner.grant(2 * SEGMENT_BYTES, 1).expect("room"))
        .expect("mapped");
    // Neighbours, so that neither begins with a page.
    let mut first = writer.alloc(100_000).expect("room");
    let mut second = writer.alloc(100_000).expect("room");
    first.fill(1);
    second[..50_000].fill(2);
    second.populate(10_000..100_000).expect("pages");
    second.populate(0..0).expect("nothing to make");
    second[50_000..].fill(3);
    let slots = [first.seal(), second.seal()];
    let bytes = slots.map(|slot| arena.slice(slot).expect("inside"));
    assert!(bytes[0].iter().all(|byte| *byte == 1));
    assert!(bytes[1][..50_000].iter().all(|byte| *byte == 2));
    assert!(bytes[1][50_000..].iter().all(|byte| *byte == 3));
}

#[test]
fn an_unsealed_object_gives_its_room_back() {
    let (mut owner, _, writer) = arena_of(SEGMENT_BYTES);
    writer
        .add_segments(owner.grant(1, 1).expect("room"))
        .expect("mapped");
    for _ in 0..10 {
        drop(
            writer
                .alloc(SEGMENT_BYTES as usize)
                .expect("the room of the last one"),
        );
    }
    assert_eq!(writer.live_objects(), 0);
}

#[test]
fn a_second_free_and_a_foreign_slot_are_errors() {
    let (mut owner, _, writer) = arena_of(SEGMENT_BYTES);
    writer
        .add_segments(owner.grant(1, 1).expect("room"))
        .expect("mapped");
    let slot = writer.alloc(10).expect("room").seal();
    assert!(writer.is_live(slot));
    assert_eq!(writer.free(slot), Ok(None));
    assert_eq!(writer.free(slot), Err(NotLive(slot)));
    let foreign = Slot {
        offset: 128,
        len: 1,
    };
    assert_eq!(writer.free(foreign), Err(NotLive(foreign)));
}

#[test]
fn slots_outside_the_arena_are_refused() {
    let (_owner, arena, writer) = arena_of(SEGMENT_BYTES);
    // It has numbers for sixteen times what may be in memory.
    let end = 16 * SEGMENT_BYTES;
    assert!(
        arena
            .slice(Slot {
                offset: end - 64,
                len: 65
            })
            .is_none()
    );
    assert!(
        arena
            .slice(Slot {
                offset: u64::MAX - 63,
                len: 64
            })
            .is_none()
    );
    assert!(
        arena.slice(Slot { offset: 1, len: 1 }).is_none(),
        "not where an object can begin"
    );
    assert!(
        arena
            .slice(Slot {
                offset: end,
                len: 0
            })
            .is_some()
    );
    assert!(
        writer
            .add_segments(SegmentRange {
                first: 16,
                count: 1
            })
            .is_err()
    );
}

#[test]
fn without_room_the_writer_says_how_much_it_needs() {
    let (mut owner, _, writer) = arena_of(2 * SEGMENT_BYTES);
    assert_eq!(
        writer.alloc(100).err().map(|needed| needed.bytes),
        Some(100)
    );
    writer
        .add_segments(owner.grant(1, 1).expect("room"))
        .expect("mapped");
    assert_eq!(
        writer.alloc(5 << 20).err().map(|needed| needed.bytes),
        Some(5 << 20)
    );
    // Two neighbouring ranges are two maps: an object never spans them.
    writer
        .add_segments(owner.grant(1, 1).expect("room"))
        .expect("mapped");
    assert!(writer.alloc(5 << 20).is_err());
    assert!(writer.alloc(SEGMENT_BYTES as usize).is_ok());
}

#[test]
fn a_file_that_can_shrink_is_refused() {
    let file = tempfile();
    assert!(Arena::map(file, 1).is_err());
}

fn tempfile() -> std::os::fd::OwnedFd {
    let path = std::env::temp_dir().join(format!("ray-shm-test-{}", std::process::id()));
    let file = std::fs::File::create_new(&path).expect("a fresh file");
    std::fs::remove_file(&path).expect("just made");
    file.into()
}
