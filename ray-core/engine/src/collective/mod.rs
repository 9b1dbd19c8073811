//! Collective calls among the members of a group: who sends which elements when, and what goes wrong.
//!
//! `plan` says what one call is made of: a ring that is pipelined in chunks. [`Member`] keeps the links of
//! one member (windows, order, what arrived early) and steps a call through its plan. No bytes pass here.

mod member;
mod plan;

#[allow(
    missing_docs,
    reason = "rkyv's derives repeat the types without their documentation"
)]
mod say;

pub use member::{Busy, Limits, Member, Request, Running, Step};
pub use plan::{Action, Plan, Stage, share};
pub use say::{Call, Chunk, Fault, Lane, Operation, Reduce, Scalar};
