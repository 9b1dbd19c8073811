//! What a call is sent from, kept until its end; what tasks of one shape share is in the shape.

use std::sync::Arc;

use ray_engine::ids::ActorId;

use crate::{
    __private::{Arguments, Method},
    placement_group::Inside,
};

/// What a submitted call needs until its end.
pub(crate) struct Payload {
    pub(crate) method: &'static Method,
    pub(crate) args: Arguments,
    pub(crate) chain: Arc<[ActorId]>,
    /// Items of a stream that may wait for its consumer; 0 for any number.
    pub(crate) backpressure: u32,
    /// The concurrency group of a method, 0 for the default one.
    pub(crate) group: u16,
    special: Option<Box<Special>>,
}

/// What few tasks say of themselves.
struct Special {
    name: Option<Box<str>>,
    inside: Option<Arc<Inside>>,
}

impl Payload {
    /// Returns what a call needs that says nothing else of itself.
    pub(crate) fn new(method: &'static Method, args: Arguments, chain: Arc<[ActorId]>) -> Payload {
        Payload {
            method,
            args,
            chain,
            backpressure: 0,
            group: 0,
            special: None,
        }
    }

    /// Sets a task's name for lists and the placement group that it draws from.
    pub(crate) fn set_special(&mut self, name: Option<String>, inside: Option<Arc<Inside>>) {
        let name = name.map(Box::from);
        let is_special = name.is_some() || inside.is_some();
        self.special = is_special.then(|| Box::new(Special { name, inside }));
    }

    /// Returns what lists call it.
    pub(crate) fn name(&self) -> &str {
        let special = self.special.as_deref();
        let chosen = special.and_then(|special| special.name.as_deref());
        chosen.unwrap_or(self.method.name)
    }

    /// Returns the placement group that a task draws from.
    pub(crate) fn inside(&self) -> Option<&Inside> {
        self.special.as_deref()?.inside.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queued_call_takes_little() {
        // With the two counts of its `Arc` it just fits into a piece of 112 bytes of the allocator.
        assert_eq!(size_of::<Payload>(), 80);
    }
}
