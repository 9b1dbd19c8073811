//! The second zone: values in an ordinary file behind memory.

use std::{
    fs::File,
    io::{ErrorKind, Read as _},
    os::fd::OwnedFd,
};

use ray_shm::{Arena, ArenaOwner, FileRoom, NotLent, SEGMENT_BYTES, SegmentRange, Slot, Writer};

const MIB: usize = SEGMENT_BYTES as usize;
/// Where the file begins in an arena of two segments in memory.
const FILE_START: u64 = 32 * SEGMENT_BYTES;

struct Node {
    owner: ArenaOwner,
    file: File,
}

fn node() -> Node {
    let mut owner = ArenaOwner::create(2 * SEGMENT_BYTES).expect("a memfd");
    let file = tempfile::tempfile().expect("a file");
    owner
        .with_file(file.try_clone().expect("a descriptor").into())
        .expect("it can be mapped");
    Node { owner, file }
}

impl Node {
    fn fds(&self) -> (OwnedFd, OwnedFd) {
        let memory = self.owner.fd().try_clone_to_owned();
        let file = self.owner.file().expect("a file").try_clone_to_owned();
        (memory.expect("a descriptor"), file.expect("a descriptor"))
    }

    fn map(&self, process: u64) -> Arena {
        let (memory, file) = self.fds();
        Arena::map_with_file(memory, file, process).expect("a map")
    }

    fn map_beside(&self, process: u64) -> Arena {
        let (memory, file) = self.fds();
        Arena::map_beside_file(memory, file, process).expect("a map")
    }

    fn reserved(&mut self, bytes: usize) -> FileRoom {
        let room = self.owner.grant_in_file(bytes as u64).expect("numbers");
        room.reserve().expect("the disk has room");
        room
    }
}

/// Writes an object of `len` times `fill`.
fn write(writer: &Writer, len: usize, fill: u8) -> Slot {
    let mut guard = writer.alloc(len).expect("room");
    guard.fill(fill);
    guard.seal()
}

#[test]
fn both_zones_are_read_in_place_through_one_arena() {
    let mut node = node();
    let writer = Writer::new(node.map(1));
    let memory = node.owner.grant(1, 1).expect("room");
    writer.add_segments(memory).expect("mapped");
    let first = write(&writer, MIB, 1);
    let room = node.reserved(2 * MIB);
    assert_eq!(room.range().offset(), FILE_START);
    writer.add_segments(room.range()).expect("mapped");
    let second = write(&writer, 2 * MIB, 2);
    assert_eq!((first.offset, second.offset), (0, FILE_START));
    let reader = node.map(2);
    assert!(!reader.is_in_file(first) && reader.is_in_file(second));
    for (slot, fill) in [(first, 1), (second, 2)] {
        let _pin = reader.pin(slot).expect("it is there");
        let bytes = reader.slice(slot).expect("inside");
        assert_eq!(*bytes, vec![fill; slot.len as usize][..]);
    }
    let mut whole = Vec::new();
    let mut file = &node.file;
    file.read_to_end(&mut whole).expect("the file");
    assert_eq!(whole, vec![2; 2 * MIB], "the file holds its zone alone");
}

#[test]
fn a_pin_of_the_file_is_seen_and_goes_with_its_process() {
    let mut node = node();
    let writer = Writer::new(node.map(1));
    let room = node.reserved(MIB);
    writer.add_segments(room.range()).expect("mapped");
    let slot = write(&writer, 100, 3);
    assert!(!node.owner.is_pinned(room.range()));
    let reader = node.map(2);
    let pin = reader.pin(slot).expect("it is there");
    assert!(node.owner.is_pinned(room.range()));
    node.owner.forget_process(2).expect("cleared");
    assert!(!node.owner.is_pinned(room.range()));
    std::mem::forget(pin);
}

#[test]
fn segments_of_the_file_are_lent_once_and_their_blocks_given_back() {
    let mut node = node();
    let first = node.reserved(2 * MIB);
    let second = node.reserved(MIB);
    assert_eq!(second.range().first, first.range().first + 2);
    assert_eq!(node.owner.file_bytes(), 3 * SEGMENT_BYTES);
    assert_eq!(node.owner.lent_bytes(), 0, "memory is not touched");
    assert!(first.disk_bytes().expect("known") >= 3 * SEGMENT_BYTES);
    first.give_back().expect("punched");
    let left = first.disk_bytes().expect("known");
    assert!((SEGMENT_BYTES..2 * SEGMENT_BYTES).contains(&left), "{left}");
    let range = first.range();
    assert!(node.owner.file_room(range).is_some());
    node.owner.release_in_file(range).expect("lent");
    assert_eq!(node.owner.release_in_file(range), Err(NotLent(range)));
    assert!(node.owner.file_room(range).is_none());
    // The gap is too small for three and right for two.
    let behind = node.owner.grant_in_file(3 * SEGMENT_BYTES).expect("room");
    assert_eq!(behind.range().first, second.range().first + 1);
    let again = node.owner.grant_in_file(2 * SEGMENT_BYTES).expect("room");
    assert_eq!(again.range(), range);
}

#[test]
fn the_file_has_as_many_numbers_as_memory() {
    let mut node = node();
    assert!(node.owner.grant_in_file(FILE_START + 1).is_none());
    let all = node.owner.grant_in_file(FILE_START).expect("all of it");
    assert!(node.owner.is_in_file(all.range()));
    assert!(node.owner.grant_in_file(1).is_none());
    let memory = node.owner.grant(1, 1).expect("room");
    assert!(!node.owner.is_in_file(memory));
    assert_eq!(
        node.owner.release_in_file(memory),
        Err(NotLent(memory)),
        "memory comes back on its own way"
    );
}

#[test]
fn an_arena_without_a_file_has_no_second_zone() {
    let mut owner = ArenaOwner::create(2 * SEGMENT_BYTES).expect("a memfd");
    assert!(owner.grant_in_file(1).is_none() && owner.file().is_none());
    let fd = owner.fd().try_clone_to_owned().expect("a descriptor");
    let arena = Arena::map(fd, 1).expect("a map");
    let slot = Slot {
        offset: FILE_START,
        len: 64,
    };
    assert!(arena.pin(slot).is_none() && arena.slice(slot).is_none());
    let range = SegmentRange {
        first: 32,
        count: 1,
    };
    assert!(Writer::new(arena).add_segments(range).is_err());
}

#[test]
fn room_of_the_file_is_given_up_with_the_last_object_in_it() {
    let mut node = node();
    let writer = Writer::new(node.map(1));
    let memory = node.owner.grant(1, 1).expect("room");
    writer.add_segments(memory).expect("mapped");
    let kept = write(&writer, MIB, 0);
    let room = node.reserved(MIB);
    writer.add_segments(room.range()).expect("mapped");
    let (one, two) = (write(&writer, 1000, 1), write(&writer, 1000, 2));
    assert_eq!(writer.free(one), Ok(None));
    assert_eq!(writer.free(two), Ok(Some(room.range())));
    assert_eq!(writer.free(kept), Ok(None), "memory is kept for the next");
}

#[test]
fn what_lies_behind_the_files_end_or_between_the_zones_is_no_object() {
    let mut node = node();
    let arena = node.map(1);
    let in_file = |offset, len| Slot {
        offset: FILE_START + offset,
        len,
    };
    assert!(arena.slice(in_file(0, 64)).is_none(), "it is empty");
    let _room = node.reserved(MIB);
    assert!(arena.slice(in_file(0, SEGMENT_BYTES)).is_some());
    assert!(arena.slice(in_file(64, SEGMENT_BYTES)).is_none());
    let across = Slot {
        offset: FILE_START - 64,
        len: 128,
    };
    assert!(arena.slice(across).is_none());
    assert!(
        arena
            .slice(in_file(u64::MAX - FILE_START - 63, 64))
            .is_none()
    );
}

#[test]
fn who_reads_beside_the_map_lives_on_when_the_file_is_cut_short() {
    let mut node = node();
    let writer = Writer::new(node.map(1));
    let room = node.reserved(2 * MIB);
    writer.add_segments(room.range()).expect("mapped");
    let slot = write(&writer, 2 * MIB, 5);
    let beside = node.map_beside(2);
    let _pin = beside.pin(slot).expect("it is pinned as ever");
    assert!(beside.slice(slot).is_none(), "it is not mapped");
    assert!(
        Writer::new(beside.clone())
            .add_segments(room.range())
            .is_err()
    );
    let read = |stretch| beside.read_file(slot, stretch);
    assert_eq!(read(10..MIB + 10).expect("bytes"), vec![5; MIB]);
    let beyond = read(0..2 * MIB + 1).expect_err("longer than the object");
    assert_eq!(beyond.kind(), ErrorKind::InvalidInput);
    node.file.set_len(SEGMENT_BYTES).expect("cut");
    assert_eq!(read(0..MIB).expect("that part is left").len(), MIB);
    let short = read(MIB - 1..MIB + 1).expect_err("it ends before");
    assert_eq!(short.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn what_cannot_be_reserved_takes_nothing() {
    let mut owner = ArenaOwner::create(2 * SEGMENT_BYTES).expect("a memfd");
    // A file that may not be written stands for one whose disk refuses.
    let named = tempfile::NamedTempFile::new().expect("a file");
    let read_only = File::open(named.path()).expect("it opens");
    owner.with_file(read_only.into()).expect("it can be mapped");
    let room = owner.grant_in_file(SEGMENT_BYTES).expect("numbers");
    room.reserve().expect_err("it cannot be written");
    assert_eq!(room.disk_bytes().expect("known"), 0);
}
