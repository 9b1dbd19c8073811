//! The control plane: who may join and ask, which nodes there are, where actors live, what survives.
//!
//! One process of a cluster has the control role (`role`): the head, or a driver that embeds its own
//! node. It decides where actors go and passes on what owners and nodes must know of each other; tasks
//! and calls never pass through it. The front desk (`api`, over `listener`) answers processes that have
//! no certificate yet; `client` is its other side, used by the `ray` command and by joining processes;
//! `token_book` and `token_office` decide who may ask; `store` keeps what must outlive the head.

mod actors;
pub(crate) mod api;
mod arrivals;
mod audit;
mod claims;
pub(crate) mod client;
mod collectives;
pub(crate) mod current;
mod deaths;
pub(crate) mod desk;
mod gather;
mod groups;
pub(crate) mod health;
mod hex;
pub(crate) mod jobs;
mod listener;
pub(crate) mod logs;
mod lookups;
mod names;
mod nodes;
mod places;
mod protocol;
mod restored;
mod role;
pub(crate) mod roster;
mod rows;
mod status;
#[allow(
    dead_code,
    reason = "leases and watches wait for a store that several heads share"
)]
pub(crate) mod store;
pub(crate) mod tables;
mod token;
pub(crate) mod token_book;
pub(crate) mod token_office;

pub use client::Client;
pub use current::Current;
pub use jobs::JobRequest;
pub use protocol::{
    Answer, ClusterStatus, Command, Demand, LogFile, Query, StopRequest, TaskEvent,
};
pub(crate) use role::ControlRole;
pub use rows::{
    ActorState, JobState, NodeState, ObjectState, PlacementGroupState, TaskState, WorkerState,
};
pub use tables::{Filter, Row, Summary, SummaryLine, Table};
pub use token::{Role, Token};
pub use token_book::TokenInfo;
