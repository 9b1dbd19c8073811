//! Dead writers: their pieces of the arenas come back when nobody in the cluster reads what they wrote.

use std::collections::BTreeSet;

use ray_engine::{
    ids::{JobId, ProcessId},
    time::Time,
};
use ray_shm::SegmentRange;

use super::{JobOnNode, NodeState, Outbox};
use crate::wire::Message;

/// A dead writer's values and who has not said that it reads none of them.
///
/// The writer's node waits for its own processes and for every other node; another node waits for its own
/// processes and then tells the writer's.
pub(super) struct Quiescing {
    /// Whose arena the values lie in; `None` at another node.
    job: Option<JobId>,
    readers: BTreeSet<ProcessId>,
    /// Nodes that have said so before it was known that they would.
    early: BTreeSet<ProcessId>,
    /// Whether it is known which nodes there are.
    is_complete: bool,
}

impl NodeState {
    /// Keeps a dead writer's segments until everyone alive has stopped reading them.
    pub(super) fn orphan(&mut self, dead: ProcessId, id: JobId, here: ProcessId) {
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        if let Err(error) = job.arena.forget_process(dead.0) {
            tracing::error!(%error, %dead, "a dead process's pins stay");
        }
        if job.ranges_of(dead).is_empty() {
            return;
        }
        let readers = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.ready && worker.job == id)
            .map(|(id, _)| *id);
        let quiescing = Quiescing {
            job: Some(id),
            readers: readers.chain([here]).collect(),
            early: BTreeSet::new(),
            is_complete: false,
        };
        self.quiescing.insert(dead, quiescing);
    }

    /// A process of another node is gone: this node says when nobody here reads its values any more.
    pub(super) fn mourn(&mut self, dead: ProcessId, here: ProcessId) {
        let ready = self.workers.iter().filter(|(_, worker)| worker.ready);
        let quiescing = Quiescing {
            job: None,
            readers: ready.map(|(id, _)| *id).chain([here]).collect(),
            early: BTreeSet::new(),
            is_complete: true,
        };
        self.quiescing.insert(dead, quiescing);
    }

    /// These nodes know that a process of this one is gone, and will say so when they read nothing of it.
    pub(super) fn on_death_told(
        &mut self,
        dead: ProcessId,
        nodes: Vec<ProcessId>,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        if let Some(quiescing) = self.quiescing.get_mut(&dead) {
            let late = nodes
                .into_iter()
                .filter(|node| !quiescing.early.contains(node) && !self.copies.dead.contains(node));
            quiescing.readers.extend(late);
            quiescing.is_complete = true;
            self.end_quiescing(dead, here, now, out);
        }
    }

    /// A process or a node is gone, and with it what it read.
    pub(super) fn on_mourner_gone(
        &mut self,
        gone: ProcessId,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        // Nobody is left to tell.
        let is_gone = |dead: &ProcessId| *dead != gone && dead.node_process() == gone;
        self.quiescing.retain(|dead, _| !is_gone(dead));
        for dead in self.quiescing.keys().copied().collect::<Vec<_>>() {
            self.on_quiesced(dead, gone, here, now, out);
        }
    }

    pub(super) fn on_quiesced(
        &mut self,
        dead: ProcessId,
        from: ProcessId,
        here: ProcessId,
        now: Time,
        out: &mut Outbox,
    ) {
        let Some(quiescing) = self.quiescing.get_mut(&dead) else {
            return;
        };
        quiescing.readers.remove(&from);
        if !quiescing.is_complete {
            quiescing.early.insert(from);
        }
        self.end_quiescing(dead, here, now, out);
    }

    /// Takes a dead writer's segments back, or tells its node, when nobody reads its values any more.
    fn end_quiescing(&mut self, dead: ProcessId, here: ProcessId, now: Time, out: &mut Outbox) {
        let is_over = |quiescing: &Quiescing| quiescing.is_complete && quiescing.readers.is_empty();
        if !self.quiescing.get(&dead).is_some_and(is_over) {
            return;
        }
        let job = self
            .quiescing
            .remove(&dead)
            .and_then(|quiescing| quiescing.job);
        let Some(id) = job else {
            out.push((dead.node_process(), Message::Quiesced { dead }));
            return;
        };
        if let Some(job) = self.jobs.get_mut(&id) {
            for range in job.ranges_of(dead) {
                if let Err(error) = job.release(range, now) {
                    tracing::error!(%error, %dead, "a dead writer's segments could not be taken back");
                }
            }
        }
        self.grant_segments(id, here, now, out);
    }
}

impl JobOnNode {
    /// Returns what is lent to a process, in memory and in the file.
    fn ranges_of(&self, holder: ProcessId) -> Vec<SegmentRange> {
        let mut ranges = self.spill.ranges_of(holder);
        ranges.extend(self.overflow.ranges_of(holder));
        ranges
    }
}
