//! Whether nodes live: what they say, what others reach, and whether their port is still open.
//!
//! Heartbeats tell a node that hangs from one that works; they take seconds. A process that is gone is
//! noticed sooner: its system answers a datagram to the closed port, which only a connected socket hears
//! of. So the head keeps one for each node, and sends a byte that QUIC throws away.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use ray_engine::{
    control::nodes::{Cause, Command, DrainReason, NodeInfo, NodeState, NodesConfig},
    ids::{NodeId, ProcessId},
    time::Time,
};

use super::{
    jobs::Wish,
    role::{ControlRole, ControlState, Outbox},
};
use crate::{
    runtime::Runtime,
    wire::{LeaveMessage, Message, NodeRow},
};

/// How often each node's port is tried.
const PROBE_INTERVAL: Duration = Duration::from_millis(80);
/// Refusals in a row that mean that nobody is there.
const REFUSALS_MEANT: u32 = 2;

/// Returns the numbers of a membership in which this much silence is death.
pub(crate) fn health_config(silence: Duration) -> NodesConfig {
    NodesConfig {
        suspect_after: silence / 3,
        dead_after: silence,
        ..NodesConfig::default()
    }
}

/// Starts the thread that tries the nodes' ports.
pub(crate) fn start(runtime: &Arc<Runtime>) -> std::io::Result<()> {
    let weak = Arc::downgrade(runtime);
    let thread = std::thread::Builder::new().name("ray-health".into());
    thread.spawn(move || run(&weak)).map(drop)
}

/// Starts the thread that tries the head's port: a head that is gone is dialed anew at once.
pub(crate) fn watch_head(runtime: &Arc<Runtime>) -> std::io::Result<()> {
    let weak = Arc::downgrade(runtime);
    let mut port = Port::of(runtime.control_addr());
    let mut met = 0;
    let watch = move || {
        while let Some(runtime) = weak.upgrade() {
            if runtime.closed.load(Ordering::Acquire) {
                return;
            }
            let mut is_closed = port.is_closed();
            let meetings = runtime.head_meetings.load(Ordering::Acquire);
            if meetings != met {
                // What was refused was said to the head before this one.
                (met, is_closed, port.refusals) = (meetings, false, 0);
            }
            if is_closed && let Some(peer) = runtime.net().peer(runtime.control_process().0) {
                peer.close("nobody listens at the head's port");
            }
            drop(runtime);
            std::thread::park_timeout(PROBE_INTERVAL);
        }
    };
    let thread = std::thread::Builder::new().name("ray-health".into());
    thread.spawn(watch).map(drop)
}

fn run(weak: &Weak<Runtime>) {
    let mut ports: BTreeMap<ProcessId, Port> = BTreeMap::new();
    loop {
        {
            let Some(runtime) = weak.upgrade() else {
                return;
            };
            let Some(control) = &runtime.control_role else {
                return;
            };
            if runtime.closed.load(Ordering::Acquire) {
                return;
            }
            let nodes = control.other_nodes(runtime.process());
            ports.retain(|process, _| nodes.contains_key(process));
            for (process, addr) in nodes {
                let port = ports.entry(process).or_insert_with(|| Port::of(addr));
                if port.is_closed() {
                    tracing::warn!(%process, %addr, "nobody listens there any more");
                    control.on_port_closed(&runtime, process);
                }
            }
        }
        std::thread::park_timeout(PROBE_INTERVAL);
    }
}

/// A node's port as a socket of our own sees it.
struct Port {
    /// `None` when the system gave none: then only silence tells.
    socket: Option<UdpSocket>,
    refusals: u32,
}

impl Port {
    fn of(addr: SocketAddr) -> Port {
        let any: SocketAddr = match addr {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let made = UdpSocket::bind(any).and_then(|socket| {
            socket.connect(addr)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        if let Err(error) = &made {
            tracing::warn!(%addr, %error, "this node's port is not watched; silence will tell");
        }
        Port {
            socket: made.ok(),
            refusals: 0,
        }
    }

    /// Looks how the last try ended and begins the next; returns whether nobody is there.
    fn is_closed(&mut self) -> bool {
        let Some(socket) = &self.socket else {
            return false;
        };
        let is_refused = |result: std::io::Result<usize>| {
            result.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        };
        // The system reports a refusal once, at whichever call comes next.
        let was_refused = is_refused(socket.recv(&mut [0; 1]));
        if was_refused | is_refused(socket.send(&[0])) {
            self.refusals += 1;
        } else {
            self.refusals = 0;
        }
        self.refusals >= REFUSALS_MEANT
    }
}

impl ControlRole {
    /// Returns the living nodes of other processes, and where they listen.
    fn other_nodes(&self, own: ProcessId) -> BTreeMap<ProcessId, SocketAddr> {
        let state = self.state.lock();
        let others = state.nodes.addresses().filter(|(node, _)| *node != own);
        others.collect()
    }

    /// Nobody listens at a node's port any more.
    fn on_port_closed(&self, runtime: &Arc<Runtime>, process: ProcessId) {
        self.with_state(runtime, |state, out| {
            let now = runtime.now();
            if state.health.state(process.node()).is_some() {
                state.health.on_gone(process.node(), now);
            } else {
                state.on_node_lost(process, now, out);
            }
        });
    }

    /// Has a node emptied, by a deadline if there is one.
    ///
    /// # Errors
    /// A text for the person who asked.
    pub(crate) fn drain(
        &self,
        runtime: &Arc<Runtime>,
        node: ProcessId,
        deadline: Option<Duration>,
    ) -> Result<(), String> {
        self.with_state(runtime, |state, _| {
            let now = runtime.now();
            let reason = match deadline {
                None => DrainReason::Idle,
                Some(after) => DrainReason::Preemption {
                    deadline: now + after,
                },
            };
            let drained = state.health.drain(node.node(), reason, now);
            drained.map_err(|failure| crate::Error::from(failure).to_string())
        })
    }
}

impl ControlState {
    /// A node introduces itself; returns whether it may take part.
    pub(super) fn on_health_joined(&mut self, row: &NodeRow, now: Time) -> bool {
        if row.is_driver {
            return true;
        }
        let info = NodeInfo {
            address: row.addr.to_string(),
            total: row.resources.clone(),
            labels: row.labels.clone(),
        };
        let joined = self.health.join(row.node, info, now);
        if joined.is_err() {
            self.fenced.push(row.node.process());
        }
        joined.is_ok()
    }

    /// Returns the nodes that take objects of one that leaves.
    pub(super) fn takers(&self, leaving: ProcessId) -> Vec<NodeId> {
        let others = self.nodes.daemons().filter(|node| *node != leaving);
        // The head's own node is not watched: while somebody asks, it lives.
        let stays =
            |node: &NodeId| matches!(self.health.state(*node), None | Some(NodeState::Alive));
        others.map(ProcessId::node).filter(stays).collect()
    }

    /// A node was heard of, whatever it said.
    pub(super) fn on_heard(&mut self, from: ProcessId, now: Time) {
        if from == from.node_process() && self.health.state(from.node()).is_some() {
            self.health.on_heartbeat(from.node(), now);
        }
    }

    /// The connection to a node is gone; one that said goodbye does not come back.
    pub(super) fn on_node_disconnected(
        &mut self,
        process: ProcessId,
        said_goodbye: bool,
        now: Time,
        out: &mut Outbox,
    ) {
        if self.health.state(process.node()).is_none() {
            self.on_node_lost(process, now, out);
        } else if said_goodbye {
            self.health.on_left(process.node(), now);
        } else {
            self.health.on_connection_lost(process.node(), now);
        }
    }

    pub(super) fn run_health_command(&mut self, command: Command, now: Time, out: &mut Outbox) {
        match command {
            Command::Publish { node, state } => match state {
                NodeState::Alive => self.scheduler.on_node_trusted(node, now),
                NodeState::Suspect => {
                    tracing::warn!(%node, "a node is in doubt: it gets no new work");
                    self.scheduler.on_node_doubted(node, now);
                }
                NodeState::Draining => {
                    self.scheduler.on_node_draining(node, now);
                    self.groups.on_node_draining(node, now);
                }
                NodeState::Dead(cause) => {
                    tracing::warn!(%node, ?cause, "a node is dead");
                    self.admitted.remove(&node.process());
                    self.wish(Wish::ForgetNode(node.process()));
                    self.on_node_lost(node.process(), now, out);
                }
            },
            Command::Fence { node } => self.fenced.push(node.process()),
            Command::Probe { via, target } => {
                if let Some(addr) = self.nodes.address_of(target.process()) {
                    let target = target.process();
                    out.push((via.process(), Message::ProbeNode { target, addr }));
                }
            }
            Command::Drain { node, reason } => {
                let within = match reason {
                    DrainReason::Idle => None,
                    DrainReason::Preemption { deadline } => Some(deadline.0.saturating_sub(now.0)),
                };
                let drain = LeaveMessage::Drain { within };
                out.push((node.process(), Message::Leaving(drain)))
            }
        }
    }

    /// Returns a node's state as it is listed, and why when that is not plain.
    pub(super) fn health_of(&self, row: &NodeRow) -> (&'static str, Option<String>) {
        match self.health.state(row.node) {
            Some(NodeState::Alive) => ("ALIVE", None),
            Some(NodeState::Suspect) => (
                "SUSPECT",
                Some("it was not heard of for a while and gets no new work".into()),
            ),
            Some(NodeState::Draining) => ("DRAINING", Some("it takes no new work".into())),
            Some(NodeState::Dead(cause)) => ("DEAD", Some(reason_of(cause).into())),
            None if row.alive => ("ALIVE", None),
            None => ("DEAD", Some("its connection is gone".into())),
        }
    }
}

fn reason_of(cause: Cause) -> &'static str {
    match cause {
        Cause::Silent => "nothing was heard of it for too long",
        Cause::Disconnected => "its process or its machine is gone",
        Cause::Drained => "it was drained",
        Cause::DeadlinePassed => "it was drained and its deadline passed",
        Cause::Left => "it was stopped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_port_is_noticed_and_an_open_one_is_not() {
        let open = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let mut port = Port::of(open.local_addr().expect("bound"));
        assert!((0..5).all(|_| !port.is_closed()));
        drop(open);
        // The first try learns of it at the second.
        assert!((0..1000).any(|_| {
            std::thread::park_timeout(Duration::from_millis(1));
            port.is_closed()
        }));
    }
}
