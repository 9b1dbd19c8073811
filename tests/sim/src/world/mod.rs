//! The world of one seed: one thread, a virtual clock, a queue of events.

mod cluster;
mod faults;
mod judge;
mod probe;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ray_engine::{
    env::RuntimeEnv,
    ids::{ActorId, GroupId, JobId, ProcessId},
    resources::Resources,
    time::Time,
};

use crate::{
    Violation,
    control::Control,
    invariants::Invariants,
    network::Network,
    node::Node,
    process::Process,
    rng::Chance,
    scenario::{NodePlan, Profile},
    trace::Trace,
    user::{Context, Role},
    wire::{Fate, Message, Payload},
};

/// The process with the control role and a node role; alone it is the driver too.
pub const HEAD: ProcessId = ProcessId(1 << 28);

/// Something that happens at its time.
#[derive(Debug)]
enum Event {
    Deliver(ProcessId, ProcessId),
    Repeat(ProcessId, ProcessId, Box<Message>),
    Step(ProcessId, u64, u64),
    OwnerTick(ProcessId),
    ExecutorTick(ProcessId),
    NodeTick(ProcessId),
    ControlTick,
    Spawned(ProcessId),
    Exited(ProcessId),
    Closed {
        at: ProcessId,
        peer: ProcessId,
        is_goodbye: bool,
    },
    Kill,
    Cut,
    Join(usize),
    Crash,
    Partition,
    /// An isolated node ends, since it has noticed.
    Severed(ProcessId),
    GroupOver(GroupId),
}

/// Everything there is.
pub struct World {
    pub(crate) now: Time,
    pub(crate) chance: Chance,
    pub(crate) profile: Profile,
    pub(crate) processes: BTreeMap<ProcessId, Process>,
    pub(crate) nodes: BTreeMap<ProcessId, Node>,
    pub(crate) control: Control,
    /// The processes with a program, the first of which never ends.
    pub(crate) drivers: Vec<ProcessId>,
    /// How often somebody still looks whether a group is removed.
    pub(crate) groups_left: BTreeMap<GroupId, u32>,
    pub(crate) invariants: Invariants,
    /// Blocking questions to the node and who waits for the answer.
    pub(crate) requests: BTreeMap<u64, (ProcessId, u64, u64)>,
    /// Actors that outlive their creators, to be killed at the end.
    pub(crate) detached: Vec<ActorId>,
    pub(crate) network: Network<Message>,
    events: BTreeMap<(Time, u64), Event>,
    next_number: u64,
    next_node: u64,
    roots_left: BTreeMap<ProcessId, u32>,
    /// Connections to processes that are gone, which are given up in time.
    given_up: BTreeSet<(ProcessId, ProcessId)>,
    probe: probe::Probe,
    /// Processes that have been started and have not said so yet.
    starting: BTreeSet<ProcessId>,
    events_done: u64,
    /// When the last message came that was more than a question to an idle worker whether it is needed.
    last_act: Time,
    violation: Option<Violation>,
    trace: Trace,
}

impl World {
    /// Returns the world of `seed` with one node, before its first event.
    pub fn new(seed: u64, trace: Trace) -> World {
        let mut chance = Chance::new(seed);
        let profile = Profile::draw(&mut chance);
        World::of(profile, chance, trace)
    }

    /// Returns the world of `seed` with several nodes, before its first event.
    pub fn new_cluster(seed: u64, trace: Trace) -> World {
        let mut chance = Chance::new(seed ^ CLUSTER_SEEDS);
        let profile = Profile::draw_cluster(&mut chance);
        World::of(profile, chance, trace)
    }

    fn of(profile: Profile, chance: Chance, trace: Trace) -> World {
        let cluster = profile.cluster.as_ref();
        let grace = cluster.map_or(Duration::ZERO, |cluster| cluster.infeasible_grace);
        let mut world = World {
            now: Time(1_000_000),
            processes: BTreeMap::new(),
            nodes: BTreeMap::new(),
            control: Control::new(grace, 7),
            drivers: Vec::new(),
            groups_left: BTreeMap::new(),
            invariants: Invariants::default(),
            requests: BTreeMap::new(),
            detached: Vec::new(),
            network: Network::new(profile.weather),
            events: BTreeMap::new(),
            next_number: 1,
            next_node: 1,
            roots_left: BTreeMap::new(),
            given_up: BTreeSet::new(),
            probe: probe::Probe::default(),
            starting: BTreeSet::new(),
            events_done: 0,
            last_act: Time(0),
            violation: None,
            trace,
            profile,
            chance,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        let head = self.profile.head();
        match self.profile.cluster.clone() {
            None => {
                self.join(&head, Some(JobId(1)), false);
                let kept = self.profile.scheduler.workers_kept;
                let now = self.now;
                self.node(HEAD)
                    .scheduler
                    .prestart(JobId(1), &RuntimeEnv::default(), kept, now);
                self.settle_node(HEAD);
            }
            Some(cluster) => {
                self.join(&head, None, false);
                for number in 1..=cluster.drivers {
                    let plan = NodePlan {
                        total: Resources::new(),
                        ..head.clone()
                    };
                    self.join(&plan, Some(JobId(number)), true);
                }
                for (index, node) in cluster.nodes.iter().enumerate() {
                    self.schedule(Time(self.now.0 + node.joins_at), Event::Join(index));
                }
                self.next_fault(Event::Crash, cluster.crash_nanos);
                self.next_fault(Event::Partition, cluster.partition_nanos);
            }
        }
        self.next_fault(Event::Kill, self.profile.kill_nanos);
        self.next_fault(Event::Cut, self.profile.cut_nanos);
    }

    /// Begins the threads of a driver's program.
    fn begin_program(&mut self, at: ProcessId) {
        let payload = Payload {
            args: Vec::new(),
            handles: Vec::new(),
            groups: Vec::new(),
            depth: 0,
            steps: self.profile.root_steps,
            step_nanos: 200_000,
            may_block: true,
            fate: Fate::Return,
            returns: 0,
            call: None,
        };
        self.drivers.push(at);
        self.roots_left.insert(at, self.profile.roots);
        for _ in 0..self.profile.roots {
            let id = self.fresh_number();
            let context = Context::new(Role::Root, Vec::new(), Vec::new(), &payload);
            self.process(at).contexts.insert(id, context);
            self.wake_context(at, id, 0, 1);
        }
    }

    /// Lets everything happen until nothing is left to happen, or a promise is broken.
    pub fn run(mut self) -> Outcome {
        while self.violation.is_none() {
            let next = match self.is_at_rest() {
                true => None,
                false => self.events.pop_first(),
            };
            let Some(((time, _), event)) = next else {
                self.last_act = self.now;
                if self.ends_what_is_kept_alive()
                    || self.lets_freed_go()
                    || self.goes_on_with_probe()
                {
                    continue;
                }
                if self.violation.is_none() {
                    self.judge_the_end();
                }
                break;
            };
            self.now = self.now.max(time);
            self.events_done += 1;
            if self.events_done > EVENTS_MAX || self.now > TIME_MAX {
                let text = format!(
                    "it is still busy after {} events and {} ms",
                    self.events_done,
                    self.now.0 / 1_000_000
                );
                self.fail("every wait ends", text);
                break;
            }
            self.happen(event);
            self.check_each_step();
        }
        Outcome {
            events: self.events_done,
            hash: self.trace.hash(),
            has_faults: self.profile.has_faults,
            violation: self.violation,
            lines: self.trace.into_lines(),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver(from, to) => self.deliver(from, to),
            Event::Repeat(from, to, message) => {
                // An owner that has told a borrower of a free answers it no more.
                let is_over = matches!(&*message, Message::Answer { object, .. }
                    if self.invariants.freed.contains(*object));
                if self.processes.contains_key(&from) && !is_over {
                    self.post_once(from, to, *message);
                }
            }
            Event::Step(at, id, generation) => {
                self.trace
                    .note(self.now, at, 1, id, || format!("step of {id}"));
                self.step(at, id, generation);
            }
            Event::OwnerTick(at) => {
                let now = self.now;
                if let Some(process) = self.processes.get_mut(&at) {
                    process.tick_at = None;
                    process.owner.on_timeout(now);
                    self.settle(at);
                }
            }
            Event::ExecutorTick(at) => self.on_executor_tick(at),
            Event::NodeTick(at) => self.on_node_tick(at),
            Event::ControlTick => self.on_control_tick(),
            Event::Spawned(process) => self.on_spawned(process),
            Event::Exited(process) => {
                self.trace.note(self.now, HEAD, 2, process.0, || {
                    format!("{process} has ended")
                });
                self.on_worker_exit(process);
            }
            Event::Closed {
                at,
                peer,
                is_goodbye,
            } => self.on_closed(at, peer, is_goodbye),
            Event::Kill => {
                self.kill_somebody();
                self.next_fault(Event::Kill, self.profile.kill_nanos);
            }
            Event::Cut => {
                self.cut_something();
                self.next_fault(Event::Cut, self.profile.cut_nanos);
            }
            Event::Join(index) => self.on_join(index),
            Event::Crash => self.crash_a_node(),
            Event::Partition => self.partition(),
            Event::Severed(node) => self.kill_node(node),
            Event::GroupOver(group) => self.on_group_over(group),
        }
    }

    fn deliver(&mut self, from: ProcessId, to: ProcessId) {
        let Some(message) = self.network.take(from, to, self.now) else {
            return;
        };
        if !self.processes.contains_key(&to) {
            return;
        }
        if !matches!(message, Message::StopIdle | Message::StayedBusy) {
            self.last_act = self.now;
        }
        self.trace.note_message(self.now, from, to, &message);
        self.on_address(to, from);
        let Some(for_a_role) = self.on_message(to, from, message) else {
            return;
        };
        if for_a_role.is_for_control() && to == HEAD {
            self.on_control_message(from, for_a_role);
        } else if self.nodes.contains_key(&to) {
            self.on_node_message(to, from, for_a_role);
        } else {
            let text = format!("{for_a_role:?} of {from} went astray to {to}");
            self.fail("no lost result", text);
        }
    }

    /// Puts a message on the wire.
    pub(crate) fn post(&mut self, from: ProcessId, to: ProcessId, message: Message) {
        if is_harmless_to_repeat(&message) && self.chance.percent(self.profile.repeat_percent) {
            // Answers may come again much later, other news only at once.
            let delay = match message {
                Message::Done { .. }
                | Message::Answer { .. }
                | Message::BundlesPrepared(..)
                | Message::BundlesCommitted(..)
                | Message::BundlesRefused(..) => self.chance.below(3_000_000),
                _ => 0,
            };
            let event = Event::Repeat(from, to, Box::new(message.clone()));
            self.schedule(Time(self.now.0 + delay), event);
        }
        self.post_once(from, to, message);
    }

    fn post_once(&mut self, from: ProcessId, to: ProcessId, message: Message) {
        if !self.processes.contains_key(&to) && !self.starting.contains(&to) {
            self.give_up_in_time(from, to);
        }
        let slowness = self
            .processes
            .get(&from)
            .map_or(1, |process| process.slowness);
        let arrival = self
            .network
            .post(from, to, message, slowness, self.now, &mut self.chance);
        if let Some(arrival) = arrival {
            self.schedule(arrival, Event::Deliver(from, to));
        }
    }

    fn schedule(&mut self, at: Time, event: Event) {
        let number = self.fresh_number();
        self.events.insert((at, number), event);
    }

    pub(crate) fn wake_context(&mut self, at: ProcessId, id: u64, generation: u64, delay: u64) {
        let slowness = self
            .processes
            .get(&at)
            .map_or(1, |process| process.slowness);
        let due = Time(self.now.0 + delay * slowness);
        self.schedule(due, Event::Step(at, id, generation));
    }

    pub(crate) fn wake_owner(&mut self, at: ProcessId, due: Time) {
        self.schedule(due, Event::OwnerTick(at));
    }

    pub(crate) fn wake_executor(&mut self, at: ProcessId, due: Time) {
        self.schedule(due, Event::ExecutorTick(at));
    }

    pub(crate) fn wake_node(&mut self, at: ProcessId, due: Time) {
        self.schedule(due, Event::NodeTick(at));
    }

    pub(crate) fn wake_control(&mut self, due: Time) {
        self.schedule(due, Event::ControlTick);
    }

    pub(crate) fn end_group_in(&mut self, delay: u64, group: GroupId) {
        self.schedule(Time(self.now.0 + delay), Event::GroupOver(group));
    }

    /// Returns a number that nothing else has.
    pub(crate) fn fresh_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// One of the driver's threads is done; with the last one everything is let go.
    pub(crate) fn on_root_ended(&mut self, at: ProcessId) {
        if let Some(left) = self.roots_left.get_mut(&at) {
            *left -= 1;
        }
        self.let_go_at_the_end();
    }

    pub(super) fn let_go_at_the_end(&mut self) {
        if !self.driver_goes_on() {
            let driver = self.drivers[0];
            for actor in std::mem::take(&mut self.detached) {
                self.send(driver, HEAD, Message::KillActor(actor, true));
            }
        }
    }
}

/// How a seed went.
pub struct Outcome {
    /// How many events happened.
    pub events: u64,
    /// Stands for all of them.
    pub hash: u64,
    /// Whether the seed had faults.
    pub has_faults: bool,
    /// The broken promise, if one was broken.
    pub violation: Option<Violation>,
    /// The trace, when one was asked for.
    pub lines: Vec<String>,
}

/// Answers of stale attempts and news that are no news may come twice without harm.
fn is_harmless_to_repeat(message: &Message) -> bool {
    match message {
        Message::Done { outcome, .. } => outcome
            .iter()
            .flatten()
            .all(|(_, contained)| contained.is_empty()),
        Message::Answer { outcome, .. } => {
            outcome.iter().all(|(_, contained)| contained.is_empty())
        }
        Message::RecallLease(_)
        | Message::ProcessDied(..)
        | Message::NodeDied(_)
        | Message::NodeView(_)
        | Message::LeaseSettled(..)
        | Message::LeaseRejected(..)
        | Message::PrepareBundles(..)
        | Message::CommitBundles(..)
        | Message::ReturnBundles(..)
        | Message::BundlesPrepared(..)
        | Message::BundlesCommitted(..)
        | Message::BundlesRefused(..) => true,
        _ => false,
    }
}

/// What keeps the seeds of clusters apart from those of one node.
const CLUSTER_SEEDS: u64 = 0x636c_7573_7465_7273;
/// More events than this are a livelock.
const EVENTS_MAX: u64 = 200_000;
/// Everything has ended by then.
const TIME_MAX: Time = Time(600_000_000_000);
