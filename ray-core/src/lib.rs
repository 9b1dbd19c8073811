//! Typed tasks and actors in worker processes, after "Ray: A Distributed Framework for Emerging AI
//! Applications" (OSDI 2018).

extern crate self as ray_core;

mod object_ref;
mod runtime;
pub mod store;

pub use object_ref::{AnyRef, ObjectRef};
pub use ray_engine::ids::{ActorId, NodeId, ObjectId, ProcessId, TaskId};
