//! Calls that the members of a group make together: allreduce, broadcast, allgather and their kin.
//!
//! A group has a name and numbered members, usually actors; each member [`Group::join`]s from inside a
//! method and keeps the [`Group`] as long as it takes part. All members make the same calls in the same
//! order. Elements go from member to member along a ring, through shared memory where two are on one
//! node; nothing passes through the driver.
//!
//! A call blocks its thread as [`ObjectRef::get`](crate::ObjectRef::get) does: a task gives its CPU back
//! meanwhile, an actor's other calls wait. When a member dies, leaves, gives up or calls something else,
//! every other member's call fails with an error that names it, and so do their later calls: join again
//! for a new group of the same name.
//!
//! ```no_run
//! use ray_core::{collective::{Group, ReduceOp, allreduce}, prelude::*};
//!
//! #[actor]
//! struct Learner {
//!     group: Group,
//! }
//!
//! #[remote]
//! impl Learner {
//!     pub fn new(rank: u32, world_size: u32) -> Result<Self, ray_core::Error> {
//!         Ok(Learner { group: Group::join("learners", rank, world_size)? })
//!     }
//!
//!     pub fn average(&self, mut gradient: Vec<f32>) -> Result<Vec<f32>, ray_core::Error> {
//!         allreduce(&self.group, &mut gradient, ReduceOp::Mean)?;
//!         Ok(gradient)
//!     }
//! }
//! ```

mod element;
mod run;
mod table;

use std::{
    fmt,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use ray_engine::{
    collective::{Call, Operation, Reduce, Request, Scalar, share},
    failure::Failure,
};

pub use element::Element;
use run::{Elements, Turn};
pub(crate) use table::Collectives;
use table::Seat;

use crate::{
    Error, Result,
    config::COLLECTIVE_TIMEOUT,
    runtime::{self, Runtime, waiters::time_limit},
    wire::{CollectiveMessage, Message},
};

/// How the elements of all members become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReduceOp {
    /// Their sum; integers wrap around.
    #[default]
    Sum,
    /// Their product; integers wrap around.
    Product,
    /// The smallest; NaN if one is.
    Min,
    /// The largest; NaN if one is.
    Max,
    /// Their sum divided by the number of members; floats only.
    Mean,
}

impl ReduceOp {
    fn checked<T: Element>(self) -> Result<Reduce> {
        match self {
            ReduceOp::Sum => Ok(Reduce::Sum),
            ReduceOp::Product => Ok(Reduce::Product),
            ReduceOp::Min => Ok(Reduce::Min),
            ReduceOp::Max => Ok(Reduce::Max),
            ReduceOp::Mean if T::HAS_MEAN => Ok(Reduce::Mean),
            ReduceOp::Mean => invalid(
                "op",
                format!("{} has no mean; sum and divide, or use floats", T::SCALAR),
            ),
        }
    }
}

/// This process's membership in a group; dropping it leaves the group.
pub struct Group {
    seat: Arc<Seat>,
    timeout: Duration,
}

impl Group {
    /// Joins the group `name` of this job as member `rank` of `world_size`, and waits for the others.
    ///
    /// A process is one member of a group. Who joins a name again leaves the former group of that name,
    /// whose other members are told; no message of that one is taken for one of this.
    ///
    /// # Errors
    /// `InvalidOption` when the others joined with another size or the rank is taken;
    /// `CollectiveJoin` when the others do not come in time (five minutes), with their ranks.
    pub fn join(name: &str, rank: u32, world_size: u32) -> Result<Group> {
        Group::join_timeout(name, rank, world_size, COLLECTIVE_TIMEOUT)
    }

    /// Joins a group as [`Group::join`] does, with another limit for all waits.
    ///
    /// The limit is for the others to come, and later for the silence of a member that a call waits for;
    /// for those waits [`Group::with_timeout`] sets another.
    ///
    /// # Errors
    /// As [`Group::join`].
    pub fn join_timeout(
        name: &str,
        rank: u32,
        world_size: u32,
        timeout: Duration,
    ) -> Result<Group> {
        let runtime = runtime::current()?;
        let (request, cell) = runtime.collectives.begin_join(name, rank);
        runtime.send_to_control(Message::Collective(CollectiveMessage::Join {
            request,
            job: runtime.job(),
            name: name.to_owned(),
            rank,
            world: world_size,
            addr: runtime.public_addr(),
        }));
        let waited = runtime.block(&cell, Some(time_limit(timeout)));
        let mut outcome = runtime.collectives.take_outcome(request);
        if outcome.is_none() {
            // The answer says who was missing, unless the last one came just now.
            runtime.send_to_control(Message::Collective(CollectiveMessage::Withdraw { request }));
            runtime
                .net()
                .wait(&cell.waiter, Some(Instant::now() + WITHDRAW_TIMEOUT));
        }
        outcome = outcome.or(runtime.collectives.end_join(request));
        let refused = |reason: String| Error::CollectiveJoin {
            group: name.to_owned(),
            rank,
            reason,
        };
        match outcome {
            Some(Ok(seat)) => {
                let group = Group { seat, timeout };
                // A join that was cancelled is none, also when it succeeded at that moment.
                waited?;
                Ok(group)
            }
            Some(Err(Failure::System(reason))) => {
                waited?;
                Err(refused(format!("{reason} within {timeout:?}")))
            }
            Some(Err(failure)) => Err(failure.into()),
            None => {
                waited?;
                Err(refused(format!(
                    "the head did not answer within {timeout:?}; look whether it runs"
                )))
            }
        }
    }

    /// Sets another limit for the silence of a member that a call waits for.
    pub fn with_timeout(mut self, timeout: Duration) -> Group {
        self.timeout = timeout;
        self
    }

    /// Returns the group's name.
    pub fn name(&self) -> &str {
        &self.seat.name
    }

    /// Returns which member this process is, from 0.
    pub fn rank(&self) -> u32 {
        self.seat.rank
    }

    /// Returns how many members the group has.
    pub fn world_size(&self) -> u32 {
        u32::try_from(self.seat.members.len()).expect("it came as one")
    }

    /// Returns which of `len` elements [`reduce_scatter`] leaves with this member.
    ///
    /// Shares differ by one element at most; the first ones are the longer.
    pub fn share(&self, len: usize) -> Range<usize> {
        let share = share(len as u64, self.world_size(), self.rank());
        share.start as usize..share.end as usize
    }

    fn call<T: Element>(&self, elements: Elements<'_, T>, request: Request) -> Result<()> {
        let runtime: Arc<Runtime> = runtime::current()?;
        Turn::new(&runtime, &self.seat, elements, self.timeout).run(request)
    }

    fn all<T: Element>(&self, operation: Operation, values: &mut [T]) -> Result<()> {
        let call = Call {
            operation,
            scalar: T::SCALAR,
            len: values.len() as u64,
        };
        self.call(Elements::Both(values), Request::Group(call))
    }

    fn other(&self, option: &str, rank: u32) -> Result<u32> {
        self.member(option, rank)?;
        if rank == self.rank() {
            return invalid(option, format!("rank {rank} is this member itself"));
        }
        Ok(rank)
    }

    fn member(&self, option: &str, rank: u32) -> Result<u32> {
        if rank >= self.world_size() {
            let reason = format!(
                "group `{}` has {} members, so there is no rank {rank}",
                self.name(),
                self.world_size()
            );
            return invalid(option, reason);
        }
        Ok(rank)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Ok(runtime) = runtime::current() {
            runtime.collectives.close(&runtime, &self.seat);
        }
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("name", &self.name())
            .field("rank", &self.rank())
            .field("world_size", &self.world_size())
            .finish()
    }
}

/// Reduces the values of all members place by place; each ends with the result in its `values`.
///
/// All members get the same bits, and the same again from the same values: each place is reduced in the
/// order of the ring, whatever the timing. After an error `values` may be partly reduced.
///
/// # Errors
/// `CollectiveMismatch` when another member calls something else or has another length;
/// `CollectiveMemberLost` and `CollectiveTimeout` when one is gone or silent; `InvalidOption` for a mean of
/// integers; `Cancelled` when the calling task was cancelled.
pub fn allreduce<T: Element>(group: &Group, values: &mut [T], op: ReduceOp) -> Result<()> {
    let operation = Operation::AllReduce(op.checked::<T>()?);
    group.all(operation, values)
}

/// Reduces the values of all members place by place; each gets its share of the result.
///
/// The share is [`Group::share`] of `values`, where the result is put; the other places hold anything.
///
/// # Errors
/// As [`allreduce`].
pub fn reduce_scatter<'v, T: Element>(
    group: &Group,
    values: &'v mut [T],
    op: ReduceOp,
) -> Result<&'v mut [T]> {
    let operation = Operation::ReduceScatter(op.checked::<T>()?);
    group.all(operation, values)?;
    let share = group.share(values.len());
    Ok(&mut values[share])
}

/// Gathers the values of all members, in the order of their ranks, into `all` of each.
///
/// # Errors
/// `InvalidOption` when `all` is not as long as the values of all members; else as [`allreduce`].
pub fn allgather<T: Element>(group: &Group, values: &[T], all: &mut [T]) -> Result<()> {
    let world = group.world_size() as usize;
    if values.len().checked_mul(world) != Some(all.len()) {
        let reason = format!(
            "{} values of each of {world} members do not make {}",
            values.len(),
            all.len()
        );
        return invalid("all", reason);
    }
    let own = group.rank() as usize * values.len();
    all[own..own + values.len()].copy_from_slice(values);
    group.all(Operation::AllGather, all)
}

/// Gives the values of member `root` to all members.
///
/// # Errors
/// `InvalidOption` for a `root` that is no member; else as [`allreduce`].
pub fn broadcast<T: Element>(group: &Group, values: &mut [T], root: u32) -> Result<()> {
    let root = group.member("root", root)?;
    group.all(Operation::Broadcast { root }, values)
}

/// Waits until all members have come here.
///
/// # Errors
/// As [`allreduce`].
pub fn barrier(group: &Group) -> Result<()> {
    group.all::<f32>(Operation::Barrier, &mut [])
}

/// Sends values to member `to`, which receives them with [`recv`].
///
/// Returns when they are on the way: a few MiB ahead of what the receiver takes, so two members that
/// both send more before they receive wait for each other until the group's limit.
///
/// # Errors
/// As [`recv`].
pub fn send<T: Element>(group: &Group, values: &[T], to: u32) -> Result<()> {
    let to = group.other("to", to)?;
    let call = direct::<T>(values.len());
    group.call(Elements::Sent(values), Request::Send { to, call })
}

/// Receives values from member `from`, in the order in which it sends them.
///
/// # Errors
/// `InvalidOption` for a rank that is no other member; `CollectiveMismatch` for another type or length
/// than was sent; else as [`allreduce`].
pub fn recv<T: Element>(group: &Group, values: &mut [T], from: u32) -> Result<()> {
    let from = group.other("from", from)?;
    let call = direct::<T>(values.len());
    group.call(Elements::Both(values), Request::Receive { from, call })
}

fn direct<T: Element>(len: usize) -> Call {
    let scalar: Scalar = T::SCALAR;
    Call {
        operation: Operation::Direct,
        scalar,
        len: len as u64,
    }
}

fn invalid<T>(option: &str, reason: String) -> Result<T> {
    Err(Error::InvalidOption {
        option: option.into(),
        reason,
    })
}

/// The head has this long to say who was missing.
const WITHDRAW_TIMEOUT: Duration = Duration::from_secs(5);
