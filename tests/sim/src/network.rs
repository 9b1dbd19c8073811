//! Connections between processes.
//!
//! What the real transport (one QUIC connection a pair, `ray-net`) promises, and so this one: messages of
//! one direction of one connection arrive in order, each at most once, as long as the connection lives.
//! A process that is killed has handed some prefix of its messages to each connection; the rest is lost,
//! and how long the prefix is differs from connection to connection. A process that ends in good order
//! lets everything leave first. A process hears a dead one out before it hears of the death: on one
//! machine its last packets lie in the socket already.
//!
//! What it does not promise, and so neither does this one: any order between two connections, any bound
//! on the delay, and that a connection outlives its two processes: when it is cut, messages in flight are
//! lost in both directions and both ends are told some time later. Messages of a process to itself are
//! ordered and never lost. Control messages that are harmless to repeat are repeated at times.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ray_engine::{
    ids::{NodeId, ProcessId},
    time::Time,
};

use crate::rng::Chance;

/// What a network must know of the messages on it.
pub trait Travels {
    /// Returns whose end the message tells of, if it tells of one.
    fn death(&self) -> Option<Death>;
}

/// Who is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// One process.
    Process(ProcessId),
    /// A node, named by its process, with everybody on it.
    Node(ProcessId),
}

/// How slow and how unfair the network of one seed is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The usual delay; nanoseconds.
    pub delay_nanos: u64,
    /// How many messages of a hundred take up to fifty times as long.
    pub tail_percent: u64,
}

type Direction = (ProcessId, ProcessId);

/// Everything in flight.
pub struct Network<M> {
    weather: Weather,
    lanes: BTreeMap<Direction, Lane<M>>,
    cut: BTreeSet<Direction>,
    /// Nodes that nobody else can reach any more.
    isolated: BTreeSet<NodeId>,
    /// Nodes that the others reach only after a time: packets are sent again until then.
    apart: Option<(BTreeSet<NodeId>, Time)>,
}

struct Lane<M> {
    in_flight: VecDeque<(Time, M)>,
    last_arrival: Time,
}

impl<M: Travels> Network<M> {
    /// Returns a network without connections.
    pub fn new(weather: Weather) -> Network<M> {
        Network {
            weather,
            lanes: BTreeMap::new(),
            cut: BTreeSet::new(),
            isolated: BTreeSet::new(),
            apart: None,
        }
    }

    /// Takes a message; returns when it arrives, `None` when it is lost.
    pub fn post(
        &mut self,
        from: ProcessId,
        to: ProcessId,
        message: M,
        slowness: u64,
        now: Time,
        chance: &mut Chance,
    ) -> Option<Time> {
        let (one, other) = (from.node(), to.node());
        let is_isolated = self.isolated.contains(&one) || self.isolated.contains(&other);
        if self.cut.contains(&(from, to)) || one != other && is_isolated {
            return None;
        }
        let mut delay = self.weather.delay_nanos / 4 + chance.below(self.weather.delay_nanos * 2);
        if from == to {
            delay /= 8;
        } else if chance.percent(self.weather.tail_percent) {
            delay *= chance.between(2, 50);
        }
        let mut arrival = Time(now.0 + delay * slowness);
        if let Some((nodes, until)) = &self.apart
            && nodes.contains(&one) != nodes.contains(&other)
        {
            arrival = arrival.max(Time(until.0 + delay));
        }
        Some(self.queue(from, to, message, arrival))
    }

    fn queue(&mut self, from: ProcessId, to: ProcessId, message: M, arrival: Time) -> Time {
        // A death is heard after everything that the dead one had sent.
        let floor = match message.death() {
            Some(Death::Process(dead)) => self.last_arrival(dead, to),
            // Whoever hears of a node's death has waited for its processes longer than they say anything.
            Some(Death::Node(node)) => self.last_arrival_of_node(node, to),
            None => Time(0),
        };
        let lane = self.lanes.entry((from, to)).or_insert_with(|| Lane {
            in_flight: VecDeque::new(),
            last_arrival: Time(0),
        });
        let arrival = arrival.max(lane.last_arrival).max(floor);
        lane.last_arrival = arrival;
        lane.in_flight.push_back((arrival, message));
        arrival
    }

    /// Returns the message that is due; `None` when it was lost meanwhile.
    pub fn take(&mut self, from: ProcessId, to: ProcessId, now: Time) -> Option<M> {
        let lane = self.lanes.get_mut(&(from, to))?;
        match lane.in_flight.front() {
            Some((arrival, _)) if *arrival <= now => {
                lane.in_flight.pop_front().map(|(_, message)| message)
            }
            _ => None,
        }
    }

    /// Returns when the last message of a direction arrives or arrived.
    pub fn last_arrival(&self, from: ProcessId, to: ProcessId) -> Time {
        self.lanes
            .get(&(from, to))
            .map_or(Time(0), |lane| lane.last_arrival)
    }

    /// Returns when the last message of any process of a node arrives or arrived.
    pub fn last_arrival_of_node(&self, node: ProcessId, to: ProcessId) -> Time {
        let lanes = self.lanes.range((node, ProcessId(0))..);
        lanes
            .take_while(|((from, _), _)| from.node_process() == node)
            .filter(|((_, at), _)| *at == to)
            .map(|(_, lane)| lane.last_arrival)
            .max()
            .unwrap_or_default()
    }

    /// Loses a random part of what a killed process had not handed over.
    pub fn lose_output_of(&mut self, process: ProcessId, chance: &mut Chance) {
        for ((from, _), lane) in &mut self.lanes {
            if *from == process {
                lane.lose(chance);
            }
        }
    }

    /// Breaks a connection.
    pub fn cut(&mut self, one: ProcessId, other: ProcessId, chance: &mut Chance) {
        for direction in [(one, other), (other, one)] {
            self.cut.insert(direction);
            if let Some(lane) = self.lanes.get_mut(&direction) {
                lane.lose(chance);
            }
        }
    }

    /// Breaks every connection of a node to others.
    pub fn isolate(&mut self, node: NodeId, chance: &mut Chance) {
        self.isolated.insert(node);
        for ((from, to), lane) in &mut self.lanes {
            if (from.node() == node) != (to.node() == node) {
                lane.lose(chance);
            }
        }
    }

    /// Returns whether the others reach a node no more.
    pub fn is_isolated(&self, node: ProcessId) -> bool {
        self.isolated.contains(&node.node())
    }

    /// Keeps some nodes and the others apart until a time.
    pub fn part(&mut self, nodes: BTreeSet<NodeId>, until: Time) {
        self.apart = Some((nodes, until));
    }

    /// Returns the pairs that have talked and whose connection lives.
    pub fn connections(&self) -> Vec<Direction> {
        self.lanes
            .keys()
            .filter(|(from, to)| from < to && !self.cut.contains(&(*from, *to)))
            .copied()
            .collect()
    }

    /// Returns whether a message is in flight of which something holds.
    pub fn has_in_flight(
        &self,
        (from, to): (ProcessId, ProcessId),
        is_meant: impl Fn(&M) -> bool,
    ) -> bool {
        let lane = self.lanes.get(&(from, to));
        lane.is_some_and(|lane| lane.in_flight.iter().any(|(_, message)| is_meant(message)))
    }

    /// Returns how many messages are in flight.
    pub fn in_flight(&self) -> usize {
        self.lanes.values().map(|lane| lane.in_flight.len()).sum()
    }
}

impl<M> Lane<M> {
    fn lose(&mut self, chance: &mut Chance) {
        let kept = chance.below(self.in_flight.len() as u64 + 1) as usize;
        self.in_flight.truncate(kept);
    }
}
