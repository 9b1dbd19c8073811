//! Library types over actors: [`ActorPool`] and [`Queue`].
//!
//! They use the front door only, as a program's own types would.

mod actor_pool;
#[allow(
    unsafe_code,
    reason = "linkme gathers the types that are sent through a link section"
)]
mod queue;
#[allow(
    unsafe_code,
    reason = "linkme gathers the actor's methods through a link section"
)]
mod queue_host;

pub use actor_pool::{ActorPool, Map, MapUnordered};
pub use queue::Queue;
