//! Decisions of the runtime as pure state machines.
//!
//! Nothing here reads a clock, opens a file or a socket, spawns, draws random numbers or iterates in
//! random order: time, ids and randomness are arguments, wishes come out as commands. The same inputs
//! give the same outputs, so the simulator in `tests/sim` can drive thousands of failure schedules.
//!
//! Floor 0 is plain data ([`ids`], [`resources`], [`failure`], [`spec`], [`view`], [`chunks`], [`draws`],
//! [`mod@env`], [`priority`], [`table`], [`time`]); floor 1 is machines, which do not import each other.

pub mod cache;
pub mod chunks;
pub mod collective;
pub mod control;
pub mod draws;
pub mod env;
pub mod evacuation;
pub mod failure;
pub mod groups;
pub mod ids;
pub mod owner;
#[cfg(feature = "planted")]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
pub mod priority;
pub mod producer;
pub mod pull;
pub mod resources;
pub mod scheduler;
pub mod spec;
pub mod table;
pub mod time;
pub mod view;
