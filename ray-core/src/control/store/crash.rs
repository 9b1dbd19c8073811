//! What a store still knows after its process was killed or its disk lost what was not synced.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ::redb::StorageBackend;
use parking_lot::Mutex;

use super::{redb::RedbStore, *};

/// Names the store to the child of the kill loop.
const CHILD_STORE: &str = "RAY_TEST_STORE";
/// How often the writer is killed.
const KILLS: u32 = 48;
/// Transactions of the simulated disk's history.
const WRITES: u32 = 60;

fn key(number: u32) -> Key {
    Key::new(Room::Jobs, format!("{:02}", number % 16))
}

/// Each value says which write it is from, and is long enough to span pages now and then.
fn value(number: u32) -> Vec<u8> {
    let mut value = number.to_le_bytes().to_vec();
    value.resize(4 + (number as usize * 37) % 9000, number as u8);
    value
}

/// Checks that each key has what its last acknowledged write left, or what a later one did.
fn assert_kept(store: &dyn ControlStore, acknowledged: u32, began: u32) {
    let (found, _) = store.scan(Room::Jobs, "").expect("readable");
    let found: BTreeMap<Key, Entry> = found.into_iter().collect();
    for number in (1..=acknowledged).rev().take(16) {
        let entry = &found[&key(number)];
        let head = entry.value.first_chunk().expect("four bytes");
        let wrote = u32::from_le_bytes(*head);
        assert!((number..=began).contains(&wrote), "{wrote} after {number}");
        assert_eq!(entry.value, value(wrote), "a torn value");
    }
}

/// A step of a small generator, to kill at other points each time.
fn next(seed: &mut u64) -> u64 {
    *seed = seed
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407);
    *seed >> 33
}

/// The child of the kill loop: writes and acknowledges until it is killed.
#[test]
fn writer_of_the_kill_loop() {
    let Ok(path) = std::env::var(CHILD_STORE) else {
        return;
    };
    let store = RedbStore::open(Path::new(&path)).expect("the last writer is dead");
    let revision = store.revision().expect("readable").0;
    let mut out = io::stdout();
    for number in u32::try_from(revision).expect("few writes") + 1.. {
        store.put(key(number), value(number)).expect("written");
        writeln!(out, "wrote {number}").expect("the parent reads");
        out.flush().expect("the parent reads");
    }
}

#[test]
fn a_killed_writer_loses_no_acknowledged_write() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("control.redb");
    let (mut acknowledged, mut seed) = (0, 7);
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "--nocapture", "--test-threads=1"])
            .arg("control::store::crash::writer_of_the_kill_loop")
            .env(CHILD_STORE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test starts again");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let wanted = acknowledged + 1 + (next(&mut seed) % 4) as u32;
        let mut note = |line: io::Result<String>| {
            let line = line.expect("text");
            if let Some(number) = line.split("wrote ").nth(1) {
                acknowledged = number.parse().expect("a number");
            }
            acknowledged
        };
        while note(lines.next().expect("the writer lives")) < wanted {}
        // The writer goes on; spinning moves the kill to another point of its next transaction.
        let spin = Duration::from_micros(next(&mut seed) % 3000);
        let start = Instant::now();
        while start.elapsed() < spin {
            std::hint::spin_loop();
        }
        child.kill().expect("it runs");
        child.wait().expect("it is dead");
        // What it said before it died counts as well.
        for line in lines {
            note(line);
        }
        let store = RedbStore::open(&path).expect("the lock went with its holder");
        assert_eq!(store.generation(), u64::from(2 * kill + 2));
        let revision = store.revision().expect("readable").0;
        assert!(revision == u64::from(acknowledged) || revision == u64::from(acknowledged) + 1);
        assert_kept(&store, acknowledged, acknowledged + 1);
        acknowledged = u32::try_from(revision).expect("few writes");
    }
}

/// What a disk was told, in order.
#[derive(Clone, Debug)]
enum Step {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
    /// The store said that this write is done.
    Acknowledged(u32),
}

/// A disk in memory that remembers its whole history.
#[derive(Clone, Debug, Default)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    history: Arc<Mutex<Vec<Step>>>,
    is_full: Arc<AtomicBool>,
}

impl Disk {
    /// Returns the disk after a power cut: what was synced is there, of the rest a part.
    fn after_power_cut(steps: &[Step], seed: &mut u64) -> Disk {
        let synced = steps.iter().rposition(|step| matches!(step, Step::Sync));
        let disk = Disk::default();
        for (at, step) in steps.iter().enumerate() {
            let kept = synced.is_some_and(|synced| at <= synced) || next(seed).is_multiple_of(2);
            match step {
                Step::Write(offset, data) if kept => {
                    let mut bytes = disk.bytes.lock();
                    let end = *offset as usize + data.len();
                    if bytes.len() < end {
                        bytes.resize(end, 0);
                    }
                    bytes[*offset as usize..end].copy_from_slice(data);
                }
                // A file's length is kept in order by the file system's journal.
                Step::SetLen(len) => disk.bytes.lock().resize(*len as usize, 0),
                _ => {}
            }
        }
        disk
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes.lock();
        let offset = offset as usize;
        let from = bytes.get(offset..offset + out.len());
        out.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.history.lock().push(Step::SetLen(len));
        self.bytes.lock().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.history.lock().push(Step::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.history.lock().push(Step::Write(offset, data.to_vec()));
        let mut bytes = self.bytes.lock();
        let offset = offset as usize;
        bytes[offset..offset + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn open(disk: &Disk) -> StoreResult<RedbStore> {
    let disk = disk.clone();
    RedbStore::over(move || disk.clone())
}

#[test]
fn a_full_disk_refuses_writes_and_goes_on_when_there_is_room() {
    let disk = Disk::default();
    let store = open(&disk).expect("a store");
    store.put(key(1), value(1)).expect("written");
    disk.is_full.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        let refused = store.put(key(2), value(2));
        assert!(
            matches!(refused, Err(StoreError::DiskFull(_))),
            "{refused:?}"
        );
    }
    disk.is_full.store(false, Ordering::Relaxed);
    assert_eq!(store.get(&key(2)), Ok(None));
    assert_kept(&store, 1, 1);
    assert_eq!(store.put(key(2), value(2)), Ok(Revision(2)));
    assert_eq!(store.generation(), 1);
}

#[test]
fn a_power_cut_at_any_write_loses_no_acknowledged_one() {
    let disk = Disk::default();
    let store = open(&disk).expect("a store");
    let opened = disk.history.lock().len();
    for number in 1..=WRITES {
        store.put(key(number), value(number)).expect("written");
        disk.history.lock().push(Step::Acknowledged(number));
    }
    let history = disk.history.lock().clone();
    let mut seed = 11;
    let points = (opened..=history.len()).chain(opened..=history.len());
    assert!(points.clone().count() >= 1000, "the history is short");
    for cut in points {
        let before = &history[..cut];
        let acknowledged = before.iter().rev().find_map(|step| match step {
            Step::Acknowledged(number) => Some(*number),
            _ => None,
        });
        let acknowledged = acknowledged.unwrap_or(0);
        let store = open(&Disk::after_power_cut(before, &mut seed));
        let store = store.unwrap_or_else(|error| panic!("cut at step {cut}: {error}"));
        assert_kept(&store, acknowledged, acknowledged + 1);
    }
}
