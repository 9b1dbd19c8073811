//! What the pulls of this node wish, carried out; what other nodes say about their copies.

use ray_engine::{
    chunks::Chunks,
    failure::Failure,
    ids::{NodeId, ObjectId, ProcessId},
    pull::Command,
    time::Time,
};

use super::{NodeState, Outbox};
use crate::wire::Message;

impl NodeState {
    /// Carries out what the pulls wish, until they are still.
    pub(super) fn run_pulls(&mut self, now: Time, out: &mut Outbox) {
        while let Some(command) = self.copies.pulls.poll_command() {
            self.run_pull(command, now, out);
        }
    }

    fn run_pull(&mut self, command: Command, now: Time, out: &mut Outbox) {
        match command {
            Command::Locate { object } => match self.owner_loss(object) {
                Some(failure) => self.copies.pulls.on_lost(object, &failure, now),
                None => out.push((object.owner, Message::LocateObject { object })),
            },
            Command::Fetch {
                object,
                chunk,
                from,
            } => {
                let Some(copy) = self.copies.by_object.get(&object) else {
                    return;
                };
                let question = Message::ReadChunk {
                    job: copy.job,
                    object,
                    offset: copy.source.offset,
                    len: copy.source.len,
                    writer: copy.writer,
                    chunk,
                    port: self.copies.port,
                };
                out.push((from.process(), question));
            }
            Command::CancelFetch {
                object,
                chunk,
                from,
            } => out.push((from.process(), Message::CancelChunk { object, chunk })),
            Command::Announce { object, chunks } => {
                let held = Some(chunks);
                out.push((object.owner, Message::CopyHeld { object, held }));
            }
            Command::Seal { object } => self.seal_copy(object, now, out),
            Command::Fail {
                object, failure, ..
            } => self.fail_copy(object, &failure, now, out),
            // A copy has its place before its pull begins, and loses it with its last reader.
            Command::Create { .. } | Command::Abandon { .. } | Command::Done { .. } => {}
            Command::MakeRoom { bytes } => {
                tracing::error!(bytes, "pulls that have no limit ask for room");
            }
        }
    }

    /// Returns why an object is gone whose owner is gone.
    fn owner_loss(&self, object: ObjectId) -> Option<Failure> {
        let owner = object.owner;
        let dead = &self.copies.dead;
        (dead.contains(&owner) || dead.contains(&owner.node_process()))
            .then_some(Failure::OwnerDied { object, owner })
    }

    /// An owner says who has an object.
    pub(super) fn on_located(
        &mut self,
        object: ObjectId,
        outcome: Result<Vec<(NodeId, Option<Chunks>)>, Failure>,
        here: ProcessId,
        now: Time,
    ) {
        let holders = match outcome {
            Ok(holders) => holders,
            Err(failure) => return self.copies.pulls.on_lost(object, &failure, now),
        };
        let Some(copy) = self.copies.by_object.get(&object) else {
            return;
        };
        let count = self.copies.pulls.chunk_count(copy.source.len);
        for (node, held) in holders {
            if node.process() != here && !self.copies.dead.contains(&node.process()) {
                let chunks = held.unwrap_or_else(|| Chunks::all(count));
                self.copies.pulls.on_holder(object, node, chunks, now);
            }
        }
    }

    /// A process is gone: what it owned is lost, wherever it lies.
    pub(super) fn on_owner_gone(&mut self, owner: ProcessId, now: Time, out: &mut Outbox) {
        self.copies.dead.insert(owner);
        let is_its =
            |object: &&ObjectId| object.owner == owner || owner == object.owner.node_process();
        let objects = self.copies.by_object.keys().filter(is_its).copied();
        for object in objects.collect::<Vec<_>>() {
            let failure = Failure::OwnerDied {
                object,
                owner: object.owner,
            };
            self.copies.pulls.on_lost(object, &failure, now);
            self.on_copy_unwanted(object, now, out);
        }
    }

    /// A node is gone: its parts are asked of others, and what its processes owned is lost.
    pub(super) fn on_holder_gone(&mut self, node: ProcessId, now: Time, out: &mut Outbox) {
        self.on_owner_gone(node, now, out);
        self.ask_others(node.node(), now);
    }

    /// What a node was asked for will not come from it this time.
    pub(super) fn ask_others(&mut self, node: NodeId, now: Time) {
        self.copies.pulls.on_node_died(node, now);
        let pulls = &mut self.copies.pulls;
        for object in self.copies.by_object.keys() {
            // Whether a copy is left, its owner knows.
            pulls.relocate(*object, now);
        }
    }
}
