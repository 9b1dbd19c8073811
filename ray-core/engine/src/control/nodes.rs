//! Membership: which nodes live, which are in doubt, which are gone for good.
//!
//! A node lives while it is heard of. After a while of silence, or when its connection breaks, it is
//! suspect: other nodes are asked whether they can reach it, and any that can keeps it from being
//! declared dead. A node id is one life: once it is dead it stays dead, whoever still speaks under it is
//! told to stop, and may come back under a new id only. What placed work with a dead node can therefore
//! place it again without fear of an answer from the old one.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use crate::{failure::Failure, ids::NodeId, resources::Resources, spec::Labels, time::Time};

/// Numbers of the membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodesConfig {
    /// Silence after which a node is suspect. Default 1 s.
    pub suspect_after: Duration,
    /// Silence after which a node is dead. Default 3 s.
    pub dead_after: Duration,
    /// How long a node whose connection broke may take to be heard of again. Default 500 ms.
    pub reconnect_within: Duration,
    /// How often a suspect node is probed. Default 200 ms.
    pub probe_interval: Duration,
    /// Nodes that are asked to probe at a time. Default 3.
    pub probes: usize,
    /// Dead nodes that are listed; all are remembered as dead. Default 1,000.
    pub dead_listed: usize,
}

impl Default for NodesConfig {
    fn default() -> NodesConfig {
        NodesConfig {
            suspect_after: Duration::from_secs(1),
            dead_after: Duration::from_secs(3),
            reconnect_within: Duration::from_millis(500),
            probe_interval: Duration::from_millis(200),
            probes: 3,
            dead_listed: 1_000,
        }
    }
}

/// What a node says of itself when it joins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeInfo {
    /// Where it listens, as text.
    pub address: String,
    /// What it has in all.
    pub total: Resources,
    /// Its labels.
    pub labels: Labels,
}

/// Why a node is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nobody heard of it for too long.
    Silent,
    /// Its connection broke and it did not come back.
    Disconnected,
    /// It was drained.
    Drained,
    /// Its time was over before it was empty.
    DeadlinePassed,
    /// It left by itself.
    Left,
}

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Takes work.
    Alive,
    /// In doubt; what it has goes on, new work is better sent elsewhere.
    Suspect,
    /// Takes no new work and will leave.
    Draining,
    /// Gone for good.
    Dead(Cause),
}

/// Why a node is to be emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainReason {
    /// It has nothing to do; it may refuse when it has.
    Idle,
    /// It will be taken away at this time, empty or not.
    Preemption {
        /// When.
        deadline: Time,
    },
}

/// What the membership wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Tell everybody how a node is.
    Publish {
        /// Which.
        node: NodeId,
        /// How it is.
        state: NodeState,
    },
    /// Tell whoever speaks under a dead id to end, and close its connection.
    Fence {
        /// Which.
        node: NodeId,
    },
    /// Have a node find out whether it can reach another.
    Probe {
        /// Who finds out.
        via: NodeId,
        /// About whom.
        target: NodeId,
    },
    /// Ask a node to take no new work and to say when it is empty.
    Drain {
        /// Which.
        node: NodeId,
        /// Why.
        reason: DrainReason,
    },
}

struct Node {
    info: NodeInfo,
    /// When it was last heard of, by whomever.
    heard: Time,
    is_suspect: bool,
    /// When its connection broke, while it is broken.
    disconnected: Option<Time>,
    probed: Time,
    /// Why it drains, and whether it has agreed to.
    drain: Option<(DrainReason, bool)>,
}

impl Node {
    fn state(&self) -> NodeState {
        match self.drain {
            Some((_, true)) => NodeState::Draining,
            _ if self.is_suspect => NodeState::Suspect,
            _ => NodeState::Alive,
        }
    }

    /// Returns when it is dead and why, if nothing is heard of it until then.
    fn death(&self, config: &NodesConfig) -> (Time, Cause) {
        let silent = (self.heard + config.dead_after, Cause::Silent);
        let Some(lost) = self.disconnected else {
            return silent;
        };
        let disconnected = lost.max(self.heard) + config.reconnect_within;
        if disconnected < silent.0 {
            (disconnected, Cause::Disconnected)
        } else {
            silent
        }
    }

    fn deadline(&self) -> Option<Time> {
        match self.drain {
            Some((DrainReason::Preemption { deadline }, _)) => Some(deadline),
            _ => None,
        }
    }
}

/// The state machine.
pub struct NodeDirectory {
    config: NodesConfig,
    nodes: BTreeMap<NodeId, Node>,
    /// Dead nodes that are listed, oldest first.
    dead: VecDeque<(NodeId, NodeInfo, Cause)>,
    /// Every id that was ever declared dead.
    fenced: BTreeSet<NodeId>,
    commands: VecDeque<Command>,
}

impl NodeDirectory {
    /// Returns the directory of an empty cluster.
    pub fn new(config: NodesConfig) -> NodeDirectory {
        NodeDirectory {
            config,
            nodes: BTreeMap::new(),
            dead: VecDeque::new(),
            fenced: BTreeSet::new(),
            commands: VecDeque::new(),
        }
    }

    /// Returns the next wish.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Returns when [`NodeDirectory::on_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        let next = |node: &Node| {
            let (death, _) = node.death(&self.config);
            let doubt = if node.is_suspect {
                node.probed + self.config.probe_interval
            } else {
                node.heard + self.config.suspect_after
            };
            node.deadline()
                .into_iter()
                .fold(death.min(doubt), Time::min)
        };
        self.nodes.values().map(next).min()
    }

    /// Returns how a node is; `None` for one that is not known (any more).
    pub fn state(&self, node: NodeId) -> Option<NodeState> {
        if let Some(found) = self.nodes.get(&node) {
            return Some(found.state());
        }
        let found = self.dead.iter().find(|(dead, ..)| *dead == node)?;
        Some(NodeState::Dead(found.2))
    }

    /// Returns the living nodes and then those that died last.
    pub fn list(&self) -> impl Iterator<Item = (NodeId, &NodeInfo, NodeState)> {
        let living = self
            .nodes
            .iter()
            .map(|(id, node)| (*id, &node.info, node.state()));
        let dead = self
            .dead
            .iter()
            .map(|(id, info, cause)| (*id, info, NodeState::Dead(*cause)));
        living.chain(dead)
    }

    /// A node joins, or registers again after its connection or the control process was gone.
    ///
    /// # Errors
    /// `NodeDied` when the id is that of a dead node: it must come back under a new one.
    pub fn join(&mut self, id: NodeId, info: NodeInfo, now: Time) -> Result<(), Failure> {
        if self.fenced.contains(&id) {
            return Err(Failure::NodeDied(id));
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.disconnected = None;
            node.info = info;
            self.hear(id, now);
            return Ok(());
        }
        let node = Node {
            info,
            heard: now,
            is_suspect: false,
            disconnected: None,
            probed: now,
            drain: None,
        };
        self.nodes.insert(id, node);
        self.publish(id, NodeState::Alive);
        Ok(())
    }

    /// A node says that it lives.
    pub fn on_heartbeat(&mut self, id: NodeId, now: Time) {
        match self.nodes.get_mut(&id) {
            Some(node) => {
                node.disconnected = None;
                self.hear(id, now);
            }
            None => self.commands.push_back(Command::Fence { node: id }),
        }
    }

    fn hear(&mut self, id: NodeId, now: Time) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.heard = now;
        if std::mem::take(&mut node.is_suspect) {
            let state = node.state();
            self.publish(id, state);
        }
    }

    /// The connection to a node broke.
    pub fn on_connection_lost(&mut self, id: NodeId, now: Time) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.disconnected.get_or_insert(now);
        if !node.is_suspect {
            self.suspect(id, now);
        }
    }

    /// Another node has reached one that is in doubt: it lives, though it cannot be heard of from here.
    pub fn on_probe_reached(&mut self, target: NodeId, now: Time) {
        if let Some(node) = self.nodes.get_mut(&target) {
            node.heard = now;
        }
    }

    /// A node's process is known to be gone.
    pub fn on_gone(&mut self, id: NodeId, _now: Time) {
        self.bury(id, Cause::Disconnected);
    }

    /// A node goes by itself.
    pub fn on_left(&mut self, id: NodeId, _now: Time) {
        self.bury(id, Cause::Left);
    }

    /// Somebody wants a node emptied.
    ///
    /// # Errors
    /// `NotFound` when no such node lives.
    pub fn drain(&mut self, id: NodeId, reason: DrainReason, _now: Time) -> Result<(), Failure> {
        let Some(node) = self.nodes.get_mut(&id) else {
            return Err(Failure::NotFound(format!("node {id}")));
        };
        let has_agreed = node.drain.is_some_and(|(_, has_agreed)| has_agreed);
        let is_forced = matches!(reason, DrainReason::Preemption { .. });
        node.drain = Some((reason, has_agreed || is_forced));
        self.commands.push_back(Command::Drain { node: id, reason });
        if is_forced && !has_agreed {
            self.publish(id, NodeState::Draining);
        }
        Ok(())
    }

    /// A node agreed to take no new work.
    pub fn on_drain_accepted(&mut self, id: NodeId, _now: Time) {
        if let Some(node) = self.nodes.get_mut(&id)
            && let Some((_, has_agreed @ false)) = &mut node.drain
        {
            *has_agreed = true;
            self.publish(id, NodeState::Draining);
        }
    }

    /// A node is busy and goes on; it cannot refuse a preemption.
    pub fn on_drain_refused(&mut self, id: NodeId, _now: Time) {
        if let Some(node) = self.nodes.get_mut(&id)
            && matches!(node.drain, Some((DrainReason::Idle, false)))
        {
            node.drain = None;
        }
    }

    /// A draining node is empty.
    pub fn on_drained(&mut self, id: NodeId, _now: Time) {
        if self.state(id) == Some(NodeState::Draining) {
            self.bury(id, Cause::Drained);
            self.commands.push_back(Command::Fence { node: id });
        }
    }

    /// Doubts nodes that are silent, probes those in doubt, buries those that are silent for too long.
    pub fn on_timeout(&mut self, now: Time) {
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            let Some(node) = self.nodes.get(&id) else {
                continue;
            };
            let (death, cause) = node.death(&self.config);
            if node.deadline().is_some_and(|deadline| deadline <= now) {
                self.bury(id, Cause::DeadlinePassed);
                self.commands.push_back(Command::Fence { node: id });
            } else if death <= now {
                self.bury(id, cause);
                self.commands.push_back(Command::Fence { node: id });
            } else if node.is_suspect {
                if node.probed + self.config.probe_interval <= now {
                    self.probe(id, now);
                }
            } else if node.heard + self.config.suspect_after <= now {
                self.suspect(id, now);
            }
        }
    }

    fn suspect(&mut self, id: NodeId, now: Time) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.is_suspect = true;
        let state = node.state();
        self.publish(id, state);
        self.probe(id, now);
    }

    /// Asks the next healthy nodes after it, in the order of ids and round again.
    fn probe(&mut self, target: NodeId, now: Time) {
        if let Some(node) = self.nodes.get_mut(&target) {
            node.probed = now;
        }
        let after = self.nodes.range(target..).skip(1);
        let before = self.nodes.range(..target);
        let vias = after
            .chain(before)
            .filter(|(_, node)| !node.is_suspect)
            .map(|(via, _)| *via)
            .take(self.config.probes)
            .collect::<Vec<_>>();
        for via in vias {
            self.commands.push_back(Command::Probe { via, target });
        }
    }

    fn bury(&mut self, id: NodeId, cause: Cause) {
        let Some(node) = self.nodes.remove(&id) else {
            return;
        };
        self.fenced.insert(id);
        self.dead.push_back((id, node.info, cause));
        if self.dead.len() > self.config.dead_listed {
            self.dead.pop_front();
        }
        self.publish(id, NodeState::Dead(cause));
    }

    fn publish(&mut self, node: NodeId, state: NodeState) {
        self.commands.push_back(Command::Publish { node, state });
    }
}
