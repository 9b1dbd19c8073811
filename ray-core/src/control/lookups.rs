//! Names of actors that are looked up, also before everybody has told a head that was started again of theirs.
//!
//! A driver that comes back says at once which actors it created, and so does each worker of a node that comes
//! back. Until all of them have, a name that nobody has told of is no name that nobody has: the question waits.

use std::collections::{BTreeMap, BTreeSet};

use ray_engine::{
    control::actors::DirectoryState,
    failure::Failure,
    ids::{ActorId, ProcessId},
    time::Time,
};

use super::role::{ControlState, Outbox};
use crate::{
    actor::CallLimits,
    config::{LOOKUP_PATIENCE, LOOKUPS_MAX},
    wire::Message,
};

/// The questions that wait, and for whom.
#[derive(Default)]
pub(super) struct Lookups {
    /// By who asked, and which of its questions it is.
    waiting: BTreeMap<(ProcessId, u64), Lookup>,
    /// Processes that are back and have not said yet which actors they created.
    silent: BTreeSet<ProcessId>,
    /// Processes that have, perhaps before their node told of them.
    spoken: BTreeSet<ProcessId>,
}

struct Lookup {
    namespace: String,
    name: String,
    until: Time,
}

impl Lookups {
    /// These are back, and will tell of their actors.
    pub(super) fn await_claims(&mut self, creators: &[ProcessId]) {
        let silent = creators.iter().filter(|it| !self.spoken.contains(it));
        self.silent.extend(silent);
    }

    /// Returns whether a process is back and has not told of its actors.
    pub(super) fn awaits(&self, process: ProcessId) -> bool {
        self.silent.contains(&process)
    }

    /// A process has told of all its actors.
    pub(super) fn on_all_claimed(&mut self, from: ProcessId) {
        self.silent.remove(&from);
        self.spoken.insert(from);
    }

    /// A process is gone: it asks nothing, and nothing more is heard of it.
    pub(super) fn on_process_gone(&mut self, process: ProcessId) {
        // With a node all its processes are.
        let is_its = |other: &ProcessId| *other == process || other.node_process() == process;
        self.silent.retain(|other| !is_its(other));
        self.spoken.retain(|other| !is_its(other));
        self.waiting.retain(|(asker, _), _| !is_its(asker));
    }

    /// Nobody else comes back.
    pub(super) fn on_returns_over(&mut self) {
        self.silent.clear();
        self.spoken.clear();
    }

    /// Returns when the first question is to be answered in any case.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.waiting.values().map(|lookup| lookup.until).min()
    }
}

impl ControlState {
    /// A process asks for the actor of a name; it is answered once that is certain.
    pub(super) fn look_up(
        &mut self,
        asker: (ProcessId, u64),
        (namespace, name): (String, String),
        now: Time,
        out: &mut Outbox,
    ) {
        if let Some(found) = self.named(&namespace, &name) {
            return out.push(reply(asker, Ok(found)));
        }
        let is_certain = self.knows_every_name() || self.has_ended(&namespace, &name);
        if is_certain || self.lookups.waiting.len() >= LOOKUPS_MAX {
            return out.push(reply(asker, Err(Failure::NotFound(name))));
        }
        let (returning, silent) = (&self.returning, &self.lookups.silent);
        tracing::info!(
            name,
            ?returning,
            ?silent,
            "a name waits for those who may have told of it"
        );
        let lookup = Lookup {
            namespace,
            name,
            until: now + LOOKUP_PATIENCE,
        };
        self.lookups.waiting.insert(asker, lookup);
    }

    /// Answers what can be answered by now.
    pub(super) fn answer_lookups(&mut self, now: Time, out: &mut Outbox) {
        if self.lookups.waiting.is_empty() {
            return;
        }
        let knows_all = self.knows_every_name();
        let mut waiting = std::mem::take(&mut self.lookups.waiting);
        waiting.retain(|asker, lookup| {
            let found = self.named(&lookup.namespace, &lookup.name);
            let is_certain =
                found.is_some() || knows_all || self.has_ended(&lookup.namespace, &lookup.name);
            let is_over = is_certain || lookup.until <= now;
            if is_over {
                let outcome = found.ok_or_else(|| Failure::NotFound(lookup.name.clone()));
                out.push(reply(*asker, outcome));
            }
            !is_over
        });
        self.lookups.waiting = waiting;
    }

    /// Returns whether everybody who may have named an actor has told of it.
    fn knows_every_name(&self) -> bool {
        self.returns_until.is_none()
            || (self.returning.is_empty() && self.lookups.silent.is_empty())
    }

    /// Returns whether the actor of this name has ended under this head: nobody else had the name before.
    fn has_ended(&self, namespace: &str, name: &str) -> bool {
        let mut actors = self.directory.actors();
        actors.any(|(spec, state, _)| {
            let named = spec.name.as_ref();
            matches!(state, DirectoryState::Dead { .. })
                && named.is_some_and(|named| (&*named.0, &*named.1) == (namespace, name))
        })
    }

    fn named(&self, namespace: &str, name: &str) -> Option<(ActorId, String, CallLimits)> {
        let created = self.directory.lookup(namespace, name);
        let created = created.map(|(actor, class)| {
            let limits = self.actors.get(&actor).map(|notes| notes.limits);
            (actor, class, limits.unwrap_or_default())
        });
        created.or_else(|| self.claimed(namespace, name))
    }
}

fn reply(
    (asker, request): (ProcessId, u64),
    outcome: Result<(ActorId, String, CallLimits), Failure>,
) -> (ProcessId, Message) {
    (asker, Message::LookupActorReply { request, outcome })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_spoke_before_its_node_told_of_it_is_not_waited_for() {
        let node = ProcessId(3 << 28);
        let (first, second) = (node.started(1), node.started(2));
        let mut lookups = Lookups::default();
        lookups.on_all_claimed(first);
        lookups.await_claims(&[first, second]);
        assert_eq!(lookups.silent, [second].into());
        lookups.on_process_gone(second);
        assert!(lookups.silent.is_empty());
        lookups.await_claims(&[second]);
        lookups.on_process_gone(node);
        assert!(lookups.silent.is_empty() && lookups.spoken.is_empty());
    }
}
