//! The worker role: submits calls to others and runs the calls that others submit.

pub(crate) mod calls;
pub(crate) mod context;
mod evacuation;
pub(crate) mod execute;
mod execute_async;
pub(crate) mod items;
mod locations;
pub(crate) mod panics;
pub(crate) mod submit;
