//! The world of one seed: one thread, a virtual clock, a queue of events.

mod faults;

use std::collections::{BTreeMap, BTreeSet};

use ray_engine::{
    failure::Failure,
    ids::{ActorId, JobId, ObjectId, ProcessId},
    owner::ObjectState,
    time::Time,
};

use crate::{
    Violation,
    invariants::Invariants,
    network::Network,
    node::Node,
    process::Process,
    rng::Chance,
    scenario::Profile,
    trace::Trace,
    user::{Context, Role},
    wire::{Fate, Message, Payload, Value},
};

/// The driver, whose process has the node role too.
pub const DRIVER: ProcessId = ProcessId(1);
/// The only job.
pub const JOB: JobId = JobId(1);

/// Something that happens at its time.
#[derive(Debug)]
enum Event {
    Deliver(ProcessId, ProcessId),
    Repeat(ProcessId, ProcessId, Message),
    Step(ProcessId, u64, u64),
    OwnerTick(ProcessId),
    ExecutorTick(ProcessId),
    NodeTick,
    Spawned(ProcessId),
    Exited(ProcessId),
    Closed {
        at: ProcessId,
        peer: ProcessId,
        is_goodbye: bool,
    },
    Kill,
    Cut,
}

/// Everything there is.
pub struct World {
    pub(crate) now: Time,
    pub(crate) chance: Chance,
    pub(crate) profile: Profile,
    pub(crate) processes: BTreeMap<ProcessId, Process>,
    pub(crate) node: Node,
    pub(crate) invariants: Invariants,
    /// Blocking questions to the node and who waits for the answer.
    pub(crate) requests: BTreeMap<u64, (ProcessId, u64, u64)>,
    /// Actors that outlive their creators, to be killed at the end.
    pub(crate) detached: Vec<ActorId>,
    network: Network,
    events: BTreeMap<(Time, u64), Event>,
    next_number: u64,
    next_process: u64,
    node_tick_at: Option<Time>,
    roots_left: u32,
    /// Processes that have been started and have not said so yet.
    starting: BTreeSet<ProcessId>,
    events_done: u64,
    violation: Option<Violation>,
    trace: Trace,
}

impl World {
    /// Returns the world of `seed` before its first event.
    pub fn new(seed: u64, trace: Trace) -> World {
        let mut chance = Chance::new(seed);
        let profile = Profile::draw(&mut chance);
        let mut world = World {
            now: Time(1_000_000),
            processes: BTreeMap::from([(DRIVER, Process::new(DRIVER, None, 1))]),
            node: Node::new(profile.total.clone(), profile.scheduler),
            invariants: Invariants::default(),
            requests: BTreeMap::new(),
            detached: Vec::new(),
            network: Network::new(profile.weather),
            events: BTreeMap::new(),
            next_number: 1,
            next_process: DRIVER.0 + 1,
            node_tick_at: None,
            roots_left: profile.roots,
            starting: BTreeSet::new(),
            events_done: 0,
            violation: None,
            trace,
            profile,
            chance,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        let payload = Payload {
            args: Vec::new(),
            handles: Vec::new(),
            depth: 0,
            steps: self.profile.root_steps,
            step_nanos: 200_000,
            may_block: true,
            fate: Fate::Return,
            returns: 0,
            call: None,
        };
        for _ in 0..self.profile.roots {
            let id = self.fresh_number();
            let context = Context::new(Role::Root, Vec::new(), Vec::new(), &payload);
            self.process(DRIVER).contexts.insert(id, context);
            self.wake_context(DRIVER, id, 0, 1);
        }
        let kept = self.profile.scheduler.workers_kept;
        self.node.scheduler.prestart(JOB, kept, self.now);
        self.settle_node();
        self.next_fault(Event::Kill, self.profile.kill_nanos);
        self.next_fault(Event::Cut, self.profile.cut_nanos);
    }

    /// Lets everything happen until nothing is left to happen, or a promise is broken.
    pub fn run(mut self) -> Outcome {
        while self.violation.is_none() {
            let Some(((time, _), event)) = self.events.pop_first() else {
                self.judge_the_end();
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
            Event::Repeat(from, to, message) if self.processes.contains_key(&from) => {
                self.post_once(from, to, message);
            }
            Event::Repeat(..) => {}
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
            Event::NodeTick => {
                self.node_tick_at = None;
                self.node.scheduler.on_timeout(self.now);
                self.settle_node();
            }
            Event::Spawned(process) => self.on_spawned(process),
            Event::Exited(process) => {
                self.trace.note(self.now, DRIVER, 2, process.0, || {
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
        }
    }

    fn deliver(&mut self, from: ProcessId, to: ProcessId) {
        let Some(message) = self.network.take(from, to, self.now) else {
            return;
        };
        if !self.processes.contains_key(&to) {
            return;
        }
        self.trace.note_message(self.now, from, to, &message);
        self.on_address(to, from);
        if let Some(for_the_node) = self.on_message(to, from, message) {
            self.on_node_message(from, for_the_node);
        }
    }

    /// Puts a message on the wire.
    pub(crate) fn post(&mut self, from: ProcessId, to: ProcessId, message: Message) {
        if is_harmless_to_repeat(&message) && self.chance.percent(self.profile.repeat_percent) {
            // Answers may come again much later, other news only at once.
            let delay = match message {
                Message::Done { .. } | Message::Answer { .. } => self.chance.below(3_000_000),
                _ => 0,
            };
            let event = Event::Repeat(from, to, message.clone());
            self.schedule(Time(self.now.0 + delay), event);
        }
        self.post_once(from, to, message);
    }

    fn post_once(&mut self, from: ProcessId, to: ProcessId, message: Message) {
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

    pub(crate) fn wake_node(&mut self, due: Time) {
        if self.node_tick_at.is_none_or(|armed| due < armed) {
            self.node_tick_at = Some(due);
            self.schedule(due, Event::NodeTick);
        }
    }

    /// Returns a number that nothing else has.
    pub(crate) fn fresh_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// One of the driver's threads is done; with the last one everything is let go.
    pub(crate) fn on_root_ended(&mut self) {
        self.roots_left -= 1;
        if self.roots_left == 0 {
            for actor in std::mem::take(&mut self.detached) {
                self.send(DRIVER, DRIVER, Message::KillActor(actor, true));
            }
        }
    }

    /// Looks at an object's outcome as user code or an owner sees it.
    pub(crate) fn observe(&mut self, at: ProcessId, object: ObjectId) {
        let verdict = match self.process(at).owner.state(object) {
            ObjectState::Pending => return,
            ObjectState::Ready(value) => {
                let value = value.clone();
                return self.check_value(at, object, &value);
            }
            ObjectState::Failed(failure) => {
                self.invariants.publish.on_failure(object, at);
                self.invariants
                    .reads
                    .on_failure(object, &failure, &self.invariants.references)
            }
            ObjectState::Unknown => self.invariants.reads.on_failure(
                object,
                &Failure::ObjectFreed(object),
                &self.invariants.references,
            ),
        };
        self.judge("nothing freed while reachable", verdict);
    }

    /// Looks at an object's value, if it has one; perhaps nobody holds it any more.
    pub(crate) fn observe_value(&mut self, at: ProcessId, object: ObjectId) {
        if let ObjectState::Ready(value) = self.process(at).owner.state(object) {
            let value = value.clone();
            self.check_value(at, object, &value);
        }
    }

    pub(crate) fn check_value(&mut self, at: ProcessId, object: ObjectId, value: &Value) {
        let verdict = self.invariants.publish.on_value(object, at, value);
        self.judge("published once", verdict);
    }

    /// Notes the first broken promise.
    pub(crate) fn fail(&mut self, invariant: &'static str, text: String) {
        self.violation.get_or_insert(Violation { invariant, text });
    }

    pub(crate) fn judge(&mut self, invariant: &'static str, verdict: Result<(), String>) {
        if let Err(text) = verdict {
            self.fail(invariant, text);
        }
    }

    fn check_each_step(&mut self) {
        let in_flight = self.network.in_flight();
        let verdict = self
            .invariants
            .queues
            .check(&self.processes, &self.node, in_flight);
        self.judge("queues are bounded", verdict);
    }

    fn judge_the_end(&mut self) {
        let verdict =
            crate::invariants::waits_end::check(&self.processes, &self.requests, &self.node);
        self.judge("every wait ends", verdict);
        if self.roots_left > 0 {
            let text = format!("{} threads of the driver have not ended", self.roots_left);
            self.fail("every wait ends", text);
        }
        let verdict = self.invariants.references.check_empty(&self.processes);
        self.judge("counts are the reachable set", verdict);
        let verdict = crate::invariants::leases::check(&self.processes, &self.node);
        self.judge("leases return", verdict);
        let verdict = crate::invariants::resources::check_whole(&self.profile, &self.node);
        self.judge("resources add up", verdict);
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
        Message::RecallLease(_) | Message::ProcessDied(_) => true,
        _ => false,
    }
}

/// More events than this are a livelock.
const EVENTS_MAX: u64 = 200_000;
/// Everything has ended by then.
const TIME_MAX: Time = Time(120_000_000_000);
