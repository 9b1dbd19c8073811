//! Connections that carry nothing but parts of objects, so that these never delay a call.
//!
//! A second endpoint of the node's process, made when it is first needed. Parts are hashed by a thread of their own
//! where they lie in the arena, and sent, checked and stored by the endpoint's watch thread: neither holds a
//! lock of the node meanwhile.

mod arrivals;
mod sending;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use ray_engine::ids::{ObjectId, ProcessId};
use ray_net::{Net, NetConfig, Peer};

use self::arrivals::Arrivals;
use super::{NodeRole, serve::Part};
use crate::{
    config::{BULK_QUEUE_BYTES, CLUSTER_SILENCE},
    runtime::Runtime,
    wire::{Hello, kind},
};

/// The second endpoint, and what waits to be sent over it.
#[derive(Default)]
pub(super) struct Bulk {
    net: Mutex<Option<Net>>,
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    parts: Mutex<Parts>,
    changed: Condvar,
}

#[derive(Default)]
struct Parts {
    waiting: VecDeque<(Part, SocketAddr)>,
    /// Those that the other side has, or that it will not get.
    over: Vec<Part>,
    has_ended: bool,
}

impl NodeRole {
    /// Returns the second endpoint, starting it when it is first needed.
    ///
    /// # Errors
    /// What the system refused.
    pub(super) fn bulk_net(&self, runtime: &Arc<Runtime>) -> Result<Net, String> {
        let mut slot = self.bulk.net.lock();
        if let Some(net) = &*slot {
            return Ok(net.clone());
        }
        let process = runtime.process();
        let identity = self.start.ca.issue(process.0);
        let identity = identity.map_err(|error| error.to_string())?;
        let mut config = NetConfig::new(process.0, identity, kind::bulk_limit);
        config.bind = SocketAddr::new(runtime.net().local_addr().ip(), 0);
        config.hello = Hello::of_a_daemon().to_bytes();
        config.idle_timeout = CLUSTER_SILENCE;
        config.keep_alive = CLUSTER_SILENCE / 6;
        config.is_bulk = true;
        let handler = Arc::new(Arrivals::new(runtime));
        let net = Net::start(config, handler).map_err(|error| error.to_string())?;
        let (queue, weak, sender) = (
            self.bulk.queue.clone(),
            Arc::downgrade(runtime),
            net.clone(),
        );
        std::thread::Builder::new()
            .name("ray-bulk".into())
            .spawn(move || sending::send_parts(&queue, &weak, &sender))
            .map_err(|error| format!("could not start a thread: {error}"))?;
        *slot = Some(net.clone());
        Ok(net)
    }

    /// Returns the second endpoint when it was needed already.
    pub(crate) fn bulk_if_any(&self) -> Option<Net> {
        self.bulk.net.lock().clone()
    }

    /// Queues a part for the node that asked for it.
    pub(super) fn send_part(&self, part: Part, to: SocketAddr) {
        self.bulk.queue.parts.lock().waiting.push_back((part, to));
        self.bulk.queue.changed.notify_one();
    }

    /// Takes back a part that is not wanted any more, if it has not left.
    pub(super) fn take_part_back(
        &self,
        object: ObjectId,
        chunk: u32,
        to: ProcessId,
    ) -> Option<Part> {
        let mut parts = self.bulk.queue.parts.lock();
        let is_it = |part: &Part| (part.object, part.chunk, part.to) == (object, chunk, to);
        let position = parts.waiting.iter().position(|(part, _)| is_it(part))?;
        parts.waiting.remove(position).map(|(part, _)| part)
    }

    /// Ends the second endpoint, if there is one.
    pub(crate) fn end_bulk(&self) {
        self.bulk.queue.parts.lock().has_ended = true;
        self.bulk.queue.changed.notify_all();
        self.spill_io.end();
        let net = self.bulk.net.lock().take();
        if let Some(net) = net {
            net.shutdown(Duration::ZERO);
        }
    }
}

/// What the sending thread does next.
enum Next {
    Send(Part, SocketAddr),
    /// These are over.
    End(Vec<Part>),
    /// Every node for which there is a part has enough in its queue.
    WaitFor(Peer),
}

impl Queue {
    /// Notes that a part is over.
    fn end(&self, part: Part) {
        self.parts.lock().over.push(part);
        self.changed.notify_one();
    }

    /// Waits for something to do; `None` at the end.
    fn next(&self, peers: &BTreeMap<ProcessId, Peer>) -> Option<Next> {
        let mut parts = self.parts.lock();
        while parts.waiting.is_empty() && parts.over.is_empty() && !parts.has_ended {
            self.changed.wait(&mut parts);
        }
        if parts.has_ended {
            return None;
        }
        if !parts.over.is_empty() {
            return Some(Next::End(std::mem::take(&mut parts.over)));
        }
        // More would only lie in memory; whoever is slow holds nobody else up.
        let is_full = |part: &Part| {
            let peer = peers.get(&part.to)?;
            let is_full = peer.queued_bytes() >= BULK_QUEUE_BYTES && !peer.is_closed();
            is_full.then(|| peer.clone())
        };
        let free = parts
            .waiting
            .iter()
            .position(|(part, _)| is_full(part).is_none());
        match free {
            Some(position) => {
                let (part, addr) = parts.waiting.remove(position)?;
                Some(Next::Send(part, addr))
            }
            None => {
                let (part, addr) = parts.waiting.pop_front()?;
                match is_full(&part) {
                    Some(peer) => {
                        parts.waiting.push_front((part, addr));
                        Some(Next::WaitFor(peer))
                    }
                    None => Some(Next::Send(part, addr)),
                }
            }
        }
    }
}
