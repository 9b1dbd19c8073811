//! What a program needs that uses tasks and actors: `use ray_core::prelude::*;`.

pub use rkyv::Archived;

pub use crate::{
    ActorHandle, Data, KillMode, Lifetime, ObjectRef, ObjectRefStream, ObjectView, actor, remote,
};
