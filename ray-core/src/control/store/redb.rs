//! The default store: one file of the embedded database redb, no server.
//!
//! ```text
//! table entries:  room tag (1 byte) · name        → revision u64 · lease u64 (0: none) · value
//! table held:     lease u64 · key of `entries`    → ()
//! table leases:   lease u64                       → ttl in milliseconds u64
//! table numbers:  "revision", "generation", "lease", "format" → u64
//! ```
//! Integers in keys are big-endian, so that they sort; in values little-endian. A transaction is one
//! commit of redb, which syncs the file before it returns.

use std::{
    collections::BTreeMap, fs::OpenOptions, io::ErrorKind, os::unix::fs::OpenOptionsExt as _,
    path::Path, sync::Arc, time::Duration,
};

use ::redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, StorageBackend,
    TableDefinition, WriteTransaction, backends::FileBackend,
};
use parking_lot::Mutex;
use ray_engine::time::Time;

use super::{
    ControlStore, Entry, Event, Key, Outcome, Revision, Room, StoreError, StoreLease, StoreResult,
    Txn, Watch, Write, feed::Feed,
};

const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");
const HELD: TableDefinition<'_, &[u8], ()> = TableDefinition::new("held");
const LEASES: TableDefinition<'_, u64, u64> = TableDefinition::new("leases");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

/// The layout drawn above.
const FORMAT: u64 = 1;
/// Pages of the file kept in memory; bytes.
const CACHE_BYTES: usize = 16 << 20;

/// A [`ControlStore`] in one file.
pub(crate) struct RedbStore {
    database: Database,
    generation: u64,
    /// Held over a commit and the news of it, so that watchers see the order of the commits.
    writer: Mutex<Writer>,
    feed: Arc<Feed>,
}

#[derive(Default)]
struct Writer {
    /// When each lease ends, on the caller's clock; a lease of an earlier head starts at its first look.
    ends: BTreeMap<StoreLease, Time>,
}

impl RedbStore {
    /// Opens the store, making it when there is none; only this user may read it.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another head has it open; what the file system refused.
    pub(crate) fn open(path: &Path) -> StoreResult<RedbStore> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| StoreError::Failed(format!("{}: {error}", path.display())))?;
        let backend = FileBackend::new(file);
        let database = backend.and_then(|backend| {
            Database::builder()
                .set_cache_size(CACHE_BYTES)
                .create_with_backend(backend)
        });
        let database = database.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.display().to_string()),
            other => StoreError::Failed(format!("{}: {other}", path.display())),
        })?;
        RedbStore::start(database)
    }

    /// Opens a store over a device of the caller's own.
    ///
    /// # Errors
    /// What the device refused.
    pub(crate) fn over(backend: impl StorageBackend) -> StoreResult<RedbStore> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        RedbStore::start(builder.create_with_backend(backend).map_err(failed)?)
    }

    /// Makes a store that ends with the process, for a cluster that lives no longer than its driver.
    ///
    /// # Errors
    /// When memory is short.
    pub(crate) fn in_memory() -> StoreResult<RedbStore> {
        RedbStore::over(::redb::backends::InMemoryBackend::new())
    }

    /// Becomes the writer: every later write of an earlier one is refused.
    fn start(database: Database) -> StoreResult<RedbStore> {
        let commit = begin(&database)?;
        let (generation, revision) = {
            // The tables are made at once, so that a reader finds them.
            commit.open_table(ENTRIES).map_err(failed)?;
            commit.open_table(HELD).map_err(failed)?;
            commit.open_table(LEASES).map_err(failed)?;
            let mut numbers = commit.open_table(NUMBERS).map_err(failed)?;
            let number = |name| -> StoreResult<u64> {
                Ok(numbers.get(name).map_err(failed)?.map_or(0, |n| n.value()))
            };
            let format = number("format")?;
            if format > FORMAT {
                return Err(StoreError::Failed(format!(
                    "the file has format {format} and this build knows {FORMAT}; use a newer build"
                )));
            }
            let (generation, revision) = (number("generation")? + 1, number("revision")?);
            numbers.insert("format", FORMAT).map_err(failed)?;
            numbers.insert("generation", generation).map_err(failed)?;
            (generation, Revision(revision))
        };
        commit.commit().map_err(failed)?;
        Ok(RedbStore {
            database,
            generation,
            writer: Mutex::default(),
            feed: Feed::new(revision),
        })
    }

    /// Runs `change` in one commit; its events are published once the commit is on the disk.
    fn commit<R>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> StoreResult<Change<R>>,
    ) -> StoreResult<R> {
        let commit = begin(&self.database)?;
        let done = {
            let mut tables = Tables::open(&commit, self.generation)?;
            change(&mut tables)?
        };
        match done {
            Change::Keep(result, events) => {
                commit.commit().map_err(failed)?;
                self.feed.publish(events);
                Ok(result)
            }
            Change::Drop(result) => {
                commit.abort().map_err(failed)?;
                Ok(result)
            }
        }
    }

    fn end(&self, lease: StoreLease) -> StoreResult<()> {
        self.commit(|tables| {
            let known = tables.leases.remove(lease.0).map_err(failed)?.is_some();
            if !known {
                return Err(StoreError::NoLease(lease.0));
            }
            let revision = tables.next("revision").map(Revision)?;
            let mut events = Vec::new();
            for key in tables.held_by(lease)? {
                tables.remove(&key)?;
                events.push(Event {
                    revision,
                    key,
                    value: None,
                });
            }
            Ok(Change::Keep((), events))
        })
    }
}

impl ControlStore for RedbStore {
    fn generation(&self) -> u64 {
        self.generation
    }

    fn revision(&self) -> StoreResult<Revision> {
        let read = self.database.begin_read().map_err(failed)?;
        let numbers = read.open_table(NUMBERS).map_err(failed)?;
        let number = numbers.get("revision").map_err(failed)?;
        Ok(Revision(number.map_or(0, |number| number.value())))
    }

    fn get(&self, key: &Key) -> StoreResult<Option<Entry>> {
        let read = self.database.begin_read().map_err(failed)?;
        let entries = read.open_table(ENTRIES).map_err(failed)?;
        let found = entries.get(raw(key).as_slice()).map_err(failed)?;
        found.map(|found| parse_entry(found.value())).transpose()
    }

    fn scan(&self, room: Room, prefix: &str) -> StoreResult<(Vec<(Key, Entry)>, Revision)> {
        let read = self.database.begin_read().map_err(failed)?;
        let entries = read.open_table(ENTRIES).map_err(failed)?;
        let numbers = read.open_table(NUMBERS).map_err(failed)?;
        let revision = numbers.get("revision").map_err(failed)?;
        let revision = Revision(revision.map_or(0, |number| number.value()));
        let from = raw(&Key::new(room, prefix));
        let mut found = Vec::new();
        for entry in entries.range(from.as_slice()..).map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            if !key.value().starts_with(&from) {
                break;
            }
            found.push((parse_key(room, key.value())?, parse_entry(value.value())?));
        }
        Ok((found, revision))
    }

    fn txn(&self, txn: Txn) -> StoreResult<Outcome> {
        let _in_order = self.writer.lock();
        self.commit(|tables| {
            for (key, expected) in txn.checks {
                let found = tables.entry(&key)?.map(|entry| entry.revision);
                if found != expected {
                    return Ok(Change::Drop(Outcome::Conflict { key, found }));
                }
            }
            let revision = tables.next("revision").map(Revision)?;
            let mut events = Vec::new();
            for write in txn.writes {
                let (key, value) = match write {
                    Write::Put { key, value, lease } => {
                        tables.insert(&key, &value, lease, revision)?;
                        (key, Some(value))
                    }
                    Write::Delete { key } => {
                        if !tables.remove(&key)? {
                            continue;
                        }
                        (key, None)
                    }
                };
                events.push(Event {
                    revision,
                    key,
                    value,
                });
            }
            Ok(Change::Keep(Outcome::Done(revision), events))
        })
    }

    fn watch(&self, room: Room, after: Revision) -> StoreResult<Watch> {
        self.feed.watch(room, after)
    }

    fn lease(&self, ttl: Duration, now: Time) -> StoreResult<StoreLease> {
        let mut writer = self.writer.lock();
        let lease = self.commit(|tables| {
            let lease = tables.next("lease")?;
            let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
            tables.leases.insert(lease, millis).map_err(failed)?;
            Ok(Change::Keep(StoreLease(lease), Vec::new()))
        })?;
        writer.ends.insert(lease, now + ttl);
        Ok(lease)
    }

    fn keep_alive(&self, lease: StoreLease, now: Time) -> StoreResult<()> {
        let mut writer = self.writer.lock();
        let read = self.database.begin_read().map_err(failed)?;
        let leases = read.open_table(LEASES).map_err(failed)?;
        let millis = leases.get(lease.0).map_err(failed)?;
        let millis = millis.ok_or(StoreError::NoLease(lease.0))?.value();
        writer
            .ends
            .insert(lease, now + Duration::from_millis(millis));
        Ok(())
    }

    fn end_lease(&self, lease: StoreLease) -> StoreResult<()> {
        let mut writer = self.writer.lock();
        self.end(lease)?;
        writer.ends.remove(&lease);
        Ok(())
    }

    fn expire(&self, now: Time) -> StoreResult<Vec<StoreLease>> {
        let mut writer = self.writer.lock();
        let read = self.database.begin_read().map_err(failed)?;
        let leases = read.open_table(LEASES).map_err(failed)?;
        let mut over = Vec::new();
        for lease in leases.iter().map_err(failed)? {
            let (lease, millis) = lease.map_err(failed)?;
            let (lease, ttl) = (
                StoreLease(lease.value()),
                Duration::from_millis(millis.value()),
            );
            // Whoever holds a lease of an earlier head gets its whole time to find the new one.
            if *writer.ends.entry(lease).or_insert(now + ttl) <= now {
                over.push(lease);
            }
        }
        for lease in &over {
            self.end(*lease)?;
            writer.ends.remove(lease);
        }
        Ok(over)
    }
}

/// What to do with a commit that was prepared.
enum Change<R> {
    Keep(R, Vec<Event>),
    Drop(R),
}

/// The tables of one commit.
struct Tables<'t> {
    entries: ::redb::Table<'t, &'static [u8], &'static [u8]>,
    held: ::redb::Table<'t, &'static [u8], ()>,
    leases: ::redb::Table<'t, u64, u64>,
    numbers: ::redb::Table<'t, &'static str, u64>,
}

impl<'t> Tables<'t> {
    fn open(commit: &'t WriteTransaction, mine: u64) -> StoreResult<Tables<'t>> {
        let tables = Tables {
            entries: commit.open_table(ENTRIES).map_err(failed)?,
            held: commit.open_table(HELD).map_err(failed)?,
            leases: commit.open_table(LEASES).map_err(failed)?,
            numbers: commit.open_table(NUMBERS).map_err(failed)?,
        };
        let current = tables.number("generation")?;
        if current != mine {
            return Err(StoreError::Fenced { mine, current });
        }
        Ok(tables)
    }

    fn number(&self, name: &str) -> StoreResult<u64> {
        let number = self.numbers.get(name).map_err(failed)?;
        Ok(number.map_or(0, |number| number.value()))
    }

    /// Returns the next value of a counter.
    fn next(&mut self, name: &str) -> StoreResult<u64> {
        let next = self.number(name)? + 1;
        self.numbers.insert(name, next).map_err(failed)?;
        Ok(next)
    }

    fn entry(&self, key: &Key) -> StoreResult<Option<Entry>> {
        let found = self.entries.get(raw(key).as_slice()).map_err(failed)?;
        found.map(|found| parse_entry(found.value())).transpose()
    }

    fn insert(
        &mut self,
        key: &Key,
        value: &[u8],
        lease: Option<StoreLease>,
        revision: Revision,
    ) -> StoreResult<()> {
        self.remove(key)?;
        if let Some(lease) = lease {
            if self.leases.get(lease.0).map_err(failed)?.is_none() {
                return Err(StoreError::NoLease(lease.0));
            }
            let held = held_key(lease, key);
            self.held.insert(held.as_slice(), ()).map_err(failed)?;
        }
        let mut bytes = Vec::with_capacity(16 + value.len());
        bytes.extend_from_slice(&revision.0.to_le_bytes());
        bytes.extend_from_slice(&lease.map_or(0, |lease| lease.0).to_le_bytes());
        bytes.extend_from_slice(value);
        self.entries
            .insert(raw(key).as_slice(), bytes.as_slice())
            .map_err(failed)?;
        Ok(())
    }

    fn remove(&mut self, key: &Key) -> StoreResult<bool> {
        let Some(entry) = self.entry(key)? else {
            return Ok(false);
        };
        if let Some(lease) = entry.lease {
            let held = held_key(lease, key);
            self.held.remove(held.as_slice()).map_err(failed)?;
        }
        self.entries.remove(raw(key).as_slice()).map_err(failed)?;
        Ok(true)
    }

    fn held_by(&self, lease: StoreLease) -> StoreResult<Vec<Key>> {
        let from = lease.0.to_be_bytes();
        let mut keys = Vec::new();
        for held in self.held.range(from.as_slice()..).map_err(failed)? {
            let (held, _) = held.map_err(failed)?;
            let Some(key) = held.value().strip_prefix(&from) else {
                break;
            };
            let room = key.first().copied().and_then(room_of);
            let room = room.ok_or_else(|| StoreError::Failed("a key of no room".into()))?;
            keys.push(parse_key(room, key)?);
        }
        Ok(keys)
    }
}

fn begin(database: &Database) -> StoreResult<WriteTransaction> {
    database.begin_write().map_err(failed)
}

fn raw(key: &Key) -> Vec<u8> {
    let mut raw = vec![key.room.tag()];
    raw.extend_from_slice(key.name.as_bytes());
    raw
}

fn held_key(lease: StoreLease, key: &Key) -> Vec<u8> {
    let mut held = lease.0.to_be_bytes().to_vec();
    held.extend_from_slice(&raw(key));
    held
}

fn room_of(tag: u8) -> Option<Room> {
    [
        Room::Nodes,
        Room::Jobs,
        Room::Actors,
        Room::Names,
        Room::Groups,
        Room::Executables,
        Room::Tokens,
    ]
    .into_iter()
    .find(|room| room.tag() == tag)
}

fn parse_key(room: Room, raw: &[u8]) -> StoreResult<Key> {
    let name = std::str::from_utf8(raw.get(1..).unwrap_or_default());
    let name = name.map_err(|_| StoreError::Failed("a key that is no text".into()))?;
    Ok(Key::new(room, name))
}

fn parse_entry(bytes: &[u8]) -> StoreResult<Entry> {
    let parsed = bytes.split_first_chunk::<8>().and_then(|(revision, rest)| {
        let (lease, value) = rest.split_first_chunk::<8>()?;
        Some((
            u64::from_le_bytes(*revision),
            u64::from_le_bytes(*lease),
            value,
        ))
    });
    let (revision, lease, value) =
        parsed.ok_or_else(|| StoreError::Failed("an entry is cut short".into()))?;
    Ok(Entry {
        value: value.to_vec(),
        revision: Revision(revision),
        lease: (lease != 0).then_some(StoreLease(lease)),
    })
}

fn failed(error: impl Into<::redb::Error>) -> StoreError {
    let error = error.into();
    match &error {
        ::redb::Error::Io(io)
            if matches!(io.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
        {
            StoreError::DiskFull(error.to_string())
        }
        _ => StoreError::Failed(error.to_string()),
    }
}
