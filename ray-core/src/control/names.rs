//! Names of actors of the head before: held for their creators until these have spoken.
//!
//! A head that is started again knows from its store which names were taken. A newcomer that wants such a name waits
//! until the creator of its holder has told of its actors, is gone, or does not come back in time.

use std::collections::BTreeMap;

use ray_engine::{
    control::actors::DirectoryState,
    failure::Failure,
    ids::{ActorId, ProcessId},
    time::Time,
};
use rkyv::{Archive, Deserialize, Serialize};

use super::{
    jobs::Wish,
    role::{ControlState, Outbox},
};
use crate::{
    config::{LOOKUP_PATIENCE, LOOKUPS_MAX},
    wire::{ActorCreation, Message},
};

/// A name that an actor has, as it is kept for the next head.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameOnRecord {
    pub(crate) actor: ActorId,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// The names that the next head would find, those of the head before, and who waits for one of them.
#[derive(Default)]
pub(super) struct Names {
    on_record: BTreeMap<ActorId, (String, String)>,
    /// Those of the head before that nobody has settled yet.
    held: BTreeMap<(String, String), ActorId>,
    /// Whether some may have ended.
    may_have_ended: bool,
    /// By who asked, and which of its questions it is.
    waiting: BTreeMap<(ProcessId, u64), Waiting>,
}

struct Waiting {
    creation: ActorCreation,
    until: Time,
}

impl Names {
    /// Takes up the names of the head before.
    pub(super) fn restore(&mut self, names: Vec<NameOnRecord>) {
        for name in names {
            let NameOnRecord {
                actor,
                namespace,
                name,
            } = name;
            self.on_record
                .insert(actor, (namespace.clone(), name.clone()));
            self.held.insert((namespace, name), actor);
        }
    }

    /// An actor is dead, or nobody tells of one any more.
    pub(super) fn on_end(&mut self) {
        self.may_have_ended = true;
    }

    /// A process is gone: it wants no actor any more.
    pub(super) fn on_process_gone(&mut self, process: ProcessId) {
        self.may_have_ended = true;
        let is_its = |other: &ProcessId| *other == process || other.node_process() == process;
        self.waiting.retain(|(asker, _), _| !is_its(asker));
    }

    /// Returns when the first that waits is answered in any case.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.waiting.values().map(|waiting| waiting.until).min()
    }
}

impl ControlState {
    /// A process creates an actor: at once, unless its name may have a holder that nobody has told of yet.
    pub(super) fn on_creation(
        &mut self,
        asker: (ProcessId, u64),
        creation: ActorCreation,
        now: Time,
        out: &mut Outbox,
    ) {
        if !self.is_held_from(&creation) || self.names.waiting.len() >= LOOKUPS_MAX {
            return self.answer_creation(asker, creation, now, out);
        }
        let name = creation.name.as_ref().map(|(_, name)| name);
        tracing::info!(
            ?name,
            "an actor waits for the holder of its name before this head"
        );
        let until = now + LOOKUP_PATIENCE;
        self.names
            .waiting
            .insert(asker, Waiting { creation, until });
    }

    /// Answers those whose names are settled by now, and refuses who has waited for too long; returns whether
    /// there were any.
    pub(super) fn answer_creations(&mut self, now: Time, out: &mut Outbox) -> bool {
        let mut has_answered = false;
        for (asker, waiting) in std::mem::take(&mut self.names.waiting) {
            if self.is_held_from(&waiting.creation) && now < waiting.until {
                self.names.waiting.insert(asker, waiting);
            } else {
                self.answer_creation(asker, waiting.creation, now, out);
                has_answered = true;
            }
        }
        has_answered
    }

    fn answer_creation(
        &mut self,
        (asker, request): (ProcessId, u64),
        creation: ActorCreation,
        now: Time,
        out: &mut Outbox,
    ) {
        let outcome = match &creation.name {
            Some((_, name)) if self.is_held_from(&creation) => {
                Err(Failure::NameTaken(name.clone()))
            }
            _ => self.create_actor(asker, creation, now),
        };
        out.push((asker, Message::CreateActorReply { request, outcome }));
    }

    /// Returns whether somebody else had its name before this head and has not spoken yet.
    fn is_held_from(&self, creation: &ActorCreation) -> bool {
        let holder = creation
            .name
            .as_ref()
            .and_then(|name| self.names.held.get(name));
        holder.is_some_and(|holder| {
            let is_unsettled = *holder != creation.actor
                && !self.directory.is_created(*holder)
                && !self.claims.contains_key(holder);
            is_unsettled && self.returns_until.is_some() && self.may_claim(holder.owner)
        })
    }

    /// Returns whether a process may yet tell of an actor of the head before.
    fn may_claim(&self, creator: ProcessId) -> bool {
        let node = creator.node_process();
        self.returning.contains(&node) || self.lookups.awaits(creator) || self.lookups.awaits(node)
    }

    /// An actor has a name: the next head must know.
    pub(super) fn keep_name(&mut self, actor: ActorId, name: Option<&(String, String)>) {
        let Some((namespace, name)) = name else {
            return;
        };
        let kept = (namespace.clone(), name.clone());
        if self.names.on_record.insert(actor, kept).is_none() {
            self.wish(Wish::KeepName(Box::new(NameOnRecord {
                actor,
                namespace: namespace.clone(),
                name: name.clone(),
            })));
        }
    }

    /// Names of actors that are dead, or of which nobody told in time, need not be known to the next head.
    pub(super) fn forget_dead_names(&mut self) {
        if !std::mem::take(&mut self.names.may_have_ended) {
            return;
        }
        let is_over = |actor: &ActorId| match self.directory.state(*actor) {
            Some(state) => matches!(state, DirectoryState::Dead { .. }),
            None => !self.claims.contains_key(actor) && !self.may_claim(actor.owner),
        };
        let over = self.names.on_record.keys().filter(|actor| is_over(actor));
        for actor in over.copied().collect::<Vec<_>>() {
            if let Some(name) = self.names.on_record.remove(&actor) {
                if self.names.held.get(&name) == Some(&actor) {
                    self.names.held.remove(&name);
                }
                self.wish(Wish::ForgetName(actor));
            }
        }
    }
}
