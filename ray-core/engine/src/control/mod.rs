//! The control store's machines.

pub mod actors;
pub mod groups;
pub mod packing;
