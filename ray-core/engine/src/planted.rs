//! Bugs that the simulation plants to prove that it would find them.
//!
//! Without the feature `planted`, which only `tests/sim` asks for, none can be planted and the questions
//! compile to nothing.

/// A mistake that one could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// An answer counts whichever attempt it is of.
    StaleAttemptAccepted,
    /// A borrower's death leaves its credits.
    CreditsKeptOnDeath,
    /// A recalled lease goes back only when nothing is queued.
    RecalledLeaseKept,
    /// Calls in flight at a crash are sent again behind those that were not sent.
    ResentAtWrongEnd,
    /// An actor that dies before it is placed leaves its question at the scheduler.
    PlacementNotCancelled,
    /// A node does not say that what was placed there and taken back takes nothing.
    GuessesKept,
    /// What a node had granted and its requester not heard of ends with the node.
    ForwardedLostOnNodeDeath,
    /// A prepare that comes again sets the bundles aside again.
    PreparedTwice,
    /// Requests of the processes of a dead node stay at the control role.
    RequestsOfDeadNodeKept,
    /// An attempt that one node refuses stays where the others prepared it.
    SharesKeptOnRefusal,
    /// What ran for a process that has died goes on.
    WorkOfDeadKept,
    /// A borrower that is told of a free lets go while calls of its own have the value.
    LetGoWhileUsed,
    /// A store drops copies that exist nowhere else.
    LastCopyDropped,
    /// A copy that became the only one may still be dropped.
    PromotionForgotten,
}

#[cfg(feature = "planted")]
mod selector {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Plants a bug in this thread's machines, or none.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    pub(crate) fn is_planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(not(feature = "planted"))]
mod selector {
    pub(crate) const fn is_planted(_bug: super::Bug) -> bool {
        false
    }
}

pub(crate) use selector::is_planted;
#[cfg(feature = "planted")]
pub use selector::plant;
