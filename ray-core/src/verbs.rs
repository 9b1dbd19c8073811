//! The verbs of the front door.

use std::{collections::HashSet, net::SocketAddr, time::Duration};

use ray_engine::{ids::NodeId, resources::Resources};

use crate::{
    AnyRef, Config, Data, Error, ObjectRef, Ray, Result, data, runtime,
    wire::{Message, QuestionMessage},
};

/// Starts the runtime: an embedded node with worker processes, which end when the result is dropped.
///
/// In a process that was started as a worker it runs the worker and does not return: call it first.
///
/// # Errors
/// A second `init` in one process, or what the system refused.
pub fn init() -> Result<Ray> {
    Config::new().init()
}

/// Stores a value in the node's shared memory and returns a reference to it.
///
/// Waits while room is made there; when all of it is in use the value lies in a file of the node instead.
///
/// # Errors
/// `OutOfDisk` when there is no room for either, `ObjectStoreFull` when it is larger than the store.
pub fn put<T: Data>(value: &T) -> Result<ObjectRef<T>> {
    put_with(value, PutOptions::default())
}

/// How many copies of a value to keep, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutOptions {
    /// Copies on different nodes; default 1.
    pub replicas: u32,
    /// Whether the value outlives its owner; default not.
    pub durable: bool,
}

impl Default for PutOptions {
    fn default() -> Self {
        PutOptions {
            replicas: 1,
            durable: false,
        }
    }
}

/// Stores a value with options; see [`put`].
///
/// # Errors
/// As [`put`], and `InvalidOption` for what one node cannot give.
pub fn put_with<T: Data>(value: &T, options: PutOptions) -> Result<ObjectRef<T>> {
    if options.replicas != 1 || options.durable {
        return Err(Error::InvalidOption {
            option: if options.durable {
                "durable"
            } else {
                "replicas"
            }
            .into(),
            reason: "a single node keeps one copy, in its owner's life; leave it at the default"
                .into(),
        });
    }
    let runtime = runtime::current()?;
    let encoded = data::encode(value, PUT_INLINE_BYTES, &runtime)?;
    Ok(ObjectRef::from_any(runtime.put_encoded(encoded)?))
}

/// A `put` is always in shared memory, so that every process can view it; empty archives need no place.
const PUT_INLINE_BYTES: usize = 0;

/// Waits for all values, in order; the first failure found ends the wait at once.
///
/// # Errors
/// As [`ObjectRef::get`].
pub fn get_all<T: Data>(refs: &[ObjectRef<T>]) -> Result<Vec<T>> {
    let ids = refs.iter().map(ObjectRef::id).collect::<Vec<_>>();
    let runtime = runtime::current()?;
    let values = runtime.get_values(&ids, None)?;
    // One after the other: all of them together may be more than the store holds.
    values
        .into_iter()
        .map(|value| {
            let held = runtime.hold(value, None)?;
            Ok(data::decode::<T>(&held)?)
        })
        .collect()
}

/// Waits until `num_returns` of the references are ready; returns them and the rest, each in input order.
///
/// Never more than `num_returns` are in the first list. Without `timeout` it waits as long as it takes.
/// Ready means that the value is on this node, or that there will be none: `get` says which. Values of other
/// nodes are brought here meanwhile, after those that somebody blocks in `get` for; what is still on its way
/// at the end is given up soon, unless somebody asks again.
///
/// # Errors
/// `InvalidOption` for duplicates or a count outside `1..=refs.len()`; an empty list is two empty lists.
pub fn wait<T>(
    refs: &[ObjectRef<T>],
    num_returns: usize,
    timeout: impl Into<Option<Duration>>,
) -> Result<(Vec<ObjectRef<T>>, Vec<ObjectRef<T>>)> {
    let untyped = refs.iter().map(ObjectRef::erase).collect::<Vec<_>>();
    let (ready, pending) = wait_any(&untyped, num_returns, timeout)?;
    let typed = |list: Vec<AnyRef>| list.into_iter().map(ObjectRef::from_any).collect();
    Ok((typed(ready), typed(pending)))
}

/// Waits as [`wait`] does, on references to values of several types.
///
/// # Errors
/// As [`wait`].
pub fn wait_any(
    refs: &[AnyRef],
    num_returns: usize,
    timeout: impl Into<Option<Duration>>,
) -> Result<(Vec<AnyRef>, Vec<AnyRef>)> {
    let runtime = runtime::current()?;
    if refs.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    if num_returns == 0 || num_returns > refs.len() {
        return Err(Error::InvalidOption {
            option: "num_returns".into(),
            reason: format!(
                "{num_returns} is not between 1 and the {} references given",
                refs.len()
            ),
        });
    }
    let ids = refs.iter().map(AnyRef::id).collect::<Vec<_>>();
    let mut seen = HashSet::with_capacity(ids.len());
    if let Some(twice) = ids.iter().find(|id| !seen.insert(**id)) {
        return Err(Error::InvalidOption {
            option: "refs".into(),
            reason: format!("{twice} is in the list twice; wait for each reference once"),
        });
    }
    let is_ready = runtime.wait_here(&ids, num_returns, timeout.into())?;
    let mut ready = Vec::with_capacity(num_returns);
    let mut pending = Vec::new();
    for (reference, there) in refs.iter().zip(is_ready) {
        if there && ready.len() < num_returns {
            ready.push(reference.clone());
        } else {
            pending.push(reference.clone());
        }
    }
    Ok((ready, pending))
}

/// Where a value is, and how large it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectLocation {
    /// The nodes that have all of it, in the order of their ids; none while it has not been made, or when it failed
    /// or was freed.
    pub nodes: Vec<NodeId>,
    /// Its size in bytes, once it is there.
    pub size: Option<u64>,
}

/// Returns where values are, in the order of the references; it waits for none to be made.
///
/// A small value is where its owner is: in that process's memory. Its owner is asked about each.
///
/// # Errors
/// `OwnerDied` when an owner is gone, `System` when it does not answer.
pub fn object_locations(refs: &[impl AsRef<AnyRef>]) -> Result<Vec<ObjectLocation>> {
    let ids = refs.iter().map(|any| any.as_ref().id()).collect::<Vec<_>>();
    let found = runtime::current()?.whereabouts(&ids)?;
    let locations = found.into_iter();
    Ok(locations
        .map(|(nodes, size)| ObjectLocation { nodes, size })
        .collect())
}

/// Frees values now, on every node, whoever still refers to them; reading one gives `Error::ObjectFreed` from then on.
///
/// Calls that were submitted with it run with it, and its memory comes back when they have ended and nobody
/// views it any more. What has not been made yet is freed as it comes. It does not wait for other processes to
/// have heard of it.
///
/// # Errors
/// When the runtime is not running.
pub fn free(refs: &[impl AsRef<AnyRef>]) -> Result<()> {
    let ids = refs.iter().map(|any| any.as_ref().id()).collect::<Vec<_>>();
    runtime::current()?.free(&ids);
    Ok(())
}

/// How far a cancel goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelOptions {
    /// Ends the worker process of a running task; refused for methods of actors. Default not.
    pub force: bool,
    /// Cancels what the call itself submitted too. Default yes.
    pub recursive: bool,
}

impl Default for CancelOptions {
    fn default() -> Self {
        CancelOptions {
            force: false,
            recursive: true,
        }
    }
}

impl CancelOptions {
    /// Sets `force`.
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Sets `recursive`.
    pub fn recursive(mut self, recursive: bool) -> Self {
        self.recursive = recursive;
        self
    }
}

/// Cancels the call that makes the value: unstarted it never starts, running it is told.
///
/// A running sync body sees it in [`crate::RuntimeContext::is_cancelled`] and at its next wait; an async
/// one ends at its next await. A call that has finished keeps its value.
///
/// # Errors
/// When the runtime is not running.
pub fn cancel<T>(reference: &ObjectRef<T>) -> Result<()> {
    cancel_with(reference, CancelOptions::default())
}

/// Cancels with options; see [`cancel`].
///
/// # Errors
/// `InvalidOption` for `force` on a method of an actor.
pub fn cancel_with<T>(reference: &ObjectRef<T>, options: CancelOptions) -> Result<()> {
    runtime::current()?.cancel(reference.any(), options.force, options.recursive)
}

/// What is known about one node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeInfo {
    /// Its id.
    pub id: NodeId,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it takes part.
    pub alive: bool,
    /// All its resources.
    pub resources: Resources,
    /// Its worker processes.
    pub workers: u32,
}

/// Lists the nodes of the cluster.
///
/// # Errors
/// When the runtime is not running or the node does not answer.
pub fn nodes() -> Result<Vec<NodeInfo>> {
    let reply = runtime::current()?.request(QUERY_TIMEOUT, |request| {
        Message::Questions(QuestionMessage::QueryNodes { request })
    })?;
    let Message::Questions(QuestionMessage::Nodes { nodes, .. }) = reply else {
        return Err(Error::System(
            "asked for nodes and got something else".into(),
        ));
    };
    Ok(nodes
        .into_iter()
        .map(|row| NodeInfo {
            id: row.node,
            address: row.addr,
            alive: row.alive,
            resources: row.resources,
            workers: row.workers,
        })
        .collect())
}

/// Returns all resources of the cluster.
///
/// # Errors
/// When the runtime is not running or the node does not answer.
pub fn cluster_resources() -> Result<Resources> {
    query_resources().map(|(total, _)| total)
}

/// Returns the resources that no lease holds at the moment.
///
/// # Errors
/// When the runtime is not running or the node does not answer.
pub fn available_resources() -> Result<Resources> {
    query_resources().map(|(_, available)| available)
}

/// What the object store of this process's node holds and has done for the job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectStoreStats {
    /// Its size; bytes.
    pub capacity: u64,
    /// What processes have leased of it; bytes.
    pub lent_bytes: u64,
    /// Copies of other nodes' objects.
    pub copies: u64,
    /// Their size; bytes.
    pub copied_bytes: u64,
    /// What came from other nodes so far; bytes.
    pub fetched_bytes: u64,
    /// What went to other nodes so far; bytes.
    pub served_bytes: u64,
    /// What is lent and in memory; bytes.
    pub memory_bytes: u64,
    /// What is on disk, in memory too or not; bytes.
    pub disk_bytes: u64,
    /// What is lent in a file, made while all of the store was in use, and on top of its size; bytes.
    pub file_bytes: u64,
    /// What was written to disk so far; bytes.
    pub spilled_bytes: u64,
    /// What was read back so far; bytes.
    pub restored_bytes: u64,
}

/// Describes the object store of the node that this runs on.
///
/// # Errors
/// When the runtime is not running or the node does not answer.
pub fn object_store_stats() -> Result<ObjectStoreStats> {
    let reply = runtime::current()?.request(QUERY_TIMEOUT, |request| {
        Message::Questions(QuestionMessage::QueryStore { request })
    })?;
    let Message::Questions(QuestionMessage::Store { store, .. }) = reply else {
        return Err(Error::System(
            "asked for the state of the store and got something else".into(),
        ));
    };
    Ok(ObjectStoreStats {
        capacity: store.capacity,
        lent_bytes: store.lent,
        copies: store.copies,
        copied_bytes: store.copied_bytes,
        fetched_bytes: store.fetched_bytes,
        served_bytes: store.served_bytes,
        memory_bytes: store.in_memory,
        disk_bytes: store.on_disk,
        file_bytes: store.in_file,
        spilled_bytes: store.spilled_bytes,
        restored_bytes: store.restored_bytes,
    })
}

fn query_resources() -> Result<(Resources, Resources)> {
    let reply = runtime::current()?.request(QUERY_TIMEOUT, |request| {
        Message::Questions(QuestionMessage::QueryResources { request })
    })?;
    match reply {
        Message::Questions(QuestionMessage::Resources {
            total, available, ..
        }) => Ok((total, available)),
        _ => Err(Error::System(
            "asked for resources and got something else".into(),
        )),
    }
}

const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
