//! A ring gives its reader the writer's bytes, in order, and loses no wake.

use std::{sync::mpsc, thread, time::Duration};

use ray_shm::{RING_BYTES, RingPlace, RingReader, RingWriter};

fn pair() -> (RingWriter, RingReader) {
    let writer = RingWriter::create([7; 16]).expect("a memfd");
    let reader = RingReader::open(writer.place()).expect("a ring of this process");
    (writer, reader)
}

fn take(reader: &RingReader) -> Vec<u8> {
    let mut bytes = vec![0; reader.available().expect("a ring")];
    reader.read(&mut bytes);
    bytes
}

#[test]
fn what_is_written_is_read_in_order_across_the_end() {
    let (mut writer, reader) = pair();
    let pattern = |from: usize, len: usize| (from..from + len).map(|i| i as u8).collect::<Vec<_>>();
    let mut position = 0;
    for len in [1, 100_000, 200_000, RING_BYTES, 3, 77_777] {
        let bytes = pattern(position, len);
        assert_eq!(writer.write(&bytes), Ok(len));
        assert_eq!(take(&reader), bytes);
        position += len;
    }
}

#[test]
fn a_full_ring_takes_what_fits_and_tells_when_there_is_room() {
    let (mut writer, reader) = pair();
    assert_eq!(writer.write(&vec![1; RING_BYTES + 5]), Ok(RING_BYTES));
    assert_eq!(writer.write(&[1]), Ok(0));
    assert_eq!(writer.wait_for_room(), Ok(true));
    let mut some = [0; 10];
    assert!(reader.read(&mut some), "the writer waits");
    assert!(!reader.read(&mut some), "it is told once");
    assert_eq!(writer.wait_for_room(), Ok(false));
    assert_eq!(writer.write(&[2; 30]), Ok(20));
}

#[test]
fn a_reader_is_woken_once_and_only_when_it_sleeps() {
    let (mut writer, reader) = pair();
    assert_eq!(writer.write(&[1]), Ok(1));
    assert!(!writer.take_sleeper());
    assert!(!reader.arm(), "a byte waits");
    assert!(writer.take_sleeper(), "the wish stands");
    take(&reader);
    assert!(reader.arm());
    assert_eq!(writer.write(&[2]), Ok(1));
    assert!(writer.take_sleeper());
    assert!(!writer.take_sleeper());
}

#[test]
fn a_ring_begins_where_the_writer_says_after_the_reader_has_it() {
    let mut writer = RingWriter::create([9; 16]).expect("a memfd");
    assert!(!writer.is_opened());
    let place = RingPlace::from_bytes(&writer.place().to_bytes());
    let reader = RingReader::open(place).expect("a ring of this process");
    assert!(writer.is_opened());
    assert_eq!(reader.begins_at(), None);
    writer.begin(480);
    assert_eq!(reader.begins_at(), Some(480));
    assert!(RingReader::open(place).is_err(), "its descriptor is closed");
}

#[test]
fn another_file_or_secret_is_refused() {
    let writer = RingWriter::create([1; 16]).expect("a memfd");
    let mut bytes = writer.place().to_bytes();
    bytes[20] ^= 1;
    assert!(RingReader::open(RingPlace::from_bytes(&bytes)).is_err());
    assert!(!writer.is_opened());
    let mut input = writer.place().to_bytes();
    input[4..8].copy_from_slice(&0_i32.to_le_bytes());
    assert!(RingReader::open(RingPlace::from_bytes(&input)).is_err());
}

#[test]
fn no_wake_is_lost_between_two_threads() {
    const ROUNDS: u64 = 200_000;
    let (mut writer, reader) = pair();
    let (bell, rings) = mpsc::channel::<()>();
    let (room_bell, room_rings) = mpsc::channel::<()>();
    let patience = Duration::from_secs(20);
    let sender = thread::spawn(move || {
        let mut state = 1_u64;
        for round in 0..ROUNDS {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // Mostly small, at times more than the ring holds.
            let len = if state >> 54 == 0 {
                RING_BYTES + 17
            } else {
                (state >> 56) as usize + 8
            };
            let mut message = vec![round as u8; len];
            message[..8].copy_from_slice(&(len as u64).to_le_bytes());
            let mut rest = &message[..];
            while !rest.is_empty() {
                let written = writer.write(rest).expect("a sound ring");
                rest = &rest[written..];
                if writer.take_sleeper() {
                    bell.send(()).expect("the reader lives");
                }
                if !rest.is_empty() && writer.wait_for_room().expect("a sound ring") {
                    room_rings
                        .recv_timeout(patience)
                        .expect("a wake of the writer");
                }
            }
        }
    });
    let mut inbox = Vec::new();
    let mut round = 0;
    while round < ROUNDS {
        let waiting = reader.available().expect("a sound ring");
        if waiting == 0 {
            if reader.arm() {
                rings.recv_timeout(patience).expect("a wake of the reader");
            }
            continue;
        }
        let before = inbox.len();
        inbox.resize(before + waiting, 0);
        if reader.read(&mut inbox[before..]) {
            room_bell.send(()).expect("the writer lives");
        }
        let mut at = 0;
        while let Some(head) = inbox[at..].first_chunk::<8>() {
            let len = u64::from_le_bytes(*head) as usize;
            let Some(message) = inbox.get(at..at + len) else {
                break;
            };
            assert!(message[8..].iter().all(|byte| *byte == round as u8));
            at += len;
            round += 1;
        }
        inbox.drain(..at);
    }
    sender.join().expect("the writer");
}
