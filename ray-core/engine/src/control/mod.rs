//! The control store's machines.

pub mod actors;
