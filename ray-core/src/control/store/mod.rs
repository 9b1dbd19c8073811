//! The store of the control state: what a head must still know after it was killed.
//!
//! One trait, so that an embedded file, Redis or etcd can stand behind it; `conformance` is the list
//! that each of them passes. Every write is one transaction with the next revision; what returned is
//! on the disk. A store has one writer: opening it raises its generation, and a writer of an older
//! generation is refused at its next write.

mod feed;
pub(crate) mod redb;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod crash;

use std::{fmt, time::Duration};

use ray_engine::time::Time;

pub(crate) use self::feed::Watch;

/// Which kind of thing a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Room {
    /// Machines of the cluster.
    Nodes,
    /// Programs that ran or run.
    Jobs,
    /// Actors and their specifications.
    Actors,
    /// Names of actors, with their namespace.
    Names,
    /// Placement groups.
    Groups,
    /// Executables by the hash of their content.
    Executables,
    /// Hashes of the tokens that let somebody in.
    Tokens,
}

impl Room {
    /// Returns the byte that begins each of its keys; a number once given stays.
    fn tag(self) -> u8 {
        match self {
            Room::Nodes => 1,
            Room::Jobs => 2,
            Room::Actors => 3,
            Room::Names => 4,
            Room::Groups => 5,
            Room::Executables => 6,
            Room::Tokens => 7,
        }
    }
}

/// The name of one entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    room: Room,
    name: String,
}

impl Key {
    pub(crate) fn new(room: Room, name: impl Into<String>) -> Key {
        Key {
            room,
            name: name.into(),
        }
    }

    pub(crate) fn room(&self) -> Room {
        self.room
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{}", self.room, self.name)
    }
}

/// The number of a transaction; each is one more than the one before, also across restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Revision(pub u64);

/// A promise to come back; what was written under it goes when the promise is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StoreLease(pub u64);

/// A value and the transaction that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub value: Vec<u8>,
    pub revision: Revision,
    pub lease: Option<StoreLease>,
}

/// One change of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// Sets the value, under a lease if one is given.
    Put {
        key: Key,
        value: Vec<u8>,
        lease: Option<StoreLease>,
    },
    /// Removes the entry if it is there.
    Delete { key: Key },
}

/// What must hold, and what then changes all at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Txn {
    /// The revision that each key must have; `None`: there must be no entry.
    pub checks: Vec<(Key, Option<Revision>)>,
    pub writes: Vec<Write>,
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is on the disk, under this revision.
    Done(Revision),
    /// A check did not hold: the key has this revision. Nothing changed.
    Conflict { key: Key, found: Option<Revision> },
}

/// A change that a watcher sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub revision: Revision,
    pub key: Key,
    /// `None`: the entry was removed.
    pub value: Option<Vec<u8>>,
}

/// Why the store did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StoreError {
    /// Another process has the store open.
    #[error("{0} is in use by another head; stop it first or use another run directory")]
    InUse(String),
    /// A later writer took over; this one must end.
    #[error("generation {mine} of the head was replaced by generation {current}")]
    Fenced { mine: u64, current: u64 },
    /// The lease is not known: it ended, or was never given.
    #[error("store lease {0} has ended")]
    NoLease(u64),
    /// The watcher asked for changes that are no longer kept; it must read the room anew.
    #[error("changes up to revision {0} are no longer kept; read the room anew")]
    Compacted(u64),
    /// The disk took no more; nothing of the transaction is kept.
    #[error("no room on the disk for the control store: {0}")]
    DiskFull(String),
    /// The file system or the file failed.
    #[error("the control store failed: {0}")]
    Failed(String),
}

/// What a result of the store is.
pub(crate) type StoreResult<T> = Result<T, StoreError>;

/// A small durable map with transactions, watches and leases.
pub(crate) trait ControlStore: Send + Sync + 'static {
    /// Returns which opening of the store this is, from 1; later writers have larger numbers.
    fn generation(&self) -> u64;

    /// Returns the last transaction's number.
    fn revision(&self) -> StoreResult<Revision>;

    /// Returns the entry of a key.
    fn get(&self, key: &Key) -> StoreResult<Option<Entry>>;

    /// Returns the entries of a room whose names begin with `prefix`, in the order of their names,
    /// and the revision at which this was so.
    fn scan(&self, room: Room, prefix: &str) -> StoreResult<(Vec<(Key, Entry)>, Revision)>;

    /// Carries out a transaction: all of it or nothing.
    fn txn(&self, txn: Txn) -> StoreResult<Outcome>;

    /// Follows a room from the change after `after` on.
    fn watch(&self, room: Room, after: Revision) -> StoreResult<Watch>;

    /// Gives a lease that ends `ttl` after `now` unless it is kept alive.
    fn lease(&self, ttl: Duration, now: Time) -> StoreResult<StoreLease>;

    /// Makes a lease last from `now` again.
    fn keep_alive(&self, lease: StoreLease, now: Time) -> StoreResult<()>;

    /// Ends a lease and removes what was written under it.
    fn end_lease(&self, lease: StoreLease) -> StoreResult<()>;

    /// Ends the leases whose time is over; returns them.
    fn expire(&self, now: Time) -> StoreResult<Vec<StoreLease>>;

    /// Sets a value, whatever was there.
    fn put(&self, key: Key, value: Vec<u8>) -> StoreResult<Revision> {
        let write = Write::Put {
            key,
            value,
            lease: None,
        };
        self.write(write)
    }

    /// Removes an entry if it is there.
    fn delete(&self, key: Key) -> StoreResult<Revision> {
        self.write(Write::Delete { key })
    }

    /// Carries out one change without a condition.
    fn write(&self, write: Write) -> StoreResult<Revision> {
        let txn = Txn {
            checks: Vec::new(),
            writes: vec![write],
        };
        match self.txn(txn)? {
            Outcome::Done(revision) => Ok(revision),
            Outcome::Conflict { key, .. } => Err(StoreError::Failed(format!(
                "a write of {key} without a condition had a conflict"
            ))),
        }
    }

    /// Sets a value if the entry still has the revision `expected`, `None` for no entry.
    fn cas(&self, key: Key, expected: Option<Revision>, value: Vec<u8>) -> StoreResult<Outcome> {
        self.txn(Txn {
            checks: vec![(key.clone(), expected)],
            writes: vec![Write::Put {
                key,
                value,
                lease: None,
            }],
        })
    }
}
