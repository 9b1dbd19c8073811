//! What it takes to construct a detached actor again when its creator is gone.
//!
//! Its arguments must lie in bytes that travel and are kept by themselves: an argument that holds references
//! depends on their owners, and large ones on a node's memory, so that such an actor is restarted only while
//! its creator lives.

use std::net::SocketAddr;

use ray_engine::{
    ids::{ActorId, JobId, ProcessId, TaskId},
    owner::ObjectState,
};
use ray_net::HeaderFields;

use super::{Core, Creation, push_frame};
use crate::{
    __private::ArgSlot,
    config::RECIPE_BYTES_MAX,
    store::AlignedBytes,
    wire::{ActorCreation, ArgMeta, CallMeta, CallTarget, Place, Recipe, kind},
};

impl Core {
    /// Adds to a detached actor's creation how to construct it, when that can be kept.
    pub(crate) fn add_recipe(&self, creation: &mut ActorCreation) {
        if !creation.detached {
            return;
        }
        let made = self.creations.get(&creation.actor);
        creation.recipe = made.and_then(|made| self.recipe_of(made)).map(Box::new);
        if creation.recipe.is_none() && creation.max_restarts != 0 {
            tracing::warn!(
                actor = %creation.actor,
                "its arguments hold references or have over {RECIPE_BYTES_MAX} bytes: this detached actor is \
                 not restarted once its creator is gone"
            );
        }
    }

    fn recipe_of(&self, made: &Creation) -> Option<Recipe> {
        let mut body = Vec::new();
        let mut args = Vec::with_capacity(made.args.slots.len());
        for slot in &made.args.slots {
            let mut keep = |bytes: &[u8], layout: u64| {
                let offset = body.len();
                if offset + bytes.len() > RECIPE_BYTES_MAX {
                    return None;
                }
                body.extend_from_slice(bytes);
                body.resize(body.len().next_multiple_of(16), 0);
                let place = Place::Body {
                    offset: u32::try_from(offset).ok()?,
                    len: u32::try_from(bytes.len()).ok()?,
                };
                args.push(ArgMeta {
                    place,
                    layout,
                    contained: Vec::new(),
                });
                Some(())
            };
            match slot {
                ArgSlot::Inline {
                    offset,
                    len,
                    contained,
                    layout,
                } => {
                    let from = *offset as usize;
                    let bytes = made.args.body.get(from..from + *len as usize)?;
                    contained.is_empty().then(|| keep(bytes, *layout))??;
                }
                ArgSlot::Object(reference) => {
                    let ObjectState::Ready(value) = self.owner.state(reference.id()) else {
                        return None;
                    };
                    let holds_none = self.owner.contained(reference.id()).is_empty();
                    if !holds_none || value.missing().is_some() {
                        return None;
                    }
                    // Held in memory while it is read.
                    let _pin = value.pin(&self.arena).ok()?;
                    keep(value.bytes(), value.layout())?;
                }
            }
        }
        Some(Recipe {
            method: made.constructor.id,
            class: made.class,
            max_concurrency: made.max_concurrency,
            running: made.running.clone(),
            body,
            args,
        })
    }

    /// Sends the constructor call of an actor by its recipe, for a creator that may be gone.
    pub(crate) fn construct_by_recipe(
        &mut self,
        (actor, incarnation): (ActorId, u64),
        job: JobId,
        recipe: Recipe,
        (worker, addr): (ProcessId, SocketAddr),
        devices: Vec<u32>,
    ) {
        self.on_address(worker, addr);
        let Some(peer) = self.peers.get(&worker).cloned() else {
            return;
        };
        let meta = CallMeta {
            task: TaskId {
                owner: self.process,
                index: 0,
            },
            job,
            attempt: u32::try_from(incarnation).unwrap_or(u32::MAX),
            backpressure: 0,
            method: recipe.method,
            parent: TaskId::default(),
            deadline_ms: 0,
            target: CallTarget::Create {
                actor,
                class: recipe.class,
                incarnation,
                max_concurrency: recipe.max_concurrency,
            },
            args: recipe.args,
            chain: Vec::new(),
            devices,
            // Its group went with its creator.
            inside: None,
            resources: Some(Box::new(recipe.running)),
        };
        let header = HeaderFields {
            kind: kind::CALL,
            request: 0,
            incarnation,
            trace: 0,
        };
        let mut body = AlignedBytes::new();
        body.extend_from_slice(&recipe.body);
        push_frame(&peer, &header, &meta, &[&body]);
        self.touch(&peer);
    }
}
