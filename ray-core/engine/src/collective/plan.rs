//! What one call is made of: which elements a member sends and receives, in which order.
//!
//! The members form a ring. An allreduce is a reduce-scatter, after which each member has the reduction of
//! one segment, and an allgather of those (Patarasuk and Yuan 2009). Each segment is cut into chunks, and a
//! chunk goes on as soon as it came: the ring is full after one chunk's time a hop.

use std::ops::Range;

use super::say::{Call, Operation};

/// What a member does with the elements of a chunk that it received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// They replace its own.
    Store,
    /// They are reduced into its own.
    Reduce,
    /// The same, and the reduction is complete: a mean is divided now.
    ReduceLast,
}

/// A stretch of elements that passes between two members, chunk by chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Which elements.
    pub elements: Range<u64>,
    /// For a stage that is sent: the received stage that brings what it sends, chunk by chunk.
    pub after: Option<usize>,
    /// For a stage that is received: what is done with it.
    pub action: Action,
}

impl Stage {
    /// Returns how many chunks of `chunk` elements it has; an empty stage has one, which says what is called.
    pub fn chunks(&self, chunk: u64) -> u64 {
        (self.elements.end - self.elements.start)
            .div_ceil(chunk)
            .max(1)
    }

    /// Returns the elements of its `number`-th chunk.
    pub fn chunk(&self, number: u64, chunk: u64) -> Range<u64> {
        let start = self.elements.start + number * chunk;
        start..(start + chunk).min(self.elements.end)
    }
}

/// The stages of one member in one call, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What goes to the next member.
    pub sends: Vec<Stage>,
    /// What comes from the one before.
    pub receives: Vec<Stage>,
}

/// Returns the share of `rank` when `len` elements are split among `world` members.
///
/// Shares differ by one element at most; the first ones are the longer.
pub fn share(len: u64, world: u32, rank: u32) -> Range<u64> {
    let (world, rank) = (u64::from(world), u64::from(rank));
    let (each, longer) = (len / world, len % world);
    let start = rank * each + rank.min(longer);
    start..start + each + u64::from(rank < longer)
}

impl Plan {
    /// Returns the plan of `rank` for a call of the whole group.
    pub fn of_group(call: &Call, rank: u32, world: u32) -> Plan {
        assert!(rank < world, "a rank is below the number of members");
        match call.operation {
            _ if world == 1 => Plan::default(),
            Operation::AllReduce(_) => {
                let mut plan = Plan::default();
                plan.reduce_scatter(call.len, rank, world);
                plan.gather(call.len, rank, world);
                plan
            }
            Operation::ReduceScatter(_) => {
                let mut plan = Plan::default();
                plan.reduce_scatter(call.len, rank, world);
                plan
            }
            // Its elements are the parts of all, so the shares are the parts.
            Operation::AllGather | Operation::Barrier => {
                let mut plan = Plan::default();
                plan.gather(call.len, rank, world);
                plan
            }
            Operation::Broadcast { root } => Plan::broadcast(call.len, rank, world, root),
            Operation::Direct => Plan::default(),
        }
    }

    /// Returns the plan of the member that sends to another.
    pub fn of_sender(call: &Call) -> Plan {
        Plan {
            sends: vec![stage(0..call.len, None, Action::Store)],
            receives: Vec::new(),
        }
    }

    /// Returns the plan of the member that receives from another.
    pub fn of_receiver(call: &Call) -> Plan {
        Plan {
            sends: Vec::new(),
            receives: vec![stage(0..call.len, None, Action::Store)],
        }
    }

    /// In step `s` a member passes on the segment that it reduced in step `s - 1`, and ends with its own.
    fn reduce_scatter(&mut self, len: u64, rank: u32, world: u32) {
        for step in 0..world - 1 {
            let sent = (rank + 2 * world - step - 1) % world;
            let received = (rank + 2 * world - step - 2) % world;
            let after = self.receives.len().checked_sub(1);
            let action = if step == world - 2 {
                Action::ReduceLast
            } else {
                Action::Reduce
            };
            self.sends
                .push(stage(share(len, world, sent), after, action));
            self.receives
                .push(stage(share(len, world, received), None, action));
        }
    }

    /// In step `s` a member passes on the segment that it got in step `s - 1`, beginning with its own.
    fn gather(&mut self, len: u64, rank: u32, world: u32) {
        for step in 0..world - 1 {
            let sent = (rank + world - step) % world;
            let received = (rank + world - step - 1) % world;
            let after = self.receives.len().checked_sub(1);
            self.sends
                .push(stage(share(len, world, sent), after, Action::Store));
            self.receives
                .push(stage(share(len, world, received), None, Action::Store));
        }
    }

    /// A chain from the root around the ring, so each link carries the elements once.
    fn broadcast(len: u64, rank: u32, world: u32, root: u32) -> Plan {
        let mut plan = Plan::default();
        if rank != root {
            plan.receives.push(stage(0..len, None, Action::Store));
        }
        if (rank + 1) % world != root {
            let after = (rank != root).then_some(0);
            plan.sends.push(stage(0..len, after, Action::Store));
        }
        plan
    }
}

fn stage(elements: Range<u64>, after: Option<usize>, action: Action) -> Stage {
    Stage {
        elements,
        after,
        action,
    }
}
