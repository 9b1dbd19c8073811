//! How a node leaves that is being emptied: once it has no work, the objects that only it has go elsewhere.
//!
//! With a deadline it first waits for its workers: those that own objects or have submitted tasks that are not over stay
//! until nobody needs them. What has not ended when a quarter of the time is left does not keep the objects that have:
//! they move then, and those that came later once more when the node is empty.
//!
//! It asks the control role who is there, then every node, and each node its processes: the owners of the
//! objects have them taken over by nodes that stay. It leaves when all have answered; what could not be moved is
//! named in its log and the head's.

use std::collections::{BTreeMap, BTreeSet};

use ray_engine::{
    failure::ExitKind,
    ids::{NodeId, ProcessId},
    time::Time,
};

use super::{NodeState, Outbox};
use crate::wire::{LeaveMessage, Message};

/// Whether the node is being emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drain {
    No,
    /// It takes no new work.
    Wanted,
    /// It has no work, and its objects move.
    Moving,
    /// The control role knows that it is empty.
    Done,
}

/// Whose answers are awaited by each leaving node: of the processes here, or of nodes when it is this one.
#[derive(Default)]
pub(super) struct Leaving {
    deadline: Option<Deadline>,
    processes: BTreeMap<ProcessId, Answers>,
    nodes: Option<Answers>,
}

/// By when a node is to be empty.
struct Deadline {
    /// When objects move although work is left; `None` once they have.
    move_at: Option<Time>,
    /// When each worker was last asked whether somebody needs it.
    asked: BTreeMap<ProcessId, Time>,
}

#[derive(Default)]
struct Answers {
    awaited: BTreeSet<ProcessId>,
    moved: u64,
    left: Vec<String>,
}

impl Answers {
    /// Returns the answers of nobody, of whom these are awaited.
    fn of(awaited: impl IntoIterator<Item = ProcessId>) -> Answers {
        Answers {
            awaited: awaited.into_iter().collect(),
            ..Answers::default()
        }
    }

    fn take(&mut self, from: ProcessId, moved: u64, left: Vec<String>) {
        if self.awaited.remove(&from) {
            self.moved += moved;
            let room = LEFT_NAMED.saturating_sub(self.left.len());
            self.left.extend(left.into_iter().take(room));
        }
    }
}

impl NodeState {
    /// The control role wants this node emptied, `within` so many nanoseconds when it says so.
    pub(super) fn on_drain(
        &mut self,
        control: ProcessId,
        within: Option<u64>,
        now: Time,
        out: &mut Outbox,
    ) {
        if let Some(within) = within {
            self.leaving.deadline = Some(Deadline {
                move_at: Some(Time(now.0.saturating_add(within / 4 * 3))),
                asked: BTreeMap::new(),
            });
        }
        if self.drain == Drain::No {
            tracing::info!("this node takes no new work and ends once it has none");
            self.drain = Drain::Wanted;
            out.push((control, Message::Leaving(LeaveMessage::DrainAccepted)));
        }
    }

    /// A node that is being emptied has no work any more, or not much time.
    pub(super) fn begin_to_leave(&mut self, control: ProcessId, now: Time, out: &mut Outbox) {
        if self.drain != Drain::Wanted {
            return;
        }
        self.ask_owners(now, out);
        let deadline = self.leaving.deadline.as_mut();
        let early = deadline.and_then(|deadline| deadline.move_at.take_if(|at| *at <= now));
        if early.is_some() || self.is_left() {
            self.drain = Drain::Moving;
            out.push((control, Message::Leaving(LeaveMessage::Leave)));
        }
    }

    fn has_no_work(&self) -> bool {
        self.scheduler.leases() == 0 && self.scheduler.waiting_requests() == 0
    }

    /// Returns whether the node waits for nobody here any more.
    fn is_left(&self) -> bool {
        self.has_no_work() && (self.leaving.deadline.is_none() || self.workers.is_empty())
    }

    /// Asks the workers of a node that has time and no work to end, unless somebody needs what they own.
    fn ask_owners(&mut self, now: Time, out: &mut Outbox) {
        if !self.has_no_work() {
            return;
        }
        let Some(deadline) = &mut self.leaving.deadline else {
            return;
        };
        for (process, worker) in self.workers.iter_mut().filter(|(_, worker)| worker.ready) {
            let last = deadline.asked.get(process);
            if last.is_none_or(|last| now.0 >= last.0 + ASK_AGAIN_NANOS) {
                deadline.asked.insert(*process, now);
                let detail = "its node is drained, and nobody needs it";
                worker.ends(ExitKind::IntendedSystemExit, detail);
                out.push((*process, Message::StopIdle));
            }
        }
        let workers = &self.workers;
        deadline
            .asked
            .retain(|process, _| workers.contains_key(process));
    }

    /// Returns when a node that is being emptied has something to do.
    pub(super) fn leaving_timeout(&self) -> Option<Time> {
        let deadline = self.leaving.deadline.as_ref();
        let deadline = deadline.filter(|_| self.drain == Drain::Wanted)?;
        let asked = deadline.asked.values().min();
        let again = asked.map(|last| Time(last.0 + ASK_AGAIN_NANOS));
        let again = again.filter(|_| self.has_no_work());
        again.into_iter().chain(deadline.move_at).min()
    }

    /// The control role says who is there, and who can take objects.
    pub(super) fn on_leave_among(
        &mut self,
        others: Vec<ProcessId>,
        takers: Vec<NodeId>,
        here: ProcessId,
        out: &mut Outbox,
    ) {
        if self.drain != Drain::Moving {
            return;
        }
        let all = others.into_iter().chain([here]).collect::<Vec<_>>();
        for node in &all {
            let takers = takers.clone();
            out.push((*node, Message::Leaving(LeaveMessage::NodeLeaves { takers })));
        }
        self.leaving.nodes = Some(Answers::of(all));
    }

    /// Another node leaves, or this one: every process here looks after its objects.
    pub(super) fn on_node_leaves(
        &mut self,
        leaving: ProcessId,
        takers: &[NodeId],
        here: ProcessId,
        out: &mut Outbox,
    ) {
        let ready = self.workers.iter().filter(|(_, worker)| worker.ready);
        let processes = ready.map(|(process, _)| *process).chain([here]);
        let answers = Answers::of(processes);
        for process in &answers.awaited {
            let takers = takers.to_vec();
            out.push((
                *process,
                Message::Leaving(LeaveMessage::MoveObjects { leaving, takers }),
            ));
        }
        self.leaving.processes.insert(leaving, answers);
    }

    /// A process of this node has done for a leaving node what it could.
    pub(super) fn on_objects_moved(
        &mut self,
        from: ProcessId,
        leaving: ProcessId,
        (moved, left): (u64, Vec<String>),
        out: &mut Outbox,
    ) {
        if let Some(answers) = self.leaving.processes.get_mut(&leaving) {
            answers.take(from, moved, left);
            self.answer_leaving(out);
        }
    }

    /// A node has done for this one what it could.
    pub(super) fn on_node_moved(&mut self, from: ProcessId, moved: u64, left: Vec<String>) {
        if let Some(answers) = &mut self.leaving.nodes {
            answers.take(from, moved, left);
        }
    }

    /// A process or a node is gone that an answer may be awaited of.
    pub(super) fn on_mover_gone(&mut self, gone: ProcessId, out: &mut Outbox) {
        self.leaving.processes.remove(&gone);
        for answers in self.leaving.processes.values_mut() {
            answers.awaited.remove(&gone);
        }
        if let Some(answers) = &mut self.leaving.nodes {
            answers.awaited.remove(&gone);
        }
        self.answer_leaving(out);
    }

    /// Answers the leaving nodes of which every process here has spoken.
    fn answer_leaving(&mut self, out: &mut Outbox) {
        let over = |answers: &Answers| answers.awaited.is_empty();
        let is_over = self.leaving.processes.iter();
        let is_over = is_over.filter(|(_, answers)| over(answers));
        for leaving in is_over.map(|(node, _)| *node).collect::<Vec<_>>() {
            if let Some(Answers { moved, left, .. }) = self.leaving.processes.remove(&leaving) {
                out.push((
                    leaving,
                    Message::Leaving(LeaveMessage::NodeMoved { moved, left }),
                ));
            }
        }
    }

    /// Tells the control role once that the node is empty.
    pub(super) fn end_leaving(&mut self, control: ProcessId, out: &mut Outbox) {
        let is_over = |answers: &Answers| answers.awaited.is_empty();
        if self.drain != Drain::Moving || !self.leaving.nodes.as_ref().is_some_and(is_over) {
            return;
        }
        let Answers { moved, left, .. } = self.leaving.nodes.take().unwrap_or_default();
        if !self.is_left() {
            tracing::info!(
                moved,
                "objects of this node are elsewhere; it waits for its work"
            );
            self.drain = Drain::Wanted;
            return;
        }
        tracing::info!(moved, "the objects of this node are elsewhere; it leaves");
        for line in &left {
            tracing::warn!(object = %line, "this is lost with the node");
        }
        self.drain = Drain::Done;
        out.push((
            control,
            Message::Leaving(LeaveMessage::Drained { moved, left }),
        ));
    }
}

/// How often a worker is asked whether it is needed.
const ASK_AGAIN_NANOS: u64 = 250_000_000;
/// Objects that are named when they cannot be moved.
const LEFT_NAMED: usize = 20;
