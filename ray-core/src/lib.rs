//! Typed tasks and actors in worker processes, after "Ray: A Distributed Framework for Emerging AI
//! Applications" (OSDI 2018).
//!
//! ```no_run
//! use ray_core::prelude::*;
//!
//! #[remote]
//! fn square(x: i64) -> i64 {
//!     x * x
//! }
//!
//! # fn main() -> ray_core::Result<()> {
//!     let ray = ray_core::init()?;
//!     let nine = square::remote(3);
//!     println!("{}", square::remote(&nine).get()?);
//!     ray.shutdown()
//! # }
//! ```

#[allow(
    unused_extern_crates,
    reason = "generated code names `::ray_core`, also in this crate's tests"
)]
extern crate self as ray_core;

#[doc(hidden)]
#[path = "private/mod.rs"]
pub mod __private;
mod actor;
pub mod collective;
pub mod config;
mod context_api;
pub mod control;
pub mod daemon;
pub mod data;
mod error;
mod node;
mod object_ref;
mod object_stream;
mod placement_group;
pub mod prelude;
mod runtime;
pub mod store;
pub mod util;
mod verbs;
mod wire;
mod worker;
mod working_dir;

pub use actor::{ActorHandle, ActorRef, CallOptions, KillMode, Lifetime};
pub use config::{Config, Durability};
pub use context_api::{RuntimeContext, exit_actor, runtime_context};
pub use data::Data;
pub use error::{Error, Result};
pub use object_ref::{AnyRef, ObjectFuture, ObjectRef, ObjectView};
pub use object_stream::ObjectRefStream;
pub use placement_group::{PlacementGroup, PlacementGroupOptions, placement_group};
pub use ray_engine::{
    env::RuntimeEnv,
    ids::{ActorId, GroupId, JobId, NodeId, ObjectId, ProcessId, TaskId},
    resources::{Amount, Resources},
    spec::{Condition, LabelSelector, PlacementStrategy, Strategy},
};
pub use ray_macros::{Data, actor, remote, test};
pub use rkyv;
pub use runtime::Ray;
pub use util::{ActorPool, Queue};
pub use verbs::{
    CancelOptions, NodeInfo, ObjectLocation, ObjectStoreStats, PutOptions, available_resources,
    cancel, cancel_with, cluster_resources, free, get_all, init, nodes, object_locations,
    object_store_stats, put, put_with, wait, wait_any,
};
