//! Connections to other processes, and messages to them.

use std::net::SocketAddr;

use ray_engine::{
    failure::{Failure, WorkerExit},
    ids::ProcessId,
    time::Time,
};
use ray_net::{Flush, Peer};
use smallvec::SmallVec;

use super::{Core, push_message};
use crate::wire::{ActorCreation, ActorStatus, Location, Message};

impl Core {
    /// Notes a connected peer.
    pub(crate) fn on_peer(&mut self, peer: &Peer) {
        let process = ProcessId(peer.process());
        self.peers.insert(process, peer.clone());
        self.send_waiting(process);
    }

    /// Sends what waited for an address, before anything that is said later.
    pub(super) fn send_waiting(&mut self, process: ProcessId) {
        for message in self.locating.remove(&process).unwrap_or_default() {
            self.send(process, message);
        }
    }

    /// Returns the peer for `process` at `addr`, connecting on first use.
    pub(super) fn peer_at(&mut self, process: ProcessId, addr: SocketAddr) -> Peer {
        if let Some(peer) = self.peers.get(&process)
            && !peer.is_closed()
        {
            return peer.clone();
        }
        let peer = self.net.connect(process.0, addr);
        self.peers.insert(process, peer.clone());
        // The handshake begins when the lock is given back.
        self.touch(&peer);
        self.is_dialing = true;
        peer
    }

    /// Notes where a process listens, to dial it on first use, which is now when something waits.
    pub(crate) fn know(&mut self, process: ProcessId, addr: SocketAddr) {
        if process != self.process && !self.dead.contains_key(&process) {
            self.known.insert(process, addr);
            self.send_waiting(process);
        }
    }

    /// Returns the connection to a process at `addr`, dialing it on first use; `None` when it is gone.
    pub(crate) fn dial(&mut self, process: ProcessId, addr: SocketAddr) -> Option<Peer> {
        let is_other = process != self.process && !self.dead.contains_key(&process);
        is_other.then(|| self.peer_at(process, addr))
    }

    /// Returns the connection to a process if there is one.
    pub(crate) fn connected(&self, process: ProcessId) -> Option<Peer> {
        let peer = self.peers.get(&process)?;
        (!peer.is_closed()).then(|| peer.clone())
    }

    /// Makes the process behind an address known.
    pub(crate) fn on_address(&mut self, process: ProcessId, addr: SocketAddr) {
        if process != self.process && !self.dead.contains_key(&process) {
            self.peer_at(process, addr);
            self.send_waiting(process);
        }
    }

    /// The node answered where a process is.
    pub(crate) fn on_located(&mut self, process: ProcessId, at: Location, now: Time) {
        match at {
            Location::At(addr) => self.on_address(process, addr),
            Location::AskNode(addr) => {
                let node = process.node_process();
                self.know(node, addr);
                self.send(node, Message::Locate { process });
            }
            Location::Gone => self.on_process_died(
                process,
                WorkerExit {
                    worker: process,
                    ..WorkerExit::default()
                },
                now,
            ),
        }
    }

    /// Returns whether a process is known to be gone.
    pub(crate) fn is_dead(&self, process: ProcessId) -> bool {
        self.dead.contains_key(&process)
    }

    /// Returns a peer whose unsent output is over `bytes`.
    pub(crate) fn fullest_peer(&self, bytes: usize) -> Option<Peer> {
        if self.in_flight < HOLD_BACK_CALLS {
            return None;
        }
        self.peers
            .values()
            .find(|peer| peer.queued_bytes() > bytes)
            .cloned()
    }

    /// Sends a message to a process if there is a connection.
    pub(crate) fn send_if_connected(&mut self, to: ProcessId, message: Message) {
        if self.peers.contains_key(&to) {
            self.send(to, message);
        }
    }

    /// Sends a control message, to this process's own roles without a wire.
    pub(crate) fn send(&mut self, to: ProcessId, message: Message) {
        if to == self.process {
            self.local.push_back(message);
            return;
        }
        if self.dead.contains_key(&to) {
            return;
        }
        let message = match self.control_is_away && to == self.control_process {
            false => message,
            true => match self.may_tell(message) {
                Some(message) => message,
                None => return,
            },
        };
        let peer = match self.peers.get(&to) {
            Some(peer) => Some(peer.clone()),
            None => self
                .known
                .get(&to)
                .copied()
                .map(|addr| self.peer_at(to, addr)),
        };
        if let Some(peer) = peer {
            push_message(&peer, &message);
            self.touch(&peer);
            return;
        }
        let waiting = self.locating.entry(to).or_default();
        waiting.push(message);
        if waiting.len() == 1 {
            let who_knows = if to.node_process() == self.node_process {
                self.node_process
            } else {
                self.control_process
            };
            self.send(who_knows, Message::Locate { process: to });
        }
    }

    /// Sends a control message to the node of this process.
    pub(crate) fn send_to_node(&mut self, message: Message) {
        let node = self.node_process;
        self.send(node, message);
    }

    /// Sends a message to the control role of the cluster.
    pub(crate) fn send_to_control(&mut self, message: Message) {
        if self.has_no_control {
            return self.refuse_for_control(message);
        }
        let control = self.control_process;
        self.send(control, message);
    }

    /// Answers for a control role that is gone.
    pub(super) fn refuse_for_control(&mut self, message: Message) {
        let failure = Failure::HeadLost;
        match message {
            Message::WatchActor { actor }
            | Message::CreateActor {
                creation: ActorCreation { actor, .. },
                ..
            } => {
                let status = ActorStatus::Dead { failure };
                self.local.push_back(Message::ActorState { actor, status });
            }
            other => tracing::debug!(?other, "there is no head any more to be told this"),
        }
    }

    /// Notes that a peer has fresh output.
    pub(super) fn touch(&mut self, peer: &Peer) {
        if self
            .touched
            .last()
            .is_none_or(|last| last.process() != peer.process())
        {
            self.touched.push(peer.clone());
        }
    }

    /// Takes the peers with fresh output, and when it should leave.
    pub(crate) fn take_touched(&mut self) -> (SmallVec<[Peer; 2]>, Flush) {
        let is_dialing = std::mem::take(&mut self.is_dialing);
        let mode = if self.in_flight <= 2 || is_dialing {
            Flush::Now
        } else {
            Flush::Lazy
        };
        (std::mem::take(&mut self.touched), mode)
    }
}

/// Below this many calls in flight nobody looks at queue lengths.
pub(super) const HOLD_BACK_CALLS: usize = 256;
