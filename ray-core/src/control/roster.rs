//! What a head must find again after it was killed: who it was, whom it let in, which actors and placement groups
//! outlive jobs.

use std::{collections::BTreeMap, sync::Arc};

use ray_engine::ids::{ActorId, GroupId, ProcessId};
use rkyv::rancor;
use serde::{Deserialize, Serialize};

use super::{
    actors::ActorOnRecord,
    names::NameOnRecord,
    store::{ControlStore, Key, Room},
};
use crate::{Error, Result, store::AlignedBytes, wire::GroupCreation};

/// The store as the head's memory of its cluster.
pub(crate) struct Roster {
    store: Arc<dyn ControlStore>,
}

/// What a head keeps over its starts, so that nodes and workers find it where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeadOnRecord {
    pub process: u64,
    /// Where its data connections arrive, UDP.
    pub port: u16,
}

/// A node or a driver that was let in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct NodeOnRecord {
    pub process: u64,
    pub name: String,
    /// What it was let in by.
    pub token_id: String,
    /// The job that it is the driver of; `None` for a node that runs work.
    pub job: Option<u64>,
}

const HEAD: &str = "head";
/// Begins the names of certificates that count no more.
const REVOKED: &str = "revoked-";

impl Roster {
    pub(crate) fn new(store: Arc<dyn ControlStore>) -> Roster {
        Roster { store }
    }

    /// Returns which start of the head this is.
    pub(crate) fn generation(&self) -> u64 {
        self.store.generation()
    }

    /// Returns who the head was, if there was one.
    pub(crate) fn head(&self) -> Result<Option<HeadOnRecord>> {
        let found = self
            .store
            .get(&Key::new(Room::Nodes, HEAD))
            .map_err(stored)?;
        Ok(found.and_then(|entry| serde_json::from_slice(&entry.value).ok()))
    }

    pub(crate) fn keep_head(&self, head: HeadOnRecord) -> Result<()> {
        self.put(Key::new(Room::Nodes, HEAD), &head)
    }

    /// Returns the nodes and drivers that may come back.
    pub(crate) fn nodes(&self) -> Result<Vec<NodeOnRecord>> {
        let (entries, _) = self.store.scan(Room::Nodes, "p").map_err(stored)?;
        let read = |(key, entry): (Key, super::store::Entry)| {
            serde_json::from_slice(&entry.value)
                .map_err(|error| tracing::error!(%key, %error, "a node in the store is unreadable"))
                .ok()
        };
        Ok(entries.into_iter().filter_map(read).collect())
    }

    pub(crate) fn keep_node(&self, node: &NodeOnRecord) -> Result<()> {
        self.put(node_key(ProcessId(node.process)), node)
    }

    /// A node does not come back.
    pub(crate) fn forget_node(&self, process: ProcessId) -> Result<()> {
        let deleted = self.store.delete(node_key(process));
        deleted.map(drop).map_err(stored)
    }

    /// Returns the actors that outlive their jobs.
    pub(crate) fn actors(&self) -> Result<BTreeMap<ActorId, ActorOnRecord>> {
        let (entries, _) = self.store.scan(Room::Actors, "").map_err(stored)?;
        let read = |(key, entry): (Key, super::store::Entry)| {
            let mut bytes = AlignedBytes::new();
            bytes.extend_from_slice(&entry.value);
            rkyv::from_bytes::<ActorOnRecord, rancor::Error>(&bytes)
                .map(|actor| (actor.creation.actor, actor))
                .map_err(
                    |error| tracing::error!(%key, %error, "an actor in the store is unreadable"),
                )
                .ok()
        };
        Ok(entries.into_iter().filter_map(read).collect())
    }

    pub(crate) fn keep_actor(&self, actor: &ActorOnRecord) -> Result<()> {
        let bytes = rkyv::to_bytes::<rancor::Error>(actor);
        let bytes = bytes.map_err(|error| Error::System(error.to_string()))?;
        let key = actor_key(actor.creation.actor);
        let put = self.store.put(key, bytes.to_vec());
        put.map(drop).map_err(stored)
    }

    pub(crate) fn forget_actor(&self, actor: ActorId) -> Result<()> {
        let deleted = self.store.delete(actor_key(actor));
        deleted.map(drop).map_err(stored)
    }

    /// Returns the names that actors had.
    pub(crate) fn names(&self) -> Result<Vec<NameOnRecord>> {
        let (entries, _) = self.store.scan(Room::Names, "").map_err(stored)?;
        let read = |(key, entry): (Key, super::store::Entry)| {
            let mut bytes = AlignedBytes::new();
            bytes.extend_from_slice(&entry.value);
            rkyv::from_bytes::<NameOnRecord, rancor::Error>(&bytes)
                .map_err(|error| tracing::error!(%key, %error, "a name in the store is unreadable"))
                .ok()
        };
        Ok(entries.into_iter().filter_map(read).collect())
    }

    pub(crate) fn keep_name(&self, name: &NameOnRecord) -> Result<()> {
        let bytes = rkyv::to_bytes::<rancor::Error>(name);
        let bytes = bytes.map_err(|error| Error::System(error.to_string()))?;
        let put = self.store.put(name_key(name.actor), bytes.to_vec());
        put.map(drop).map_err(stored)
    }

    pub(crate) fn forget_name(&self, actor: ActorId) -> Result<()> {
        let deleted = self.store.delete(name_key(actor));
        deleted.map(drop).map_err(stored)
    }

    /// Returns the placement groups that outlive their jobs.
    pub(crate) fn groups(&self) -> Result<Vec<GroupCreation>> {
        let (entries, _) = self.store.scan(Room::Groups, "").map_err(stored)?;
        let read = |(key, entry): (Key, super::store::Entry)| {
            let mut bytes = AlignedBytes::new();
            bytes.extend_from_slice(&entry.value);
            rkyv::from_bytes::<GroupCreation, rancor::Error>(&bytes)
                .map_err(
                    |error| tracing::error!(%key, %error, "a group in the store is unreadable"),
                )
                .ok()
        };
        Ok(entries.into_iter().filter_map(read).collect())
    }

    pub(crate) fn keep_group(&self, group: &GroupCreation) -> Result<()> {
        let bytes = rkyv::to_bytes::<rancor::Error>(group);
        let bytes = bytes.map_err(|error| Error::System(error.to_string()))?;
        let put = self.store.put(group_key(group.group), bytes.to_vec());
        put.map(drop).map_err(stored)
    }

    pub(crate) fn forget_group(&self, group: GroupId) -> Result<()> {
        let deleted = self.store.delete(group_key(group));
        deleted.map(drop).map_err(stored)
    }

    /// Keeps that a certificate counts no more until it ends by itself; wall-clock seconds.
    pub(crate) fn keep_revoked(&self, process: ProcessId, until_s: u64) -> Result<()> {
        self.put(revoked_key(process), &(process.0, until_s))
    }

    /// Returns whose certificates count no more; forgets those that have ended.
    pub(crate) fn revoked(&self, now_s: u64) -> Result<Vec<ProcessId>> {
        let (entries, _) = self.store.scan(Room::Nodes, REVOKED).map_err(stored)?;
        let mut revoked = Vec::new();
        for (key, entry) in entries {
            match serde_json::from_slice::<(u64, u64)>(&entry.value) {
                Ok((process, until_s)) if now_s <= until_s => revoked.push(ProcessId(process)),
                Ok(_) => drop(self.store.delete(key).map_err(stored)?),
                Err(error) => tracing::error!(%key, %error, "a revocation is unreadable"),
            }
        }
        Ok(revoked)
    }

    fn put(&self, key: Key, value: &impl Serialize) -> Result<()> {
        let value = serde_json::to_vec(value).map_err(|error| Error::System(error.to_string()))?;
        self.store.put(key, value).map(drop).map_err(stored)
    }
}

fn node_key(process: ProcessId) -> Key {
    Key::new(Room::Nodes, process.to_string())
}

fn revoked_key(process: ProcessId) -> Key {
    Key::new(Room::Nodes, format!("{REVOKED}{process}"))
}

fn group_key(group: GroupId) -> Key {
    Key::new(Room::Groups, group.to_string())
}

fn name_key(actor: ActorId) -> Key {
    Key::new(Room::Names, actor.to_string())
}

fn actor_key(actor: ActorId) -> Key {
    Key::new(Room::Actors, actor.to_string())
}

fn stored(error: impl std::fmt::Display) -> Error {
    Error::System(error.to_string())
}

#[cfg(test)]
mod tests {
    use ray_engine::{
        ids::JobId,
        resources::{Amount, Resources},
        spec::PlacementStrategy,
    };

    use super::*;
    use crate::control::store::redb::RedbStore;

    #[test]
    fn head_and_nodes_are_found_again_until_they_are_forgotten() {
        let store: Arc<dyn ControlStore> = Arc::new(RedbStore::in_memory().expect("a store"));
        let roster = Roster::new(store);
        assert_eq!(roster.head().ok(), Some(None));
        let head = HeadOnRecord {
            process: 1 << 28,
            port: 4242,
        };
        roster.keep_head(head).expect("written");
        let node = NodeOnRecord {
            process: 2 << 28,
            name: "second".into(),
            token_id: "ab".into(),
            job: None,
        };
        roster.keep_node(&node).expect("written");
        assert_eq!(roster.head().ok(), Some(Some(head)));
        assert_eq!(roster.nodes().ok(), Some(vec![node.clone()]));
        roster
            .forget_node(ProcessId(node.process))
            .expect("written");
        assert_eq!(roster.nodes().ok(), Some(Vec::new()));
    }

    #[test]
    fn a_detached_group_is_found_again_until_it_is_forgotten() {
        let store: Arc<dyn ControlStore> = Arc::new(RedbStore::in_memory().expect("a store"));
        let roster = Roster::new(store);
        let group = GroupId {
            owner: ProcessId(3),
            index: 7,
        };
        let creation = GroupCreation {
            group,
            name: Some(("space".into(), "pool".into())),
            bundles: vec![Resources::new().with(Resources::CPU, Amount::ONE)],
            strategy: PlacementStrategy::Spread,
            job: JobId(5),
            detached: true,
        };
        roster.keep_group(&creation).expect("written");
        let found = roster.groups().expect("readable");
        assert_eq!(found, [creation]);
        roster.forget_group(group).expect("written");
        assert_eq!(roster.groups().ok(), Some(Vec::new()));
    }

    #[test]
    fn a_name_is_found_again_until_it_is_forgotten() {
        let store: Arc<dyn ControlStore> = Arc::new(RedbStore::in_memory().expect("a store"));
        let roster = Roster::new(store);
        let name = NameOnRecord {
            actor: ActorId {
                owner: ProcessId(3),
                index: 7,
            },
            namespace: "space".into(),
            name: "counter".into(),
        };
        roster.keep_name(&name).expect("written");
        assert_eq!(roster.names().ok(), Some(vec![name.clone()]));
        roster.forget_name(name.actor).expect("written");
        assert_eq!(roster.names().ok(), Some(Vec::new()));
    }

    #[test]
    fn a_revocation_is_kept_until_the_certificate_ends_by_itself() {
        let store: Arc<dyn ControlStore> = Arc::new(RedbStore::in_memory().expect("a store"));
        let roster = Roster::new(store);
        let process = ProcessId(2 << 28);
        roster.keep_revoked(process, 100).expect("written");
        assert_eq!(roster.nodes().ok(), Some(Vec::new()), "it is no node");
        assert_eq!(roster.revoked(100).ok(), Some(vec![process]));
        assert_eq!(roster.revoked(101).ok(), Some(Vec::new()));
        assert_eq!(roster.revoked(100).ok(), Some(Vec::new()), "forgotten");
    }
}
