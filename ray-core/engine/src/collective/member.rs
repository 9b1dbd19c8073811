//! One member of a group: its links to others, and its calls step by step.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Range,
};

use super::{
    plan::{Action, Plan, Stage},
    say::{Call, Chunk, Fault, Lane, Operation},
};

/// The knobs of a member; the same for all members of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest chunk; bytes.
    pub chunk_bytes: u64,
    /// Chunks that may be on the way to a member that has not taken them.
    pub window: u64,
}

/// What one member knows about its group.
#[derive(Debug)]
pub struct Member {
    rank: u32,
    world: u32,
    limits: Limits,
    outgoing: BTreeMap<(Lane, u32), Outgoing>,
    incoming: BTreeMap<(Lane, u32), Incoming>,
    /// Calls of the whole group so far.
    round: u64,
    is_in_group_call: bool,
    /// Members that said goodbye.
    left: BTreeSet<u32>,
    fault: Option<Fault>,
}

#[derive(Debug, Default)]
struct Outgoing {
    sent: u64,
    taken: u64,
    round: u64,
    is_busy: bool,
}

#[derive(Debug, Default)]
struct Incoming {
    arrived: VecDeque<Chunk>,
    /// Chunks that arrived so far, in all.
    count: u64,
    taken: u64,
    /// How much of that the sender knows.
    told: u64,
    round: u64,
    is_busy: bool,
}

/// What a caller wants.
#[allow(
    missing_docs,
    reason = "the fields are named after the types that say what they are"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A call of the whole group.
    Group(Call),
    /// Sending to another member.
    Send { to: u32, call: Call },
    /// Receiving from another member.
    Receive { from: u32, call: Call },
}

/// Another thread of this process is in such a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// A call on its way.
#[derive(Debug)]
pub struct Running {
    call: Call,
    lane: Lane,
    to: u32,
    from: u32,
    round: u64,
    plan: Plan,
    chunk: u64,
    sent: Cursor,
    received: Cursor,
    is_told: bool,
}

/// How far one direction of a call is: whole stages, and chunks of the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cursor {
    stage: usize,
    number: u64,
}

impl Cursor {
    fn advance(&mut self, stages: &[Stage], chunk: u64) {
        self.number += 1;
        if self.number == stages[self.stage].chunks(chunk) {
            self.stage += 1;
            self.number = 0;
        }
    }

    /// Returns whether the `number`-th chunk of `stage` lies behind it.
    fn is_past(&self, stage: usize, number: u64) -> bool {
        (self.stage, self.number) > (stage, number)
    }
}

/// What the caller's thread does next.
#[allow(
    missing_docs,
    reason = "the fields are named after the types that say what they are"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sends these elements to a member.
    Send {
        to: u32,
        chunk: Chunk,
        elements: Range<u64>,
    },
    /// Takes the oldest chunk of a member and does something with it.
    Take {
        from: u32,
        lane: Lane,
        elements: Range<u64>,
        action: Action,
    },
    /// Tells a member how many of its chunks were taken in all.
    Tell { to: u32, lane: Lane, taken: u64 },
    /// Waits until something arrives from this member.
    Wait { from: u32 },
    /// The call is over.
    Done,
    /// The call will never be over.
    Failed(Fault),
}

impl Member {
    /// Returns the member `rank` of a group of `world`.
    pub fn new(rank: u32, world: u32, limits: Limits) -> Member {
        assert!(rank < world, "a rank is below the number of members");
        assert!(
            limits.window >= 2,
            "one chunk is on the way while one is taken"
        );
        Member {
            rank,
            world,
            limits,
            outgoing: BTreeMap::new(),
            incoming: BTreeMap::new(),
            round: 0,
            is_in_group_call: false,
            left: BTreeSet::new(),
            fault: None,
        }
    }

    /// Returns why the group is of no use any more, if it is not.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Returns whether what is sent to a member may still be taken.
    pub fn is_reachable(&self, rank: u32) -> bool {
        self.fault.is_none() && !self.left.contains(&rank)
    }

    /// Begins a call.
    ///
    /// # Errors
    /// [`Busy`] when a call of this kind is on its way already.
    pub fn begin(&mut self, request: Request) -> Result<Running, Busy> {
        // A call that failed has not ended, and the next is told why.
        let is_whole = self.fault.is_none();
        let (lane, to, from, call, plan, round) = match request {
            Request::Group(call) => {
                if std::mem::replace(&mut self.is_in_group_call, true) && is_whole {
                    return Err(Busy);
                }
                let plan = Plan::of_group(&call, self.rank, self.world);
                let next = (self.rank + 1) % self.world;
                let before = (self.rank + self.world - 1) % self.world;
                self.round += 1;
                (Lane::Group, next, before, call, plan, self.round - 1)
            }
            Request::Send { to, call } => {
                let link = self.outgoing.entry((Lane::Direct, to)).or_default();
                if std::mem::replace(&mut link.is_busy, true) && is_whole {
                    return Err(Busy);
                }
                link.round += 1;
                let round = link.round - 1;
                (Lane::Direct, to, to, call, Plan::of_sender(&call), round)
            }
            Request::Receive { from, call } => {
                let link = self.incoming.entry((Lane::Direct, from)).or_default();
                if std::mem::replace(&mut link.is_busy, true) && is_whole {
                    return Err(Busy);
                }
                link.round += 1;
                let round = link.round - 1;
                let plan = Plan::of_receiver(&call);
                (Lane::Direct, from, from, call, plan, round)
            }
        };
        Ok(Running {
            call,
            lane,
            to,
            from,
            round,
            plan,
            chunk: (self.limits.chunk_bytes / call.scalar.bytes()).max(1),
            sent: Cursor::default(),
            received: Cursor::default(),
            is_told: false,
        })
    }

    /// Returns what a call's thread does next; each step is taken to be done when the next is asked for.
    pub fn poll_step(&mut self, running: &mut Running) -> Step {
        if let Some(fault) = &self.fault {
            return Step::Failed(fault.clone());
        }
        if let Some(step) = self.tell(running, self.limits.window / 2) {
            return step;
        }
        if let Some(step) = self.send(running) {
            return step;
        }
        if running.received.stage < running.plan.receives.len() {
            return self.take(running);
        }
        if running.sent.stage < running.plan.sends.len() {
            // Only the other side's taking can make room.
            return self.wait_for(running.to);
        }
        if !std::mem::replace(&mut running.is_told, true)
            && let Some(step) = self.tell(running, 1)
        {
            return step;
        }
        self.end(running);
        Step::Done
    }

    /// Reports what was taken once it is `least` chunks.
    fn tell(&mut self, running: &Running, least: u64) -> Option<Step> {
        if running.plan.receives.is_empty() {
            return None;
        }
        let link = self
            .incoming
            .entry((running.lane, running.from))
            .or_default();
        if link.taken - link.told < least {
            return None;
        }
        link.told = link.taken;
        Some(Step::Tell {
            to: running.from,
            lane: running.lane,
            taken: link.taken,
        })
    }

    fn send(&mut self, running: &mut Running) -> Option<Step> {
        let at = running.sent;
        let stage = running.plan.sends.get(at.stage)?;
        if let Some(after) = stage.after
            && !running.received.is_past(after, at.number)
        {
            return None;
        }
        if self.left.contains(&running.to) {
            return Some(self.fail(Fault::Lost {
                rank: running.to,
                reason: LEFT.into(),
            }));
        }
        let link = self.outgoing.entry((running.lane, running.to)).or_default();
        if link.sent - link.taken >= self.limits.window {
            return None;
        }
        let elements = stage.chunk(at.number, running.chunk);
        let chunk = Chunk {
            lane: running.lane,
            sequence: link.sent,
            round: running.round,
            call: running.call,
        };
        link.sent += 1;
        running.sent.advance(&running.plan.sends, running.chunk);
        Some(Step::Send {
            to: running.to,
            chunk,
            elements,
        })
    }

    fn take(&mut self, running: &mut Running) -> Step {
        let key = (running.lane, running.from);
        let link = self.incoming.entry(key).or_default();
        let Some(chunk) = link.arrived.pop_front() else {
            return self.wait_for(running.from);
        };
        if (chunk.round, chunk.call) != (running.round, running.call) {
            let describe = |round: u64, call: &Call| match running.lane {
                Lane::Group => format!("{call} (its call number {round} in the group)"),
                Lane::Direct => format!("{call} (number {round} between the two)"),
            };
            return self.fail(Fault::Mismatch {
                rank: self.rank,
                call: describe(running.round, &running.call),
                other_rank: running.from,
                other_call: describe(chunk.round, &chunk.call),
            });
        }
        link.taken += 1;
        let at = running.received;
        let stage = &running.plan.receives[at.stage];
        let (elements, action) = (stage.chunk(at.number, running.chunk), stage.action);
        running
            .received
            .advance(&running.plan.receives, running.chunk);
        Step::Take {
            from: running.from,
            lane: running.lane,
            elements,
            action,
        }
    }

    fn wait_for(&mut self, rank: u32) -> Step {
        if self.left.contains(&rank) {
            return self.fail(Fault::Lost {
                rank,
                reason: LEFT.into(),
            });
        }
        Step::Wait { from: rank }
    }

    fn end(&mut self, running: &Running) {
        match running.lane {
            Lane::Group => self.is_in_group_call = false,
            Lane::Direct => {
                if running.plan.receives.is_empty() {
                    let link = self.outgoing.entry((Lane::Direct, running.to));
                    link.or_default().is_busy = false;
                } else {
                    let link = self.incoming.entry((Lane::Direct, running.from));
                    link.or_default().is_busy = false;
                }
            }
        }
    }

    fn fail(&mut self, fault: Fault) -> Step {
        self.on_fault(fault.clone());
        Step::Failed(fault)
    }

    /// Notes a chunk of another member; it waits until a call takes it.
    ///
    /// # Errors
    /// How the other side broke the rules.
    pub fn on_chunk(&mut self, from: u32, chunk: Chunk) -> Result<(), String> {
        if from == self.rank || from >= self.world {
            return Err(format!("a chunk of rank {from} for rank {}", self.rank));
        }
        if (chunk.lane == Lane::Direct) != (chunk.call.operation == Operation::Direct) {
            return Err("a chunk of a call in the wrong conversation".into());
        }
        let link = self.incoming.entry((chunk.lane, from)).or_default();
        if chunk.sequence != link.count {
            return Err(format!(
                "chunk {} of rank {from} where {} comes next",
                chunk.sequence, link.count
            ));
        }
        if link.arrived.len() as u64 >= self.limits.window {
            return Err(format!("rank {from} sends more than was agreed"));
        }
        link.count += 1;
        link.arrived.push_back(chunk);
        Ok(())
    }

    /// Notes how many of this member's chunks another has taken in all.
    ///
    /// # Errors
    /// How the other side broke the rules.
    pub fn on_taken(&mut self, by: u32, lane: Lane, taken: u64) -> Result<(), String> {
        let link = self.outgoing.entry((lane, by)).or_default();
        if taken > link.sent {
            return Err(format!(
                "rank {by} took {taken} chunks of {} that were sent",
                link.sent
            ));
        }
        link.taken = link.taken.max(taken);
        Ok(())
    }

    /// Notes that a member sends nothing more; what it sent still counts.
    pub fn on_left(&mut self, rank: u32) {
        self.left.insert(rank);
    }

    /// Notes that a member is gone; one that said goodbye before is not missed.
    pub fn on_gone(&mut self, rank: u32, reason: &str) {
        if !self.left.contains(&rank) {
            self.on_fault(Fault::Lost {
                rank,
                reason: reason.into(),
            });
        }
    }

    /// Ends the use of the group; the first fault is the one that is told.
    pub fn on_fault(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }
}

const LEFT: &str = "it left the group";
