//! The control role: which nodes there are, where actors live, who has which name.
//!
//! One process of a cluster has it: the head, or a driver that embeds its own node. It decides where
//! actors go and passes on what owners and nodes must know of each other; tasks and calls never pass
//! through it.

mod nodes;
mod role;

pub(crate) use role::ControlRole;
