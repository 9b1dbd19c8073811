//! One call of one member, step by step: elements into frames or the arena, and out of them.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use ray_engine::{
    collective::{Action, Chunk, Fault, Operation, Reduce, Request, Running, Step},
    ids::ObjectId,
};
use ray_net::{Flush, Peer};
use ray_shm::WriteGuard;

use super::{
    element::Element,
    table::{Payload, Seat},
};
use crate::{
    __private::SegmentSource as _,
    Error, Result,
    config::COLLECTIVE_SHARED_BYTES_MIN,
    runtime::{
        Runtime,
        waiters::{WaitCell, time_limit},
    },
    wire::{Place, Say},
};

/// The elements of a call.
pub(super) enum Elements<'a, T> {
    /// They are sent and received.
    Both(&'a mut [T]),
    /// They are sent only.
    Sent(&'a [T]),
}

impl<T> Elements<'_, T> {
    fn part(&self, range: &Range<u64>) -> &[T] {
        let range = cut(range);
        match self {
            Elements::Both(elements) => &elements[range],
            Elements::Sent(elements) => &elements[range],
        }
    }

    fn part_mut(&mut self, range: &Range<u64>) -> &mut [T] {
        match self {
            Elements::Both(elements) => &mut elements[cut(range)],
            Elements::Sent(_) => unreachable!("a sender's plan takes nothing"),
        }
    }
}

fn cut(range: &Range<u64>) -> Range<usize> {
    range.start as usize..range.end as usize
}

/// A member's call with what it needs on the way.
pub(super) struct Turn<'a, T> {
    runtime: &'a Arc<Runtime>,
    seat: &'a Seat,
    elements: Elements<'a, T>,
    reduce: Reduce,
    /// Silence of the others after which it gives up.
    timeout: Duration,
    /// The connection that was used last.
    peer: Option<(u32, Peer)>,
}

impl<'a, T: Element> Turn<'a, T> {
    pub(super) fn new(
        runtime: &'a Arc<Runtime>,
        seat: &'a Seat,
        elements: Elements<'a, T>,
        timeout: Duration,
    ) -> Turn<'a, T> {
        Turn {
            runtime,
            seat,
            elements,
            reduce: Reduce::Sum,
            timeout,
            peer: None,
        }
    }

    /// Makes the call and waits for its end.
    pub(super) fn run(mut self, request: Request) -> Result<()> {
        if let Request::Group(call) = request
            && let Operation::AllReduce(reduce) | Operation::ReduceScatter(reduce) = call.operation
        {
            self.reduce = reduce;
        }
        let begun = self.seat.state.lock().member.begin(request);
        let mut running = begun.map_err(|_| Error::InvalidOption {
            option: "group".into(),
            reason: format!(
                "another thread of this process is in a call of group `{}`; one call at a time",
                self.seat.name
            ),
        })?;
        let outcome = self.steps(&mut running);
        if let Some((_, peer)) = &self.peer {
            peer.flush_hint(Flush::Lazy);
        }
        outcome
    }

    fn steps(&mut self, running: &mut Running) -> Result<()> {
        let mut deadline = time_limit(self.timeout);
        loop {
            let (step, payload, cell) = self.next(running);
            match step {
                Step::Send {
                    to,
                    chunk,
                    elements,
                } => self.send(to, chunk, &elements)?,
                Step::Take {
                    from,
                    elements,
                    action,
                    ..
                } => {
                    let payload = payload.expect("a chunk comes with its bytes");
                    self.take(from, payload.bytes(), &elements, action)?;
                    deadline = time_limit(self.timeout);
                }
                Step::Tell { to, lane, taken } => {
                    if let Some(peer) = self.peer(to) {
                        self.seat.push(&peer, &Say::Taken { lane, taken }, &[]);
                    }
                }
                Step::Wait { from } => self.wait(from, &cell.expect("made to wait"), deadline)?,
                Step::Done => return Ok(()),
                Step::Failed(fault) => return Err(self.failed(fault)),
            }
        }
    }

    /// Asks for the next step; what it takes, or what to wait on, comes from under the same lock.
    fn next(&self, running: &mut Running) -> (Step, Option<Payload>, Option<Arc<WaitCell>>) {
        let mut state = self.seat.state.lock();
        let was_whole = state.member.fault().is_none();
        let step = state.member.poll_step(running);
        let mut payload = None;
        let mut cell = None;
        match &step {
            Step::Take { from, lane, .. } => {
                let queue = state.payloads.get_mut(&(*lane, *from));
                payload = queue.and_then(|queue| queue.pop_front());
            }
            Step::Wait { .. } => {
                let waiting = WaitCell::new(1, false);
                state.waiting.push(waiting.clone());
                cell = Some(waiting);
            }
            Step::Failed(fault) if was_whole => {
                // It was found here: the others hear of it from this process.
                let fault = fault.clone();
                drop(state);
                self.seat.tell_all(self.runtime, &Say::Broken { fault });
            }
            _ => {}
        }
        (step, payload, cell)
    }

    fn peer(&mut self, rank: u32) -> Option<Peer> {
        if let Some((known, peer)) = &self.peer {
            if *known == rank && !peer.is_closed() {
                return Some(peer.clone());
            }
            peer.flush_hint(Flush::Lazy);
        }
        let (process, addr) = self.seat.members[rank as usize];
        let peer = self.runtime.with_core(|core, _| core.dial(process, addr))?;
        self.peer = Some((rank, peer.clone()));
        Some(peer)
    }

    fn send(&mut self, to: u32, chunk: Chunk, elements: &Range<u64>) -> Result<()> {
        let Some(peer) = self.peer(to) else {
            let fault = Fault::Lost {
                rank: to,
                reason: "its process is gone".into(),
            };
            return Err(self.give_up(fault));
        };
        let bytes: &[u8] = bytemuck::cast_slice(self.elements.part(elements));
        if let Some(mut guard) = self.room(to, bytes.len()) {
            guard.copy_from_slice(bytes);
            let slot = {
                let mut state = self.seat.state.lock();
                if !state.member.is_reachable(to) {
                    // Nobody would say that it was taken; the next step says why.
                    return Ok(());
                }
                let slots = state.slots.entry((chunk.lane, to)).or_default();
                let slot = guard.seal();
                slots.push_back((chunk.sequence, slot));
                slot
            };
            let place = Place::Arena {
                object: ObjectId::default(),
                offset: slot.offset,
                len: slot.len,
                writer: self.runtime.process(),
            };
            self.seat.push(&peer, &Say::Chunk { chunk, place }, &[]);
        } else {
            let place = Place::Body {
                offset: 0,
                len: u32::try_from(bytes.len()).expect("a chunk is small"),
            };
            self.seat.push(&peer, &Say::Chunk { chunk, place }, bytes);
        }
        peer.flush_hint(Flush::Now);
        Ok(())
    }

    /// Returns room in the arena when the other side can read it there and it pays.
    fn room(&self, to: u32, len: usize) -> Option<WriteGuard> {
        let (process, _) = self.seat.members[to as usize];
        if len < COLLECTIVE_SHARED_BYTES_MIN
            || process.node_process() != self.runtime.node_process()
            || self.seat.state.lock().is_store_full
        {
            return None;
        }
        match self.runtime.alloc(len) {
            Ok(guard) => Some(guard),
            Err(failure) => {
                tracing::debug!(?failure, "a group's chunks travel in frames from here on");
                self.seat.state.lock().is_store_full = true;
                None
            }
        }
    }

    fn take(
        &mut self,
        from: u32,
        bytes: &[u8],
        elements: &Range<u64>,
        action: Action,
    ) -> Result<()> {
        let own = self.elements.part_mut(elements);
        let Some(others) = elements_of::<T>(bytes, own.len()) else {
            let reason = format!(
                "it sent {} bytes where {} elements were expected",
                bytes.len(),
                own.len()
            );
            return Err(self.give_up(Fault::Lost { rank: from, reason }));
        };
        match action {
            Action::Store => own.copy_from_slice(others),
            Action::Reduce => T::reduce(self.reduce, own, others),
            Action::ReduceLast => {
                T::reduce(self.reduce, own, others);
                if self.reduce == Reduce::Mean {
                    T::divide(
                        own,
                        u32::try_from(self.seat.members.len()).unwrap_or(u32::MAX),
                    );
                }
            }
        }
        Ok(())
    }

    fn wait(&mut self, from: u32, cell: &Arc<WaitCell>, deadline: Instant) -> Result<()> {
        if let Some((_, peer)) = &self.peer {
            peer.flush_hint(Flush::Now);
        }
        let waited = self.runtime.block(cell, Some(deadline));
        let mut state = self.seat.state.lock();
        state.waiting.retain(|other| !Arc::ptr_eq(other, cell));
        drop(state);
        match waited {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.give_up(Fault::TimedOut {
                rank: self.seat.rank,
                waited_for: from,
                after_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            })),
            Err(error) => {
                // The others wait for this member, who will not come.
                self.give_up(Fault::Lost {
                    rank: self.seat.rank,
                    reason: format!("its call ended early: {error}"),
                });
                Err(error)
            }
        }
    }

    /// Ends the group for everybody.
    fn give_up(&self, fault: Fault) -> Error {
        let (told, is_news) = {
            let mut state = self.seat.state.lock();
            let is_news = state.member.fault().is_none();
            state.member.on_fault(fault);
            let first = state.member.fault().cloned();
            (first.expect("it was just set"), is_news)
        };
        if is_news {
            let fault = told.clone();
            self.seat.tell_all(self.runtime, &Say::Broken { fault });
        }
        self.failed(told)
    }

    fn failed(&self, fault: Fault) -> Error {
        let group = self.seat.name.clone();
        match fault {
            Fault::Lost { rank, reason } => Error::CollectiveMemberLost {
                group,
                rank,
                reason,
            },
            Fault::Mismatch {
                rank,
                call,
                other_rank,
                other_call,
            } => Error::CollectiveMismatch {
                group,
                rank,
                call,
                other_rank,
                other_call,
            },
            Fault::TimedOut {
                rank,
                waited_for,
                after_ms,
            } => Error::CollectiveTimeout {
                group,
                rank,
                waited_for,
                after: Duration::from_millis(after_ms),
            },
        }
    }
}

/// Reads elements from bytes that came from elsewhere; `None` when they are not `len` of this type.
fn elements_of<T: Element>(bytes: &[u8], len: usize) -> Option<&[T]> {
    if bytes.is_empty() {
        return (len == 0).then_some(&[]);
    }
    let elements: &[T] = bytemuck::try_cast_slice(bytes).ok()?;
    (elements.len() == len).then_some(elements)
}
