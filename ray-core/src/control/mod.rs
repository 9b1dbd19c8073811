//! The control plane's edges: who may join, who may ask, what survives the head.
//!
//! The front desk (`api`, over `listener`) answers processes that have no certificate yet; `client` is
//! its other side, used by the `ray` command and by joining processes; `token_book` and `token_office`
//! decide who may ask; `store` keeps what must outlive the head. What is answered comes from the
//! control role behind [`api::Desk`].

#![allow(
    dead_code,
    reason = "the daemon that drives it is the other side of this seam"
)]

pub(crate) mod api;
pub(crate) mod client;
mod current;
mod hex;
mod listener;
mod logs;
mod protocol;
mod rows;
pub(crate) mod store;
pub(crate) mod tables;
mod token;
pub(crate) mod token_book;
pub(crate) mod token_office;

pub use client::Client;
pub use current::Current;
pub use protocol::{Answer, ClusterStatus, Command, Demand, LogFile, Query, StopRequest};
pub use rows::{
    ActorState, JobState, NodeState, ObjectState, PlacementGroupState, TaskState, WorkerState,
};
pub use tables::{Filter, Row, Summary, SummaryLine, Table};
pub use token::{Role, Token};
pub use token_book::TokenInfo;
