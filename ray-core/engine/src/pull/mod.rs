//! Fetching objects from other nodes: which chunks of which object from whom.
//!
//! # Admission
//! A pull asks for several objects at once (the arguments of a task, the list of a `get`) and is let in
//! as a whole, by priority and then in order, while there is room for all of it: half of a task's
//! arguments would only hold space that others need. A pull that does not fit sends pulls of lower
//! priority out.
//!
//! # Fetching
//! Any holder serves, also one that has only some of the chunks yet: it counts for those, and is asked first.
//! Of several the least loaded is asked. Every puller takes the chunks in an order of its own and says
//! what it has, and hears then what others have, so that many who fetch the same object serve each other and its
//! source gives each chunk away about once. A holder that serves enough
//! others sends the rest away for a moment; they look for newer holders, and so a broadcast becomes a tree.
//! What has arrived is kept when a holder dies. A holder that sent a chunk that is not right is not asked
//! for that object again.
//!
//! An object that is sealed is the store's; whoever drives this keeps it there until the pull is done.

mod arguments;
mod fetch;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use crate::{
    chunks::Chunks,
    draws::mix,
    failure::Failure,
    ids::{NodeId, ObjectId},
    time::Time,
};

pub use self::arguments::{Arguments, TaskNumber};
pub use crate::priority::Priority;

/// Numbers of the pulls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullConfig {
    /// Size of a chunk; the last may be shorter. Default 5 MiB.
    pub chunk_bytes: u64,
    /// Bytes that are asked for and have not come, at most. Default 64 MiB.
    pub in_flight_bytes_max: u64,
    /// Chunks that one holder is asked for at a time. Default 4.
    pub per_holder_max: usize,
    /// How long a holder may take for a chunk. Default 10 s.
    pub retry_after: Duration,
    /// How often holders are looked for. Default 1 s.
    pub locate_interval: Duration,
    /// How long a holder that serves enough others already is left alone. Default 20 ms.
    pub busy_for: Duration,
    /// How long a holder of parts may take before those who have all are asked for the same. Default 200 ms.
    pub slow_after: Duration,
    /// How long a pull may take to get something. Default 600 s.
    pub fail_after: Duration,
}

impl Default for PullConfig {
    fn default() -> PullConfig {
        PullConfig {
            chunk_bytes: 5 << 20,
            in_flight_bytes_max: 64 << 20,
            per_holder_max: 4,
            retry_after: Duration::from_secs(10),
            locate_interval: Duration::from_secs(1),
            busy_for: Duration::from_millis(20),
            slow_after: Duration::from_millis(200),
            fail_after: Duration::from_secs(600),
        }
    }
}

/// A pull of one process of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PullId(pub u64);

/// An object that a pull wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub object: ObjectId,
    /// Its size.
    pub bytes: u64,
}

/// What the pulls want done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ask the object's owner who has it; the answer is [`Pulls::on_holder`], once for each.
    Locate {
        /// Which.
        object: ObjectId,
    },
    /// Make a place for an object in the store.
    Create {
        /// Which.
        object: ObjectId,
        /// Its size.
        bytes: u64,
    },
    /// Ask a holder for a chunk.
    Fetch {
        /// Of which object.
        object: ObjectId,
        /// Which.
        chunk: u32,
        /// Whom.
        from: NodeId,
    },
    /// Tell a holder that a chunk is not wanted any more.
    CancelFetch {
        /// Of which object.
        object: ObjectId,
        /// Which.
        chunk: u32,
        /// Whom.
        from: NodeId,
    },
    /// Tell the owner which chunks are here for others to fetch.
    Announce {
        /// Of which object.
        object: ObjectId,
        /// Which.
        chunks: Chunks,
    },
    /// All chunks are here: check the object and give it to the store.
    Seal {
        /// Which.
        object: ObjectId,
    },
    /// Give the place of an unfinished object back.
    Abandon {
        /// Which.
        object: ObjectId,
    },
    /// Ask the store for more room, by dropping or spilling.
    MakeRoom {
        /// How much is short.
        bytes: u64,
    },
    /// Every object of a pull is here.
    Done {
        /// Which.
        pull: PullId,
    },
    /// A pull has failed.
    Fail {
        /// Which.
        pull: PullId,
        /// What could not be had.
        object: ObjectId,
        /// Why.
        failure: Failure,
    },
}

struct Pull {
    left: BTreeSet<ObjectId>,
    is_active: bool,
    /// When something came last.
    since: Time,
}

/// An object that is wanted and not here.
struct Incoming {
    bytes: u64,
    have: Chunks,
    asked: BTreeMap<u32, Asked>,
    holders: BTreeMap<NodeId, Chunks>,
    distrusted: BTreeSet<NodeId>,
    /// Holders that serve enough others, and until when they are left alone.
    busy: BTreeMap<NodeId, Time>,
    /// The chunk that this node begins with, and how far it is to the next: no other node's way is the same.
    first: u64,
    stride: u64,
    pulls: BTreeSet<PullId>,
    /// Whether it has a place in the store.
    is_active: bool,
    located: Time,
}

#[derive(Clone, Copy)]
struct Asked {
    from: NodeId,
    at: Time,
}

/// The state machine.
pub struct Pulls {
    config: PullConfig,
    seed: u64,
    pulls: BTreeMap<PullId, Pull>,
    /// Pulls by priority and then in order of arrival.
    order: BTreeMap<(Priority, u64), PullId>,
    arrivals: u64,
    objects: BTreeMap<ObjectId, Incoming>,
    /// How many chunks each holder is asked for, and what else it says it has to do.
    outstanding: BTreeMap<NodeId, usize>,
    loads: BTreeMap<NodeId, u32>,
    /// What objects on their way may take in all.
    room: u64,
    short: u64,
    in_flight_bytes: u64,
    /// When something happened last.
    now: Time,
    commands: VecDeque<Command>,
}

impl Pulls {
    /// Returns a machine without pulls or room; nodes choose differently by `seed`.
    pub fn new(config: PullConfig, seed: u64) -> Pulls {
        assert!(config.chunk_bytes > 0, "a chunk has a size");
        Pulls {
            config,
            seed,
            pulls: BTreeMap::new(),
            order: BTreeMap::new(),
            arrivals: 0,
            objects: BTreeMap::new(),
            outstanding: BTreeMap::new(),
            loads: BTreeMap::new(),
            room: 0,
            short: 0,
            in_flight_bytes: 0,
            now: Time::default(),
            commands: VecDeque::new(),
        }
    }

    /// Returns the next wish.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Returns when [`Pulls::on_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        let retries = self.objects.values().flat_map(|incoming| {
            let asked = incoming.asked.values();
            asked.map(|asked| asked.at + self.config.retry_after)
        });
        let starved = self
            .objects
            .values()
            .filter(|incoming| incoming.is_starved());
        let locates = starved.map(|incoming| incoming.located + self.config.locate_interval);
        let failures = self
            .pulls
            .values()
            .map(|pull| pull.since + self.config.fail_after);
        let busy = self
            .objects
            .values()
            .flat_map(|incoming| incoming.busy.values().copied());
        let incoming = self.objects.values();
        let slow =
            incoming.filter_map(|incoming| incoming.slow_at(self.config.slow_after, self.now));
        let all = retries.chain(locates).chain(failures).chain(busy);
        all.chain(slow).min()
    }

    /// Returns how many chunks an object of this size has.
    pub fn chunk_count(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(self.config.chunk_bytes).max(1)).unwrap_or(u32::MAX)
    }

    /// Returns which chunks of an unfinished object are here, for others to fetch.
    pub fn held_chunks(&self, object: ObjectId) -> Option<&Chunks> {
        self.objects.get(&object).map(|incoming| &incoming.have)
    }

    /// Returns how many bytes are asked for and have not come.
    pub fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes
    }

    /// Returns what the objects take that have a place in the store.
    pub fn reserved_bytes(&self) -> u64 {
        let active = self.objects.values().filter(|incoming| incoming.is_active);
        active.map(|incoming| incoming.bytes).sum()
    }

    /// Somebody needs objects that are not here; a pull without any is done at once.
    pub fn pull(&mut self, id: PullId, wanted: &[Wanted], priority: Priority, now: Time) {
        if self.pulls.contains_key(&id) {
            return;
        }
        if wanted.is_empty() {
            self.commands.push_back(Command::Done { pull: id });
            return;
        }
        for Wanted { object, bytes } in wanted {
            let count = self.chunk_count(*bytes);
            let way = mix(self.seed ^ mix(object.owner.0 ^ object.index));
            let commands = &mut self.commands;
            let incoming = self.objects.entry(*object).or_insert_with(|| {
                commands.push_back(Command::Locate { object: *object });
                Incoming {
                    bytes: *bytes,
                    have: Chunks::none(count),
                    asked: BTreeMap::new(),
                    holders: BTreeMap::new(),
                    distrusted: BTreeSet::new(),
                    busy: BTreeMap::new(),
                    first: way % u64::from(count),
                    stride: stride(mix(way), u64::from(count)),
                    pulls: BTreeSet::new(),
                    is_active: false,
                    located: now,
                }
            });
            incoming.pulls.insert(id);
        }
        let pull = Pull {
            left: wanted.iter().map(|wanted| wanted.object).collect(),
            is_active: false,
            since: now,
        };
        self.pulls.insert(id, pull);
        self.arrivals += 1;
        self.order.insert((priority, self.arrivals), id);
        self.advance(now);
    }

    /// Nobody needs a pull any more.
    pub fn cancel(&mut self, id: PullId, now: Time) {
        self.end_pull(id);
        self.advance(now);
    }

    /// Objects on their way may take so many bytes in all, those that have a place included.
    pub fn on_room(&mut self, bytes: u64, now: Time) {
        self.room = bytes;
        self.short = 0;
        self.advance(now);
    }

    /// An object came into the store by other means.
    pub fn on_local(&mut self, object: ObjectId, now: Time) {
        if self.objects.contains_key(&object) {
            self.deactivate(object);
            self.complete(object, now);
            self.advance(now);
        }
    }

    /// Lets pulls in by priority while there is room for the whole of each.
    fn admit(&mut self) {
        let order = self
            .order
            .iter()
            .map(|((priority, _), id)| (*priority, *id));
        for (priority, id) in order.collect::<Vec<_>>() {
            let Some(pull) = self.pulls.get(&id).filter(|pull| !pull.is_active) else {
                continue;
            };
            let new = pull
                .left
                .iter()
                .filter(|object| !self.objects[object].is_active)
                .copied()
                .collect::<Vec<_>>();
            let bytes = new
                .iter()
                .map(|object| self.objects[object].bytes)
                .sum::<u64>();
            let firm = self.firm_bytes(priority) + bytes;
            if firm > self.room {
                // Nothing passes it: a large pull would else wait for ever.
                return self.ask_for_room(firm - self.room);
            }
            while self.reserved_bytes() + bytes > self.room {
                self.send_out_last(priority);
            }
            for object in new {
                let incoming = self.objects.get_mut(&object).expect("a pull's object");
                incoming.is_active = true;
                let bytes = incoming.bytes;
                self.commands.push_back(Command::Create { object, bytes });
            }
            let pull = self.pulls.get_mut(&id).expect("it was found above");
            pull.is_active = true;
        }
    }

    /// Returns what objects take that a pull of this priority cannot send out.
    fn firm_bytes(&self, priority: Priority) -> u64 {
        let firm = self
            .order
            .range(..=(priority, u64::MAX))
            .map(|(_, id)| *id)
            .filter(|id| self.pulls[id].is_active)
            .flat_map(|id| self.pulls[&id].left.iter())
            .collect::<BTreeSet<_>>();
        firm.into_iter()
            .map(|object| self.objects[object].bytes)
            .sum()
    }

    fn ask_for_room(&mut self, bytes: u64) {
        if bytes > self.short {
            self.short = bytes;
            self.commands.push_back(Command::MakeRoom { bytes });
        }
    }

    /// Sends the last active pull of lower priority out.
    fn send_out_last(&mut self, priority: Priority) {
        let last = self
            .order
            .range((priority, u64::MAX)..)
            .rev()
            .map(|(_, id)| *id)
            .find(|id| self.pulls[id].is_active)
            .expect("what is not firm is of lower priority");
        let pull = self.pulls.get_mut(&last).expect("it was found above");
        pull.is_active = false;
        for object in pull.left.clone() {
            let is_needed = self.objects[&object]
                .pulls
                .iter()
                .any(|other| self.pulls[other].is_active);
            if !is_needed {
                self.deactivate(object);
            }
        }
    }

    /// Gives an object's place back; who has it stays known.
    fn deactivate(&mut self, object: ObjectId) {
        self.cancel_fetches(object);
        let Some(incoming) = self.objects.get_mut(&object) else {
            return;
        };
        if std::mem::take(&mut incoming.is_active) {
            incoming.have = Chunks::none(incoming.have.count());
            self.commands.push_back(Command::Abandon { object });
        }
    }

    fn end_pull(&mut self, id: PullId) {
        let Some(pull) = self.pulls.remove(&id) else {
            return;
        };
        self.order.retain(|_, other| *other != id);
        for object in pull.left {
            let Some(incoming) = self.objects.get_mut(&object) else {
                continue;
            };
            incoming.pulls.remove(&id);
            if incoming.pulls.is_empty() {
                self.deactivate(object);
                self.objects.remove(&object);
            } else if !incoming
                .pulls
                .iter()
                .any(|other| self.pulls[other].is_active)
            {
                self.deactivate(object);
            }
        }
    }

    /// An object is here: pulls that wanted nothing else are done.
    fn complete(&mut self, object: ObjectId, now: Time) {
        let Some(incoming) = self.objects.remove(&object) else {
            return;
        };
        for id in incoming.pulls {
            let pull = self.pulls.get_mut(&id).expect("an object's pull");
            pull.left.remove(&object);
            pull.since = now;
            if pull.left.is_empty() {
                self.end_pull(id);
                self.commands.push_back(Command::Done { pull: id });
            }
        }
    }
}

/// Returns a step that comes by each of `count` numbers before it comes back.
fn stride(wish: u64, count: u64) -> u64 {
    let common_divisor = |mut a: u64, mut b: u64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let steps = (0..count).map(|more| 1 + (wish + more) % count);
    let mut coprime = steps.filter(|step| common_divisor(*step, count) == 1);
    coprime.next().unwrap_or(1)
}
