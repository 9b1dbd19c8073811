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

mod tables;

use std::{
    collections::BTreeMap, fs::OpenOptions, os::unix::fs::OpenOptionsExt as _, path::Path,
    sync::Arc, time::Duration,
};

use ::redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase as _, ReadableTable as _,
    StorageBackend, WriteTransaction,
    backends::{FileBackend, InMemoryBackend},
};
use parking_lot::{Mutex, RwLock};
use ray_engine::time::Time;

use self::tables::{ENTRIES, HELD, LEASES, NUMBERS, Tables, failed, parse_entry, parse_key, raw};
use super::{
    ControlStore, Entry, Event, Key, Outcome, Revision, Room, StoreError, StoreLease, StoreResult,
    Txn, Watch, Write, feed::Feed,
};

/// The layout drawn above.
const FORMAT: u64 = 1;
/// Pages of the file kept in memory; bytes.
const CACHE_BYTES: usize = 16 << 20;

/// A [`ControlStore`] in one file.
///
/// After a failed write the database trusts its memory no more, so it is closed, and opened again by
/// whoever next needs it: a disk that was full goes on when there is room.
pub(crate) struct RedbStore {
    open: Box<Opener>,
    /// `None` after a failure, until it is opened again.
    database: RwLock<Option<Arc<Database>>>,
    generation: u64,
    /// Held over a commit and the news of it, so that watchers see the order of the commits.
    writer: Mutex<Writer>,
    feed: Arc<Feed>,
}

type Opener = dyn Fn() -> StoreResult<Database> + Send + Sync;

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
        let path = path.to_owned();
        RedbStore::start(Box::new(move || open_file(&path)))
    }

    /// Opens a store over a device of the caller's own.
    ///
    /// # Errors
    /// What the device refused.
    pub(crate) fn over<B: StorageBackend>(
        device: impl Fn() -> B + Send + Sync + 'static,
    ) -> StoreResult<RedbStore> {
        RedbStore::start(Box::new(move || {
            let mut builder = Database::builder();
            builder.set_cache_size(CACHE_BYTES);
            builder.create_with_backend(device()).map_err(failed)
        }))
    }

    /// Makes a store that ends with the process, for a cluster that lives no longer than its driver.
    ///
    /// # Errors
    /// When memory is short.
    pub(crate) fn in_memory() -> StoreResult<RedbStore> {
        RedbStore::over(InMemoryBackend::new)
    }

    /// Becomes the writer: every later write of an earlier one is refused.
    fn start(open: Box<Opener>) -> StoreResult<RedbStore> {
        let database = open()?;
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
            open,
            database: RwLock::new(Some(Arc::new(database))),
            generation,
            writer: Mutex::default(),
            feed: Feed::new(revision),
        })
    }

    /// Returns the database, opening it again after a failure.
    fn database(&self) -> StoreResult<Arc<Database>> {
        if let Some(database) = &*self.database.read() {
            return Ok(database.clone());
        }
        let mut slot = self.database.write();
        if let Some(database) = &*slot {
            return Ok(database.clone());
        }
        // That no other head came in between is checked at the next write.
        let database = Arc::new((self.open)()?);
        self.feed.resume(last_revision(&database)?);
        *slot = Some(database.clone());
        Ok(database)
    }

    fn read(&self) -> StoreResult<ReadTransaction> {
        self.database()?.begin_read().map_err(failed)
    }

    /// Runs `change` in one commit; its events are published once the commit is on the disk.
    fn commit<R>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> StoreResult<Change<R>>,
    ) -> StoreResult<R> {
        let done = self.try_commit(change);
        if matches!(done, Err(StoreError::DiskFull(_) | StoreError::Failed(_))) {
            *self.database.write() = None;
        }
        done
    }

    fn try_commit<R>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> StoreResult<Change<R>>,
    ) -> StoreResult<R> {
        let database = self.database()?;
        let commit = begin(&database)?;
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
        last_revision(&*self.database()?)
    }

    fn get(&self, key: &Key) -> StoreResult<Option<Entry>> {
        let read = self.read()?;
        let entries = read.open_table(ENTRIES).map_err(failed)?;
        let found = entries.get(raw(key).as_slice()).map_err(failed)?;
        found.map(|found| parse_entry(found.value())).transpose()
    }

    fn scan(&self, room: Room, prefix: &str) -> StoreResult<(Vec<(Key, Entry)>, Revision)> {
        let read = self.read()?;
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
        let read = self.read()?;
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
        let read = self.read()?;
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

fn open_file(path: &Path) -> StoreResult<Database> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| StoreError::Failed(format!("{}: {error}", path.display())))?;
    let database = FileBackend::new(file).and_then(|backend| {
        Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(backend)
    });
    database.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.display().to_string()),
        other => StoreError::Failed(format!("{}: {other}", path.display())),
    })
}

/// What to do with a commit that was prepared.
enum Change<R> {
    Keep(R, Vec<Event>),
    Drop(R),
}

fn last_revision(database: &Database) -> StoreResult<Revision> {
    let read = database.begin_read().map_err(failed)?;
    let numbers = read.open_table(NUMBERS).map_err(failed)?;
    let number = numbers.get("revision").map_err(failed)?;
    Ok(Revision(number.map_or(0, |number| number.value())))
}

fn begin(database: &Database) -> StoreResult<WriteTransaction> {
    database.begin_write().map_err(failed)
}
