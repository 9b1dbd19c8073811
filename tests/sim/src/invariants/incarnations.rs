//! Of an actor one life answers at a time, each in one process.

use std::collections::BTreeMap;

use ray_engine::ids::{ActorId, ProcessId};

/// The newest life of each actor that ran a method, and where.
#[derive(Default)]
pub struct Incarnations(BTreeMap<ActorId, (u64, ProcessId)>);

impl Incarnations {
    /// A method of a life begins.
    ///
    /// # Errors
    /// When a later life has begun, or the same one elsewhere.
    pub fn on_begin(
        &mut self,
        actor: ActorId,
        incarnation: u64,
        at: ProcessId,
    ) -> Result<(), String> {
        let newest = self.0.entry(actor).or_insert((incarnation, at));
        if newest.0 > incarnation || newest.0 == incarnation && newest.1 != at {
            return Err(format!(
                "life {incarnation} of {actor} answers at {at}, and life {} at {}",
                newest.0, newest.1
            ));
        }
        *newest = (incarnation, at);
        Ok(())
    }
}
