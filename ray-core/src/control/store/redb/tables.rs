//! Keys, values and tables of the file; `redb` draws them.

use std::io::ErrorKind;

use ::redb::{ReadableTable as _, TableDefinition, WriteTransaction};

use super::super::{Entry, Key, Revision, Room, StoreError, StoreLease, StoreResult};

pub(super) const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");
pub(super) const HELD: TableDefinition<'_, &[u8], ()> = TableDefinition::new("held");
pub(super) const LEASES: TableDefinition<'_, u64, u64> = TableDefinition::new("leases");
pub(super) const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

/// The tables of one commit.
pub(super) struct Tables<'t> {
    pub(super) entries: ::redb::Table<'t, &'static [u8], &'static [u8]>,
    pub(super) held: ::redb::Table<'t, &'static [u8], ()>,
    pub(super) leases: ::redb::Table<'t, u64, u64>,
    pub(super) numbers: ::redb::Table<'t, &'static str, u64>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(commit: &'t WriteTransaction, mine: u64) -> StoreResult<Tables<'t>> {
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

    pub(super) fn number(&self, name: &str) -> StoreResult<u64> {
        let number = self.numbers.get(name).map_err(failed)?;
        Ok(number.map_or(0, |number| number.value()))
    }

    /// Returns the next value of a counter.
    pub(super) fn next(&mut self, name: &str) -> StoreResult<u64> {
        let next = self.number(name)? + 1;
        self.numbers.insert(name, next).map_err(failed)?;
        Ok(next)
    }

    pub(super) fn entry(&self, key: &Key) -> StoreResult<Option<Entry>> {
        let found = self.entries.get(raw(key).as_slice()).map_err(failed)?;
        found.map(|found| parse_entry(found.value())).transpose()
    }

    pub(super) fn insert(
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

    pub(super) fn remove(&mut self, key: &Key) -> StoreResult<bool> {
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

    pub(super) fn held_by(&self, lease: StoreLease) -> StoreResult<Vec<Key>> {
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

pub(super) fn raw(key: &Key) -> Vec<u8> {
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

pub(super) fn parse_key(room: Room, raw: &[u8]) -> StoreResult<Key> {
    let name = std::str::from_utf8(raw.get(1..).unwrap_or_default());
    let name = name.map_err(|_| StoreError::Failed("a key that is no text".into()))?;
    Ok(Key::new(room, name))
}

pub(super) fn parse_entry(bytes: &[u8]) -> StoreResult<Entry> {
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

pub(super) fn failed(error: impl Into<::redb::Error>) -> StoreError {
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
