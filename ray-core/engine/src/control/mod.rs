//! The control store's machines.

pub mod actors;
pub mod groups;
pub mod jobs;
pub mod nodes;
pub mod packing;
pub mod rendezvous;
