//! Objects on several nodes: stores that drop and spill, pulls from any holder, owners that know who holds what.
//!
//! The machines are `pull` and `cache` of `ray-engine`; the owner's table of holders, the disk and the readers
//! are played. A copy has its room before its pull begins; the first copy is primary, and when its node ends
//! the owner has another node keep its copy.

mod owner;
mod store;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use ray_engine::{
    cache::{CacheConfig, FileId},
    ids::{NodeId, ObjectId, ProcessId},
    pull::Priority,
    time::Time,
};

use self::{store::Store, wire::Message};
use crate::{
    Violation,
    network::{Network, Weather},
    rng::Chance,
    trace::Trace,
    world::Outcome,
};

/// The node that never ends, and that notices when others do.
const HEAD: ProcessId = ProcessId(1 << 28);

#[derive(Debug)]
enum Event {
    Deliver(ProcessId, ProcessId),
    Act(ProcessId),
    Tick(ProcessId),
    Written(ProcessId, FileId),
    Restored(ProcessId, ObjectId),
    FileRead(ProcessId, ProcessId, ObjectId, u32),
    ReadOver(ProcessId, u64),
    Crash,
    Noticed(ProcessId),
    Partition,
}

/// Everything there is.
pub(crate) struct World {
    now: Time,
    chance: Chance,
    has_faults: bool,
    nodes: BTreeMap<ProcessId, Store>,
    network: Network<Message>,
    events: BTreeMap<(Time, u64), Event>,
    next_number: u64,
    events_done: u64,
    /// Every object that was put and not freed, and its size.
    sizes: BTreeMap<ObjectId, u64>,
    freed: BTreeSet<ObjectId>,
    /// Objects whose primary copy ended with its node or could not be read back.
    endangered: BTreeSet<ObjectId>,
    /// Copies that must not be dropped.
    kept: BTreeSet<(ObjectId, ProcessId)>,
    acts_left: u32,
    crashes_left: u32,
    is_emptied: bool,
    violation: Option<Violation>,
    trace: Trace,
}

impl World {
    /// Returns the world of `seed` before its first event.
    pub(crate) fn new(seed: u64, trace: Trace) -> World {
        let mut chance = Chance::new(seed ^ SEEDS);
        let has_faults = chance.percent(92);
        let weather = Weather {
            delay_nanos: [20_000, 100_000, 1_000_000][chance.below(3) as usize],
            tail_percent: [0, 2, 15][chance.below(3) as usize],
        };
        let capacity = chance.between(6, 16) * CHUNK;
        let mut world = World {
            now: Time(1_000_000),
            nodes: BTreeMap::new(),
            network: Network::new(weather),
            events: BTreeMap::new(),
            next_number: 1,
            events_done: 0,
            sizes: BTreeMap::new(),
            freed: BTreeSet::new(),
            endangered: BTreeSet::new(),
            kept: BTreeSet::new(),
            acts_left: chance.between(250, 420) as u32,
            crashes_left: if has_faults {
                chance.below(4) as u32
            } else {
                0
            },
            is_emptied: false,
            violation: None,
            trace,
            has_faults,
            chance,
        };
        for number in 1..=world.chance.between(3, 6) {
            let at = NodeId(number).process();
            let config = CacheConfig {
                fuse_bytes: 3 * CHUNK,
                fuse_objects: 5,
                ..CacheConfig::new(capacity)
            };
            world.nodes.insert(at, Store::new(at, config));
            world.schedule(1, Event::Act(at));
        }
        let (crash, partition) = (world.pause(), world.pause());
        world.schedule(crash, Event::Crash);
        if has_faults && world.chance.percent(50) {
            world.schedule(partition, Event::Partition);
        }
        world
    }

    fn pause(&mut self) -> u64 {
        self.chance.between(1_000_000, 120_000_000)
    }

    /// Lets everything happen until nothing is left to happen, or a promise is broken.
    pub(crate) fn run(mut self) -> Outcome {
        while self.violation.is_none() {
            let Some(((time, _), event)) = self.events.pop_first() else {
                self.judge_rest();
                if std::mem::replace(&mut self.is_emptied, true) || self.violation.is_some() {
                    break;
                }
                self.free_everything();
                continue;
            };
            self.now = self.now.max(time);
            self.events_done += 1;
            if self.events_done > EVENTS_MAX || self.now > TIME_MAX {
                let text = format!("it is still busy after {} events", self.events_done);
                self.fail("every wait ends", text);
            }
            self.happen(event);
        }
        Outcome {
            events: self.events_done,
            hash: self.trace.hash(),
            has_faults: self.has_faults,
            violation: self.violation,
            lines: self.trace.into_lines(),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver(from, to) => self.deliver(from, to),
            Event::Act(at) => self.act(at),
            Event::Tick(at) => self.on_tick(at),
            Event::Written(at, file) => self.on_written(at, file),
            Event::Restored(at, object) => self.on_restored(at, object),
            Event::FileRead(at, to, object, chunk) => self.on_file_read(at, to, object, chunk),
            Event::ReadOver(at, read) => self.end_read(at, read),
            Event::Crash => self.crash(),
            Event::Noticed(node) => {
                for to in self.nodes.keys().copied().collect::<Vec<_>>() {
                    self.send(HEAD, to, Message::NodeDied(node));
                }
            }
            Event::Partition => self.partition(),
        }
    }

    fn deliver(&mut self, from: ProcessId, to: ProcessId) {
        let Some(message) = self.network.take(from, to, self.now) else {
            return;
        };
        if self.nodes.contains_key(&to) {
            self.trace.note(self.now, to, from.0 << 8 | 9, 0, || {
                format!("from {from}: {message:?}")
            });
            self.on_message(to, from, message);
            self.settle(to);
        }
    }

    fn send(&mut self, from: ProcessId, to: ProcessId, message: Message) {
        let now = self.now;
        let arrival = self
            .network
            .post(from, to, message, 1, now, &mut self.chance);
        if let Some(arrival) = arrival {
            self.schedule_at(arrival, Event::Deliver(from, to));
        }
    }

    fn schedule(&mut self, delay: u64, event: Event) {
        self.schedule_at(Time(self.now.0 + delay), event);
    }

    fn schedule_at(&mut self, at: Time, event: Event) {
        let number = self.fresh_number();
        self.events.insert((at, number), event);
    }

    /// Returns a number that nothing else has.
    fn fresh_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn fail(&mut self, invariant: &'static str, text: String) {
        self.violation.get_or_insert(Violation { invariant, text });
    }

    /// Returns a node that lives.
    fn store(&mut self, at: ProcessId) -> &mut Store {
        let store = self.nodes.get_mut(&at);
        store.expect("the caller knows that it lives")
    }

    /// User code on a node does something.
    fn act(&mut self, at: ProcessId) {
        if !self.nodes.contains_key(&at) || self.acts_left == 0 {
            return;
        }
        self.acts_left -= 1;
        match self.chance.below(100) {
            0..30 => {
                let bytes = match self.chance.below(10) {
                    0..6 => self.chance.between(1_000, CHUNK),
                    6..9 => self.chance.between(CHUNK, 4 * CHUNK),
                    // More than any store has.
                    _ => self.chance.between(5 * CHUNK, OBJECT_BYTES_MAX),
                };
                let nodes = self.nodes.keys().copied().collect::<Vec<_>>();
                // The result of a task lies where that ran and not where its owner is.
                let owner = match self.chance.percent(50) {
                    true => at,
                    false => nodes[self.chance.below(nodes.len() as u64) as usize],
                };
                self.put(at, owner, bytes);
            }
            30..80 => {
                let known = self.sizes.keys().copied().collect::<Vec<_>>();
                let count = self.chance.between(1, 4);
                let picked = (0..count).filter_map(|_| self.chance.position(known.len()));
                let objects = picked
                    .map(|position| known[position])
                    .collect::<BTreeSet<_>>();
                let priority = match self.chance.below(3) {
                    0 => Priority::Get,
                    1 => Priority::Wait,
                    _ => Priority::Arguments,
                };
                if !objects.is_empty() {
                    self.read(at, objects, priority);
                }
            }
            80..92 => self.free_some(at),
            _ => self.cancel_some(at),
        }
        self.settle(at);
        let delay = self.chance.between(10_000, 20_000_000);
        self.schedule(delay, Event::Act(at));
    }

    fn crash(&mut self) {
        let mut others = self.nodes.keys().copied().collect::<Vec<_>>();
        others.retain(|id| *id != HEAD);
        if self.crashes_left == 0 || others.len() < 2 || self.acts_left == 0 {
            return;
        }
        self.crashes_left -= 1;
        let position = self.chance.below(others.len() as u64) as usize;
        let node = others[position];
        self.trace
            .note(self.now, node, 4, 0, || format!("{node} ends"));
        self.nodes.remove(&node);
        for (object, _) in self.kept.iter().filter(|(_, at)| *at == node) {
            self.endangered.insert(*object);
        }
        self.kept.retain(|(_, at)| *at != node);
        self.sizes.retain(|object, _| object.owner != node);
        self.network.lose_output_of(node, &mut self.chance);
        let heard = self.network.last_arrival(node, HEAD).max(self.now);
        let delay = self.chance.below(50_000_000) + 1;
        self.schedule_at(Time(heard.0 + delay), Event::Noticed(node));
        let delay = self.pause();
        self.schedule(delay, Event::Crash);
    }

    fn partition(&mut self) {
        if self.acts_left == 0 {
            return;
        }
        let nodes = self.nodes.keys().map(|id| id.node()).collect::<Vec<_>>();
        let apart = nodes.into_iter().filter(|_| self.chance.percent(40));
        let apart = apart.collect::<BTreeSet<_>>();
        let nanos = match self.chance.percent(80) {
            true => self.chance.between(1_000_000, 60_000_000),
            false => self.chance.between(4_000_000_000, 14_000_000_000),
        };
        self.network.part(apart, Time(self.now.0 + nanos));
        let delay = self.pause();
        self.schedule(delay, Event::Partition);
    }

    /// Judges what must hold when nothing is left to happen.
    fn judge_rest(&mut self) {
        let mut broken = None;
        for (at, store) in &self.nodes {
            if let Some(text) = store.describe_waits() {
                broken = Some(("every wait ends", format!("{at}: {text}")));
            }
            if self.is_emptied && store.cache.memory_bytes() + store.cache.disk_bytes() > 0 {
                let (memory, disk) = (store.cache.memory_bytes(), store.cache.disk_bytes());
                let text = format!("{at} still has {memory} bytes and {disk} on disk");
                broken = Some(("what is freed is gone", text));
            }
        }
        for (object, home) in self.homes() {
            let store = home.and_then(|home| self.nodes.get(&home));
            if store.is_none_or(|store| !store.cache.contains(object)) {
                let text = format!("{object} should be at {home:?}");
                broken = Some(("an object is lost only with its last copy", text));
            }
        }
        if let Some((invariant, text)) = broken {
            self.fail(invariant, text);
        }
    }
}

/// What keeps these seeds apart from those of other worlds.
const SEEDS: u64 = 0x6f62_6a65_6374_7300;
/// Bytes of one part of an object.
const CHUNK: u64 = 1 << 20;
/// The largest object that anybody puts; bytes.
const OBJECT_BYTES_MAX: u64 = 20 * CHUNK;
/// More events than this are a livelock.
const EVENTS_MAX: u64 = 200_000;
/// Everything has ended by then.
const TIME_MAX: Time = Time(3_600_000_000_000);
