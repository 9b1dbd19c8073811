//! Generated code, one kind a file.

pub(crate) mod actor;
pub(crate) mod data;
pub(crate) mod handle;
pub(crate) mod task;
pub(crate) mod test;
