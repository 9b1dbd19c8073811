//! The groups that this process is a member of, and what arrives for them.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use ray_engine::{
    collective::{Chunk, Fault, Lane, Limits, Member},
    failure::Failure,
    ids::ProcessId,
};
use ray_net::{Flush, Frame, HeaderFields, Peer};
use ray_shm::Slot;
use rkyv::rancor;

use crate::{
    config::{COLLECTIVE_CHUNK_BYTES, COLLECTIVE_EARLY_PARTS_MAX, COLLECTIVE_WINDOW},
    runtime::{Runtime, waiters::WaitCell},
    store::{AlignedBytes, Value},
    wire::{ArchivedPartMeta, CollectiveMessage, Message, PartMeta, Place, Roster, Say, kind},
    worker::submit::push_frame,
};

/// Every group of this process by its number, and the joins that have no answer.
#[derive(Default)]
pub(crate) struct Collectives {
    next_request: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    joining: BTreeMap<u64, Joining>,
    groups: BTreeMap<u64, Arc<Seat>>,
    /// What came for groups that this process does not know to be formed, by group.
    early: BTreeMap<u64, Vec<Early>>,
    early_parts: usize,
}

struct Joining {
    cell: Arc<WaitCell>,
    rank: u32,
    name: String,
    outcome: Option<Result<Arc<Seat>, Failure>>,
}

struct Early {
    from: ProcessId,
    rank: u32,
    said: Said,
}

/// A part of the conversation with another member, its bytes included.
enum Said {
    Chunk(Chunk, Payload),
    Taken { lane: Lane, taken: u64 },
    Left,
    Broken(Fault),
}

/// The elements of a chunk.
pub(super) enum Payload {
    /// They came in the frame.
    Framed(AlignedBytes),
    /// They lie in the node's arena.
    Shared(Value),
}

impl Payload {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Payload::Framed(bytes) => bytes,
            Payload::Shared(value) => value.bytes(),
        }
    }
}

/// This process's place in one group.
pub(crate) struct Seat {
    pub(super) group: u64,
    pub(super) name: String,
    pub(super) rank: u32,
    pub(super) members: Vec<(ProcessId, SocketAddr)>,
    pub(super) state: Mutex<SeatState>,
}

pub(super) struct SeatState {
    pub(super) member: Member,
    /// What arrived and was not taken, as the member counts it.
    pub(super) payloads: BTreeMap<(Lane, u32), VecDeque<Payload>>,
    /// What lies in the arena until it is taken: the chunk's number and its place.
    pub(super) slots: BTreeMap<(Lane, u32), VecDeque<(u64, Slot)>>,
    /// Threads that wait for anything to happen.
    pub(super) waiting: Vec<Arc<WaitCell>>,
    /// Whether the program has given the group up.
    is_closed: bool,
    /// Whether the arena had no room: chunks travel in frames from then on.
    pub(super) is_store_full: bool,
}

impl SeatState {
    fn wake(&mut self) {
        for cell in self.waiting.drain(..) {
            cell.notify();
        }
    }

    /// Takes out what lies in the arena for a member that reads nothing more.
    fn take_slots_of(&mut self, rank: u32) -> Vec<Slot> {
        let all = self.slots.iter_mut();
        let its = all.filter(|((_, to), _)| *to == rank);
        its.flat_map(|(_, slots)| slots.drain(..).map(|(_, slot)| slot))
            .collect()
    }

    fn holds_slots(&self) -> bool {
        self.slots.values().any(|slots| !slots.is_empty())
    }
}

impl Seat {
    fn new(group: u64, name: String, rank: u32, members: Vec<(ProcessId, SocketAddr)>) -> Seat {
        let world = u32::try_from(members.len()).expect("the control role bounds it");
        let limits = Limits {
            chunk_bytes: COLLECTIVE_CHUNK_BYTES,
            window: COLLECTIVE_WINDOW,
        };
        Seat {
            group,
            name,
            rank,
            members,
            state: Mutex::new(SeatState {
                member: Member::new(rank, world, limits),
                payloads: BTreeMap::new(),
                slots: BTreeMap::new(),
                waiting: Vec::new(),
                is_closed: false,
                is_store_full: false,
            }),
        }
    }

    fn rank_of(&self, process: ProcessId) -> Option<u32> {
        let at = self.members.iter().position(|(other, _)| *other == process);
        at.and_then(|rank| u32::try_from(rank).ok())
    }

    /// Tells every other member something, without waiting.
    pub(super) fn tell_all(&self, runtime: &Runtime, say: &Say) {
        for (rank, (process, addr)) in (0..).zip(&self.members) {
            if rank != self.rank
                && let Some(peer) = runtime.with_core(|core, _| core.dial(*process, *addr))
            {
                self.push(&peer, say, &[]);
                peer.flush_hint(Flush::Now);
            }
        }
    }

    /// Says goodbye, behind everything that was said: directly where there is a connection, else by the
    /// control role, since nothing of this process is on its way there.
    fn say_goodbye(&self, runtime: &Runtime) {
        let mut untold = Vec::new();
        for (rank, (process, _)) in (0..).zip(&self.members) {
            if rank == self.rank {
                continue;
            }
            match runtime.with_core(|core, _| core.connected(*process)) {
                Some(peer) => {
                    self.push(&peer, &Say::Left, &[]);
                    peer.flush_hint(Flush::Lazy);
                }
                None => untold.push(rank),
            }
        }
        let group = self.group;
        runtime.send_to_control(Message::Collective(CollectiveMessage::Leave {
            group,
            untold,
        }));
    }

    /// Appends a part of the conversation to a member's outgoing frames.
    pub(super) fn push(&self, peer: &Peer, say: &Say, body: &[u8]) {
        let header = HeaderFields {
            kind: kind::PART,
            request: self.group,
            incarnation: 0,
            trace: 0,
        };
        let meta = PartMeta {
            group: self.group,
            from: self.rank,
            say: say.clone(),
        };
        push_frame(peer, &header, &meta, &[body]);
    }

    /// Handles what another member said; returns what lies in the arena for nobody any more.
    fn on_said(&self, from: u32, said: Said) -> Result<Vec<Slot>, String> {
        let mut free = Vec::new();
        let mut state = self.state.lock();
        match said {
            Said::Chunk(chunk, payload) => {
                if state.is_closed {
                    // The goodbye that is on its way says that nobody reads it.
                    return Ok(free);
                }
                state.member.on_chunk(from, chunk)?;
                let queue = state.payloads.entry((chunk.lane, from)).or_default();
                queue.push_back(payload);
            }
            Said::Taken { lane, taken } => {
                state.member.on_taken(from, lane, taken)?;
                if let Some(slots) = state.slots.get_mut(&(lane, from)) {
                    while slots.front().is_some_and(|(number, _)| *number < taken) {
                        free.extend(slots.pop_front().map(|(_, slot)| slot));
                    }
                }
            }
            Said::Left => {
                state.member.on_left(from);
                free = state.take_slots_of(from);
            }
            Said::Broken(fault) => state.member.on_fault(fault),
        }
        state.wake();
        Ok(free)
    }

    fn on_gone(&self, rank: u32, reason: &str) {
        let mut state = self.state.lock();
        state.member.on_gone(rank, reason);
        state.wake();
    }

    fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.is_closed && !state.holds_slots()
    }
}

impl Collectives {
    /// Prepares to be told how a join ends; returns its number and what to wait on.
    pub(super) fn begin_join(&self, name: &str, rank: u32) -> (u64, Arc<WaitCell>) {
        let request = self.next_request.fetch_add(1, Ordering::Relaxed) + 1;
        let cell = WaitCell::new(1, false);
        let joining = Joining {
            cell: cell.clone(),
            rank,
            name: name.to_owned(),
            outcome: None,
        };
        self.state.lock().joining.insert(request, joining);
        (request, cell)
    }

    /// Takes the outcome of a join if it has one.
    pub(super) fn take_outcome(&self, request: u64) -> Option<Result<Arc<Seat>, Failure>> {
        self.state.lock().joining.get_mut(&request)?.outcome.take()
    }

    /// Ends a join; returns what came of it in the last moment.
    pub(super) fn end_join(&self, request: u64) -> Option<Result<Arc<Seat>, Failure>> {
        let mut state = self.state.lock();
        let joining = state.joining.remove(&request)?;
        if state.joining.is_empty() {
            state.early.clear();
            state.early_parts = 0;
        }
        joining.outcome
    }

    /// The control role answered a join.
    pub(crate) fn on_joined(
        &self,
        runtime: &Runtime,
        request: u64,
        outcome: Result<Roster, Failure>,
    ) {
        let mut free = Vec::new();
        let mut state = self.state.lock();
        let State {
            joining,
            groups,
            early,
            early_parts,
        } = &mut *state;
        let Some(joining) = joining.get_mut(&request) else {
            // Nobody waits any more: the others must not wait for this process.
            drop(state);
            if let Ok(roster) = outcome
                && let Some(rank) = rank_in(&roster, runtime.process())
            {
                Seat::new(roster.group, String::new(), rank, roster.members).say_goodbye(runtime);
            }
            return;
        };
        let outcome = outcome.map(|roster| {
            let name = joining.name.clone();
            let seat = Seat::new(roster.group, name, joining.rank, roster.members);
            let seat = Arc::new(seat);
            groups.insert(roster.group, seat.clone());
            for part in early.remove(&roster.group).unwrap_or_default() {
                *early_parts -= 1;
                if seat.rank_of(part.from) != Some(part.rank) {
                    continue;
                }
                match seat.on_said(part.rank, part.said) {
                    Ok(slots) => free.extend(slots),
                    Err(reason) => {
                        let fault = Fault::Lost {
                            rank: part.rank,
                            reason,
                        };
                        seat.state.lock().member.on_fault(fault);
                    }
                }
            }
            seat
        });
        joining.outcome = Some(outcome);
        joining.cell.notify();
        drop(state);
        free_all(runtime, free);
    }

    /// The control role says that a member left which had said nothing to this one.
    pub(crate) fn on_left(&self, group: u64, rank: u32) {
        let seat = self.state.lock().groups.get(&group).cloned();
        if let Some(seat) = seat {
            let mut state = seat.state.lock();
            state.member.on_left(rank);
            state.wake();
        }
    }

    /// The control role says that a group is over.
    pub(crate) fn on_broken(&self, group: u64, rank: u32, reason: &str) {
        let seat = self.state.lock().groups.get(&group).cloned();
        if let Some(seat) = seat {
            // What lies in the arena for it stays: it may be alive and only have joined anew.
            seat.on_gone(rank, reason);
        }
    }

    /// A process is gone.
    pub(crate) fn on_process_gone(&self, runtime: &Runtime, process: ProcessId, reason: &str) {
        self.on_gone(runtime, |member| member == process, reason);
    }

    /// A node is gone with all its processes.
    pub(crate) fn on_node_gone(&self, runtime: &Runtime, node: ProcessId) {
        let is_of_it = |member: ProcessId| member.node_process() == node;
        self.on_gone(runtime, is_of_it, "its node is gone");
    }

    fn on_gone(&self, runtime: &Runtime, is_gone: impl Fn(ProcessId) -> bool, reason: &str) {
        let seats: Vec<Arc<Seat>> = {
            let state = self.state.lock();
            if state.groups.is_empty() {
                return;
            }
            state.groups.values().cloned().collect()
        };
        for seat in seats {
            for (rank, (process, _)) in (0..).zip(&seat.members) {
                if is_gone(*process) {
                    seat.on_gone(rank, reason);
                    let free = seat.state.lock().take_slots_of(rank);
                    free_all(runtime, free);
                }
            }
            self.forget_if_over(&seat);
        }
    }

    /// Takes a group back that the program uses no more.
    pub(super) fn close(&self, runtime: &Runtime, seat: &Seat) {
        {
            let mut state = seat.state.lock();
            state.is_closed = true;
            state.payloads.clear();
        }
        seat.say_goodbye(runtime);
        self.forget_if_over(seat);
    }

    fn forget_if_over(&self, seat: &Seat) {
        if seat.is_over() {
            self.state.lock().groups.remove(&seat.group);
        }
    }

    fn on_part(
        &self,
        runtime: &Runtime,
        (group, from, rank): (u64, ProcessId, u32),
        said: Said,
    ) -> Result<(), String> {
        let seat = {
            let mut state = self.state.lock();
            let Some(seat) = state.groups.get(&group) else {
                // Its group may be formed and the answer still on its way here; else it is long over.
                if !state.joining.is_empty() && state.early_parts < COLLECTIVE_EARLY_PARTS_MAX {
                    state.early_parts += 1;
                    let part = Early { from, rank, said };
                    state.early.entry(group).or_default().push(part);
                }
                return Ok(());
            };
            seat.clone()
        };
        if seat.rank_of(from) != Some(rank) {
            return Err(format!(
                "{from} speaks as rank {rank} of a group in which it is not"
            ));
        }
        let free = seat.on_said(rank, said)?;
        free_all(runtime, free);
        self.forget_if_over(&seat);
        Ok(())
    }
}

fn free_all(runtime: &Runtime, slots: Vec<Slot>) {
    for slot in slots {
        runtime.free_slot(slot);
    }
}

fn rank_in(roster: &Roster, process: ProcessId) -> Option<u32> {
    let mut members = (0..).zip(&roster.members);
    members.find_map(|(rank, (member, _))| (*member == process).then_some(rank))
}

impl Runtime {
    /// A part of the conversation of a group arrived.
    pub(crate) fn on_part(&self, peer: &Peer, frame: &Frame<'_>) -> Result<(), String> {
        let from = ProcessId(peer.process());
        let meta: PartMeta = rkyv::access::<ArchivedPartMeta, rancor::Error>(frame.meta)
            .and_then(rkyv::deserialize::<PartMeta, rancor::Error>)
            .map_err(|error| format!("a part of a group's call that cannot be read: {error}"))?;
        let said = match meta.say {
            Say::Chunk { chunk, place } => {
                Said::Chunk(chunk, self.payload(from, place, frame.body)?)
            }
            Say::Taken { lane, taken } => Said::Taken { lane, taken },
            Say::Left => Said::Left,
            Say::Broken { fault } => Said::Broken(fault),
        };
        self.collectives
            .on_part(self, (meta.group, from, meta.from), said)
    }

    fn payload(&self, from: ProcessId, place: Place, body: &[u8]) -> Result<Payload, String> {
        match place {
            Place::Body { .. } => {
                let mut bytes = AlignedBytes::with_capacity(body.len());
                bytes.extend_from_slice(body);
                Ok(Payload::Framed(bytes))
            }
            Place::Arena {
                offset,
                len,
                writer,
                ..
            } => {
                if writer != from || from.node_process() != self.node_process() {
                    return Err("a chunk lies in the arena of another node or process".into());
                }
                let slot = Slot { offset, len };
                // The call says of what type its elements are.
                self.mapped_value(slot, writer, None, 0)
                    .map(Payload::Shared)
                    .map_err(|failure| format!("{failure:?}"))
            }
        }
    }
}
