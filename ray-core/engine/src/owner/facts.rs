//! What the owner holds, as somebody who looks at the cluster sees it.

use super::{
    ActorState, Owner,
    object::Outcome,
    tasks::{Kind, Stage},
};
use crate::ids::{ActorId, ObjectId, ProcessId, TaskId};

/// A task or call that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskFacts {
    /// Its id.
    pub task: TaskId,
    /// Which try this is, from 0.
    pub attempt: u32,
    /// The task that submitted it.
    pub parent: Option<TaskId>,
    /// The actor whose method it is.
    pub actor: Option<ActorId>,
    /// Where it is.
    pub stage: TaskStage,
}

/// How far a task has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStage {
    /// Its arguments are not there yet.
    WaitsForArguments,
    /// No worker has it yet, or its actor is not there.
    WaitsForWorker,
    /// A worker has it, and may run others before it.
    Sent(ProcessId),
}

/// An object that is referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectFacts<'a, V> {
    /// Its id.
    pub object: ObjectId,
    /// Whether a call makes it; known of own objects.
    pub is_result: bool,
    /// Its value when it is there, nothing when its making failed; `None` while it is made.
    pub outcome: Option<Option<&'a V>>,
    /// Handles in this process, those inside values of this process counted.
    pub handles: u32,
    /// Calls of this process that have not ended and use it.
    pub users: u32,
    /// References that other processes were given and have not given back; known of own objects.
    pub lent: u64,
}

impl<P: Clone, V: Clone> Owner<P, V> {
    /// Returns the tasks and calls that have not ended, the oldest `limit` of them, and how many there are.
    pub fn task_facts(&self, limit: usize) -> (Vec<(TaskFacts, &P)>, usize) {
        let indexes = self.tasks.indexes();
        let facts = indexes.into_iter().take(limit).filter_map(|index| {
            let task = self.tasks.get(index)?;
            let facts = TaskFacts {
                task: TaskId {
                    owner: self.process,
                    index,
                },
                attempt: task.attempt,
                parent: Some(task.parent).filter(|parent| parent.index != 0),
                actor: match task.kind {
                    Kind::Task { .. } => None,
                    Kind::Call { actor, .. } => Some(actor),
                },
                stage: match task.stage {
                    Stage::Sent(worker) => TaskStage::Sent(worker),
                    _ if task.waiting > 0 => TaskStage::WaitsForArguments,
                    _ => TaskStage::WaitsForWorker,
                },
            };
            Some((facts, &task.payload))
        });
        (facts.collect(), self.tasks.len())
    }

    /// Returns the actors that are watched and not dead, and how each is.
    pub fn watched_actors(&self) -> Vec<(ActorId, ActorState)> {
        let watched = self
            .actors
            .iter()
            .filter(|(_, queue)| !matches!(queue.state(), ActorState::Dead(_)));
        let mut watched: Vec<(ActorId, ActorState)> = watched
            .map(|(actor, queue)| (*actor, queue.state().clone()))
            .collect();
        watched.sort_unstable_by_key(|(actor, _)| *actor);
        watched
    }

    /// Returns the actors that are not there yet, or not any more.
    pub fn absent_actors(&self) -> Vec<ActorId> {
        let absent = self.actors.iter().filter(|(_, queue)| queue.is_absent());
        let mut absent: Vec<ActorId> = absent.map(|(actor, _)| *actor).collect();
        absent.sort_unstable();
        absent
    }

    /// Returns the objects of this process that have a value.
    pub fn own_values(&self) -> impl Iterator<Item = (ObjectId, &V)> {
        self.owned.iter().filter_map(|(index, owned)| {
            let Some(Outcome::Ready(value)) = &owned.outcome else {
                return None;
            };
            let owner = self.process;
            Some((ObjectId { owner, index }, value))
        })
    }

    /// Returns the objects that are referred to here, own ones first, at most `limit`, and how many there are.
    pub fn object_facts(&self, limit: usize) -> (Vec<ObjectFacts<'_, V>>, usize) {
        let objects = self.objects();
        let fact = |object: &ObjectId| {
            let (is_result, outcome, handles, users, lent) = if object.owner == self.process {
                let owned = self.owned.get(object.index)?;
                (
                    owned.task != 0,
                    &owned.outcome,
                    owned.handles(),
                    owned.users(),
                    owned.lent(),
                )
            } else {
                let borrowed = self.borrowed.get(object)?;
                (false, borrowed.outcome(), borrowed.handles(), 0, 0)
            };
            Some(ObjectFacts {
                object: *object,
                is_result,
                outcome: outcome.as_ref().map(|outcome| match outcome {
                    Outcome::Ready(value) => Some(value),
                    Outcome::Failed(_) => None,
                }),
                handles,
                users,
                lent,
            })
        };
        let facts = objects.iter().take(limit).filter_map(fact).collect();
        (facts, objects.len())
    }
}
